"""Answers as they arrive, one JSON line each, so that a run that died asks only what is missing.

A journal is scratch, not a result. What is asked, and when a journal is over, is decided elsewhere.
"""

import dataclasses
import datetime
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needle_assets.chat.answers import Answer
from needle_assets.chat.errors import ChatError
from needle_assets.storage import StorageError, exclusive

_FIELDS = frozenset(field.name for field in dataclasses.fields(Answer))


class Journal:
    """The answers in one file, by request hash. Made by `open_journal`."""

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
            StorageError: the disk is full or the journal cannot be written; no half line stays.
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
            raise _not_written(self.path, error) from error
        self._size += len(line)
        self._answers[answer.request_hash] = answer


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """The journal in a local file, for the length of the block and for this process alone.

    An existing one goes on where it stopped.

    Raises:
        ChatError: the file is not a journal.
        StorageError: another process has it open, or it cannot be read or written.
    """
    with exclusive(path, f"the journal {path}"):
        try:
            data = path.read_bytes() if path.exists() else b""
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise _not_written(path, error) from error
        with file:
            # A process killed while writing leaves half a line, which must not get a second half.
            complete = data.rfind(b"\n") + 1
            answers = {
                answer.request_hash: answer for answer in _read(path, data[:complete].splitlines())
            }
            file.truncate(complete)
            file.seek(complete)
            yield Journal(path, answers, file)


def _read(path: Path, lines: list[bytes]) -> Iterator[Answer]:
    for number, line in enumerate(lines, start=1):
        try:
            record: dict[str, Any] = json.loads(line)
            record["evaluated_at"] = datetime.datetime.fromisoformat(record["evaluated_at"])
            # A journal may say more than is needed here.
            yield Answer(**{name: record[name] for name in record if name in _FIELDS})
        except (ValueError, TypeError, KeyError) as error:
            raise ChatError(
                f"{path}, line {number}: not an answer ({error}); remove that line, or the file "
                "to ask everything again"
            ) from error


def _not_written(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"could not write the journal {path}: {error.strerror or error}. Free some space and run "
        "again: the answers in it are not asked for again"
    )
