"""Asking many chat completions at once, through the OpenAI SDK and a base_url alone.

Each request ends as one `Answer`: answered, refused, cut or failed, none is dropped. What is asked,
in which order, and what an answer is worth is the caller's affair.
"""

import asyncio
import dataclasses
import datetime
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from needle_assets.chat.answers import Answer, filled_in
from needle_assets.chat.clients import async_openai_client
from needle_assets.chat.journal import Journal
from needle_assets.chat.problems import Server, failed, fatal_error, mostly_failed
from needle_assets.errors import NeedleError
from needle_assets.storage import StorageError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_RECENT = 10
"""When more than half of this many requests in a row failed, asking on only costs."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One prompt, and the hash that its answer is journaled under (`answers.request_key`)."""

    key: str
    messages: Sequence[Mapping[str, Any]]


Then = Callable[[Request, Answer], Iterable[Request]]
"""What is asked after an answer. Called for every answer, journaled and failed ones too."""


def ask_all(
    requests: Iterable[Request],
    *,
    server: Server,
    parameters: Mapping[str, Any],
    journal: Journal,
    concurrency: int,
    then: Then = lambda _request, _answer: (),
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> dict[str, Answer]:
    """Ask what the journal has no answer to, and return all answers by their requests' keys.

    Requests are sent in their order, and what follows an answer is sent before the requests that
    stand after the answered one. The SDK retries what may pass (connection errors, 408, 409, 429,
    5xx). What still fails is an answer with ``error`` set, which is not journaled: the next call
    asks again.

    Must not be called from a running event loop.

    Args:
        requests: what is asked first; keys differ.
        server: where; a proxy is not used to reach this machine itself.
        parameters: the body of every request without model and messages; a limit is
            ``max_completion_tokens``, sent as ``max_tokens`` to servers that insist on it.
        journal: what was answered before, and where answers are kept as they arrive.
        concurrency: requests in flight at most.
        then: what an answer leads to.
        clock: the time in UTC, for ``evaluated_at``.

    Raises:
        ChatError: nobody answers, the key is refused, the model is not there, the quota is used
            up, or most requests fail. Answers that came are journaled.
        StorageError: the journal cannot be written.
    """
    asking = _Asking(server, dict(parameters), journal, then, clock)
    if missing := asking.take_known(requests):
        asyncio.run(asking.run(missing, concurrency))
    return asking.answers


class _Asking:
    """The state of one `ask_all`. Everything runs on one event loop, so nothing is locked."""

    def __init__(
        self,
        server: Server,
        parameters: dict[str, Any],
        journal: Journal,
        then: Then,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self.answers: dict[str, Answer] = {}
        self._server = server
        self._parameters = parameters
        self._journal = journal
        self._then = then
        self._clock = clock
        self._recent: deque[Answer] = deque(maxlen=_RECENT)
        self._fatal: NeedleError | None = None

    def take_known(self, requests: Iterable[Request]) -> list[tuple[int, Request]]:
        """Take from the journal what is there; the rest, each with its rank (lowest first)."""
        missing = []
        for rank, first in enumerate(requests):
            open_ = deque([first])
            while open_:
                request = open_.popleft()
                answer = self._journal.get(request.key)
                if answer is None:
                    missing.append((rank, request))
                else:
                    self.answers[request.key] = answer
                    open_.extend(self._then(request, answer))
        return missing

    async def run(self, missing: Sequence[tuple[int, Request]], concurrency: int) -> None:
        """Ask what is missing, and what follows from it.

        Raises:
            ChatError: as `ask_all`.
            StorageError: as `ask_all`.
        """
        async with async_openai_client(
            self._server.base_url,
            self._server.api_key,
            timeout_s=self._server.timeout_s,
            max_retries=self._server.max_retries,
        ) as client:
            await self._work_off(client, missing, concurrency)
        failures = [answer for answer in self.answers.values() if answer.error is not None]
        if self._fatal is None and 2 * len(failures) > len(self.answers):
            self._fatal = self._mostly_failed(failures, len(self.answers))
        if self._fatal is not None:
            raise self._fatal

    async def _work_off(
        self, client: "AsyncOpenAI", missing: Sequence[tuple[int, Request]], concurrency: int
    ) -> None:
        # Numbers part requests of the same rank, first come first.
        numbers = itertools.count()
        queue: asyncio.PriorityQueue[tuple[int, int, Request]] = asyncio.PriorityQueue()
        for rank, request in missing:
            queue.put_nowait((rank, next(numbers), request))

        async def ask_next() -> None:
            rank, _, request = await queue.get()
            # What is in flight when all must end is waited for, the rest is not asked.
            if self._fatal is None:
                answer = await self._ask(client, request)
                for following in self._then(request, answer):
                    queue.put_nowait((rank, next(numbers), following))
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

    async def _ask(self, client: "AsyncOpenAI", request: Request) -> Answer:
        from openai import APIError

        started = time.perf_counter()
        problem: APIError | ValueError | None = None
        completion = None
        try:
            completion = await self._complete(client, request.messages)
        except (APIError, ValueError) as error:
            problem = error
        blank = Answer(
            request_hash=request.key,
            evaluated_at=self._clock(),
            latency_s=time.perf_counter() - started,
        )
        if problem is None:
            answer = filled_in(blank, completion)
        else:
            self._fatal = self._fatal or await fatal_error(
                client, problem, self._server, first=not self._recent
            )
            answer = failed(blank, problem, self._server)
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        self.answers[answer.request_hash] = answer
        self._recent.append(answer)
        if answer.error is None:
            try:
                self._journal.append(answer)
            except StorageError as error:
                self._fatal = self._fatal or error
        failures = [recent for recent in self._recent if recent.error is not None]
        if self._fatal is None and 2 * len(failures) > _RECENT:
            self._fatal = self._mostly_failed(failures, len(self._recent))

    def _mostly_failed(self, failures: Sequence[Answer], of: int) -> NeedleError:
        return mostly_failed(failures, of, self._server, self._journal.path)

    async def _complete(self, client: "AsyncOpenAI", messages: Sequence[Mapping[str, Any]]) -> Any:
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

    async def _create(self, client: "AsyncOpenAI", messages: Sequence[Mapping[str, Any]]) -> Any:
        # The SDK's message types are a union of its own; ours is any role with any content.
        request: dict[str, Any] = {
            "model": self._server.model,
            "messages": [*messages],
            **self._parameters,
        }
        return await client.chat.completions.create(**request)
