"""Batches: the same rows in the same order on any number of processes, and dead workers named."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from needle_assets.batches import BATCH_ROWS, WorkerError, map_batches, worker_count
from needle_assets.errors import NeedleError


def squares(batch: pa.Table, *, plus: int = 0) -> pa.Table:
    number = batch["number"]
    return pa.table({"square": pc.add(pc.multiply(number, number), plus)})


def process_of(batch: pa.Table) -> pa.Table:
    return pa.table({"process": pa.array([os.getpid()] * batch.num_rows, pa.int64())})


def killed(batch: pa.Table) -> pa.Table:
    if batch["number"][0].as_py() == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch


def refused(batch: pa.Table) -> pa.Table:
    raise NeedleError(f"row {batch['number'][0]} cannot be used")


def held(_: pa.Table, *, fifo: str) -> pa.Table:
    """Write this process's id into a named pipe, and keep it open until somebody kills us."""
    with Path(fifo).open("wb", buffering=0) as pipe:
        pipe.write(f"{os.getpid()}\n".encode())
        while True:
            signal.pause()


def numbers(count: int) -> pa.Table:
    return pa.table({"number": pa.array(range(count), pa.int64())})


def test_the_rows_are_the_same_in_one_process_and_in_two() -> None:
    table = numbers(3 * BATCH_ROWS + 5)
    here = map_batches(partial(squares, plus=1), table)
    there = map_batches(partial(squares, plus=1), table, workers=2, worth_a_pool=0)
    assert here["square"].to_pylist() == [n * n + 1 for n in range(3 * BATCH_ROWS + 5)]
    assert there.equals(here)


def test_a_pool_has_processes_of_its_own() -> None:
    table = numbers(2 * BATCH_ROWS)
    workers = set(map_batches(process_of, table, workers=2, worth_a_pool=0)["process"].to_pylist())
    assert os.getpid() not in workers


def test_few_rows_start_no_process() -> None:
    table = numbers(2 * BATCH_ROWS)
    assert set(map_batches(process_of, table, workers=2)["process"].to_pylist()) == {os.getpid()}


def test_a_table_without_rows_keeps_its_columns() -> None:
    result = map_batches(squares, numbers(0), workers=2, worth_a_pool=0)
    assert (result.num_rows, result.column_names) == (0, ["square"])


def test_progress_counts_rows_in_order() -> None:
    said: list[tuple[int, int]] = []
    map_batches(
        squares,
        numbers(BATCH_ROWS + 1),
        workers=2,
        worth_a_pool=0,
        progress=lambda done, total: said.append((done, total)),
    )
    assert said == [(BATCH_ROWS, BATCH_ROWS + 1), (BATCH_ROWS + 1, BATCH_ROWS + 1)]


def test_a_worker_that_dies_is_one_clear_error() -> None:
    with pytest.raises(WorkerError, match="NEEDLE_WORKERS"):
        map_batches(killed, numbers(2 * BATCH_ROWS), workers=2, worth_a_pool=0)


def read_of(pipe: int, seconds: float = 60) -> bytes | None:
    """What comes through a pipe next: nothing when no writer is left, None when none says more."""
    ready, _, _ = select.select([pipe], [], [], seconds)
    return os.read(pipe, 1024) if ready else None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    fifo = tmp_path / "workers"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = (
        # A signal that this process ignores, the new one would ignore too.
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "from functools import partial\n"
        "from needle_assets.batches import map_batches\n"
        "from needle_assets_tests.test_batches import held, numbers\n"
        f"function = partial(held, fifo={str(fifo)!r})\n"
        f"map_batches(function, numbers({2 * BATCH_ROWS}), workers=2, worth_a_pool=0)\n"
    )
    ids = b""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        try:
            while ids.count(b"\n") < 2 and (said := read_of(pipe)):
                ids += said
            assert ids.count(b"\n") == 2
            parent.send_signal(how)
            parent.wait()
            assert read_of(pipe) == b"", "workers of a process that is gone hold their pipe open"
        finally:
            parent.kill()
            for worker in ids.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(worker), signal.SIGKILL)
            os.close(pipe)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_about_a_row_comes_through_as_it_is(workers: int) -> None:
    with pytest.raises(NeedleError, match="row 0 cannot be used"):
        map_batches(refused, numbers(2 * BATCH_ROWS), workers=workers, worth_a_pool=0)


def test_a_setting_of_0_is_one_worker_for_each_core() -> None:
    assert worker_count(0) == len(os.sched_getaffinity(0))
    assert worker_count(3) == 3
