"""The report in headless Chromium: it opens without a network, filters, and runs no answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    big,
    model_entry,
    question_row,
    questions,
    sweep,
    training,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

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
        questions([question_row(LABEL, name=HOSTILE, bio_id=HOSTILE)]),
        answers([answer_row(HOSTILE, fingerprint=HOSTILE)]),
        entry=model_entry("hostile"),
        run_id="run-1",
        haystacks_version="1f0c",
    )
    return pa.concat_tables(
        [
            sweep("base", [512, 1024, 2048], depths=5, draws=5, skill=0.4, window=1024),
            sweep("tuned", [512, 1024, 2048], depths=5, draws=5, skill=0.9),
            hostile,
        ]
    )


def written(results: pa.Table, folder: Path, **further: Any) -> Path:
    """The report as a file."""
    provenance = Provenance(
        generated_at=datetime(2026, 11, 22, tzinfo=UTC),
        seed=0,
        corpus="built-in sample",
        tokenizer="SmolLM2",
        labeler="rules",
        code_version="0.1.0",
    )
    report = folder / "report.html"
    html = build_report(BIOGRAPHY_TASK, results, provenance, **further)
    report.write_text(html, encoding="utf-8")
    return report


@contextmanager
def opened(browser: "Browser", report: Path, **context: Any) -> "Iterator[Page]":
    """The page, which may say nothing on the console and ask nobody for anything."""
    settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"} | context
    within = browser.new_context(**settings)
    within.set_offline(True)
    page = within.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
        ),
    )
    page.goto(report.as_uri())
    yield page
    within.close()
    assert problems == []


@pytest.fixture(scope="module")
def report(results: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = np.arange(1, 61)
    losses = pd.DataFrame({"step": steps, "train_loss": 2 / steps, "learning_rate": 1e-4})
    return written(
        results,
        tmp_path_factory.mktemp("report"),
        tunings={"tuned": training("base", 1024)},
        loss_curves={"tuned": losses},
    )


@pytest.fixture
def page(browser: "Browser", report: Path) -> "Iterator[Page]":
    with opened(browser, report) as page:
        # Tables come first, pictures last.
        page.locator("#heatmaps svg").nth(2).wait_for()
        yield page


def found(page: "Page") -> int:
    """Questions that fit what is picked."""
    said = page.inner_text(".dt-info")
    if said.startswith("no questions"):
        return 0
    return int(said.split(" of ")[1].split()[0].replace(",", ""))


def cell(page: "Page", model: str, length: int, depth: int) -> "Locator":
    """A cell of a model's heatmap: lengths are columns from the left, depths rows from the top."""
    figures = page.locator("#heatmaps .heatmap").filter(has_text=f"{model}")
    at = [512, 1024, 2048].index(length) * 5 + [0, 25, 50, 75, 100].index(depth)
    return figures.first.locator(".mark-rect path").nth(at)


def test_at_first_all_questions_about_haystacks_are_listed(page: "Page", results: pa.Table) -> None:
    sweep_rows = results.filter(pc.field("kind") == "sweep")

    assert found(page) == sweep_rows.num_rows == 2 * 3 * 25 + 1
    assert page.locator("#questions tbody tr").count() == 25
    assert page.inner_text(".dt-info") == (
        f"1 to 25 of {sweep_rows.num_rows} questions (of {results.num_rows} in all)"
    )


def test_picks_leave_the_questions_that_fit(page: "Page", results: pa.Table) -> None:
    frame = results.filter(pc.field("kind") == "sweep").to_pandas()
    tuned = frame[(frame["model"] == "tuned") & (frame["context_length"] == 1024)]

    page.select_option("select[name=model]", "tuned")
    assert found(page) == 75
    page.select_option("select[name=context_length]", "1024")
    assert found(page) == len(tuned) == 25
    page.select_option("select[name=depth]", "50.0")
    assert found(page) == 5
    page.select_option("select[name=depth]", "")
    page.select_option("select[name=wrong]", "any")
    assert found(page) == int((tuned["score"] < 1).sum()) > 0
    page.select_option("select[name=wrong]", "none")
    assert found(page) == int((tuned["score"] == 1).sum()) > 0
    page.click("button[type=reset]")
    # The browser empties the form after its event, so the page lists anew a moment later.
    page.wait_for_function(
        "said => document.querySelector('.dt-info').innerText.includes(said)",
        arg=f" of {len(frame)} questions",
    )


@pytest.mark.parametrize("kind", ["ceiling", "closed_book", "floor"])
def test_answers_without_a_haystack_can_be_picked(
    page: "Page", results: pa.Table, kind: str
) -> None:
    page.select_option("select[name=kind]", kind)

    assert found(page) == results["kind"].to_pylist().count(kind) > 0


@pytest.mark.parametrize("outcome", ["invalid", "repaired", "not_applicable"])
def test_outcomes_can_be_picked(page: "Page", results: pa.Table, outcome: str) -> None:
    sweep_rows = results.filter(pc.field("kind") == "sweep")

    page.select_option("select[name=outcome]", outcome)

    assert found(page) == sweep_rows["outcome"].to_pylist().count(outcome) > 0


def test_a_wrong_field_and_its_cause_can_be_picked(page: "Page", results: pa.Table) -> None:
    rows = results.filter(pc.field("kind") == "sweep").to_pylist()
    wrong = [row for row in rows if row["date_of_birth_year_right"] is False]
    swapped = [
        row
        for row in rows
        if any(
            (error["leaf"], error["cause"]) == ("date_of_birth_year", "swapped")
            for error in row["errors"] or []
        )
    ]
    assert 0 < len(swapped) < len(wrong) < len(rows)

    page.select_option("select[name=wrong]", "leaf date_of_birth_year")
    assert found(page) == len(wrong)
    page.select_option("select[name=cause]", "swapped")
    assert found(page) == len(swapped)


def test_text_is_searched_in_names_needles_and_answers(page: "Page", results: pa.Table) -> None:
    rows = results.filter(pc.field("kind") == "sweep").to_pylist()
    name = next(row["name"] for row in rows)

    page.fill(".dt-search input", f'"{name}"')

    expected = [
        row
        for row in rows
        if any(name in (row[column] or "") for column in ("name", "needle", "answer", "reason"))
    ]
    assert 0 < found(page) == len(expected) < len(rows)


@pytest.mark.parametrize(("model", "length", "depth"), [("tuned", 2048, 75), ("base", 512, 0)])
def test_a_click_on_a_cell_lists_its_questions(
    page: "Page", results: pa.Table, model: str, length: int, depth: int
) -> None:
    page.select_option("select[name=outcome]", "invalid")
    page.fill(".dt-search input", "nothing has this text")

    cell(page, model, length, depth).click()

    rows = [
        row
        for row in results.filter(pc.field("kind") == "sweep").to_pylist()
        if (row["model"], row["context_length"], row["depth"]) == (model, length, depth)
    ]
    assert found(page) == len(rows) == 5
    assert sorted(page.locator("#questions button.open").all_inner_texts()) == sorted(
        row["name"] for row in rows
    )
    assert page.locator("#every").evaluate("it => it.getBoundingClientRect().top") < 900
    picked = {
        name: page.input_value(f"select[name={name}]")
        for name in ("model", "context_length", "depth", "kind", "outcome")
    }
    assert picked == {
        "model": model,
        "context_length": str(length),
        "depth": f"{depth:.1f}",
        "kind": "sweep",
        "outcome": "",
    }


def test_a_cell_that_is_not_applicable_says_so_and_lists_what_was_not_asked(page: "Page") -> None:
    figure = page.locator("#heatmaps .heatmap").filter(has_text="base")
    figure.scroll_into_view_if_needed()
    assert figure.get_by_text("n/a").count() == 5

    box = figure.get_by_text("n/a").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    assert found(page) == 5
    assert set(page.locator("#questions td.fields").all_inner_texts()) == {"not asked"}


def test_a_question_opens_to_its_needle_verdicts_and_ids(page: "Page", results: pa.Table) -> None:
    (row,) = [
        row
        for row in results.to_pylist()
        if (row["example_id"], row["model"]) == ("test-1024-00002-003", "base")
    ]
    page.fill(".dt-search input", "test-1024-00002-003")
    page.select_option("select[name=model]", "base")
    assert found(page) == 1

    page.click("button.open")

    detail = page.locator("#questions .question")
    assert detail.locator("mark").inner_text() == row["needle"]
    prompt = detail.locator("blockquote").inner_text()
    assert row["before"] in prompt
    assert prompt.count(f"Give the JSON for {row['name']}.") == 1
    assert prompt.endswith(f"Give the JSON for {row['name']}.")
    assert detail.locator("pre").inner_text() == row["answer"]
    verdicts = detail.locator("tbody tr").all()
    right = [row[f"{name}_right"] for name in BIOGRAPHY_TASK.leaf_names]
    assert [("right" in verdict.inner_text().split("\t")[-1]) for verdict in verdicts] == [
        verdict or error == "part_right" for verdict, error in zip(right, causes(row), strict=True)
    ]
    ids = detail.locator("dl").inner_text()
    for name in ("example_id", "bio_id", "run_id", "request_hash", "served_model", "fingerprint"):
        assert row[name] in ids
    assert "1024|base" in ids
    page.click("button.open")
    assert detail.count() == 0


def causes(row: dict[str, Any]) -> list[str | None]:
    """By leaf, None where it is right."""
    known = {error["leaf"]: error["cause"] for error in row["errors"] or []}
    return [known.get(name) for name in BIOGRAPHY_TASK.leaf_names]


def test_a_swapped_field_names_the_text_it_was_taken_from(page: "Page", results: pa.Table) -> None:
    row, error = next(
        (row, error)
        for row in results.to_pylist()
        for error in row["errors"] or []
        if error["cause"] == "swapped"
    )
    page.fill(".dt-search input", row["example_id"])
    page.select_option("select[name=model]", row["model"])
    page.click("button.open")

    side = "before" if error["offset_tokens"] < 0 else "after"
    away = f"{abs(error['offset_tokens']):,} tokens {side} the needle"
    assert f"swapped: taken from {error['source']}, {away}" in page.inner_text(".question tbody")


def test_a_question_opens_without_a_mouse(page: "Page") -> None:
    page.locator("button.open").first.focus()
    page.keyboard.press("Enter")

    assert page.locator("#questions .question").count() == 1
    assert page.locator("button.open").first.get_attribute("aria-expanded") == "true"


def test_hostile_names_ids_and_answers_are_shown_as_text(page: "Page") -> None:
    page.select_option("select[name=model]", "hostile")
    assert page.locator("button.open").inner_text() == HOSTILE
    page.click("button.open")

    assert page.locator("#questions pre").inner_text() == HOSTILE
    assert HOSTILE in page.inner_text("#questions dl")
    assert page.locator("#questions img").count() == 0
    assert page.title() == "Long-context report: biography"
    page.fill(".dt-search input", "onerror=&quot;")
    assert page.title() == "Long-context report: biography"


def test_without_scripts_all_but_the_questions_can_be_read(
    browser: "Browser", report: Path
) -> None:
    with opened(browser, report, java_script_enabled=False) as page:
        assert page.get_by_text("This alone needs JavaScript").is_visible()
        assert page.locator("#heatmaps img").count() == 3
        assert page.get_by_role("heading", name="Outcomes").is_visible()


def test_a_browser_that_cannot_unpack_says_so(browser: "Browser", report: Path) -> None:
    with opened(browser, report, java_script_enabled=True) as page:
        page.add_init_script("delete window.DecompressionStream")
        page.reload()

        page.get_by_text("This browser cannot unpack the questions").wait_for()


@pytest.mark.parametrize(
    ("depths", "draws"), [(1, 1), (1, 2), (1, 9), (3, 1), (3, 2), (3, 9), (5, 3), (10, 1)]
)
def test_a_few_questions_can_be_used(
    browser: "Browser", tmp_path: Path, depths: int, draws: int
) -> None:
    """Of so few answers hardly two err alike."""
    results = sweep("small", [512], depths=depths, draws=draws, skill=0.4)
    asked = results.filter(pc.field("kind") == "sweep")
    deepest = pc.max(asked["depth"])

    with opened(browser, written(results, tmp_path)) as page:
        page.locator("#heatmaps svg").wait_for()
        assert page.locator("#status").is_hidden()
        assert found(page) == asked.num_rows == depths * draws
        page.select_option("select[name=kind]", "")
        page.select_option(".dt-length select", "100")
        names = page.locator("#questions button.open").all_inner_texts()
        assert sorted(names) == sorted(results["name"].to_pylist())

        page.locator("#heatmaps .mark-rect path").nth(depths - 1).click()

        assert found(page) == draws
        names = page.locator("#questions button.open").all_inner_texts()
        in_cell = asked.filter(pc.equal(asked["depth"], deepest))
        assert sorted(names) == sorted(in_cell["name"].to_pylist())


def test_ten_thousand_questions_can_be_used(browser: "Browser", tmp_path: Path) -> None:
    rows = big(10_000)
    report = written(rows, tmp_path)
    assert report.stat().st_size < 15_000_000

    with opened(browser, report) as page:
        page.wait_for_selector("#questions tbody tr")
        assert found(page) == rows["kind"].to_pylist().count("sweep") >= 10_000
        # A page of rows, not ten thousand.
        assert page.locator("#questions tbody tr").count() == 25
        page.select_option("select[name=model]", "rival")
        page.select_option("select[name=context_length]", "16384")
        page.select_option("select[name=depth]", "0.0")
        frame = rows.to_pandas()
        assert found(page) == int(
            (
                (frame["model"] == "rival")
                & (frame["context_length"] == 16384)
                & (frame["depth"] == 0)
            ).sum()
        )


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_the_page_never_scrolls_sideways(page: "Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_is_drawn(page: "Page") -> None:
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")

    # The means, the differences and the losses among them; heatmaps are drawn by the page itself.
    assert len(sizes) > 3
    assert all(size > 250 for size in sizes)
    drawn = page.locator("#heatmaps svg").evaluate_all("all => all.map(one => one.clientWidth)")
    assert len(drawn) == 3
    assert all(size > 250 for size in drawn)


@pytest.mark.parametrize("width", [1280, 400])
def test_pictures_are_large_enough_to_be_read(page: "Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})

    scales = page.evaluate("[...document.images].map(image => image.width / image.naturalWidth)")

    # Their smallest letters have 9.5 pixels.
    assert min(scales) > 0.9


def test_heatmaps_of_two_models_stand_side_by_side(page: "Page") -> None:
    first, second = page.locator("#heatmaps .heatmap").all()[:2]
    left, right = first.bounding_box(), second.bounding_box()

    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    assert left["y"] == pytest.approx(right["y"], abs=2)


@pytest.mark.parametrize("width", [1280, 400])
def test_an_opened_question_can_be_read_without_scrolling_sideways(
    page: "Page", width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("button.open").first.click()

    box = page.locator("#questions .question").bounding_box()

    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


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
