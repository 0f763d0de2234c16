"""What a report was made from, as the Dagster instance knows it."""

import datetime
from collections.abc import Mapping

import dagster as dg
import pyarrow as pa

from needle_assets import __version__
from needle_assets.defs.labeling import resolved_labeler
from needle_assets.defs.resources import Tokenizer
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.registry import ModelEntry
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


def changed_inputs(instance: dg.DagsterInstance, context_length: str) -> list[str]:
    """What the haystacks of a length were built from and is not what it was, by asset key.

    Nothing where the instance does not know of such haystacks.
    """
    built = latest(instance, "haystacks", context_length)
    return [
        asset
        for asset in ("anonymized_bios", "needle_labels")
        if built is not None
        and version_tag(built, f"{INPUT_VERSION}{asset}")
        != version_tag(latest(instance, asset), DATA_VERSION)
    ]


def of_today(
    instance: dg.DagsterInstance,
    results: Mapping[str, pa.Table],
    entries: Mapping[str, ModelEntry],
) -> tuple[list[pa.Table], list[str]]:
    """Results of today's models about today's haystacks, and the partitions of the others.

    Means of different corpora or designs must not stand on one curve, nor those of two models that
    had one slug in turn.

    Args:
        instance: knows the haystacks.
        results: ``eval_results`` by partition key.
        entries: the registry's entries by slug. A slug that left it stands for what it did last.

    Raises:
        EvaluationError: no results are left.
    """
    current, outdated = [], []
    for partition, table in results.items():
        length, slug = partition.split("|")
        haystacks = {version_tag(latest(instance, "haystacks", length), DATA_VERSION)}
        models = {entries[slug].identity} if slug in entries else {*table["entry"].to_pylist()}
        if (
            {*table["haystacks_version"].to_pylist()} == haystacks
            and {*table["entry"].to_pylist()} == models
            and not changed_inputs(instance, length)
        ):
            current.append(table)
        else:
            outdated.append(partition)
    if not current:
        why = (
            f"{', '.join(outdated)} was asked about earlier haystacks or labels, or under another "
            "entry of its model; materialize eval_results again, and haystacks before it where "
            "they are not of today's labels"
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
