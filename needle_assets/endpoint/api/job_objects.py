"""Fine-tuning jobs, their events and checkpoints as they look on the wire: OpenAI's objects."""

from typing import Any, Literal

from pydantic import BaseModel

from needle_assets.endpoint.api.paging import Identified
from needle_assets.endpoint.records import (
    CheckpointRecord,
    EventRecord,
    Hyperparameters,
    JobRecord,
    JobStatus,
)

_METRICS = frozenset(
    [
        "step",
        "train_loss",
        "train_mean_token_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    ]
)
"""What OpenAI's checkpoints know."""


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class SupervisedMethod(BaseModel):
    """The method's settings."""

    hyperparameters: Hyperparameters


class Method(BaseModel):
    """How a job trains."""

    type: Literal["supervised"] = "supervised"
    supervised: SupervisedMethod


class JobObject(Identified):
    """A job."""

    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    error: JobError | None
    fine_tuned_model: str | None
    finished_at: int | None
    estimated_finish: int | None
    hyperparameters: Hyperparameters
    method: Method
    model: str
    organization_id: str = "org-local"
    result_files: list[str]
    seed: int
    status: JobStatus
    trained_tokens: int | None
    training_file: str
    validation_file: str | None
    integrations: list[Any]
    metadata: dict[str, str] | None


class EventObject(Identified):
    """Something that happened to a job."""

    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any]


class CheckpointObject(Identified):
    """A state that training can go on from. It is named as OpenAI does, but not served."""

    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: dict[str, float | int | None]
    step_number: int


def job_object(job: JobRecord) -> JobObject:
    """A job on the wire."""
    error = None
    if job.error_code or job.error_message:
        error = JobError(
            code=job.error_code or "server_error",
            message=job.error_message or "The job failed.",
            param=job.error_param,
        )
    return JobObject(
        id=job.id,
        created_at=job.created_at,
        error=error,
        fine_tuned_model=job.fine_tuned_model,
        finished_at=job.finished_at,
        estimated_finish=job.estimated_finish if job.status == JobStatus.RUNNING else None,
        hyperparameters=job.hyperparameters,
        method=Method(supervised=SupervisedMethod(hyperparameters=job.hyperparameters)),
        model=job.base,
        result_files=[job.result_file] if job.result_file else [],
        seed=job.seed,
        status=job.status,
        trained_tokens=job.trained_tokens,
        training_file=job.training_file,
        validation_file=job.validation_file,
        integrations=[],
        metadata=job.metadata or None,
    )


def event_object(event: EventRecord) -> EventObject:
    """An event on the wire."""
    return EventObject(
        id=event.id,
        created_at=event.created_at,
        level=event.level,
        message=event.message,
        type=event.type,
        data=dict(event.data),
    )


def checkpoint_object(checkpoint: CheckpointRecord, job: JobRecord) -> CheckpointObject:
    """A checkpoint of ``job`` on the wire."""
    model = f"ft:{job.base}:{job.suffix or ''}:{job.id[-8:]}"
    return CheckpointObject(
        id=checkpoint.id,
        created_at=checkpoint.created_at,
        fine_tuned_model_checkpoint=f"{model}:ckpt-step-{checkpoint.step}",
        fine_tuning_job_id=job.id,
        metrics={
            name: value
            for name, value in {"step": checkpoint.step, **checkpoint.metrics}.items()
            if name in _METRICS and value is not None
        },
        step_number=checkpoint.step,
    )
