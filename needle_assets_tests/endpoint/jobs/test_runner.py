"""The life of jobs in one server: how each of them ends, and in which order they train."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import psutil
import pytest

from needle_assets.endpoint.config import TrainingConfig
from needle_assets.endpoint.jobs import runner as runner_module
from needle_assets.endpoint.records import Hyperparameters, JobStatus, ModelRecord
from needle_assets.endpoint.rope import Rope
from needle_assets_tests.endpoint.jobs.world import World, lines
from needle_assets_tests.support.waiting import until

VALIDATING, QUEUED, RUNNING = JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING
PAUSED, SUCCEEDED = JobStatus.PAUSED, JobStatus.SUCCEEDED
FAILED, CANCELLED = JobStatus.FAILED, JobStatus.CANCELLED
ENDS = (SUCCEEDED, FAILED, CANCELLED)


def test_a_job_goes_through_its_life_and_a_model_comes_out(world: World) -> None:
    world.trainer(steps=3, checkpoint_every=2)
    world.start()

    job_id = world.job(lines(12), suffix="mine", hyperparameters=Hyperparameters(batch_size=6))
    job = world.reaches(job_id, *ENDS)

    name = "ft:small:mine:00000001"
    assert job.status is SUCCEEDED
    assert job.fine_tuned_model == name
    # 3 steps of 100 tokens.
    assert job.trained_tokens == 300
    assert job.hyperparameters == Hyperparameters(3, 6, 1.0)
    assert job.finished_at is not None
    assert job.estimated_finish is None
    assert world.messages(job_id) == [
        f"Created fine-tuning job: {job_id}",
        f"Validating training file: {job.training_file}",
        "Files validated, moving job to queued state: 12 examples, 1200 tokens an epoch, the "
        "longest example 100 tokens of a context window of 1000",
        "Fine-tuning job started",
        "Step 1/3: training loss=1.0000",
        "Step 2/3: training loss=0.5000",
        "Checkpoint created at step 2",
        "Step 3/3: training loss=0.3333",
        f"New fine-tuned model created: {name}",
        "The job has successfully completed",
    ]
    metrics = [e for e in world.state.events(job_id) if e.type == "metrics"]
    assert metrics[1].data == {
        "step": 2,
        "total_steps": 3,
        "train_loss": 0.5,
        "learning_rate": 1e-4,
        "tokens_per_second": 50.0,
        "eta_s": 2.0,
        "trained_tokens": 200,
    }
    (checkpoint,) = world.state.checkpoints(job_id)
    assert (checkpoint.step, checkpoint.metrics) == (2, {"step": 2, "train_loss": 0.5})
    adapter = world.folder(job_id).adapter
    assert adapter.read_bytes() == b"GGUF"
    assert world.state.models() == [
        ModelRecord(name, "small", job.finished_at, job_id, adapter, context_window=1000)
    ]
    until(lambda: world.models_changed == [1], what="the word that there is a new model")


def test_a_model_without_suffix_leaves_its_place_empty(world: World) -> None:
    world.start()

    job = world.reaches(world.job(), *ENDS)

    assert job.fine_tuned_model == "ft:small::00000001"


def test_a_model_whose_window_was_extended_is_served_with_the_same_scaling(world: World) -> None:
    world.trainer(window=60)
    world.start()

    job = world.reaches(world.job(), *ENDS)

    model = world.state.model(job.fine_tuned_model or "")
    assert model is not None
    assert model.context_window == 120
    assert model.rope == Rope(kind="linear", factor=2.0, theta=1e4, original_context=60)


def test_the_trainer_is_told_what_the_job_and_the_configuration_say(world: World) -> None:
    world.start(training=TrainingConfig(python=world.trainer(), lora_rank=4, max_context=4096))

    asked = Hyperparameters(n_epochs=2, learning_rate_multiplier=0.5)
    job_id = world.job(validation_file=world.file(lines(3)), hyperparameters=asked, seed=11)
    world.reaches(job_id, *ENDS)

    folder = world.folder(job_id)
    spec = json.loads((folder.path / "spec.json").read_text())
    assert spec["base"] == {
        "name": "small",
        "gguf": str(world.tmp / "base.gguf"),
        "weights": None,
        "context_window": None,
    }
    assert spec["cache"] == str(world.config.home / "cache")
    assert spec["validation_file"] == str(folder.validation_file)
    assert spec["hyperparameters"] == {
        "n_epochs": 2,
        "batch_size": "auto",
        "learning_rate_multiplier": 0.5,
    }
    assert spec["seed"] == 11
    assert spec["limits"] == {"epochs": 50}
    assert (spec["training"]["lora_rank"], spec["training"]["max_context"]) == (4, 4096)
    assert spec["training"].keys().isdisjoint(["python", "launch"])


def test_what_only_training_needed_is_deleted_at_the_end(world: World) -> None:
    world.start()

    job_id = world.job()
    world.reaches(job_id, SUCCEEDED)

    folder = world.folder(job_id).path
    until(lambda: not (folder / "training.jsonl").exists(), what="the end of the training file")
    assert not (folder / "checkpoints").exists()
    assert {"adapter.gguf", "result.json", "trainer.log"} <= {p.name for p in folder.iterdir()}


# Jobs that cannot train


def test_every_bad_line_is_named_and_no_trainer_is_started(world: World) -> None:
    world.start()

    job_id = world.job(b"no json\n" + lines(10) + b"\n")
    job = world.reaches(job_id, *ENDS)

    assert (job.status, job.error_code) == (FAILED, "invalid_training_file")
    assert job.error_param == "training_file"
    assert "line 1: is not JSON" in (job.error_message or "")
    assert "line 12: is empty" in (job.error_message or "")
    assert not (world.folder(job_id).path / "environment-prepare.json").exists()
    last = world.state.events(job_id, limit=1)[0]
    assert (last.level, last.message) == ("error", f"The job failed: {job.error_message}")


def test_a_line_that_cannot_be_quoted_as_it_is_fails_its_job_and_keeps_up_no_other(
    world: World,
) -> None:
    # JSON may name half of a surrogate pair, which no database takes as text.
    bad = world.job(lines(10) + b'{"messages": [], "\\ud83d": 1}\n')
    good = world.job()
    world.start()

    told = world.reaches(bad, *ENDS).error_message or ""
    assert told.endswith('line 11: holds "\\ud83d"; only "messages" can be trained on')
    assert world.reaches(good, *ENDS).status is SUCCEEDED


def test_adapters_whose_model_was_deleted_are_deleted_by_the_next_start(world: World) -> None:
    world.start()
    kept, deleted = world.job(), world.job()
    for job in (kept, deleted):
        world.reaches(job, *ENDS)
    assert world.runner is not None
    world.runner.close()
    world.state.delete_model(world.now(deleted).fine_tuned_model or "")

    world.start()

    until(lambda: not world.folder(deleted).adapter.exists(), what="the adapter's end")
    assert world.folder(kept).adapter.exists()
    assert world.now(deleted).status is SUCCEEDED


def test_a_bad_validation_file_is_the_validation_files_fault(world: World) -> None:
    world.start()

    job = world.reaches(world.job(validation_file=world.file(b"{}\n")), *ENDS)

    assert (job.error_code, job.error_param) == ("invalid_validation_file", "validation_file")


@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_a_file_deleted_before_it_was_read_is_named(world: World, param: str) -> None:
    world.start()

    job = world.reaches(world.job(**{param: "file-gone"}), *ENDS)

    assert (job.status, job.error_param) == (FAILED, param)
    assert f"The {param} file-gone does not exist any more" in (job.error_message or "")


def test_a_file_deleted_while_the_job_waits_is_still_trained_on(world: World) -> None:
    world.trainer(prepare_s=0.2)
    world.start()

    job_id = world.job()
    until(world.folder(job_id).training_file.exists, what="taking the file")
    world.state.delete_file(world.now(job_id).training_file)
    world.blobs.discard_unused(())

    assert world.reaches(job_id, *ENDS).status is SUCCEEDED


def test_what_the_trainer_refuses_is_the_jobs_error(world: World) -> None:
    refusal = {
        "code": "example_too_long",
        "message": "line 7 of the validation file has 140000 tokens",
        "line": 7,
        "param": "validation_file",
    }
    world.trainer(refuse=refusal)
    world.start()

    job = world.reaches(world.job(), *ENDS)

    assert job.status is FAILED
    assert job.error_code == "example_too_long"
    assert job.error_message == "line 7 of the validation file has 140000 tokens"
    assert job.error_param == "validation_file"


def test_a_missing_trainer_says_how_to_make_it(world: World, tmp_path: Path) -> None:
    world.start(training=TrainingConfig(python=tmp_path / "absent" / "python"))

    job = world.reaches(world.job(), *ENDS)

    assert (job.status, job.error_code) == (FAILED, "trainer_unavailable")
    assert "absent/python does not exist" in (job.error_message or "")
    assert "`make trainer`" in (job.error_message or "")


def test_a_base_model_that_is_not_configured_any_more_is_named(world: World) -> None:
    world.start()

    job = world.reaches(world.job(base="large"), *ENDS)

    assert (job.status, job.error_code) == (FAILED, "model_not_found")
    assert "The base model large is not configured any more" in (job.error_message or "")


def test_the_reason_of_a_trainer_that_fails_is_the_jobs_error(world: World) -> None:
    world.trainer(fail_at=3)
    world.start()

    job_id = world.job()
    job = world.reaches(job_id, *ENDS)

    assert (job.status, job.error_code) == (FAILED, "training_failed")
    assert job.error_message == "the loss is not a number at step 3"
    assert job.fine_tuned_model is None
    assert world.steps(job_id) == [1, 2]
    assert world.state.models() == []


def test_of_a_trainer_that_dies_without_a_word_the_log_is_told(world: World) -> None:
    world.trainer(die_at=2)
    world.start()

    job = world.reaches(world.job(), *ENDS)

    assert (job.status, job.error_code) == (FAILED, "training_failed")
    assert job.error_message == (
        "The trainer ended with status 3 while training, without a result or a reason. Its log "
        "ends with:\nCUDA error: device-side assert triggered"
    )


def test_after_a_job_that_failed_the_next_one_runs(world: World) -> None:
    world.trainer(die_at=2)
    world.start()
    world.reaches(world.job(), FAILED)

    world.trainer()

    assert world.reaches(world.job(), *ENDS).status is SUCCEEDED


# Order, and what users do


def test_one_job_trains_at_a_time_and_the_others_wait_in_order(world: World) -> None:
    world.trainer(hang_at=2)
    runner = world.start()
    first, second, third = world.job(), world.job(), world.job()
    world.reaches_step(first, 1)
    for waiting in (second, third):
        world.reaches(waiting, QUEUED)
    assert [world.starts(job) for job in (first, second, third)] == [1, 0, 0]

    runner.cancel(first)
    world.reaches_step(second, 1)

    assert world.now(third).status is QUEUED
    assert [world.starts(job) for job in (first, second, third)] == [1, 1, 0]


def in_status(world: World, status: JobStatus) -> str:
    """A job that is in that status and stays there."""
    runner = world.start()
    if status is VALIDATING:
        world.trainer(prepare_s=600)
        job = world.job()
        started = world.folder(job).path / "files-prepare.json"
        until(started.exists, what="the start of prepare")
        return job
    world.trainer(hang_at=2)
    job = world.job()
    world.reaches_step(job, 1)
    if status is QUEUED:
        job = world.job()
        world.reaches(job, QUEUED)
    elif status is PAUSED:
        runner.pause(job)
    assert world.now(job).status is status
    return job


@pytest.fixture
def in_each_status(world: World, request: pytest.FixtureRequest) -> str:
    return in_status(world, request.param)


UNFINISHED = [VALIDATING, QUEUED, RUNNING, PAUSED]


@pytest.mark.parametrize("in_each_status", UNFINISHED, indirect=True)
def test_a_job_is_cancelled_at_once_and_its_trainer_soon(world: World, in_each_status: str) -> None:
    assert world.runner is not None

    job = world.runner.cancel(in_each_status)

    assert job == world.now(in_each_status)
    assert job.status is CANCELLED
    assert job.finished_at is not None
    assert world.messages(in_each_status)[-1] == "The job has been cancelled"
    folder = world.folder(in_each_status)
    world.trainer_ends(in_each_status)
    assert world.now(in_each_status) == job
    until(lambda: not folder.training_file.exists(), what="the end of its files")


@pytest.mark.parametrize("in_each_status", [VALIDATING, QUEUED, RUNNING], indirect=True)
def test_a_paused_job_waits_until_it_is_resumed_and_then_succeeds(
    world: World, in_each_status: str
) -> None:
    assert world.runner is not None
    job_id = in_each_status
    before = world.now(job_id).status

    assert world.runner.pause(job_id).status is PAUSED
    world.trainer_ends(job_id)
    assert world.now(job_id).status is PAUSED
    world.trainer()
    for other in world.state.unfinished_jobs():
        if other.id != job_id:
            world.runner.cancel(other.id)
    resumed = world.runner.resume(job_id)

    assert resumed.status is (VALIDATING if before is VALIDATING else QUEUED)
    assert world.reaches(job_id, *ENDS).status is SUCCEEDED
    assert world.steps(job_id) == [1, 2, 3, 4, 5]


def test_a_resumed_job_goes_on_from_its_checkpoint_before_those_that_never_ran(
    world: World,
) -> None:
    world.trainer(hang_at=4, checkpoint_every=100)
    runner = world.start()
    first, second = world.job(), world.job()
    world.reaches_step(first, 3)
    runner.pause(first)
    # Stopped at step 3 with a checkpoint; the device is the second job's meanwhile.
    world.reaches_step(second, 3)
    third = world.job()
    world.reaches(third, QUEUED)

    world.trainer(steps=6)
    runner.resume(first)
    runner.cancel(second)

    assert world.reaches(first, *ENDS).status is SUCCEEDED
    assert world.steps(first) == [1, 2, 3, 4, 5, 6]
    assert [c.step for c in reversed(world.state.checkpoints(first))] == [3, 4, 6]
    assert world.starts(first) == 2
    assert world.reaches(third, *ENDS).status is SUCCEEDED
    finished = [m.job_id for m in reversed(world.state.models())]
    assert finished == [first, third]


def test_a_trainer_deaf_to_the_signal_is_killed(world: World) -> None:
    world.trainer(step_s=600, deaf=True)
    runner = world.start()
    job = world.job()
    until(lambda: world.starts(job), what="the start of training")

    runner.cancel(job)

    world.trainer_ends(job)
    world.trainer()
    assert world.reaches(world.job(), *ENDS).status is SUCCEEDED


def test_what_a_launcher_started_ends_with_it(world: World) -> None:
    world.trainer(hang_at=2, helper=True)
    runner = world.start()
    job = world.job()
    world.reaches_step(job, 1)
    helper = psutil.Process(int((world.folder(job).path / "helper").read_text()))

    runner.cancel(job)

    helper.wait(timeout=30)


@pytest.mark.parametrize("status", ENDS)
def test_a_job_that_ended_cannot_be_changed(world: World, status: JobStatus) -> None:
    runner = world.start()
    job = world.job(status=status)

    for change, what in (
        (runner.cancel, "cancelled only while it is validating_files, queued, running, paused"),
        (runner.pause, "paused only while it is validating_files, queued, running"),
        (runner.resume, "resumed only while it is paused"),
    ):
        with pytest.raises(runner_module.WrongStatus, match=f"is {status}: it can be {what}"):
            change(job)
        with pytest.raises(KeyError, match="ftjob-absent"):
            change("ftjob-absent")


# Trouble


def test_a_line_torn_by_a_kill_costs_nothing_of_the_next_one(world: World) -> None:
    world.trainer(hang_at=4, torn='{"type": "metrics", "st')
    runner = world.start()
    job = world.job()
    world.reaches_step(job, 3)

    runner.pause(job)
    world.trainer()
    runner.resume(job)

    world.reaches(job, SUCCEEDED)
    assert world.steps(job) == [1, 2, 3, 4, 5]


def test_a_trainer_stopped_from_outside_goes_on_from_its_checkpoint(world: World) -> None:
    world.trainer(stop_itself_at=4)
    world.start()

    job = world.job()

    assert world.reaches(job, *ENDS).status is SUCCEEDED
    assert world.starts(job) == 2
    assert world.steps(job) == [1, 2, 3, 4, 5]


def test_job_and_model_become_true_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[JobStatus] = []
    add = world.state.add_model

    def fail_once(model: ModelRecord) -> bool:
        if not seen:
            seen.append(world.now(model.job_id).status)
            raise sqlite3.OperationalError("database or disk is full")
        return add(model)

    monkeypatch.setattr(world.state, "add_model", fail_once)
    monkeypatch.setattr(runner_module, "_AFTER_ERROR_S", 0.01)
    statuses: list[JobStatus] = []
    change = world.state.change_job

    def watch(job_id: str, *given: Any, **changes: Any) -> Any:
        statuses.append(world.now(job_id).status)
        return change(job_id, *given, **changes)

    monkeypatch.setattr(world.state, "change_job", watch)
    world.start()

    job = world.job()

    assert world.reaches(job, *ENDS).status is SUCCEEDED
    # Within the transaction it had succeeded; when that failed it was running again, and the
    # second attempt did not train anew.
    assert seen == [SUCCEEDED]
    assert statuses[-1] is RUNNING
    assert world.starts(job) == 1
    assert len(world.state.models()) == 1
    assert world.messages(job).count("The job has successfully completed") == 1


def test_the_trainer_gets_no_keys_no_packages_and_no_files_of_the_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("NEEDLE_ENDPOINT_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    world.start()

    job = world.job()
    world.reaches(job, SUCCEEDED)

    folder = world.folder(job).path
    for verb in ("prepare", "train"):
        environment = json.loads((folder / f"environment-{verb}.json").read_text())
        assert environment["CUDA_VISIBLE_DEVICES"] == "1"
        assert environment.keys().isdisjoint(
            ["OPENAI_API_KEY", "NEEDLE_ENDPOINT_API_KEY", "PYTHONPATH"]
        )
        files = json.loads((folder / f"files-{verb}.json").read_text())
        log = str(folder / "trainer.log")
        assert files[:3] == ["/dev/null", log, log]
        assert not [name for name in files if name.endswith("sqlite") or "socket:" in name]


def test_closing_stops_training_with_a_checkpoint_and_the_next_start_goes_on(world: World) -> None:
    world.trainer(hang_at=4, checkpoint_every=100)
    world.start().close()
    runner = world.start()
    job = world.job()
    world.reaches_step(job, 3)

    runner.close()
    between = world.now(job)
    assert not world.folder(job).locked()
    world.trainer()
    world.start()

    assert between.status is RUNNING
    assert world.reaches(job, *ENDS).status is SUCCEEDED
    assert world.steps(job) == [1, 2, 3, 4, 5]
    assert world.starts(job) == 2
