"""What building the data costs, each step as a ratio to a yardstick measured in the same run.

`make bench` runs it. Machines differ and are shared: compare ratios, not seconds. The yardsticks
are tokenizing the same texts in batch, which no step that reads every text can beat by much, and
importing Dagster alone.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from needle_assets.corpus.anonymize import anonymize
from needle_assets.corpus.needles import filter_needles
from needle_assets.corpus.sample import sample_corpus
from needle_assets.corpus.splits import assign_splits
from needle_assets.corpus.tables import column_of
from needle_assets.haystack.tokenizer import load_tokenizer
from needle_assets.labels.agreement import compared_rule_labels
from needle_assets.labels.facts import known_facts
from needle_assets.settings import bundled_model, load_settings

ROWS = 3000
REPEATS = 3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Median CPU time of this process over some repeats, after one that warms caches."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def import_seconds(module: str) -> float:
    """Median wall time of importing a module in a fresh interpreter."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    tokenizer = load_tokenizer("", bundled=bundled_model(), cache=load_settings().scratch)
    raw = sample_corpus(ROWS, 0)
    texts = raw["text"].to_pylist()
    bios = anonymize(raw, seed=0).table
    tokens = pa.array(tokenizer.count(bios["bio"].to_pylist()))
    bios = bios.append_column("token_count", tokens)
    facts = known_facts(bios)["facts"]
    with_boxes = bios.append_column("infobox", column_of(raw, "infobox", bios))
    table = Table("step", "seconds", "per second", "times the yardstick", "yardstick")
    counting = cpu_seconds(lambda: tokenizer.count(texts))
    for step, seconds in (
        ("tokenize in batch", counting),
        ("make the sample", cpu_seconds(lambda: sample_corpus(ROWS, 0))),
        ("anonymise", cpu_seconds(lambda: anonymize(raw, seed=0))),
        ("assign splits", cpu_seconds(lambda: assign_splits(bios, 0))),
        ("count known facts", cpu_seconds(lambda: known_facts(bios))),
        ("filter needles", cpu_seconds(lambda: filter_needles(bios, facts))),
        ("label by rules and compare", cpu_seconds(lambda: compared_rule_labels(with_boxes))),
    ):
        table.add_row(
            f"{step}, {ROWS:,} rows",
            f"{seconds:.2f} CPU",
            f"{ROWS / seconds:,.0f} rows",
            f"{seconds / counting:.1f}",
            "tokenize in batch",
        )
    dagster = import_seconds("dagster")
    ours = import_seconds("needle_assets.definitions")
    table.add_row(
        "import needle_assets.definitions", f"{ours:.2f} wall", "", f"{ours / dagster:.1f}",
        f"import dagster ({dagster:.2f} s)",
    )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
