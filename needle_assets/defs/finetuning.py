"""What the ops of a fine-tune hand to each other, and what is registered in the end.

How a job is made once and waited for is `finetune.job`'s; what a model entry is, the registry's.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field
from upath import UPath

from needle_assets.defs.progress import ProgressCallback
from needle_assets.defs.resources import Endpoint, EndpointConnection
from needle_assets.evaluation.registry import BUILT_IN, ModelEntry, ModelRegistry, Training
from needle_assets.finetune.curve import Curve, curve_table
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job import FinishedJob, JobReceipt, JobSpec, Progress, job_receipt
from needle_assets.finetune.prices import PriceTable, load_prices
from needle_assets.finetune.upload import UploadReceipt
from needle_assets.settings import Settings
from needle_assets.storage import write_json

if TYPE_CHECKING:
    import pandas as pd

_NOT_IN_SLUGS = re.compile(r"[^a-z0-9._-]+")

_LONGEST_BASE = 40
"""Characters of a base's name in a slug, which has 64 in all."""


class FinetuneConfig(dg.Config):
    """What one fine-tune is told in the launchpad; what is left empty is the setting's."""

    base_model: str = Field(default="", description="In place of NEEDLE_BASE_MODEL.")
    n_epochs: int | None = Field(default=None, description="In place of NEEDLE_EPOCHS.")
    batch_size: int | None = Field(default=None, description="In place of NEEDLE_BATCH_SIZE.")
    learning_rate_multiplier: float | None = Field(
        default=None, description="In place of NEEDLE_LEARNING_RATE."
    )
    max_cost_usd: float | None = Field(default=None, description="In place of NEEDLE_MAX_COST_USD.")
    attempt: int = Field(
        default=1,
        description="Count up to pay for the same job once more, after one that failed.",
    )


class Submitted(BaseModel):
    """What `submit_finetune_job` hands on."""

    model_config = ConfigDict(frozen=True)

    spec: JobSpec
    job_id: str
    fingerprint: str
    attached: bool
    """Whether the job was there already."""
    destination: str


class Tuned(BaseModel):
    """What `await_finetune_job` hands on, and what is kept of every job."""

    model_config = ConfigDict(frozen=True)

    receipt: JobReceipt
    curve: Curve
    context_window: int
    """Tokens of prompt and answer together that the tuned model takes."""


def job_spec(
    config: FinetuneConfig, uploaded: UploadReceipt, settings: Settings, *, base_model: str
) -> JobSpec:
    """The job that is asked for: the launchpad's values before the settings'.

    Raises:
        FinetuneError: a value is out of range, or no base model is named.
    """
    model = config.base_model or base_model
    if not model:
        raise FinetuneError("no base model is named; set NEEDLE_BASE_MODEL to the endpoint's id")
    try:
        return JobSpec(
            model=model,
            training_file=uploaded.train.file_id,
            validation_file=uploaded.validation.file_id if uploaded.validation else None,
            training_sha256=uploaded.train.sha256,
            validation_sha256=uploaded.validation.sha256 if uploaded.validation else None,
            n_epochs=settings.epochs if config.n_epochs is None else config.n_epochs,
            batch_size=settings.batch_size if config.batch_size is None else config.batch_size,
            learning_rate_multiplier=settings.learning_rate
            if config.learning_rate_multiplier is None
            else config.learning_rate_multiplier,
            seed=settings.seed,
            suffix=f"needle-{uploaded.context_length}",
            context_length=uploaded.context_length,
            attempt=config.attempt,
        )
    except ValueError as error:
        raise FinetuneError(f"this fine-tune cannot be asked for: {error}") from None


def arrived(receipt: UploadReceipt, connection: EndpointConnection | None) -> UploadReceipt:
    """The receipt with the endpoint's lasting name: the embedded one has another port each time."""
    if connection is None:
        return receipt
    return receipt.model_copy(update={"destination": connection.destination})


def require_uploaded(uploaded: UploadReceipt, connection: EndpointConnection) -> None:
    """Make sure that the files lie where the job will be made.

    Raises:
        FinetuneError: they lie elsewhere.
    """
    if uploaded.destination != connection.destination:
        raise FinetuneError(
            f"the files of context length {uploaded.context_length} were uploaded to "
            f"{uploaded.destination}, but the fine-tune would run at {connection.destination}; "
            "materialize finetune_upload again"
        )


def price_table(settings: Settings) -> PriceTable:
    """The dated prices: the user's own before the built-in ones.

    Raises:
        FinetuneError: the user's file cannot be read.
    """
    return load_prices(Path(settings.prices) if settings.prices else None)


def told_by(context: dg.OpExecutionContext, report: ProgressCallback) -> Callable[[Progress], None]:
    """Tell of a job: each new status and message in the run's log, time as progress."""
    said = ""

    def tell(progress: Progress) -> None:
        nonlocal said
        now = f"{progress.said}. {progress.message}" if progress.message else progress.said
        if now != said:
            context.log.info("job %s: %s", progress.job_id, now)
            said = now
        if progress.estimated_finish is not None:
            left = max(0, progress.estimated_finish - int(time.time()))
            report(int(progress.seconds), int(progress.seconds) + left)

    return tell


def tuned(
    job: Submitted, finished: FinishedJob, connection: EndpointConnection, prices: PriceTable
) -> Tuned:
    """What came of a job: its receipt with what it cost, its curve, its model's window."""
    price = prices.find(connection.capabilities.name, job.spec.model)
    rate = price.usd_per_million_tokens if price else None
    tokens = finished.trained_tokens
    cost = 0.0 if rate == 0 else None if rate is None or tokens is None else tokens * rate / 1e6
    found = connection.client.models.retrieve(finished.fine_tuned_model)
    # As vLLM and our own endpoint tell it; others keep it to themselves.
    window = getattr(found, "max_model_len", None)
    return Tuned(
        receipt=job_receipt(job.spec, finished, destination=connection.destination, cost_usd=cost),
        curve=finished.curve,
        context_window=window if isinstance(window, int) else job.spec.context_length,
    )


def registered(
    tuned: Tuned, endpoint: Endpoint, settings: Settings, registry: ModelRegistry
) -> ModelEntry:
    """Put the tuned model into the registry; one that is there stays.

    Raises:
        EvaluationError: its slug stands for another model.
    """
    receipt = tuned.receipt
    base_url = endpoint.base_url or None
    embedded = base_url is None
    known = {(entry.base_url, entry.model): entry for entry in reversed(registry.list())}
    base = known.get((base_url, receipt.base_model))
    has_key = bool(settings.endpoint_api_key.get_secret_value())
    entry = ModelEntry(
        slug=slug_of(receipt, base.slug if base else receipt.base_model),
        base_url=base_url,
        model=receipt.model,
        context_window=tuned.context_window,
        json_schema=endpoint.capabilities.json_schema is not False,
        api_key_env="NEEDLE_ENDPOINT_API_KEY" if has_key and not embedded else None,
        # On one's own machine a tuned model costs what its base does; elsewhere it often does not.
        prices=BUILT_IN[0].prices if embedded else None,
        concurrency=base.concurrency if base else None,
        training=Training(
            base=base.slug if base else receipt.base_model,
            context_length=receipt.context_length,
            job_id=receipt.job_id,
            fingerprint=receipt.fingerprint,
            cost_usd=receipt.cost_usd,
            trained_tokens=receipt.trained_tokens,
            finetuned_at=receipt.finished_at or receipt.created_at,
        ),
    )
    registry.add(entry)
    return entry


def slug_of(receipt: JobReceipt, base: str) -> str:
    """The tuned model's name here: base, context length, and what was paid for."""
    readable = _NOT_IN_SLUGS.sub("-", base.lower()).strip("-._")[:_LONGEST_BASE]
    return f"{readable}-{receipt.context_length}-{receipt.fingerprint[:8]}"


def keep_job(tuned: Tuned, settings: Settings) -> UPath:
    """Keep the receipt and the curve of a job; that of a later job does not replace it."""
    receipt = tuned.receipt
    path = _job_path(settings, receipt.context_length, receipt.fingerprint)
    write_json(path, tuned.model_dump(mode="json"))
    return path


def loss_curves(settings: Settings, tunings: Mapping[str, Training]) -> "dict[str, pd.DataFrame]":
    """The training curve of each tuned model, by slug, where it was kept."""
    curves = {}
    for slug, training in tunings.items():
        path = _job_path(settings, training.context_length, training.fingerprint)
        if path.exists():
            curve = Tuned.model_validate_json(path.read_bytes()).curve
            curves[slug] = curve_table(curve).to_pandas()
    return curves


def _job_path(settings: Settings, context_length: int, fingerprint: str) -> UPath:
    return settings.root / "finetune" / str(context_length) / "jobs" / f"{fingerprint}.json"
