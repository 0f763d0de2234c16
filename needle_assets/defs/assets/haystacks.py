"""The haystacks group: prompts of each context length."""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.defs import metadata
from needle_assets.defs.automation import when_labels_change
from needle_assets.defs.failures import as_failure
from needle_assets.defs.partitions import context_lengths
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Tokenizer
from needle_assets.haystack.assembly import HaystackDesign, build_haystacks
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
    pool="haystacks",
)
def haystacks(
    context: dg.AssetExecutionContext,
    anonymized_bios: pa.Table,
    needle_labels: pa.Table,
    settings: dg.ResourceParam[Settings],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.Output[pa.Table]:
    """Training, validation and test prompts whose every token is counted; whole bios only."""
    with as_failure():
        length = parse_length(context.partition_key)
        table = build_haystacks(
            anonymized_bios,
            needle_labels,
            design=_design(length, settings),
            task=BIOGRAPHY_TASK,
            tokenizer=tokenizer.reference,
            progress=progress(f"Haystacks of {length}"),
        )
    return metadata.materialized(table, _metadata(table, length, settings))


def _design(length: int, settings: Settings) -> HaystackDesign:
    return HaystackDesign(
        context_length=length,
        answer_tokens=settings.answer_tokens,
        depths=settings.depths,
        draws=settings.draws,
        train_examples=settings.train_examples,
        validation_examples=settings.validation_examples,
        seed=settings.seed,
    )


def _metadata(table: pa.Table, length: int, settings: Settings) -> dict[str, object]:
    filled = pc.divide(pc.add(table["prompt_tokens"], settings.answer_tokens), float(length))
    test = table.filter(pc.field("split") == "test")
    return {
        "examples": metadata.value_counts(table["split"]),
        "prompt_tokens": int(pc.sum(table["prompt_tokens"]).as_py()),
        "least_filled": metadata.legible(pc.min(filled).as_py()),
        "most_filled": metadata.legible(pc.max(filled).as_py()),
        "depths": metadata.depth_plot(test),
        "example_prompt": metadata.prompt(test),
    }
