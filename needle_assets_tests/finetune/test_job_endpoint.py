"""The life of a job against our own endpoint, its trainer alone being played."""

import time
from pathlib import Path

import pytest
from openai import OpenAI

from needle_assets.endpoint.jobs.runner import Runner
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job import (
    JobSpec,
    Progress,
    await_job,
    cancel_job,
    submit_job,
)
from needle_assets.finetune.providers import EMBEDDED, UNKNOWN, Capabilities
from needle_assets_tests.endpoint.api.world import Endpoint, endpoint
from needle_assets_tests.support.fake_trainer import fake_trainer

STEPS = 5


def spec(server: Endpoint, content: bytes | None = None) -> JobSpec:
    return JobSpec(
        model="tiny",
        training_file=server.upload(content),
        training_sha256="ab" * 32,
        n_epochs=2,
        learning_rate_multiplier=1.5,
        suffix="needle-512",
        context_length=512,
    )


def a_moment(_: float) -> None:
    time.sleep(0.01)


@pytest.mark.parametrize("provider", [EMBEDDED, UNKNOWN], ids=lambda provider: provider.name)
def test_a_job_is_created_found_again_and_seen_to_its_end(
    tmp_path: Path, provider: Capabilities
) -> None:
    training = {"python": fake_trainer(tmp_path / "trainer", steps=STEPS)}
    with endpoint(tmp_path / "home", make_runner=Runner, training=training) as server:
        client, what, told = server.client(), spec(server), list[Progress]()
        first = submit_job(client, what, capabilities=provider, sleep=a_moment)
        second = submit_job(client, what, capabilities=provider, sleep=a_moment)
        finished = await_job(
            client,
            first.job_id,
            capabilities=provider,
            on_progress=told.append,
            sleep=a_moment,
            deadline_s=60,
        )
        jobs = client.fine_tuning.jobs.list().data
    assert [job.id for job in jobs] == [first.job_id] == [second.job_id]
    assert second.attached
    assert finished.fine_tuned_model.startswith("ft:tiny:needle-512")
    # The played trainer's loss at step N is 1 / N.
    assert [point.step for point in finished.curve] == [*range(1, STEPS + 1)]
    losses = [point.train_loss for point in finished.curve]
    assert losses == pytest.approx([1 / step for step in range(1, STEPS + 1)])
    assert finished.curve[-1].learning_rate
    assert finished.hyperparameters.n_epochs == 2
    assert finished.hyperparameters.learning_rate_multiplier == 1.5
    assert finished.trained_tokens
    assert None not in [progress.status for progress in told]


def submitted_and_awaited(client: OpenAI, asked: JobSpec) -> None:
    job = submit_job(client, asked, capabilities=EMBEDDED)
    await_job(client, job.job_id, capabilities=EMBEDDED, sleep=a_moment, deadline_s=60)


def test_a_bad_line_is_named_with_the_servers_own_words(tmp_path: Path) -> None:
    training = {"python": fake_trainer(tmp_path / "trainer", steps=STEPS)}
    with endpoint(tmp_path / "home", make_runner=Runner, training=training) as server:
        client = server.client()
        # The job may have failed before its submission looks a last time.
        said = r"failed: .*line 1: is not JSON.*(next attempt|with attempt 2)"
        with pytest.raises(FinetuneError, match=said):
            submitted_and_awaited(client, spec(server, b"no json\n" * 12))
        [failed] = client.fine_tuning.jobs.list().data
        assert failed.status == "failed"


def test_a_running_job_is_cancelled_twice_and_stays_so(tmp_path: Path) -> None:
    training = {"python": fake_trainer(tmp_path / "trainer", steps=10_000, step_s=0.01)}
    with endpoint(tmp_path / "home", make_runner=Runner, training=training) as server:
        client = server.client()
        job = submit_job(client, spec(server), capabilities=EMBEDDED)
        said = [cancel_job(client, job.job_id, capabilities=EMBEDDED) for _ in range(2)]
        with pytest.raises(FinetuneError, match="was cancelled"):
            await_job(client, job.job_id, capabilities=EMBEDDED, sleep=a_moment, deadline_s=60)
    assert said[1] == "cancelled"
