"""Whole jobs on a Llama of two layers, by the trainer's own command in its own environment."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from needle_assets_tests.endpoint.trainer import tiny
from needle_assets_tests.endpoint.trainer.job import (
    DEADLINE_S,
    EXAMPLES,
    PYTHON,
    SCRIPT,
    SYSTEM,
    environment,
    in_trainer,
    lines,
    locked,
    make_job,
    needs_trainer,
    prepared,
    run,
    wait_for,
)

pytestmark = needs_trainer
STEPS = 12  # 8 examples in batches of 2, three times


@pytest.fixture(scope="module")
def whole(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that nothing interrupted."""
    job = make_job(tmp_path_factory.mktemp("jobs") / "whole", weights)
    for verb in ("prepare", "train"):
        done = run(verb, job)
        assert done.returncode == 0, done.stderr
    return job


def test_prepare_counts_every_token_and_decides_every_value(whole: Path) -> None:
    counted = [tiny.tokens_by_hand(SYSTEM, *example) for example in EXAMPLES]
    assert prepared(whole) == {
        "examples": 8,
        "tokens": sum(counted),
        "validation_examples": 1,
        "longest_tokens": max(counted),
        "longest_line": 3,
        "n_epochs": 3,
        "batch_size": 2,
        "learning_rate_multiplier": 2.0,
        "total_steps": STEPS,
        "rope": None,
        "context_window": 128,
    }


def test_a_job_ends_with_both_adapters_and_a_result(whole: Path) -> None:
    from gguf import GGUFReader
    from safetensors.numpy import load_file

    result = json.loads((whole / "result.json").read_text())
    metrics = lines(whole, "metrics")
    assert [line["step"] for line in metrics] == list(range(1, STEPS + 1))
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    assert metrics[-1]["trained_tokens"] == 3 * prepared(whole)["tokens"]
    assert result["trained_tokens"] == 3 * prepared(whole)["tokens"]
    assert (result["steps"], result["train_loss"]) == (STEPS, metrics[-1]["train_loss"])
    assert result["valid_loss"] == metrics[-1]["valid_loss"]
    # Seven linear layers in each of two blocks, two matrices each, in both files.
    assert len(load_file(whole / "adapter" / "adapter_model.safetensors")) == 28
    assert len(GGUFReader(whole / "adapter.gguf").tensors) == 28
    steps = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert steps == [f"step-{STEPS - 1}", f"step-{STEPS}"]


def test_a_killed_and_a_stopped_job_go_on_with_the_same_losses(
    whole: Path, weights: Path, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "job", weights)
    for name in ("prepared.json", "training.npz", "validation.npz"):
        shutil.copy(whole / name, job / name)

    def start_until(step: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([PYTHON, SCRIPT, "train", job], env=environment())
        reached = f"step {step}"
        wait_for(lambda: any(one["step"] >= step for one in lines(job, "checkpoint")), reached)
        return process

    process = start_until(3)
    process.kill()
    process.wait()
    # As if it had died in the middle of a line and of a checkpoint.
    with (job / "progress.jsonl").open("a") as file:
        file.write('{"type": "metrics", "st')
    (job / "checkpoints" / ".step-99.1").mkdir()
    kept = max(one["step"] for one in lines(job, "checkpoint"))
    process = start_until(kept + 1)
    process.send_signal(signal.SIGTERM)
    status = process.wait(DEADLINE_S)
    stopped = lines(job, "stopped")
    finished_at_once = (job / "result.json").exists()
    done = run("train", job)

    assert done.returncode == 0, done.stderr
    assert status == 0
    assert finished_at_once or [line["step"] for line in stopped] >= [kept + 1]
    expected = {line["step"]: line["train_loss"] for line in lines(whole, "metrics")}
    seen = [(line["step"], line["train_loss"]) for line in lines(job, "metrics")]
    assert {step for step, _ in seen} == set(expected)
    # Every step, those that were taken twice too. The bound asked for is 1e-3.
    assert [loss for _, loss in seen] == [expected[step] for step, _ in seen]
    assert (job / "adapter.gguf").read_bytes() == (whole / "adapter.gguf").read_bytes()


@pytest.fixture(scope="module")
def computed(weights: Path) -> dict[str, Any]:
    """What `in_trainer.model` finds out."""
    return dict(json.loads(in_trainer("model", weights)))


def test_the_loss_is_that_of_transformers_over_the_answers(computed: dict[str, Any]) -> None:
    found = computed["losses"]

    assert found["apart"] == pytest.approx(found["theirs"], rel=1e-5)
    assert found["shared"] == pytest.approx(found["theirs"], rel=1e-5)
    assert found["again"] == pytest.approx(found["theirs"], rel=1e-5)
    assert found["apart_gradient"] < 1e-4
    assert found["shared_gradient"] < 1e-4
    # With checkpointing each of the two blocks is computed for the loss and for its gradient.
    assert found["again_gradient"] < 1e-4
    assert found["blocks_computed"] == 4
    assert len(found["adapted"]) == 14
    assert found["frozen"]


def test_scaling_is_in_the_model_that_is_loaded(computed: dict[str, Any]) -> None:
    found = computed["frequencies"]

    plain = [50_000.0 ** (-index / 4) for index in range(4)]
    assert found["none"] == pytest.approx(plain, rel=1e-5)
    assert found["linear"] == pytest.approx([one / 4 for one in plain], rel=1e-5)
    # By frequency: the fastest turns as it was trained, the slowest is divided by the factor.
    assert found["yarn"][0] == pytest.approx(plain[0], rel=1e-5)
    assert found["yarn"][-1] == pytest.approx(plain[-1] / 4, rel=1e-5)
    assert (found["none_window"], found["linear_window"], found["yarn_window"]) == (
        [128], [512], [512],
    )  # fmt: skip


def test_it_ends_when_whoever_started_it_is_killed(
    whole: Path, weights: Path, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "job", weights, epochs=100_000, training={"checkpoint_s": 3600})
    for name in ("training.npz", "validation.npz"):
        shutil.copy(whole / name, job / name)
    endless = {**prepared(whole), "n_epochs": 100_000, "total_steps": 400_000}
    (job / "prepared.json").write_text(json.dumps(endless))
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run(sys.argv[1:])",
            PYTHON, SCRIPT, "train", job,
        ],
        env=environment(),
    )  # fmt: skip
    wait_for(lambda: len(lines(job, "metrics")) > 0, "the first step")

    starter.kill()
    starter.wait()

    wait_for(lambda: not locked(job), "the trainer's end")
    assert not (job / "result.json").exists()
