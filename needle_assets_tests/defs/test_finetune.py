"""A fine-tune as ops: checked, quoted, paid once, registered. The server is a scripted one."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from needle_assets.evaluation.registry import ModelRegistry
from needle_assets_tests.defs.world import LENGTH, World
from needle_assets_tests.support.scripted_server import (
    Failed,
    HangUp,
    ScriptedServer,
    scripted_server,
)

BASE = "base-1"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.models[BASE] = {
            "id": BASE,
            "object": "model",
            "created": 0,
            "owned_by": "scripted",
        }
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
        (world.store / "finetune" / LENGTH / "jobs" / f"{receipt['fingerprint']}.json").read_text()
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
    told = {"prices": str(prices), "max_cost_usd": 2.0}
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
