"""Batches under Dagster: three ops that submit, await and collect, begun again where they died."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from needle_assets.defs import batching
from needle_assets.defs.failures import as_failure
from needle_assets.defs.journals import close_journal, journal_epoch, journal_folder
from needle_assets.defs.launch import register
from needle_assets.defs.partitions import current_sweep, sweeps
from needle_assets.defs.progress import ProgressFactory, log_progress
from needle_assets.defs.resources import Models
from needle_assets.evaluation.batch import batch_sweep
from needle_assets.evaluation.client import answers_table
from needle_assets.evaluation.registry import ModelEntry, ModelRegistry
from needle_assets.evaluation.requests import Question
from needle_assets.settings import Settings
from needle_assets_tests.support.batch_server import (
    BatchHost,
    BatchServer,
    Ending,
    Error,
    Late,
    batch_host,
    echo,
)
from needle_assets_tests.support.fake_time import FakeTime
from needle_assets_tests.support.scripted_server import HangUp, Refuse

QUESTIONS = [Question(f"e{n}", 0, [{"role": "user", "content": f"q{n}"}]) for n in range(4)]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

RIGHT = ["q0", "q1", "q2", "q3"]


@dg.op
def submit_batch(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
) -> dict[str, Any]:
    """Have batches for every question that was not answered yet."""
    with as_failure():
        if not batching.batched(context, models):
            return {}
        return batching.submit(context, QUESTIONS, settings, models)


@dg.op
def await_batch(
    context: dg.OpExecutionContext,
    receipt: dict[str, Any],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
    progress: dg.ResourceParam[ProgressFactory],
) -> dict[str, Any]:
    """Wait for the batches and those that complete them."""
    if not receipt:
        return {}
    with as_failure():
        return batching.await_(context, QUESTIONS, receipt, settings, models, progress)


@dg.op
def ask_model(
    context: dg.OpExecutionContext,
    receipt: dict[str, Any],
    settings: dg.ResourceParam[Settings],
    models: dg.ResourceParam[Models],
) -> pa.Table:
    """All answers; where there are batches, nothing is asked here."""
    if not receipt:
        return answers_table([])
    with as_failure():
        answers = answers_table(batching.collect(context, QUESTIONS, receipt, settings, models))
    if answers["error"].null_count == answers.num_rows:
        length, slug = current_sweep(context)
        epoch = journal_epoch(context)
        batching.close_batches(settings, length, slug, epoch)
        close_journal(journal_folder(settings, length, slug), epoch, context.run_id)
    return answers


@dg.graph_asset(partitions_def=sweeps)
def eval_results() -> pa.Table:
    return ask_model(await_batch(submit_batch()))


@pytest.fixture(scope="module")
def host() -> Iterator[BatchHost]:
    with batch_host() as running:
        yield running


@pytest.fixture
def server(host: BatchHost, monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    time = FakeTime()
    clocked = partial(batch_sweep, sleep=time.sleep, clock=time.clock)
    monkeypatch.setattr(batching, "batch_sweep", clocked)
    server = host.fresh(time.clock)
    monkeypatch.setenv("BIG_KEY", server.api_key)
    return server


class Project:
    """A store, an instance and a model that is asked through batches."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, server: BatchServer) -> None:
        self.settings = Settings(home=str(folder), batch_timeout_s=3600.0)
        self.models = Models(self.settings)
        self.instance = instance
        self.server = server
        self.progress: ProgressFactory = log_progress
        register(instance, ["512"], ["big"])
        self.add()

    def add(self, **changes: Any) -> None:
        entry: dict[str, Any] = {
            "slug": "big",
            "base_url": self.server.base_url,
            "model": "big-1",
            "context_window": 4096,
            "api_key_env": "BIG_KEY",
            "batch": True,
        }
        registry = ModelRegistry(self.settings.root / "models.json")
        registry.add(ModelEntry(**(entry | changes)), replace=True)

    def run(self, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [eval_results],
            instance=self.instance,
            resources={
                "settings": self.settings,
                "models": self.models,
                "progress": self.progress,
            },
            partition_key=dg.MultiPartitionKey({"context_length": "512", "model": "big"}),
            tags=tags,
            run_config=QUIET,
            raise_on_error=False,
        )

    @property
    def note(self) -> Path:
        return Path(str(batching.batch_note(self.settings, 512, "big", "open")))

    def observed(self) -> Sequence[dg.EventLogRecord]:
        """Newest first."""
        key = dg.AssetKey("eval_results")
        return self.instance.fetch_observations(key, limit=10).records


@pytest.fixture
def project(tmp_path: Path, server: BatchServer) -> Iterator[Project]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield Project(tmp_path / "store", instance, server)


def answers_of(result: dg.ExecuteInProcessResult) -> list[str | None]:
    assert result.success
    answers: list[str | None] = result.output_for_node("eval_results.ask_model")[
        "answer"
    ].to_pylist()
    return answers


def failure_of(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """The op that failed, and what it says."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    return str(event.step_key).rpartition(".")[2], str(failure.description)


def test_a_sweep_through_batches(project: Project) -> None:
    result = project.run()

    assert answers_of(result) == RIGHT
    assert project.server.created == 1
    assert not project.note.exists()


def test_the_batch_stands_in_the_assets_history(project: Project) -> None:
    result = project.run()

    [record] = project.observed()
    observation = record.asset_observation
    assert observation is not None
    told = {name: value.value for name, value in observation.metadata.items()}
    assert told == {
        "batches": "batch-000002",
        "questions": 4,
        "attempt": 1,
        "round": f"512/big/{result.run_id}",
        "destination": project.server.base_url,
    }
    assert observation.partition == "512|big"


def test_a_batch_that_completes_another_is_told_of_too(project: Project) -> None:
    project.server.endings.append(Ending("expired", lambda n, b: echo(n, b) if n else Late))

    assert answers_of(project.run()) == RIGHT

    told = [record.asset_observation for record in project.observed()]
    assert [o.metadata["attempt"].value for o in told if o is not None] == [2, 1]


DEAD = Refuse(400, "dead")
"""A trouble that nobody bears with: the step ends there and then."""


@pytest.mark.parametrize(
    ("faults", "op", "created"),
    [
        ({"files.create": [HangUp(after=True)], "files.list": [None, DEAD]}, "submit_batch", 1),
        ({"batches.create": [DEAD]}, "submit_batch", 1),
        ({"batches.create": [HangUp(after=True)], "batches.list": [None, DEAD]}, "submit_batch", 1),
        ({"batches.retrieve": [DEAD]}, "await_batch", 1),
        ({"files.content": [DEAD]}, "await_batch", 2),
        ({"files.content": [*[None] * 4, DEAD]}, "ask_model", 2),
    ],
    ids=["after upload", "before create", "after create", "in wait", "in collect", "at the end"],
)
def test_a_run_that_died_is_gone_on_with_by_the_next(
    project: Project, faults: dict[str, Any], op: str, created: int
) -> None:
    # One question fails for good: it is asked again by the run after the one that saw it fail.
    bad = Error(400, "no")
    server = project.server
    server.endings.append(Ending(reply=lambda n, b: echo(n, b) if n else bad))
    for route, what in faults.items():
        server.script(route, *what)
    first = project.run()
    server.heal()

    second = project.run()

    assert failure_of(first)[0] == op
    assert answers_of(second) == (RIGHT if created == 2 else [None, *RIGHT[1:]])
    assert server.created == created
    assert set(server.answered.values()) == {1}


def test_a_refused_batch_fails_the_step_without_a_retry(project: Project) -> None:
    error = {"code": "invalid_model", "message": "no such model", "line": None}
    project.server.endings.append(Ending("failed", errors=[error]))

    op, said = failure_of(project.run())

    assert op == "await_batch"
    assert "refused the batch batch-000002: invalid_model: no such model" in said
    assert answers_of(project.run()) == RIGHT


def test_a_finished_round_is_followed_by_a_fresh_one(project: Project) -> None:
    project.run()

    assert answers_of(project.run()) == RIGHT

    assert project.server.created == 2
    assert set(project.server.answered.values()) == {2}


def test_a_finished_run_that_is_executed_again_asks_afresh(project: Project) -> None:
    first = project.run()
    resources = {"settings": project.settings, "models": project.models}
    job = dg.Definitions(
        assets=[eval_results],
        resources={**resources, "progress": project.progress},
        executor=dg.in_process_executor,
    ).resolve_implicit_global_asset_job_def()
    again = project.instance.create_run_for_job(
        job,
        tags=dict(first.dagster_run.tags),
        root_run_id=first.run_id,
        parent_run_id=first.run_id,
        run_config=QUIET,
    )

    assert execute_run(InMemoryJob(job), again, project.instance).success

    assert project.server.created == 2
    assert set(project.server.answered.values()) == {2}


def test_a_round_with_an_error_stays_open_and_asks_that_alone(project: Project) -> None:
    bad = Error(400, "no")
    project.server.endings.append(Ending(reply=lambda n, b: echo(n, b) if n else bad))

    first, second = project.run(), project.run()

    assert answers_of(first) == [None, "q1", "q2", "q3"]
    assert answers_of(second) == RIGHT
    assert project.server.created == 2
    assert set(project.server.answered.values()) == {1}


@pytest.mark.parametrize(
    ("on_cancel", "status"), [("cancel", "cancelled"), ("leave", "in_progress")]
)
def test_a_batch_is_cancelled_with_its_run_where_the_settings_say_so(
    project: Project, on_cancel: str, status: str
) -> None:
    project.settings = project.settings.model_copy(update={"on_cancel": on_cancel})

    def interrupted(_work: str) -> Callable[[int, int], None]:
        def report(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        return report

    project.progress = interrupted

    result = project.run()

    assert not result.success
    [kept] = project.server.batches.values()
    assert kept.body["status"] == status


def test_scheduled_rounds_are_apart(project: Project) -> None:
    project.run({"needle/evaluation": "2026-11-22"})
    project.run({"needle/evaluation": "2026-11-23"})

    assert project.server.created == 2


@pytest.mark.parametrize("change", [{"batch": False}, {"context_window": 511}])
def test_a_model_that_is_not_asked_through_batches_leaves_the_server_alone(
    project: Project, change: dict[str, Any]
) -> None:
    project.add(**change)

    result = project.run()

    assert answers_of(result) == []
    assert not project.server.requests


def test_what_is_over_the_callers_cap_is_not_sent(project: Project) -> None:
    shown: list[str] = []

    def refuse(questions: Sequence[Question], _paid: int) -> None:
        shown.extend(question.example_id for question in questions)
        raise dg.Failure("over the cap")

    @dg.op
    def submit_capped(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        models: dg.ResourceParam[Models],
    ) -> dict[str, Any]:
        return batching.submit(context, QUESTIONS, settings, models, before_create=refuse)

    @dg.graph_asset(name="eval_results", partitions_def=sweeps)
    def capped() -> dict[str, Any]:
        return submit_capped()

    result = dg.materialize(
        [capped],
        instance=project.instance,
        resources={"settings": project.settings, "models": project.models},
        partition_key=dg.MultiPartitionKey({"context_length": "512", "model": "big"}),
        run_config=QUIET,
        raise_on_error=False,
    )

    assert not result.success
    assert shown == ["e0", "e1", "e2", "e3"]
    assert project.server.created == 0
