"""Spelling: one line, folded word for word, without other scripts and the brackets they empty."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.corpus.spelling import (
    fold,
    holds_word,
    in_other_script,
    plain_text,
    tidied,
    words_of,
)


def test_plain_text_is_one_line_with_real_marks() -> None:
    text = "nora\x00 `` q '' -lrb- a\u200b\u200f -rrb- ,\n\n-lsb- b -rsb- \u00a0 `c' .\n"
    assert plain_text(text) == "nora \" q \" ( a ) , [ b ] 'c' ."


@given(st.text(max_size=60))
def test_folding_keeps_words_apart(text: str) -> None:
    line = plain_text(text)
    assert not {"Cc", "Cf"}.intersection(map(unicodedata.category, line))
    assert line == " ".join(line.split())
    assert len(fold(line).split(" ")) == len(line.split(" "))


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Álvarez", "alvarez"), ("ŁÓDŹ", "lodz"), ("Þór", "thor"), ("a" + "\u0301" * 99, "a")],
)
def test_folding_takes_case_and_accents_away(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text("ab -'é1", max_size=20), st.text("ab1", min_size=1, max_size=3))
def test_a_word_is_held_where_it_is_one_of_the_words(text: str, word: str) -> None:
    assert holds_word(word, fold(text)) == (word in words_of(fold(text)))


@pytest.mark.parametrize("text", ["刘殿座", "Надежда", "سامية", "αβ", "宮城野"])
def test_other_scripts(text: str) -> None:
    assert in_other_script(text)


@pytest.mark.parametrize("text", ["nora", "nasīr al-dīn", "ernő", "β-test", "1950 -- 2001", "→"])
def test_latin_letters_and_a_lone_greek_one_are_no_other_script(text: str) -> None:
    assert not in_other_script(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zoe ( 刘殿 ; born 1950 ) sings .", "zoe ( born 1950 ) sings ."),
        ("zoe ( 刘殿 ) sings 刘殿 .", "zoe sings ."),
        ("zoe ( ; ) ( , born 1950 ; ) sings .", "zoe ( born 1950 ) sings ."),
        ("zoe ( born : 15 may 1950 ) sings .", "zoe ( born : 15 may 1950 ) sings ."),
        ("zoe says : sing ( loud ) .", "zoe says : sing ( loud ) ."),
    ],
)
def test_native_spellings_leave_with_the_brackets_that_they_empty(text: str, expected: str) -> None:
    assert tidied(text) == expected
