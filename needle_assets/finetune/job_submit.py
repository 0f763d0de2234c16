"""One paid job for one spec, whatever is lost on the way: look, create, look again.

What happens to the job afterwards is `job_wait`'s.
"""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from needle_assets.chat.remote import Clock, Sleep, Trouble, growing_pauses, with_id
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job_calls import Calls
from needle_assets.finetune.job_cancel import cancelled
from needle_assets.finetune.job_records import (
    ENDED,
    JobSpec,
    SubmittedJob,
    by_age,
    fingerprint,
    status_of,
)
from needle_assets.finetune.job_request import METADATA_KEY, job_request
from needle_assets.finetune.providers import Capabilities
from needle_assets.storage import exclusive, write_json

if TYPE_CHECKING:
    from openai import OpenAI


def submit_job(
    client: "OpenAI",
    spec: JobSpec,
    *,
    capabilities: Capabilities,
    notes: UPath | Path | None = None,
    before_create: Callable[[], None] | None = None,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
    patience_s: float = 600.0,
    lag_s: float = 120.0,
    creates: int = 3,
    request_timeout_s: float = 60.0,
) -> SubmittedJob:
    """Create the job of a spec, or find the one that an earlier run created.

    The server's list is searched for the spec's fingerprint before every create. After a create
    whose outcome is unclear (5xx, a lost connection, no answer in time, half an answer) it is
    searched until ``lag_s`` are over, and only then is another create sent. When two runs
    created at the same time, the oldest job is kept and the others are cancelled.

    Where jobs show no metadata, a job is known by its training file, its base model and a suffix
    that ends in the fingerprint's first digits. A server that shows no suffix either is believed
    to have failed each earlier attempt once.

    Args:
        client: of the server that has the spec's files.
        spec: the job.
        capabilities: of the server's provider.
        notes: a folder of the store. In it a run says what it is about to create, so that the
            next one looks longer if this one is killed; and on a local disk it keeps two runs of
            one spec apart.
        before_create: called before the first create, not where the job is there already; what it
            raises passes through, and nothing is created.
        sleep: waits for seconds.
        clock: seconds, for the bounds below.
        patience_s: how long a server that does not answer, or says that it is busy, is asked.
        lag_s: how long after a create its job may be missing from the list.
        creates: sent at most, not counting those refused because the server is busy.
        request_timeout_s: of each request, for any silence of the server.

    Raises:
        FinetuneError: the server refuses or does not answer; or the job of this attempt has
            failed or was cancelled, in which case it says how to pay for another one.
        StorageError: another run is submitting this spec, or the notes cannot be written.
    """
    calls = Calls(
        client,
        sleep=sleep,
        clock=clock,
        request_timeout_s=request_timeout_s,
        patience_s=patience_s,
    )
    submission = _Submission(calls, spec, capabilities, notes, lag_s)
    with submission.alone():
        return submission.run(creates, before_create)


def withdraw_job(
    client: "OpenAI",
    spec: JobSpec,
    *,
    capabilities: Capabilities,
    notes: UPath | Path | None = None,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
    patience_s: float = 60.0,
    lag_s: float = 30.0,
    request_timeout_s: float = 30.0,
) -> tuple[str, ...]:
    """Cancel what a `submit_job` of the spec created that was interrupted, if it did.

    Arguments are `submit_job`'s; one that has ended already is left as it is.

    Returns:
        The ids of the jobs that were cancelled.

    Raises:
        FinetuneError: the server refuses or does not answer.
        StorageError: another run is submitting this spec.
    """
    calls = Calls(
        client,
        sleep=sleep,
        clock=clock,
        request_timeout_s=request_timeout_s,
        patience_s=patience_s,
    )
    submission = _Submission(calls, spec, capabilities, notes, lag_s)
    with submission.alone():
        return submission.withdraw()


class _Submission:
    """The state of one `submit_job`."""

    def __init__(
        self,
        calls: Calls,
        spec: JobSpec,
        provider: Capabilities,
        notes: UPath | Path | None,
        lag_s: float,
    ) -> None:
        self._calls = calls
        self._spec = spec
        self._provider = provider
        self._mark = fingerprint(spec)
        self._note = None if notes is None else UPath(notes) / f"{self._mark[:16]}.json"
        self._lag_s = lag_s
        self._filters = provider.metadata_filter is True
        self._request = job_request(spec, provider, self._mark)
        self._made: list[Any] = []
        self._cancelled: list[str] = []

    def alone(self) -> AbstractContextManager[None]:
        """Hold the spec for the length of a block, where there are notes."""
        what = f"the fine-tune job of {self._spec.model} at {self._spec.context_length} tokens"
        return nullcontext() if self._note is None else exclusive(self._note, what)

    def withdraw(self) -> tuple[str, ...]:
        started, pauses, patient = self._calls.clock(), growing_pauses(), self._under_way()
        while not (matches := self._matches()) and patient:
            left = started + self._lag_s - self._calls.clock()
            if left <= 0:
                break
            self._calls.sleep(min(next(pauses), left))
        for job in matches:
            if status_of(job, self._provider) not in ENDED and self._is_certain(job):
                self._cancel(job.id)
        return tuple(self._cancelled)

    def run(self, creates: int, before_create: Callable[[], None] | None) -> SubmittedJob:
        unclear, busy_since, patient = 0, math.inf, self._under_way()
        pauses = growing_pauses()
        while True:
            found = self._find(patient=patient)
            if found is not None:
                return self._done(found, attached=unclear == 0)
            patient = False
            if unclear == creates:
                raise FinetuneError(
                    f"the server at {self._calls.address} gave no clear answer to {creates} "
                    f"creates of a fine-tune job, and none shows in its list after "
                    f"{self._lag_s:g} s each; look at its own pages for a job with the "
                    f"fingerprint {self._mark[:16]} before running again"
                )
            if before_create is not None:
                before_create()
                before_create = None
            self._write_note(None)
            try:
                self._made.append(self._calls.once(self._create))
            except Trouble as trouble:
                if trouble.status == 429 and trouble.passing:
                    self._forget_note()
                    busy_since = min(busy_since, self._calls.clock())
                    self._calls.bear("take the job", trouble, next(pauses), since=busy_since)
                elif trouble.passing:
                    unclear, patient = unclear + 1, True
                elif not self._simplified(trouble):
                    self._forget_note()
                    raise self._refused(trouble) from None
                continue
            made = self._made[-1]
            # Noted before anything else can go wrong.
            self._write_note(made.id)
            kept = self._settled(made)
            return self._done(kept, attached=kept.id != made.id)

    def _create(self, client: "OpenAI") -> Any:
        return with_id(client.fine_tuning.jobs.create(**self._request))

    def _simplified(self, trouble: Trouble) -> bool:
        """Whether the refused request was one for metadata, which some servers do not take."""
        if trouble.status not in (400, 422) or "metadata" not in trouble.said:
            return False
        return self._request.pop("metadata", None) is not None

    def _refused(self, trouble: Trouble) -> FinetuneError:
        """Why there is no job: of files that are gone, a server does not say how to mend it."""
        for file_id in (self._spec.training_file, self._spec.validation_file):
            if file_id and trouble.status in (400, 404, 422) and self._is_gone(file_id):
                return FinetuneError(
                    f"the server at {self._calls.address} has no file {file_id} any more "
                    f"({trouble.said}); materialize finetune_upload again, which sends it"
                )
        return self._calls.refusal("take the fine-tune job", trouble)

    def _is_gone(self, file_id: str) -> bool:
        try:
            self._calls.once(lambda client: client.files.retrieve(file_id))
        except Trouble as trouble:
            return trouble.status == 404
        return False

    def _find(self, *, patient: bool) -> Any | None:
        """The spec's job; a patient look lasts until the list must have caught up."""
        started, pauses = self._calls.clock(), growing_pauses()
        while True:
            kept = self._kept(self._matches())
            left = started + self._lag_s - self._calls.clock()
            if kept is not None or not patient or left <= 0:
                return kept
            self._calls.sleep(min(next(pauses), left))

    def _settled(self, job: Any) -> Any:
        """The job to keep after a create: another run may have created one, too.

        The list is up to date, as far as older jobs are concerned, once it shows this one.
        """
        started, pauses = self._calls.clock(), growing_pauses()
        while True:
            matches = self._matches()
            left = started + self._lag_s - self._calls.clock()
            if left <= 0 or any(match.id == job.id for match in matches):
                break
            self._calls.sleep(min(next(pauses), left))
        if all(match.id != job.id for match in matches):
            matches.insert(0, job)
        kept = self._kept(matches)
        return job if kept is None else kept

    def _matches(self) -> list[Any]:
        """The spec's jobs, newest first, and the one that the note names."""
        jobs = self._calls.pages("list its jobs", self._list)
        matches = [job for job in jobs if self._is_ours(job)]
        noted = self._noted_id()
        if noted and all(match.id != noted for match in matches):
            job = self._calls.steady(
                f"tell how the job {noted} stands",
                lambda client: _retrieved(client, noted),
            )
            matches += [] if job is None else [job]
        return matches

    def _list(self, client: "OpenAI", arguments: dict[str, Any]) -> Any:
        import openai

        jobs = client.fine_tuning.jobs
        if self._filters:
            try:
                return jobs.list(metadata={METADATA_KEY: self._mark}, **arguments)
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                self._filters = False
        return jobs.list(**arguments)

    def _is_ours(self, job: Any) -> bool:
        metadata = getattr(job, "metadata", None)
        if isinstance(metadata, dict) and METADATA_KEY in metadata:
            return metadata[METADATA_KEY] == self._mark
        if self._provider.job_metadata is True:
            return False
        suffix = _suffix_of(job)
        if suffix is not None:
            return suffix.lower() == self._request["suffix"].lower()
        model = rf"{re.escape(self._spec.model)}(-\d{{4}}-?\d\d-?\d\d)?"
        return (
            getattr(job, "training_file", None) == self._spec.training_file
            and re.fullmatch(model, str(getattr(job, "model", ""))) is not None
            and getattr(job, "seed", None) in (None, self._spec.seed)
        )

    def _is_certain(self, job: Any) -> bool:
        metadata = getattr(job, "metadata", None)
        told = isinstance(metadata, dict) and METADATA_KEY in metadata
        made = any(job.id == made.id for made in self._made)
        return told or made or job.id == self._noted_id() or _suffix_of(job) is not None

    def _kept(self, matches: Sequence[Any]) -> Any | None:
        """The job that stands for the spec; its living twins are cancelled. None: none is.

        Raises:
            FinetuneError: what there is has failed or was cancelled.
        """
        oldest_first = by_age(matches)
        status = {job.id: status_of(job, self._provider) for job in matches}
        living = [job for job in oldest_first if status[job.id] not in ENDED]
        kept = next((job for job in oldest_first if status[job.id] == "succeeded"), None)
        kept = kept or next(iter(living), None)
        if kept is None:
            self._refuse_ended(oldest_first)
            return None
        for twin in living:
            if twin.id != kept.id and self._is_certain(twin):
                self._cancel(twin.id)
        return kept

    def _cancel(self, job_id: str) -> None:
        cancelled(self._calls, job_id, self._provider)
        self._cancelled.append(job_id)

    def _refuse_ended(self, ended: Sequence[Any]) -> None:
        certain = [job for job in ended if self._is_certain(job)]
        if not certain and len(ended) < self._spec.attempt:
            return
        job, attempt = (certain or ended)[-1], self._spec.attempt
        error = getattr(job, "error", None)
        reason = self._calls.public(str(getattr(error, "message", None) or "no reason is given"))
        ending = _ENDINGS[status_of(job, self._provider) or "failed"]
        raise FinetuneError(
            f"the fine-tune job {job.id} at {self._calls.address} is attempt {attempt} of this "
            f"dataset, model and hyperparameters, and it {ending}: {reason}. "
            f"Mend that, then launch with attempt {attempt + 1} to pay for another job"
        )

    def _done(self, job: Any, *, attached: bool) -> SubmittedJob:
        self._write_note(job.id)
        return SubmittedJob(
            job_id=job.id,
            fingerprint=self._mark,
            status=status_of(job, self._provider),
            attached=attached,
            cancelled=tuple(self._cancelled),
        )

    def _under_way(self) -> bool:
        """Whether a run wrote that it creates this job, and was killed before it knew which."""
        return self._note is not None and self._note.exists() and not self._noted_id()

    def _noted_id(self) -> str:
        """The job that an earlier run, or this one, knows of; empty without one."""
        if self._note is None or not self._note.exists():
            return ""
        try:
            noted = json.loads(self._note.read_text())
        except ValueError:
            return ""
        job_id = noted.get("job_id") if isinstance(noted, dict) else None
        return job_id if isinstance(job_id, str) else ""

    def _write_note(self, job_id: str | None) -> None:
        if self._note is not None:
            write_json(self._note, {"fingerprint": self._mark, "job_id": job_id})

    def _forget_note(self) -> None:
        if self._note is not None:
            self._note.unlink(missing_ok=True)


_ENDINGS = {"failed": "failed", "cancelled": "was cancelled"}


def _suffix_of(job: Any) -> str | None:
    """The suffix as the job shows it: a field that OpenAI sends and its SDK does not type."""
    for name in ("user_provided_suffix", "suffix"):
        shown = getattr(job, name, None)
        if isinstance(shown, str) and shown:
            return shown
    return None


def _retrieved(client: "OpenAI", job_id: str) -> Any | None:
    import openai

    try:
        return with_id(client.fine_tuning.jobs.retrieve(job_id))
    except openai.NotFoundError:
        return None
