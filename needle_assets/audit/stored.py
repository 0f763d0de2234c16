"""How stored labels, of any labeler, compare with labels made by hand of the same biographies.

A labeler is not asked anything here: a model's labels were paid for when they were made.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.audit.gold import Accuracy, GoldRow, accuracy
from needle_assets.corpus.splits import nameless


def stored_accuracy(rows: Sequence[GoldRow], labels: pa.Table, bios: pa.Table) -> Accuracy:
    """Compare the labels of those biographies that were labelled by hand too.

    Biographies are told by their texts without the words of their names, which anonymising
    changes; those that are not in ``bios``, or have no label, are left out.

    Args:
        rows: the hand labels of persons.
        labels: ``needle_labels``.
        bios: ``bio_id``, ``name``, ``bio``.

    Returns:
        Right ones, of as many as were found.

    Raises:
        AuditError: as `gold.accuracy`.
    """
    wanted = {nameless(row.bio, row.name): row for row in rows}
    texts = zip(bios["bio"].to_pylist(), bios["name"].to_pylist(), strict=True)
    keys = [nameless(bio, name) for bio, name in texts]
    ids = bios["bio_id"].to_pylist()
    found = {bio_id: wanted[key] for bio_id, key in zip(ids, keys, strict=True) if key in wanted}
    there = labels.filter(pc.is_in(labels["bio_id"], value_set=pa.array(found, pa.string())))
    return accuracy([found[bio_id] for bio_id in there["bio_id"].to_pylist()], there)
