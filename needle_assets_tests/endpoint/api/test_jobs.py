"""/v1/fine_tuning/jobs through the SDK; the jobs are moved by hand."""

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI, RateLimitError
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

from needle_assets.endpoint.records import (
    CheckpointRecord,
    EventRecord,
    Hyperparameters,
    JobStatus,
)
from needle_assets_tests.endpoint.api.world import Endpoint, HandRunner, endpoint


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path, limits={"waiting_jobs": 8, "epochs": 50}) as running:
        yield running


@pytest.fixture
def client(served: Endpoint) -> OpenAI:
    return served.client()


def strict(kind: Any, shown: Any) -> Any:
    """The object again, checked by the SDK's own type with nothing converted or missing."""
    return kind.model_validate_json(shown.to_json(), strict=True)


def created(served: Endpoint, **asked: Any) -> FineTuningJob:
    asked.setdefault("training_file", None)
    training_file = asked.pop("training_file") or served.upload()
    return served.client().fine_tuning.jobs.create(
        model="tiny", training_file=training_file, **asked
    )


def moved(served: Endpoint, job: FineTuningJob, **changes: Any) -> None:
    assert served.state.change_job(job.id, set(JobStatus), **changes)


def test_a_new_job_is_there_as_it_was_asked_for(served: Endpoint, client: OpenAI) -> None:
    training, validation = served.upload(), served.upload()

    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=training,
        validation_file=validation,
        hyperparameters={"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5},
        suffix="bios-4k",
        seed=7,
        metadata={"fingerprint": "abc"},
    )

    assert strict(FineTuningJob, job) == client.fine_tuning.jobs.retrieve(job.id)
    assert job.id.startswith("ftjob-")
    assert job.object == "fine_tuning.job"
    assert (job.status, job.model, job.seed) == ("validating_files", "tiny", 7)
    assert (job.training_file, job.validation_file) == (training, validation)
    assert job.hyperparameters.to_dict() == {
        "n_epochs": 3,
        "batch_size": "auto",
        "learning_rate_multiplier": 0.5,
    }
    assert job.metadata == {"fingerprint": "abc"}
    assert (job.error, job.fine_tuned_model, job.finished_at, job.trained_tokens) == (None,) * 4
    assert (job.estimated_finish, job.result_files, job.integrations) == (None, [], [])
    assert isinstance(served.services.runner, HandRunner)
    assert served.services.runner.woken == 1
    record = served.state.job(job.id)
    assert record is not None
    assert record.suffix == "bios-4k"


def test_hyperparameters_may_come_in_the_method(served: Endpoint) -> None:
    job = created(
        served,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )

    expected = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert job.hyperparameters.to_dict() == expected
    assert job.method is not None
    assert job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert job.method.supervised.hyperparameters.to_dict() == expected


def test_what_is_not_said_is_auto_and_the_seed_is_told(served: Endpoint, client: OpenAI) -> None:
    job = created(served)

    assert set(job.hyperparameters.to_dict().values()) == {"auto"}
    assert 0 <= job.seed < 2**31
    assert client.fine_tuning.jobs.retrieve(job.id).seed == job.seed
    assert job.metadata is None


def test_bounds_themselves_are_allowed(served: Endpoint) -> None:
    job = created(
        served,
        hyperparameters={"n_epochs": 50, "batch_size": 1, "learning_rate_multiplier": 1000},
        suffix="Aa0._-" + "x" * 58,
        seed=2**31 - 1,
        metadata={f"{number:064}": "v" * 512 for number in range(16)},
        integrations=[],
    )

    assert job.hyperparameters.n_epochs == 50
    assert len(job.metadata or {}) == 16


@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_a_deleted_file_is_refused(served: Endpoint, client: OpenAI, param: str) -> None:
    deleted = served.upload()
    client.files.delete(deleted)

    with pytest.raises(BadRequestError, match=f"{deleted}' does not exist") as raised:
        created(served, **{param: deleted})

    assert (raised.value.param, raised.value.code) == (param, "file_not_found")


def test_a_file_deleted_while_another_job_uses_it_cannot_be_used_again(
    served: Endpoint, client: OpenAI
) -> None:
    file_id = served.upload()
    first = created(served, training_file=file_id)
    client.files.delete(file_id)

    with pytest.raises(BadRequestError, match="does not exist"):
        created(served, training_file=file_id)
    assert client.fine_tuning.jobs.retrieve(first.id).training_file == file_id


def test_a_full_queue_is_429_with_retry_after_and_takes_jobs_again(
    served: Endpoint, client: OpenAI
) -> None:
    file_id = served.upload()
    jobs = [created(served, training_file=file_id) for _ in range(8)]

    with pytest.raises(RateLimitError, match="8 jobs wait already") as raised:
        created(served, training_file=file_id)
    assert raised.value.code == "job_queue_full"
    assert raised.value.response.headers["retry-after"] == "60"

    client.fine_tuning.jobs.cancel(jobs[0].id)
    assert created(served, training_file=file_id).status == "validating_files"


def test_jobs_are_listed_newest_first_page_by_page(served: Endpoint, client: OpenAI) -> None:
    file_id = served.upload()
    ids = [created(served, training_file=file_id).id for _ in range(5)][::-1]

    assert [job.id for job in client.fine_tuning.jobs.list().data] == ids
    page = client.fine_tuning.jobs.list(limit=2)
    assert [job.id for job in page.data] == ids[:2]
    assert page.has_more is True
    second = page.get_next_page()
    assert [job.id for job in second.data] == ids[2:4]
    assert second.has_more is True
    assert [job.id for job in second.get_next_page().data] == ids[4:]
    assert second.get_next_page().has_more is False
    assert [job.id for job in client.fine_tuning.jobs.list(limit=2)] == ids
    # A last page that is full says that there is nothing behind it.
    assert client.fine_tuning.jobs.list(limit=5).has_more is False


def test_jobs_are_found_by_their_metadata(served: Endpoint, client: OpenAI) -> None:
    file_id = served.upload()
    bare = created(served, training_file=file_id).id
    one = created(served, training_file=file_id, metadata={"run": "a", "try": "1"}).id
    two = created(served, training_file=file_id, metadata={"run": "a", "try": "2"}).id
    odd = created(served, training_file=file_id, metadata={"a.b": 'q"[0]=ü&', "try": ""}).id

    def found(**metadata: str) -> list[str]:
        return [job.id for job in client.fine_tuning.jobs.list(metadata=metadata)]

    assert found(run="a") == [two, one]
    assert found(run="a", **{"try": "2"}) == [two]
    assert found(run="b") == []
    assert found(**{"try": ""}) == [odd]
    assert found(**{"a.b": 'q"[0]=ü&'}) == [odd]
    assert found() == [odd, two, one, bare]
    null = {"metadata": "null"}
    assert [job.id for job in client.fine_tuning.jobs.list(extra_query=null).data] == [bare]
    paged = client.fine_tuning.jobs.list(metadata={"run": "a"}, limit=1)
    assert paged.has_more is True
    assert [job.id for job in paged] == [two, one]


def test_a_job_is_paused_resumed_and_cancelled(served: Endpoint, client: OpenAI) -> None:
    job = created(served)

    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    cancelled = client.fine_tuning.jobs.cancel(job.id)

    assert strict(FineTuningJob, cancelled).status == "cancelled"
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"
    for change in ("cancel", "pause", "resume"):
        with pytest.raises(BadRequestError, match="cancelled") as raised:
            getattr(client.fine_tuning.jobs, change)(job.id)
        assert raised.value.code == "wrong_job_status"
        with pytest.raises(NotFoundError, match="ftjob-none"):
            getattr(client.fine_tuning.jobs, change)("ftjob-none")


def test_a_failed_job_says_why(served: Endpoint, client: OpenAI) -> None:
    job = created(served)
    moved(
        served,
        job,
        status=JobStatus.FAILED,
        finished_at=job.created_at + 5,
        error_code="invalid_training_file",
        error_message="t.jsonl: line 3: is empty",
        error_param="training_file",
    )

    failed = strict(FineTuningJob, client.fine_tuning.jobs.retrieve(job.id))

    assert failed.status == "failed"
    assert failed.finished_at == job.created_at + 5
    assert failed.error.to_dict() == {
        "code": "invalid_training_file",
        "message": "t.jsonl: line 3: is empty",
        "param": "training_file",
    }


def test_a_running_job_says_when_it_may_be_done(served: Endpoint, client: OpenAI) -> None:
    job = created(served)
    decided = Hyperparameters(n_epochs=3, batch_size=4, learning_rate_multiplier=1.0)
    moved(
        served, job, status=JobStatus.RUNNING, estimated_finish=2_000_000, hyperparameters=decided
    )

    running = strict(FineTuningJob, client.fine_tuning.jobs.retrieve(job.id))

    assert running.status == "running"
    assert running.estimated_finish == 2_000_000
    assert running.hyperparameters.n_epochs == 3
    assert running.hyperparameters.learning_rate_multiplier == 1.0


def metrics(job_id: str, step: int, **data: float) -> EventRecord:
    return EventRecord(
        f"ftevent-{step}-{len(data)}",
        job_id,
        100 + step,
        "info",
        "metrics",
        f"Step {step}",
        {"step": step, **data},
    )


def test_events_come_newest_first_page_by_page(served: Endpoint, client: OpenAI) -> None:
    job, other = created(served), created(served)
    for step in range(1, 6):
        served.state.add_event(metrics(job.id, step, train_loss=1 / step))
    served.state.add_event(dataclasses.replace(metrics(other.id, 9), id="ftevent-other"))

    page = client.fine_tuning.jobs.list_events(job.id, limit=2)

    assert [event.message for event in page.data] == ["Step 5", "Step 4"]
    assert page.has_more is True
    assert [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=2)] == [
        f"Step {step}" for step in (5, 4, 3, 2, 1)
    ]
    newest = strict(FineTuningJobEvent, page.data[0])
    assert (newest.object, newest.level, newest.type) == (
        "fine_tuning.job.event",
        "info",
        "metrics",
    )
    assert newest.created_at == 105
    assert newest.data == {"step": 5, "train_loss": 0.2}


def test_checkpoints_come_newest_first_page_by_page(served: Endpoint, client: OpenAI) -> None:
    job = created(served, suffix="bios")
    for step in (10, 20, 30):
        served.state.add_checkpoint(
            CheckpointRecord(
                f"ftckpt-{step}",
                job.id,
                step,
                step,
                {"train_loss": 0.5, "valid_loss": None, "tokens_per_second": 3.0},
            )
        )

    page = client.fine_tuning.jobs.checkpoints.list(job.id, limit=2)

    assert [checkpoint.step_number for checkpoint in page.data] == [30, 20]
    assert page.has_more is True
    assert [checkpoint.step_number for checkpoint in page] == [30, 20, 10]
    newest = strict(FineTuningJobCheckpoint, page.data[0])
    assert newest.fine_tuning_job_id == job.id
    assert newest.fine_tuned_model_checkpoint == f"ft:tiny:bios:{job.id[-8:]}:ckpt-step-30"
    assert newest.metrics.to_dict() == {"step": 30, "train_loss": 0.5}


def test_a_job_that_succeeded_has_its_metrics_as_a_file(served: Endpoint, client: OpenAI) -> None:
    job = created(served)
    served.state.add_event(metrics(job.id, 1, train_loss=2.0, learning_rate=0.1))
    served.state.add_event(EventRecord("ftevent-m", job.id, 1, "info", "message", "Hello"))
    served.state.add_event(metrics(job.id, 2, train_loss=1.5))
    # Told again after a resume.
    served.state.add_event(metrics(job.id, 2, train_loss=1.0, valid_loss=1.25))
    assert client.fine_tuning.jobs.retrieve(job.id).result_files == []
    moved(
        served,
        job,
        status=JobStatus.SUCCEEDED,
        fine_tuned_model=f"ft:tiny::{job.id[-8:]}",
        trained_tokens=1234,
    )

    done = strict(FineTuningJob, client.fine_tuning.jobs.retrieve(job.id))

    assert (done.fine_tuned_model, done.trained_tokens) == (f"ft:tiny::{job.id[-8:]}", 1234)
    [file_id] = done.result_files
    assert client.files.retrieve(file_id).purpose == "fine-tune-results"
    rows = list(csv.DictReader(io.StringIO(client.files.content(file_id).text)))
    assert [(row["step"], row["train_loss"], row["valid_loss"]) for row in rows] == [
        ("1", "2.0", ""),
        ("2", "1.0", "1.25"),
    ]
    assert rows[0]["learning_rate"] == "0.1"
    # It is made once, and stays deleted once it is.
    assert client.fine_tuning.jobs.list().data[0].result_files == [file_id]
    assert len(client.files.list(purpose="fine-tune-results").data) == 1
    client.files.delete(file_id)
    assert client.fine_tuning.jobs.retrieve(job.id).result_files == [file_id]
    assert client.files.list(purpose="fine-tune-results").data == []


def test_a_server_started_again_knows_its_files_jobs_and_models(tmp_path: Path) -> None:
    with endpoint(tmp_path) as first:
        job = created(first, metadata={"run": "a"})
    with endpoint(tmp_path) as second:
        client = second.client()
        assert client.fine_tuning.jobs.retrieve(job.id) == job
        assert client.files.retrieve(job.training_file).filename == "train.jsonl"
