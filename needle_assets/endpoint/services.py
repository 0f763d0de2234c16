"""The parts of a running endpoint, opened and closed together. HTTP is `api`'s."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.jobs.runner import Runner
from needle_assets.endpoint.records import JobRecord
from needle_assets.endpoint.serving.pool import Pool
from needle_assets.endpoint.state import State


class JobControl(Protocol):
    """What the API asks of whoever runs the jobs. `jobs.runner.Runner` is the real one."""

    def start(self) -> None:
        """Go on with what is unfinished."""

    def close(self) -> None:
        """Stop; unfinished jobs go on at the next start."""

    def wake(self) -> None:
        """Look at new jobs."""

    def cancel(self, id: str, /) -> JobRecord:
        """End a job."""

    def pause(self, id: str, /) -> JobRecord:
        """Have a job wait."""

    def resume(self, id: str, /) -> JobRecord:
        """Have a paused job go on."""


@dataclass(frozen=True)
class Services:
    """What requests work with; at ``request.app.state.services``."""

    config: EndpointConfig
    state: State
    blobs: Blobs
    pool: Pool
    runner: JobControl


RunnerFactory = Callable[[EndpointConfig, State, Blobs, Callable[[], None]], JobControl]
"""Makes the runner from configuration, state, blobs and what to call when models changed."""


@asynccontextmanager
async def open_services(
    config: EndpointConfig, make_runner: RunnerFactory = Runner
) -> AsyncIterator[Services]:
    """All parts, working, for the length of the block.

    Raises:
        EndpointError: the home cannot be used.
    """
    state = State(config.home / "state.sqlite")
    blobs = Blobs(config.home / "blobs")
    pool = Pool(config, state)
    runner = make_runner(config, state, blobs, pool.models_changed)
    # Both wait for processes; the event loop answers meanwhile.
    await asyncio.to_thread(runner.start)
    try:
        yield Services(config, state, blobs, pool, runner)
    finally:
        await asyncio.to_thread(runner.close)
        await pool.close()
        state.close()
