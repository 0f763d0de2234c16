"""The haystacks group: prompts of each context length, and proof of what they promise."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.batches import worker_count
from needle_assets.defs import metadata
from needle_assets.defs.automation import when_labels_change
from needle_assets.defs.failures import as_failure
from needle_assets.defs.partitions import context_lengths
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Tokenizer
from needle_assets.haystack.assembly import build_haystacks
from needle_assets.haystack.certificate import RULES, Certificate
from needle_assets.haystack.certify import certify
from needle_assets.haystack.design import HaystackDesign
from needle_assets.haystack.lengths import parse_length
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings


@dg.asset(
    group_name="haystacks",
    partitions_def=context_lengths,
    kinds={"parquet"},
    # Not read, but its check is waited for.
    deps=["filtered_needles"],
    automation_condition=when_labels_change,
    check_specs=[
        dg.AssetCheckSpec(
            "lengths_certified",
            asset="haystacks",
            blocking=True,
            description="Every prompt tokenised again: its length, whole bios of its own split, "
            "the needle's place, no example twice, depths and lengths as declared.",
        )
    ],
    pool="haystacks",
)
def haystacks(
    context: dg.AssetExecutionContext,
    anonymized_bios: pa.Table,
    needle_labels: pa.Table,
    settings: dg.ResourceParam[Settings],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.Output[pa.Table] | dg.AssetCheckResult]:
    """Training, validation and test prompts whose every token is counted; whole bios only."""
    with as_failure():
        length = parse_length(context.partition_key)
        design = _design(length, settings)
        table = build_haystacks(
            anonymized_bios,
            needle_labels,
            design=design,
            task=BIOGRAPHY_TASK,
            tokenizer=tokenizer.reference,
            workers=worker_count(settings.workers),
            progress=progress(f"Haystacks of {length}"),
        )
        certificate = certify(
            table,
            anonymized_bios,
            design=design,
            task=BIOGRAPHY_TASK,
            tokenizer=tokenizer.reference,
        )
    yield metadata.materialized(table, _metadata(table, settings))
    yield _check_result(certificate, length)


def _design(length: int, settings: Settings) -> HaystackDesign:
    return HaystackDesign(
        context_length=length,
        answer_tokens=settings.answer_tokens,
        depths=settings.depths,
        draws=settings.draws,
        train_examples=settings.train_examples,
        validation_examples=settings.validation_examples,
        seed=settings.seed,
        short_share=settings.short_examples,
    )


def _metadata(table: pa.Table, settings: Settings) -> dict[str, object]:
    used = pc.add(table["prompt_tokens"], settings.answer_tokens)
    filled = pc.divide(used, pc.cast(table["target_tokens"], pa.float64()))
    test = table.filter(pc.field("split") == "test")
    return {
        "examples": metadata.value_counts(table["split"]),
        "lengths": metadata.value_counts(table["target_tokens"]),
        "prompt_tokens": int(pc.sum(table["prompt_tokens"]).as_py()),
        "least_filled": metadata.legible(pc.min(filled).as_py()),
        "most_filled": metadata.legible(pc.max(filled).as_py()),
        "depths": metadata.depth_plot(test),
        "example_prompt": metadata.prompt(test),
    }


def _check_result(certificate: Certificate, length: int) -> dg.AssetCheckResult:
    broken = [f"{result.rule}: {result.failed} ({result.detail})" for result in certificate.broken]
    said = "; ".join(broken) or f"{certificate.rows} prompts keep every rule"
    return dg.AssetCheckResult(
        check_name="lengths_certified",
        passed=certificate.passed,
        # The check has one history for all lengths.
        description=f"at {length}: {said}",
        metadata={
            "context_length": length,
            "rules": metadata.records(
                {
                    "rule": RULES[result.rule],
                    "rows": result.checked,
                    "broken": result.failed,
                    "examples": ", ".join(result.examples),
                }
                for result in certificate.rules
            ),
            "depth_examples": certificate.depth_examples,
            **(
                {}
                if certificate.depth_p_value is None
                else {"depth_p_value": metadata.legible(certificate.depth_p_value)}
            ),
        },
    )
