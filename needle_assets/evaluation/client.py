"""Asking a model every question of a sweep, through the OpenAI SDK and a base_url alone.

Each question ends as one `Answer`: answered, refused, cut or failed, none is dropped. What an
answer is worth is `scoring`'s affair; starting a server is the caller's.
"""

import asyncio
import dataclasses
import datetime
import hashlib
import ipaddress
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from needle_assets.errors import NeedleError
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.journal import Answer, Journal
from needle_assets.evaluation.registry import ModelEntry
from needle_assets.haystack.messages import Message
from needle_assets.labels.task import Task
from needle_assets.storage import StorageError

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI

ANSWERS_SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("answer", pa.string()),
        ("finish_reason", pa.string()),
        ("refusal", pa.string()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_s", pa.float64()),
        ("fingerprint", pa.string()),
        ("served_model", pa.string()),
        ("request_hash", pa.string()),
        ("evaluated_at", pa.timestamp("us", tz="UTC")),
    ]
)

_RECENT = 10
"""When more than half of this many requests in a row failed, asking on only costs."""

_MESSAGE_LENGTH = 500
"""Characters kept of what a server says: some answer with a whole web page."""

_SECRET_LENGTH = 8
"""Shorter keys are placeholders such as `none`, a word that may stand in any message."""

_LISTED = 10
"""Models named in a message at most; some servers have hundreds."""


@dataclasses.dataclass(frozen=True)
class Question:
    """One prompt. Questions of one draw share all of it but the end."""

    example_id: str
    draw: int
    messages: Sequence[Message]


def ask_all(
    questions: Sequence[Question],
    *,
    entry: ModelEntry,
    base_url: str,
    api_key: str,
    task: Task,
    journal: Journal,
    max_completion_tokens: int,
    concurrency: int,
    timeout_s: float,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> list[Answer]:
    """Ask what the journal has no answer to, and return the answers in the questions' order.

    The questions of a draw are sent in a row, and its first is answered before its others are
    sent, so that a server with a prefix cache computes the haystack once. The SDK retries what
    may pass (connection errors, 408, 409, 429, 5xx). What still fails is an answer with ``error``
    set, which is not journaled: the next call asks again.

    Must not be called from a running event loop.

    Args:
        questions: any order of draws; example ids differ.
        entry: the model; its ``concurrency`` bounds the one given.
        base_url: where it is served now; differs from the entry's for the embedded server.
        api_key: sent to it; never part of a message, a row or the journal.
        task: gives the JSON schema, which is sent where the entry says the server takes one.
        journal: what was answered before, and where answers are kept as they arrive.
        max_completion_tokens: the answer's limit.
        concurrency: requests in flight at most.
        timeout_s: deadline of one attempt.
        seed: sent with every request, for servers that sample.
        on_progress: called with (questions done, questions in all).
        clock: the time in UTC, for ``evaluated_at``.

    Raises:
        EvaluationError: nobody answers at ``base_url``, the key is refused, the model is not
            there, the quota is used up, or most requests fail. Answers that came are journaled.
        StorageError: the journal cannot be written.
    """
    sweep = _Sweep(
        questions,
        entry=entry,
        base_url=base_url,
        api_key=api_key,
        journal=journal,
        parameters=_parameters(entry, task, max_completion_tokens, seed),
        timeout_s=timeout_s,
        on_progress=on_progress or (lambda _done, _total: None),
        clock=clock,
    )
    asyncio.run(sweep.run(min(concurrency, entry.concurrency or concurrency)))
    return sweep.answers()


def answers_table(answers: Iterable[Answer]) -> pa.Table:
    """The answers as rows of ``ANSWERS_SCHEMA``, in their order."""
    return pa.Table.from_pylist(
        [dataclasses.asdict(answer) for answer in answers], schema=ANSWERS_SCHEMA
    )


def _parameters(
    entry: ModelEntry, task: Task, max_completion_tokens: int, seed: int
) -> dict[str, Any]:
    """The request's body without its messages."""
    parameters = {
        "model": entry.model,
        "temperature": 0,
        "seed": seed,
        "max_completion_tokens": max_completion_tokens,
    }
    if entry.json_schema:
        parameters["response_format"] = task.response_format
    return parameters


class _Sweep:
    """The state of one `ask_all`. Everything runs on one event loop, so nothing is locked."""

    def __init__(
        self,
        questions: Sequence[Question],
        *,
        entry: ModelEntry,
        base_url: str,
        api_key: str,
        journal: Journal,
        parameters: dict[str, Any],
        timeout_s: float,
        on_progress: Callable[[int, int], None],
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self._questions = questions
        self._entry = entry
        self._base_url = base_url
        self._api_key = api_key
        self._journal = journal
        self._parameters = parameters
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._clock = clock
        self._hashes = [self._request_hash(question) for question in questions]
        self._missing = [at for at, key in enumerate(self._hashes) if journal.get(key) is None]
        self._done = len(questions) - len(self._missing)
        self._failures: dict[str, Answer] = {}
        self._recent: deque[Answer] = deque(maxlen=_RECENT)
        self._fatal: NeedleError | None = None

    def answers(self) -> list[Answer]:
        """One answer per question, in their order."""
        return [self._journal.get(key) or self._failures[key] for key in self._hashes]

    async def run(self, concurrency: int) -> None:
        """Ask what is missing.

        Raises:
            EvaluationError: as `ask_all`.
            StorageError: as `ask_all`.
        """
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        self._on_progress(self._done, len(self._questions))
        if not self._missing:
            return
        async with AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._api_key,
            timeout=self._timeout_s,
            # A proxy set for the internet cannot reach a server on this machine.
            http_client=DefaultAsyncHttpxClient(trust_env=not _is_loopback(self._base_url)),
        ) as client:
            await self._ask_draws(client, concurrency)
        if self._fatal is None and 2 * len(self._failures) > len(self._questions):
            self._fatal = self._mostly_failed(list(self._failures.values()), len(self._questions))
        if self._fatal is not None:
            raise self._fatal

    async def _ask_draws(self, client: "AsyncOpenAI", concurrency: int) -> None:
        draws: dict[int, list[int]] = {}
        for at in self._missing:
            draws.setdefault(self._questions[at].draw, []).append(at)
        by_draw = list(draws.values())
        # The lowest entry goes first: a draw's rest is queued when its first question is
        # answered, and then stands before the draws that have not begun.
        queue: asyncio.PriorityQueue[tuple[int, int]] = asyncio.PriorityQueue()
        for number in range(len(by_draw)):
            queue.put_nowait((number, 0))

        async def ask_next() -> None:
            number, position = await queue.get()
            # What is in flight when the sweep must end is waited for, the rest is not asked.
            if self._fatal is None:
                await self._ask(client, by_draw[number][position])
            if position == 0:
                for later in range(1, len(by_draw[number])):
                    queue.put_nowait((number, later))
            queue.task_done()

        async def work() -> None:
            while True:
                await ask_next()

        # Alone: a server that is down, or does not know the key, is asked once, not many times.
        await ask_next()
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work()) for _ in range(concurrency)]
            await queue.join()
            for worker in workers:
                worker.cancel()

    async def _ask(self, client: "AsyncOpenAI", at: int) -> None:
        from openai import APIError

        started = time.perf_counter()
        problem: APIError | ValueError | None = None
        completion = None
        try:
            completion = await self._complete(client, self._questions[at].messages)
        except (APIError, ValueError) as error:
            problem = error
        blank = Answer(
            example_id=self._questions[at].example_id,
            request_hash=self._hashes[at],
            evaluated_at=self._clock(),
            latency_s=time.perf_counter() - started,
        )
        if problem is None:
            self._keep(_read_completion(blank, completion))
            return
        self._fatal = self._fatal or await self._fatal_error(client, problem)
        self._keep(self._read_problem(blank, problem))

    def _keep(self, answer: Answer) -> None:
        self._recent.append(answer)
        if answer.error is not None:
            self._failures[answer.request_hash] = answer
        else:
            try:
                self._journal.append(answer)
            except StorageError as error:
                self._fatal = self._fatal or error
        failed = [recent for recent in self._recent if recent.error is not None]
        if self._fatal is None and 2 * len(failed) > _RECENT:
            self._fatal = self._mostly_failed(failed, len(self._recent))
        self._done += 1
        self._on_progress(self._done, len(self._questions))

    async def _complete(self, client: "AsyncOpenAI", messages: Sequence[Message]) -> Any:
        from openai import BadRequestError, UnprocessableEntityError

        try:
            return await self._create(client, messages)
        except (BadRequestError, UnprocessableEntityError) as error:
            # The limit's older name, which some servers still insist on.
            if "max_completion_tokens" not in error.message:
                raise
            if "max_completion_tokens" in self._parameters:
                limit = self._parameters.pop("max_completion_tokens")
                self._parameters["max_tokens"] = limit
        return await self._create(client, messages)

    async def _create(self, client: "AsyncOpenAI", messages: Sequence[Message]) -> Any:
        # The SDK's message types are a union of its own; ours is any role with any content.
        request: dict[str, Any] = {"messages": [*messages], **self._parameters}
        return await client.chat.completions.create(**request)

    def _request_hash(self, question: Question) -> str:
        # The entry's address, not where it is served now: the embedded server's port varies.
        request = {
            "example_id": question.example_id,
            "base_url": self._entry.base_url,
            "messages": [*question.messages],
            **self._parameters,
        }
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def _read_problem(self, blank: Answer, problem: "APIError | ValueError") -> Answer:
        from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

        # Azure's filter stops a prompt by an error where others set finish_reason.
        if isinstance(problem, APIError) and problem.code == "content_filter":
            return dataclasses.replace(blank, finish_reason="content_filter")
        text = str(problem)
        if isinstance(problem, APIStatusError):
            body = problem.body if isinstance(problem.body, dict) else {}
            text = f"HTTP {problem.status_code}: {body.get('message') or problem.message}"
        elif isinstance(problem, APITimeoutError):
            text = f"no answer within {self._timeout_s:g} s"
        elif isinstance(problem, APIConnectionError):
            text = f"no connection: {problem.__cause__ or problem.message}"
        return dataclasses.replace(
            blank, error=self._public(text), error_type=type(problem).__name__
        )

    async def _fatal_error(
        self, client: "AsyncOpenAI", problem: "APIError | ValueError"
    ) -> EvaluationError | None:
        """The error that ends the sweep, if asking on cannot help."""
        from openai import (
            APIConnectionError,
            APIError,
            APITimeoutError,
            AuthenticationError,
            NotFoundError,
            PermissionDeniedError,
        )

        slug, url = self._entry.slug, self._base_url
        if isinstance(problem, AuthenticationError | PermissionDeniedError):
            # What the server says to this often holds the key, whole or in parts.
            mend = (
                f"set {self._entry.api_key_env} to a key that it takes"
                if self._entry.api_key_env
                else "it is registered without one: register it with --api-key-env NAME"
            )
            return EvaluationError(
                f"the server at {url} refused the key of the model {slug!r} "
                f"(HTTP {problem.status_code}); {mend}"
            )
        if isinstance(problem, NotFoundError):
            return EvaluationError(
                f"the server at {url} has no model {self._entry.model!r} (HTTP 404)"
                f"{await _served_models(client)}; register {slug!r} with an id that it has, and "
                "with the base_url that its manual gives for the OpenAI API, most often ending "
                "in /v1"
            )
        if isinstance(problem, APIError) and problem.code == "insufficient_quota":
            return EvaluationError(
                f"the account of the model {slug!r} at {url} has no quota left; add credit, then "
                "run again: the answers that came are kept"
            )
        down = isinstance(problem, APIConnectionError) and not isinstance(problem, APITimeoutError)
        if down and not self._recent:
            return EvaluationError(
                f"nobody answers at {url}, where the model {slug!r} should be "
                f"({problem.__cause__ or problem}); start the server or register another base_url"
            )
        return None

    def _mostly_failed(self, failed: Sequence[Answer], of: int) -> EvaluationError:
        last = str(failed[-1].error)
        hint = (
            " If the server takes no JSON schema, register the model with --no-json-schema."
            if "response_format" in last
            else ""
        )
        return EvaluationError(
            f"{len(failed)} of {of} requests to the model {self._entry.slug!r} at "
            f"{self._base_url} failed, the last with: {last}.{hint} Mend that and run again: the "
            f"answers that came are kept in {self._journal.path}"
        )

    def _public(self, text: str) -> str:
        """What a server says, without the key and not too long."""
        if len(self._api_key) >= _SECRET_LENGTH:
            text = text.replace(self._api_key, "[key]")
        return text[:_MESSAGE_LENGTH]


def _read_completion(blank: Answer, completion: Any) -> Answer:
    """Fill in what came; a body that is no chat completion makes a failed answer."""
    choices: Any = getattr(completion, "choices", None)
    message = (
        getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    )
    content = getattr(message, "content", message)
    if message is None or not isinstance(content, str | None) or isinstance(message, str):
        # The SDK passes on what came, of whatever type.
        return dataclasses.replace(
            blank,
            error="HTTP 200 without a chat completion; does the base_url end in /v1?",
            error_type="NoCompletion",
        )
    usage = getattr(completion, "usage", None)
    return dataclasses.replace(
        blank,
        answer=_text(content),
        finish_reason=_text(getattr(choices[0], "finish_reason", None)),
        refusal=_text(getattr(message, "refusal", None)) or None,
        prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
        cached_tokens=_count(
            getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
        ),
        completion_tokens=_count(getattr(usage, "completion_tokens", None)),
        fingerprint=_text(getattr(completion, "system_fingerprint", None)),
        served_model=_text(getattr(completion, "model", None)),
    )


def _text(value: object) -> str | None:
    """A text that fits into a table (a lone surrogate fits into none); None for what is no text."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _count(value: object) -> int | None:
    """A number of tokens; None for what is none."""
    return value if type(value) is int and 0 <= value < 2**53 else None


async def _served_models(client: "AsyncOpenAI") -> str:
    """What the server lists, for a message; nothing where it does not say."""
    from openai import OpenAIError

    try:
        ids = [model.id for model in (await client.models.list()).data]
    except (OpenAIError, ValueError, AttributeError, TypeError):
        return ""
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"; it has {', '.join(ids[:_LISTED])}{more}" if ids else ""


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
