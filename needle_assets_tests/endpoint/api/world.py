"""An endpoint on a free loopback port with jobs that a test moves by hand, and its SDK client."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from openai import OpenAI

from needle_assets.endpoint.api.app import create_app
from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig
from needle_assets.endpoint.jobs.errors import WrongStatus
from needle_assets.endpoint.records import ENDED, JobRecord, JobStatus
from needle_assets.endpoint.services import RunnerFactory, Services
from needle_assets.endpoint.state import State

KEY = "test-key-of-the-endpoint"


class HandRunner:
    """Keeps jobs where they are until the test moves them; no trainer, no thread."""

    def __init__(
        self, config: EndpointConfig, state: State, blobs: Blobs, changed: Callable[[], None]
    ) -> None:
        del config, blobs, changed
        self._state = state
        self.woken = 0

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def wake(self) -> None:
        self.woken += 1

    def cancel(self, job_id: str) -> JobRecord:
        return self._change(job_id, set(JobStatus) - ENDED, JobStatus.CANCELLED)

    def pause(self, job_id: str) -> JobRecord:
        going = {JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING}
        return self._change(job_id, going, JobStatus.PAUSED)

    def resume(self, job_id: str) -> JobRecord:
        return self._change(job_id, {JobStatus.PAUSED}, JobStatus.QUEUED)

    def _change(self, job_id: str, expected: set[JobStatus], status: JobStatus) -> JobRecord:
        job = self._state.job(job_id)
        if job is None:
            raise KeyError(job_id)
        changed = self._state.change_job(job_id, expected, status=status)
        if changed is None:
            raise WrongStatus(f"the job is {job.status}; it cannot be {status}")
        return changed


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint as its clients and its operator see it."""

    app: FastAPI
    config: EndpointConfig
    address: str
    """http://127.0.0.1:port"""

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def state(self) -> State:
        return self.services.state

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def client(self, api_key: str = KEY) -> OpenAI:
        return OpenAI(base_url=f"{self.address}/v1", api_key=api_key, max_retries=0, timeout=30)

    def on_disk(self) -> list[Path]:
        """Files with bytes of uploads, finished or not."""
        return [path for path in (self.config.home / "blobs").rglob("*") if path.is_file()]

    def upload(self, content: bytes | None = None, name: str = "train.jsonl") -> str:
        """A training file; its id."""
        file = (name, conversations(10) if content is None else content)
        return self.client().files.create(file=file, purpose="fine-tune").id


@contextmanager
def endpoint(
    home: Path, *, make_runner: RunnerFactory = HandRunner, **settings: Any
) -> Iterator[Endpoint]:
    """Serve for the length of the block. The base model "tiny" has no weights behind it."""
    models = {"tiny": BaseModelConfig(gguf=home / "tiny.gguf")}
    config = EndpointConfig.model_validate(
        {"home": home, "port": 0, "api_key": KEY, "models": models} | settings
    )
    app = create_app(config, make_runner=make_runner, instance="test-instance")
    server = uvicorn.Server(uvicorn.Config(app, host=config.host, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Endpoint(app, config, f"http://{config.host}:{port}")
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@contextmanager
def emptied(served: Endpoint) -> Iterator[None]:
    """End the jobs and delete the files of the block, for the next test of the same endpoint."""
    assert served.on_disk() == []
    yield
    for job in served.state.unfinished_jobs():
        served.state.change_job(job.id, set(JobStatus), status=JobStatus.CANCELLED)
    for file in served.state.files():
        served.state.delete_file(file.id)
    served.app.state.files.discard_unused()


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return once ``condition`` holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def conversations(count: int) -> bytes:
    """A good training file."""
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"What is {number} + 1?"},
                {"role": "assistant", "content": str(number + 1)},
            ]
        }
        for number in range(count)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
