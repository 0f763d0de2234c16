"""Needles: persons, named once, of ordinary length, with something to ask about."""

import pyarrow as pa
import pytest

from needle_assets.corpus.needles import RULES, NeedleSelection, filter_needles
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


def needles_of(table: pa.Table) -> NeedleSelection:
    """The needles of biographies that all state enough."""
    return filter_needles(table, pa.array([2] * table.num_rows))


def test_each_rule_takes_out_what_it_says() -> None:
    table = bios_of(
        *(ordinary(i) for i in range(94)),
        ("the quells", f"the quells {FACTS}", False, 50),
        ("tom rye", f"in the year 1950 , the painter tom rye {FACTS}", True, 50),
        ("eve lund", f"eve lund {FACTS}", True, 50),
        ("eve lund", f"eve lund {FACTS}", True, 50),
        ("kim roe", f"kim roe {FACTS}", True, 50),
        ("max ohm", "max ohm is a painter .", True, 50),
        ("sue ash", f"sue ash {FACTS} kim roe taught her .", True, 50),
        ordinary(1000, tokens=3),
        ordinary(1001, tokens=900),
    )
    facts = [2] * 100 + [1] + [2] * 2
    selection = filter_needles(table, pa.array(facts))
    assert list(selection.funnel) == list(RULES)
    # Kim is mentioned in the biography of Sue, of whom one fact alone is known.
    assert list(selection.funnel.values()) == [1, 1, 2, 1, 1, 1, 1, 1]
    assert selection.total == 103
    assert selection.table.equals(table.slice(0, 94))


def test_a_rank_may_stand_before_the_name_but_a_longer_name_is_not_it() -> None:
    table = bios_of(
        ("tom rye", f"vice admiral sir tom rye {FACTS}", True, 50),
        ("eve lund", f"eve lundgren {FACTS}", True, 50),
    )
    assert needles_of(table).table["name"].to_pylist() == ["tom rye"]


def test_a_name_is_mentioned_only_where_it_stands_whole() -> None:
    table = bios_of(
        ("tom rye", f"tom rye {FACTS}", True, 50),
        ("tom rye lund", f"tom rye lund {FACTS}", True, 50),
        ("eve ash", f"eve ash {FACTS} she married tom ryell .", True, 50),
    )
    # "tom rye" stands in the biography of "tom rye lund", and not the other way round.
    assert needles_of(table).table["name"].to_pylist() == ["tom rye lund", "eve ash"]


def test_the_window_of_lengths_is_that_of_persons_who_are_the_hay() -> None:
    bands = [("the quells", f"the quells {FACTS}", False, 900)] * 50
    table = bios_of(*(ordinary(i, tokens=i) for i in range(201)), *bands)
    lengths = needles_of(table).table["token_count"].to_pylist()
    # 2.5 % of 200 steps is 5 on either side.
    assert (lengths[0], lengths[-1], len(lengths)) == (5, 195, 191)


def test_a_corpus_without_persons_has_no_needles() -> None:
    selection = needles_of(bios_of(("the quells", f"the quells {FACTS}", False, 50)))
    assert (selection.table.num_rows, selection.funnel[RULES[0]]) == (0, 1)


def test_a_corpus_without_rows_has_no_needles() -> None:
    selection = needles_of(bios_of(ordinary(0)).slice(0, 0))
    assert selection.table.num_rows == selection.total == sum(selection.funnel.values()) == 0


def test_further_columns_stay() -> None:
    table = bios_of(ordinary(0), ordinary(1)).append_column("split", pa.array(["train", "test"]))
    assert needles_of(table).table.equals(table)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(CorpusError, match="lack the columns token_count"):
        needles_of(bios_of(ordinary(0)).drop_columns("token_count"))
