"""The rule labeler, phenomenon by phenomenon, on sentences written for it; then on real ones."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.labels.biography import BIOGRAPHY_TASK, check_label
from needle_assets.labels.rules import LabeledBio, label_bio, label_table
from needle_assets.labels.task import LabelError

NAME = "jane roe"


def _label(text: str) -> LabeledBio:
    return label_bio(NAME, f"{NAME} {text}")


@pytest.mark.parametrize(
    ("text", "nationality", "basis"),
    [
        # The demonym of the first predicate.
        ("( born 3 may 1950 ) is a retired italian football goalkeeper .", "Italian", "explicit"),
        ("was an english stage actress .", "English", "explicit"),
        ("is a former new zealand psychologist .", "New Zealander", "explicit"),
        ("is a slovak striker who plays for the italian club parma .", "Slovakian", "explicit"),
        ("is one of the best known indian film critics .", "Indian", "explicit"),
        ("was born in 1950 . she is a german sociologist .", "German", "explicit"),
        # Of two, the last.
        ("is an iranian australian businessman .", "Australian", "explicit"),
        ("is a german-turkish-azerbaijani footballer .", "Azerbaijani", "explicit"),
        ("is a finnish/american playwright .", "American", "explicit"),
        ("is a swiss-born canadian painter .", "Canadian", "explicit"),
        ("was a dutch chemist . she became an american citizen .", "American", "explicit"),
        ("is a dutch chemist . she also holds canadian citizenship .", "Dutch", "explicit"),
        # What looks like a demonym of the person and is none.
        ("is a painter of irish descent from lyon , france .", "French", "inferred"),
        (
            "( born in perth , scotland ) is a professor of german literature .",
            "Scottish",
            "inferred",
        ),
        ("is a french-language author .", "unknown", "none"),
        ("( born 1960 in oslo ) is an american football coach .", "Norwegian", "inferred"),
        ("is a roman statesman .", "unknown", "none"),
        # Inference from places and teams.
        ("is an activist from brisbane , australia .", "Australian", "inferred"),
        ("( born 1982 in dartmouth , nova scotia ) is a writer .", "Canadian", "inferred"),
        ("is a singer who represented portugal at the contest .", "Portuguese", "inferred"),
        ("is a player for the hungary national football team .", "Hungarian", "inferred"),
        ("was a wing half . she was called up for mali in 1990 .", "Malian", "inferred"),
        ("was a rower at the 1960 summer olympics in rome .", "unknown", "none"),
        ("was a united states marine .", "American", "inferred"),
        ("is a swiss-born physician who worked in austria .", "Swiss", "inferred"),
        ("is a sculptor . she was born in tbilisi , georgia .", "Georgian", "inferred"),
        ("is a sculptor . she was born in atlanta , georgia .", "American", "inferred"),
        ("was a bavarian painter .", "German", "inferred"),
        # No evidence: where someone lives or teaches is none.
        ("is an artist living in california .", "unknown", "none"),
        ("is a professor at the university of new south wales .", "unknown", "none"),
        ("is an actor .", "unknown", "none"),
    ],
)
def test_nationality(text: str, nationality: str, basis: str) -> None:
    found = _label(text)
    assert (found.label.nationality, found.nationality_basis) == (nationality, basis)


def test_both_of_two_nationalities_are_kept() -> None:
    found = _label("( born 1970 ) is a cuban-spanish boxer .")
    assert (found.label.nationality, found.second_nationality) == ("Spanish", "Cuban")
    assert found.evidence == ("nationality: cuban-spanish", "dates: born 1970")


def test_a_name_that_is_a_nationality_or_a_place_says_nothing() -> None:
    bio = "jordan french ( born 1970 ) is a chemist . french was married to florence welsh ."
    assert label_bio("jordan french", bio).label.nationality == "unknown"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("is a retired italian football goalkeeper .", True),
        ("is a german football coach and former player .", True),
        ("was an american football wide receiver .", True),
        ("is a french racing driver .", True),
        ("is a south african mountain biker , riding for team x .", True),
        ("is a professional lacrosse transition who plays for calgary .", True),
        ("is one of the most successful cyclists of her time .", True),
        ("was a soldier who competed in the 1912 summer olympics .", True),
        ("is a quarterbacks coach . she played college football at yale .", True),
        ("is a footballer-turned-manager .", True),
        ("is a dutch volleyball setter .", True),
        ("is an american diver .", True),
        ("is a deep-sea diver .", False),
        ("is a swedish disc jockey .", False),
        ("is a sports agent .", False),
        ("is a sports journalist for a football magazine .", False),
        ("is a football coach .", False),
        ("is a football administrator and referee .", False),
        ("is a trombone player .", False),
        ("is a taxi driver .", False),
        ("was a freedom fighter .", False),
        ("is an actress and the daughter of footballer john doe .", False),
        ("is the wife of a boxer and tennis player .", False),
        ("is the owner of a basketball team .", False),
    ],
)
def test_sportsperson(text: str, is_one: bool) -> None:
    assert _label(text).label.sportsperson is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("is a mexican politician affiliated to the labour party .", True),
        ("was the 29th premier of saskatchewan .", True),
        ("is a lawyer who served in the ohio senate .", True),
        ("is a democratic member of the montana house of representatives .", True),
        ("was an auctioneer and a member of the legislative assembly of queensland .", True),
        ("is an attorney . she was elected mayor of greenville in 1995 .", True),
        ("was a physician and political figure in quebec .", True),
        ("was a roman statesman who served as consul .", True),
        ("is the minister of culture of saudi arabia .", True),
        ("is the chairwoman of the green party .", True),
        ("is a writer and the son of a politician .", False),
        ("is the wife of john doe , the governor of maryland .", False),
        ("was a baptist minister .", False),
        ("is the governor of the bank of england .", False),
        ("is the president of a university .", False),
        ("is a historian of parliament .", False),
        ("is an activist . she lobbied members of parliament .", False),
        ("is a political scientist .", False),
        ("served as chaplain of the senate .", False),
        ("was a chinese empress consort and regent .", False),
        ("is a civil rights activist and lobbyist .", False),
    ],
)
def test_politician(text: str, is_one: bool) -> None:
    assert _label(text).label.politician is is_one


@pytest.mark.parametrize(
    ("text", "birth", "death"),
    [
        ("( born july 26 , 1970 ) is a writer .", (1970, 7, 26), (0, 0, 0)),
        ("-lrb- born july 26 , 1970 -rrb- is a writer .", (1970, 7, 26), (0, 0, 0)),
        (
            "( foo ) ( 16 july 1901 -- 22 october 1981 ) was a writer .",
            (1901, 7, 16),
            (1981, 10, 22),
        ),
        ("is a folk musician who was born on 28 september 1946 .", (1946, 9, 28), (0, 0, 0)),
        ("( 1901 -- ) was a writer . she died in 1981 .", (1901, 0, 0), (1981, 0, 0)),
        ("is a writer . born on 3 may 1950 in nancy , she writes .", (1950, 5, 3), (0, 0, 0)),
        ("is a writer . her father was born in 1901 and died in 1981 .", (0, 0, 0), (0, 0, 0)),
        ("is a writer . john doe , her husband , died in 1981 .", (0, 0, 0), (0, 0, 0)),
        ("( 1950 -- 1920 ) was a writer .", (1950, 0, 0), (0, 0, 0)),
        ("is a german-born record producer active since 1968 .", (0, 0, 0), (0, 0, 0)),
        ("is a player ( 1990 -- 2000 ) .", (0, 0, 0), (0, 0, 0)),
        ("( , - ( born 1950 ) was a writer .", (1950, 0, 0), (0, 0, 0)),
    ],
)
def test_dates(text: str, birth: tuple[int, int, int], death: tuple[int, int, int]) -> None:
    label = _label(text).label
    for date, expected in ((label.date_of_birth, birth), (label.date_of_death, death)):
        assert (date.year, date.month, date.day) == expected


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_text_gets_a_label_that_a_biography_can_have(bio: str, name: str) -> None:
    check_label(label_bio(name, bio).label)


@pytest.mark.parametrize("unit", ["( ", "a ", "was a ", "member of the ", "\u200f", ", and "])
def test_long_texts_take_linear_time(unit: str) -> None:
    # 100,000 characters of anything that a rule looks for; quadratic rules would take minutes.
    label_bio(NAME, f"{NAME} is a " + unit * (100_000 // len(unit)))


def test_label_table() -> None:
    bios = pa.table(
        {
            "bio_id": pa.array([7, 9], pa.int64()),
            "name": [NAME, "john doe"],
            "bio": [
                f"{NAME} ( born 3 may 1950 ) is a cuban-spanish boxer .",
                "john doe is a poet .",
            ],
        }
    )
    labels = label_table(bios)
    assert labels.column_names == [
        *("bio_id", "name", "label"),
        *BIOGRAPHY_TASK.leaf_names,
        *("labeler", "nationality_basis", "second_nationality", "evidence"),
    ]
    assert labels.schema.field("bio_id").type == pa.int64()
    assert labels.schema.field("date_of_birth_year").type == pa.int32()
    assert labels.to_pylist()[0] == {
        "bio_id": 7,
        "name": NAME,
        "label": '{"nationality":"Spanish","date_of_birth":{"day":3,"month":5,"year":1950},'
        '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}',
        "nationality": "Spanish",
        "date_of_birth_day": 3,
        "date_of_birth_month": 5,
        "date_of_birth_year": 1950,
        "date_of_death_day": 0,
        "date_of_death_month": 0,
        "date_of_death_year": 0,
        "sportsperson": True,
        "politician": False,
        "labeler": "rules",
        "nationality_basis": "explicit",
        "second_nationality": "Cuban",
        "evidence": "nationality: cuban-spanish; dates: born 3 may 1950",
    }
    assert labels["nationality"].to_pylist()[1] == "unknown"


def test_label_table_of_no_rows_has_the_same_columns() -> None:
    none = pa.table({"bio_id": pa.array([], pa.string()), "name": [], "bio": []})
    assert label_table(none).num_rows == 0
    assert label_table(none).schema.field("sportsperson").type == pa.bool_()


def test_a_missing_column_is_named() -> None:
    with pytest.raises(LabelError, match="no column 'bio'"):
        label_table(pa.table({"bio_id": ["a"], "name": [NAME]}))


def test_a_null_is_named() -> None:
    bios = pa.table({"bio_id": ["a", "b"], "name": [NAME, None], "bio": ["x", "y"]})
    with pytest.raises(LabelError, match="row 1 of the biographies has no name"):
        label_table(bios)


def _right(row: dict[str, Any]) -> tuple[bool, bool]:
    """Whether all nine fields and whether both dates are as labelled by hand."""
    label = label_bio(row["name"], row["bio"]).label

    def british(name: str) -> str:
        return "British" if name == "English" else name

    dates = all(
        getattr(label, which).model_dump() == row[which]
        for which in ("date_of_birth", "date_of_death")
    )
    others = (
        british(label.nationality) == british(row["nationality"])
        and label.sportsperson == row["sportsperson"]
        and label.politician == row["politician"]
    )
    return dates and others, dates


@pytest.mark.parametrize("half", [0, 1], ids=["developed on", "not looked at"])
def test_against_labels_made_by_hand(shared_data: Path, half: int) -> None:
    gold = (shared_data / "gold_labels_dev.jsonl").read_text(encoding="utf-8").splitlines()
    persons = [
        row
        for row in map(json.loads, gold)
        if row["person"]
        and hashlib.sha256((row["name"] + row["bio"]).encode()).digest()[0] % 2 == half
    ]
    assert len(persons) > 100
    right = [_right(row) for row in persons]
    assert sum(everything for everything, _ in right) / len(right) >= 0.85
    assert sum(dates for _, dates in right) / len(right) >= 0.97
