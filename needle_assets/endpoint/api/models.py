"""/v1/models: base models and tuned ones; only the latter can be deleted."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from needle_assets.endpoint.api.dependencies import ServicesDep
from needle_assets.endpoint.api.errors import ApiError, clipped
from needle_assets.endpoint.config import BaseModelConfig
from needle_assets.endpoint.jobs.folder import job_folder
from needle_assets.endpoint.records import ModelRecord

router = APIRouter(prefix="/v1/models")


class ModelObject(BaseModel):
    """A model on the wire."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["system", "user"]
    shutdown_date: None = None
    max_model_len: int | None = None
    """Tokens of prompt and answer together, under the name that vLLM gives it; OpenAI tells
    nothing of the kind. None: what the weights say."""


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class ModelDeleted(BaseModel):
    """The answer to a deletion."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


@router.get("")
def list_models(services: ServicesDep) -> ModelList:
    """Base models as configured, then tuned ones, newest first."""
    bases = [_base(name, base) for name, base in services.config.models.items()]
    return ModelList(data=bases + [_tuned(model) for model in services.state.models()])


# Names of models may hold slashes.
@router.get("/{model_id:path}")
def retrieve_model(model_id: str, services: ServicesDep) -> ModelObject:
    """One model."""
    if base := services.config.models.get(model_id):
        return _base(model_id, base)
    if tuned := services.state.model(model_id):
        return _tuned(tuned)
    raise _unknown(model_id)


@router.delete("/{model_id:path}")
def delete_model(model_id: str, services: ServicesDep) -> ModelDeleted:
    """Delete a tuned model and its adapters: from now on it answers nothing."""
    if model_id in services.config.models:
        raise ApiError(
            403,
            f"'{clipped(model_id)}' is a base model; it goes when the configuration no longer "
            "names it.",
            code="base_model",
            param="model",
        )
    tuned = services.state.model(model_id)
    if tuned is None or not services.state.delete_model(model_id):
        raise _unknown(model_id)
    services.pool.models_changed()
    # An engine that runs has read them; a job's record and log stay.
    job_folder(services.config.home, tuned.job_id).drop_model()
    return ModelDeleted(id=model_id)


def _base(name: str, base: BaseModelConfig) -> ModelObject:
    return ModelObject(
        id=name,
        created=_written_at(base.gguf or base.weights),
        owned_by="system",
        max_model_len=base.context_window,
    )


def _tuned(model: ModelRecord) -> ModelObject:
    return ModelObject(
        id=model.id,
        created=model.created_at,
        owned_by="user",
        max_model_len=model.context_window,
    )


def _written_at(path: Path | None) -> int:
    """When the weights were written; 0 where they are gone."""
    try:
        return int(path.stat().st_mtime) if path else 0
    except OSError:
        return 0


def _unknown(model_id: str) -> ApiError:
    return ApiError(
        404,
        f"The model '{clipped(model_id)}' does not exist.",
        code="model_not_found",
        param="model",
    )
