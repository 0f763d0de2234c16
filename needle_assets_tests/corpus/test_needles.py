"""Needles: persons, named once, of ordinary length; and splits that no person straddles."""

from collections import Counter

import pyarrow as pa
import pytest

from needle_assets.corpus.needles import RULES, assign_splits, filter_needles
from needle_assets.corpus.tables import ANONYMIZED_SCHEMA, CorpusError

FACTS = "( born 1 may 1950 ) is a painter from ghent ."


def bios_of(*rows: tuple[str, str, bool, int]) -> pa.Table:
    """Rows of (name, bio, is_person, token_count)."""
    names, bios, persons, tokens = zip(*rows, strict=True)
    table = pa.table(
        {
            "bio_id": [str(i) for i in range(len(rows))],
            "name": list(names),
            "bio": list(bios),
            "is_person": list(persons),
            "person_reason": [""] * len(rows),
        },
        schema=ANONYMIZED_SCHEMA,
    )
    return table.append_column("token_count", pa.array(tokens, pa.int32()))


def ordinary(number: int, tokens: int = 50) -> tuple[str, str, bool, int]:
    name = f"ada finch{number}"
    return name, f"{name} {FACTS}", True, tokens


def test_each_rule_takes_out_what_it_says() -> None:
    table = bios_of(
        *(ordinary(i) for i in range(94)),
        ("the quells", f"the quells {FACTS}", False, 50),
        ("tom rye", f"in the year 1950 , the painter tom rye {FACTS}", True, 50),
        ("eve lund", f"eve lund {FACTS}", True, 50),
        ("eve lund", f"eve lund {FACTS}", True, 50),
        ("max ohm", "max ohm is a painter .", True, 50),
        ordinary(1000, tokens=3),
        ordinary(1001, tokens=900),
    )
    selection = filter_needles(table)
    assert list(selection.funnel) == list(RULES)
    assert list(selection.funnel.values()) == [1, 1, 2, 1, 1, 1]
    assert selection.total == 101
    assert selection.table.equals(table.slice(0, 94))


def test_a_rank_may_stand_before_the_name_but_a_longer_name_is_not_it() -> None:
    table = bios_of(
        ("tom rye", f"vice admiral sir tom rye {FACTS}", True, 50),
        ("eve lund", f"eve lundgren {FACTS}", True, 50),
    )
    assert filter_needles(table).table["name"].to_pylist() == ["tom rye"]


def test_the_window_of_lengths_is_that_of_all_biographies() -> None:
    table = bios_of(*(ordinary(i, tokens=i) for i in range(201)))
    lengths = filter_needles(table).table["token_count"].to_pylist()
    # 2.5 % of 200 steps is 5 on either side.
    assert (lengths[0], lengths[-1], len(lengths)) == (5, 195, 191)


def test_a_corpus_without_rows_has_no_needles() -> None:
    selection = filter_needles(bios_of(ordinary(0)).slice(0, 0))
    assert selection.table.num_rows == selection.total == sum(selection.funnel.values()) == 0


def test_further_columns_stay() -> None:
    table = bios_of(ordinary(0), ordinary(1)).append_column("split", pa.array(["train", "test"]))
    assert filter_needles(table).table.equals(table)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(CorpusError, match="lack the columns token_count"):
        filter_needles(bios_of(ordinary(0)).drop_columns("token_count"))


def test_the_same_text_under_two_names_falls_on_one_side() -> None:
    rows = [
        (
            f"{given} finch{i}",
            f"{given} finch{i} ( born {i} may 1950 ) is a painter . finch{i} sings .",
            True,
            50,
        )
        for i in range(300)
        for given in ("ada", "tom")
    ]
    splits = assign_splits(bios_of(*rows), seed=3).to_pylist()
    assert splits[0::2] == splits[1::2]
    assert len(set(splits)) == 3


def test_shares_are_about_the_fractions_asked_for() -> None:
    rows = [
        (f"ada finch{i}", f"ada finch{i} ( born {i} may 1950 ) is a painter .", True, 50)
        for i in range(4000)
    ]
    counts = Counter(assign_splits(bios_of(*rows), seed=3).to_pylist())
    # Three standard deviations of a share of 4,000 draws are under 2.4 %.
    for split, share in (("train", 0.5), ("validation", 0.2), ("test", 0.3)):
        assert counts[split] / 4000 == pytest.approx(share, abs=0.024)


def test_a_row_keeps_its_side_when_others_come_and_go() -> None:
    table = bios_of(
        *(
            (f"ada finch{i}", f"ada finch{i} ( born {i} may 1950 ) is a painter .", True, 50)
            for i in range(200)
        )
    )
    whole = assign_splits(table, seed=3).to_pylist()
    assert assign_splits(table.slice(50, 70), seed=3).to_pylist() == whole[50:120]
    assert assign_splits(table, seed=4).to_pylist() != whole


def test_a_share_of_nothing_gets_nothing() -> None:
    table = bios_of(*(ordinary(i) for i in range(50)))
    splits = assign_splits(table, 0, {"train": 1.0, "test": 0.0})
    assert set(splits.to_pylist()) == {"train"}


@pytest.mark.parametrize(
    "fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.7, "test": 0.7}]
)
def test_fractions_must_be_shares_of_one(fractions: dict[str, float]) -> None:
    with pytest.raises(CorpusError, match="fractions of the splits"):
        assign_splits(bios_of(ordinary(0)), 0, fractions)
