"""How the trainer's process lives and ends: one per job, never longer than who started it."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from needle_assets.endpoint.trainer.spec import TrainerError

LOCK_TIMEOUT_S = 60.0
"""Longest wait for the job's lock."""
_LOCK_POLL_S = 0.1
_PARENT_POLL_S = 0.5


def is_main() -> bool:
    """Whether this is the process that writes, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Hold the job's lock; the trainer of a killed server needs a moment to notice.

    Raises:
        TrainerError: another trainer works on the job.
    """
    with (folder / "trainer.lock").open("ab") as file:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TrainerError(
                        "locked", f"another trainer has worked on {folder} for a minute"
                    ) from None
                time.sleep(_LOCK_POLL_S)
        yield


def end_with_parent() -> None:
    """End this process, at once, when the one that started it is gone.

    Whatever is being written then is complete or absent. Behind a launcher its parent counts too:
    launchers outlive theirs.
    """
    watched = [_parent]
    if "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ:
        watched.append(_grandparent)
    before = [who() for who in watched]

    def watch() -> None:
        while [who() for who in watched] == before:
            time.sleep(_PARENT_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _parent() -> int | None:
    return os.getppid()


def _grandparent() -> int | None:
    import psutil

    try:
        parent = psutil.Process(os.getppid())
        return int(parent.ppid())
    except psutil.Error:
        return None


class Stop:
    """Whether SIGTERM has asked this process to write a checkpoint and end."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
