"""What the checks of the conformance suite share: clients, small files, what has to be cleared up.

No check stands here.
"""

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from needle_assets.finetune.providers import Capabilities, Status

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import FileObject
    from openai.types.fine_tuning import FineTuningJob

Level = Literal["files", "jobs", "full"]
T = TypeVar("T")

EXAMPLES = 12
"""Above the least number that any provider is known to ask for."""

METADATA_KEY = "needle_conformance"

ENDED: frozenset[Status] = frozenset(["succeeded", "failed", "cancelled"])

PAGES = 50
"""Pages of one entry that are turned at most: accounts may have thousands of entries."""

_CLEAN_UP_S = 120.0
"""How long a job may take to end when it is cancelled at last."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0


class FailedCheck(Exception):  # noqa: N818 - an outcome rather than an error
    """The server did something else than expected."""


class SkippedCheck(Exception):  # noqa: N818 - an outcome rather than an error
    """There is nothing to check here."""


@dataclass(frozen=True)
class Check:
    """One named check; it raises `FailedCheck` or `SkippedCheck`, or passes."""

    name: str
    run: Callable[["Bench"], None]
    level: Level = "files"
    needs: tuple[str, ...] = ()
    """Names of checks without whose passing it makes no sense."""


@dataclass
class Bench:
    """The server under test, and what checks leave for those after them."""

    client: "OpenAI"
    stranger: "OpenAI"
    """Has a wrong key."""
    has_key: bool
    capabilities: Capabilities
    model: str
    """Base model of the jobs; the first check sets it where none was asked for."""
    patience_s: float
    pause: Callable[[float], None]
    token: str = field(default_factory=lambda: secrets.token_hex(6))
    """In names and metadata: tells this run's things from all others."""
    files: list[str] = field(default_factory=list)
    """Ids of what was uploaded and not deleted."""
    jobs: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    uploaded: str = ""
    """Id of the good file."""
    job: str = ""
    """Id of the job that is looked at and cancelled."""
    trained: str = ""
    """Id of the job that ran to its end."""
    tuned: str = ""
    """The model that came out of it."""

    def upload(self, name: str, content: bytes) -> "FileObject":
        """Upload a file that the suite will delete."""
        file = self.client.files.create(
            file=(f"needle-conformance-{self.token}-{name}.jsonl", content), purpose="fine-tune"
        )
        self.files.append(file.id)
        return file

    def delete(self, file_id: str) -> Any:
        """Delete a file."""
        deleted = self.client.files.delete(file_id)
        self.files.remove(file_id)
        return deleted

    def create_job(self, training_file: str, **changes: Any) -> "FineTuningJob":
        """Create a job of one epoch, once, that the suite will end."""
        request: dict[str, Any] = {
            "model": self.model,
            "training_file": training_file,
            "suffix": "conformance",
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
            **changes,
        }
        if self.capabilities.job_metadata is not False:
            request["metadata"] = {METADATA_KEY: self.token}
        # Sent once: after an answer that was lost the SDK would create, and pay for, another job.
        once = self.client.with_options(max_retries=0)
        job = once.fine_tuning.jobs.create(**request)
        if isinstance(job.id, str):
            self.jobs.append(job.id)
        return job

    def status(self, job: "FineTuningJob") -> Status:
        """A job's status in OpenAI's words.

        Raises:
            FailedCheck: it is none of the provider's.
        """
        status = self.capabilities.status(job.status)
        if status is None:
            raise FailedCheck(f"the status {job.status!r} is none that is known")
        return status

    def wait(self, job_id: str, until: Iterable[Status]) -> "FineTuningJob":
        """The job when it is in one of the statuses, or has ended.

        Raises:
            FailedCheck: it takes longer than the suite's patience.
        """
        wanted = {*until, *ENDED}
        return self.poll(
            lambda: self.client.fine_tuning.jobs.retrieve(job_id),
            lambda job: self.status(job) in wanted,
            lambda job: f"the job is still {job.status}, {' or '.join(sorted(wanted))} expected",
        )

    def poll(
        self, look: Callable[[], T], done: Callable[[T], bool], complaint: Callable[[T], str]
    ) -> T:
        """Look until it is done, ever more seldom.

        Raises:
            FailedCheck: it takes longer than the suite's patience.
        """
        deadline = time.monotonic() + self.patience_s
        seconds = _FIRST_PAUSE_S
        while not done(found := look()):
            if time.monotonic() >= deadline:
                raise FailedCheck(f"{complaint(found)} within {self.patience_s:g} s")
            self.pause(seconds)
            seconds = min(1.5 * seconds, _LONGEST_PAUSE_S)
        return found

    def clean_up(self) -> list[str]:
        """End all jobs, delete files and models; returns what could not be, in words."""
        left = []
        for job_id in self.jobs:
            try:
                self._end(job_id)
            except Exception as error:
                # Whatever went wrong with one job: the others cost money too.
                left.append(f"job {job_id} may go on ({type(error).__name__})")
        deletions: list[tuple[str, str, Callable[[str], Any]]] = [
            *(("model", name, self.client.models.delete) for name in self.models),
            *(("file", file_id, self.client.files.delete) for file_id in self.files),
        ]
        for kind, name, delete in deletions:
            try:
                delete(name)
            except Exception as error:
                if getattr(error, "status_code", None) != 404:
                    left.append(f"{kind} {name} ({type(error).__name__})")
        return left

    def _end(self, job_id: str) -> None:
        jobs = self.client.fine_tuning.jobs
        job = jobs.retrieve(job_id)
        if self.capabilities.status(job.status) not in ENDED:
            jobs.cancel(job_id)
            self.patience_s = min(self.patience_s, _CLEAN_UP_S)
            job = self.wait(job_id, ())
        if job.fine_tuned_model and job.fine_tuned_model not in self.models:
            self.models.append(job.fine_tuned_model)


def expect(condition: bool, otherwise: str) -> None:
    """Fail the check unless the condition holds."""
    if not condition:
        raise FailedCheck(otherwise)


def expect_refusal(
    ask: Callable[[], object], what: str, statuses: Iterable[int], on_success: str = ""
) -> None:
    """Expect one of the statuses as the SDK's error; other errors are raised as they came."""
    import openai

    wanted = sorted(statuses)
    try:
        answer = ask()
    except openai.APIStatusError as error:
        if error.status_code not in wanted:
            raise
        return
    raise FailedCheck(
        f"{what} was answered {type(answer).__name__}{on_success}, one of the statuses "
        f"{', '.join(map(str, wanted))} was expected"
    )


def all_ids(entries: Iterable[Any], what: str) -> list[str]:
    """The ids of a whole list, page by page.

    Raises:
        FailedCheck: an id comes twice: a server that gets paging wrong sends pages for ever.
    """
    seen: dict[str, None] = {}
    for entry in entries:
        expect(entry.id not in seen, f"the list shows the {what} {entry.id} twice")
        seen[entry.id] = None
    return [*seen]


def check_pages(entries: Iterable[Any], wanted: Iterable[str], what: str) -> None:
    """Expect entries that come in pages of one each, newest first, to lead to the wanted ids.

    Raises:
        FailedCheck: an id comes twice, or one is not among the first `PAGES`.
    """
    seen = all_ids(itertools.islice(entries, PAGES), what)
    expect({*wanted} <= {*seen}, f"{len(seen)} pages of one {what} each do not lead to the new one")


def good_file(token: str) -> bytes:
    """A file of `EXAMPLES` short sums, which no other run has."""
    return b"".join(
        _line(
            ("system", f"Answer with a number alone. ({token})"),
            ("user", f"What is {number} plus 7?"),
            ("assistant", str(number + 7)),
        )
        for number in range(EXAMPLES)
    )


def bad_file(token: str) -> bytes:
    """The same, but the roles of the fifth line are out of order."""
    lines = good_file(token).splitlines(keepends=True)
    lines[4] = _line(("assistant", "11"), ("system", "Answer."), ("user", "What is 4 plus 7?"))
    return b"".join(lines)


def _line(*messages: tuple[str, str]) -> bytes:
    listed = [{"role": role, "content": content} for role, content in messages]
    return json.dumps({"messages": listed}).encode() + b"\n"
