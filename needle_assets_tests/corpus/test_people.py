"""Persons told from bands, companies, ships, animals and inventions."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from needle_assets.corpus.people import person_verdict, person_verdicts
from needle_assets.corpus.tables import RAW_SCHEMA

GOLD = Path(__file__).parents[3] / "shared" / "data" / "gold_labels_dev.jsonl"


@pytest.mark.parametrize(
    "sentence",
    [
        "nora quell is an italian pop music group .",
        "nora quell is a seattle , washington based indie-funk musical group founded by a friend .",
        "nora quell is a polish punk rock/reggae/ska band .",
        "nora quell are a vocal trio from a township near port elizabeth .",
        "nora quell was a drum and bass group from washington d.c , united states .",
        "nora quell ( the quells ) is one of the most successful bands of the 1990s .",
        "nora quell are two singers from ghent .",
        "nora quell is an award-winning global entertainment company , formed in 1991 .",
        "nora quell is a football team that plays in the second division .",
        "nora quell was a schooner built in 1888 .",
        "nora quell was an american thoroughbred racehorse and the winner of the derby .",
        "nora quell is a fictional detective in a series of novels .",
        "nora quell is a character from the opera .",
        "nora quell is the pseudonym used by the writing team of ada finch and tom finch .",
        "nora quell were an australian rock group which performed between 1976 and 1981 .",
        "nora quell is a law firm in ghent .",
        "nora quell was a german type vii u-boat .",
        "nora quell are twin brothers from ghent .",
        "nora quell is a professional wrestling tag team .",
        "nora quell is an alternative rock outfit .",
        "nora quell is a solo-project of tom finch .",
        "nora quell was an african elephant at the zoo .",
        "nora quell is the mascot of a club .",
        "nora quell is a manga series by ada finch .",
        "nora quell is a series of novels by ada finch .",
        "nora quell is the name of two ships of the navy .",
        "nora quell is the name of several people .",
    ],
)
def test_first_sentences_about_no_person(sentence: str) -> None:
    verdict = person_verdict("nora quell", {}, sentence)
    assert not verdict.is_person, verdict


@pytest.mark.parametrize(
    ("infobox", "sentence"),
    [
        # A field without a value says nothing.
        ({"birth_date": "<none>"}, "the quells are a rock band from ghent ."),
        ({"birth_date": ""}, "quell is a german company ."),
        ({"birth_place": " <none> "}, "quell is a german company ."),
        # Dogs and groups have birth dates too.
        ({"birth_date": "1 may 1990", "breed": "collie"}, "quell was a female performer ."),
        ({"birth_place": "ghent"}, "quell were an american vocal duo ."),
        ({"birth_date": "1 may 1990"}, "nora and ada quell are twin brothers ."),
    ],
)
def test_infoboxes_that_make_no_person(infobox: dict[str, str], sentence: str) -> None:
    verdict = person_verdict("quell", infobox, sentence)
    assert not verdict.is_person, verdict


@pytest.mark.parametrize(
    "sentence",
    [
        "nora quell ( born 1 may 1950 ) is the singer in the band quellwater .",
        "nora quell is a member of a vocal duo .",
        "nora quell is a rock music drummer who has been in a number of bands .",
        "nora quell was an american film , stage and television actor .",
        "nora quell was an english character actor .",
        "nora quell is a belarusian group rhythmic gymnast .",
        "nora quell is a university of florida professor and musicologist .",
        "nora quell , whose parents were singers , is a pianist .",
        "nora quell is a dutch director of fictional and documentary films .",
        "nora quell was the captain of the ship that sank in 1912 .",
        "nora quell is the pseudonym of ada finch , a writer of crime novels .",
        "nora quell was an english landowner , banker , businessman , and horse-breeder .",
        "nora quell is one of the founders of the company .",
        "nora quell received the medal of honor in the american civil war .",
        "nora quell ( 12 may 1820 -- 1890 ) was an american manufacturer .",
        "nora quell ( born 1980 ) is a one-man band .",
        "nora quell is one half of the duo quellwater .",
        "nora quell was a bus driver and club owner .",
        "nora quell was the owner of a circus elephant .",
        "nora quell is a dog musher .",
        "nora quell is a television series regular .",
        "nora quell is the stage name of a singer from ghent .",
        "nora quell is the pen name of ada finch , the author of a series of novels .",
        "nora quell is a member of the royal family .",
    ],
)
def test_first_sentences_about_a_person(sentence: str) -> None:
    verdict = person_verdict("nora quell", {}, sentence)
    assert verdict.is_person, verdict


def test_the_spelling_of_brackets_does_not_matter() -> None:
    ours = "nora quell ( are ) is a singer ."
    assert person_verdict("nora quell", {}, ours) == person_verdict(
        "nora quell", {}, ours.replace("(", "-lrb-").replace(")", "-rrb-")
    )


def test_infobox_and_title_come_before_the_sentence() -> None:
    sentence = "quellwater is known all over ghent ."
    assert not person_verdict("quellwater", {"background": "group_or_band"}, sentence).is_person
    assert not person_verdict("quellwater", {"past_members": "ada finch"}, sentence).is_person
    assert not person_verdict("quellwater -lrb- band -rrb-", {}, sentence).is_person
    assert not person_verdict("quellwater -lrb- fictional -rrb-", {}, sentence).is_person
    assert person_verdict("quellwater -lrb- musician -rrb-", {}, sentence).is_person
    # A birth date speaks for a person whose article opens with the project of that name.
    project = "quellwater is an electronic music project ."
    assert person_verdict("quellwater", {"birth_date": "1 may 1950"}, project).is_person


def test_the_reason_names_what_decided() -> None:
    assert person_verdict("x", {}, "x is a band .").reason == "first sentence: band"
    assert person_verdict("x", {"birth_date": "1950"}, "x .").reason == "infobox: birth_date"
    assert person_verdict("x -lrb- rock band -rrb-", {}, "x .").reason == "title: rock band"


@pytest.mark.parametrize("text", ["", ".", "( ( (", "nora quell", "is", "nora quell is"])
def test_a_text_that_says_nothing_is_taken_for_a_person(text: str) -> None:
    assert person_verdict("nora quell", {}, text).is_person


def test_columns_follow_the_rows() -> None:
    raw = pa.table(
        {
            "bio_id": ["a", "b"],
            "title": ["ada finch", "quellwater"],
            "infobox": pa.array([[], [("background", "group_or_band")]], RAW_SCHEMA[2].type),
            "text": ["ada finch ( born 1950 ) is a cook .", "quellwater is loud ."],
        },
        schema=RAW_SCHEMA,
    )
    # Slices and several chunks must not shift the infoboxes against the rows.
    raw = pa.concat_tables([raw, raw]).slice(1, 3)
    is_person, reasons = person_verdicts(raw)
    assert is_person.to_pylist() == [False, True, False]
    assert reasons.to_pylist()[1] == "first sentence: born"


@pytest.mark.skipif(not GOLD.exists(), reason=f"{GOLD} is not there")
def test_hand_labelled_biographies() -> None:
    rows = [json.loads(line) for line in GOLD.read_text().splitlines()]
    found = [person_verdict(row["name"], {}, row["bio"]).is_person for row in rows]
    wrong = [
        row["name"] for row, person in zip(rows, found, strict=True) if person != row["person"]
    ]
    assert len(wrong) <= 1
