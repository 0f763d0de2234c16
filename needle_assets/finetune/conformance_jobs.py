"""Conformance of jobs, up to where training would start to matter: create, look, cancel."""

from typing import Any

from needle_assets.finetune.conformance_bench import (
    ENDED,
    METADATA_KEY,
    Bench,
    Check,
    FailedCheck,
    SkippedCheck,
    all_ids,
    bad_file,
    check_pages,
    expect,
    expect_refusal,
)

CREATE = "jobs: create"
_NOBODY = "needle-no-such-thing"
_REFUSED = (400, 404, 422)
"""What servers answer to a request that makes no sense."""


def _unknown_model(bench: Bench) -> None:
    expect_refusal(
        lambda: bench.create_job(bench.uploaded, model=_NOBODY), "an unknown base model", _REFUSED
    )


def _unknown_file(bench: Bench) -> None:
    expect_refusal(lambda: bench.create_job(f"file-{_NOBODY}"), "an unknown file", _REFUSED)


def _no_epochs(bench: Bench) -> None:
    hyperparameters: dict[str, Any] = {"hyperparameters": {"n_epochs": 0}}
    method = {"type": "supervised", "supervised": hyperparameters}
    expect_refusal(lambda: bench.create_job(bench.uploaded, method=method), "n_epochs 0", _REFUSED)


def _unknown_job(bench: Bench) -> None:
    expect_refusal(
        lambda: bench.client.fine_tuning.jobs.retrieve(f"ftjob-{_NOBODY}"), "an unknown job", [404]
    )


def _bad_file(bench: Bench) -> None:
    import openai

    try:
        file = bench.upload("bad", bad_file(bench.token))
        job = bench.create_job(file.id)
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        return
    job = bench.wait(job.id, ("running",))
    expect(
        bench.status(job) == "failed",
        f"a file with roles out of order became a job that is {job.status}",
    )
    said = job.error.message if job.error else None
    expect(bool(said), "the job failed without saying why in error.message")


def _create(bench: Bench) -> None:
    job = bench.create_job(bench.uploaded)
    bench.job = job.id
    expect(job.object == "fine_tuning.job", f"its object is {job.object!r}")
    expect(job.training_file == bench.uploaded, f"its training_file is {job.training_file!r}")
    expect(job.model == bench.model, f"its model is {job.model!r}, {bench.model!r} was asked for")
    expect(isinstance(job.created_at, int), f"its created_at is {job.created_at!r}")
    bench.status(job)


def _list(bench: Bench) -> None:
    jobs = bench.client.fine_tuning.jobs.list(limit=1)
    check_pages(jobs, [bench.job], "job")


def _retrieve(bench: Bench) -> None:
    job = bench.client.fine_tuning.jobs.retrieve(bench.job)
    expect(job.id == bench.job, f"asked for {bench.job!r}, got {job.id!r}")
    bench.status(job)


def _metadata(bench: Bench) -> None:
    if bench.capabilities.job_metadata is False:
        raise SkippedCheck(f"{bench.capabilities.name} keeps no metadata")
    job = bench.client.fine_tuning.jobs.retrieve(bench.job)
    kept = (job.metadata or {}).get(METADATA_KEY)
    expect(kept == bench.token, f"the job's metadata came back as {job.metadata!r}")


def _metadata_filter(bench: Bench) -> None:
    if bench.capabilities.metadata_filter is False:
        raise SkippedCheck(f"{bench.capabilities.name} does not filter by metadata")
    jobs = bench.client.fine_tuning.jobs
    found = all_ids(jobs.list(metadata={METADATA_KEY: bench.token}), "job")
    expect(bench.job in found, "the job is not among those of its metadata")
    others = jobs.list(metadata={METADATA_KEY: _NOBODY}).data
    expect(not others, f"{len(others)} jobs or more are listed for metadata that none has")


def _events(bench: Bench) -> None:
    jobs = bench.client.fine_tuning.jobs
    events = bench.poll(
        lambda: jobs.list_events(bench.job).data,
        bool,
        lambda _events: "the job has no event",
    )
    for event in events:
        expect(
            event.level in ("info", "warn", "error") and isinstance(event.message, str),
            f"an event has the level {event.level!r} and the message {event.message!r}",
        )
        expect(isinstance(event.created_at, int), f"an event was at {event.created_at!r}")


def _checkpoints(bench: Bench) -> None:
    found = bench.client.fine_tuning.jobs.checkpoints.list(bench.job).data
    expect(isinstance(found, list), f"no list of checkpoints came, but {found!r}")


def _cancel(bench: Bench) -> None:
    import openai

    try:
        bench.client.fine_tuning.jobs.cancel(bench.job)
    except openai.APIStatusError:
        job = bench.client.fine_tuning.jobs.retrieve(bench.job)
        if bench.status(job) == "succeeded":
            raise SkippedCheck("the job had ended before it could be cancelled") from None
        raise
    job = bench.wait(bench.job, ())
    expect(bench.status(job) == "cancelled", f"a cancelled job is {job.status}")


def _cancel_again(bench: Bench) -> None:
    import openai

    try:
        bench.client.fine_tuning.jobs.cancel(bench.job)
    except openai.APIStatusError as error:
        if error.status_code >= 500:
            raise
    job = bench.client.fine_tuning.jobs.retrieve(bench.job)
    if bench.status(job) not in ENDED:
        raise FailedCheck(f"a job that had ended is {job.status} again")


_FILE = ("models: list", "files: create")

CHECKS = (
    Check("jobs: an unknown model is refused", _unknown_model, "jobs", _FILE),
    Check("jobs: an unknown file is refused", _unknown_file, "jobs", _FILE),
    Check("jobs: n_epochs 0 is refused", _no_epochs, "jobs", _FILE),
    Check("jobs: an unknown one is refused", _unknown_job, "jobs"),
    Check("jobs: a bad file fails in validation", _bad_file, "jobs", _FILE),
    Check(CREATE, _create, "jobs", _FILE),
    Check("jobs: list", _list, "jobs", (CREATE,)),
    Check("jobs: retrieve", _retrieve, "jobs", (CREATE,)),
    Check("jobs: metadata is kept", _metadata, "jobs", (CREATE,)),
    Check("jobs: list by metadata", _metadata_filter, "jobs", (CREATE,)),
    Check("jobs: events", _events, "jobs", (CREATE,)),
    Check("jobs: checkpoints", _checkpoints, "jobs", (CREATE,)),
    Check("jobs: cancel", _cancel, "jobs", (CREATE,)),
    Check("jobs: what has ended stays so", _cancel_again, "jobs", (CREATE,)),
)
