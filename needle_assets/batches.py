"""Batch functions over tables, in this process or in a pool of them.

A batch function takes some rows and gives rows back, and knows nothing of the rows beside them:
so the result is the same on any number of workers, and another engine can run it too. What is
done with the rows does not belong here.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import (
    connection,
    forkserver,
    get_all_start_methods,
    get_context,
    parent_process,
)
from multiprocessing.context import BaseContext
from types import FunctionType

import pyarrow as pa

from needle_assets.errors import NeedleError

BatchFunction = Callable[[pa.Table], pa.Table]
Progress = Callable[[int, int], None]

BATCH_ROWS = 2048
"""Rows that travel at once: some 1 MB of biographies, half a second of work."""

WORTH_A_POOL = 8192
"""Rows from which starting processes (about a second) pays."""


class WorkerError(NeedleError):
    """A worker process died."""


def worker_count(setting: int) -> int:
    """Processes that a setting means: 0 is one for each core that this process may use."""
    return setting or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])


def map_batches(
    function: BatchFunction,
    table: pa.Table,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    worth_a_pool: int = WORTH_A_POOL,
) -> pa.Table:
    """Apply a batch function to all rows and put the results together in the rows' order.

    Args:
        function: takes and returns a table; picklable (of a module, or a partial of one).
        table: the rows. An empty one is given to the function as it is.
        workers: processes; 1 works in this one.
        progress: called with (rows done, rows to do), in order.
        worth_a_pool: fewer rows than this are worked on in this process.

    Raises:
        WorkerError: a worker was killed, most often for want of memory, or could not start.
    """
    batches = [
        table.slice(start, BATCH_ROWS) for start in range(0, max(table.num_rows, 1), BATCH_ROWS)
    ]
    inline = workers <= 1 or table.num_rows < worth_a_pool or len(batches) == 1
    results = map(function, batches) if inline else _in_pool(function, batches, workers)
    done = 0
    kept = []
    for batch, result in zip(batches, results, strict=True):
        kept.append(result)
        done += batch.num_rows
        if progress:
            progress(done, table.num_rows)
    return pa.concat_tables(kept)


def get_ready(*functions: Callable[..., object], table: pa.Table, workers: int) -> None:
    """Start in the background what `map_batches` will need for these rows, and go on.

    For callers that have other work to do first, or several functions to map: workers of every
    pool after this have their modules. Nothing is started where no pool will be.
    """
    if workers > 1 and table.num_rows >= WORTH_A_POOL:
        context = _context(*functions)
        if context.get_start_method() == "forkserver":
            forkserver.ensure_running()


def _in_pool(function: BatchFunction, batches: list[pa.Table], workers: int) -> Iterator[pa.Table]:
    with ProcessPoolExecutor(
        min(workers, len(batches)), mp_context=_context(function), initializer=_end_with_parent
    ) as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for batch in batches:
                # What is under way is bounded, so that memory is too.
                if len(waiting) >= 2 * workers:
                    yield _read(waiting.popleft().result())
                waiting.append(pool.submit(_apply, function, _write(batch)))
            while waiting:
                yield _read(waiting.popleft().result())
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process died: its memory ran out (set NEEDLE_WORKERS to fewer workers), "
                "or it could not start (stderr says why); NEEDLE_WORKERS=1 works without any"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _context(*functions: Callable[..., object]) -> BaseContext:
    """How workers start. Not forked from here: Arrow and Dagster have threads, and locks in them.

    A fork server has none: it has imported what the first function needs, and every worker of
    every pool after it starts in no time.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    # Arrow imports pandas when it makes its first column of a list: 0.8 s in each worker. And each
    # runs the main script, which imports a command and its libraries.
    context.set_forkserver_preload([*map(_module, functions), "pandas", *_imported_by_main()])
    return context


def _end_with_parent() -> None:
    """Let this worker end when the process that started it does, be it killed.

    A worker of the standard library's pool waits for work for ever then, and keeps the fork
    server alive, and both keep their memory.
    """
    parent = parent_process()
    if parent is None:
        return
    gone = parent.sentinel

    def watch() -> None:
        connection.wait([gone])
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _imported_by_main() -> list[str]:
    names = vars(sys.modules["__main__"]).values()
    return sorted({of.__module__ for of in names if isinstance(of, FunctionType)} - {"__main__"})


def _module(function: Callable[..., object]) -> str:
    of: object = function.func if isinstance(function, partial) else function
    return str(getattr(of, "__module__", __name__))


def _apply(function: BatchFunction, batch: bytes) -> bytes:
    return _write(function(_read(batch)))


def _write(table: pa.Table) -> bytes:
    """Arrow's stream format: of a slice it holds the slice alone, where a pickle holds it all."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _read(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
