"""Splits: one person on one side, near-duplicates together, and leaks that are seen."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle_assets.corpus.splits import assign_splits, split_leaks
from needle_assets.corpus.tables import CorpusError

LONG = (
    "is a painter from ghent who studied under several masters of the old school , moved to the "
    "coast for her health , painted the same pier for thirty years and left most of her work to "
    "the town , where a small museum shows it every summer to those who ask for the key ."
)


def bios_of(*rows: tuple[str, str]) -> pa.Table:
    """Rows of (name, text after the name)."""
    return pa.table(
        {
            "bio_id": [str(i) for i in range(len(rows))],
            "name": [name for name, _ in rows],
            "bio": [f"{name} {text}" for name, text in rows],
        }
    )


def numbered(count: int) -> pa.Table:
    return bios_of(
        *(
            (f"ada finch{i}", f"( born {i % 28} may 19{i % 90 + 10} ) painted {i} piers in {i} .")
            for i in range(count)
        )
    )


def with_sides(table: pa.Table, *sides: str) -> pa.Table:
    return table.append_column("split", pa.array(sides, pa.string()))


def test_the_same_text_under_two_names_falls_on_one_side() -> None:
    rows = [
        (f"{given} finch{i}", f"( born {i} may 1950 ) is a painter . finch{i} sings .")
        for i in range(300)
        for given in ("ada", "tom")
    ]
    splits = assign_splits(bios_of(*rows), seed=3).to_pylist()
    assert splits[0::2] == splits[1::2]
    assert len(set(splits)) == 3


def test_near_duplicates_fall_on_one_side_whatever_their_dates() -> None:
    rows = [
        (f"{given} finch{i}", f"( born {date} may 1950 ) {LONG} she sold {i} of {i + 7} pictures .")
        for i in range(60)
        for given, date in (("ada", 3), ("tom", 17), ("eve", 21))
    ]
    splits = assign_splits(bios_of(*rows), seed=3).to_pylist()
    # They are all alike: 60 x 3 texts that differ in a date and two numbers are one group.
    assert len(set(splits)) == 1


def test_two_people_of_one_pattern_are_no_near_duplicates() -> None:
    rows = [
        (f"ada finch{i}", f"( born {i % 28} may 19{i:02d} ) is an english footballer for team{i} .")
        for i in range(90)
    ]
    assert len(set(assign_splits(bios_of(*rows), seed=3).to_pylist())) == 3


def test_rows_of_one_person_fall_on_one_side() -> None:
    table = numbered(400)
    persons = pa.array([f"article {i // 2}" for i in range(400)])
    splits = assign_splits(table, seed=3, persons=persons).to_pylist()
    assert splits[0::2] == splits[1::2]
    assert len(set(splits)) == 3
    apart = assign_splits(table, seed=3).to_pylist()
    assert apart[0::2] != apart[1::2]


def test_rows_without_a_title_are_not_one_person() -> None:
    table = numbered(100)
    titles = pa.array([None] * 100, pa.string())
    assert assign_splits(table, seed=3, persons=titles) == assign_splits(table, seed=3)


def test_shares_are_about_the_fractions_asked_for() -> None:
    counts = Counter(assign_splits(numbered(4000), seed=3).to_pylist())
    # Three standard deviations of a share of 4,000 draws are under 2.4 %.
    for split, share in (("train", 0.5), ("validation", 0.2), ("test", 0.3)):
        assert counts[split] / 4000 == pytest.approx(share, abs=0.024)


def test_a_row_keeps_its_side_when_others_come_and_go() -> None:
    table = numbered(200)
    whole = assign_splits(table, seed=3).to_pylist()
    assert assign_splits(table.slice(50, 70), seed=3).to_pylist() == whole[50:120]
    assert assign_splits(table, seed=4).to_pylist() != whole


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    table = numbered(40)
    whole = assign_splits(table, seed=3).to_pylist()
    assert assign_splits(table.take(order), seed=3).to_pylist() == [whole[at] for at in order]


def test_a_share_of_nothing_gets_nothing() -> None:
    splits = assign_splits(numbered(50), 0, fractions={"train": 1.0, "test": 0.0})
    assert set(splits.to_pylist()) == {"train"}


def test_no_rows_have_no_sides() -> None:
    assert len(assign_splits(numbered(1).slice(0, 0), 0)) == 0


@pytest.mark.parametrize(
    "fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.7, "test": 0.7}]
)
def test_fractions_must_be_shares_of_one(fractions: dict[str, float]) -> None:
    with pytest.raises(CorpusError, match="fractions of the splits"):
        assign_splits(numbered(1), 0, fractions=fractions)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(CorpusError, match="lack the columns bio"):
        assign_splits(numbered(1).drop_columns("bio"), 0)


def test_what_was_assigned_is_free_of_leaks() -> None:
    rows = [(f"ada finch{i}", f"( born 3 may 1950 ) {LONG} {'ha ' * (i % 9)}") for i in range(50)]
    table = bios_of(*rows, *((f"tom rye{i}", f"sold {i} boats in {i} .") for i in range(100)))
    assert split_leaks(table.append_column("split", assign_splits(table, seed=1))).free


def test_each_kind_of_leak_is_seen() -> None:
    table = with_sides(
        bios_of(
            ("ada finch", "painted piers in all weathers ."),
            ("ada finch", "sold eleven boats to a baker ."),
            ("tom rye", "kept bees on the roof of the library ."),
            ("eve lund", "kept bees on the roof of the library ."),
            ("sue ash", f"( born 3 may 1950 ) {LONG}"),
            ("kim roe", f"( born 4 june 1951 ) {LONG}"),
            ("max ohm", "counted stars for a living ."),
        ),
        *("train", "test", "train", "test", "train", "test", "test"),
    )
    leaks = split_leaks(table)
    assert leaks.names == [(0, 1)]
    assert leaks.texts == [(2, 3)]
    assert leaks.near_duplicates == [(4, 5)]
    assert not leaks.free


def test_likeness_within_a_side_is_no_leak() -> None:
    table = bios_of(("sue ash", LONG), ("kim roe", LONG))
    assert split_leaks(with_sides(table, "test", "test")).free


@pytest.mark.parametrize("others", [0, 1, 14, 15, 40])
def test_a_near_duplicate_is_seen_among_any_number_of_its_kind(others: int) -> None:
    """All pairs are compared in small groups, some in large ones: each row has one at least."""
    rows = [(f"ada finch{i}", f"( born {i + 1} may 1950 ) {LONG}") for i in range(others + 1)]
    table = bios_of(("tom rye", "sold eleven boats to a baker ."), *rows)
    for odd in (1, len(rows)):
        sides = ["train" if row == odd else "test" for row in range(table.num_rows)]
        pairs = split_leaks(with_sides(table, *sides)).near_duplicates
        assert {row for pair in pairs for row in pair if row != odd} <= set(range(1, others + 2))
        assert all(odd in pair for pair in pairs)
        assert bool(pairs) == bool(others)


@settings(max_examples=40, deadline=None)
@given(changed=st.integers(0, 40))
def test_near_duplicates_are_told_by_their_word_triples(changed: int) -> None:
    """Against the definition: the Jaccard similarity of the sets of triples, at least 0.7."""
    words = [f"w{i}" for i in range(80)]
    other = [*words[: 80 - changed], *(f"x{i}" for i in range(changed))]
    triples = [{tuple(text[i : i + 3]) for i in range(len(text) - 2)} for text in (words, other)]
    alike = len(triples[0] & triples[1]) / len(triples[0] | triples[1]) >= 0.7
    table = with_sides(
        bios_of(("ada finch", " ".join(words)), ("tom rye", " ".join(other))), "train", "test"
    )
    leaks = split_leaks(table)
    assert bool(leaks.near_duplicates or leaks.texts) == alike
