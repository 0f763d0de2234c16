"""What a report of 10,000 questions takes: to build, to keep, and to open in headless Chromium.

`make bench-eval` runs it; with --strict a missed target is an error.
"""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from needle_assets.evaluation.report import Provenance, build_report
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.support.eval_results import big

ROWS = 10_000
BOUND_BYTES, BOUND_PAINT_S = 15_000_000, 2.0
"""What a report of `ROWS` questions stays under."""

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PROVENANCE = Provenance(
    generated_at=datetime(2026, 11, 22, tzinfo=UTC),
    seed=0,
    corpus="made up",
    tokenizer="none",
    labeler="none",
    code_version="benchmark",
)

TIMES = """() => Object.fromEntries(
    ["paint", "mark"].flatMap((type) => performance.getEntriesByType(type))
        .map((entry) => [entry.name, entry.startTime]))"""
NARROWED = """() => {
    const start = performance.now();
    const select = document.forms.picks.elements.model;
    select.selectedIndex = 1;
    select.dispatchEvent(new Event("change", {bubbles: true}));
    return performance.now() - start;
}"""


def opened(report: Path) -> dict[str, float]:
    """Seconds from the start of the navigation to what a reader waits for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(report.as_uri(), wait_until="commit")
        page.locator("#heatmaps svg").last.wait_for()
        page.locator("#questions button.open").first.wait_for()
        times = page.evaluate(TIMES)
        narrowed = page.evaluate(NARROWED)
        browser.close()
    return {
        "first paint": times["first-paint"] / 1000,
        "first contentful paint": times["first-contentful-paint"] / 1000,
        "questions can be picked": times["questions"] / 1000,
        "heatmaps can be clicked": times["heatmaps"] / 1000,
        "one pick, once open": narrowed / 1000,
    }


def main() -> int:
    """Measure, print, and with --strict return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where a target is missed"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="questions about haystacks")
    options = parser.parse_args()
    rows: int = options.rows
    results = big(rows)
    start = time.perf_counter()
    html = build_report(BIOGRAPHY_TASK, results, PROVENANCE)
    built = time.perf_counter() - start
    size = len(html.encode())
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        report.write_text(html, encoding="utf-8")
        times = opened(report)
    table = Table("report", f"{rows:,} questions, {results.num_rows:,} rows", "target")
    table.add_row("build", f"{built:.1f} s")
    table.add_row("size", f"{size / 1e6:.2f} MB", f"< {BOUND_BYTES / 1e6:g} MB")
    targets = {"first paint": f"< {BOUND_PAINT_S:g} s"}
    for name, seconds in times.items():
        table.add_row(name, f"{seconds:.2f} s", targets.get(name))
    Console().print(table)
    reached = size < BOUND_BYTES and times["first paint"] < BOUND_PAINT_S
    return 1 if options.strict and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
