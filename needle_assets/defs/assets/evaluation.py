"""The evaluation group: every question asked and scored, and what it all amounts to."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from needle_assets.defs import metadata
from needle_assets.defs.asking import (
    answered_by,
    ask,
    bios_of,
    entry_of,
    look_before_asking,
    questions_of,
    quote,
    test_rows,
)
from needle_assets.defs.automation import when_any_partition_arrives
from needle_assets.defs.batching import await_, batched, close_batches, collect, submit
from needle_assets.defs.failures import as_failure
from needle_assets.defs.journals import close_journal, journal_epoch, journal_folder
from needle_assets.defs.partitions import current_sweep, sweeps
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.provenance import changed_inputs, of_today, provenance
from needle_assets.defs.reevaluation import NO_REGRESSION, regression_check
from needle_assets.defs.resources import Models, Tokenizer
from needle_assets.defs.tuned_models import loss_curves
from needle_assets.evaluation.calibration import sweep_questions, with_floor
from needle_assets.evaluation.history import History
from needle_assets.evaluation.outcomes import POLICY, Outcome
from needle_assets.evaluation.registry import fits
from needle_assets.evaluation.report import build_report
from needle_assets.evaluation.scoring import score_table
from needle_assets.evaluation.statistics import leaderboard_table
from needle_assets.evaluation.versions import of_this_version
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.labels.hay import hay_table
from needle_assets.settings import Settings
from needle_assets.storage import write_atomic

CHECK_OUTPUT = NO_REGRESSION.get_python_identifier()
"""What Dagster calls the output of an asset's check."""


@dg.op(pool="evaluation", out=dg.Out(io_manager_key="receipt_io_manager"))
def submit_batch(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
    tokenizer: dg.ResourceParam[Tokenizer],
) -> dict[str, Any]:
    """Hand the questions over as batches, where the model is asked so; else nothing."""
    with as_failure():
        if not batched(context, models):
            return {}
        look = partial(
            look_before_asking,
            context,
            haystacks,
            settings=settings,
            models=models,
            tokenizer=tokenizer,
        )
        return submit(context, questions_of(haystacks), settings, models, look)


# In no pool: it waits for hours, which takes nothing that another run could use.
@dg.op(out=dg.Out(io_manager_key="receipt_io_manager"))
def await_batch(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    receipt: dict[str, Any],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> dict[str, Any]:
    """Wait for the batches, and for those that complete them."""
    with as_failure():
        if not receipt:
            return {}
        quoted = partial(
            quote, context, haystacks, settings=settings, models=models, tokenizer=tokenizer
        )
        questions = questions_of(haystacks)
        return await_(context, questions, receipt, settings, models, progress, quoted)


@dg.op(pool="evaluation")
def ask_model(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    receipt: dict[str, Any],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> pa.Table:
    """All answers of one model at one context length: collected from batches, or asked for."""
    with as_failure():
        length, slug = current_sweep(context)
        entry = models.registry.get(slug)
        questions = questions_of(haystacks)
        if not fits(entry, length):
            return answered_by(entry, [])
        if receipt:
            return answered_by(entry, collect(context, questions, receipt, settings, models))
        look = partial(
            look_before_asking,
            context,
            haystacks,
            settings=settings,
            models=models,
            tokenizer=tokenizer,
        )
        return ask(context, questions, settings, models, progress, look)


@dg.op(out={"result": dg.Out(pa.Table), CHECK_OUTPUT: dg.Out(dg.Nothing, is_required=False)})
def score_answers(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    anonymized_bios: pa.Table,
    answers: pa.Table,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[pa.Table] | dg.AssetCheckResult]:
    """Score every question, answered or not, and the floor beside them; keep it in the history."""
    with as_failure():
        length, slug = current_sweep(context)
        test = test_rows(haystacks)
        questions = sweep_questions(BIOGRAPHY_TASK, test)
        results = score_table(
            BIOGRAPHY_TASK,
            questions,
            with_floor(BIOGRAPHY_TASK, questions, answers),
            entry=entry_of(answers),
            run_id=context.run_id,
            haystacks_version=metadata.data_version(haystacks),
            hay=_hay(context, anonymized_bios, test),
        )
        shown = metadata.of_results(results, BIOGRAPHY_TASK, settings.seed)
        # First the history: what is stored counts as evaluated, and would not come here again.
        evaluation = History(settings.root).append(results, seed=settings.seed)
    yield metadata.materialized(results, shown)
    yield regression_check(evaluation)
    # Questions that failed keep the round open: the next run asks those alone.
    if not any(POLICY[Outcome(outcome)].asked_again for outcome in results["outcome"].to_pylist()):
        epoch = journal_epoch(context)
        close_batches(settings, length, slug, epoch)
        close_journal(journal_folder(settings, length, slug), epoch, context.run_id)


def _hay(context: dg.OpExecutionContext, bios: pa.Table, test: pa.Table) -> pa.Table | None:
    """What the bios of the haystacks state; None where the bios are others by now."""
    length, _ = current_sweep(context)
    if "anonymized_bios" not in changed_inputs(context.instance, str(length)):
        return hay_table(bios, bios_of(test))
    # The answers are paid for, and right or wrong all the same.
    context.log.warning(
        "anonymized_bios changed since the haystacks of %d were built: which wrong fields were "
        "taken from another text cannot be told",
        length,
    )
    return None


@dg.graph_asset(
    group_name="evaluation",
    partitions_def=sweeps,
    check_specs=[NO_REGRESSION],
    kinds={"openai", "parquet"},
)
def eval_results(haystacks: pa.Table, anonymized_bios: pa.Table) -> dict[str, Any]:
    """One row per question to one model at one context length, and what they compare with.

    ``kind`` tells the rows apart: those of the sweep, and per needle a floor (best constant
    answer), a ceiling (the needle alone) and a closed book (the name alone).
    """
    answers = ask_model(haystacks, await_batch(haystacks, submit_batch(haystacks)))
    result, check = score_answers(haystacks, anonymized_bios, answers)
    return {"result": result, CHECK_OUTPUT: check}


@dg.asset(
    group_name="evaluation",
    ins={"eval_results": dg.AssetIn(metadata={"allow_missing_partitions": True})},
    automation_condition=when_any_partition_arrives,
    kinds={"html"},
)
def leaderboard(
    context: dg.AssetExecutionContext,
    eval_results: dict[str, pa.Table],
    settings: dg.ResourceParam[Settings],
    tokenizer: dg.ResourceParam[Tokenizer],
    models: dg.ResourceParam[Models],
) -> dg.Output[pa.Table]:
    """Mean score of every model at every length with its interval, and the HTML report."""
    with as_failure():
        entries = {entry.slug: entry for entry in models.registry.list()}
        readable, others = of_this_version(BIOGRAPHY_TASK, eval_results)
        current, outdated = of_today(context.instance, readable, entries)
        outdated += others
        if outdated:
            context.log.warning(
                "left out, their haystacks changed since, or their model's entry, or another "
                "version made them: %s",
                outdated,
            )
        results = pa.concat_tables(current)
        tunings = models.registry.tunings()
        evaluations, faults = History(settings.root).legible()
        for fault in faults:
            context.log.warning("left out of the history: %s", fault)
        page = build_report(
            BIOGRAPHY_TASK,
            results,
            provenance(context, settings, tokenizer),
            entries=entries,
            tunings=tunings,
            loss_curves=loss_curves(settings, tunings),
            evaluations=evaluations,
        )
        path = settings.root / "report.html"
        write_atomic(path, page.encode())
        bases = {slug: training.base for slug, training in tunings.items()}
        board = leaderboard_table(results, bases, settings.seed)
        table = pa.Table.from_pandas(board, preserve_index=False)
    return metadata.materialized(
        table,
        {
            "report": dg.MetadataValue.path(str(path)),
            "left_out_as_outdated": ", ".join(outdated) or "none",
            **metadata.of_gains(board),
            **metadata.of_results(
                results,
                BIOGRAPHY_TASK,
                settings.seed,
                {slug: training.context_length for slug, training in tunings.items()},
            ),
        },
    )
