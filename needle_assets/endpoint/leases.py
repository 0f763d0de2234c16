"""Who uses an embedded server now: one locked file for each, which no death leaves locked.

Starting and ending the server for them is in `embedded` and `serve`.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OWN: set[Path] = set()
"""Leases that this process took: its own locks look free to it."""


class Leases:
    """The leases of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "leases"
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def take(self) -> Iterator[Path]:
        """Hold a lease for the length of the block, or of this process's life if that is shorter.

        A process that this one forks does not hold it. Yields the lease's name.
        """
        name = f"{os.getpid()}-{uuid.uuid4().hex}"
        # Locked before it has the name that others look for.
        hidden = self._folder / f".{name}"
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # lockf, not flock: the lock is the process's alone, not its children's.
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            lease = self._folder / name
            _OWN.add(lease)
            hidden.rename(lease)
            try:
                yield lease
            finally:
                lease.unlink(missing_ok=True)
                _OWN.discard(lease)
        finally:
            os.close(descriptor)

    def holders(self, *, other_than: Path | None = None) -> list[int]:
        """The processes that hold a lease, one entry for each lease but ``other_than``.

        Leases of processes that are gone are removed.
        """
        found = []
        for lease in sorted(self._folder.iterdir()):
            first = lease.name.split("-")[0]
            # A hidden one is being taken, or was when its process died.
            if lease == other_than or not first.isdigit():
                continue
            pid = int(first)
            with contextlib.suppress(FileNotFoundError):
                if (pid == os.getpid() and lease in _OWN) or _locked(lease):
                    found.append(pid)
                else:
                    lease.unlink()
        return found


def _locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
