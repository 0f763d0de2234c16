"""What is said about a remote job: what it shall do, how it stands, what it left. Plain values.

Requests are made in `job_submit`, `job_wait` and `job_cancel`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from needle_assets.finetune.curve import Curve, last_loss
from needle_assets.finetune.providers import Capabilities, Status

ENDED: frozenset[Status] = frozenset(["succeeded", "failed", "cancelled"])

WAITING: frozenset[Status] = frozenset(["validating_files", "queued"])
"""Accepted, and nothing trained yet."""

_Count = Annotated[int, Field(ge=1)] | Literal["auto"]
_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"]


class Hyperparameters(BaseModel):
    """As a receipt keeps them: numbers where the server told what "auto" came to."""

    model_config = ConfigDict(frozen=True)

    n_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate_multiplier: float | Literal["auto"] = "auto"


class JobSpec(BaseModel):
    """One fine-tune, as it is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    """Base model, by the server's name."""
    training_file: str = Field(min_length=1)
    """The server's id of the uploaded file."""
    validation_file: str | None = None
    training_sha256: str = Field(min_length=1)
    validation_sha256: str | None = None
    n_epochs: _Count = "auto"
    batch_size: _Count = "auto"
    learning_rate_multiplier: _Rate = "auto"
    """Factor of the server's own learning rate; with a provider whose capability says `absolute`,
    the learning rate itself."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    suffix: str = Field(default="", max_length=64)
    """Part of the tuned model's name."""
    context_length: int = Field(ge=1)
    """Tokens, for receipts and messages."""
    attempt: int = Field(default=1, ge=1)
    """Counted up to pay for another job of the same spec, after one that failed."""


def fingerprint(spec: JobSpec) -> str:
    """64 hex digits that two specs share exactly if they mean the same paid job.

    Made of the datasets' hashes, the base model, the hyperparameters, the seed and the attempt;
    not of file ids, which differ when a file is uploaded again.
    """
    meant = spec.model_dump(exclude={"training_file", "validation_file", "suffix"})
    del meant["context_length"]
    return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class SubmittedJob:
    """The one job of a spec."""

    job_id: str
    fingerprint: str
    status: Status | None
    """None: a word that the provider's table does not know."""
    attached: bool
    """Whether the job was there already; its spec was paid for by an earlier run."""
    cancelled: tuple[str, ...] = ()
    """Younger jobs of the same fingerprint that were cancelled."""


@dataclass(frozen=True)
class Progress:
    """How a job stands, at one poll."""

    job_id: str
    status: Status | None
    said: str
    """The status in the server's own word."""
    seconds: float
    """Since the wait began."""
    curve: Curve
    message: str
    """Of the newest event; empty without one."""
    estimated_finish: int | None
    """Seconds since 1970."""


@dataclass(frozen=True)
class FinishedJob:
    """A job that succeeded, its model being there."""

    job_id: str
    status: Status
    fine_tuned_model: str
    trained_tokens: int | None
    curve: Curve
    seconds: float
    """Of this wait; a run that attached later waited less."""
    created_at: int
    """Seconds since 1970, by the server's clock, as is the next."""
    finished_at: int | None
    hyperparameters: Hyperparameters
    """As the server decided them."""
    context_window: int | None = None
    """Tokens of prompt and answer that the model takes. None: its server does not tell."""


class JobReceipt(BaseModel):
    """What `finetuned_model` leaves behind."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    fingerprint: str
    attempt: int
    base_model: str
    model: str
    """Name that the tuned model is asked for by."""
    context_length: int
    status: Status
    destination: str
    """base_url of the endpoint."""
    created_at: datetime
    finished_at: datetime | None
    trained_tokens: int | None
    cost_usd: float | None
    """None: no price is known. Never 0 in its place."""
    hyperparameters: Hyperparameters
    seed: int
    training_sha256: str
    validation_sha256: str | None
    train_loss: float | None
    """The last of the curve, as is the next."""
    valid_loss: float | None


def job_receipt(
    spec: JobSpec, finished: FinishedJob, *, destination: str, cost_usd: float | None
) -> JobReceipt:
    """The receipt of a spec's finished job; times are in UTC."""
    return JobReceipt(
        job_id=finished.job_id,
        fingerprint=fingerprint(spec),
        attempt=spec.attempt,
        base_model=spec.model,
        model=finished.fine_tuned_model,
        context_length=spec.context_length,
        status=finished.status,
        destination=destination,
        created_at=datetime.fromtimestamp(finished.created_at, UTC),
        finished_at=None
        if finished.finished_at is None
        else datetime.fromtimestamp(finished.finished_at, UTC),
        trained_tokens=finished.trained_tokens,
        cost_usd=cost_usd,
        hyperparameters=finished.hyperparameters,
        seed=spec.seed,
        training_sha256=spec.training_sha256,
        validation_sha256=spec.validation_sha256,
        train_loss=last_loss(finished.curve, "train_loss"),
        valid_loss=last_loss(finished.curve, "valid_loss"),
    )


def status_of(job: Any, provider: Capabilities) -> Status | None:
    """A job's status in OpenAI's words; None for a word that the provider's table lacks."""
    said = getattr(job, "status", None)
    return provider.status(said) if isinstance(said, str) else None


def by_age(newest_first: Sequence[Any]) -> list[Any]:
    """Jobs or events, oldest first; within one second as their server lists them."""
    oldest_first = [*newest_first][::-1]
    return sorted(oldest_first, key=lambda item: getattr(item, "created_at", 0) or 0)
