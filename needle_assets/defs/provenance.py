"""What a report was made from, as the Dagster instance knows it."""

import datetime
from collections.abc import Mapping

import dagster as dg
import pyarrow as pa

from needle_assets import __version__
from needle_assets.defs.labeling import resolved_labeler
from needle_assets.defs.resources import Tokenizer
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.report import Provenance
from needle_assets.settings import Settings

_UNPARTITIONED = ("raw_wiki_bio", "anonymized_bios", "filtered_needles", "needle_labels")


DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
INPUT_VERSION = "dagster/input_data_version/"
"""Tags of a materialization; the last one goes before the input's key."""


def latest(
    instance: dg.DagsterInstance, asset: str, partition: str | None = None
) -> dg.AssetMaterialization | None:
    """The latest materialization of an asset or of one of its partitions."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset),
            asset_partitions=None if partition is None else [partition],
        ),
        limit=1,
    )
    return found.records[0].asset_materialization if found.records else None


def version_tag(made: dg.AssetMaterialization | None, tag: str) -> str | None:
    """A version tag of a materialization, None without one."""
    return (made.tags or {}).get(tag) if made else None


def of_current_haystacks(
    instance: dg.DagsterInstance, results: Mapping[str, pa.Table]
) -> tuple[list[pa.Table], list[str]]:
    """Results about today's haystacks and labels, and the partitions of those that are not.

    Means of different corpora or designs must not stand on one curve.

    Raises:
        EvaluationError: no results are left.
    """
    labels = version_tag(latest(instance, "needle_labels"), DATA_VERSION)
    current, outdated = [], []
    for partition, table in results.items():
        built = latest(instance, "haystacks", partition.split("|")[0])
        asked = table["haystacks_version"].slice(0, 1).to_pylist()
        if (
            asked == [version_tag(built, DATA_VERSION)]
            and version_tag(built, f"{INPUT_VERSION}needle_labels") == labels
        ):
            current.append(table)
        else:
            outdated.append(partition)
    if not current:
        why = (
            f"{', '.join(outdated)} was asked about earlier haystacks or labels; materialize "
            "haystacks and then eval_results again"
            if outdated
            else "nothing was evaluated yet; materialize eval_results first"
        )
        raise EvaluationError(f"there is nothing to report: {why}")
    return current, outdated


def provenance(
    context: dg.AssetExecutionContext, settings: Settings, tokenizer: Tokenizer
) -> Provenance:
    """Settings, versions and data versions behind the results."""
    versions = {}
    for key in _UNPARTITIONED:
        version = version_tag(latest(context.instance, key), DATA_VERSION)
        if version:
            versions[key] = version
    return Provenance(
        generated_at=datetime.datetime.now(datetime.UTC),
        seed=settings.seed,
        corpus=settings.corpus or "built-in sample",
        tokenizer=tokenizer.reference.name,
        labeler=resolved_labeler(settings),
        code_version=__version__,
        data_versions=versions,
    )
