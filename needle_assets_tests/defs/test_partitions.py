"""Keys of the two dynamic dimensions: bad ones get in only by the UI, and do no harm there."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from needle_assets.defs.partitions import add_context_lengths, add_model, sweep_key
from needle_assets.errors import NeedleError
from needle_assets.evaluation.registry import ModelRegistry
from needle_assets_tests.defs.world import LENGTH, MODEL, World

BAD_LENGTHS = ["abc", "0", "-4", "1e3", "12", "512|x", "99999999", "", " 512", "0512", "512,1024"]
BAD_SLUGS = ["", "GPT-5", "a b", "a/b", "a|b", "../a", "a,b", "-a", "a" * 65]

NOT_A_LENGTH = "is not a context length: expected the plain digits of a number of tokens"
NOT_A_SLUG = "cannot name a model: 1 to 64 lower-case letters, digits"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def keys(instance: dg.DagsterInstance, dimension: str) -> list[str]:
    return list(instance.get_dynamic_partitions(dimension))


def entry(**changes: Any) -> dict[str, Any]:
    config = {
        "slug": "tuned-1",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "tuned",
        "context_window": 8192,
    }
    return {"ops": {"add_registered_model": {"config": config | changes}}}


# --- keys that are added -----------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_LENGTHS)
def test_lengths_are_added_all_or_none(instance: dg.DagsterInstance, bad: str) -> None:
    with pytest.raises(NeedleError, match=NOT_A_LENGTH) as caught:
        add_context_lengths(instance, ["4096", bad])
    assert repr(bad) in str(caught.value)
    assert keys(instance, "context_length") == []


def test_a_length_is_added_once(instance: dg.DagsterInstance) -> None:
    assert add_context_lengths(instance, ["4096", "256"]) == [4096, 256]
    add_context_lengths(instance, ["16777216", "4096"])
    assert sorted(keys(instance, "context_length")) == ["16777216", "256", "4096"]


@pytest.mark.parametrize("bad", BAD_SLUGS)
def test_a_slug_that_is_none_is_not_added(instance: dg.DagsterInstance, bad: str) -> None:
    with pytest.raises(NeedleError, match=NOT_A_SLUG):
        add_model(instance, bad)
    assert keys(instance, "model") == []


def test_the_key_of_a_sweep() -> None:
    assert str(sweep_key(512, "llama-3.1-8b")) == "512|llama-3.1-8b"


# --- the jobs ----------------------------------------------------------------------------------


def test_the_job_adds_lengths(new_world: World) -> None:
    config = {"ops": {"add_lengths": {"config": {"context_lengths": ["4096", "8192"]}}}}
    assert new_world.run_job("add_context_length", run_config=config).success
    assert sorted(keys(new_world.instance, "context_length")) == ["4096", "8192"]


@pytest.mark.parametrize("bad", ["abc", "512|x"])
def test_the_job_refuses_a_bad_length(new_world: World, bad: str) -> None:
    config = {"ops": {"add_lengths": {"config": {"context_lengths": ["4096", bad]}}}}
    with pytest.raises(dg.Failure, match=NOT_A_LENGTH) as caught:
        new_world.run_job("add_context_length", run_config=config)
    assert not caught.value.allow_retries
    assert keys(new_world.instance, "context_length") == []


def test_the_job_registers_a_model(new_world: World) -> None:
    config = entry(api_key_env="TUNED_KEY", json_schema=False)
    assert new_world.run_job("register_model", run_config=config).success
    added = ModelRegistry(new_world.settings().root / "models.json").get("tuned-1")
    assert (added.base_url, added.model, added.context_window, added.api_key_env) == (
        "http://127.0.0.1:9/v1",
        "tuned",
        8192,
        "TUNED_KEY",
    )
    assert not added.json_schema
    assert keys(new_world.instance, "model") == ["tuned-1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slug": "a|b"}, NOT_A_SLUG),
        ({"base_url": "ftp://host"}, "needs a base_url such as https://host/v1"),
        ({"base_url": "http://me:secret-word@host/v1"}, "more than host and path"),
        ({"context_window": 0}, "a context window of 0"),
        ({"api_key_env": "sk-secret-word"}, "never the key itself"),
        ({"slug": "smollm2-135m-instruct"}, "built in"),
    ],
)
def test_the_job_refuses_an_entry_that_cannot_work(
    new_world: World, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(dg.Failure, match=message) as caught:
        new_world.run_job("register_model", run_config=entry(**changes))
    assert not caught.value.allow_retries
    assert "secret-word" not in str(caught.value)
    assert not (new_world.store / "models.json").exists()
    assert keys(new_world.instance, "model") == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"context_window": "many"}, "context_window"),
        ({"slug": 5}, "slug"),
        ({"color": 1}, "color"),
    ],
)
def test_the_job_refuses_values_of_another_type_before_it_starts(
    new_world: World, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=named):
        new_world.run_job("register_model", run_config=entry(**changes))
    assert keys(new_world.instance, "model") == []


# --- keys that the UI added --------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["abc", "0", "-4", "1e3", "12", "512|x", "99999999", "../512"])
def test_haystacks_of_a_bad_length_fail_with_its_name(world: World, bad: str) -> None:
    before = world.outputs()
    world.instance.add_dynamic_partitions("context_length", [bad])
    with pytest.raises(dg.Failure, match=NOT_A_LENGTH) as caught:
        world.run("haystacks", partition=bad)
    assert repr(bad) in str(caught.value)
    assert not caught.value.allow_retries
    assert world.outputs() == before


def test_a_bad_key_does_not_keep_other_partitions_from_working(world: World) -> None:
    world.instance.add_dynamic_partitions("context_length", ["512|x", "a/b", "a,b"])
    world.instance.add_dynamic_partitions("model", ["a|b", "a/b"])
    world.run("eval_results", partition=f"{LENGTH}|{MODEL}")
    world.run("leaderboard")
    assert world.table("leaderboard")["context_length"].to_pylist() == [int(LENGTH)]


@pytest.mark.parametrize(
    ("slug", "message"),
    [("a b", NOT_A_SLUG), ("nobody", "no model 'nobody' is registered; there are scripted, smol")],
)
def test_a_model_that_is_not_one_is_not_asked(world: World, slug: str, message: str) -> None:
    before = world.outputs()
    world.instance.add_dynamic_partitions("model", [slug])
    with pytest.raises(dg.Failure, match=message) as caught:
        world.run("eval_results", partition=f"{LENGTH}|{slug}")
    assert not caught.value.allow_retries
    assert world.outputs() == before
    assert world.server.count == 0


def test_a_sweep_without_its_haystacks_says_what_to_materialize(world: World) -> None:
    world.instance.add_dynamic_partitions("context_length", ["1024"])
    with pytest.raises(dg.Failure, match=r"haystacks/1024\.parquet does not exist; materialize"):
        world.run("eval_results", partition=f"1024|{MODEL}")
    assert world.server.count == 0
