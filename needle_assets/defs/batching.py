"""What the ops of `eval_results` do where a model is asked through batches: submit, await, collect.

How a batch is made and read is `evaluation.batch`'s; which journal is written, `journals`'.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import dagster as dg
from upath import UPath

from needle_assets.defs.finetuning import cancelled_with_run
from needle_assets.defs.journals import journal_epoch, journal_folder
from needle_assets.defs.partitions import current_sweep
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Models
from needle_assets.evaluation.batch import (
    BatchReceipt,
    BatchSweep,
    BeforeCreate,
    batch_sweep,
    end_round,
)
from needle_assets.evaluation.journal import Answer, Journal, open_journal
from needle_assets.evaluation.registry import fits
from needle_assets.evaluation.requests import Question
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings


def batched(context: dg.OpExecutionContext, models: Models) -> bool:
    """Whether this partition's questions go through batches."""
    length, slug = current_sweep(context)
    entry = models.registry.get(slug)
    return entry.batch and fits(entry, length)


def batch_note(settings: Settings, context_length: int, model: str, epoch: str) -> UPath:
    """Where a round notes what it pays for: in the store, not with the journals in scratch.

    A run that goes on at another machine has the store alone.
    """
    return settings.root / "evaluation" / str(context_length) / model / f"{epoch}.json"


def submit(
    context: dg.OpExecutionContext,
    questions: Sequence[Question],
    settings: Settings,
    models: Models,
    before_create: BeforeCreate | None = None,
) -> dict[str, Any]:
    """Have batches for what the round's journal has no answer to; returns their receipt.

    Args:
        context: of an op of one partition.
        questions: all of the partition.
        settings: of the project.
        models: the registered ones.
        before_create: what it raises passes through, and nothing is created.

    Raises:
        EvaluationError: the server refuses, does not answer, or has no batches.
        StorageError: another run is asking this model, or nothing can be written.
    """
    with (
        _journal(context, settings)() as journal,
        _sweep(context, questions, settings, models) as (sweep),
    ):
        receipt = sweep.submit(journal, before_create=before_create)
    _tell(context, receipt)
    return receipt.model_dump(mode="json")


def await_(
    context: dg.OpExecutionContext,
    questions: Sequence[Question],
    receipt: dict[str, Any],
    settings: Settings,
    models: Models,
    progress: ProgressFactory,
    before_create: BeforeCreate | None = None,
) -> dict[str, Any]:
    """Wait until the batches have ended, and those that complete them, too.

    Args:
        context: as for `submit`, as are the others that are not here.
        questions: all of the partition.
        receipt: of `submit`; or an older one, whose batches were completed since.
        settings: of the project.
        models: the registered ones.
        progress: makes the callback that is told how many questions are done.
        before_create: as for `submit`, before each further batch.

    Raises:
        EvaluationError: as `submit`; or the time is over, or a batch was refused or cancelled.
        StorageError: as `submit`.
    """
    length, slug = current_sweep(context)
    newest = BatchReceipt.model_validate(receipt)

    def tell(submitted: BatchReceipt) -> None:
        nonlocal newest
        newest = submitted
        _tell(context, submitted)

    with (
        _sweep(context, questions, settings, models) as sweep,
        cancelled_with_run(context, settings, lambda: sweep.cancel(newest)),
    ):
        ended = sweep.complete(
            newest,
            _journal(context, settings),
            timeout_s=settings.batch_timeout_s,
            on_progress=progress(f"Batches to {slug} at {length}"),
            on_submit=tell,
            before_create=before_create,
        )
    return ended.model_dump(mode="json")


def collect(
    context: dg.OpExecutionContext,
    questions: Sequence[Question],
    receipt: dict[str, Any],
    settings: Settings,
    models: Models,
) -> list[Answer]:
    """The answers to all questions, in their order. Nothing is asked.

    Raises:
        EvaluationError: the server refuses or does not answer.
        StorageError: another run is asking this model, or the journal cannot be written.
    """
    with (
        _journal(context, settings)() as journal,
        _sweep(context, questions, settings, models) as (sweep),
    ):
        return sweep.answers(BatchReceipt.model_validate(receipt), journal)


def close_batches(settings: Settings, context_length: int, model: str, epoch: str) -> None:
    """End a finished round's batches; to be called before its journal is closed."""
    end_round(batch_note(settings, context_length, model, epoch))


@contextmanager
def _sweep(
    context: dg.OpExecutionContext,
    questions: Sequence[Question],
    settings: Settings,
    models: Models,
) -> Iterator[BatchSweep]:
    length, slug = current_sweep(context)
    with (
        models.connect(slug) as connection,
        batch_sweep(
            questions,
            entry=connection.entry,
            base_url=connection.base_url,
            api_key=connection.api_key,
            task=BIOGRAPHY_TASK,
            max_completion_tokens=settings.answer_tokens,
            seed=settings.seed,
            # The note tells whoever goes on with a round how it is called. By the first run's id, a
            # run that is executed again after its round was over would find the old answers.
            name=f"{length}/{slug}/{context.run_id}",
            notes=batch_note(settings, length, slug, journal_epoch(context)),
            timeout_s=settings.request_timeout_s,
            warn=context.log.warning,
        ) as sweep,
    ):
        yield sweep


def _journal(
    context: dg.OpExecutionContext, settings: Settings
) -> Callable[[], AbstractContextManager[Journal]]:
    length, slug = current_sweep(context)
    folder = journal_folder(settings, length, slug)
    return partial(open_journal, folder, journal_epoch(context))


def _tell(context: dg.OpExecutionContext, receipt: BatchReceipt) -> None:
    """Say in the log and in the asset's history which batches there are."""
    if not receipt.batches:
        return
    ids = [batch.batch_id for batch in receipt.newest]
    questions = sum(batch.requests for batch in receipt.newest)
    context.log.info("%d questions in batches, attempt %d: %s", questions, receipt.attempt, ids)
    context.log_event(
        dg.AssetObservation(
            "eval_results",
            partition=context.partition_key,
            metadata={
                "batches": ", ".join(ids),
                "questions": questions,
                "attempt": receipt.attempt,
                "round": receipt.name,
                "destination": receipt.destination,
            },
        )
    )
