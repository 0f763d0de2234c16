"""A killed run holds its pool slot for ever; whoever launches next must not wait for it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, instance_for_test

from needle_assets.definitions import build_defs
from needle_assets.defs.launch import LaunchError, launcher
from needle_assets.settings import Settings
from needle_assets.storage import StorageError

POOL = "evaluation"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        yield instance


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "store"))


def hold_slot(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> str:
    """A run of that status which holds the pool's only slot."""
    run = create_run_for_test(instance, status=status, tags=tags)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(POOL)
    storage.claim_concurrency_slot(POOL, run.run_id, "ask_model")
    assert storage.get_concurrency_info(POOL).active_run_ids == {run.run_id}
    return run.run_id


def slots_held(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(POOL).active_slot_count


def test_a_run_of_a_command_that_was_killed_is_ended(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    store = {"needle/launched_on": str(settings.scratch.resolve())}
    run_id = hold_slot(instance, dg.DagsterRunStatus.STARTED, store)
    with launcher(build_defs(settings), instance, settings):
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert slots_held(instance) == 0


def test_a_finished_run_gives_its_slot_back(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    hold_slot(instance, dg.DagsterRunStatus.FAILURE, {})
    with launcher(build_defs(settings), instance, settings):
        assert slots_held(instance) == 0


def test_a_run_of_somebody_else_is_named_and_left_alone(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run_id = hold_slot(instance, dg.DagsterRunStatus.STARTED, {})
    with (
        pytest.raises(LaunchError, match=f"run {run_id} holds .* pool 'evaluation'.*terminate"),
        launcher(build_defs(settings), instance, settings),
    ):
        pass
    assert slots_held(instance) == 1


def test_two_commands_do_not_launch_on_one_store(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    definitions = build_defs(settings)
    with (
        launcher(definitions, instance, settings),
        pytest.raises(StorageError, match="another run is writing .* from the command line"),
        launcher(definitions, instance, settings),
    ):
        pass
