"""A fine-tune whose run worker is killed or cancelled: real processes, a process for each op."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from needle_assets_tests.defs.test_finetune import at, launch, scripted_endpoint
from needle_assets_tests.defs.world import LENGTH, PROJECT, SMALL, World
from needle_assets_tests.support.scripted_server import Meanwhile, ScriptedServer
from needle_assets_tests.support.waiting import until

pytestmark = pytest.mark.slow

START_S = 180.0
"""A worker and each of its ops import the project; several at a time on a busy machine."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_endpoint() as server:
        yield server


@contextmanager
def worker(
    world: World, server: ScriptedServer, *arguments: str, **changes: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """A run worker in a process group of its own; nothing of it is left after the block."""
    values = {**SMALL, **at(server, **changes)}
    command = [sys.executable, "-m", "needle_assets_tests.support.run_worker", "finetuned_model"]
    with subprocess.Popen(
        [*command, LENGTH, *arguments],
        cwd=world.folder,
        env={
            **os.environ,
            "DAGSTER_HOME": str(world.folder),
            "PYTHONPATH": str(PROJECT),
            **{f"NEEDLE_{name.upper()}": str(value) for name, value in values.items()},
        },
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End the worker and its ops as the kernel does when memory runs out."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def last_run(world: World) -> dg.DagsterRun:
    [record] = world.instance.get_run_records(limit=1)
    return record.dagster_run


def finished_ops(world: World, run: dg.DagsterRun) -> list[str]:
    steps = world.instance.get_run_step_stats(run.run_id)
    done = [step.step_key for step in steps if step.status and step.status.value == "SUCCESS"]
    return sorted(name.rpartition(".")[2] for name in done)


def between_ops(world: World, do: Callable[[], None]) -> None:
    """Do something as soon as the first op has handed on what it made."""
    until(
        lambda: list((world.store / "runs").rglob("*submit_finetune_job*/*.json")),
        within_s=START_S,
        what="the end of submit_finetune_job",
    )
    do()


@pytest.mark.parametrize(
    ("moment", "done"),
    [
        # The server has the request, and whom it answers is gone.
        ("jobs.create", []),
        # What the first op made lies in the store; the event that says so may not.
        ("between", None),
        ("jobs.retrieve", ["submit_finetune_job"]),
        ("models.retrieve", None),
    ],
)
def test_a_killed_worker_pays_once_and_is_gone_on_with(
    world: World, server: ScriptedServer, moment: str, done: list[str] | None
) -> None:
    launch(world, server, "finetune_upload")
    with worker(world, server) as process:
        if moment == "between":
            between_ops(world, lambda: kill(process))
        else:
            server.script(moment, Meanwhile(lambda: kill(process)))
        assert process.wait(START_S) == -signal.SIGKILL
    killed = last_run(world)
    if done is not None:
        assert finished_ops(world, killed) == done
    assert f"finetuned_model/{LENGTH}.json" not in world.outputs()
    # As Dagster's daemon does with a run whose worker has died.
    world.instance.report_run_failed(killed)

    with worker(world, server, killed.run_id) as process:
        assert process.wait(START_S) == 0

    again = last_run(world)
    assert again.parent_run_id == killed.run_id
    # What was done is not done again.
    assert not {*finished_ops(world, again)} & {*finished_ops(world, killed)}
    [job] = server.jobs
    assert (server.paid, server.requests["jobs.create"]) == ([job], 1)
    receipt = json.loads(world.outputs()[f"finetuned_model/{LENGTH}.json"])
    assert receipt["job_id"] == job


@pytest.mark.parametrize(("on_cancel", "status"), [("leave", "running"), ("cancel", "cancelled")])
def test_a_run_terminated_from_outside_leaves_or_cancels_its_job(
    world: World, server: ScriptedServer, on_cancel: str, status: str
) -> None:
    server.life = ("running",)
    launch(world, server, "finetune_upload")
    with worker(world, server, on_cancel=on_cancel) as process:
        until(lambda: server.requests["jobs.retrieve"], within_s=START_S, what="the wait")
        # What the UI's Terminate comes to: it says so, and interrupts the worker.
        world.instance.report_run_canceling(last_run(world))
        process.send_signal(signal.SIGINT)
        process.wait(START_S)
    assert last_run(world).status == dg.DagsterRunStatus.CANCELED
    [job] = server.jobs.values()
    assert job.body["status"] == status
