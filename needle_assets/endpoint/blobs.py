"""The bytes of uploaded files, each under its sha256: an upload counts once it is complete.

Who owns which bytes, and under what name, is in `state`.
"""

import hashlib
import os
import re
import threading
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of bytes. Equal contents are stored once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        # One server per home: whatever is there was left by one that is gone.
        for stale in self._incoming.iterdir():
            stale.unlink(missing_ok=True)
        self._lock = threading.Lock()
        self._held: list[str] = []

    def writer(self) -> "BlobWriter":
        """Take in new bytes; see `BlobWriter`."""
        return BlobWriter(self, self._incoming / uuid.uuid4().hex)

    def path(self, sha256: str) -> Path:
        """Where the bytes of that sha256 (64 hex digits) are, or would be.

        Raises:
            ValueError: it is no sha256.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a sha256 in hex digits")
        return self._folder / sha256

    def discard_unused(self, used: Collection[str] | Callable[[], Collection[str]]) -> list[str]:
        """Delete all bytes but those of ``used`` and those whose writer is still open.

        A function is asked when no upload can come in between: give one wherever an upload may
        run at the same time. Returns what was deleted.
        """
        with self._lock:
            kept = {*(used() if callable(used) else used), *self._held}
            unused = [
                path for path in self._folder.iterdir()
                if _SHA256.fullmatch(path.name) and path.name not in kept
            ]  # fmt: skip
            for path in unused:
                path.unlink()
        return [path.name for path in unused]

    def _keep(self, temporary: Path, sha256: str) -> None:
        with self._lock:
            temporary.replace(self.path(sha256))
            # The name must be on disk before a record may speak of it.
            _sync_folder(self._folder)
            self._held.append(sha256)

    def _let_go(self, sha256: str) -> None:
        with self._lock:
            self._held.remove(sha256)


class BlobWriter:
    """One upload: a block that writes and commits. Left without commit, it leaves nothing.

    The bytes are safe from `Blobs.discard_unused` until the end of the block: add their record
    inside of it.
    """

    def __init__(self, blobs: Blobs, temporary: Path) -> None:
        self._blobs = blobs
        self._temporary = temporary
        self._digest = hashlib.sha256()
        self._size = 0
        self._sha256: str | None = None
        self._file: BinaryIO | None = None

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def __enter__(self) -> Self:
        self._file = self._temporary.open("xb")
        return self

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._open_file().write(data)
        self._digest.update(data)
        self._size += len(data)

    def commit(self) -> tuple[str, int]:
        """Keep what was written: its sha256 and its size in bytes."""
        file = self._open_file()
        file.flush()
        os.fsync(file.fileno())
        file.close()
        sha256 = self._digest.hexdigest()
        self._blobs._keep(self._temporary, sha256)
        self._sha256 = sha256
        return sha256, self._size

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._temporary.unlink(missing_ok=True)
        if self._sha256 is not None:
            self._blobs._let_go(self._sha256)

    def _open_file(self) -> BinaryIO:
        if self._file is None or self._file.closed:
            raise ValueError("write and commit inside the writer's block, and commit once")
        return self._file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
