"""One engine: a llama.cpp process with a base, its adapters and a rope setting.

What an engine is asked to hold and what it looks like once it runs. When one is started and
ended is the pool's.
"""

import contextlib
import hashlib
import importlib.metadata
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.llamacpp import ServedModel, serve_llamacpp
from needle_assets.endpoint.serving.llamacpp_server import Attention


@dataclass(frozen=True)
class EngineSpec:
    """What an engine is started with."""

    base: str
    """The base model's name."""
    gguf: Path
    adapters: tuple[Path, ...]
    rope: Rope | None
    context_window: int
    """Tokens of prompt and answer together; fewer are served where the model has fewer."""
    parallel: int
    threads: int | None
    startup_timeout_s: float
    log_path: Path
    prefix_cache: bool = True
    attention: Attention = "auto"


class Engine(Protocol):
    """An engine that runs."""

    @property
    def base_url(self) -> str:
        """Ends in /v1."""

    @property
    def api_key(self) -> str:
        """The key that it asks for."""

    @property
    def context_window(self) -> int:
        """Tokens of prompt and answer together."""

    def alive(self) -> bool:
        """Whether it is still there. Returns at once."""

    def resident_bytes(self) -> int:
        """Memory that it holds now; 0 when it is gone."""

    def close(self) -> None:
        """End it; may take seconds. A second call does nothing."""


EngineStarter = Callable[[EngineSpec], Engine]
"""Starts an engine and returns when it answers; may take minutes. Raises EndpointError."""


class LlamaCpp:
    """An engine that is llama.cpp's server."""

    def __init__(self, spec: EngineSpec) -> None:
        # Whoever else is logged in on this machine shall not chat past the endpoint's own key.
        self.api_key = secrets.token_urlsafe(24)
        self._keep_last_log(spec.log_path)
        with contextlib.ExitStack() as stack:
            self._served: ServedModel = stack.enter_context(
                serve_llamacpp(
                    spec.gguf,
                    model_id=spec.base,
                    context_window=spec.context_window,
                    parallel=spec.parallel,
                    threads=spec.threads,
                    log_path=spec.log_path,
                    api_key=self.api_key,
                    startup_timeout_s=spec.startup_timeout_s,
                    adapters=spec.adapters,
                    rope=spec.rope,
                    shrink=spec.rope is None,
                    prefix_cache=spec.prefix_cache,
                    attention=spec.attention,
                )
            )
            self._stack = stack.pop_all()
        self.base_url = self._served.base_url
        self.context_window = self._served.context_window

    @staticmethod
    def _keep_last_log(path: Path) -> None:
        # Why the last one died is read there; more than two would grow without end.
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".last.log"))

    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._served.alive()

    def resident_bytes(self) -> int:
        """Its resident set, shared pages of the model's file included."""
        try:
            return int(psutil.Process(self._served.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def close(self) -> None:
        """End the process."""
        self._stack.close()


def start_llamacpp(spec: EngineSpec) -> Engine:
    """The usual starter.

    Raises:
        EndpointError: the model or an adapter cannot be loaded.
    """
    return LlamaCpp(spec)


def fingerprint(spec: EngineSpec, adapter: Path | None) -> str:
    """What OpenAI calls system_fingerprint: answers with the same one and seed are comparable."""
    facts = [_version(), str(spec.rope), str(spec.context_window), spec.attention]
    for path in (spec.gguf, adapter):
        if path is not None:
            with contextlib.suppress(OSError):
                status = path.stat()
                facts.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return f"fp_{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:10]}"


def _version() -> str:
    try:
        return importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
