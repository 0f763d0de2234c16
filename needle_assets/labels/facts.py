"""How many facts of its label a biography states. Which number is enough is not decided here."""

import pyarrow as pa

from needle_assets.labels.rules import count_facts
from needle_assets.labels.tables import require_columns

ENOUGH = 2
"""Counting further facts costs time and says nothing more about a needle."""


def known_facts(bios: pa.Table) -> pa.Table:
    """Count what the rule labeler finds; a batch function (`needle_assets.batches`).

    Args:
        bios: bio_id, name, bio.

    Returns:
        One column, ``facts`` (int8, 0 to `ENOUGH`), in the order of ``bios``.

    Raises:
        LabelError: a column is missing or has a null.
    """
    require_columns(bios)
    names, texts = bios["name"].to_pylist(), bios["bio"].to_pylist()
    facts = [count_facts(name, bio, ENOUGH) for name, bio in zip(names, texts, strict=True)]
    return pa.table({"facts": pa.array(facts, pa.int8())})
