"""The requests and the engine of one (base, rope): plain state, changed by the pool alone."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from needle_assets.endpoint.serving.engine import Engine, EngineSpec
from needle_assets.endpoint.serving.targets import EngineKey

_SMOOTHING = 0.2
"""Share of the newest request in the mean duration."""


@dataclass
class Running:
    """An engine and how many requests it computes."""

    engine: Engine
    spec: EngineSpec
    requests: int = 0
    lost: bool = False
    """A connection to it broke: it is as good as dead."""
    _fingerprints: dict[Path | None, str] = field(default_factory=dict)

    def has(self, adapter: Path | None) -> bool:
        """Whether requests for the adapter, or for the base, can be answered."""
        return adapter is None or adapter in self.spec.adapters

    def fingerprint(
        self, adapter: Path | None, compute: Callable[[EngineSpec, Path | None], str]
    ) -> str:
        """As `compute` says, once."""
        if adapter not in self._fingerprints:
            self._fingerprints[adapter] = compute(self.spec, adapter)
        return self._fingerprints[adapter]


class Waiter:
    """A request that waits for its place."""

    def __init__(self, ticket: int, adapter: Path | None) -> None:
        self.ticket = ticket
        self.adapter = adapter
        self.granted: asyncio.Future[Running] = asyncio.get_running_loop().create_future()


@dataclass(frozen=True)
class Failure:
    """Why the engine did not start, and when it is tried again."""

    message: str
    pause_s: float
    until: float
    """By the pool's clock."""

    def seconds_left(self, now: float) -> int:
        """What a client is told to wait."""
        return max(1, math.ceil(self.until - now))


class Group:
    """One engine's requests, whether it runs or not."""

    def __init__(self, key: EngineKey, now: float) -> None:
        self.key = key
        self.waiters: deque[Waiter] = deque()
        self.running: Running | None = None
        self.starting = False
        self.needs_room = False
        self.failure: Failure | None = None
        self.broken: dict[Path | None, str] = {}
        """Adapters that cannot be loaded, and why."""
        self.last_used = now
        self.request_s = 1.0
        """How long a request takes, on the mean."""
        self.largest_bytes = 0
        """Memory that its engine held at most."""
        self.expected_bytes = 0
        """Memory that the engine which starts now will hold."""

    def is_idle(self, behind: "Group | None" = None) -> bool:
        """Whether its engine computes nothing and nobody waits, but those behind another group."""
        if self.running is None or self.starting or self.running.requests:
            return False
        if not self.waiters:
            return True
        return (
            behind is not None
            and bool(behind.waiters)
            and self.waiters[0].ticket > behind.waiters[0].ticket
        )

    def used(self, now: float, seconds: float) -> None:
        """A request ended."""
        self.last_used = now
        self.request_s += _SMOOTHING * (seconds - self.request_s)

    def wanted(self) -> set[Path]:
        """Adapters that requests wait for."""
        return {waiter.adapter for waiter in self.waiters if waiter.adapter is not None}

    def drop(self, waiter: Waiter) -> None:
        """A request that waited is gone."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)

    def failed(self, message: str, pause_s: float, now: float) -> Failure:
        """The engine did not start."""
        self.failure = Failure(message, pause_s, now + pause_s)
        return self.failure

    def fail(self, error: Exception, adapter: Path | None = None) -> None:
        """Answer with an error all who wait, or those who wait for that adapter."""
        chosen = [waiter for waiter in self.waiters if adapter is None or waiter.adapter == adapter]
        for waiter in chosen:
            self.waiters.remove(waiter)
            if not waiter.granted.done():
                waiter.granted.set_exception(error)
