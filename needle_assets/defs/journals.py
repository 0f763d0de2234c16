"""Which journal an evaluation writes, and when it is over.

A run that died, or in which questions failed, resumes the open journal of its (length, model). A
finished evaluation closes it, so that whoever materializes the partition again gets fresh answers;
a scheduled one has a journal of its own from the start. What a journal is, is
`evaluation.journal`'s.
"""

from pathlib import Path

import dagster as dg

from needle_assets.settings import Settings

EVALUATION_TAG = "needle/evaluation"
"""Run tag that names the round, set by schedules."""

_OPEN = "open"


def journal_folder(settings: Settings, context_length: int, model: str) -> Path:
    """Where the journals of one partition of ``eval_results`` lie."""
    return settings.scratch / "journals" / str(context_length) / model


def journal_epoch(context: dg.OpExecutionContext) -> str:
    """The round that this run belongs to."""
    return context.run.tags.get(EVALUATION_TAG, _OPEN)


def close_journal(folder: Path, epoch: str, run_id: str) -> None:
    """Put a finished round's answers aside under its run."""
    path = folder / f"{epoch}.jsonl"
    if path.exists():
        path.rename(folder / f"{run_id}.jsonl")
