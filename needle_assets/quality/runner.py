"""Runs a suite over a table with Great Expectations, offline and quietly, and says what came out.

What is expected is written in `suites`; what follows from a failure is decided by the caller.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from needle_assets.errors import NeedleError
from needle_assets.quality.suites import Suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context.types.base import DataContextConfig

_MAX_EXAMPLES = 10


class QualityError(NeedleError):
    """A suite could not be run on a table."""


@dataclass(frozen=True)
class ExpectationOutcome:
    """One expectation and what was found."""

    expectation: str
    column: str
    """Empty where the expectation is of the whole table."""
    success: bool
    observed: str
    unexpected_count: int
    unexpected_examples: tuple[str, ...]
    """Up to 10 rows, each as ``key: value``."""


@dataclass(frozen=True)
class QualityReport:
    """What a suite found in a table."""

    suite: str
    success: bool
    rows: list[ExpectationOutcome]
    docs_index: Path | None
    """The first page of the HTML Data Docs, if they were wanted."""


def validate(table: "pd.DataFrame", suite: Suite, docs_dir: Path | None = None) -> QualityReport:
    """Run a suite; write its Data Docs into ``docs_dir`` (HTML, kept beside earlier ones).

    Raises:
        QualityError: the table lacks a column, or an expectation raised an error.
    """
    missing = [column for column in suite.columns if column not in table.columns]
    if missing:
        raise QualityError(
            f"the table for the suite {suite.name} has no column {', '.join(missing)}; it has "
            f"{', '.join(map(str, table.columns))}"
        )
    results = _run(suite.prepare(table), suite, docs_dir)
    rows = [_outcome(result, suite.key) for result in results]
    return QualityReport(
        suite=suite.name,
        success=all(row.success for row in rows),
        rows=rows,
        docs_index=docs_dir / "index.html" if docs_dir is not None else None,
    )


def _run(
    table: "pd.DataFrame", suite: Suite, docs_dir: Path | None
) -> "list[ExpectationValidationResult]":
    import great_expectations as gx
    from great_expectations.checkpoint.actions import UpdateDataDocsAction
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral", project_config=_config(docs_dir))
    expected = context.suites.add(
        gx.ExpectationSuite(
            name=suite.name,
            expectations=[
                ExpectationConfiguration(type=one.name, kwargs=one.arguments).to_domain_obj()
                for one in suite.expectations
            ],
        )
    )
    batch = (
        context.data_sources.add_pandas(suite.name)
        .add_dataframe_asset("table")
        .add_batch_definition_whole_dataframe("all_rows")
    )
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name=suite.name, data=batch, suite=expected)
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=suite.name,
            validation_definitions=[validation],
            actions=(
                [UpdateDataDocsAction(name="docs", site_names=[_SITE])]
                if docs_dir is not None
                else []
            ),
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [suite.key],
                "partial_unexpected_count": _MAX_EXAMPLES,
            },
        )
    )
    run = checkpoint.run(batch_parameters={"dataframe": table})
    return [result for one in run.run_results.values() for result in one.results]


_SITE = "needle_assets"


def _config(docs_dir: Path | None) -> "DataContextConfig":
    """Everything in memory, no analytics, no progress bars, the docs alone on disk."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    site = {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs_dir.resolve()) if docs_dir is not None else "",
        },
    }
    return DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        data_docs_sites={_SITE: site} if docs_dir is not None else {},
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )


def _outcome(result: "ExpectationValidationResult", key: str) -> ExpectationOutcome:
    config = result.expectation_config
    if config is None:
        raise QualityError("great_expectations returned a result without its expectation")
    column = str(config.kwargs.get("column", ""))
    _raise_its_error(config.type, column, result.exception_info)
    found = result.result
    count = int(found.get("unexpected_count", 0))
    return ExpectationOutcome(
        expectation=config.type,
        column=column,
        success=bool(result.success),
        observed=_observed(found),
        unexpected_count=count,
        unexpected_examples=tuple(
            _example(item, key, column) for item in found.get("partial_unexpected_index_list") or ()
        )[:_MAX_EXAMPLES],
    )


def _example(item: dict[str, Any], key: str, column: str) -> str:
    if column == key:
        return str(item[key])
    value = item.get(column)
    return f"{item[key]}: {'null' if value is None or value != value else value}"


def _observed(found: dict[str, Any]) -> str:
    if "observed_value" in found:
        return str(found["observed_value"])
    checked = int(found["element_count"]) - int(found.get("missing_count", 0))
    return f"{int(found['unexpected_count']):,} of {checked:,} unexpected"


def _raise_its_error(expectation: str, column: str, info: dict[str, Any]) -> None:
    """An expectation that raised is a fault of ours, not of the data: it must not look failed."""
    errors = [info, *(value for value in info.values() if isinstance(value, dict))]
    for error in errors:
        if error.get("raised_exception"):
            raise QualityError(f"{expectation} on {column!r}: {error.get('exception_message')}")
