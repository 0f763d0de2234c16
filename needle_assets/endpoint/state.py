"""The endpoint's memory: files, jobs, events, checkpoints and models in one SQLite file.

It keeps records and finds them. What a job may do next is decided in `jobs`, the files' bytes are
in `blobs`.
"""

import dataclasses
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

from needle_assets.endpoint.records import (
    ENDED,
    CheckpointRecord,
    EventRecord,
    FileRecord,
    JobRecord,
    JobStatus,
    ModelRecord,
)

Record = TypeVar("Record", FileRecord, JobRecord, EventRecord, CheckpointRecord, ModelRecord)

# A record is one JSON document: what is searched for is a column, or an index on an expression.
# `seq` is the order of arrival, which times in whole seconds cannot tell.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (record ->> 'status');
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_job ON events (record ->> 'job_id', seq);
CREATE TABLE IF NOT EXISTS checkpoints (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS checkpoints_by_job ON checkpoints (record ->> 'job_id', seq);
CREATE TABLE IF NOT EXISTS models (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
"""

_TABLES: dict[type, str] = {
    FileRecord: "files",
    JobRecord: "jobs",
    EventRecord: "events",
    CheckpointRecord: "checkpoints",
    ModelRecord: "models",
}
_FORMS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _TABLES}


class State:
    """All records, from any thread. What a method has written outlives the process's death.

    One connection under one lock: statements take microseconds, only a commit waits for the disk.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Every commit is on disk before it is acknowledged: a power cut takes nothing either.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA busy_timeout = 10000")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block one: every one of them is kept, or none.

        Every other thread waits meanwhile, so that nothing slow belongs inside.
        """
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                if outermost:
                    self._db.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite may have rolled back by itself, or a COMMIT left it open.
                if outermost and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    # Files

    def add_file(self, file: FileRecord) -> None:
        """Remember an uploaded file."""
        self._add(file)

    def file(self, file_id: str) -> FileRecord | None:
        """The file of that id."""
        return self._one(FileRecord, file_id)

    def files(
        self,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 10_000,
        order: Literal["asc", "desc"] = "desc",
    ) -> list[FileRecord]:
        """Files in the order of their arrival, newest first unless ``order`` says otherwise.

        Raises:
            KeyError: no file has the id ``after``.
        """
        where = {"record ->> 'purpose' = ?": purpose} if purpose is not None else {}
        return self._page(FileRecord, where, after=after, limit=limit, order=order)

    def delete_file(self, file_id: str) -> bool:
        """Forget a file; whether there was one. Its bytes are `Blobs.discard_unused`'s."""
        return self._delete(FileRecord, file_id)

    # Jobs

    def add_job(self, job: JobRecord) -> None:
        """Remember a new job."""
        self._add(job)

    def job(self, job_id: str) -> JobRecord | None:
        """The job of that id."""
        return self._one(JobRecord, job_id)

    def jobs(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        metadata: Mapping[str, str] | None = None,
    ) -> list[JobRecord]:
        """Jobs, newest first; only those whose metadata has every pair of ``metadata``.

        Raises:
            KeyError: no job has the id ``after``.
        """
        where: dict[str, object] = {}
        for number, (key, value) in enumerate((metadata or {}).items()):
            # Keys may hold dots and quotes, so that no JSON path can be made of them.
            where[
                f"EXISTS (SELECT 1 FROM json_each(record, '$.metadata') AS pair{number} "
                f"WHERE pair{number}.key = ? AND pair{number}.value = ?)"
            ] = (key, value)
        return self._page(JobRecord, where, after=after, limit=limit)

    def unfinished_jobs(self) -> list[JobRecord]:
        """Jobs that have not ended, oldest first."""
        going = [status.value for status in JobStatus if status not in ENDED]
        marks = ", ".join("?" for _ in going)
        return self._read(JobRecord, f"WHERE record ->> 'status' IN ({marks}) ORDER BY seq", *going)

    def change_job(
        self, job_id: str, expected: Collection[JobStatus], **changes: object
    ) -> JobRecord | None:
        """Change a job if its status is one of ``expected``: the job as it is then, else None."""
        with self.transaction():
            job = self.job(job_id)
            if job is None or job.status not in expected:
                return None
            changed = dataclasses.replace(job, **changes)  # type: ignore[arg-type]
            self._db.execute("UPDATE jobs SET record = ? WHERE id = ?", (_written(changed), job_id))
            return changed

    # What happens to jobs

    def add_event(self, event: EventRecord) -> bool:
        """Remember an event; False where its id is there already, which changes nothing."""
        return self._add(event, again="ignore")

    def events(
        self, job_id: str, *, after: str | None = None, limit: int = 20
    ) -> list[EventRecord]:
        """A job's events, newest first.

        Raises:
            KeyError: no event has the id ``after``.
        """
        return self._page(EventRecord, {"record ->> 'job_id' = ?": job_id}, after, limit)

    def add_checkpoint(self, checkpoint: CheckpointRecord) -> bool:
        """Remember a checkpoint; False where its id is there already, which changes nothing."""
        return self._add(checkpoint, again="ignore")

    def checkpoints(
        self, job_id: str, *, after: str | None = None, limit: int = 10
    ) -> list[CheckpointRecord]:
        """A job's checkpoints, newest first.

        Raises:
            KeyError: no checkpoint has the id ``after``.
        """
        return self._page(CheckpointRecord, {"record ->> 'job_id' = ?": job_id}, after, limit)

    # Models

    def add_model(self, model: ModelRecord) -> bool:
        """Remember a tuned model; False where its id is there already, which changes nothing."""
        return self._add(model, again="ignore")

    def model(self, model_id: str) -> ModelRecord | None:
        """The tuned model of that id."""
        return self._one(ModelRecord, model_id)

    def models(self) -> list[ModelRecord]:
        """All tuned models, newest first."""
        return self._page(ModelRecord, {})

    def delete_model(self, model_id: str) -> bool:
        """Forget a tuned model; whether there was one."""
        return self._delete(ModelRecord, model_id)

    # What they all do

    def _add(self, record: Record, *, again: Literal["abort", "ignore"] = "abort") -> bool:
        with self.transaction():
            done = self._db.execute(
                f"INSERT OR {again} INTO {_TABLES[type(record)]} (id, record) VALUES (?, ?)",
                (record.id, _written(record)),
            )
            return done.rowcount == 1

    def _one(self, kind: type[Record], record_id: str) -> Record | None:
        found = self._read(kind, "WHERE id = ?", record_id)
        return found[0] if found else None

    def _delete(self, kind: type[Record], record_id: str) -> bool:
        with self.transaction():
            done = self._db.execute(f"DELETE FROM {_TABLES[kind]} WHERE id = ?", (record_id,))
            return done.rowcount == 1

    def _page(
        self,
        kind: type[Record],
        where: Mapping[str, object],
        after: str | None = None,
        limit: int = -1,
        order: Literal["asc", "desc"] = "desc",
    ) -> list[Record]:
        """Records that meet every condition of ``where`` (SQL to its values), behind ``after``."""
        conditions, values = ["TRUE"], list[object]()
        for condition, given in where.items():
            conditions.append(condition)
            values.extend(given if isinstance(given, tuple) else (given,))
        with self._lock:
            if after is not None:
                seq = self._db.execute(
                    f"SELECT seq FROM {_TABLES[kind]} WHERE id = ?", (after,)
                ).fetchone()
                if seq is None:
                    raise KeyError(after)
                conditions.append(f"seq {'>' if order == 'asc' else '<'} ?")
                values.append(seq[0])
            return self._read(
                kind, f"WHERE {' AND '.join(conditions)} ORDER BY seq {order} LIMIT ?",
                *values, limit,
            )  # fmt: skip

    def _read(self, kind: type[Record], rest: str, *values: object) -> list[Record]:
        with self._lock:
            rows = self._db.execute(f"SELECT record FROM {_TABLES[kind]} {rest}", values).fetchall()
        return [_FORMS[kind].validate_json(record) for (record,) in rows]


def _written(record: Any) -> str:
    return _FORMS[type(record)].dump_json(record).decode()
