"""Engines that do what a test says, for a pool to start and end."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.records import ModelRecord
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.engine import EngineSpec
from needle_assets.endpoint.state import State

ROPE = Rope(kind="linear", factor=2, theta=10_000, original_context=1000)


class FakeEngine:
    """Runs until it is closed, or the test says that it died."""

    def __init__(self, spec: EngineSpec, base_url: str = "http://unused/v1") -> None:
        self.spec = spec
        self.base_url = base_url
        self.api_key = "key-of-the-engine"
        self.context_window = spec.context_window
        self.mib = 1
        self.looks = 0
        """How often its memory was looked at."""
        self.died = False
        self.closed = False

    def alive(self) -> bool:
        return not self.died and not self.closed

    def resident_bytes(self) -> int:
        self.looks += 1
        return self.mib * 2**20

    def close(self) -> None:
        self.closed = True


class Starter:
    """Starts engines, and remembers them in order."""

    def __init__(self, base_url: str = "http://unused/v1") -> None:
        self.base_url = base_url
        self.engines: list[FakeEngine] = []
        self.tries = 0
        self.mib = 1
        self.failure: str | None = None
        self.bad_adapters: set[Path] = set()
        self.may_start = threading.Event()
        self.may_start.set()

    def __call__(self, spec: EngineSpec) -> FakeEngine:
        self.tries += 1
        assert self.may_start.wait(timeout=20)
        if self.failure:
            raise EndpointError(self.failure)
        for path in spec.adapters:
            if path in self.bad_adapters:
                raise EndpointError(f"llama.cpp could not serve: failed to load {path}")
        engine = FakeEngine(spec, self.base_url)
        engine.mib = self.mib
        self.engines.append(engine)
        return engine

    @property
    def running(self) -> list[FakeEngine]:
        return [engine for engine in self.engines if engine.alive()]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def config(home: Path, *, upstream: str | None = None, **serving: Any) -> EndpointConfig:
    """Base models "small" and "other", of no bytes."""
    for name in ("small", "other"):
        (home / f"{name}.gguf").write_bytes(b"")
    bases = {name: BaseModelConfig(gguf=home / f"{name}.gguf") for name in ("small", "other")}
    return EndpointConfig.model_validate(
        {
            "home": home,
            "auth": "off",
            "models": bases,
            "serving": {"upstream": upstream, "window": 500, **serving},
        }
    )


def tune(state: State, name: str, *, base: str = "small", rope: Rope | None = None) -> Path:
    """A tuned model; its adapter's path."""
    adapter = Path(f"/adapters/{name}.gguf")
    created_at = 1 + len(state.models())
    state.add_model(ModelRecord(name, base, created_at, f"ftjob-{name}", adapter, 500, rope))
    return adapter


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds; fail if it does not in time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


async def settled() -> None:
    """Let everything happen that can happen without a thread or time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Play it, with a limit on its time."""
    asyncio.run(asyncio.wait_for(scenario, timeout=60))
