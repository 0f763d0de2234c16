"""The needles group: bios fit to be asked about, and their labels."""

from pathlib import Path

import dagster as dg
import pyarrow as pa

from needle_assets.audit.gold import read_gold
from needle_assets.batches import map_batches, worker_count
from needle_assets.corpus.needles import filter_needles
from needle_assets.corpus.tables import column_of, require_rows
from needle_assets.defs import metadata
from needle_assets.defs.automation import when_inputs_change
from needle_assets.defs.failures import as_failure
from needle_assets.defs.labeling import label_bios
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.quarantine import keep_quarantine
from needle_assets.defs.resources import Endpoint, Tokenizer
from needle_assets.labels.facts import known_facts
from needle_assets.labels.review import review_csv, review_html, review_table
from needle_assets.settings import Settings
from needle_assets.storage import write_atomic


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
        require_rows(selection.table, selection.total, selection.funnel, "needles")
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
    raw_wiki_bio: pa.Table,
    settings: dg.ResourceParam[Settings],
    endpoint: dg.ResourceParam[Endpoint],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.Output[pa.Table]:
    """What each needle says about its person, as canonical JSON and one column per field."""
    with as_failure():
        if settings.gold:
            # The check reads it after labels were paid for.
            read_gold(Path(settings.gold))
        infoboxes = column_of(raw_wiki_bio, "infobox", filtered_needles)
        bios = filtered_needles.append_column("infobox", infoboxes)
        labeled = label_bios(bios, settings, endpoint, tokenizer, progress)
        keep_quarantine(context, labeled.quarantine, settings)
    return metadata.materialized(
        labeled.labels,
        {
            "labeler": metadata.value_counts(labeled.labels["labeler"]),
            "no_label": labeled.quarantine.num_rows,
            "agreement": metadata.value_counts(labeled.labels["agreement"]),
            "nationalities": metadata.value_counts(labeled.labels["nationality"]),
            **metadata.sums(labeled.labels, "prompt_tokens", "completion_tokens", "cost_usd"),
        },
    )


@dg.asset(group_name="needles", kinds={"parquet", "html"}, automation_condition=when_inputs_change)
def label_review(
    needle_labels: pa.Table,
    filtered_needles: pa.Table,
    settings: dg.ResourceParam[Settings],
) -> dg.Output[pa.Table]:
    """The labels that a person should look at first, and why; also as CSV and HTML."""
    with as_failure():
        table = review_table(needle_labels, filtered_needles)
        page, sheet = (settings.root / f"label_review.{kind}" for kind in ("html", "csv"))
        write_atomic(page, review_html(table))
        write_atomic(sheet, review_csv(table))
    return metadata.materialized(
        table,
        {
            "page": dg.MetadataValue.path(str(page)),
            "sheet": dg.MetadataValue.path(str(sheet)),
            "why": metadata.value_counts(table["why"]),
        },
    )
