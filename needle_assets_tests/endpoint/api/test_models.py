"""/v1/models through the SDK."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError
from openai.types import Model, ModelDeleted

from needle_assets.endpoint.config import BaseModelConfig
from needle_assets.endpoint.jobs.folder import job_folder
from needle_assets.endpoint.records import ModelRecord
from needle_assets.endpoint.serving.pool import Pool
from needle_assets_tests.endpoint.api.world import Endpoint, endpoint

TUNED = ModelRecord(
    "ft:maker/base:bios:1234abcd", "maker/base", 77, "ftjob-1", Path("adapter.gguf"), 2048
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Endpoint]:
    weights = tmp_path / "base.gguf"
    weights.write_bytes(b"")
    models = {
        "maker/base": BaseModelConfig(gguf=weights),
        "gone": BaseModelConfig(weights=tmp_path / "gone"),
    }
    with endpoint(tmp_path / "home", models=models) as running:
        running.state.add_model(TUNED)
        yield running


@pytest.fixture
def client(served: Endpoint) -> OpenAI:
    return served.client()


def test_bases_and_tuned_models_are_listed(client: OpenAI) -> None:
    models = client.models.list().data

    assert [model.id for model in models] == ["maker/base", "gone", TUNED.id]
    for model in models:
        assert Model.model_validate_json(model.to_json(), strict=True) == model
    assert [model.owned_by for model in models] == ["system", "system", "user"]


def test_a_base_with_a_slash_in_its_name_is_found(tmp_path: Path, client: OpenAI) -> None:
    base = client.models.retrieve("maker/base")

    assert base.created == int((tmp_path / "base.gguf").stat().st_mtime)
    assert base.shutdown_date is None
    assert client.models.retrieve("gone").created == 0


def test_a_model_tells_its_window_as_vllm_does(client: OpenAI) -> None:
    assert client.models.retrieve(TUNED.id).to_dict()["max_model_len"] == 2048
    # What only the weights know is not told.
    assert client.models.retrieve("gone").to_dict()["max_model_len"] is None


def test_a_tuned_model_is_found_and_deleted(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    changed = Pool.models_changed

    def tell(pool: Pool) -> None:
        told.append("changed")
        changed(pool)

    monkeypatch.setattr(Pool, "models_changed", tell)
    assert client.models.retrieve(TUNED.id).created == 77

    deleted = client.models.delete(TUNED.id)

    assert ModelDeleted.model_validate_json(deleted.to_json(), strict=True).deleted is True
    assert told == ["changed"]
    assert TUNED.id not in [model.id for model in client.models.list()]
    for call in (client.models.retrieve, client.models.delete):
        with pytest.raises(NotFoundError, match="does not exist") as raised:
            call(TUNED.id)
        assert raised.value.code == "model_not_found"


def test_the_adapters_of_a_deleted_model_are_gone_and_the_jobs_log_is_not(
    served: Endpoint, client: OpenAI
) -> None:
    folder = job_folder(served.config.home, TUNED.job_id)
    (folder.path / "adapter").mkdir(parents=True)
    (folder.path / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    folder.adapter.write_bytes(b"GGUF")
    folder.log.write_text("what the trainer printed")

    client.models.delete(TUNED.id)

    assert [path.name for path in folder.path.rglob("*")] == ["trainer.log"]


def test_a_base_cannot_be_deleted(client: OpenAI) -> None:
    with pytest.raises(PermissionDeniedError, match="is a base model"):
        client.models.delete("maker/base")

    assert client.models.retrieve("maker/base").id == "maker/base"
