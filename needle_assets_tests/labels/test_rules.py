"""The rule labeler, phenomenon by phenomenon, on sentences written for it; then on real ones."""

import datetime
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.labels.biography import BIOGRAPHY_TASK, PartialDate, check_label
from needle_assets.labels.rules import LabeledBio, label_bio, label_table
from needle_assets.labels.tables import label_schema
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
        # A bracket that is never closed.
        ("( born in lyon , france is an american set decorator .", "American", "explicit"),
        ("( , is a thai boxer . ( born 3 may 1950 ) he fights .", "Thai", "explicit"),
        ("is a finnish/american playwright .", "American", "explicit"),
        ("is a swiss-born canadian painter .", "Canadian", "explicit"),
        ("was a dutch chemist . she became an american citizen .", "American", "explicit"),
        ("is a dutch chemist . she also holds canadian citizenship .", "Dutch", "explicit"),
        ("is a lebanese-south african football goalkeeper .", "South African", "explicit"),
        ("is a pakistani born english cricketer .", "English", "explicit"),
        (
            "is a dutch chemist . berlin refused since roe is a german citizen .",
            "German",
            "explicit",
        ),
        # Beside the name.
        (", a greek football player , was a star forward for aris .", "Greek", "explicit"),
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
        ("is a west indian cricket umpire .", "unknown", "none"),
        ("is a latin american music executive .", "unknown", "none"),
        ("is famous in the non-russian world .", "unknown", "none"),
        ("is a producer with a focus on japanese art .", "unknown", "none"),
        (
            "was a united states army soldier who served during the vietnam war .",
            "American",
            "inferred",
        ),
        # Inference from places and teams.
        ("is an activist from brisbane , australia .", "Australian", "inferred"),
        ("was a new york city mobster of the colombo crime family .", "American", "inferred"),
        ("is a diplomat . roe was a native of tokelau .", "Tokelauan", "inferred"),
        ("was the united states ambassador to the philippines .", "American", "inferred"),
        (
            "is a squash player from england . she won the british national championships .",
            "English",
            "inferred",
        ),
        (
            "( 1956 -- 2013 ) was a musician acclaimed throughout the united states and russia .",
            "unknown",
            "none",
        ),
        ("( died 1389 ) was a bishop of rochester .", "unknown", "none"),
        ("( died 1989 ) was a mayor of rochester .", "American", "inferred"),
        ("is a german professor of physics who taught in austria .", "German", "explicit"),
        ("is an english teacher .", "English", "inferred"),
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
        ("was a cornish farmer who was transported to australia .", "English", "inferred"),
        ("was a writer of fifteenth-century italy .", "Italian", "inferred"),
        ("was a civic leader in central kentucky .", "American", "inferred"),
        ("was a general under the eastern han dynasty .", "Chinese", "inferred"),
        ("is a former guard in the national football league .", "American", "inferred"),
        ("is a skier who competed for dominica .", "Dominican", "inferred"),
        ("was queen of georgia and is revered in the georgian church .", "Georgian", "inferred"),
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
        ("is a racecar driver .", True),
        ("is a former driver on the nascar circuit .", True),
        ("is a former guard in the national football league .", True),
        ("is a former member of the canadian national soccer team .", True),
        ("is a boxing trainer who formerly held the world featherweight title .", True),
        ("won six national driving championships in sprint car racing .", True),
        ("was the skip on the granite curling team .", True),
        ("is a coach . she played baseball and basketball at the university of x .", True),
        ("is an ex-footballer and baker .", True),
        ("played college football for the owls . she is the daughter of john doe .", True),
        ("is a deep-sea diver .", False),
        ("is a swedish disc jockey .", False),
        ("is a sports agent .", False),
        ("is a sports journalist for a football magazine .", False),
        ("is a football coach .", False),
        ("is a football journalist .", False),
        ("is a public defender .", False),
        ("was a freedom rider .", False),
        ("is a slam poet . she finished second at the slam championships .", False),
        ("is an editor . he is credited by his son with his success as a player .", False),
        ("is a poet . she is author of a film on john doe , the late baseball player .", False),
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
        ("is a banker who served as secretary of the treasury .", True),
        ("is the leader of the opposition in fiji .", True),
        ("was an american lawyer and the 14th attorney general of ohio .", True),
        ("was the president of guinea-bissau from 1980 to 1984 .", True),
        ("is the president of montenegro since 2003 .", True),
        ("was sworn into office as the 13th mayor of east orange .", True),
        ("is a lawyer who served as an independent in the united states senate .", True),
        ("is a member of the social democratic party of croatia .", True),
        ("was a worker . he was named prime minister of mongolia .", True),
        ("was the son of a baron and served as governor of maryland .", True),
        ("is a writer and the son of a politician .", False),
        ("is the wife of john doe , the governor of maryland .", False),
        ("was a baptist minister .", False),
        ("is the governor of the bank of england .", False),
        ("is the president of a university .", False),
        ("was the prime minister 's wife .", False),
        ("was a brigadier general .", False),
        ("served as private secretary to the governor of ohio .", False),
        ("is the president of california state university .", False),
        ("was the wife of john doe who served as prime minister of canada .", False),
        ("is a warlord . he was ordered to fight john doe , the governor of xinjiang .", False),
        ("was a minister to the united states .", False),
        ("was an officer and a member of the nazi party .", False),
        ("is a dancer and a delegate to the dance board .", False),
        ("is a writer for the new statesman .", False),
        ("is a mathematician . he was a plenary speaker at the congress of physics .", False),
        ("is a historian of parliament .", False),
        ("is an activist . she lobbied members of parliament .", False),
        ("is a political scientist .", False),
        ("served as chaplain of the senate .", False),
        ("was a chinese empress consort and regent .", False),
        ("is a civil rights activist and lobbyist .", False),
        ("is a dutch-british lawyer and the son of a member of parliament .", False),
        ("was a mayor and the grandson of a member of the senate .", True),
        ("is a poet , the nephew of a baron , and later served as governor of ohio .", True),
        ("is a poet . roe 's father , john roe , was a senator .", False),
        ("is a poet . jane 's late elder brother was the governor of ohio .", False),
        ("is a poet . roe 's career as a senator was short . roe was a senator .", True),
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
        ("is ( born 3 may 1950 ) a writer .", (1950, 5, 3), (0, 0, 0)),
        ("was a painter ( born lyon may 3 , 1901 ; died 1981 ) .", (1901, 5, 3), (1981, 0, 0)),
        ("is the pen name of ann doe ( born 3 may 1950 ) .", (1950, 5, 3), (0, 0, 0)),
        ("is a project of ann doe ( born 3 may 1950 ) .", (0, 0, 0), (0, 0, 0)),
        (", 3 may 1901 in brno 4 june 1981 , was a bishop .", (1901, 5, 3), (1981, 6, 4)),
        (", mayor 1950 - 1951 , was a baker .", (0, 0, 0), (0, 0, 0)),
        (", mayor from 3 may 1950 to 4 june 1951 , was a baker .", (0, 0, 0), (0, 0, 0)),
        ("is a poet . jane was born circa 1950 .", (1950, 0, 0), (0, 0, 0)),
        ("was a poet . after her death in 1981 , he moved .", (0, 0, 0), (1981, 0, 0)),
        ("was queen . she ruled until his death in 1981 .", (0, 0, 0), (0, 0, 0)),
        ("is a poet . another roe died in 1981 .", (0, 0, 0), (0, 0, 0)),
        ("( born 31 february 1950 ) is a writer .", (0, 0, 0), (0, 0, 0)),
    ],
)
def test_dates(text: str, birth: tuple[int, int, int], death: tuple[int, int, int]) -> None:
    label = _label(text).label
    for date, expected in ((label.date_of_birth, birth), (label.date_of_death, death)):
        assert (date.year, date.month, date.day) == expected


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_text_gets_a_label_that_a_biography_can_have(bio: str, name: str) -> None:
    check_label(label_bio(name, bio).label)


@pytest.mark.parametrize("form", ["{n} is a {x}", "{n} ( {x}", "{n} ( {x} ) is a poet . he {x}"])
@pytest.mark.parametrize(
    "unit",
    [
        *("( ", ") ", "-lrb- ", "-lsb- ", "[", ". ", "\n", "a ", "was a ", "member of the "),
        *("\u200f", "\x00", ", and ", "born in ", "his death ", "1950 ", "1950-", "3 may "),
        *("new york , ", "represented the ", "served as the ", "before a ", "one of the "),
    ],
)
def test_long_texts_take_linear_time(unit: str, form: str) -> None:
    # 100,000 characters of anything that a rule looks for; quadratic rules would take minutes.
    label_bio(NAME, form.format(n=NAME, x=unit * (100_000 // len(unit))))


@pytest.mark.parametrize(
    "name", ["prince", "j. k.", "50", "\U0001f600", "\u05d3\u05df", "", "\x00"]
)
def test_names_of_any_kind(name: str) -> None:
    found = label_bio(name, f"{name} ( born 3 may 1950 ) is a french rower .").label
    assert (found.nationality, found.date_of_birth.year, found.sportsperson) == (
        "French",
        1950,
        True,
    )


@pytest.mark.parametrize("mark", ["\x00", "\u200f", "\u202e", "\udfff"])
def test_marks_between_words_hide_nothing(mark: str) -> None:
    found = label_bio(NAME, f"{NAME} {mark} ( born 3 may 1950 {mark} ) is a french {mark} rower .")
    assert (found.label.nationality, found.label.date_of_birth.year) == ("French", 1950)


# What the infobox decides, and what it must not.


def test_the_infobox_settles_day_and_month() -> None:
    text = f"{NAME} was born in lyon on 3/4/1950 . she is a poet ."
    assert label_bio(NAME, text).label.date_of_birth == PartialDate(year=1950)
    found = label_bio(NAME, text, {"birth_date": "april 3 , 1950"})
    assert found.label.date_of_birth == PartialDate(day=3, month=4, year=1950)
    assert "infobox: birth_date = april 3 , 1950" in found.evidence


def test_the_infobox_chooses_between_two_dates_of_the_text() -> None:
    text = f"{NAME} ( 1 june 1854 -- 6 may 1891 ) was a poet . she died in lyon on 6 may 1921 ."
    assert label_bio(NAME, text).label.date_of_death.year == 1891
    assert label_bio(NAME, text, {"death_date": "6 may 1921"}).label.date_of_death.year == 1921
    assert label_bio(NAME, text, {"death_date": "6 may 1931"}).label.date_of_death.year == 1891


@pytest.mark.parametrize(
    ("text", "alone", "box", "decided"),
    [
        ("was an irish peer and british politician .", "Irish", "british", "British"),
        (
            "( born in lyon , france ) has represented mali as a rower .",
            "Malian",
            "french",
            "French",
        ),
        # Of two named together the last is the label's, whatever the box says.
        ("is an iranian australian businessman .", "Australian", "iranian", "Australian"),
        # A nationality that the text does not give is never taken.
        ("is a german sociologist .", "German", "austrian", "German"),
        ("is a sociologist .", "unknown", "austrian", "unknown"),
    ],
)
def test_the_infobox_and_nationalities(text: str, alone: str, box: str, decided: str) -> None:
    text = f"{NAME} {text}"
    assert label_bio(NAME, text).label.nationality == alone
    assert label_bio(NAME, text, {"nationality": box}).label.nationality == decided


@pytest.mark.parametrize(
    ("text", "box", "sportsperson", "politician"),
    [
        ("is a rower in all but name who rests between seasons of cricket .", "clubs", True, False),
        ("is the assistant of a football team .", "clubs", False, False),
        ("is a poet .", "clubs", False, False),
        ("was a public official in virginia .", "constituency", False, True),
        ("is a poet .", "constituency", False, False),
    ],
)
def test_the_infobox_and_roles(text: str, box: str, sportsperson: bool, politician: bool) -> None:
    label = label_bio(NAME, f"{NAME} {text}", {box: "somewhere"}).label
    assert (label.sportsperson, label.politician) == (sportsperson, politician)


def test_the_infobox_adds_no_fact_that_the_text_does_not_hold() -> None:
    box = {
        "birth_date": "3 may 1950",
        "death_date": "1 june 2001",
        "nationality": "french",
        "occupation": "footballer , politician",
    }
    text = f"{NAME} ( born 1950 ) is a poet ."
    assert label_bio(NAME, text, box).label == label_bio(NAME, text).label
    assert label_bio(NAME, text).label.date_of_birth == PartialDate(year=1950)


_TEXTS = (
    "( born 1950 ) is a poet .",
    "( 3 may 1950 -- 1999 ) was a french rower .",
    "is a poet . she was born in lyon .",
    "is a politician from mali .",
)


@given(
    st.sampled_from(_TEXTS),
    st.dates(datetime.date(1900, 1, 1)).map(str),
    st.sampled_from(["german", "malian", "french", "dutch"]),
)
def test_no_infobox_changes_what_a_text_says_plainly(text: str, date: str, nation: str) -> None:
    box = {"birth_date": date, "death_date": date, "nationality": nation, "office": "mayor"}
    assert label_bio(NAME, f"{NAME} {text}", box).label == _label(text).label


# Faults of the 2024 post's scripts.


def test_fault_english_is_missing_from_the_list() -> None:
    """ "English" was not in the list: "is an english ..." was labelled unknown, 162 of 165."""
    found = _label("is an english footballer .")
    assert (found.label.nationality, found.nationality_basis) == ("English", "explicit")


def test_fault_labels_are_python_dicts_of_varying_key_order() -> None:
    """Targets were ``str(dict)`` in five key orders: ours are JSON of one order and style."""
    bios = pa.table(
        {
            "bio_id": ["a", "b"],
            "name": [NAME, NAME],
            "bio": [f"{NAME} is a poet .", f"{NAME} ( born 1950 ) is a french politician ."],
        }
    )
    for text in label_table(bios)["label"].to_pylist():
        assert list(json.loads(text)) == [
            *("nationality", "date_of_birth", "date_of_death", "sportsperson", "politician"),
        ]
        assert list(json.loads(text)["date_of_birth"]) == ["day", "month", "year"]
        assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


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
    assert labels.schema == label_schema(BIOGRAPHY_TASK, pa.int64())
    assert labels.schema.field("bio_id").type == pa.int64()
    assert labels.schema.field("date_of_birth_year").type == pa.int32()
    first = labels.to_pylist()[0]
    expected = {
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
    assert {name: first[name] for name in expected} == expected
    assert labels["nationality"].to_pylist()[1] == "unknown"


_BOXES = pa.map_(pa.string(), pa.string())


def _with_boxes() -> pa.Table:
    texts = [
        f"{NAME} was born on 3/4/1950 . she is a poet .",
        f"{NAME} was an irish peer and british politician .",
        f"{NAME} is a poet .",
    ]
    boxes = [[("birth_date", "april 3 , 1950")], [("nationality", "british")], None]
    return pa.table(
        {
            "bio_id": ["a", "b", "c"],
            "name": [NAME] * 3,
            "bio": texts,
            "infobox": pa.array(boxes, _BOXES),
        }
    )


def test_label_table_uses_a_column_of_infoboxes() -> None:
    bios = _with_boxes()
    labels = label_table(bios)
    assert labels["date_of_birth_month"].to_pylist() == [4, 0, 0]
    assert labels["nationality"].to_pylist() == ["unknown", "British", "unknown"]
    assert "infobox: nationality = british" in labels["evidence"].to_pylist()[1]
    alone = label_table(bios.drop_columns("infobox"))
    assert alone["date_of_birth_month"].to_pylist() == [0, 0, 0]


def test_rows_are_labelled_one_by_one_so_that_a_table_may_be_cut_anywhere() -> None:
    bios = _with_boxes()
    apart = [label_table(bios.slice(row, 1)) for row in range(bios.num_rows)]
    assert pa.concat_tables(apart).equals(label_table(bios))
    assert pickle.loads(pickle.dumps(label_table)) is label_table


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
    assert sum(everything for everything, _ in right) / len(right) >= 0.90
    assert sum(dates for _, dates in right) / len(right) >= 0.99
