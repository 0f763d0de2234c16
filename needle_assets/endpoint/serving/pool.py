"""Engines on demand: started at a model's first request, shared by its base's adapters, ended by
memory and idleness, replaced when they die. Requests wait here in order of arrival.

What is said to an engine is not known here.
"""

import asyncio
import contextlib
import itertools
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.serving.backend import Backend, Busy, EngineFailed
from needle_assets.endpoint.serving.engine import (
    EngineSpec,
    EngineStarter,
    fingerprint,
    start_llamacpp,
)
from needle_assets.endpoint.serving.group import Group, Running, Waiter
from needle_assets.endpoint.serving.targets import EngineKey, Target, Targets, UnknownModel
from needle_assets.endpoint.state import State

__all__ = ["Backend", "Busy", "EngineFailed", "Pool", "UnknownModel"]

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
"""Between two tries to start what does not start: doubled each time, up to this."""

_LONGEST_RETRY_AFTER_S = 60

_KEEP_ALIVE_S = 2.0
"""llama.cpp closes a connection that was idle for 5 s; one that is closed while a request is on
its way looks like an engine that died."""


class Pool:
    """All engines. Its methods belong to one event loop, but for `models_changed`.

    Args:
        config: base models, and how they are served.
        state: tuned models.
        start: starts an engine.
        clock: seconds, from any point on.
    """

    def __init__(
        self,
        config: EndpointConfig,
        state: State,
        *,
        start: EngineStarter = start_llamacpp,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._state = state
        self._start = start
        self._clock = clock
        self._targets = Targets(config, ())
        self._change = object()
        self._seen_change: object = None
        self._groups: dict[EngineKey, Group] = {}
        self._tickets = itertools.count()
        self._room = asyncio.Event()
        """Set whenever an engine may have become idle."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._janitor: asyncio.Task[None] | None = None
        self._upstream_requests = 0
        self._client: httpx2.AsyncClient | None = None
        self._closed = False

    @property
    def http(self) -> httpx2.AsyncClient:
        """The client that engines are talked to with. Its connections are kept open."""
        if self._client is None:
            upstream = self._config.serving.upstream is not None
            self._client = httpx2.AsyncClient(
                # A prompt of 100,000 tokens takes an hour on a laptop: no limit but the client's.
                timeout=httpx2.Timeout(None, connect=10.0),
                limits=httpx2.Limits(
                    max_connections=None,
                    max_keepalive_connections=64,
                    keepalive_expiry=_KEEP_ALIVE_S,
                ),
                # A proxy set for the internet cannot reach this machine.
                trust_env=upstream,
            )
        return self._client

    def models_changed(self) -> None:
        """Look at the tuned models again before the next request. From any thread."""
        self._change = object()

    @asynccontextmanager
    async def lease(self, model: str) -> AsyncIterator[Backend]:
        """Wait for an engine with that model and hold a place in it for the block.

        Raises:
            UnknownModel: there is none of that name.
            Busy: too many requests wait.
            EngineFailed: the model cannot be started.
        """
        if self._closed:
            raise EngineFailed("the server is shutting down")
        if self._config.serving.upstream is not None:
            async with self._upstream(model, self._config.serving.upstream) as backend:
                yield backend
            return
        target = (await self._current_targets()).target(model)
        group = self._groups.setdefault(target.key, Group(target.key, self._clock()))
        running = await self._place(group, target)
        begun = self._clock()
        try:
            yield self._backend(running, target)
        finally:
            running.requests -= 1
            now = self._clock()
            group.used(now, now - begun)
            self._advance_all()

    async def close(self) -> None:
        """End all engines. Requests that wait are told so."""
        self._closed = True
        if self._janitor is not None:
            self._janitor.cancel()
        for group in self._groups.values():
            group.fail(EngineFailed("the server is shutting down"))
            if group.running is not None:
                self._retire(group)
        self._room.set()
        # A start in progress ends what it started, so that nothing is left behind.
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    # Places

    async def _current_targets(self) -> Targets:
        while self._seen_change is not self._change:
            change = self._change
            records = await asyncio.to_thread(self._state.models)
            self._targets, self._seen_change = Targets(self._config, records), change
        return self._targets

    async def _place(self, group: Group, target: Target) -> Running:
        if why := group.broken.get(target.adapter):
            raise EngineFailed(why, _LONGEST_RETRY_AFTER_S)
        serving = self._config.serving
        free = serving.parallel - (group.running.requests if group.running else 0)
        if len(group.waiters) >= serving.queue + free:
            raise Busy(self._retry_after(group))
        if group.failure is not None and self._clock() < group.failure.until:
            raise EngineFailed(group.failure.message, group.failure.seconds_left(self._clock()))
        waiter = Waiter(next(self._tickets), target.adapter)
        group.waiters.append(waiter)
        self._advance(group)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                # The client left in the moment when its place was given.
                if waiter.granted.exception() is None:
                    waiter.granted.result().requests -= 1
            else:
                group.drop(waiter)
            self._advance_all()
            raise

    def _retry_after(self, group: Group) -> int:
        seconds = group.request_s * (len(group.waiters) + 1) / self._config.serving.parallel
        return max(1, min(_LONGEST_RETRY_AFTER_S, math.ceil(seconds)))

    def _advance_all(self) -> None:
        for group in self._groups.values():
            self._advance(group)
        self._room.set()

    def _advance(self, group: Group) -> None:
        """Give places to those who wait first, as far as they can be given now."""
        if self._closed or group.starting:
            return
        running = group.running
        if running is not None and (running.lost or not running.engine.alive()):
            self._retire(group)
            running = None
        while group.waiters and not self._held_back(group):
            first = group.waiters[0]
            if running is None or not running.has(first.adapter):
                # The engine is replaced between requests; those behind the first one wait too,
                # or a stream of requests for older adapters would keep it out for ever.
                if running is None or running.requests == 0:
                    group.starting = True
                    self._spawn(self._replace(group))
                return
            if running.requests >= self._config.serving.parallel:
                return
            group.waiters.popleft()
            if first.granted.done():
                # Cancelled, and about to say so itself.
                continue
            running.requests += 1
            first.granted.set_result(running)
        self._watch_idleness()

    def _held_back(self, group: Group) -> bool:
        """Whether an engine that came first waits for the memory that this one holds."""
        first = group.waiters[0].ticket
        return any(
            other.needs_room and other.waiters and other.waiters[0].ticket < first
            for other in self._groups.values()
            if other is not group
        )

    # Engines

    async def _replace(self, group: Group) -> None:
        """Start the group's engine with what it needs now, after ending the one it has."""
        try:
            if group.running is not None:
                await asyncio.to_thread(self._forget(group).engine.close)
            running = await self._started(group)
        except EndpointError as error:
            pause = _FIRST_PAUSE_S
            if group.failure is not None:
                pause = min(_LONGEST_PAUSE_S, 2 * group.failure.pause_s)
            _LOG.error("the engine of %s: %s", group.key.slug, error)
            failure = group.failed(str(error), pause, self._clock())
            group.fail(EngineFailed(failure.message, failure.seconds_left(self._clock())))
        except Exception as error:
            _LOG.exception("the engine of %s", group.key.slug)
            group.fail(EngineFailed(f"the model could not be started: {error}"))
        else:
            group.failure = None
            group.running = running
            group.last_used = self._clock()
            if self._closed:
                self._retire(group)
        finally:
            group.starting = group.needs_room = False
        self._advance_all()

    async def _started(self, group: Group) -> Running:
        while True:
            targets = await self._current_targets()
            # Or the engine would be started again and again for them.
            for adapter in group.wanted() - set(targets.adapters(group.key)):
                group.fail(UnknownModel("the model was deleted"), adapter)
            spec = targets.spec(group.key, group.broken)
            await self._make_room(group, spec)
            self._advance_all()
            if self._closed:
                raise EngineFailed("the server is shutting down")
            try:
                engine = await asyncio.to_thread(self._start, spec)
            except EndpointError as error:
                # One adapter that cannot be loaded shall not take the others with it.
                guilty = {path for path in spec.adapters if str(path.absolute()) in str(error)}
                if not guilty:
                    raise
                for path in guilty:
                    _LOG.error("the adapter %s cannot be loaded: %s", path, error)
                    group.broken[path] = f"its adapter cannot be loaded: {error}"
                    group.fail(EngineFailed(group.broken[path], _LONGEST_RETRY_AFTER_S), path)
                continue
            return Running(engine, spec)

    async def _make_room(self, group: Group, spec: EngineSpec) -> None:
        """End engines that idle, longest first, until the new one should fit.

        While others that are in use fill the memory, wait for them.
        """
        group.expected_bytes = max(group.largest_bytes, _size(spec.gguf))
        limit = self._config.serving.memory_mib * 2**20
        while not self._closed:
            self._room.clear()
            held = await self._resident_bytes()
            others = [other for other in self._groups.values() if other is not group]
            promised = sum(
                other.expected_bytes for other in others if other.starting and not other.needs_room
            )
            if held + promised + group.expected_bytes <= limit:
                break
            group.needs_room = True
            if idle := [other for other in others if other.is_idle(behind=group)]:
                victim = min(idle, key=lambda other: other.last_used)
                await asyncio.to_thread(self._forget(victim).engine.close)
                continue
            if not any(other.running for other in others) and promised == 0:
                # Larger than the limit by itself: nothing is gained by waiting.
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), 1.0)
        group.needs_room = False

    async def _resident_bytes(self) -> int:
        held = 0
        for group in list(self._groups.values()):
            if group.running is not None:
                size = await asyncio.to_thread(group.running.engine.resident_bytes)
                group.largest_bytes = max(group.largest_bytes, size)
                held += size
        return held

    def _retire(self, group: Group) -> None:
        """Let go of an engine and end it elsewhere."""
        running = self._forget(group)
        self._spawn(asyncio.to_thread(running.engine.close))

    @staticmethod
    def _forget(group: Group) -> Running:
        running, group.running = group.running, None
        assert running is not None
        return running

    def _backend(self, running: Running, target: Target) -> Backend:
        spec = running.spec

        def lost() -> None:
            running.lost = True

        return Backend(
            base_url=running.engine.base_url,
            api_key=running.engine.api_key,
            model_id=spec.base,
            lora=spec.adapters.index(target.adapter) if target.adapter else None,
            adapters=len(spec.adapters),
            context_window=running.engine.context_window,
            fingerprint=running.fingerprint(target.adapter, fingerprint),
            lost=lost,
        )

    # Idleness

    def _watch_idleness(self) -> None:
        if self._janitor is None or self._janitor.done():
            self._janitor = asyncio.get_running_loop().create_task(self._end_idle_engines())

    async def _end_idle_engines(self) -> None:
        serving = self._config.serving
        while any(group.running or group.starting for group in self._groups.values()):
            await asyncio.sleep(min(5.0, serving.idle_s / 4))
            over = await self._resident_bytes() > serving.memory_mib * 2**20
            idle = [group for group in self._groups.values() if group.is_idle()]
            expired = [
                group
                for group in idle
                if self._clock() - group.last_used >= serving.idle_s
                or (group.running and not group.running.engine.alive())
            ]
            # One that answers grows with its prompts; one that is alone would only come back.
            if over and idle and not expired and len(self._alive()) > 1:
                expired = [min(idle, key=lambda group: group.last_used)]
            for group in expired:
                self._retire(group)

    def _alive(self) -> list[Group]:
        return [group for group in self._groups.values() if group.running]

    # Upstream

    @asynccontextmanager
    async def _upstream(self, model: str, base_url: str) -> AsyncIterator[Backend]:
        serving = self._config.serving
        # It batches by itself: what would wait here may as well wait there.
        if self._upstream_requests >= serving.parallel + serving.queue:
            raise Busy(1)
        self._upstream_requests += 1
        try:
            key = serving.upstream_api_key.get_secret_value()
            yield Backend(base_url.rstrip("/"), key, model, None, 0, None, upstream=True)
        finally:
            self._upstream_requests -= 1

    # Tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
