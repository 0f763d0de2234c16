"""The report that the endpoint reads while a job trains: one JSON object a line."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Metrics:
    """One optimizer step."""

    step: int
    total_steps: int
    train_loss: float
    """Mean over the answer tokens of the step's batch, in nats."""
    learning_rate: float
    tokens_per_second: float
    """Of prompts and answers, since this process started to train."""
    eta_s: float
    trained_tokens: int
    valid_loss: float | None = None


class Progress:
    """``progress.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.jsonl"

    def mend(self) -> None:
        """Cut off the half line that a killed process left: the next one would continue it."""
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def metrics(self, metrics: Metrics) -> None:
        """A step was taken."""
        known = {name: value for name, value in asdict(metrics).items() if value is not None}
        self._line({"type": "metrics", **known})

    def checkpoint(
        self, step: int, path: Path, train_loss: float | None, valid_loss: float | None
    ) -> None:
        """A checkpoint is complete."""
        line = {"type": "checkpoint", "step": step, "path": str(path), "train_loss": train_loss}
        self._line(line if valid_loss is None else {**line, "valid_loss": valid_loss})

    def stopped(self, step: int) -> None:
        """Training ends before its end, as it was asked to."""
        self._line({"type": "stopped", "step": step})

    def failed(self, message: str) -> None:
        """Training cannot go on."""
        self._line({"type": "failed", "message": message})

    def _line(self, line: dict[str, object]) -> None:
        # JSON has no NaN and no infinity.
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in line.items()
        }
        data = json.dumps(finite, allow_nan=False).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
