"""How many facts of its label a biography states. Which number is enough is not decided here."""

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.labels.biography import UNKNOWN
from needle_assets.labels.rules import label_table


def known_facts(bios: pa.Table) -> pa.Table:
    """Count what the rule labeler finds; a batch function (`needle_assets.batches`).

    A known nationality, a date of birth and one of death of which any part is stated, being a
    sportsperson and being a politician are a fact each.

    Args:
        bios: bio_id, name, bio.

    Returns:
        One column, ``facts`` (int8, 0 to 5), in the order of ``bios``.

    Raises:
        LabelError: a column is missing or has a null.
    """
    labels = label_table(bios)
    facts = [
        pc.not_equal(labels["nationality"], UNKNOWN),
        *(
            pc.greater(pc.add(labels[f"{date}_year"], labels[f"{date}_month"]), 0)
            for date in ("date_of_birth", "date_of_death")
        ),
        labels["sportsperson"],
        labels["politician"],
    ]
    total = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int8()), bios.num_rows)])
    for fact in facts:
        total = pc.add(total, fact.cast(pa.int8()))
    return pa.table({"facts": total})
