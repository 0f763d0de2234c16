"""New names: unique without a table of those taken, one gender each, never an ordinary word."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.corpus.names import (
    GENDERS,
    Gender,
    NewName,
    allot,
    bearer_limit,
    family_names,
    given_names,
    new_name,
    pair_count,
)
from needle_assets.corpus.tables import CorpusError
from needle_assets.corpus.words import known_names, ordinary_words
from needle_assets.seeding import digest


def digests_of(ids: list[str], seed: int = 7) -> np.ndarray:
    data = b"".join(digest(seed, name) for name in ids)
    return np.frombuffer(data, "<u8").reshape(-1, 2)


def named(
    pair: int, bearer: int, gender: Gender, forbidden: frozenset[str] = frozenset()
) -> NewName:
    name = new_name(pair, bearer, gender, forbidden.__contains__)
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


def test_no_new_name_reads_as_part_of_another() -> None:
    # "carla nee ( born 1950 )" has a maiden name, "otto von" lacks a surname.
    assert not {"nee", "von", "shah"} & set(family_names())
    assert not {"ben", "della"} & {name for gender in GENDERS for name in given_names(gender)}


def test_words_with_another_meaning_are_told_from_names() -> None:
    for word in ("will", "may", "young", "king", "cape", "georgia", "april", "footballer"):
        assert word in ordinary_words()
        assert word not in known_names()
    for word in ("robert", "susan", "edward", "jones"):
        assert word in known_names()


def test_there_are_pairs_for_half_a_million_rows_of_each_gender() -> None:
    assert all(pair_count(gender) >= 500_000 for gender in GENDERS)


def test_a_pair_that_is_a_row_s_own_has_two_words_and_a_shared_one_three() -> None:
    families = len(family_names())
    first = named(2 * families + 5, 0, "neutral")
    assert first == NewName(given_names("neutral")[2], "", family_names()[5])
    second = named(2 * families + 5, 1, "neutral")
    assert (second.given, second.family) == (first.given, first.family)
    assert second.middle in given_names("neutral")
    assert second.full.split() == [second.given, second.middle, second.family]


@pytest.mark.parametrize("gender", GENDERS)
def test_all_candidates_of_all_bearers_of_some_pairs_differ(gender: Gender) -> None:
    # A row uses one of its 16 candidates; that all differ for all rows is more than is needed.
    # The pairs are such as candidates of others come to: 7 given and 1013 family names further.
    families = len(family_names())
    pairs = [7 * k * families + (1013 * k) % families for k in range(4)]
    names: list[str] = []
    for pair in pairs:
        for bearer in range(bearer_limit(gender)):
            taken: frozenset[str] = frozenset()
            for _ in range(3):
                name = named(pair, bearer, gender, taken)
                names.append(name.full)
                assert not taken.intersection(name.full.split())
                taken |= {name.family}
    assert len(set(names)) == len(names)


def test_300_000_rows_get_300_000_names_although_many_share_a_pair() -> None:
    rows = 300_000
    genders = np.zeros(rows, np.int8)
    names = allot(genders, digests_of([f"train-{i}" for i in range(rows)]))
    assert names.bearer.max() >= 3
    full = {
        named(pair, bearer, "male").full
        for pair, bearer in zip(names.pair.tolist(), names.bearer.tolist(), strict=True)
    }
    assert len(full) == rows


@pytest.mark.slow
def test_two_million_rows_of_the_gender_with_the_fewest_pairs() -> None:
    rows = 2_000_000
    genders = np.full(rows, GENDERS.index("neutral"), np.int8)
    names = allot(genders, digests_of([f"train-{i}" for i in range(rows)]))
    assert names.bearer.max() < bearer_limit("neutral")
    full = {
        named(pair, bearer, "neutral").full
        for pair, bearer in zip(names.pair.tolist(), names.bearer.tolist(), strict=True)
    }
    assert len(full) == rows


@given(
    ids=st.lists(st.integers(0, 10**9), min_size=2, max_size=60, unique=True),
    crowd=st.integers(1, 5),
    data=st.data(),
)
def test_rows_that_meet_on_few_pairs_get_different_names(
    ids: list[int], crowd: int, data: st.DataObject
) -> None:
    # Digests below ``crowd`` put all rows on as many pairs.
    digests = np.array([[number % crowd, number] for number in ids], np.uint64)
    genders = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=60, max_size=60)))
    forbidden = data.draw(
        st.frozensets(st.sampled_from([*given_names("male")[:50], *family_names()[:500]]))
    )
    names = allot(genders[: len(ids)], digests)
    full = [
        named(pair, bearer, GENDERS[code], forbidden).full
        for pair, bearer, code in zip(
            names.pair.tolist(), names.bearer.tolist(), genders.tolist(), strict=False
        )
    ]
    assert len(set(full)) == len(ids)
    assert not forbidden.intersection(" ".join(full).split())


@given(order=st.permutations(range(40)), left_out=st.sets(st.integers(0, 39), max_size=10))
def test_only_rows_on_the_same_pair_are_renamed_when_rows_go(
    order: list[int], left_out: set[int]
) -> None:
    # 40 rows on 8 pairs of one gender, five on each.
    digests = np.array([[i % 8, 1000 - i] for i in range(40)], np.uint64)
    whole = allot(np.zeros(40, np.int8), digests)
    rows = [i for i in order if i not in left_out]
    part = allot(np.zeros(len(rows), np.int8), digests[rows])
    touched = {i % 8 for i in left_out}
    for place, row in enumerate(rows):
        assert part.pair[place] == whole.pair[row]
        if row % 8 not in touched:
            assert part.bearer[place] == whole.bearer[row]


def test_bearers_of_a_pair_stand_in_the_order_of_their_digests() -> None:
    digests = np.array([[5, 30], [5, 10], [6, 0], [5, 20]], np.uint64)
    names = allot(np.zeros(4, np.int8), digests)
    assert names.pair.tolist() == [5, 5, 6, 5]
    assert names.bearer.tolist() == [2, 0, 0, 1]


def test_no_name_where_every_candidate_holds_a_taken_word() -> None:
    assert new_name(0, 0, "female", given_names("female").__contains__) is None


def test_more_rows_on_a_pair_than_middle_names_are_refused() -> None:
    limit = bearer_limit("neutral")
    digests = np.array([[0, i] for i in range(limit + 1)], np.uint64)
    neutral = np.full(limit + 1, GENDERS.index("neutral"), np.int8)
    assert allot(neutral[1:], digests[1:]).bearer.max() == limit - 1
    with pytest.raises(CorpusError, match=rf"{limit + 1} of them .* split the corpus"):
        allot(neutral, digests)
