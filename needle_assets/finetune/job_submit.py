"""One paid job for one spec, whatever is lost on the way: look, create, look again.

What happens to the job afterwards is `job_wait`'s.
"""

import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job_calls import Calls, Clock, Sleep, Trouble, growing_pauses, with_id
from needle_assets.finetune.job_cancel import cancelled
from needle_assets.finetune.job_records import (
    ENDED,
    JobSpec,
    SubmittedJob,
    by_age,
    fingerprint,
    status_of,
)
from needle_assets.finetune.providers import Capabilities
from needle_assets.storage import exclusive, write_json

if TYPE_CHECKING:
    from openai import OpenAI

METADATA_KEY = "needle_fingerprint"
"""Under which a job's metadata holds its fingerprint."""

_MARK = 8
"""Hex digits of the fingerprint that end the suffix where metadata may not be kept."""

_LARGEST_RATE = 0.05
"""No learning rate is larger; multipliers of ten times less are unheard of."""


def submit_job(
    client: "OpenAI",
    spec: JobSpec,
    *,
    capabilities: Capabilities,
    notes: UPath | Path | None = None,
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
    mark = fingerprint(spec)
    note = None if notes is None else UPath(notes) / f"{mark[:16]}.json"
    calls = Calls(client, sleep=sleep, clock=clock, request_timeout_s=request_timeout_s)
    submission = _Submission(calls, spec, capabilities, note, patience_s, lag_s)
    what = f"the fine-tune job of {spec.model} at {spec.context_length} tokens"
    with nullcontext() if note is None else exclusive(note, what):
        return submission.run(creates)


class _Submission:
    """The state of one `submit_job`."""

    def __init__(
        self,
        calls: Calls,
        spec: JobSpec,
        provider: Capabilities,
        note: UPath | None,
        patience_s: float,
        lag_s: float,
    ) -> None:
        self._calls = calls
        self._spec = spec
        self._provider = provider
        self._note = note
        self._patience_s = patience_s
        self._lag_s = lag_s
        self._mark = fingerprint(spec)
        self._filters = provider.metadata_filter is True
        self._request = _request(spec, provider, self._mark)
        self._made: list[Any] = []
        self._cancelled: list[str] = []

    def run(self, creates: int) -> SubmittedJob:
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
            self._write_note(None)
            try:
                self._made.append(self._calls.once(self._create))
            except Trouble as trouble:
                if trouble.status == 429 and trouble.passing:
                    self._forget_note()
                    busy_since = min(busy_since, self._calls.clock())
                    pause = max(next(pauses), trouble.retry_after_s or 0.0)
                    if self._calls.clock() + pause - busy_since > self._patience_s:
                        raise self._calls.out_of_patience("take the job", trouble) from None
                    self._calls.sleep(pause)
                elif trouble.passing:
                    unclear, patient = unclear + 1, True
                elif not self._simplified(trouble):
                    self._forget_note()
                    raise self._calls.refusal("take the fine-tune job", trouble) from None
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
        jobs = self._calls.pages("list its jobs", self._list, patience_s=self._patience_s)
        matches = [job for job in jobs if self._is_ours(job)]
        noted = self._noted_id()
        if noted and all(match.id != noted for match in matches):
            job = self._calls.steady(
                f"tell how the job {noted} stands",
                lambda client: _retrieved(client, noted),
                patience_s=self._patience_s,
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
                cancelled(self._calls, twin.id, self._provider, patience_s=self._patience_s)
                self._cancelled.append(twin.id)
        return kept

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


def _request(spec: JobSpec, provider: Capabilities, mark: str) -> dict[str, Any]:
    """The body of the create.

    Raises:
        FinetuneError: the learning rate is a multiplier where the provider takes the rate itself.
    """
    rate_name = "learning_rate_multiplier"
    if provider.learning_rate == "absolute":
        rate_name = "learning_rate"
        rate = spec.learning_rate_multiplier
        if rate != "auto" and rate > _LARGEST_RATE:
            raise FinetuneError(
                f"{provider.name} takes a learning rate, not a multiplier: {rate:g} is far too "
                'much for one; give a number such as 1e-5, or "auto"'
            )
    values = {
        "n_epochs": spec.n_epochs,
        "batch_size": spec.batch_size,
        rate_name: spec.learning_rate_multiplier,
    }
    # What is left out is decided by every server; not every one knows the word "auto".
    values = {name: value for name, value in values.items() if value != "auto"}
    request: dict[str, Any] = {
        "model": spec.model,
        "training_file": spec.training_file,
        "seed": spec.seed,
    }
    if spec.validation_file is not None:
        request["validation_file"] = spec.validation_file
    if provider.job_metadata is True:
        # OpenAI's API got `method` shortly after `metadata`: copies of an older one know the flat
        # form alone, and would train with their own values without a word.
        request["method"] = {"type": "supervised", "supervised": {"hyperparameters": values}}
        request |= {"suffix": spec.suffix} if spec.suffix else {}
    else:
        request["hyperparameters"] = values
        request["suffix"] = f"{spec.suffix[: 63 - _MARK]}-{mark[:_MARK]}".lstrip("-")
    # Unknown servers are told too; most ignore what they do not know.
    if provider.job_metadata is not False:
        request["metadata"] = {METADATA_KEY: mark}
    return request


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
