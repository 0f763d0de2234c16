"""How long work tells that it goes on: in the run's log, or wherever a caller wants it.

Domain functions take a plain callback ``(done, total)``; this makes one.
"""

import time
from collections.abc import Callable

import dagster as dg

ProgressCallback = Callable[[int, int], None]
ProgressFactory = Callable[[str], ProgressCallback]
"""From the name of a piece of work to its callback."""

_EVERY_S = 10.0


def log_progress(work: str, *, clock: Callable[[], float] = time.monotonic) -> ProgressCallback:
    """A callback that writes a line to the run's log every ten seconds, with an ETA."""
    logger = dg.get_dagster_logger()
    started = last = clock()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if now - last < _EVERY_S or not done:
            return
        last = now
        left = (now - started) / done * (total - done)
        logger.info("%s: %d of %d, about %.0f s left", work, done, total, left)

    return report
