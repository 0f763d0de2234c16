"""A server that is killed at any instant: no job is lost, none is trained twice."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from needle_assets.endpoint.records import JobStatus
from needle_assets_tests.endpoint.jobs.world import World
from needle_assets_tests.support.waiting import until

KILLS = 20
JOBS = 8
STEPS = 12

# The imports take half a second: they are made once, and every server is a fork of its own, in
# which nothing has happened yet.
NURSERY = """
    import os, sys, threading
    from pathlib import Path
    from needle_assets.endpoint.blobs import Blobs
    from needle_assets.endpoint.config import EndpointConfig
    from needle_assets.endpoint.jobs.runner import Runner
    from needle_assets.endpoint.state import State

    config = EndpointConfig.model_validate_json(sys.stdin.readline())
    for _ in sys.stdin:
        server = os.fork()
        if server == 0:
            state = State(config.home / "state.sqlite")
            blobs = Blobs(config.home / "blobs")
            Runner(config, state, blobs, lambda: None, poll_s=0.02, stop_s=5.0).start()
            print(os.getpid(), flush=True)
            threading.Event().wait()
        os.waitpid(server, 0)
"""


class Nursery:
    """Starts servers, one at a time."""

    def __init__(self, config: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(NURSERY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(config)

    def server(self) -> int:
        """Start a server: its process id once its jobs go on."""
        self._say("")
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@pytest.fixture
def nursery(world: World) -> Iterator[Nursery]:
    nursery = Nursery(world.config.model_dump_json())
    yield nursery
    nursery.close()


def test_a_server_killed_at_any_instant_loses_no_job_and_trains_none_twice(
    world: World, nursery: Nursery
) -> None:
    world.trainer(steps=STEPS, step_s=0.02, checkpoint_every=3, prepare_s=0.03)
    instants = random.Random(4)
    jobs = [world.job(), world.job()]
    unfinished_at_kill = 0

    for _ in range(KILLS):
        server = nursery.server()
        # The instant is what is tried: nothing is waited for.
        time.sleep(instants.uniform(0.0, 0.4))
        os.kill(server, signal.SIGKILL)
        unfinished_at_kill += any(
            world.now(job).status in (JobStatus.VALIDATING, JobStatus.RUNNING) for job in jobs
        )
        if len(jobs) < JOBS:
            jobs.append(world.job())
    server = nursery.server()
    until(lambda: not world.state.unfinished_jobs(), what="the end of all jobs")
    os.kill(server, signal.SIGKILL)

    assert unfinished_at_kill >= KILLS // 2
    for job_id in jobs:
        job = world.now(job_id)
        assert job.status is JobStatus.SUCCEEDED, job
        assert job.trained_tokens == 100 * STEPS
        assert sorted(world.steps(job_id)) == list(range(1, STEPS + 1))
        checkpoints = [c.step for c in world.state.checkpoints(job_id)]
        # A trainer that a new server found and stopped has left one more.
        assert {3, 6, 9, 12} <= set(checkpoints)
        assert len(checkpoints) == len(set(checkpoints))
        messages = world.messages(job_id)
        for once in ("Created", "Validating", "Files validated", "Fine-tuning job started",
                     "New fine-tuned model", "The job has successfully completed"):  # fmt: skip
            assert sum(message.startswith(once) for message in messages) == 1, messages
        # One trainer came to the end, whatever number of them was begun.
        ends = (world.folder(job_id).path / "ends").read_text().splitlines()
        assert len(ends) == 1
    assert sorted(m.job_id for m in world.state.models()) == jobs
    assert [job.id for job in reversed(world.state.jobs(limit=100))] == jobs


def test_a_trainer_that_outlives_its_server_is_stopped_before_another_one_starts(
    world: World, nursery: Nursery
) -> None:
    world.trainer(steps=9, hang_at=5, checkpoint_every=100, disloyal=True)
    job = world.job()
    server = nursery.server()
    world.reaches_step(job, 4)
    orphan = psutil.Process(int((world.folder(job).path / "starts").read_text()))
    os.kill(server, signal.SIGKILL)
    world.trainer(steps=9, checkpoint_every=100)
    # Somebody looks into the folder, which makes no trainer of him.
    look = [sys.executable, "-c", "input()", str(world.folder(job).path)]

    with subprocess.Popen(look, stdin=subprocess.PIPE) as stranger:
        server = nursery.server()
        world.reaches(job, JobStatus.SUCCEEDED)
        os.kill(server, signal.SIGKILL)

        assert stranger.poll() is None
        stranger.kill()
    assert not orphan.is_running()
    # Asked to stop, it wrote a checkpoint at step 4, from which the second one went on.
    assert [c.step for c in world.state.checkpoints(job)] == [4]
    assert world.steps(job) == list(range(1, 10))
    assert world.starts(job) == 2


def killed_at_step_3(world: World) -> str:
    """A job that runs by its record, and of which no trainer is left."""
    world.trainer(hang_at=4)
    runner = world.start()
    job = world.job()
    world.reaches_step(job, 3)
    runner.close()
    world.trainer()
    return job


def test_a_result_that_the_killed_server_never_saw_is_taken_without_training_again(
    world: World,
) -> None:
    job = killed_at_step_3(world)
    folder = world.folder(job)
    folder.adapter.write_bytes(b"GGUF")
    (folder.path / "result.json").write_text(
        '{"trained_tokens": 500, "steps": 5, "train_loss": 0.2, "valid_loss": null, "seconds": 1}'
    )

    world.start()

    assert world.reaches(job, JobStatus.SUCCEEDED).trained_tokens == 500
    assert world.starts(job) == 1


def test_a_failure_that_the_killed_server_never_saw_is_not_tried_again(world: World) -> None:
    job = killed_at_step_3(world)
    with world.folder(job).progress.open("a") as file:
        file.write('{"type": "failed", "message": "out of memory"}\n')

    world.start()

    assert world.reaches(job, JobStatus.FAILED).error_message == "out of memory"
    assert world.starts(job) == 1
