"""Made-up biographies that a careless reader labels wrongly, each label worked out by hand.

The rules phenomenon by phenomenon, and their score on real biographies, are in `test_rules`.
"""

import pytest

from needle_assets.labels.biography import PartialDate
from needle_assets.labels.rules import LabeledBio, label_bio

NAME = "jane roe"


def _label(text: str) -> LabeledBio:
    return label_bio(NAME, f"{NAME} {text}")


@pytest.mark.parametrize(
    ("text", "nationality"),
    [
        # Forebears, things learnt and things fought say nothing of the person.
        ("was a nurse of irish descent .", "unknown"),
        ("is a scholar of chinese history at harvard university .", "unknown"),
        ("is a professor of french at oxford university .", "unknown"),
        ("is an english professor at the university of iowa .", "unknown"),
        ("is an author of books on irish history .", "unknown"),
        ("of golden , colorado , is an expert on the history of france .", "American"),
        ("is a philosopher who is a professor at oxford university .", "unknown"),
        ("is a french horn player .", "unknown"),
        ("was a pilot who fought against the german air force .", "unknown"),
        ("is a vietnam war veteran from ohio .", "American"),
        ("is a korean war veteran .", "unknown"),
        ("was a granddaughter queen victoria .", "unknown"),
        ("is a chemist . in 1990 he moved to france .", "unknown"),
        ("is a russian literature critic from poland .", "Polish"),
        ("is an american football player from canada .", "Canadian"),
        # The forces somebody served in, before the place of birth.
        ("was a pilot for the german luftwaffe . she was born in nysa , poland .", "German"),
        ("was an officer of the british indian army . she was born in delhi .", "British"),
        ("was a soldier in the french foreign legion from hungary .", "Hungarian"),
        ("was a soldier of the waffen-ss . she was born in nofels , austria .", "Austrian"),
        ("was a planter . she served as an officer in the united states army .", "American"),
        ("was a planter . she fought against the united states army .", "unknown"),
        # Of two, the last; those who left a nation behind.
        ("is a turkish-born german actor .", "German"),
        ("is an israeli-born american conductor of polish descent .", "American"),
        ("is a cuban exile and american businessman .", "American"),
        (
            "is a widow . an american by birth and of swedish descent , with three brothers , she "
            "renounced her american citizenship in favor of jordanian citizenship .",
            "Jordanian",
        ),
        ("is a dean in singapore . an australian rhodes scholar , he is an editor .", "Australian"),
        # Places that are not what they seem.
        ("( born in 1950 in what is now ukraine ) is a poet .", "Ukrainian"),
        ("was a guard with the canton bulldogs of the national football league .", "American"),
        ("was a pharaoh of the 13th dynasty .", "Egyptian"),
        ("( born 3 may 1950 in lagos , nigeria ) is an actor who lives in england .", "Nigerian"),
    ],
)
def test_nationality(text: str, nationality: str) -> None:
    assert _label(text).label.nationality == nationality


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        # Who climbs mountains, or has a rank in a martial art, does a sport; who teaches one or
        # climbs in society does not by that.
        ("is a polish mountaineer .", True),
        ("is an american rock climber .", True),
        ("is a social climber and television personality .", False),
        ("is a 9th degree black belt in taekwondo .", True),
        ("is a japanese aikido teacher holding the rank of 8th dan .", True),
        ("is an actor and kung fu master .", True),
        ("is an american martial arts teacher .", False),
        ("is an american master of ceremonies .", False),
        # A role that a clause adds, and one that it gives to another.
        ("is a politician who was also a boxer .", True),
        ("is a biographer of john doe , who was a boxer .", False),
        ("is an english football commentator and former footballer .", True),
        ("is a coach who played college basketball at duke .", True),
        ("is a member of the welsh rugby union team .", True),
        ("won six driving championships in sprint car racing . roe was feared .", True),
        ("is the son of a cricketer .", False),
        ("is a scottish businessman and chairman of celtic football club .", False),
        ("is a sports photographer .", False),
        ("is a gold medalist of the university of delhi .", False),
        ("is a gold medalist of the 2012 olympics .", True),
        ("is a player of the sitar .", False),
        ("is an actor who played a footballer in a film .", False),
        ("is a football hooligan .", False),
    ],
)
def test_sportsperson(text: str, is_one: bool) -> None:
    assert _label(text).label.sportsperson is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        # The head whom a people elects, not its chief by birth.
        ("was the first female chairperson of the kickapoo tribe in kansas .", True),
        ("is the principal chief of the cherokee nation .", True),
        ("is the president of the navajo nation .", True),
        ("was the hereditary chief of the zulu .", False),
        ("is a maasai community leader .", False),
        ("is the chief of the nation 's police .", False),
        # Governors and ministers of other things than states.
        ("is an economist who served as governor of the reserve bank of india .", False),
        ("served as deputy governor of the central bank of kenya .", False),
        ("was governor of the state prison in iowa .", False),
        ("was the governor of the tower of london .", False),
        ("was governor of new york and president of the bank of albany .", True),
        ("is a minister of the church of scotland .", False),
        ("is the minister of education and church affairs of norway .", True),
        ("was the vice-president of the transitional council of azawad .", True),
        ("is a former footballer who is now a politician in liberia .", True),
        ("is a biographer of john doe , who was a politician .", False),
        ("is the wife of the prime minister of japan .", False),
        ("is the president of the college of william and mary .", False),
        ("was the united states minister to france .", False),
        ("is a political commentator .", False),
    ],
)
def test_politician(text: str, is_one: bool) -> None:
    assert _label(text).label.politician is is_one


def test_a_later_sentence_adds_the_day_to_a_year() -> None:
    found = _label("( 1774 -- 1841 ) was a poet . she died on 12 february 1841 in brno .")
    assert found.label.date_of_birth == PartialDate(year=1774)
    assert found.label.date_of_death == PartialDate(day=12, month=2, year=1841)
    assert found.evidence == ("dates: 1774 -- 1841 ... she died on 12 february 1841 in brno",)


@pytest.mark.parametrize(
    "sentence",
    [
        "she died on 12 february 1842",
        "her father died on 12 february 1841",
        "she was baptised on 3 may 1774",
    ],
)
def test_a_later_sentence_changes_no_year_and_tells_of_the_person(sentence: str) -> None:
    label = _label(f"( 1774 -- 1841 ) was a poet . {sentence} .").label
    assert label.date_of_birth == PartialDate(year=1774)
    assert label.date_of_death == PartialDate(year=1841)
