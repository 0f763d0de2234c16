"""Data-quality checks: persons only, nationality, splits without leaks.

What is expected of needles and labels is written in `quality`; what a leak is, in `corpus`.
"""

import tempfile
from pathlib import Path

import dagster as dg
import pyarrow as pa

from needle_assets.audit.gold import accuracy, bios_table, read_gold
from needle_assets.audit.stored import stored_accuracy
from needle_assets.corpus.splits import split_leaks
from needle_assets.defs import metadata
from needle_assets.defs.failures import as_failure
from needle_assets.labels.agreement import AGREES, with_agreement
from needle_assets.labels.biography import UNKNOWN
from needle_assets.labels.nationalities import NATIONALITIES
from needle_assets.labels.rules import label_table
from needle_assets.quality import suites
from needle_assets.quality.runner import QualityReport, validate
from needle_assets.quality.suites import Suite
from needle_assets.settings import Settings
from needle_assets.storage import write_atomic

_SHOWN = 20
"""Leaks of a kind that are listed: metadata lives in the event log."""


@dg.asset_check(asset="anonymized_bios", blocking=True)
def split_is_leak_free(anonymized_bios: pa.Table) -> dg.AssetCheckResult:
    """No name, text or near-duplicate stands on two sides of the split."""
    with as_failure():
        leaks = split_leaks(anonymized_bios)
    kinds = {
        "same name": leaks.names,
        "same text": leaks.texts,
        "near-duplicate": leaks.near_duplicates,
    }
    ids = anonymized_bios["bio_id"].to_pylist()
    sides = anonymized_bios["split"].to_pylist()
    return dg.AssetCheckResult(
        passed=leaks.free,
        description="; ".join(
            f"{len(pairs)} pairs of rows: {kind}" for kind, pairs in kinds.items()
        ),
        metadata={
            "leaks": metadata.records(
                {"kind": kind, "bio_ids": f"{ids[a]}, {ids[b]}", "sides": f"{sides[a]}, {sides[b]}"}
                for kind, pairs in kinds.items()
                for a, b in pairs[:_SHOWN]
            )
        },
    )


@dg.asset_check(asset="filtered_needles", blocking=True)
def persons_only(
    filtered_needles: pa.Table, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Every needle is a person, with a text, a name of its own, a token count and a split."""
    with as_failure():
        return _result(filtered_needles, suites.persons_only(), settings)


@dg.asset_check(
    asset="needle_labels",
    blocking=True,
    additional_ins={"filtered_needles": dg.AssetIn("filtered_needles")},
)
def nationality(
    needle_labels: pa.Table, filtered_needles: pa.Table, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Nationalities are of the list, mostly known, and agree with the demonym in the text.

    With hand labels (``NEEDLE_GOLD``) it also reports how many of them the labels get right.
    """
    with as_failure():
        return _result(
            with_agreement(needle_labels, filtered_needles),
            suites.nationality(NATIONALITIES, UNKNOWN, AGREES),
            settings,
            **_accuracy(needle_labels, filtered_needles, settings),
        )


def _accuracy(
    labels: pa.Table, bios: pa.Table, settings: Settings
) -> dict[str, dg.TableMetadataValue]:
    """What hand labels say of the rules, and of the stored labels of the same biographies."""
    if not settings.gold:
        return {}
    people = [row for row in read_gold(Path(settings.gold)) if row.person]
    found = {
        "rules, all of them": accuracy(people, label_table(bios_table(people))),
        "stored labels, those in the corpus": stored_accuracy(people, labels, bios),
    }
    return {
        "accuracy": metadata.records(
            {
                "labels": of,
                "fields": fields,
                "right": score.right,
                "of": score.of,
                "share": metadata.legible(score.share),
            }
            for of, shown in found.items()
            for fields, score in (("all nine", shown.all_fields), ("dates", shown.dates))
        )
    }


def _result(
    table: pa.Table, suite: Suite, settings: Settings, **more: dg.TableMetadataValue
) -> dg.AssetCheckResult:
    # Great Expectations writes its pages to local folders only; the store may be elsewhere.
    with tempfile.TemporaryDirectory() as folder:
        report = validate(table.to_pandas(), suite, Path(folder))
        docs = settings.root / "data_docs" / suite.name
        for page in sorted(Path(folder).rglob("*")):
            if page.is_file():
                write_atomic(docs / page.relative_to(folder).as_posix(), page.read_bytes())
    return dg.AssetCheckResult(
        passed=report.success,
        description=_summary(report),
        metadata={
            "expectations": metadata.records(
                {
                    "expectation": row.expectation,
                    "column": row.column,
                    "success": row.success,
                    "observed": row.observed,
                    "examples": "; ".join(row.unexpected_examples[:3]),
                }
                for row in report.rows
            ),
            "data_docs": dg.MetadataValue.path(str(docs / "index.html")),
            **more,
        },
    )


def _summary(report: QualityReport) -> str:
    failed = [row for row in report.rows if not row.success]
    if not failed:
        return f"all {len(report.rows)} expectations hold"
    said = "; ".join(
        f"{row.expectation} of {row.column or 'the table'}: {row.observed}" for row in failed
    )
    return f"{len(failed)} of {len(report.rows)} expectations fail: {said}"
