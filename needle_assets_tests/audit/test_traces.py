"""The audit's own look for old names and for pronouns, on names written for it."""

import pyarrow as pa
import pytest

from needle_assets.audit.traces import (
    find_contradictions,
    find_traces,
    folded_words,
    gender_of_name,
    gender_of_text,
    is_name_key,
    name_words,
)
from needle_assets.corpus.tables import RAW_SCHEMA


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("José Ó'Brien-Smith", ["jose", "o", "brien", "smith"]),
        ("müller 's 2nd", ["muller", "s", "nd"]),
        ("宮城野 錦之助", ["宮城野", "錦之助"]),
        ("प्रकाश अमृतराज", ["परकाश", "अमृतराज"]),
        ("Пaвлe", ["пaвлe"]),
        ("김철수", ["김철수"]),
        ("Łukasz Ørsted", ["lukasz", "orsted"]),
        ("", []),
    ],
)
def test_words_of_any_script_are_whole_and_without_accents(text: str, words: list[str]) -> None:
    assert folded_words(text) == words


@pytest.mark.parametrize(
    "key",
    [
        *("name", "fullname", "birth_name", "birthname", "nickname", "other_names", "alias"),
        *("playername", "native_name", "full_name", "ring_names", "names", "pseudonym", "aka"),
        *("name1", "monarch|name"),
    ],
)
def test_fields_that_name_the_person(key: str) -> None:
    assert is_name_key(key)


@pytest.mark.parametrize(
    "key",
    [
        *("native_name_lang", "image_name", "ship_name", "spouse_name", "team_name", "clubs"),
        *("othertournaments", "occupation", "father_name", "named_after", "birth_place"),
    ],
)
def test_fields_that_name_something_else(key: str) -> None:
    assert not is_name_key(key)


def test_words_of_a_name_leave_out_the_title_s_bracket() -> None:
    infobox = {
        "name": "john roe -lrb- footballer -rrb-",
        "birth_name": "jón rolfsson",
        "nickname": "<none>",
        "clubs": "leeds",
    }
    assert name_words("john roe -lrb- footballer -rrb-", infobox) == {
        *("john", "roe", "jon", "rolfsson")
    }


def _raw(title: str, infobox: dict[str, str]) -> pa.Table:
    row = {"bio_id": "a", "title": title, "infobox": list(infobox.items()), "text": ""}
    return pa.Table.from_pylist([row], schema=RAW_SCHEMA)


@pytest.mark.parametrize(
    ("title", "infobox", "bio", "left"),
    [
        ("john roe", {}, "max moe , or roe , is a poet .", ("roe",)),
        ("john roe", {}, "max moe is a john-like poet .", ("john",)),
        ("x y", {"alias": "el niño"}, "max moe , called nino , is a poet .", ("nino",)),
        ("x y", {"native_name": "宮城野"}, "max moe ( 宮城野 ) is a poet .", ("宮城野",)),
        ("john roe", {}, "max moe is a poet from roeville .", None),
        ("jo li", {}, "max moe , or jo li , is a poet .", None),
        ("the roe", {"name": "roe and the does"}, "max moe and the band .", None),
    ],
)
def test_a_word_of_three_letters_that_stands_is_a_trace(
    title: str, infobox: dict[str, str], bio: str, left: tuple[str, ...] | None
) -> None:
    traces = find_traces(_raw(title, infobox), pa.table({"bio_id": ["a"], "bio": [bio]}))
    assert [trace.words for trace in traces.found] == ([left] if left else [])
    assert traces.rows == 1


def test_words_of_grammar_are_counted_apart() -> None:
    raw = _raw("von der roe", {"name": "roe and doe"})
    kept = pa.table({"bio_id": ["a"], "bio": ["max von moe and the band ."]})
    traces = find_traces(raw, kept)
    assert (traces.found, traces.grammar) == ((), {"and": 1, "von": 1})


@pytest.mark.parametrize(
    ("name", "gender"),
    [("william moe", "male"), ("mary moe", "female"), ("zyx moe", None), ("", None)],
)
def test_gender_of_a_name(name: str, gender: str | None) -> None:
    assert gender_of_name(name) == gender


@pytest.mark.parametrize(
    ("bio", "gender"),
    [
        ("mary is a poet . she writes .", "female"),
        ("mary is a poet . his wife met him and her .", "male"),
        ("mary is a poet . he met her .", None),
        ("mary is a poet .", None),
        ("the theory of hershey .", None),
    ],
)
def test_gender_of_a_text(bio: str, gender: str | None) -> None:
    assert gender_of_text(bio) == gender


def test_a_woman_s_name_with_a_man_s_pronouns_contradicts() -> None:
    found = find_contradictions(
        ["mary moe", "william doe", "zyx roe", "mary roe", "mary doe"],
        ["he is a poet .", "he is a poet .", "she is a poet .", "she is one .", "is a poet ."],
    )
    assert found.contradicting == ("mary moe",)
    assert (found.rows, found.neutral) == (4, 1)
