"""New names: unique without a table of those taken, one gender each, never an ordinary word."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.corpus.names import (
    Gender,
    NamePool,
    NewName,
    family_names,
    given_names,
    known_names,
    ordinary_words,
)
from needle_assets.corpus.tables import CorpusError

GENDERS: tuple[Gender, ...] = ("male", "female", "neutral")
POOL = NamePool(7)


def drawn(pool: NamePool, row: int, gender: Gender, forbidden: frozenset[str]) -> NewName:
    name = pool.draw(row, gender, forbidden)
    assert name is not None
    return name


def test_the_lists_share_no_word() -> None:
    lists = [set(given_names(gender)) for gender in GENDERS] + [set(family_names())]
    assert all(not one & other for one, other in combinations(lists, 2))


@pytest.mark.parametrize("words", [*map(given_names, GENDERS), family_names()])
def test_names_are_short_lower_case_ascii_and_nothing_else(words: tuple[str, ...]) -> None:
    assert words == tuple(sorted(set(words)))
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
    assert max(map(len, words)) <= 10
    assert not ordinary_words().intersection(words)


def test_words_with_another_meaning_are_told_from_names() -> None:
    for word in ("will", "may", "young", "king", "cape", "georgia", "april", "footballer"):
        assert word in ordinary_words()
        assert word not in known_names()
    for word in ("robert", "susan", "edward", "jones"):
        assert word in known_names()


def test_there_are_names_of_two_words_for_half_a_million_rows_of_each_gender() -> None:
    assert all(POOL.pairs(gender) >= 500_000 for gender in GENDERS)


def test_there_are_names_for_two_million_rows_of_any_gender() -> None:
    assert all(POOL.capacity(gender) >= 2_000_000 for gender in GENDERS)


@pytest.mark.parametrize("gender", GENDERS)
def test_neighbouring_rows_laps_and_fallbacks_never_share_a_name(gender: Gender) -> None:
    # Rows that use up their first candidates come to the pairs of other rows: there the middle
    # name must tell them apart.
    pairs = POOL.pairs(gender)
    rows = [*range(4000), *range(pairs - 200, pairs + 2000), *range(3 * pairs, 3 * pairs + 2000)]
    names: set[str] = set()
    for row in rows:
        first = drawn(POOL, row, gender, frozenset())
        second = drawn(POOL, row, gender, frozenset({first.given}))
        third = drawn(POOL, row, gender, frozenset({first.given, second.family}))
        # A row uses one of its candidates; that all of all rows differ is more than needed.
        names.update({first.full, second.full, third.full})
        assert first.given not in second.full.split()
        assert second.family not in third.full.split()
    assert len(names) == 3 * len(rows)


@given(
    rows=st.lists(st.integers(0, 3_000_000), min_size=2, max_size=40, unique=True),
    genders=st.lists(st.sampled_from(GENDERS), min_size=40, max_size=40),
    forbidden=st.frozensets(st.sampled_from([*given_names("male")[:50], *family_names()[:500]])),
)
def test_different_rows_get_different_names(
    rows: list[int], genders: list[Gender], forbidden: frozenset[str]
) -> None:
    names = [
        drawn(POOL, row, gender, forbidden).full for row, gender in zip(rows, genders, strict=False)
    ]
    assert len(set(names)) == len(rows)
    assert not forbidden.intersection(" ".join(names).split())


def test_rows_within_the_pairs_have_two_words_and_rows_beyond_three() -> None:
    pairs = POOL.pairs("neutral")
    assert len(drawn(POOL, pairs - 1, "neutral", frozenset()).full.split()) == 2
    beyond = drawn(POOL, pairs, "neutral", frozenset())
    assert beyond.full.split() == [beyond.given, beyond.middle, beyond.family]
    assert beyond.middle in given_names("neutral")


def test_the_same_seed_gives_the_same_name_and_another_seed_another() -> None:
    again, other = NamePool(7), NamePool(8)
    rows = range(50)
    assert [POOL.draw(r, "male") for r in rows] == [again.draw(r, "male") for r in rows]
    assert [POOL.draw(r, "male") for r in rows] != [other.draw(r, "male") for r in rows]


def test_no_name_where_every_candidate_holds_a_forbidden_word() -> None:
    assert POOL.draw(0, "female", frozenset(given_names("female"))) is None


def test_a_row_beyond_all_names_is_refused() -> None:
    with pytest.raises(CorpusError, match=r"row 72,000,000: .* split the corpus"):
        POOL.draw(72_000_000, "neutral")
