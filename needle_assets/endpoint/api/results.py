"""A job's metrics as a file, as OpenAI's result_files: one row per step, in CSV."""

import csv
import io

from needle_assets.endpoint.api.storage import RESULTS, FileStore
from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.records import EventRecord, JobRecord, JobStatus
from needle_assets.endpoint.state import State

COLUMNS = (
    "step",
    "train_loss",
    "valid_loss",
    "learning_rate",
    "tokens_per_second",
    "trained_tokens",
)

_BATCH = 1000


def with_results(job: JobRecord, state: State, blobs: Blobs, files: FileStore) -> JobRecord:
    """The job, with its result file if it succeeded: made now if it was not yet."""
    if job.status != JobStatus.SUCCEEDED or job.result_file:
        return job
    table = _table(_metrics(job.id, state))
    with blobs.writer() as writer:
        writer.write(table)
        record = files.keep(writer, filename="step_metrics.csv", purpose=RESULTS)
        with state.transaction():
            now = state.job(job.id)
            if now is None or now.result_file:
                # Another request made it at the same time.
                state.delete_file(record.id)
                return now or job
            return state.change_job(job.id, [JobStatus.SUCCEEDED], result_file=record.id) or now


def _metrics(job_id: str, state: State) -> list[EventRecord]:
    """Events of type metrics, oldest first."""
    events: list[EventRecord] = []
    after = None
    while batch := state.events(job_id, after=after, limit=_BATCH):
        events += [event for event in batch if event.type == "metrics"]
        after = batch[-1].id
    return events[::-1]


def _table(events: list[EventRecord]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    # After a resume a step may be told again: the last word counts.
    steps = {event.data.get("step"): event.data for event in events}
    writer.writerows(steps.values())
    return text.getvalue().encode()
