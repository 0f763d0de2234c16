"""What the report says beyond means: its sections, their words, and when they are left out."""

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from needle_assets.evaluation import statistics
from needle_assets.evaluation.analysis import Analysis, analysis
from needle_assets.evaluation.anatomy import Cause, anatomy_table, chance_table, swap_table
from needle_assets.evaluation.costs import cost_table
from needle_assets.evaluation.evaluations import Evaluation
from needle_assets.evaluation.registry import ModelEntry, Prices, Training
from needle_assets.evaluation.regression import Comparison
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.support.eval_results import STARTED, model_entry, sweep, training
from needle_assets_tests.support.html_page import Page
from needle_assets_tests.support.sections import section

SEED = 7
PRICES = Prices(input=2.0, cached_input=0.5, output=8.0, as_of=datetime.date(2026, 11, 1))
TUNINGS = {"tuned": training("base", 512, cost_usd=1.5, examples=400)}
ENTRIES = {"base": model_entry("base", prices=PRICES), "tuned": model_entry("tuned")}


@pytest.fixture(scope="module")
def results() -> pa.Table:
    """A base, its fine-tune, and a model whose window takes the shortest length only."""
    return pa.concat_tables(
        [
            sweep("base", [512, 1024], depths=3, draws=6, skill=0.5, prices=PRICES),
            sweep("tuned", [512, 1024], depths=3, draws=6, skill=0.9),
            sweep("narrow", [512, 1024], depths=3, draws=6, skill=0.6, window=600),
        ]
    )


def analysed(
    results: pa.Table,
    *,
    entries: Mapping[str, ModelEntry] = ENTRIES,
    tunings: Mapping[str, Training] = TUNINGS,
    evaluations: Sequence[Evaluation] = (),
) -> Analysis:
    return analysis(
        BIOGRAPHY_TASK,
        results,
        SEED,
        entries=entries,
        tunings=tunings,
        evaluations=evaluations,
    )


@pytest.fixture(scope="module")
def found(results: pa.Table) -> Analysis:
    return analysed(results)


@pytest.fixture(scope="module")
def page(found: Analysis) -> Page:
    return section("analysis.html.j2", analysis=found)


def keys(rows: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, int]]:
    assert rows is not None
    return [(row["model"], row["context_length"]) for row in rows]


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


ASKED = [("base", 512), ("base", 1024), ("tuned", 512), ("tuned", 1024), ("narrow", 512)]


# --- what holds of the whole


def test_the_sections_stand_in_the_order_of_a_paper(page: Page) -> None:
    titles = [
        "Score between floor and ceiling",
        "Edge or middle",
        "Effective context length",
        "Why fields were wrong",
        "Where swapped facts come from",
        "Tokens, time and cost",
        "How many draws it takes",
    ]

    assert [title for title in page.words if title in titles] == titles
    assert "Over time" not in page.words


def test_every_picture_can_be_read_aloud_and_no_number_is_missing(page: Page) -> None:
    assert len(page.all("img")) == 7
    assert all(image["alt"] for image in page.all("img"))
    assert not re.search(r"\b(nan|NaT|None)\b", page.text)


def test_a_tuned_model_stands_behind_its_base_in_every_table(found: Analysis) -> None:
    assert found.corrected is not None
    assert found.position is not None
    assert found.prices is not None
    assert found.failures is not None
    tables = [found.corrected.rows, found.position.rows, found.prices.rows, found.failures.rows]

    for rows in tables:
        order = list(dict.fromkeys(row["model"] for row in rows))
        assert order.index("tuned") == order.index("base") + 1


def test_a_length_that_is_not_applicable_has_no_row_anywhere(found: Analysis) -> None:
    assert found.corrected is not None
    assert found.position is not None
    assert found.prices is not None
    assert found.failures is not None
    assert found.needed is not None

    for rows in (found.corrected.rows, found.position.rows, found.prices.rows, found.failures.rows):
        assert ("narrow", 1024) not in keys(rows)
        assert ("narrow", 512) in keys(rows)
    assert ("narrow", 1024) not in keys(found.needed.rows)


def test_results_of_a_model_that_was_asked_nothing_have_nothing_to_say() -> None:
    nothing = sweep("narrow", [1024], depths=3, draws=6, window=600)

    found = analysed(nothing, entries={}, tunings={})

    assert found == Analysis(None, None, None, [], None, None, None, None)
    assert section("analysis.html.j2", analysis=found).words == []


# --- corrected scores, position


def test_corrected_scores_stand_beside_what_they_are_made_of(results: pa.Table, page: Page) -> None:
    table = statistics.length_table(results, SEED).set_index(["model", "context_length"])

    for model, length in ASKED:
        row = table.loc[(model, length)]
        assert (
            f"{model} {length:,} 6 18 {row['floor']:.3f} {row['mean']:.3f} {row['ceiling']:.3f} "
            f"{row['corrected']:.2f}" in page.text
        )


def test_a_corrected_score_that_is_not_known_is_not_shown(results: pa.Table) -> None:
    kinds = results.filter(pc.field("kind") != "ceiling")

    assert analysed(kinds).corrected is None


def test_position_bias_is_told_with_interval_and_corrected_p(results: pa.Table, page: Page) -> None:
    table = statistics.position_table(results, SEED).dropna(subset="difference")

    assert len(table) == len(ASKED)
    for row in table.to_dict("records"):
        assert (
            f"{row['model']} {row['context_length']:,} {row['edge']:.3f} 12 {row['middle']:.3f} 6 "
            f"{signed(row['difference'])} {signed(row['low'])} to {signed(row['high'])} "
            f"{row['p']:.3f} {row['p_holm']:.3f}" in page.text
        )


def test_two_depths_have_no_middle() -> None:
    assert analysed(sweep("m", [512], depths=2, draws=6), tunings={}).position is None


# --- effective length


def effective(
    monkeypatch: pytest.MonkeyPatch, results: pa.Table, **changes: Any
) -> Mapping[str, Any]:
    """The first row of the section, where the statistics say so."""
    row = {
        "model": "base",
        "definition": "nolima",
        "base": 0.5,
        "threshold": 0.4,
        "effective_length": 512.0,
        "low": 512.0,
        "high": 512.0,
        "at_least": False,
        "draws": 6,
    }
    table = pd.DataFrame([row | changes])
    monkeypatch.setattr("needle_assets.evaluation.analysis.effective_table", lambda *_, **__: table)
    found = analysed(results).effective
    assert found is not None
    return found.rows[0]


@pytest.mark.parametrize(
    ("changes", "said", "interval"),
    [
        ({}, "512", "512 to 512"),
        ({"effective_length": 1024.0, "high": 1024.0}, "≥ 1,024", "512 to ≥ 1,024"),
        ({"effective_length": np.nan, "low": np.nan}, "< 512", "< 512 to 512"),
        ({"effective_length": np.nan, "low": np.nan, "high": np.nan}, "< 512", "< 512 to < 512"),
        # Too few draws have no interval, which is not the same as one below the shortest length.
        ({"low": np.nan, "high": np.nan, "draws": 4}, "512", ""),
        ({"threshold": np.nan, "effective_length": np.nan, "low": np.nan}, "unknown", ""),
    ],
)
def test_what_lies_beyond_the_lengths_asked_is_said_in_signs(
    monkeypatch: pytest.MonkeyPatch,
    results: pa.Table,
    changes: dict[str, Any],
    said: str,
    interval: str,
) -> None:
    row = effective(monkeypatch, results, **changes)

    assert (row["said"], row["interval"], row["title"]) == (said, interval, "NoLiMa")


def test_a_models_own_lengths_decide_what_the_longest_is(
    monkeypatch: pytest.MonkeyPatch, results: pa.Table
) -> None:
    assert effective(monkeypatch, results, model="narrow")["said"] == "≥ 512"


def test_each_model_has_three_definitions_with_their_sources(
    results: pa.Table, found: Analysis, page: Page
) -> None:
    assert found.effective is not None
    assert [(row["model"], row["title"]) for row in found.effective.rows] == [
        (model, title)
        for model in ("base", "tuned", "narrow")
        for title in ("RULER", "NoLiMa", "100-LongBench")
    ]
    assert all(f"{name}" in page.text for name in ("Hsieh", "Modarressi", "Yang"))
    row = statistics.effective_table(results, SEED).iloc[0]
    assert f"base RULER 6 {row['base']:.3f} {row['threshold']:.3f}" in page.text


def test_one_length_has_a_table_and_no_picture(results: pa.Table) -> None:
    found = analysed(results.filter(pc.field("context_length") == 512))

    assert found.effective is not None
    assert found.effective.chart is None
    assert {row["said"] for row in found.effective.rows} <= {"≥ 512", "< 512"}


# --- failures


def test_wrong_fields_are_counted_by_cause(results: pa.Table, found: Analysis, page: Page) -> None:
    assert found.failures is not None
    table = anatomy_table(results).groupby(["model", "context_length", "cause"])["n"].sum()

    assert set(found.failures.titles) == {cause.value for cause in Cause}
    for row in found.failures.rows:
        counts = {
            str(cause): int(n) for cause, n in table[row["model"], row["context_length"]].items()
        }
        assert {cause: row[cause] for cause in found.failures.titles if row[cause]} == counts
        assert row["n"] == sum(counts.values())
    row = found.failures.rows[0]
    shares = [
        f"{row[cause]} ({100 * row[cause] / row['n']:.0f} %)" if row[cause] else "0"
        for cause in found.failures.titles
    ]
    assert f"{row['model']} {row['context_length']} {row['n']} {' '.join(shares)}" in page.text


def test_luck_is_told_over_all_of_a_models_fields(results: pa.Table, found: Analysis) -> None:
    assert found.failures is not None
    table = chance_table(results)

    for row in found.failures.chance:
        of_model = table[table["model"] == row["model"]]
        weights = of_model["traced"]
        assert row["traced"] == weights.sum()
        assert row["here"] == pytest.approx(np.average(of_model["here"], weights=weights))
        assert row["elsewhere"] == pytest.approx(np.average(of_model["elsewhere"], weights=weights))
        assert row["excess"] == pytest.approx(row["here"] - row["elsewhere"])


def test_the_luck_is_printed_with_the_number_it_rests_on(found: Analysis, page: Page) -> None:
    assert found.failures is not None
    for row in found.failures.chance:
        shares = [f"{100 * row[name]:.0f} %" for name in ("here", "elsewhere", "excess")]
        assert f"{row['model']} {row['traced']} {' '.join(shares)}" in page.text


def test_without_a_wrong_field_there_is_no_anatomy() -> None:
    found = analysed(
        sweep("m", [512], depths=3, draws=6, skill=0.5).filter(pc.field("exact")), tunings={}
    )

    assert found.failures is None


def test_without_a_swap_nothing_is_said_of_where_they_come_from(results: pa.Table) -> None:
    errors = [
        [error | {"cause": "invented", "by_chance": None} for error in row] if row else row
        for row in results["errors"].to_pylist()
    ]
    at = results.column_names.index("errors")
    column = pa.array(errors, results.schema.field("errors").type)
    unswapped = results.set_column(at, "errors", column)

    found = analysed(unswapped)

    assert len(swap_table(results)) > 0
    assert found.failures is not None
    assert found.failures.offsets is None
    assert found.failures.places is None
    words = section("analysis.html.j2", analysis=found).words
    assert "Where swapped facts come from" not in words
    assert "excess" not in words


# --- prices


def test_a_price_that_is_not_known_is_said_and_never_zero(results: pa.Table, page: Page) -> None:
    table = cost_table(results, ENTRIES, TUNINGS).set_index(["model", "context_length"])
    known, unknown = table.loc[("base", 512)], table.loc[("tuned", 512)]
    asked = pc.field("context_length") == 512
    sweeps = results.filter(asked & (pc.field("kind") == "sweep")).to_pandas()
    latency = sweeps.groupby("model")["latency_s"].median()

    assert (
        f"base 512 18 {known['prompt_tokens']:,.0f} {100 * known['cached_share']:.0f} % "
        f"{known['completion_tokens']:.1f} {latency['base']:.2f} "
        f"${known['usd_per_1000']:.2f} 2026-11-01 not tuned here" in page.text
    )
    # 1.5 dollars for 400 examples.
    assert (
        f"{unknown['completion_tokens']:.1f} {latency['tuned']:.2f} unknown unknown $18.75"
        in page.text
    )
    assert "$0.00" not in page.text


def test_a_known_price_of_zero_is_no_unknown_one(results: pa.Table) -> None:
    free = Prices(input=0, cached_input=0, output=0, as_of=datetime.date(2026, 11, 1))

    found = analysed(results, entries={"base": model_entry("base", prices=free)})

    assert "$0.00 2026-11-01" in section("analysis.html.j2", analysis=found).text


def test_a_training_whose_cost_is_not_known_is_unknown(results: pa.Table) -> None:
    found = analysed(results, tunings={"tuned": training("base", 512)})

    text = section("analysis.html.j2", analysis=found).text
    assert text.count("unknown unknown unknown") == 2
    assert text.count("unknown unknown not tuned here") == 1


def test_what_a_server_does_not_report_of_its_cache_is_not_zero(results: pa.Table) -> None:
    at = results.column_names.index("cached_tokens")
    silent = results.set_column(
        at, "cached_tokens", pa.nulls(results.num_rows, results.schema.field(at).type)
    )

    found = analysed(silent)

    assert found.prices is not None
    assert all(np.isnan(row["cached_share"]) for row in found.prices.rows)


# --- draws


def test_a_sentence_per_model_and_pair_says_what_three_points_need(
    results: pa.Table, found: Analysis, page: Page
) -> None:
    assert found.needed is not None
    table = statistics.needed_table(results, {"tuned": "base"})
    most = (
        table.dropna(subset="needed_draws")
        .groupby(["model", "base"], dropna=False)["needed_draws"]
        .max()
    )

    assert len(found.needed.sentences) == len(most) == 4
    for (model, base), needed in most.items():
        who = f"{model} minus {base}" if isinstance(base, str) else str(model)
        told = f"{who}: {needed:,.0f} draws (6 were made), at "
        [said] = [line for line in found.needed.sentences if line.startswith(told)]
        assert said in page.words


def test_too_few_draws_have_no_spread_to_reckon_with() -> None:
    assert analysed(sweep("m", [512], depths=3, draws=4), tunings={}).needed is None


# --- over time


def evaluation(number: int, **changes: Any) -> Evaluation:
    at = STARTED + datetime.timedelta(days=7 * number)
    values: dict[str, Any] = {
        "number": number,
        "context_length": 512,
        "model": "base",
        "entry": "1a2b3c4d",
        "run_id": f"run-{number}",
        "began_at": at,
        "evaluated_at": at,
        "fingerprints": (),
        "served_models": (),
        "haystacks_version": "1f0c",
        "answers": f"{number:016d}",
        "n": 18,
        "draws": 6,
        "errors": 0,
        "mean": 0.5,
        "low": 0.4,
        "high": 0.6,
        "exact": 0.1,
        "cost_usd": None,
        "comparison": None,
        "drift": None,
        "accepted": True,
        "why": "the first",
    }
    return Evaluation(**(values | changes))


def worse(reference: int) -> Comparison:
    return Comparison(
        reference=reference,
        reference_run_id=f"run-{reference}",
        reference_at=STARTED,
        difference=-0.2,
        low=-0.3,
        high=-0.1,
        p=0.0004,
        n=18,
        draws=6,
    )


def test_every_evaluation_has_its_row_with_what_came_of_it(results: pa.Table) -> None:
    dropped = evaluation(
        2, mean=0.3, comparison=worse(1), accepted=False, why="worse than evaluation 1"
    )

    found = analysed(results, evaluations=[evaluation(1), dropped])
    text = section("analysis.html.j2", analysis=found).text

    assert (
        "base 512 1 2026-11-29 09:30:00 UTC 18 0.500 0.40 to 0.60 – – yes: the first run-1" in text
    )
    assert "−0.20 < 0.001 no: worse than evaluation 1 run-2" in text


@pytest.mark.parametrize(
    "evaluations",
    [
        [],
        [evaluation(1)],
        [evaluation(1), evaluation(1, context_length=1024), evaluation(1, model="tuned")],
        [evaluation(1), evaluation(2, mean=None, evaluated_at=None, n=0)],
    ],
)
def test_there_is_nothing_over_time_before_a_second_evaluation(
    results: pa.Table, evaluations: list[Evaluation]
) -> None:
    assert analysed(results, evaluations=evaluations).over_time is None


def test_a_model_that_is_no_longer_among_the_results_keeps_its_past(results: pa.Table) -> None:
    gone = [evaluation(1, model="gone"), evaluation(2, model="gone")]

    found = analysed(results, evaluations=[*gone, evaluation(1), evaluation(2)])

    assert found.over_time is not None
    assert [(row["model"], row["number"]) for row in found.over_time.rows] == [
        ("base", 1),
        ("base", 2),
        ("gone", 1),
        ("gone", 2),
    ]


# --- hostile


def test_hostile_names_stay_text(results: pa.Table) -> None:
    hostile = "</script></td><img src=x onerror=alert(1)><script>alert(2)</script>"
    at = results.column_names.index("model")
    models = [hostile if model == "base" else model for model in results["model"].to_pylist()]
    renamed = results.set_column(at, "model", pa.array(models))
    history = [evaluation(number, model=hostile, why=hostile, run_id=hostile) for number in (1, 2)]

    found = analysed(renamed, tunings={"tuned": training(hostile, 512)}, evaluations=history)
    shown = section("analysis.html.j2", analysis=found)

    assert not shown.all("script")
    assert all(str(image["src"]).startswith("data:") for image in shown.all("img"))
    assert not any(name.startswith("on") for _, found in shown.elements for name in found)


# --- relative drops


def test_the_relative_drops_of_all_lengths_are_told_where_there_are_several() -> None:
    several = sweep("wide", [512, 2048], depths=3, draws=6)
    rows = analysed(several).drops
    table = statistics.drop_table(several, SEED)
    assert [(row["context_length"], row["relative"]) for row in rows] == [
        (512, 0.0),
        (2048, table["relative"].iloc[1]),
    ]
    assert analysed(sweep("short", [512], depths=3, draws=6)).drops == []
