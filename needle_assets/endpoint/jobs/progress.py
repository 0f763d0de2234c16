"""What the trainer reports, line by line, as a job's events and checkpoints.

After a restart a file is read from its beginning, and the trainer repeats steps: ids are made of
what a line is about, so that what was told before changes nothing.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from needle_assets.endpoint.jobs.folder import JobFolder
from needle_assets.endpoint.records import CheckpointRecord, EventRecord
from needle_assets.endpoint.state import State

_METRICS = (
    "step", "total_steps", "train_loss", "valid_loss", "learning_rate", "tokens_per_second",
    "eta_s", "trained_tokens",
)  # fmt: skip


def event(
    job_id: str,
    key: str,
    message: str,
    *,
    level: Literal["info", "warn", "error"] = "info",
    data: Mapping[str, float | int | str | None] | None = None,
) -> EventRecord:
    """An event whose id is made of the job's and ``key``."""
    return EventRecord(
        id=_id("ftevent", job_id, key),
        job_id=job_id,
        created_at=int(time.time()),
        level=level,
        type="message" if data is None else "metrics",
        message=message,
        data=dict(data or {}),
    )


@dataclass
class Progress:
    """How far the trainer's report has been read."""

    folder: JobFolder
    job_id: str
    failure: str | None = None
    """The reason that the trainer gave."""
    stopped_at: int | None = None
    """The step of the newest line that says the trainer was stopped."""
    _offset: int = 0

    def take_in(self, state: State) -> int | None:
        """Remember all that is new: the seconds that training still takes, where they are told."""
        lines = self._new_lines()
        if not lines:
            return None
        eta_s: float | None = None
        with state.transaction():
            for line in lines:
                match line:
                    case {"type": "metrics", "step": int()}:
                        if state.add_event(self._metrics(line)):
                            eta_s = _number(line.get("eta_s"))
                    case {"type": "checkpoint", "step": int(step)}:
                        if state.add_checkpoint(self._checkpoint(line)):
                            said = f"Checkpoint created at step {step}"
                            state.add_event(event(self.job_id, f"checkpoint {step}", said))
                    case {"type": "failed"}:
                        self.failure = str(line.get("message") or "the trainer gave no reason")
                    case {"type": "stopped", "step": int(step)}:
                        self.stopped_at = step
        return None if eta_s is None else round(eta_s)

    def _new_lines(self) -> list[dict[str, Any]]:
        try:
            with self.folder.progress.open("rb") as file:
                file.seek(self._offset)
                # The last line may still be being written.
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._offset += len(whole) + len(end)
        lines = []
        for text in whole.split(b"\n"):
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines

    def _metrics(self, line: Mapping[str, Any]) -> EventRecord:
        data = {name: line[name] for name in _METRICS if _number(line.get(name)) is not None}
        message = f"Step {line['step']}/{line.get('total_steps', '?')}"
        told = [
            f"{name}={data[key]:.4f}"
            for name, key in (("training loss", "train_loss"), ("validation loss", "valid_loss"))
            if key in data
        ]
        if told:
            message = f"{message}: {', '.join(told)}"
        return event(self.job_id, f"metrics {line['step']}", message, data=data)

    def _checkpoint(self, line: Mapping[str, Any]) -> CheckpointRecord:
        step = int(line["step"])
        return CheckpointRecord(
            id=_id("ftckpt", self.job_id, str(step)),
            job_id=self.job_id,
            created_at=int(time.time()),
            step=step,
            metrics={
                name: line[name]
                for name in ("step", "train_loss", "valid_loss")
                if _number(line.get(name)) is not None
            },
        )


def _number(value: object) -> float | None:
    """The value if it is a finite number: JSON knows no other, Python's reader does."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < float("inf") else None


def _id(prefix: str, job_id: str, key: str) -> str:
    return f"{prefix}-{hashlib.sha256(f'{job_id} {key}'.encode()).hexdigest()[:24]}"
