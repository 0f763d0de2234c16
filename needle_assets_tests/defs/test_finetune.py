"""A fine-tune as ops: checked, quoted, paid once, registered. The server is a scripted one."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from needle_assets.defs.launch import launcher
from needle_assets.defs.provenance import DATA_VERSION, INPUT_VERSION, latest, version_tag
from needle_assets.evaluation.registry import ModelRegistry
from needle_assets.finetune.job import await_job
from needle_assets_tests.defs.world import LENGTH, World
from needle_assets_tests.support.scripted_server import (
    Failed,
    HangUp,
    Meanwhile,
    Refuse,
    ScriptedServer,
    scripted_server,
)

BASE = "base-1"

MAX_ANSWER_TOKENS = 160
"""Of a labeler's answer."""


@contextmanager
def scripted_endpoint() -> Iterator[ScriptedServer]:
    """A scripted server that has a base model to tune."""
    with scripted_server() as server:
        server.models[BASE] = {"id": BASE, "object": "model", "created": 0, "owned_by": "scripted"}
        yield server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_endpoint() as server:
        yield server


def at(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    """Settings by which the scripted server is the endpoint."""
    return {
        "endpoint_url": server.base_url,
        "endpoint_api_key": server.api_key,
        "base_model": BASE,
        "epochs": 2,
        **changes,
    }


def launch(
    world: World,
    server: ScriptedServer,
    *assets: str,
    ops: dict[str, Any] | None = None,
    **changes: Any,
) -> dg.ExecuteInProcessResult:
    job = world.definitions(
        world.settings(**at(server, **changes))
    ).resolve_implicit_global_asset_job_def()
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if ops:
        config["ops"] = {"finetuned_model": {"ops": {"submit_finetune_job": {"config": ops}}}}
    return job.execute_in_process(
        instance=world.instance,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        partition_key=LENGTH,
        run_config=config,
    )


def tune(world: World, server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    """Upload and tune; returns the receipt."""
    launch(world, server, "finetune_upload", "finetuned_model", **changes)
    return kept(world)


def kept(world: World) -> dict[str, Any]:
    return dict(json.loads(world.outputs()[f"finetuned_model/{LENGTH}.json"]))


def test_a_tuned_model_can_be_evaluated_at_once(world: World, server: ScriptedServer) -> None:
    receipt = tune(world, server)

    [job] = server.paid
    assert (receipt["job_id"], receipt["status"]) == (job, "succeeded")
    assert receipt["destination"] == server.base_url
    assert receipt["hyperparameters"]["n_epochs"] == 2
    # Nothing in the table says what this server costs.
    assert receipt["cost_usd"] is None
    slug = receipt["slug"]
    assert slug == f"{BASE}-{LENGTH}-{receipt['fingerprint'][:8]}"
    assert slug in world.instance.get_dynamic_partitions("model")
    entry = ModelRegistry(world.settings().root / "models.json").get(slug)
    assert (entry.model, entry.base_url) == (receipt["model"], server.base_url)
    assert entry.api_key_env == "NEEDLE_ENDPOINT_API_KEY"
    assert entry.training is not None
    assert (entry.training.base, entry.training.context_length) == (BASE, int(LENGTH))
    assert (entry.training.job_id, entry.training.cost_usd) == (job, None)


def test_the_run_shows_the_job_and_its_curve(world: World, server: ScriptedServer) -> None:
    receipt = tune(world, server)
    made = world.instance.get_latest_materialization_event(dg.AssetKey("finetuned_model"))
    assert made is not None
    assert made.asset_materialization is not None
    shown = made.asset_materialization.metadata
    assert shown["model"].value == receipt["slug"]
    assert shown["cost_usd"].value == "no price known"
    assert str(shown["training_curve"].value).startswith("![Training curve](data:image/svg+xml")
    [seen] = world.instance.fetch_observations(dg.AssetKey("finetuned_model"), limit=5).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.partition == LENGTH
    assert seen.asset_observation.metadata["job_id"].value == receipt["job_id"]
    job = json.loads(
        (world.store / "finetune" / LENGTH / "jobs" / f"{receipt['slug']}.json").read_text()
    )
    assert [point["train_loss"] for point in job["curve"]] == [2.0, 1.0]


def test_launched_again_the_job_is_found_again(world: World, server: ScriptedServer) -> None:
    first = tune(world, server)
    second = tune(world, server)
    assert second == first
    assert (len(server.paid), server.requests["jobs.create"]) == (1, 1)
    assert len(server.files) == 2 + 1  # Training, validation, and the job's own result file.


def test_a_run_that_died_while_it_waited_re_attaches(
    world: World, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("needle_assets.defs.assets.finetune.await_job", die)
        with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
            tune(world, server)
    [job] = server.jobs
    assert f"finetuned_model/{LENGTH}.json" not in world.outputs()
    assert kept_after(world, server) == job
    assert list(server.jobs) == [job]


def kept_after(world: World, server: ScriptedServer) -> str:
    return str(tune(world, server)["job_id"])


def test_a_lost_answer_to_the_create_pays_once(world: World, server: ScriptedServer) -> None:
    server.script("jobs.create", HangUp(after=True))
    receipt = tune(world, server)
    assert server.paid == [receipt["job_id"]]


@pytest.mark.parametrize(("on_cancel", "status"), [("leave", "running"), ("cancel", "cancelled")])
def test_a_cancelled_run_leaves_or_cancels_its_job(
    world: World,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    on_cancel: str,
    status: str,
) -> None:
    server.life = ("running",)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("needle_assets.defs.assets.finetune.await_job", interrupted)
    with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
        tune(world, server, on_cancel=on_cancel)
    [job] = server.jobs.values()
    assert job.body["status"] == status


def test_over_the_cap_nothing_is_sent(world: World, server: ScriptedServer) -> None:
    before = world.outputs()
    with pytest.raises(dg.Failure, match="no known cost, and max_cost_usd is 5"):
        tune(world, server, max_cost_usd=5.0)
    assert not server.files
    assert not server.jobs
    assert world.outputs() == before


def test_the_cap_counts_what_the_launchpad_asks_for(
    world: World, server: ScriptedServer, tmp_path: Any
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "training:\n  - {provider: unknown, model: '*', usd_per_million_tokens: 100, "
        "as_of: 2026-11-01, source: a contract}\n"
    )
    told: dict[str, Any] = {"prices": str(prices), "max_cost_usd": 2.0}
    launch(world, server, "finetune_upload", **told)
    sent = json.loads(world.outputs()[f"finetune_upload/{LENGTH}.json"])
    quoted = sent["estimated_cost_usd"]
    assert quoted == pytest.approx(sent["quote"]["billed_tokens"] * 100 / 1e6)
    assert 0 < quoted < 2.0
    with pytest.raises(dg.Failure, match="more than the 2 USD"):
        launch(world, server, "finetuned_model", ops={"n_epochs": 1000}, **told)
    assert not server.jobs


def test_files_that_lie_elsewhere_are_not_trained_on(world: World, server: ScriptedServer) -> None:
    # The finished project's files are in the store.
    with pytest.raises(dg.Failure, match="materialize finetune_upload again"):
        launch(world, server, "finetuned_model")
    assert not server.jobs


def test_a_failed_job_says_why_and_another_attempt_is_another_job(
    world: World, server: ScriptedServer
) -> None:
    server.life = ("validating_files", Failed("invalid_training_file", "line 3 is odd"))
    with pytest.raises(dg.Failure, match="line 3 is odd"):
        tune(world, server)
    server.life = ("running", "succeeded")
    with pytest.raises(dg.Failure, match="attempt"):
        launch(world, server, "finetuned_model")
    launch(world, server, "finetuned_model", ops={"attempt": 2})
    assert kept(world)["attempt"] == 2
    assert len(server.jobs) == 2


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"n_epochs": 0}, "n_epochs"),
        ({"n_epochs": -1}, "n_epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate_multiplier": 0.0}, "learning_rate_multiplier"),
        ({"attempt": 0}, "attempt"),
        ({"base_model": "no-such-model"}, "no-such-model"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_a_job(
    world: World, server: ScriptedServer, config: dict[str, Any], said: str
) -> None:
    launch(world, server, "finetune_upload")
    with pytest.raises(dg.Failure, match=said):
        launch(world, server, "finetuned_model", ops=config)
    assert not server.jobs


# --- what is there already ---------------------------------------------------------------------


def registry(world: World) -> ModelRegistry:
    return ModelRegistry(world.settings().root / "models.json")


def test_what_a_user_changed_in_the_models_entry_stays(
    world: World, server: ScriptedServer
) -> None:
    slug = tune(world, server)["slug"]
    entry = registry(world).get(slug)
    changed = entry.model_copy(update={"context_window": 9000, "training": None})
    registry(world).add(changed, replace=True)
    assert tune(world, server)["slug"] == slug
    kept_entry = registry(world).get(slug)
    assert (kept_entry.context_window, kept_entry.training) == (9000, entry.training)
    assert len(server.paid) == 1


def test_the_same_fine_tune_at_another_endpoint_is_another_model(
    world: World, server: ScriptedServer
) -> None:
    first = tune(world, server)
    with scripted_endpoint() as elsewhere:
        asked: list[int] = []
        look = Meanwhile(lambda: asked.append(elsewhere.requests["jobs.retrieve"]))
        elsewhere.script("jobs.create", look)
        elsewhere.new_id("its-own")
        second = tune(world, elsewhere)
        assert len(elsewhere.paid) == 1
    # The first one's job is none of its business, and it may refuse to tell of it.
    assert asked == [0]
    assert second["fingerprint"] == first["fingerprint"]
    assert second["slug"].startswith(first["slug"] + "-")
    assert registry(world).get(first["slug"]).base_url == server.base_url
    assert registry(world).get(second["slug"]).base_url == second["destination"]
    jobs = {path.stem for path in (world.store / "finetune" / LENGTH / "jobs").iterdir()}
    assert jobs == {first["slug"], second["slug"]}


def test_a_model_lost_from_the_registry_is_registered_again_by_the_command(
    world: World, server: ScriptedServer
) -> None:
    settings = world.settings(**at(server))
    with launcher(world.definitions(settings), world.instance, settings) as launching:
        launching.bring_up_to_date("finetune_upload", LENGTH)
        made = [launching.bring_up_to_date("finetuned_model", LENGTH).reused for _ in range(2)]
        registry(world).path.unlink()
        made.append(launching.bring_up_to_date("finetuned_model", LENGTH).reused)
    assert made == [False, True, False]
    assert registry(world).get(kept(world)["slug"]).training
    assert len(server.jobs) == 1


def test_files_that_the_endpoint_lost_are_to_be_sent_again(
    world: World, server: ScriptedServer
) -> None:
    launch(world, server, "finetune_upload")
    server.files.clear()
    server.file_bodies.clear()
    with pytest.raises(dg.Failure, match="any more .* materialize finetune_upload again"):
        launch(world, server, "finetuned_model")
    assert len(tune(world, server)["job_id"]) > 0
    assert len(server.jobs) == 1


def test_a_job_that_is_there_needs_neither_its_files_nor_its_base_model(
    world: World, server: ScriptedServer
) -> None:
    first = tune(world, server)
    server.files.clear()
    server.retired.add(BASE)
    launch(world, server, "finetuned_model")
    assert kept(world) == first


def test_a_model_is_made_from_the_files_that_its_job_had(
    world: World, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def and_meanwhile(*arguments: Any, **options: Any) -> Any:
        launch(world, server, "haystacks", "finetune_upload", train_examples=11)
        return await_job(*arguments, **options)

    launch(world, server, "finetune_upload")
    before = data_version(world, "finetune_upload")
    monkeypatch.setattr("needle_assets.defs.assets.finetune.await_job", and_meanwhile)
    launch(world, server, "finetuned_model")
    assert data_version(world, "finetune_upload") != before
    made = latest(world.instance, "finetuned_model", LENGTH)
    assert version_tag(made, f"{INPUT_VERSION}finetune_upload") == hashed(before)


def data_version(world: World, asset: str) -> str:
    return str(version_tag(latest(world.instance, asset, LENGTH), DATA_VERSION))


def hashed(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest()


def test_an_unbroken_line_of_versions_is_the_one_that_dagster_writes(
    world: World, server: ScriptedServer
) -> None:
    tune(world, server)
    made = latest(world.instance, "finetuned_model", LENGTH)
    upload = latest(world.instance, "finetune_upload", LENGTH)
    # That of its own input, which Dagster wrote.
    assert version_tag(upload, f"{INPUT_VERSION}haystacks") == hashed(
        data_version(world, "haystacks")
    )
    assert version_tag(made, f"{INPUT_VERSION}finetune_upload") == hashed(
        data_version(world, "finetune_upload")
    )


@pytest.mark.parametrize("route", ["files.create", "jobs.create", "jobs.retrieve", "jobs.events"])
def test_the_key_is_nowhere(world: World, server: ScriptedServer, route: str) -> None:
    server.life = ("running", Failed("odd", f"the key {server.api_key} is not for this"))
    server.script(route, Refuse(400, f"{server.api_key} may not do this"))
    with pytest.raises(dg.Failure):
        tune(world, server)
    logs = "".join(world.logged(run.run_id) for run in world.instance.get_runs())
    stored = [path for path in world.store.rglob("*") if path.is_file()]
    assert server.api_key not in logs
    assert not [path for path in stored if server.api_key.encode() in path.read_bytes()]


# --- labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "said"),
    [({}, "no known cost, and max_cost_usd is 1"), ({"labeler_input_price": 1e6}, "no known cost")],
)
def test_labelling_of_unknown_cost_is_not_begun(
    world: World, prices: dict[str, float], said: str
) -> None:
    before = world.outputs()
    with pytest.raises(dg.Failure, match=said) as caught:
        world.run("needle_labels", **labelled_by_the_model(world, max_cost_usd=1.0, **prices))
    assert not caught.value.allow_retries
    assert world.server.count == 0
    assert world.outputs() == before


def test_labelling_is_begun_only_if_every_answer_twice_is_within_the_cap(world: World) -> None:
    bios = world.table("filtered_needles").num_rows
    # Prompts free, and answers a dollar a token: their limit decides alone.
    price = {"labeler_input_price": 0.0, "labeler_output_price": 1e6}
    dollars = 2 * bios * MAX_ANSWER_TOKENS
    with pytest.raises(dg.Failure, match=f"up to {dollars:.4f} USD, more than the"):
        world.run(
            "needle_labels", **labelled_by_the_model(world, max_cost_usd=dollars - 1.0, **price)
        )
    assert world.server.count == 0
    world.run("needle_labels", **labelled_by_the_model(world, max_cost_usd=dollars, **price))
    assert world.server.count == bios


def labelled_by_the_model(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "endpoint_url": world.server.base_url,
        "endpoint_api_key": "test-key",
        "labeler_model": "reader",
        **changes,
    }
