"""The report in headless Chromium: it opens without a network, filters, and runs no answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from needle_assets.evaluation.report import Provenance, build_report
from needle_assets.evaluation.scoring import score_table
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.support.eval_results import (
    answer_row,
    answers,
    question_row,
    questions,
    sweep,
    training,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.ui

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = (
    "</script><img src=x onerror=\"document.title='broken'\"><script>document.title='x'</script>"
)
LABEL = (
    '{"nationality":"French","date_of_birth":{"day":3,"month":4,"year":1911},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is absent: install Debian's package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent: make test-ui")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def results() -> pa.Table:
    hostile = score_table(
        BIOGRAPHY_TASK,
        questions([question_row(LABEL)]),
        answers([answer_row(HOSTILE)]),
        model="hostile",
        run_id="run-1",
        haystacks_version="1f0c",
        prices=None,
    )
    return pa.concat_tables(
        [
            sweep("base", [512, 1024, 2048], depths=5, draws=5, skill=0.4),
            sweep("tuned", [512, 1024, 2048], depths=5, draws=5, skill=0.9),
            hostile,
        ]
    )


@pytest.fixture
def page(browser: "Browser", results: pa.Table, tmp_path: Path) -> "Iterator[Page]":
    provenance = Provenance(
        generated_at=datetime(2026, 11, 22, tzinfo=UTC),
        seed=0,
        corpus="built-in sample",
        tokenizer="SmolLM2",
        labeler="rules",
        code_version="0.1.0",
    )
    report = tmp_path / "report.html"
    steps = np.arange(1, 61)
    losses = pd.DataFrame({"step": steps, "train_loss": 2 / steps, "learning_rate": 1e-4})
    html = build_report(
        BIOGRAPHY_TASK,
        results,
        provenance,
        tunings={"tuned": training("base", 1024)},
        loss_curves={"tuned": losses},
    )
    report.write_text(html, encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
        ),
    )
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert problems == []


def visible(page: "Page") -> int:
    return page.locator("#questions tbody:visible").count()


def test_filters_leave_the_rows_that_fit(page: "Page", results: pa.Table) -> None:
    everything = results.num_rows
    # What has no haystack is there, but not shown until it is asked for.
    frame = results.filter(pc.field("kind") == "sweep").to_pandas()
    tuned = frame[(frame["model"] == "tuned") & (frame["context_length"] == 1024)]

    assert visible(page) == len(frame)
    page.select_option("select[name=model]", "tuned")
    page.select_option("select[name=length]", "1024")
    assert visible(page) == len(tuned) == 25
    page.select_option("select[name=depth]", "50.0")
    assert visible(page) == 5
    page.select_option("select[name=depth]", "")
    page.select_option("select[name=exact]", "no")
    assert visible(page) == int((~tuned["exact"]).sum())
    assert page.inner_text("#shown") == f"{visible(page)} of {everything} answers"


def test_answers_without_a_haystack_can_be_picked(page: "Page", results: pa.Table) -> None:
    for kind, first in {
        "ceiling": "ceiling: the needle alone · Give the JSON for ada ambleforth.",
        "closed_book": "closed book: the name alone · Give the JSON for ada ambleforth.",
        "floor": "floor: best constant answer · nobody was asked",
    }.items():
        page.select_option("select[name=prompt]", kind)
        assert visible(page) == results["kind"].to_pylist().count(kind) > 0
        row = page.locator("#questions tbody:visible").first
        assert row.locator("summary").inner_text().strip() == first
    page.select_option("select[name=prompt]", "")
    assert visible(page) == results.num_rows


def test_outcomes_can_be_picked(page: "Page", results: pa.Table) -> None:
    page.select_option("select[name=outcome]", "invalid")

    sweep_rows = results.filter(pc.field("kind") == "sweep")
    assert visible(page) == sweep_rows["outcome"].to_pylist().count("invalid") > 0


def test_a_row_opens_to_its_prompt_and_shows_a_hostile_answer_as_text(page: "Page") -> None:
    page.select_option("select[name=model]", "hostile")
    row = page.locator("#questions tbody:visible")
    row.locator("summary").click()

    assert "Give the JSON for ada brackwater." in row.locator("pre").first.inner_text()
    assert row.locator("pre").nth(1).inner_text() == HOSTILE
    assert page.title() == "Long-context report: biography"


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_the_page_never_scrolls_sideways(page: "Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_is_drawn(page: "Page") -> None:
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")

    # Before and after, the differences, the losses, the means, and the third model's heatmap.
    assert len(sizes) == 5
    assert all(size > 250 for size in sizes)


@pytest.mark.parametrize("width", [1280, 400])
def test_pictures_are_large_enough_to_be_read(page: "Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})

    scales = page.evaluate("[...document.images].map(image => image.width / image.naturalWidth)")

    # Their smallest letters have 9.5 pixels.
    assert min(scales) > 0.9


def test_before_after_and_the_difference_stand_side_by_side(page: "Page") -> None:
    heatmaps, differences = page.locator(".pictures img").all()[:2]
    left, right = heatmaps.bounding_box(), differences.bounding_box()

    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    assert left["y"] == pytest.approx(right["y"], abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_colour_schemes(page: "Page", scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    brightness = page.evaluate(
        """() => ["color", "backgroundColor"].map(name => {
            const [r, g, b] = getComputedStyle(document.body)[name].match(/\\d+/g).map(Number);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        })"""
    )

    assert (brightness[0] < brightness[1]) == (scheme == "light")
    assert abs(brightness[0] - brightness[1]) > 150
