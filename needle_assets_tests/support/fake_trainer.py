"""A trainer without torch: it speaks the real one's file protocol and learns nothing.

    python = fake_trainer(tmp_path, steps=5, step_s=0.01)
    config = EndpointConfig(..., training=TrainingConfig(python=python))

`fake_trainer` writes a program that takes the place of the trainer's interpreter, so that the
command line, the environment and the signals are those of the real one. Each line of the training
file has 100 tokens; the loss at step N is 1 / N. It holds no test.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

TOKENS = 100
"""Of every example, and of every step."""


def fake_trainer(folder: Path, **knobs: Any) -> Path:
    """The path of the program; calling again with the same folder changes the knobs.

    Knobs:
        steps: steps of a job (5).
        step_s: seconds that a step takes (0).
        checkpoint_every: steps between checkpoints (2).
        window: the base's context window; longer examples double it (1,000).
        prepare_s: seconds that ``prepare`` takes (0).
        refuse: the error object that ``prepare`` writes.
        fail_at: step at which it writes a failed line.
        die_at: step at which it ends with status 3, saying so on stderr alone.
        hang_at: step at which it stands still until it is stopped.
        deaf: whether it ignores SIGTERM.
        stop_itself_at: step at which it stops as after SIGTERM, once.
        disloyal: whether it goes on when its parent is gone.
        helper: whether it starts a process in a session of its own, as launchers do; its number
            is in the file ``helper``.
        torn: bytes without a newline that it leaves behind progress.jsonl when it is stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "knobs.new"
    temporary.write_text(json.dumps(knobs))
    temporary.replace(folder / "knobs.json")
    program = folder / "python"
    if not program.exists():
        # -S -E: a start takes a hundredth of a second.
        program.write_text(
            f"#!{sys.executable} -SE\n"
            f"import sys\nsys.argv.insert(1, {str(folder)!r})\n"
            f"__file__ = {__file__!r}\n"
            "exec(compile(open(__file__).read(), __file__, 'exec'))\n"
        )
        program.chmod(0o755)
    return program


def _main(knobs_folder: str, script: str, verb: str, job: str) -> int:
    assert script.endswith("needle_assets/endpoint/trainer/__main__.py")
    knobs = json.loads((Path(knobs_folder) / "knobs.json").read_text())
    folder = Path(job)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / f"environment-{verb}.json").write_text(json.dumps(dict(os.environ)))
    files = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []  # noqa: PTH112, PTH208
    links = [os.path.realpath(f"/proc/self/fd/{number}") for number in files]
    (folder / f"files-{verb}.json").write_text(json.dumps(links))
    return _prepare(folder, spec, knobs) if verb == "prepare" else _train(folder, knobs)


def _prepare(folder: Path, spec: dict[str, Any], knobs: dict[str, Any]) -> int:
    if knobs.get("prepare_s"):
        _sleep(knobs["prepare_s"])
    if "refuse" in knobs:
        _write(folder / "prepared.json", {"error": knobs["refuse"]})
        return 2
    examples = len(Path(spec["training_file"]).read_text().splitlines())
    validation = spec["validation_file"]
    window = knobs.get("window", 1000)
    asked = {k: v for k, v in spec["hyperparameters"].items() if v != "auto"}
    rope = {"kind": "linear", "factor": 2.0, "theta": 1e4, "original_context": window}
    prepared = {
        "examples": examples,
        "tokens": examples * TOKENS,
        "validation_examples": len(Path(validation).read_text().splitlines()) if validation else 0,
        "longest_tokens": TOKENS,
        "longest_line": 1,
        "n_epochs": 3,
        "batch_size": 4,
        "learning_rate_multiplier": 1.0,
        **asked,
        "total_steps": knobs.get("steps", 5),
        "rope": rope if window < TOKENS else None,
        "context_window": 2 * window if window < TOKENS else window,
    }
    _write(folder / "prepared.json", prepared)
    return 0


def _train(folder: Path, knobs: dict[str, Any]) -> int:
    parent = None if knobs.get("disloyal") else os.getppid()
    stopped: list[int] = []
    if knobs.get("helper"):
        import subprocess

        helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (folder / "helper").write_text(str(helper.pid))
    if knobs.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    lock = os.open(folder / "trainer.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    steps = knobs.get("steps", 5)
    begun = max((int(path.name.split("-")[1]) for path in checkpoints.glob("step-*")), default=0)

    def stop(step: int) -> int:
        checkpoint(step)
        _append(folder, {"type": "stopped", "step": step})
        if "torn" in knobs:
            with (folder / "progress.jsonl").open("a") as file:
                file.write(knobs["torn"])
        return 0

    def checkpoint(step: int) -> None:
        path = checkpoints / f"step-{step}"
        if step and not path.exists():
            path.mkdir()
            line = {"type": "checkpoint", "step": step, "path": str(path), "train_loss": 1 / step}
            _append(folder, line)

    for step in range(begun + 1, steps + 1):
        if knobs.get("step_s"):
            _sleep(knobs["step_s"])
        if parent not in (None, os.getppid()):
            return 0
        if stopped:
            return stop(step - 1)
        if knobs.get("stop_itself_at") == step and begun < step - 1:
            return stop(step - 1)
        if knobs.get("fail_at") == step:
            _append(folder, {"type": "failed", "message": "the loss is not a number at step 3"})
            return 1
        if knobs.get("die_at") == step:
            print("CUDA error: device-side assert triggered", file=sys.stderr)
            return 3
        while knobs.get("hang_at") == step:
            _sleep(0.01)
            if parent not in (None, os.getppid()):
                return 0
            if stopped:
                return stop(step - 1)
        metrics = {"step": step, "total_steps": steps, "train_loss": 1 / step}
        rates = {"learning_rate": 1e-4, "tokens_per_second": 50.0}
        left = {"eta_s": 2.0 * (steps - step), "trained_tokens": TOKENS * step}
        _append(folder, {"type": "metrics", **metrics, **rates, **left})
        if step % knobs.get("checkpoint_every", 2) == 0:
            checkpoint(step)

    (folder / "adapter.gguf").write_bytes(b"GGUF")
    result = {"trained_tokens": TOKENS * steps, "steps": steps, "train_loss": 1 / steps}
    _write(folder / "result.json", {**result, "valid_loss": None, "seconds": 1.0})
    with (folder / "ends").open("a") as ends:
        ends.write(f"{os.getpid()}\n")
    return 0


def _append(folder: Path, line: dict[str, Any]) -> None:
    with (folder / "progress.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _write(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
