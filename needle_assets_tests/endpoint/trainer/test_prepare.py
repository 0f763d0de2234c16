"""What is refused before anything is trained, and what is said about it; no torch is needed."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from needle_assets.endpoint.trainer import __main__ as command
from needle_assets.endpoint.trainer import life
from needle_assets_tests.endpoint.trainer import tiny
from needle_assets_tests.endpoint.trainer.job import EXAMPLES, SYSTEM, lines, make_job, prepared


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of a base but its weights."""
    folder = tmp_path_factory.mktemp("base")
    config = {"model_type": "llama", "max_position_embeddings": 128, "rope_theta": 50_000.0}
    (folder / "config.json").write_text(json.dumps(config))
    tiny.byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def on_sigterm() -> Iterator[None]:
    """The trainer takes the signal for itself; afterwards it is what it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_an_example_over_the_maximum_is_named_with_its_tokens(base: Path, tmp_path: Path) -> None:
    long = ("x" * 300, "end")
    job = make_job(
        tmp_path / "job", base, examples=[*EXAMPLES, long], training={"max_context": 256}
    )

    status = command.prepare_job(job)

    tokens = tiny.tokens_by_hand(SYSTEM, *long)
    assert status == command.REFUSED
    error = prepared(job)["error"]
    assert (error["code"], error["line"]) == ("context_length_exceeded", 9)
    assert f"Line 9 of the training file has {tokens} tokens" in error["message"]
    assert "256" in error["message"]


def test_a_base_whose_adapters_cannot_be_served_is_refused(base: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", base)
    spec = json.loads((job / "spec.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "gpt2"}')
    spec["base"]["weights"] = str(other)
    (job / "spec.json").write_text(json.dumps(spec))

    assert command.prepare_job(job) == command.REFUSED

    assert prepared(job)["error"]["code"] == "base_model_unusable"
    assert "gpt2" in prepared(job)["error"]["message"]


@pytest.mark.usefixtures("on_sigterm")
def test_a_job_that_another_trainer_holds_is_given_up_with_a_reason(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path / "job", base)
    monkeypatch.setattr(life, "LOCK_TIMEOUT_S", 0.0)

    with life.sole_trainer(job):
        # The other one is in the middle of a line, which is not to be touched.
        (job / "progress.jsonl").write_text('{"type": "metrics"}\n{"type": ')
        statuses = [command.prepare_job(job), command.train_job(job)]
        written = (job / "progress.jsonl").read_text()

    assert statuses == [command.REFUSED, 1]
    assert prepared(job)["error"]["code"] == "locked"
    assert "another trainer" in prepared(job)["error"]["message"]
    assert written.startswith('{"type": "metrics"}\n{"type": ')
    (job / "progress.jsonl").write_text(written.removeprefix('{"type": "metrics"}\n{"type": '))
    [failed] = lines(job, "failed")
    assert "another trainer" in failed["message"]
