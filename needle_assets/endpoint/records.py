"""What the endpoint remembers: files, jobs, events, checkpoints, models. Plain values.

How they are kept is `state`'s, how they look on the wire the modules of `api`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from needle_assets.endpoint.rope import Rope


class JobStatus(StrEnum):
    """OpenAI's statuses of a fine-tuning job."""

    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset([JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])


@dataclass(frozen=True)
class FileRecord:
    """One uploaded file; its bytes lie under their sha256."""

    id: str
    """``file-`` and 24 hex digits."""
    filename: str
    """As the client said it; never a path here."""
    purpose: str
    bytes: int
    sha256: str
    created_at: int
    """Seconds since 1970, as all times on the wire."""
    expires_at: int | None = None


@dataclass(frozen=True)
class Hyperparameters:
    """As asked for, then as decided."""

    n_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate_multiplier: float | Literal["auto"] = "auto"


@dataclass(frozen=True)
class JobRecord:
    """One fine-tuning job."""

    id: str
    """``ftjob-`` and 24 hex digits."""
    created_at: int
    status: JobStatus
    base: str
    training_file: str
    validation_file: str | None
    hyperparameters: Hyperparameters
    seed: int
    suffix: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    started: bool = False
    """Whether it ever ran: a paused job that did goes on before those that wait."""
    finished_at: int | None = None
    estimated_finish: int | None = None
    trained_tokens: int | None = None
    fine_tuned_model: str | None = None
    result_file: str | None = None
    """The metrics of all steps as a CSV file, made when a job that succeeded is first looked at."""
    error_code: str | None = None
    error_message: str | None = None
    error_param: str | None = None


@dataclass(frozen=True)
class EventRecord:
    """Something that happened to a job."""

    id: str
    job_id: str
    created_at: int
    level: Literal["info", "warn", "error"]
    type: Literal["message", "metrics"]
    message: str
    data: dict[str, float | int | str | None] = field(default_factory=dict)
    """Of metrics: step, total_steps, train_loss, valid_loss, learning_rate, tokens_per_second,
    eta_s, trained_tokens; what is not known is left out."""


@dataclass(frozen=True)
class CheckpointRecord:
    """A state that training can go on from."""

    id: str
    job_id: str
    created_at: int
    step: int
    metrics: dict[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRecord:
    """A tuned model: a base, an adapter and how far its window reaches."""

    id: str
    """``ft:<base>:<suffix>:<id>``, the suffix empty where none was given."""
    base: str
    created_at: int
    job_id: str
    adapter: Path
    """The GGUF adapter."""
    context_window: int
    rope: Rope | None = None
