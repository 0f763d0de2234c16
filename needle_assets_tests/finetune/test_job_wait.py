"""Waiting for a job: what is polled and how often, what is told, what is kept of it."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from openai import OpenAI

from needle_assets.finetune.curve import curve_of_result_file, merged
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job import (
    CurvePoint,
    FinishedJob,
    JobReceipt,
    JobSpec,
    Progress,
    await_job,
    curve_table,
    fingerprint,
    job_receipt,
)
from needle_assets.finetune.providers import AZURE, OPENAI, UNKNOWN, Capabilities
from needle_assets_tests.support.fake_time import FakeTime
from needle_assets_tests.support.scripted_server import (
    Failed,
    Fault,
    Garble,
    HangUp,
    Host,
    Job,
    Refuse,
    ScriptedServer,
)

RUNS = ("queued", "running")


@pytest.fixture
def server(host: Host, time: FakeTime) -> ScriptedServer:
    return host.fresh(time.clock)


def job_with(server: ScriptedServer, *life: str | Failed, **told: Any) -> Job:
    server.life = life
    return server.add_job(model="base", training_file="file-train", **told)


def wait(
    client: OpenAI,
    job: Job,
    time: FakeTime,
    told: list[Progress] | None = None,
    provider: Capabilities = OPENAI,
    **options: Any,
) -> FinishedJob:
    return await_job(
        client,
        job.body["id"],
        capabilities=provider,
        on_progress=None if told is None else told.append,
        sleep=time.sleep,
        clock=time.clock,
        now=time.clock,
        **options,
    )


def test_a_finished_job_is_told_as_its_server_tells_it(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, *RUNS, "succeeded", hyperparameters={"batch_size": 8})
    created = int(time.clock())
    finished = wait(client, job, time)
    assert finished == FinishedJob(
        job_id=job.body["id"],
        status="succeeded",
        fine_tuned_model=job.body["fine_tuned_model"],
        trained_tokens=1234,
        # Two steps a look; the losses are the scripted server's 2 / step.
        curve=(
            CurvePoint(step=1, train_loss=2.0, learning_rate=1e-4),
            CurvePoint(step=2, train_loss=1.0, learning_rate=1e-4),
        ),
        seconds=time.clock() - created,
        created_at=created,
        finished_at=job.body["finished_at"],
        hyperparameters=finished.hyperparameters,
    )
    assert finished.hyperparameters.model_dump() == {
        "n_epochs": 3,
        "batch_size": 8,
        "learning_rate_multiplier": "auto",
    }


def test_progress_is_told_at_every_poll(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    told: list[Progress] = []
    wait(client, job_with(server, *RUNS, "paused", "running", "succeeded"), time, told)
    assert [progress.status for progress in told] == [
        *RUNS,
        "paused",
        "running",
        "succeeded",
    ]
    assert [len(progress.curve) for progress in told] == [2, 2, 4, 4, 4]
    assert told[-1].message == "now succeeded"


def test_an_unknown_word_of_the_server_is_shown_and_waited_out(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    told: list[Progress] = []
    wait(client, job_with(server, "warming", "succeeded"), time, told)
    assert (told[0].status, told[0].said) == (None, "warming")


def test_the_words_of_a_provider_are_read_as_its_table_says(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, "notRunning", "running", "canceled")
    with pytest.raises(FinetuneError, match="was cancelled"):
        wait(client, job, time, provider=AZURE)


def test_a_tuned_model_that_must_be_deployed_first_is_not_looked_for(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    server.retired.add("*")
    assert wait(client, job_with(server, "succeeded"), time, provider=AZURE).fine_tuned_model
    assert server.requests["models.retrieve"] == 0


@pytest.mark.parametrize("provider", [OPENAI, UNKNOWN], ids=lambda provider: provider.name)
def test_the_window_is_the_one_that_the_server_tells(
    client: OpenAI, server: ScriptedServer, time: FakeTime, provider: Capabilities
) -> None:
    job = job_with(server, "running", "succeeded")
    assert wait(client, job, time, provider=provider).context_window is None
    server.models[job.body["fine_tuned_model"]]["max_model_len"] = 16_384
    assert wait(client, job, time, provider=provider).context_window == 16_384


@pytest.mark.parametrize("fault", [Refuse(404), Refuse(500), Garble()], ids=repr)
def test_a_server_that_may_not_serve_it_is_not_held_to_it(
    client: OpenAI, server: ScriptedServer, time: FakeTime, fault: Fault
) -> None:
    job = job_with(server, "succeeded")
    server.script_for_ever("models.retrieve", fault)
    assert wait(client, job, time, provider=UNKNOWN).context_window is None


def test_pauses_grow_to_a_twentieth_of_the_time_waited_and_to_a_minute(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, *["running"] * 110, "succeeded")
    started = time.clock()
    wait(client, job, time)
    elapsed = 0.0
    for pause in time.pauses:
        assert pause == pytest.approx(min(max(0.05 * elapsed, 1.0), 60.0), abs=1e-6)
        elapsed += pause
    assert elapsed == pytest.approx(time.clock() - started)
    assert time.pauses[-1] == 60.0


def test_near_the_estimated_end_polls_come_closer_together(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, *["running"] * 80, "succeeded")
    job.body["estimated_finish"] = end = int(time.clock()) + 200
    moments: list[float] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        moments.append(time.clock())

    await_job(
        client, job.body["id"], capabilities=OPENAI, sleep=sleep, clock=time.clock, now=time.clock
    )
    before, after = (
        max(moment for moment in moments if moment <= end),
        min(moment for moment in moments if moment > end),
    )
    assert after - before <= 1.5
    # Past the estimate the share of the time waited holds again.
    assert time.pauses[-1] > 10


def test_events_known_already_are_not_asked_for_again(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, *["running"] * 60, "succeeded")
    finished = wait(client, job, time)
    # 181 events in all; at each of 61 polls one page of them is asked for.
    assert [point.step for point in finished.curve] == [*range(1, 121)]
    assert server.requests["jobs.events"] == server.requests["jobs.retrieve"] == 61


def test_a_page_of_events_that_is_lost_hides_nothing(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, "running", "running", "succeeded")
    for step in range(100, 350):
        server.tell(job, "more", {"step": step, "train_loss": 0.5})
    # At the first poll the second of three pages fails, at the next one the third.
    server.script("jobs.events", None, Refuse(500), None, None, HangUp())
    steps = [point.step for point in wait(client, job, time).curve]
    assert steps == [1, 2, 3, 4, *range(100, 350)]


@pytest.mark.parametrize("paging", ["none", "repeated"])
def test_events_of_servers_that_do_not_page(
    client: OpenAI, server: ScriptedServer, time: FakeTime, paging: Any
) -> None:
    server.paging = paging
    job = job_with(server, *["running"] * 10, "succeeded")
    assert [point.step for point in wait(client, job, time).curve] == [*range(1, 21)]


def test_without_events_the_result_file_gives_the_curve(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    server.script_for_ever("jobs.events", Refuse(404))
    curve = wait(client, job_with(server, "running", "succeeded"), time).curve
    assert curve == (CurvePoint(step=1, train_loss=2.0), CurvePoint(step=2, train_loss=1.0))


def test_without_events_and_result_file_the_curve_is_empty(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    server.script_for_ever("jobs.events", Refuse(404))
    server.script_for_ever("files.content", Refuse(404))
    assert wait(client, job_with(server, "running", "succeeded"), time).curve == ()


def test_a_failed_job_gives_its_servers_reason_without_the_key(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    said = f"upstream refused Bearer {server.api_key} " + "x" * 2000
    job = job_with(server, "running", Failed("server_error", said))
    with pytest.raises(FinetuneError) as caught:
        wait(client, job, time)
    assert f"{job.body['id']} at {server.base_url} failed: server_error: upstream refused" in str(
        caught.value
    )
    assert server.api_key not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_job_that_failed_without_a_word_is_told_by_its_last_event(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, "failed")
    server.tell(job, "the machine has gone")
    with pytest.raises(FinetuneError, match="failed: the machine has gone"):
        wait(client, job, time)


def test_a_success_without_a_model_is_none(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    job = job_with(server, "succeeded")
    job.body["fine_tuned_model"] = None
    with pytest.raises(FinetuneError, match="succeeded, but names no model"):
        wait(client, job, time)


def test_time_in_the_queue_counts_from_the_last_time_it_moved(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    # Paused in the middle, as jobs are that give way to others: 20 s before, some 35 s after it.
    job = job_with(server, *["queued"] * 20, "paused", *["queued"] * 20, "running", "succeeded")
    wait(client, job, time, stuck_after_s=40)
    stuck = job_with(server, *["queued"] * 41, "running", "succeeded")
    with pytest.raises(FinetuneError, match="has been queued for 4. s and nothing happens"):
        wait(client, stuck, time, stuck_after_s=40)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit, RuntimeError])
def test_what_interrupts_the_wait_passes_through(
    client: OpenAI, server: ScriptedServer, time: FakeTime, interrupt: type[BaseException]
) -> None:
    job = job_with(server, "running")

    def interrupted(_: object) -> None:
        raise interrupt("stop")

    for parts in ({"sleep": interrupted}, {"sleep": time.sleep, "on_progress": interrupted}):
        with pytest.raises(interrupt, match="stop"):
            await_job(client, job.body["id"], capabilities=OPENAI, clock=time.clock, **parts)
    assert job.body["status"] == "running"


# The curve.


def test_a_later_figure_of_a_step_replaces_an_earlier_one_and_adds_to_it() -> None:
    curve = merged((), [{"step": 2, "train_loss": 3.0}, {"step": 1, "train_loss": 4.0}])
    curve = merged(curve, [{"step": 2, "train_loss": 2.5, "valid_loss": 2.75}])
    assert curve == (
        CurvePoint(step=1, train_loss=4.0),
        CurvePoint(step=2, train_loss=2.5, valid_loss=2.75),
    )


def test_the_loss_of_the_whole_validation_file_goes_before_that_of_a_batch() -> None:
    (point,) = merged((), [{"step": 9, "valid_loss": 1.0, "full_valid_loss": 0.5}])
    assert point.valid_loss == 0.5


def test_figures_that_are_none_are_left_out() -> None:
    told: list[dict[str, object]] = [
        {"step": None, "train_loss": 1.0},
        {"step": 1.5, "train_loss": 1.0},
        {"step": -1, "train_loss": 1.0},
        {"step": True, "train_loss": 1.0},
        {"step": 10**400, "train_loss": 1.0},
        {"step": 1, "train_loss": float("nan")},
        {"step": 2, "train_loss": "inf"},
        {"step": 3, "train_loss": [1.0]},
        {"step": "4", "train_loss": "1.5", "valid_loss": ""},
        {"train_loss": 1.0},
    ]
    assert merged((), told) == (CurvePoint(step=4, train_loss=1.5),)


def test_result_files_are_read_plain_and_in_base64() -> None:
    plain = b"step,train_loss,train_accuracy,valid_loss\n1,2.5,0.1,\n2,2.25,0.2,2.4\n"
    expected = (
        CurvePoint(step=1, train_loss=2.5),
        CurvePoint(step=2, train_loss=2.25, valid_loss=2.4),
    )
    assert curve_of_result_file(plain) == expected
    assert curve_of_result_file(base64.b64encode(plain)) == expected
    for other in (b"", b"\xff\xfe\x00", b"{}", b"<html>step</html>", b"step"):
        assert curve_of_result_file(other) == ()


def test_the_curve_as_a_table_has_a_column_for_each_figure() -> None:
    table = curve_table((CurvePoint(step=1, train_loss=2.0), CurvePoint(step=3, valid_loss=1.0)))
    assert table.to_pydict() == {
        "step": [1, 3],
        "train_loss": [2.0, None],
        "valid_loss": [None, 1.0],
        "learning_rate": [None, None],
        "tokens_per_second": [None, None],
    }


# The receipt.


def test_the_receipt_says_what_was_paid_for_and_survives_json(
    client: OpenAI, server: ScriptedServer, time: FakeTime
) -> None:
    spec = JobSpec(
        model="base",
        training_file="file-train",
        training_sha256="ab" * 32,
        n_epochs=3,
        seed=7,
        context_length=512,
        attempt=2,
    )
    finished = wait(client, job_with(server, "running", "succeeded"), time)
    receipt = job_receipt(spec, finished, destination=server.base_url, cost_usd=None)
    assert receipt.fingerprint == fingerprint(spec)
    assert (receipt.attempt, receipt.seed, receipt.context_length) == (2, 7, 512)
    assert receipt.created_at == datetime.fromtimestamp(finished.created_at, UTC)
    assert (receipt.train_loss, receipt.valid_loss, receipt.cost_usd) == (1.0, None, None)
    assert JobReceipt.model_validate_json(receipt.model_dump_json()) == receipt


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_epochs": 0},
        {"n_epochs": "many"},
        {"batch_size": -1},
        {"learning_rate_multiplier": 0},
        {"learning_rate_multiplier": float("inf")},
        {"attempt": 0},
        {"suffix": "s" * 65},
        {"seed": -1},
        {"model": ""},
    ],
    ids=str,
)
def test_a_spec_that_no_server_would_take_is_none(wrong: dict[str, Any]) -> None:
    plain = {"model": "m", "training_file": "f", "training_sha256": "a", "context_length": 1}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JobSpec.model_validate(plain | wrong)
