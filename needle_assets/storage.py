"""Bytes under a final name, all or nothing; locks; content hashes.

What the bytes mean, and which asset they belong to, is decided elsewhere.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pyarrow.fs import LocalFileSystem
from upath import UPath

from needle_assets.errors import NeedleError

_HASHED_ROWS = 65_536


class StorageError(NeedleError):
    """A file could not be written or read; what stood under its name before is untouched."""


def is_local(path: UPath) -> bool:
    """Whether the path lies on this machine's file system."""
    return path.protocol in ("", "file", "local")


def write_atomic(path: UPath | Path, data: bytes) -> None:
    """Put ``data`` under ``path``, whole or not at all.

    Locally: a temporary file beside it, fsync, rename. Object stores publish an object only when
    it is complete.

    Raises:
        StorageError: the disk is full or the folder cannot be written; nothing half written
            remains, and an earlier file stays as it was.
    """
    target = UPath(path)
    try:
        if is_local(target):
            _write_local(Path(str(target)), data)
        else:
            target.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"could not write {target} ({len(data):,} bytes): {error.strerror or error}. "
            "Free some space or set NEEDLE_HOME to another place; an earlier file is untouched."
        ) from error


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a store is shared like any other file of the user's.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_table(path: UPath | Path, table: pa.Table) -> None:
    """Write a table as Parquet (zstd), whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def read_table(path: UPath | Path) -> pa.Table:
    """Read a table that ``write_table`` wrote.

    Raises:
        StorageError: the file is missing or not Parquet.
    """
    source = UPath(path)
    try:
        if is_local(source):
            return pq.read_table(str(source), filesystem=LocalFileSystem())
        # Without pre-buffering no thread of Arrow's outlives the call with Python's bytes in its
        # hands: at the interpreter's end such a thread aborts the process.
        return pq.read_table(io.BytesIO(source.read_bytes()), pre_buffer=False)
    except FileNotFoundError as error:
        raise StorageError(f"{source} does not exist; materialize its asset first") from error
    except pa.ArrowInvalid as error:
        raise StorageError(f"{source} is not a Parquet file: {error}") from error


def write_json(path: UPath | Path, value: Any) -> None:
    """Write a JSON document (sorted keys, indented), whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: UPath | Path) -> Any:
    """Read a document that ``write_json`` wrote.

    Raises:
        StorageError: the file is missing or not JSON.
    """
    source = UPath(path)
    try:
        return json.loads(source.read_bytes())
    except FileNotFoundError as error:
        raise StorageError(f"{source} does not exist; materialize its asset first") from error
    except ValueError as error:
        raise StorageError(f"{source} is not JSON: {error}") from error


def content_hash(table: pa.Table) -> str:
    """Hex sha256 of a table's columns, types and values, whatever its chunks.

    Equal tables give equal hashes; Parquet's own bytes are not used, since they name the writer.
    """
    # Parquet renames the items of lists: a table must hash the same before and after storage.
    schema = pa.schema([(field.name, _plain_type(field.type)) for field in table.schema])
    hasher = hashlib.sha256(str(schema).encode())
    for start in range(0, table.num_rows, _HASHED_ROWS):
        rows = table.slice(start, _HASHED_ROWS).cast(schema)
        # `take` copies: equal values get equal buffers, wherever the slice began.
        copied = rows.take(pa.array(range(rows.num_rows))).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, copied.schema) as writer:
            writer.write_table(copied)
        hasher.update(sink.getvalue())
    return hasher.hexdigest()


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without the names that readers and writers choose for the items of lists."""
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    return kind


@contextmanager
def exclusive(path: UPath | Path, what: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold ``what`` alone for the length of the block; the lock dies with its process.

    Whoever holds it already is waited for, up to ``wait_s`` seconds: for what takes moments only.
    Object stores have no locks: there two writers end as last one wins, each file whole.

    Raises:
        StorageError: another process holds it.
    """
    target = UPath(path)
    if not is_local(target):
        yield
        return
    local = Path(str(target))
    lock = FileLock(str(local.with_name(f".{local.name}.lock")), timeout=wait_s)
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"another run is writing {what}; wait for it to end or cancel it, then try again"
        ) from error
    except OSError as error:
        raise StorageError(
            f"{local.parent} cannot be used as a folder of the store: {error.strerror or error}; "
            "mend it or set NEEDLE_HOME to another place"
        ) from error
    try:
        yield
    finally:
        lock.release()
