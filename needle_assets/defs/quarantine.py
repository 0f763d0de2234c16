"""Biographies that got no label: an asset that labelling writes beside its own.

Why a label was given up is the labels room's affair.
"""

import dagster as dg
import pyarrow as pa

from needle_assets.defs import metadata
from needle_assets.settings import Settings
from needle_assets.storage import exclusive, write_table

_KEY = "label_quarantine"

# An asset of its own, so that it can be opened in the UI; no output of its own, so that
# needle_labels can be launched by its name alone.
label_quarantine = dg.AssetSpec(
    _KEY,
    group_name="needles",
    deps=["needle_labels"],
    kinds={"parquet"},
    description="Needles whose labeler gave no valid label, with its last answer and the reason. "
    "Written whenever needle_labels is.",
)


def keep_quarantine(
    context: dg.AssetExecutionContext, quarantine: pa.Table, settings: Settings
) -> None:
    """Store the table, an empty one too, and say so in the event log.

    Raises:
        StorageError: it cannot be written.
    """
    path = settings.root / "assets" / f"{_KEY}.parquet"
    with exclusive(path, str(path)):
        write_table(path, quarantine)
    context.log_event(
        dg.AssetMaterialization(
            _KEY,
            metadata={
                "dagster/row_count": quarantine.num_rows,
                "reasons": metadata.value_counts(quarantine["reason"]),
                "preview": metadata.preview(quarantine),
            },
            tags={"dagster/data_version": metadata.data_version(quarantine)},
        )
    )
    if quarantine.num_rows:
        context.log.warning("%d bios got no label: see %s", quarantine.num_rows, _KEY)
