"""What scoring and statistics of an evaluation cost: `python benchmarks/scoring.py`.

Synthetic answers, all different, of a base and its fine-tune: one in twenty is no label, every
third wrong fact is another bio's. Scoring includes the anatomy of every wrong field. CPU time of
one process is printed beside wall time, since machines are shared. With --strict a missed target
is an error.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from needle_assets.evaluation.anatomy import anatomy_table, chance_table, swap_table
from needle_assets.evaluation.outcomes import POLICY
from needle_assets.evaluation.scoring import score_table
from needle_assets.evaluation.statistics import (
    cell_table,
    closed_book_table,
    difference_cells,
    difference_overall,
    difference_table,
    drop_table,
    effective_table,
    length_table,
    needed_table,
    outcome_table,
    position_table,
    usage_table,
)
from needle_assets_tests.support import eval_results

ANSWERS = 100_000
BOUND_S = 20.0
"""What scoring and statistics of `ANSWERS` answers may take together."""

MODELS = {"base": 0.6, "tuned": 0.85}
LENGTHS = (2048, 4096, 8192, 16384, 32768)
DEPTHS = 10

Made = TypeVar("Made")


class Clock:
    """Sums wall and CPU seconds of the steps that it times, by name."""

    def __init__(self) -> None:
        """Start empty."""
        self.seconds: dict[str, tuple[float, float]] = {}

    def __call__(self, step: str, work: Callable[[], Made]) -> Made:
        """Do one step."""
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        before = self.seconds.get(step, (0.0, 0.0))
        self.seconds[step] = (
            before[0] + time.perf_counter() - wall,
            before[1] + time.process_time() - cpu,
        )
        return made


@contextmanager
def timed_scoring(clock: Clock) -> Iterator[None]:
    """Time each `score_table` that the synthetic sweeps are made with."""

    def score(*args: Any, **options: Any) -> pa.Table:
        return clock("score_table with anatomy", lambda: score_table(*args, **options))

    with mock.patch.object(eval_results, "score_table", score):
        yield


def main() -> int:
    """Measure, print, and with --strict return 1 if it takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where the target is missed"
    )
    parser.add_argument("--answers", type=int, default=ANSWERS)
    options = parser.parse_args()
    answers: int = options.answers
    # A draw asks its questions and, of one needle more, ceiling and closed book.
    draws = -(-answers // (len(MODELS) * len(LENGTHS) * (DEPTHS + 2)))
    clock = Clock()
    with timed_scoring(clock):
        results = pa.concat_tables(
            [
                eval_results.sweep(model, LENGTHS, depths=DEPTHS, draws=draws, skill=skill)
                for model, skill in MODELS.items()
            ]
        )
    bases = {"tuned": "base"}
    steps: dict[str, Callable[[], object]] = {
        "cell_table": lambda: cell_table(results),
        "length_table": lambda: length_table(results, 0),
        "difference_cells": lambda: difference_cells(results, bases, 0),
        "difference_table": lambda: difference_table(results, bases, 0),
        "difference_overall": lambda: difference_overall(results, bases, 0),
        "effective_table": lambda: effective_table(results, 0),
        "drop_table": lambda: drop_table(results, 0),
        "position_table": lambda: position_table(results, 0),
        "needed_table": lambda: needed_table(results, bases),
        "closed_book_table": lambda: closed_book_table(results, 0),
        "outcome and usage": lambda: (outcome_table(results), usage_table(results)),
        "anatomy tables": lambda: (
            anatomy_table(results),
            swap_table(results),
            chance_table(results),
        ),
    }
    for step, work in steps.items():
        clock(step, work)
    sweep = results.filter(pa.compute.equal(results["kind"], "sweep"))
    scoring = {outcome for outcome, policy in POLICY.items() if policy.scores}
    broken = sum(outcome not in scoring for outcome in sweep["outcome"].to_pylist())
    wrong = pa.compute.sum(pa.compute.list_value_length(sweep["errors"])).as_py()
    _print(clock, f"{results.num_rows:,} rows, {sweep.num_rows:,} of them about haystacks: ")
    Console().print(f"{broken / sweep.num_rows:.1%} broken, {wrong:,} wrong fields classed")
    total = sum(wall for wall, _ in clock.seconds.values())
    Console().print(f"{total:.1f} s; under {BOUND_S:.0f} s at {ANSWERS:,} answers")
    return 1 if options.strict and total >= BOUND_S else 0


def _print(clock: Clock, title: str) -> None:
    table = Table(title=title)
    for column in ("step", "wall s", "CPU s"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for step, (wall, cpu) in clock.seconds.items():
        table.add_row(step, f"{wall:.2f}", f"{cpu:.2f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
