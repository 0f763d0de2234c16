"""The steps of a job's life: each checks the status, changes it and tells it as one transaction.

Which step is due when is decided in `runner`.
"""

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from needle_assets.endpoint.jobs.errors import JobError, WrongStatus
from needle_assets.endpoint.jobs.folder import Prepared, Result, job_folder
from needle_assets.endpoint.jobs.progress import event
from needle_assets.endpoint.records import (
    ENDED,
    Hyperparameters,
    JobRecord,
    JobStatus,
    ModelRecord,
)
from needle_assets.endpoint.state import State

_GOING = frozenset(JobStatus) - ENDED


@dataclass(frozen=True)
class Life:
    """What can happen to jobs."""

    state: State
    home: Path

    def validating(self, job: JobRecord) -> None:
        """Tell that its files are looked at."""
        with self.state.transaction():
            self.state.add_event(event(job.id, "created", f"Created fine-tuning job: {job.id}"))
            said = f"Validating training file: {job.training_file}"
            if job.validation_file:
                said += f" and validation file: {job.validation_file}"
            self.state.add_event(event(job.id, "validating", said))

    def queue(self, job_id: str, prepared: Prepared) -> bool:
        """Its files are good: it waits for a device."""
        with self.state.transaction():
            changed = self.state.change_job(
                job_id,
                {JobStatus.VALIDATING},
                status=JobStatus.QUEUED,
                hyperparameters=_decided(prepared),
            )
            if changed is None:
                return False
            self.state.add_event(
                event(
                    job_id,
                    "queued",
                    f"Files validated, moving job to queued state: {prepared.examples} examples, "
                    f"{prepared.tokens} tokens an epoch, the longest example "
                    f"{prepared.longest_tokens} tokens of a context window of "
                    f"{prepared.context_window}",
                )
            )
            return True

    def start(self, job_id: str) -> bool:
        """A device is free: it runs."""
        with self.state.transaction():
            job = self.state.job(job_id)
            if job is None or job.status is not JobStatus.QUEUED:
                return False
            self.state.change_job(
                job_id, {JobStatus.QUEUED}, status=JobStatus.RUNNING, started=True
            )
            if not job.started:
                self.state.add_event(event(job_id, "started", "Fine-tuning job started"))
            return True

    def went_on(self, job_id: str, why: str) -> None:
        """Tell that training goes on from the last checkpoint."""
        self.state.add_event(
            event(
                job_id, _once(), f"{why}: training goes on from the last checkpoint", level="warn"
            )
        )

    def finish_at(self, job_id: str, time_s: int) -> None:
        """Say when it may be done."""
        self.state.change_job(job_id, {JobStatus.RUNNING}, estimated_finish=time_s)

    def succeed(self, job: JobRecord, prepared: Prepared, result: Result) -> bool:
        """Its adapter is there: job and model become one truth at once."""
        name = f"ft:{job.base}:{job.suffix or ''}:{job.id[-8:]}"
        model = ModelRecord(
            id=name,
            base=job.base,
            created_at=int(time.time()),
            job_id=job.id,
            adapter=job_folder(self.home, job.id).adapter,
            context_window=prepared.context_window,
            rope=prepared.rope,
        )
        with self.state.transaction():
            if not self._end(
                job.id,
                {JobStatus.RUNNING},
                JobStatus.SUCCEEDED,
                fine_tuned_model=name,
                trained_tokens=result.trained_tokens,
            ):
                return False
            self.state.add_model(model)
            self.state.add_event(event(job.id, "model", f"New fine-tuned model created: {name}"))
            said = "The job has successfully completed"
            self.state.add_event(event(job.id, "succeeded", said))
            return True

    def fail(self, job_id: str, expected: JobStatus, reason: JobError) -> bool:
        """It cannot go on."""
        with self.state.transaction():
            if not self._end(
                job_id,
                {expected},
                JobStatus.FAILED,
                error_code=reason.code,
                error_message=str(reason),
                error_param=reason.param,
            ):
                return False
            said = f"The job failed: {reason}"
            self.state.add_event(event(job_id, "failed", said, level="error"))
            return True

    def cancel(self, job_id: str) -> JobRecord:
        """The user does not want it any more."""
        with self.state.transaction():
            job = self._required(job_id, _GOING, "cancelled")
            self._end(job_id, {job.status}, JobStatus.CANCELLED)
            self.state.add_event(event(job_id, "cancelled", "The job has been cancelled"))
            return self._as_it_is(job_id)

    def pause(self, job_id: str) -> JobRecord:
        """The user wants it to wait."""
        with self.state.transaction():
            job = self._required(job_id, _GOING - {JobStatus.PAUSED}, "paused")
            self.state.change_job(
                job_id, {job.status}, status=JobStatus.PAUSED, estimated_finish=None
            )
            self.state.add_event(event(job_id, _once(), "The job has been paused"))
            return self._as_it_is(job_id)

    def resume(self, job_id: str) -> JobRecord:
        """The user wants it to go on: where it was, or from the start if it was nowhere yet."""
        prepared = job_folder(self.home, job_id).prepared()
        with self.state.transaction():
            job = self._required(job_id, {JobStatus.PAUSED}, "resumed")
            if isinstance(prepared, Prepared):
                changes = {"status": JobStatus.QUEUED, "hyperparameters": _decided(prepared)}
            else:
                changes = {"status": JobStatus.VALIDATING}
            self.state.change_job(job.id, {JobStatus.PAUSED}, **changes)
            self.state.add_event(event(job_id, _once(), "The job has been resumed"))
            return self._as_it_is(job_id)

    def _end(
        self,
        job_id: str,
        expected: Collection[JobStatus],
        status: JobStatus,
        **changes: object,
    ) -> bool:
        changed = self.state.change_job(
            job_id,
            expected,
            status=status,
            finished_at=int(time.time()),
            estimated_finish=None,
            **changes,
        )
        return changed is not None

    def _required(
        self,
        job_id: str,
        expected: Collection[JobStatus],
        what: Literal["cancelled", "paused", "resumed"],
    ) -> JobRecord:
        job = self._as_it_is(job_id)
        if job.status not in expected:
            fit = ", ".join(status for status in JobStatus if status in expected)
            raise WrongStatus(
                f"Job {job_id} is {job.status}: it can be {what} only while it is {fit}."
            )
        return job

    def _as_it_is(self, job_id: str) -> JobRecord:
        job = self.state.job(job_id)
        if job is None:
            raise KeyError(job_id)
        return job


def _decided(prepared: Prepared) -> Hyperparameters:
    return Hyperparameters(
        n_epochs=prepared.n_epochs,
        batch_size=prepared.batch_size,
        learning_rate_multiplier=prepared.learning_rate_multiplier,
    )


def _once() -> str:
    """A key for what may well happen again."""
    return uuid.uuid4().hex
