"""The server's process: one per home, killed or stopped without losing a job."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig, TrainingConfig
from needle_assets.endpoint.embedded import embedded_endpoint
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.jobs.folder import job_folder
from needle_assets.endpoint.serve import serve
from needle_assets_tests.endpoint.jobs.world import lines
from needle_assets_tests.support.fake_trainer import fake_trainer
from needle_assets_tests.support.waiting import until

PROGRAM = """
import sys
from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.serve import serve

serve(EndpointConfig.model_validate_json(sys.argv[1]))
"""


@pytest.fixture
def config(tmp_path: Path) -> EndpointConfig:
    weights = tmp_path / "base.gguf"
    weights.write_bytes(b"GGUF")
    return EndpointConfig(
        home=tmp_path / "home",
        port=0,
        auth="off",
        models={"small": BaseModelConfig(gguf=weights)},
        training=TrainingConfig(python=fake_trainer(tmp_path / "trainer")),
    )


@contextmanager
def server(config: EndpointConfig) -> Iterator[tuple[subprocess.Popen[str], openai.OpenAI]]:
    """A server process and a client for it; killed at the end of the block if it still is."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, config.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said, address = process.stdout.readline().rsplit(maxsplit=1)
            assert said == "serving on"
            with openai.OpenAI(
                base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=30
            ) as client:
                yield process, client
        finally:
            process.kill()


def steps(client: openai.OpenAI, job: str) -> list[int]:
    events = client.fine_tuning.jobs.list_events(job, limit=100)
    return sorted(event.data["step"] for event in events if event.type == "metrics")


def test_a_job_outlives_the_kill_and_the_stop_of_its_server(config: EndpointConfig) -> None:
    trainer = config.training.python.parent
    fake_trainer(trainer, steps=9, hang_at=4, checkpoint_every=2)
    with server(config) as (process, client):
        file = client.files.create(file=("a.jsonl", lines(10)), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model="small", training_file=file.id).id
        until(lambda: steps(client, job) == [1, 2, 3], what="step 3")
        with pytest.raises(EndpointError, match=r"another server at http://127.0.0.1:\d+ \(proc"):
            serve(config)
        with (
            pytest.raises(EndpointError, match="use it by that address and its key"),
            embedded_endpoint(config),
        ):
            pass
        process.kill()

    fake_trainer(trainer, steps=9, hang_at=7, checkpoint_every=2)
    with server(config) as (process, client):
        until(lambda: steps(client, job) == [1, 2, 3, 4, 5, 6], what="step 6")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not job_folder(config.home, job).locked()

    fake_trainer(trainer, steps=9)
    with server(config) as (process, client):
        until(lambda: client.fine_tuning.jobs.retrieve(job).finished_at, what="the job's end")
        ended = client.fine_tuning.jobs.retrieve(job)
        assert (ended.status, ended.trained_tokens) == ("succeeded", 900)
        assert steps(client, job) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        listed = [model.id for model in client.models.list()]
        assert listed == ["small", f"ft:small::{job[-8:]}"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_a_port_that_is_taken_is_named(config: EndpointConfig) -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(EndpointError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve(config.model_copy(update={"port": port}))


def test_a_home_that_cannot_be_one_is_named(config: EndpointConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EndpointError, match="the home .*/file/home cannot be used"):
        serve(config.model_copy(update={"home": tmp_path / "file" / "home"}))
