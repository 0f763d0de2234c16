"""Takes jobs through their life: validates them in order, and trains one at a time per device.

Every decision is made from the records and the jobs' folders, never from memory, so that a server
that was killed goes on by starting. What a step writes is in `life`, the process in
`trainer_process`.
"""

import errno
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Literal

from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.jobs.errors import JobError, WrongStatus
from needle_assets.endpoint.jobs.folder import (
    JobFolder,
    Prepared,
    Refused,
    job_folder,
    job_folders,
)
from needle_assets.endpoint.jobs.life import Life
from needle_assets.endpoint.jobs.progress import Progress
from needle_assets.endpoint.jobs.trainer_process import TrainerProcess, stop_orphans
from needle_assets.endpoint.jobs.validation import LEAST_EXAMPLES, validate_lines
from needle_assets.endpoint.records import ENDED, JobRecord, JobStatus
from needle_assets.endpoint.state import State

__all__ = ["Runner", "WrongStatus"]

_LOG = logging.getLogger(__name__)

DEVICES = 1
"""One trainer uses all GPUs of the machine, or all cores: its launch words divide them."""

_CANCEL_S = 2.0
"""What a trainer has for ending when nobody wants its checkpoint."""

_LOCK_S = 120.0
_JOIN_S = 10.0
_AFTER_ERROR_S = 5.0


class Runner:
    """The threads behind the jobs: one that validates, one for each device.

    Args:
        config: base models, how to train, the home.
        state: the records.
        blobs: the uploaded bytes.
        on_models_changed: called from a thread of the runner once a tuned model is there.
        poll_s: seconds between looks at a trainer's report.
        stop_s: seconds that a trainer has for writing a checkpoint when it is stopped.
    """

    def __init__(
        self,
        config: EndpointConfig,
        state: State,
        blobs: Blobs,
        on_models_changed: Callable[[], None],
        *,
        poll_s: float = 0.2,
        stop_s: float = 10.0,
    ) -> None:
        self._config = config
        self._state = state
        self._blobs = blobs
        self._on_models_changed = on_models_changed
        self._poll_s = poll_s
        self._stop_s = stop_s
        self._life = Life(state, config.home)
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._changes = 0
        self._taken: set[str] = set()
        self._attended: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, or go on with what an earlier server left unfinished. Returns at once."""
        self._begin(self._open, "jobs")

    def close(self) -> None:
        """Stop training with a checkpoint; jobs stay as they are and go on at the next start."""
        self._closing.set()
        self.wake()
        for thread in self._threads:
            # Reading the lines of a large file cannot be cut short; nothing is lost with it.
            thread.join(self._stop_s + _JOIN_S)

    def wake(self) -> None:
        """Look at the jobs now: one was added or changed."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def cancel(self, job_id: str) -> JobRecord:
        """End a job that has not ended; its trainer is stopped shortly after.

        Raises:
            KeyError: there is no such job.
            WrongStatus: it has ended.
        """
        before = self._state.job(job_id)
        job = self._life.cancel(job_id)
        self.wake()
        # One that has a trainer is tidied up by the thread that attends it.
        waited = before is not None and before.status in (JobStatus.QUEUED, JobStatus.PAUSED)
        if waited and job_id not in self._attended:
            self._folder(job).tidy()
        return job

    def pause(self, job_id: str) -> JobRecord:
        """Have a job wait; a running one is stopped with a checkpoint shortly after.

        Raises:
            KeyError: there is no such job.
            WrongStatus: it has ended or is paused.
        """
        job = self._life.pause(job_id)
        self.wake()
        return job

    def resume(self, job_id: str) -> JobRecord:
        """Have a paused job go on from its last checkpoint, before those that never ran.

        Raises:
            KeyError: there is no such job.
            WrongStatus: it is not paused.
        """
        job = self._life.resume(job_id)
        self.wake()
        return job

    # Threads

    def _begin(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open(self) -> None:
        """Clear up after a killed server, then let the work begin."""
        folders = list(job_folders(self._config.home))
        stop_orphans(folders, self._stop_s)
        for folder in folders:
            job = self._state.job(folder.path.name)
            if job is not None and job.status in ENDED:
                folder.tidy()
                # A server may have died between the model's deletion and its files'.
                if self._state.model(job.fine_tuned_model or "") is None:
                    folder.drop_model()
        self._begin(lambda: self._work(self._next_to_validate, self._validate), "validate")
        for device in range(DEVICES):
            self._begin(lambda: self._work(self._next_to_train, self._train), f"train-{device}")

    def _work(
        self, choose: Callable[[], JobRecord | None], do: Callable[[JobRecord], None]
    ) -> None:
        while not self._closing.is_set():
            seen = self._changes
            try:
                job = choose()
                if job is None:
                    self._wait(seen, None)
                else:
                    self._attempt(job, do)
            except Exception:
                # Such as a full disk: nothing can be told, nor is anything lost.
                _LOG.exception("the jobs wait for %g s after an error", _AFTER_ERROR_S)
                self._closing.wait(_AFTER_ERROR_S)

    def _attempt(self, job: JobRecord, do: Callable[[JobRecord], None]) -> None:
        validating = job.status is JobStatus.VALIDATING
        status = JobStatus.VALIDATING if validating else JobStatus.RUNNING
        self._attended.add(job.id)
        try:
            do(job)
        except JobError as reason:
            self._life.fail(job.id, status, reason)
        except Exception as error:
            # The disk's trouble, not the job's: it goes on from its folder when there is room.
            if isinstance(error, sqlite3.Error) or getattr(error, "errno", 0) == errno.ENOSPC:
                raise
            _LOG.exception("job %s", job.id)
            why = f"The server had an error: {type(error).__name__}: {error}"
            self._life.fail(job.id, status, JobError(why, code="server_error"))
        finally:
            with self._changed:
                self._taken.discard(job.id)
            self._attended.discard(job.id)
            now = self._state.job(job.id)
            if now is not None and now.status in ENDED:
                self._folder(job).tidy()
            self.wake()

    def _wait(self, seen: int, timeout_s: float | None) -> None:
        """Wait for the next change after the ``seen`` ones."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._changes != seen or self._closing.is_set(), timeout_s
            )

    # Validation

    def _next_to_validate(self) -> JobRecord | None:
        jobs = self._state.unfinished_jobs()
        return next((job for job in jobs if job.status is JobStatus.VALIDATING), None)

    def _validate(self, job: JobRecord) -> None:
        self._life.validating(job)
        folder = self._folder(job)
        self._take_file(job.training_file, "training_file", folder)
        if job.validation_file:
            self._take_file(job.validation_file, "validation_file", folder)
        if self._status(job) is not JobStatus.VALIDATING:
            return
        try:
            folder.write_spec(job, self._config)
        except KeyError:
            raise _unknown_base(job) from None
        process = self._process("prepare", folder)
        status = self._attend(job, process, JobStatus.VALIDATING, lambda: None)
        if status is None:
            return
        match folder.prepared():
            case Prepared() as prepared:
                self._life.queue(job.id, prepared)
            case Refused(param=param, code=code, message=message):
                raise JobError(message, code=code, param=param or "training_file")
            case None:
                raise process.death(status, "preparing the training")

    def _take_file(
        self, file_id: str, param: Literal["training_file", "validation_file"], folder: JobFolder
    ) -> None:
        """Put an uploaded file into the job's folder, if all of its lines are good."""
        name = folder.training_file if param == "training_file" else folder.validation_file
        code = f"invalid_{param}"
        file = self._state.file(file_id)
        try:
            if file is None:
                raise FileNotFoundError
            folder.take_file(self._blobs.path(file.sha256), name)
        except FileNotFoundError:
            raise JobError(
                f"The {param} {file_id} does not exist any more: it was deleted before the job "
                "could read it. Upload it again and create a new job.",
                code=code,
                param=param,
            ) from None
        least = LEAST_EXAMPLES if param == "training_file" else 1
        found = validate_lines(name, self._config.limits, name=file_id, least=least)
        if found.problems:
            raise JobError(found.message, code=code, param=param)

    # Training

    def _next_to_train(self) -> JobRecord | None:
        """One that a killed server left running, else one that was running, else the oldest."""
        order = {(JobStatus.RUNNING, True): 0, (JobStatus.QUEUED, True): 1}
        with self._changed:
            waiting = [
                job
                for job in self._state.unfinished_jobs()
                if job.status in (JobStatus.RUNNING, JobStatus.QUEUED) and job.id not in self._taken
            ]
            first = min(
                waiting, key=lambda job: order.get((job.status, job.started), 2), default=None
            )
            if first is not None:
                self._taken.add(first.id)
            return first

    def _train(self, job: JobRecord) -> None:
        left_running = job.status is JobStatus.RUNNING
        if not left_running and not self._life.start(job.id):
            return
        if job.base not in self._config.models:
            raise _unknown_base(job)
        folder = self._folder(job)
        prepared = folder.prepared()
        if not isinstance(prepared, Prepared):
            raise JobError(
                f"{folder.path / 'prepared.json'} is gone or damaged: create the job again.",
                code="server_error",
            )
        progress = Progress(folder, job.id)
        if not self._alone(job, folder):
            return
        folder.mend_progress()
        if self._settled(job, prepared, folder, progress):
            return
        if left_running:
            self._life.went_on(job.id, "The server was restarted")
        while True:
            stopped_at = progress.stopped_at
            process = self._process("train", folder)
            status = self._attend(
                job, process, JobStatus.RUNNING, lambda: self._take_in(job, progress)
            )
            if status is None or self._settled(job, prepared, folder, progress):
                return
            # A machine that shuts down tells the trainer too, perhaps before this server. Only
            # one that gets nowhere between two stops is not tried again.
            if status != 0 or progress.stopped_at in (None, stopped_at):
                raise process.death(status, "training")
            self._life.went_on(job.id, "The trainer was stopped from outside")

    def _alone(self, job: JobRecord, folder: JobFolder) -> bool:
        """Wait until no other trainer is in the folder; False when the job is not to run now."""
        deadline = time.monotonic() + _LOCK_S
        while folder.locked():
            if self._closing.is_set() or self._status(job) is not JobStatus.RUNNING:
                return False
            if time.monotonic() > deadline:
                raise JobError(
                    f"Another trainer holds {folder.path / 'trainer.lock'}: end it, and create "
                    "the job again.",
                    code="server_error",
                )
            self._wait(self._changes, self._poll_s)
        return True

    def _settled(
        self, job: JobRecord, prepared: Prepared, folder: JobFolder, progress: Progress
    ) -> bool:
        """Whether the folder says how the job ended; if so, it has."""
        self._take_in(job, progress)
        result = folder.result()
        if result is not None:
            if not folder.adapter.is_file():
                missing = f"The trainer left no adapter at {folder.adapter}."
                raise JobError(missing, code="training_failed")
            if self._life.succeed(job, prepared, result):
                self._on_models_changed()
            return True
        if progress.failure is not None:
            raise JobError(progress.failure, code="training_failed")
        return False

    def _take_in(self, job: JobRecord, progress: Progress) -> None:
        eta_s = progress.take_in(self._state)
        if eta_s is not None:
            self._life.finish_at(job.id, int(time.time()) + eta_s)

    # Both

    def _process(self, verb: Literal["prepare", "train"], folder: JobFolder) -> TrainerProcess:
        try:
            return TrainerProcess(self._config.training, verb, folder)
        except EndpointError as error:
            raise JobError(str(error), code="trainer_unavailable") from None

    def _attend(
        self,
        job: JobRecord,
        process: TrainerProcess,
        expected: JobStatus,
        look: Callable[[], None],
    ) -> int | None:
        """Stay with a process to its end: its exit status, or None where it was ended from here."""
        try:
            while True:
                seen = self._changes
                status = process.ended()
                if status is not None:
                    return status
                look()
                now = self._status(job)
                if now is JobStatus.CANCELLED:
                    process.stop(_CANCEL_S)
                elif now is not expected or self._closing.is_set():
                    process.stop(self._stop_s if expected is JobStatus.RUNNING else _CANCEL_S)
                else:
                    self._wait(seen, self._poll_s)
                    continue
                look()
                return None
        except BaseException:
            process.stop(0)
            raise

    def _status(self, job: JobRecord) -> JobStatus | None:
        now = self._state.job(job.id)
        return now.status if now else None

    def _folder(self, job: JobRecord) -> JobFolder:
        return job_folder(self._config.home, job.id)


def _unknown_base(job: JobRecord) -> JobError:
    return JobError(
        f"The base model {job.base} is not configured any more: put it back into the endpoint's "
        "configuration and create the job again.",
        code="model_not_found",
    )
