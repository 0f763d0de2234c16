"""A home with one base model, jobs that can be added to it, and a fake trainer."""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig, TrainingConfig
from needle_assets.endpoint.jobs.folder import JobFolder, job_folder
from needle_assets.endpoint.jobs.runner import Runner
from needle_assets.endpoint.records import FileRecord, Hyperparameters, JobRecord, JobStatus
from needle_assets.endpoint.state import State
from needle_assets_tests.support.fake_trainer import fake_trainer
from needle_assets_tests.support.waiting import until


def lines(count: int) -> bytes:
    """A good training file."""
    return b"".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"question {number}"},
                    {"role": "assistant", "content": f"answer {number}"},
                ]
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


@dataclass
class World:
    """One home. `runner` is the one at work now."""

    tmp: Path
    models_changed: list[int] = field(default_factory=list)
    runner: Runner | None = None
    _jobs: int = 0

    def __post_init__(self) -> None:
        self.trainer()

    @cached_property
    def config(self) -> EndpointConfig:
        weights = self.tmp / "base.gguf"
        weights.write_bytes(b"GGUF")
        return EndpointConfig(
            home=self.tmp / "home",
            auth="off",
            models={"small": BaseModelConfig(gguf=weights)},
            training=TrainingConfig(python=self.tmp / "trainer" / "python"),
        )

    @cached_property
    def state(self) -> State:
        return State(self.config.home / "state.sqlite")

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.config.home / "blobs")

    def trainer(self, **knobs: Any) -> Path:
        """Set the trainer's knobs."""
        return fake_trainer(self.tmp / "trainer", **knobs)

    def start(self, **changes: Any) -> Runner:
        """Start a runner, as a server does."""
        self.runner = Runner(
            self.config.model_copy(update=changes),
            self.state,
            self.blobs,
            lambda: self.models_changed.append(1),
            poll_s=0.02,
            stop_s=5.0,
        )
        self.runner.start()
        return self.runner

    def close(self) -> None:
        if self.runner is not None:
            self.runner.close()
        self.state.close()

    def file(self, data: bytes) -> str:
        """Upload a file: its id."""
        with self.blobs.writer() as writer:
            writer.write(data)
            sha256, size = writer.commit()
            file = FileRecord(f"file-{sha256[:24]}", "a.jsonl", "fine-tune", size, sha256, 7)
            if self.state.file(file.id) is None:
                self.state.add_file(file)
        return file.id

    def job(self, training: bytes = lines(10), **changes: Any) -> str:
        """Create a job: its id, which ends in its number."""
        self._jobs += 1
        plain = JobRecord(
            id=f"ftjob-{self._jobs:024}",
            created_at=7,
            status=JobStatus.VALIDATING,
            base="small",
            training_file=self.file(training),
            validation_file=None,
            hyperparameters=Hyperparameters(),
            seed=1,
        )
        self.state.add_job(replace(plain, **changes))
        if self.runner is not None:
            self.runner.wake()
        return plain.id

    def now(self, job_id: str) -> JobRecord:
        job = self.state.job(job_id)
        assert job is not None
        return job

    def reaches(self, job_id: str, *statuses: JobStatus) -> JobRecord:
        """Wait until the job has one of the statuses."""
        until(
            lambda: self.now(job_id).status in statuses,
            what=f"{job_id}, which is {self.now(job_id)}, becoming {statuses}",
        )
        return self.now(job_id)

    def steps(self, job_id: str) -> list[int]:
        """The steps that its metric events tell, in order of arrival."""
        events = reversed(self.state.events(job_id, limit=10_000))
        return [int(e.data["step"] or 0) for e in events if e.type == "metrics"]

    def reaches_step(self, job_id: str, step: int) -> None:
        until(lambda: step in self.steps(job_id), what=f"step {step} of {job_id}")

    def messages(self, job_id: str) -> list[str]:
        events = reversed(self.state.events(job_id, limit=10_000))
        return [event.message for event in events]

    def folder(self, job_id: str) -> JobFolder:
        return job_folder(self.config.home, job_id)

    def trainer_ends(self, job_id: str) -> None:
        """Wait until no process works on the job."""
        path = str(self.folder(job_id).path)

        def working() -> bool:
            every = psutil.process_iter(["cmdline"])
            return any(path in (process.info["cmdline"] or []) for process in every)

        until(lambda: not working(), what=f"the end of {job_id}'s trainer")

    def starts(self, job_id: str) -> int:
        """How often its training was started."""
        try:
            return len((self.folder(job_id).path / "starts").read_text().splitlines())
        except FileNotFoundError:
            return 0
