"""What rebuilds by itself, and what it waits for."""

import dagster as dg
import pytest
from dagster._core.errors import DagsterAssetCheckFailedError

from needle_assets.defs.assets import needles
from needle_assets_tests.defs.test_assets import spoiled
from needle_assets_tests.defs.world import LENGTH, SWEEP, World


class Sensor:
    """The automation sensor, tick by tick."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._definitions = world.definitions()
        self._cursor: dg.AssetDaemonCursor | None = None
        # The first tick only takes note of what there is.
        assert self.tick() == set()

    def tick(self) -> set[tuple[str, str | None]]:
        result = dg.evaluate_automation_conditions(
            self._definitions, self._world.instance, cursor=self._cursor
        )
        self._cursor = result.cursor
        return {
            (key.to_user_string(), partition)
            for key in self._definitions.resolve_asset_graph().materializable_asset_keys
            for partition in result.get_requested_partitions(key)
        }


def test_nothing_happens_while_nothing_changes(world: World) -> None:
    sensor = Sensor(world)
    assert sensor.tick() == set()


def test_a_new_length_gets_its_haystacks_and_nothing_that_costs(world: World) -> None:
    sensor = Sensor(world)
    world.instance.add_dynamic_partitions("context_length", ["1024"])
    assert sensor.tick() == {("haystacks", "1024")}


def test_new_labels_rebuild_the_haystacks_once_they_are_checked(world: World) -> None:
    sensor = Sensor(world)
    world.run("needle_labels")
    assert sensor.tick() == {("haystacks", LENGTH), ("label_review", None)}


def test_labels_that_fail_their_check_rebuild_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(world)
    with monkeypatch.context() as patch:
        patch.setattr(needles, "label_bios", spoiled(needles.label_bios, 2))
        with pytest.raises(DagsterAssetCheckFailedError, match="nationality"):
            world.run("needle_labels")
    assert sensor.tick() == set()
    assert sensor.tick() == set()
    # Mended and checked.
    world.run("needle_labels")
    assert sensor.tick() == {("haystacks", LENGTH), ("label_review", None)}


def test_one_evaluation_is_enough_for_the_leaderboard(world: World) -> None:
    # Most of the matrix is missing: two lengths by two models, one evaluated.
    world.instance.add_dynamic_partitions("context_length", ["1024"])
    world.register_model("another")
    sensor = Sensor(world)
    sensor.tick()
    world.run("eval_results", partition=SWEEP)
    assert ("leaderboard", None) in sensor.tick()
