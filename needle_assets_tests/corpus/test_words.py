"""Words that mean something besides a name, told from names that mean little else."""

from importlib import resources

from needle_assets.corpus.words import (
    FUNCTION_WORDS,
    borne_names,
    known_names,
    ordinary_words,
    words_after_towns,
)


def test_the_list_of_frequent_words_is_sorted_and_has_nothing_twice() -> None:
    text = resources.files("needle_assets.corpus").joinpath("ordinary_words.txt").read_text("utf-8")
    words = text.split()
    assert words == sorted(set(words))
    assert all(word.isascii() and word.islower() for word in words)
    assert not FUNCTION_WORDS.intersection(words)


def test_a_name_that_is_a_word_too_is_borne_and_ordinary_but_not_known() -> None:
    assert {"young", "king", "may", "hill", "grace", "georgia"} <= borne_names() & ordinary_words()
    assert known_names() == borne_names() - ordinary_words()
    assert {"robert", "susan", "jones"} <= known_names()


def test_common_words_of_biographies_are_ordinary() -> None:
    # Months, places, verbs, adjectives, adverbs, trades and things that are surnames somewhere.
    words = (
        "april lincoln won served strong socially rivers stone sting known towns bench seal texas "
        "brown cotton barn odd weird diesel pie stones walker steward santos"
    )
    assert ordinary_words().issuperset(words.split())


def test_what_stands_behind_a_town_and_a_comma() -> None:
    assert {"ohio", "texas", "england", "france", "ontario"} <= words_after_towns()
    assert not words_after_towns() & {"the", "a", "poet"}
