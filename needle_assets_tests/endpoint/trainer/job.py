"""A job's folder, and the trainer's own command on it, in the trainer's own environment."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from needle_assets_tests.endpoint.trainer import tiny

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "needle_assets" / "endpoint" / "trainer" / "__main__.py"
PYTHON = Path(os.environ.get("NEEDLE_TRAINER_PYTHON") or ROOT / ".venv-train" / "bin" / "python")
DEADLINE_S = 300

needs_trainer = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=f"{PYTHON} is absent: make trainer, or set NEEDLE_TRAINER_PYTHON to its Python",
)

SYSTEM = "answer in one word"
EXAMPLES = [(f"say {word}", word * 2) for word in ("a", "bb", "ccc", "d", "ee", "fff", "g", "h")]


def environment() -> dict[str, str]:
    # One thread: sums are taken in one order whatever else the machine does.
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def run(verb: str, job: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, SCRIPT, verb, job],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(),
    )


def in_trainer(work: str, folder: Path) -> str:
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("in_trainer.py"), work, folder],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_job(
    folder: Path,
    base: Path,
    *,
    examples: list[tuple[str, str]] = EXAMPLES,
    epochs: int = 3,
    training: dict[str, Any] | None = None,
) -> Path:
    """A job's folder as the endpoint leaves it; ``base`` is a folder of weights or a GGUF file."""
    kind = "weights" if base.is_dir() else "gguf"
    folder.mkdir(parents=True)
    tiny.write_jsonl(folder / "training.jsonl", [tiny.conversation(SYSTEM, *e) for e in examples])
    tiny.write_jsonl(folder / "validation.jsonl", [tiny.conversation(SYSTEM, "say i", "ii")])
    spec = {
        "base": {"name": "tiny", kind: str(base), "context_window": None},
        "cache": str(folder / "cache"),
        "training_file": str(folder / "training.jsonl"),
        "validation_file": str(folder / "validation.jsonl"),
        "hyperparameters": {
            "n_epochs": epochs, "batch_size": 2, "learning_rate_multiplier": 2.0,
        },
        "seed": 5,
        "limits": {"epochs": 100_000},
        "training": {
            "lora_rank": 4, "learning_rate": 5e-3, "lora_dropout": 0.1, "checkpoint_s": 0,
            **(training or {}),
        },
    }  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


def prepared(job: Path) -> dict[str, Any]:
    return dict(json.loads((job / "prepared.json").read_text()))


def lines(job: Path, kind: str) -> list[dict[str, Any]]:
    path = job / "progress.jsonl"
    text = path.read_text() if path.exists() else ""
    whole = [json.loads(line) for line in text.split("\n")[:-1] if line]
    return [line for line in whole if line["type"] == kind]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_S} s"
        time.sleep(0.02)


def locked(job: Path) -> bool:
    with (job / "trainer.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
