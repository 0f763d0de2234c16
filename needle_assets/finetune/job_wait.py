"""Waiting for a remote job: polls, its events, and what to tell when it does not go on.

How the job came to be is `job_submit`'s.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from needle_assets.chat.remote import Clock, Sleep, Trouble, growing_pauses, with_id
from needle_assets.finetune.curve import Curve, curve_of_result_file, merged
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job_calls import Calls
from needle_assets.finetune.job_records import (
    ENDED,
    WAITING,
    FinishedJob,
    Hyperparameters,
    Progress,
    by_age,
    status_of,
)
from needle_assets.finetune.providers import Capabilities, Status

if TYPE_CHECKING:
    from openai import OpenAI

_SHORTEST_POLL_S = 1.0
_LONGEST_POLL_S = 60.0

_POLL_SHARE = 0.05
"""A pause is this share of the time waited: the end of a job is noticed 5 % late at most."""

_ABSENT_S = 60.0
"""How long a job or a model that was just made may be answered 404."""

_RETIRED_CODES = frozenset(
    ["model_not_found", "model_not_available", "model_retired", "model_deprecated"]
)


def await_job(
    client: "OpenAI",
    job_id: str,
    *,
    capabilities: Capabilities,
    on_progress: Callable[[Progress], None] | None = None,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
    now: Clock = time.time,
    deadline_s: float = 86_400.0,
    stuck_after_s: float = 21_600.0,
    patience_s: float = 900.0,
    request_timeout_s: float = 30.0,
    raise_when_paused: bool = False,
) -> FinishedJob:
    """Wait until a job has succeeded and its model is there.

    Whatever interrupts the wait (a KeyboardInterrupt, an exception of ``on_progress``) passes
    through; the job goes on, and another call attaches to it again.

    Args:
        client: of the server that runs the job.
        job_id: the job.
        capabilities: of the server's provider.
        on_progress: called after every poll.
        sleep: waits for seconds.
        clock: seconds, for the bounds below.
        now: seconds since 1970, compared with the server's estimate of the end.
        deadline_s: the whole wait at most.
        stuck_after_s: how long the job may be validated or queued in one go.
        patience_s: how long polls may fail one after the other.
        request_timeout_s: of each request, for any silence of the server.
        raise_when_paused: whether a paused job ends the wait; otherwise it is waited for.

    Raises:
        FinetuneError: the job failed, was cancelled, is stuck, paused (as asked for) or not
            there; its model is gone; the deadline is over; or the server refuses or does not
            answer. The message says which, with the server's own reason, and what to do.
    """
    calls = Calls(
        client,
        sleep=sleep,
        clock=clock,
        request_timeout_s=request_timeout_s,
        patience_s=patience_s,
    )
    return _Wait(calls, job_id, capabilities, now).run(
        on_progress,
        deadline_s=deadline_s,
        stuck_after_s=stuck_after_s,
        raise_when_paused=raise_when_paused,
    )


class _Wait:
    """The state of one `await_job`."""

    def __init__(self, calls: Calls, job_id: str, provider: Capabilities, now: Clock) -> None:
        self._calls = calls
        self._job_id = job_id
        self._provider = provider
        self._now = now
        self._started = calls.clock()
        self._events = _Events(calls, job_id)
        self._name = f"the fine-tune job {job_id} at {calls.address}"

    def run(
        self,
        on_progress: Callable[[Progress], None] | None,
        *,
        deadline_s: float,
        stuck_after_s: float,
        raise_when_paused: bool,
    ) -> FinishedJob:
        moving_since = self._started
        while True:
            left = self._started + deadline_s - self._calls.clock()
            job = self._poll(min(self._calls.patience_s, max(left, 0.0)))
            status = status_of(job, self._provider)
            self._events.fetch()
            if on_progress is not None:
                on_progress(self._progress(job, status))
            if status in ENDED:
                return self._finished(job, status)
            seconds = self._calls.clock()
            if status not in WAITING:
                moving_since = seconds
            if status == "paused" and raise_when_paused:
                raise FinetuneError(f"{self._name} is paused: resume it there, then run again")
            if seconds - moving_since >= stuck_after_s:
                raise self._stuck(job, seconds - moving_since)
            left = self._started + deadline_s - seconds
            if left <= 0:
                raise self._late(job, status, deadline_s)
            self._calls.sleep(min(self._pause(job), left))

    def _poll(self, patience_s: float) -> Any:
        import openai

        def ask(client: "OpenAI") -> Any | None:
            try:
                return with_id(client.fine_tuning.jobs.retrieve(self._job_id))
            except openai.NotFoundError:
                return None

        job = self._until_there(f"tell how the job {self._job_id} stands", ask, patience_s)
        if job is None:
            raise FinetuneError(
                f"the server at {self._calls.address} has no job {self._job_id}: it was deleted, "
                "or the address or the key belongs to another account"
            )
        return job

    def _until_there(
        self, aim: str, ask: "Callable[[OpenAI], Any | None]", patience_s: float
    ) -> Any | None:
        """What is asked for; None where it stays away longer than a list may lag."""
        started, pauses = self._calls.clock(), growing_pauses()
        while True:
            answer = self._calls.steady(aim, ask, patience_s=patience_s)
            pause = next(pauses)
            late = self._calls.clock() + pause - started > min(_ABSENT_S, patience_s)
            if answer is not None or late:
                return answer
            self._calls.sleep(pause)

    def _pause(self, job: Any) -> float:
        waited = self._calls.clock() - self._started
        pause = _POLL_SHARE * waited
        estimate = getattr(job, "estimated_finish", None)
        if isinstance(estimate, int) and (left := estimate - self._now()) > 0:
            # Half the way each time: close to the end when it comes, whatever went before.
            pause = min(pause, left / 2)
        return min(max(pause, _SHORTEST_POLL_S), _LONGEST_POLL_S)

    def _progress(self, job: Any, status: Status | None) -> Progress:
        estimate = getattr(job, "estimated_finish", None)
        return Progress(
            job_id=self._job_id,
            status=status,
            said=str(getattr(job, "status", None)),
            seconds=self._calls.clock() - self._started,
            curve=self._events.curve,
            message=self._events.message,
            estimated_finish=estimate if isinstance(estimate, int) else None,
        )

    def _finished(self, job: Any, status: Status | None) -> FinishedJob:
        if status == "cancelled":
            raise FinetuneError(
                f"{self._name} was cancelled; launch it with the next attempt to pay for another"
            )
        if status == "failed":
            raise self._failed(job)
        model = self._model(job)
        found = self._found_model(model)
        # As vLLM and our own endpoint tell it.
        window = getattr(found, "max_model_len", None)
        tokens = getattr(job, "trained_tokens", None)
        finished_at = getattr(job, "finished_at", None)
        return FinishedJob(
            job_id=self._job_id,
            status="succeeded",
            fine_tuned_model=model,
            trained_tokens=tokens if isinstance(tokens, int) else None,
            curve=self._curve(job),
            seconds=self._calls.clock() - self._started,
            created_at=int(getattr(job, "created_at", 0) or 0),
            finished_at=finished_at if isinstance(finished_at, int) else None,
            hyperparameters=_hyperparameters(job),
            context_window=window if isinstance(window, int) else None,
        )

    def _failed(self, job: Any) -> FinetuneError:
        error = getattr(job, "error", None)
        code = str(getattr(error, "code", None) or "")
        said = str(getattr(error, "message", None) or self._events.message or "no reason is given")
        reason = self._calls.public(f"{code}: {said}" if code else said)
        if code in _RETIRED_CODES:
            return FinetuneError(
                f"{self._name} failed because its base model {getattr(job, 'model', '')!r} is not "
                f"offered any more ({reason}); choose another base model"
            )
        return FinetuneError(
            f"{self._name} failed: {reason}. Mend that, then launch it with the next attempt"
        )

    def _model(self, job: Any) -> str:
        model = getattr(job, "fine_tuned_model", None)
        if not isinstance(model, str) or not model:
            raise FinetuneError(
                f"{self._name} succeeded, but names no model: look at its page for what it left"
            )
        return model

    def _found_model(self, model: str) -> Any | None:
        """What its server tells of the model; None where it may have to be deployed first.

        Raises:
            FinetuneError: it is not there, where every tuned model is served as it is.
        """
        if self._provider.serves_tuned is False:
            return None
        import openai

        def ask(client: "OpenAI") -> Any | None:
            try:
                return with_id(client.models.retrieve(model))
            except openai.NotFoundError:
                return None

        if self._provider.serves_tuned is None:
            try:
                return self._calls.once(ask)
            except Trouble:
                return None
        found = self._until_there(f"tell whether it has {model}", ask, 5 * _ABSENT_S)
        if found is None:
            raise FinetuneError(
                f"{self._name} succeeded, but its model {model!r} is not there any more: it was "
                "retired or deleted. Choose another base model, or launch with the next attempt"
            )
        return found

    def _curve(self, job: Any) -> Curve:
        """By the events; by the first result file that holds one, where events tell nothing."""
        if self._events.incomplete:
            self._events.fetch(patience_s=_ABSENT_S)
        if self._events.curve:
            return self._events.curve
        for file in getattr(job, "result_files", None) or ():
            file_id = getattr(file, "id", file)
            try:
                content = self._calls.once(
                    lambda client, name=str(file_id): client.files.content(name).content  # type: ignore[misc]
                )
            except Trouble:
                continue
            if curve := curve_of_result_file(content):
                return curve
        return ()

    def _stuck(self, job: Any, seconds: float) -> FinetuneError:
        return FinetuneError(
            f"{self._name} has been {getattr(job, 'status', None)} for {seconds:.0f} s and nothing "
            "happens: look at the server's own status page; run again to wait on, which pays for "
            "nothing, or cancel the job and launch it with the next attempt"
        )

    def _late(self, job: Any, status: Status | None, deadline_s: float) -> FinetuneError:
        paused = ": resume it there" if status == "paused" else ""
        return FinetuneError(
            f"{self._name} is still {getattr(job, 'status', None)} after {deadline_s:.0f} s, the "
            f"time that it was given{paused}. It goes on there; run again to wait on, which pays "
            "for nothing, or cancel it"
        )


class _Events:
    """What a job has told so far. Troubles with events never end a wait."""

    def __init__(self, calls: Calls, job_id: str) -> None:
        self.curve: Curve = ()
        self.message = ""
        self.incomplete = False
        """Whether the last fetch met a trouble."""
        self._calls = calls
        self._job_id = job_id
        self._seen: set[str] = set()

    def fetch(self, *, patience_s: float = 0.0) -> None:
        """Take what is new. The list is newest first, so it ends at the first one known."""
        fresh = []
        try:
            for event in self._calls.pages("list its events", self._page, patience_s=patience_s):
                if event.id in self._seen:
                    break
                fresh.append(event)
        except FinetuneError:
            # Half a list would hide, next time, what stands behind it.
            self.incomplete = True
            return
        self.incomplete = False
        self._seen.update(event.id for event in fresh)
        told = by_age(fresh)
        self.curve = merged(self.curve, [e.data for e in told if isinstance(e.data, dict)])
        if told:
            self.message = self._calls.public(str(getattr(told[-1], "message", "")))

    def _page(self, client: "OpenAI", arguments: dict[str, Any]) -> Any:
        return client.fine_tuning.jobs.list_events(self._job_id, **arguments)


def _hyperparameters(job: Any) -> Hyperparameters:
    """As the server decided them: under the method, or flat as before there were methods."""
    supervised = getattr(getattr(job, "method", None), "supervised", None)
    shown = getattr(supervised, "hyperparameters", None) or getattr(job, "hyperparameters", None)
    values: dict[str, Any] = {}
    for name in Hyperparameters.model_fields:
        value = getattr(shown, name, None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = value
    return Hyperparameters.model_validate(values)
