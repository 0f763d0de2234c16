"""Answers as they arrive, one JSON line each, so that a sweep that died asks only what is missing.

A journal is scratch, not a result: scoring reads the table that `client` makes. What is asked, and
what counts as answered, is decided there too.
"""

import dataclasses
import datetime
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.storage import StorageError, exclusive

_EPOCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of one question. Either ``error`` is set, or the server answered."""

    example_id: str
    request_hash: str
    """Hex sha256 of the question and of all that could change its answer."""
    evaluated_at: datetime.datetime
    """When the answer came, in UTC."""
    latency_s: float
    """From sending to the answer, retries included."""
    answer: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    error: str | None = None
    """Why there is no answer."""
    error_type: str | None = None
    prompt_tokens: int | None = None
    """As the server counted."""
    cached_tokens: int | None = None
    """Those of the prompt that the server did not compute again."""
    completion_tokens: int | None = None
    fingerprint: str | None = None
    """The server's ``system_fingerprint``."""
    served_model: str | None = None
    """The model's name as the server gives it, which may say more than the id asked for."""


class Journal:
    """The answers of one epoch, by request hash. Made by `open_journal`."""

    def __init__(self, path: Path, answers: dict[str, Answer], file: io.FileIO) -> None:
        self.path = path
        self._answers = answers
        self._file = file
        self._size = file.tell()

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._answers)

    def get(self, request_hash: str) -> Answer | None:
        """The answer to a request, if it came already."""
        return self._answers.get(request_hash)

    def append(self, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns.

        Raises:
            StorageError: the disk is full or the journal cannot be written.
        """
        record = dataclasses.asdict(answer) | {"evaluated_at": answer.evaluated_at.isoformat()}
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            rest = line
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            # Whoever appends next must not write behind half a line.
            self._file.truncate(self._size)
            raise StorageError(
                f"could not write the journal {self.path}: {error.strerror or error}. Free some "
                "space and run again: the answers in it are not asked for again"
            ) from error
        self._size += len(line)
        self._answers[answer.request_hash] = answer


@contextmanager
def open_journal(folder: Path, epoch: str) -> Iterator[Journal]:
    """The journal of an epoch, for the length of the block and for this process alone.

    The same epoch again goes on where the last one stopped; another one starts empty.

    Args:
        folder: a local folder, one per context length and model.
        epoch: a name, for example of an evaluation round: letters, digits, '.', '-', '_'.

    Raises:
        EvaluationError: the epoch cannot be a file name, or the file is not a journal.
        StorageError: another process has it open, or it cannot be written.
    """
    if not _EPOCH.fullmatch(epoch):
        raise EvaluationError(
            f"{epoch!r} cannot name a journal's epoch: 1 to 128 letters, digits, '.', '-' or '_' "
            "were expected, the first a letter or digit"
        )
    path = folder / f"{epoch}.jsonl"
    with exclusive(path, f"the journal {path}"):
        answers, complete = _read(path)
        with path.open("ab", buffering=0) as file:
            # A process killed while writing leaves half a line, which must not get a second half.
            file.truncate(complete)
            file.seek(complete)
            yield Journal(path, answers, file)


def _read(path: Path) -> tuple[dict[str, Answer], int]:
    """The answers, and how many bytes of the file are complete lines."""
    data = path.read_bytes() if path.exists() else b""
    complete = data.rfind(b"\n") + 1
    answers = {}
    for number, line in enumerate(data[:complete].splitlines(), start=1):
        try:
            record = json.loads(line)
            record["evaluated_at"] = datetime.datetime.fromisoformat(record["evaluated_at"])
            answer = Answer(**record)
        except (ValueError, TypeError, KeyError) as error:
            raise EvaluationError(
                f"{path}, line {number}: not an answer ({error}); remove that line, or the file "
                "to ask everything again"
            ) from error
        answers[answer.request_hash] = answer
    return answers, complete
