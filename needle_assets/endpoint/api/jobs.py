"""/v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints.

What a job does once it is there is `endpoint.jobs`'.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request

from needle_assets.endpoint.api.dependencies import FilesDep, ServicesDep
from needle_assets.endpoint.api.errors import ApiError, clipped
from needle_assets.endpoint.api.job_objects import (
    JobObject,
    checkpoint_object,
    event_object,
    job_object,
)
from needle_assets.endpoint.api.job_request import METADATA_PAIRS, CreateJob
from needle_assets.endpoint.api.paging import Page, page
from needle_assets.endpoint.api.results import with_results
from needle_assets.endpoint.api.storage import TRAINING, FileStore
from needle_assets.endpoint.jobs.errors import WrongStatus
from needle_assets.endpoint.records import JobRecord, JobStatus
from needle_assets.endpoint.services import Services
from needle_assets.endpoint.state import State

router = APIRouter(prefix="/v1/fine_tuning/jobs")

_RETRY_AFTER_S = 60
_BATCH = 200

LimitQuery = Annotated[int, Query(ge=1, le=1000)]


@router.post("")
def create_job(body: CreateJob, services: ServicesDep, files: FilesDep) -> JobObject:
    """Put a job in the queue."""
    limits, state = services.config.limits, services.state
    if body.model not in services.config.models:
        raise _no_base(body.model, services)
    asked = body.asked
    if asked.n_epochs != "auto" and asked.n_epochs > limits.epochs:
        place = f"{body.hyperparameters_place}.n_epochs"
        raise ApiError(
            400,
            f"Invalid value for '{place}': expected a whole number from 1 to {limits.epochs}, or "
            '"auto".',
            code="invalid_value",
            param=place,
        )
    job = JobRecord(
        id=f"ftjob-{secrets.token_hex(12)}",
        created_at=int(time.time()),
        status=JobStatus.VALIDATING,
        base=body.model,
        training_file=body.training_file,
        validation_file=body.validation_file,
        hyperparameters=asked,
        seed=secrets.randbelow(2**31) if body.seed is None else body.seed,
        suffix=body.suffix,
        metadata=body.metadata or {},
    )
    # One transaction: a file cannot be deleted between the look and the job that uses it.
    with state.transaction():
        _check_file(files, body.training_file, "training_file")
        if body.validation_file is not None:
            _check_file(files, body.validation_file, "validation_file")
            if body.validation_file == body.training_file:
                raise ApiError(
                    400,
                    "The validation file is the training file; what was trained on cannot "
                    "validate.",
                    code="invalid_value",
                    param="validation_file",
                )
        _check_queue(state, limits.waiting_jobs)
        state.add_job(job)
    services.runner.wake()
    return job_object(job)


@router.get("")
def list_jobs(
    request: Request,
    services: ServicesDep,
    files: FilesDep,
    after: str | None = None,
    limit: LimitQuery = 20,
) -> Page:
    """Jobs, newest first; ``metadata[key]=value`` asks for those that have that pair."""
    wanted = _metadata_filter(request)

    def fetch(count: int) -> list[JobRecord]:
        if wanted is None:
            return _without_metadata(services.state, after, count)
        return services.state.jobs(after=after, limit=count, metadata=wanted)

    def wire(job: JobRecord) -> JobObject:
        return job_object(with_results(job, services.state, services.blobs, files))

    return page(fetch, wire, limit=limit, after=after)


@router.get("/{job_id}")
def retrieve_job(job_id: str, services: ServicesDep, files: FilesDep) -> JobObject:
    """One job."""
    job = _found(services, job_id)
    return job_object(with_results(job, services.state, services.blobs, files))


@router.post("/{job_id}/cancel")
def cancel_job(job_id: str, services: ServicesDep) -> JobObject:
    """End a job that has not ended."""
    return _controlled(services.runner.cancel, job_id)


@router.post("/{job_id}/pause")
def pause_job(job_id: str, services: ServicesDep) -> JobObject:
    """Have a job wait until it is resumed; the next one may run meanwhile."""
    return _controlled(services.runner.pause, job_id)


@router.post("/{job_id}/resume")
def resume_job(job_id: str, services: ServicesDep) -> JobObject:
    """Have a paused job go on from its last checkpoint."""
    return _controlled(services.runner.resume, job_id)


@router.get("/{job_id}/events")
def list_events(
    job_id: str, services: ServicesDep, after: str | None = None, limit: LimitQuery = 20
) -> Page:
    """What happened to a job, newest first."""
    _found(services, job_id)
    return page(
        lambda count: services.state.events(job_id, after=after, limit=count),
        event_object,
        limit=limit,
        after=after,
    )


@router.get("/{job_id}/checkpoints")
def list_checkpoints(
    job_id: str, services: ServicesDep, after: str | None = None, limit: LimitQuery = 10
) -> Page:
    """A job's checkpoints, newest first."""
    job = _found(services, job_id)
    return page(
        lambda count: services.state.checkpoints(job_id, after=after, limit=count),
        lambda checkpoint: checkpoint_object(checkpoint, job),
        limit=limit,
        after=after,
    )


def _no_base(model: str, services: Services) -> ApiError:
    bases = ", ".join(sorted(services.config.models)) or "none"
    if services.state.model(model) is not None:
        why = "is a tuned model; jobs start from a base model"
    else:
        why = "does not exist or cannot be fine-tuned"
    return ApiError(
        400,
        f"The model '{clipped(model)}' {why}. Base models here: {bases}.",
        code="model_not_available",
        param="model",
    )


def _check_file(files: FileStore, file_id: str, param: str) -> None:
    record = files.file(file_id)
    if record is None:
        raise ApiError(
            400,
            f"The {param} '{clipped(file_id)}' does not exist; it may have been deleted or have "
            "expired. Upload it again.",
            code="file_not_found",
            param=param,
        )
    if record.purpose != TRAINING:
        raise ApiError(
            400,
            f"The {param} '{file_id}' has the purpose '{record.purpose}', where '{TRAINING}' is "
            "needed.",
            code="invalid_file_purpose",
            param=param,
        )


def _check_queue(state: State, most: int) -> None:
    waiting = [job for job in state.unfinished_jobs() if job.status != JobStatus.RUNNING]
    if len(waiting) >= most:
        raise ApiError(
            429,
            f"{len(waiting)} jobs wait already, the most that this endpoint queues. Try again when "
            "one has ended, or cancel one.",
            code="job_queue_full",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )


def _metadata_filter(request: Request) -> dict[str, str] | None:
    """Pairs that jobs must have; None: only jobs that have no metadata (``metadata=null``)."""
    pairs: dict[str, str] = {}
    without = False
    for name, value in request.query_params.multi_items():
        if name == "metadata" and value == "null":
            without = True
        elif name.startswith("metadata[") and name.endswith("]"):
            pairs[name.removeprefix("metadata[").removesuffix("]")] = value
        elif (name == "metadata" and value) or name.startswith("metadata["):
            raise ApiError(
                400,
                "The filter is written metadata[key]=value, or metadata=null.",
                code="invalid_value",
                param="metadata",
            )
    if without and pairs:
        raise ApiError(
            400,
            "metadata=null cannot be combined with metadata[key]=value.",
            code="invalid_value",
            param="metadata",
        )
    if len(pairs) > METADATA_PAIRS:
        raise ApiError(
            400,
            f"The filter has {len(pairs)} pairs, where no job has more than {METADATA_PAIRS}.",
            code="invalid_value",
            param="metadata",
        )
    return None if without else pairs


def _without_metadata(state: State, after: str | None, count: int) -> list[JobRecord]:
    def bare() -> Iterator[JobRecord]:
        place = after
        while batch := state.jobs(after=place, limit=_BATCH):
            yield from (job for job in batch if not job.metadata)
            place = batch[-1].id

    return list(islice(bare(), count))


def _controlled(change: Callable[[str], JobRecord], job_id: str) -> JobObject:
    try:
        return job_object(change(job_id))
    except KeyError:
        raise _unknown(job_id) from None
    except WrongStatus as error:
        raise ApiError(400, str(error), code="wrong_job_status") from None


def _found(services: Services, job_id: str) -> JobRecord:
    job = services.state.job(job_id)
    if job is None:
        raise _unknown(job_id)
    return job


def _unknown(job_id: str) -> ApiError:
    return ApiError(
        404,
        f"Could not find fine-tuning job: {clipped(job_id)}",
        code="fine_tune_not_found",
        param="fine_tuning_job_id",
    )
