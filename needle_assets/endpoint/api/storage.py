"""Uploaded files as clients see them: kept, expired, deleted. Bytes are `blobs`', rows `state`'s.

A file that an unfinished job needs stays on disk until the job has ended; to clients it is gone
from the moment that it expires or is deleted.
"""

import dataclasses
import secrets
import time
from pathlib import Path
from typing import Literal

from needle_assets.endpoint.blobs import Blobs, BlobWriter
from needle_assets.endpoint.records import FileRecord
from needle_assets.endpoint.state import State

TRAINING = "fine-tune"
RESULTS = "fine-tune-results"

# At once, not page by page: the file that a page ended with may be deleted before the next.
_ALL = 2**31


class FileStore:
    """The files of one endpoint. Usable from any thread."""

    def __init__(self, state: State, blobs: Blobs) -> None:
        self._state = state
        self._blobs = blobs

    def keep(
        self, writer: BlobWriter, *, filename: str, purpose: str, expires_after_s: int | None = None
    ) -> FileRecord:
        """Make what was written a file; inside of the writer's block."""
        sha256, size = writer.commit()
        now = int(time.time())
        record = FileRecord(
            id=f"file-{secrets.token_hex(12)}",
            filename=filename,
            purpose=purpose,
            bytes=size,
            sha256=sha256,
            created_at=now,
            expires_at=None if expires_after_s is None else now + expires_after_s,
        )
        self._state.add_file(record)
        return record

    def file(self, file_id: str) -> FileRecord | None:
        """A file that is there."""
        record = self._state.file(file_id)
        return record if record and not _gone(record) else None

    def path(self, record: FileRecord) -> Path:
        """Where its bytes are."""
        return self._blobs.path(record.sha256)

    def files(
        self, *, purpose: str | None, after: str | None, limit: int, order: Literal["asc", "desc"]
    ) -> list[FileRecord]:
        """Files that are there, by arrival.

        Raises:
            KeyError: ``after`` is unknown.
        """
        every = self._state.files(purpose=purpose, after=after, limit=_ALL, order=order)
        return [record for record in every if not _gone(record)][:limit]

    def is_full(self, most: int) -> bool:
        """Whether there are that many files, those kept for their jobs included."""
        return len(self._state.files(limit=most)) >= most

    def delete(self, file_id: str) -> bool:
        """Delete a file; False if there is none.

        Its bytes go when no other file and no unfinished job has them.
        """
        with self._state.transaction():
            record = self.file(file_id)
            if record is None:
                return False
            self._state.delete_file(file_id)
            if file_id in self._used():
                self._state.add_file(dataclasses.replace(record, expires_at=int(time.time())))
        # Outside of the transaction: while blobs are discarded, the state is asked.
        self.discard_unused()
        return True

    def sweep(self) -> None:
        """Drop files that expired, or were deleted while a job used them that has ended now."""
        with self._state.transaction():
            used = self._used()
            dropped = [
                self._state.delete_file(record.id)
                for record in self._state.files(limit=_ALL)
                if _gone(record) and record.id not in used
            ]
        if dropped:
            self.discard_unused()

    def _used(self) -> set[str]:
        jobs = self._state.unfinished_jobs()
        return {name for job in jobs for name in (job.training_file, job.validation_file) if name}

    def discard_unused(self) -> None:
        """Delete bytes that no file has, such as a killed server left."""
        self._blobs.discard_unused(
            lambda: {record.sha256 for record in self._state.files(limit=_ALL)}
        )


def _gone(record: FileRecord) -> bool:
    return record.expires_at is not None and record.expires_at <= time.time()
