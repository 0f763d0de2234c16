"""The needles group: bios fit to be asked about, and their labels."""

import dagster as dg
import pyarrow as pa

from needle_assets.batches import map_batches, worker_count
from needle_assets.corpus.needles import filter_needles
from needle_assets.defs import metadata
from needle_assets.defs.automation import when_inputs_change
from needle_assets.defs.failures import as_failure
from needle_assets.defs.labeling import label_bios
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Endpoint
from needle_assets.labels.facts import known_facts
from needle_assets.settings import Settings


@dg.asset(group_name="needles", kinds={"parquet"}, automation_condition=when_inputs_change)
def filtered_needles(
    anonymized_bios: pa.Table,
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.Output[pa.Table]:
    """The rows of ``anonymized_bios`` fit to be needles: persons, of ordinary length, one name."""
    with as_failure():
        known = map_batches(
            known_facts,
            anonymized_bios.select(["bio_id", "name", "bio"]),
            workers=worker_count(settings.workers),
            progress=progress("Counting facts"),
        )
        selection = filter_needles(anonymized_bios, known["facts"])
    return metadata.materialized(
        selection.table,
        {
            "dropped": metadata.counts("reason", selection.funnel),
            "splits": metadata.value_counts(selection.table["split"]),
            "token_histogram": metadata.token_histogram(
                selection.table["token_count"].to_numpy(), "Tokens of a needle"
            ),
        },
    )


@dg.asset(group_name="needles", kinds={"parquet"})
def needle_labels(
    context: dg.AssetExecutionContext,
    filtered_needles: pa.Table,
    settings: dg.ResourceParam[Settings],
    endpoint: dg.ResourceParam[Endpoint],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.Output[pa.Table]:
    """What each needle says about its person, as canonical JSON and one column per field."""
    with as_failure():
        labeled = label_bios(filtered_needles, settings, endpoint, progress("Labels"))
    if labeled.rejected.num_rows:
        context.log.warning("%d bios got no label", labeled.rejected.num_rows)
    return metadata.materialized(
        labeled.labels,
        {
            "labeler": metadata.value_counts(labeled.labels["labeler"]),
            "rejected": labeled.rejected.num_rows,
            "rejected_rows": metadata.preview(labeled.rejected),
            "nationalities": metadata.value_counts(labeled.labels["nationality"]),
        },
    )
