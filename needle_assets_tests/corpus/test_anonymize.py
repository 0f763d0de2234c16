"""Whole tables under new names: what is kept, what is left out and why, and who is who."""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from needle_assets.corpus.anonymize import (
    EMPTY_TEXT,
    NAME_NOT_IN_TEXT,
    NO_NAME,
    REASONS,
    TRACE_OF_NAME,
    TRACE_OF_SCRIPT,
    Anonymized,
    anonymize,
    pronoun_gender,
)
from needle_assets.corpus.names import Gender, family_names, given_names, pair_count
from needle_assets.corpus.readers import read_corpus
from needle_assets.corpus.tables import ANONYMIZED_SCHEMA, RAW_SCHEMA, CorpusError

DATA = Path(__file__).parents[3] / "shared" / "data"


def raw_of(*rows: tuple[str, str] | tuple[str, str, dict[str, str]]) -> pa.Table:
    """Rows of (title, text) or (title, text, infobox)."""
    boxes = [list(row[2].items()) if len(row) == 3 else [] for row in rows]
    return pa.table(
        {
            "bio_id": [f"row-{i}" for i in range(len(rows))],
            "title": [row[0] for row in rows],
            "infobox": pa.array(boxes, RAW_SCHEMA.field("infobox").type),
            "text": [row[1] for row in rows],
        },
        schema=RAW_SCHEMA,
    )


def test_a_row_under_its_new_name() -> None:
    text = "ada quell -lrb- born 1 may 1950 -rrb- is a poet .\nquell sings , and she paints .\n"
    result = anonymize(raw_of(("ada quell", text)), seed=0)
    assert result.table.schema == ANONYMIZED_SCHEMA
    (row,) = result.table.to_pylist()
    given, family = row["name"].split()
    assert row == {
        "bio_id": "row-0",
        "name": f"{given} {family}",
        "bio": f"{row['name']} ( born 1 may 1950 ) is a poet . {family} sings , and she paints .",
        "is_person": True,
        "person_reason": "first sentence: born",
    }
    assert given in given_names("female")
    assert family in family_names()


def test_each_reason_is_counted_and_the_rest_kept_in_order() -> None:
    result = anonymize(
        raw_of(
            ("ada quell", " \n"),
            ("j. p.", "j. p. is a poet ."),
            ("ada quell", "somebody else is a poet ."),
            ("ada cape", "ada cape is a poet from the eastern cape ."),
            ("ada quell", "ada quell is a poet ."),
            ("quellwater -lrb- band -rrb-", "quellwater is a band ."),
        ),
        seed=0,
    )
    assert result.funnel == dict.fromkeys(REASONS, 0) | {
        EMPTY_TEXT: 1,
        NO_NAME: 1,
        NAME_NOT_IN_TEXT: 1,
        TRACE_OF_NAME: 1,
    }
    assert list(result.funnel) == list(REASONS)
    assert result.total == 6
    assert result.table["bio_id"].to_pylist() == ["row-4", "row-5"]
    assert result.table["is_person"].to_pylist() == [True, False]


def test_words_in_another_script_do_not_stay() -> None:
    text = "ada quell is a poet . her poems are αβγ and 詩集 ."
    result = anonymize(raw_of(("ada quell", text)), seed=0)
    assert result.table["bio"][0].as_py().endswith("her poems are and .")
    assert result.funnel[TRACE_OF_SCRIPT] == 0


@pytest.mark.parametrize(
    ("sentence", "gender"),
    [
        ("he paints .", "male"),
        ("her poems are known .", "female"),
        ("he met her , and she left him and herself .", "female"),
        ("she sings as he does .", "female"),
        ("he sings as she does .", "male"),
        ("they sing .", "neutral"),
    ],
)
def test_the_new_given_name_agrees_with_the_pronouns(sentence: str, gender: Gender) -> None:
    names = anonymize(raw_of(*[("ada quell", f"ada quell is a poet . {sentence}")] * 20), seed=0)
    firsts = {name.split()[0] for name in names.table["name"].to_pylist()}
    assert firsts <= set(given_names(gender))


def test_a_group_gets_a_neutral_name() -> None:
    rows = [("the quells", "the quells are a band . her voice and her drums lead it .")] * 20
    names = anonymize(raw_of(*rows), seed=0).table["name"].to_pylist()
    assert {name.split()[0] for name in names} <= set(given_names("neutral"))


def test_names_differ_although_the_texts_are_alike() -> None:
    rows = raw_of(*[("ada quell", "ada quell is a poet . she sings .")] * 500)
    names = anonymize(rows, seed=0).table["name"].to_pylist()
    assert len(set(names)) == 500


def test_the_new_name_shares_no_word_with_text_or_old_name() -> None:
    families = " ".join(family_names()[:2000])
    row = ("ada robert quell", f"ada quell is a poet . friends are {families} .")
    names = anonymize(raw_of(*[row] * 50), seed=0).table["name"].to_pylist()
    assert len(names) == 50
    words = {word for name in names for word in name.split()}
    assert not words & {"ada", "robert", "quell", *families.split()}


def test_the_same_seed_gives_the_same_table_and_another_seed_another() -> None:
    rows = raw_of(*[("ada quell", "ada quell is a poet .")] * 20)
    assert anonymize(rows, seed=5).table.equals(anonymize(rows, seed=5).table)
    assert not anonymize(rows, seed=5).table.equals(anonymize(rows, seed=6).table)


def test_names_do_not_depend_on_the_rows_around_or_their_order() -> None:
    rows = raw_of(*[("ada quell", f"ada quell is a poet . she wrote {i} .") for i in range(300)])
    names = names_by_id(rows)
    mixed = rows.take(pa.array([*range(150, 300), *range(0, 120)]))
    # 300 rows seldom meet on one of the pairs; those that do may be renamed.
    assert pair_count("female") > 900_000
    differing = [bio_id for bio_id, name in names_by_id(mixed).items() if names[bio_id] != name]
    assert len(differing) <= 1


def names_by_id(rows: pa.Table) -> dict[str, str]:
    table = anonymize(rows, seed=0).table
    return dict(zip(table["bio_id"].to_pylist(), table["name"].to_pylist(), strict=True))


def test_two_workers_give_the_bytes_of_one() -> None:
    texts = [
        ("ada quell", "ada quell is a poet . she sings ."),
        ("tom vance", "tom vance is a poet . he sings ."),
        ("ann cape", "ann cape is from the eastern cape ."),
        ("the quells", "the quells are a band ."),
    ]
    # As many rows as make a pool worth its while.
    rows = raw_of(*texts * 2100)
    told: list[tuple[int, int]] = []
    one = anonymize(rows, seed=3)
    two = anonymize(rows, seed=3, workers=2, progress=lambda *state: told.append(state))
    assert two.table.equals(one.table)
    assert two.funnel == one.funnel
    assert two.funnel[TRACE_OF_NAME] == 2100
    assert told[-1] == (8400, 8400)
    assert told == sorted(told)


def test_no_rows_give_no_rows() -> None:
    result = anonymize(RAW_SCHEMA.empty_table(), seed=0)
    assert result.table.schema == ANONYMIZED_SCHEMA
    assert (result.table.num_rows, result.total) == (0, 0)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(CorpusError, match="lacks the columns infobox; it has bio_id, title, text"):
        anonymize(raw_of(("ada quell", "x")).drop_columns("infobox"), seed=0)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("\N{GRINNING FACE}", "\N{GRINNING FACE} is a poet ."),
        ("1234", "1234 is a poet ."),
        ("", "somebody is a poet ."),
        ("-lrb- -lrb- x -rrb- -rrb-", "x is a poet ."),
        ("ada quell", "\u202e\u200f\x00"),
        ("ada quell", "( ( ( -lrb- ''"),
        ("ada quell", "a song -lrb- poet : quell -rrb- is known ."),
        ("may", "may is a singer . she may sing in may ."),
    ],
)
def test_rows_that_cannot_be_named_are_left_out(title: str, text: str) -> None:
    result = anonymize(raw_of((title, text)), seed=0)
    assert result.table.num_rows == 0
    assert sum(result.funnel.values()) == 1


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("quell", "quell is late . quell sings .", "{given} {family} is late . {given} sings ."),
        ("j. p. quell", "j. p. quell sings .", "{given} {family} sings ."),
        ("ada quell", "ada\x00 quell \u202eis\u202c a poet .", "{given} {family} is a poet ."),
        ("ada quell", "ada quell -lrb- -lrb- b. 1950 -rrb- x -rrb- sings .",
         "{given} {family} ( ( b. 1950 ) x ) sings ."),
        ("ada quell -lrb- -lrb- poet -rrb- -rrb-", "ada quell sings .", "{given} {family} sings ."),
    ],
)  # fmt: skip
def test_odd_names_and_texts(title: str, text: str, expected: str) -> None:
    (row,) = anonymize(raw_of((title, text)), seed=0).table.to_pylist()
    given_name, family = row["name"].split()
    assert row["bio"] == expected.format(given=given_name, family=family)


ODD = st.text(st.sampled_from("abc aáb éz'-.(),;:\"0刘Жя\u202e\x00\n😀"), max_size=40)


@given(ODD, ODD, ODD)
@example("ada quell", "刘 " * 50, "ada刘")
def test_any_text_is_kept_or_counted(title: str, text: str, alias: str) -> None:
    rows = raw_of((title, f"{title} {text}", {"nickname": alias, "birth_name": alias}))
    result = anonymize(rows, seed=0)
    assert result.table.num_rows + sum(result.funnel.values()) == 1
    for row in result.table.to_pylist():
        assert row["name"] in row["bio"]
        assert not {"Cc", "Cf", "Cs"}.intersection(map(unicodedata.category, row["bio"]))
    assert traces(rows, result) == []


def test_text_that_is_no_utf_8_is_refused_with_its_row() -> None:
    # A lone surrogate gets into Arrow only as bytes, as a careless writer leaves them in a file.
    rows = raw_of(("ada quell", "ada sings ."), ("ada quell", "ada quell is a poet ."))
    bad = pa.array([b"ada sings .", b"ada \xed\xa0\x80 quell"], pa.binary()).view(pa.string())
    broken = rows.set_column(3, RAW_SCHEMA.field("text"), bad)
    message = r"column text holds text that is no UTF-8, .* \(row 1, counted from 0, byte 4\)"
    with pytest.raises(CorpusError, match=message):
        anonymize(broken, seed=0)


def test_an_infobox_that_is_no_utf_8_is_refused() -> None:
    rows = raw_of(("ada quell", "ada quell is a poet ."))
    bad = pa.array([b"ada \xed\xa0\x80 quell"], pa.binary()).view(pa.string())
    box = pa.MapArray.from_arrays([0, 1], pa.array(["name"]), bad)
    broken = rows.set_column(2, RAW_SCHEMA.field("infobox"), box)
    with pytest.raises(CorpusError, match="column infobox holds text that is no UTF-8"):
        anonymize(broken, seed=0)


@pytest.mark.parametrize(
    ("text", "gender"),
    [
        ("", "neutral"),
        ("the shed of hermes , this", "neutral"),
        ("He\nhe her", "male"),
        ("gave him his first cap", "male"),
        ("she left him herself", "female"),
    ],
)
def test_pronouns_are_whole_words(text: str, gender: Gender) -> None:
    assert pronoun_gender(text) == gender


def traces(raw: pa.Table, result: Anonymized) -> list[str]:
    """Rows kept with a word of title or infobox name in them, found another way than ours."""
    originals = {row["bio_id"]: row for row in raw.to_pylist()}
    found = []
    for row in result.table.to_pylist():
        original = originals[row["bio_id"]]
        forms = [re.sub(r"-lrb-.*", "", original["title"])]
        keys = r"^(full_?|birth_?|native_)?name$"
        forms += [value for key, value in original["infobox"] if re.search(keys, key)]
        if words_of_three(" ".join(forms)) & words_of_three(row["bio"]):
            found.append(row["bio_id"])
    return found


def words_of_three(text: str) -> set[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return set(re.findall(r"[^\W\d_]{3,}", bare))


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")
@pytest.mark.parametrize(
    ("file", "kept"), [("wiki_bio_raw_200.parquet", 0.92), ("wiki_bio_bios_4131.parquet", 0.95)]
)
def test_real_biographies_are_kept_without_a_trace_and_agree_with_their_pronouns(
    file: str, kept: float
) -> None:
    """The post's scripts keep 57 % of the first file, 8 % of these with a trace of the name, and
    41 % of the new names contradict the pronouns (300 of 726)."""
    raw = read_corpus(str(DATA / file))
    result = anonymize(raw, seed=0)
    assert result.table.num_rows / raw.num_rows >= kept
    assert traces(raw, result) == []
    assert len(set(result.table["name"].to_pylist())) == result.table.num_rows
    contradictions: Counter[str] = Counter()
    for row in result.table.to_pylist():
        words = Counter(row["bio"].split())
        male = words["he"] + words["his"] + words["him"]
        female = words["she"] + words["her"] + words["hers"]
        first = row["name"].split()[0]
        if row["is_person"] and male > female and first in given_names("female"):
            contradictions["male"] += 1
        if row["is_person"] and female > male and first in given_names("male"):
            contradictions["female"] += 1
    assert not contradictions
