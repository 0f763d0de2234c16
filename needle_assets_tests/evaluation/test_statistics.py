"""Means, intervals and sums against values worked out by hand or by exact enumeration."""

import itertools
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle_assets.evaluation.scoring import Kind
from needle_assets.evaluation.statistics import (
    MIN_DRAWS,
    cell_table,
    closed_book_table,
    field_table,
    length_table,
    outcome_table,
    overall,
    usage_table,
)
from needle_assets_tests.support.scored_rows import beside, results, row


def by_draw(*draws: list[float]) -> pa.Table:
    return results(*(row(s, draw=d) for d, scores in enumerate(draws) for s in scores))


def test_cells_are_means_over_model_length_and_depth() -> None:
    table = cell_table(
        results(
            row(1.0, depth=0.0),
            row(0.5, depth=0.0, post_score=-3.0),
            row(0.25, depth=100.0),
            row(0.75, depth=0.0, context_length=1024),
            row(0.0, depth=0.0, model="other"),
        )
    )

    assert table.to_dict("split")["data"] == [
        ["m", 512, 0.0, 2, 0.75, 0.5, -1.0],
        ["m", 512, 100.0, 1, 0.25, 0.0, 0.25],
        ["m", 1024, 0.0, 1, 0.75, 0.0, 0.75],
        ["other", 512, 0.0, 1, 0.0, 0.0, 0.0],
    ]
    assert list(table) == ["model", "context_length", "depth", "n", "mean", "exact", "post"]


def test_lengths_are_means_over_questions_not_over_draws() -> None:
    table = length_table(by_draw([1.0, 1.0, 1.0], [0.0]), seed=0)

    assert (table["draws"][0], table["n"][0], table["mean"][0]) == (2, 4, 0.75)


@pytest.mark.parametrize("draws", [1, 2, MIN_DRAWS - 1])
def test_too_few_draws_have_no_interval(draws: int) -> None:
    table = length_table(by_draw(*([d / 10, 0.9] for d in range(draws))), seed=0)

    assert table[["low", "high"]].isna().all(axis=None)
    assert table["mean"].notna().all()


def test_draws_that_are_all_alike_have_no_interval() -> None:
    table = length_table(by_draw(*([0.1, 0.2, 0.6] for _ in range(20))), seed=0)

    assert table[["low", "high"]].isna().all(axis=None)


def test_the_interval_is_the_expanded_percentile_of_all_resamples() -> None:
    """The post's fault: no interval on any plot."""
    means = [0.1, 0.35, 0.4, 0.7, 0.9]
    exact = np.sort([np.mean(pick) for pick in itertools.product(means, repeat=5)])
    # Student's t for 4 degrees of freedom, two-sided 95 %, from a printed table: 2.776.
    tail = NormalDist().cdf(-((5 / 4) ** 0.5) * 2.776)

    table = length_table(by_draw(*([mean - 0.05, mean + 0.05] for mean in means)), seed=3)

    # The quantile of 10,000 random resamples lies between neighbours of the exact one.
    assert np.quantile(exact, tail / 2) <= table["low"][0] <= np.quantile(exact, tail * 2)
    assert np.quantile(exact, 1 - tail * 2) <= table["high"][0] <= np.quantile(exact, 1 - tail / 2)


def test_with_many_draws_the_interval_is_the_normal_one_of_the_draws_means() -> None:
    scores = np.random.default_rng(5).uniform(0, 1, 400)
    error = 1.96 * scores.std(ddof=1) / 20

    table = length_table(by_draw(*([score] for score in scores)), seed=0)

    assert table["low"][0] == pytest.approx(scores.mean() - error, abs=0.003)
    assert table["high"][0] == pytest.approx(scores.mean() + error, abs=0.003)


def test_asking_the_same_haystack_more_often_does_not_narrow_the_interval() -> None:
    draws = [[0.1], [0.3], [0.5], [0.6], [0.9], [0.4]]

    once = length_table(by_draw(*draws), seed=0)
    often = length_table(by_draw(*(draw * 50 for draw in draws)), seed=0)

    assert often["n"][0] == 300
    assert often["low"][0] == pytest.approx(once["low"][0])
    assert often["high"][0] == pytest.approx(once["high"][0])


def test_intervals_depend_on_the_seed_and_on_nothing_else() -> None:
    scores = np.random.default_rng(1).uniform(0, 1, 30)
    rows = [
        row(score, draw=draw, context_length=length)
        for length in (512, 1024)
        for draw, score in enumerate(scores)
    ]

    table = length_table(results(*rows), seed=1)
    alone = length_table(results(*(r for r in rows[::-1] if r["context_length"] == 1024)), seed=1)
    other = length_table(results(*rows), seed=2)

    np.testing.assert_allclose(alone.iloc[0, 1:].astype(float), table.iloc[1, 1:].astype(float))
    assert (other["low"] != table["low"]).any()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=5, max_size=9),
    st.integers(0, 5),
)
def test_an_interval_lies_between_the_lowest_and_the_highest_draw(
    draws: list[list[int]], seed: int
) -> None:
    table = length_table(by_draw(*([n / 9 for n in draw] for draw in draws)), seed)
    low, high = table["low"][0], table["high"][0]
    means = [sum(draw) / len(draw) / 9 for draw in draws]

    if np.isnan(low):
        assert max(means) == pytest.approx(min(means))
    else:
        assert min(means) - 1e-9 <= low <= high <= max(means) + 1e-9


def measured() -> pa.Table:
    """Two needles, the first of which is asked about in two of three questions."""
    return results(
        row(1.0, bio_id="b1", draw=0, a_right=True),
        row(0.5, bio_id="b2", draw=0, a_right=False),
        row(0.0, bio_id="b1", draw=1, a_right=False),
        beside(0.6, "floor", bio_id="b1", a_right=True, cost_usd=0.0, latency_s=None),
        beside(0.3, "floor", bio_id="b2", a_right=False, cost_usd=0.0, latency_s=None),
        beside(1.0, "ceiling", bio_id="b1", a_right=True, latency_s=0.1, cost_usd=0.01),
        beside(0.7, "ceiling", bio_id="b2", a_right=True, latency_s=0.1, cost_usd=0.01),
        beside(0.0, "closed_book", bio_id="b1", outcome="refused", latency_s=0.1, cost_usd=0.01),
        beside(0.9, "closed_book", bio_id="b2", latency_s=0.1, cost_usd=0.01),
    )


def test_a_mean_stands_beside_what_its_needles_score_otherwise() -> None:
    (table,) = length_table(measured(), seed=0).to_dict("records")

    assert (table["n"], table["needles"], table["draws"]) == (3, 2, 2)
    assert table["mean"] == pytest.approx(0.5)
    # The first needle counts twice, as in the sweep.
    assert table["floor"] == pytest.approx((0.6 + 0.6 + 0.3) / 3)
    assert table["ceiling"] == pytest.approx((1.0 + 1.0 + 0.7) / 3)
    assert table["closed_book"] == pytest.approx(0.9 / 3)


def test_no_score_of_the_sweep_depends_on_the_calibration() -> None:
    alone = measured().filter(pc.field("kind") == "sweep")

    for table in (cell_table, outcome_table, lambda rows: field_table(rows, ("a", "b"))):
        pd.testing.assert_frame_equal(table(measured()), table(alone))
    columns = ["model", "context_length", "draws", "n", "mean", "exact", "post", "low", "high"]
    pd.testing.assert_frame_equal(
        length_table(measured(), seed=0)[columns], length_table(alone, seed=0)[columns]
    )


def test_without_a_calibration_what_it_says_is_unknown() -> None:
    (table,) = length_table(measured().slice(0, 3), seed=0).to_dict("records")

    assert np.isnan([table["floor"], table["closed_book"], table["ceiling"]]).all()


def test_a_needle_without_its_calibration_is_not_left_out_of_the_mean() -> None:
    (table,) = length_table(measured().slice(0, 4), seed=0).to_dict("records")

    assert np.isnan(table["floor"])


def test_the_mean_of_all_lengths_is_that_of_all_questions() -> None:
    lengths = length_table(results(row(1.0), row(1.0), row(0.1, context_length=1024)), seed=0)

    assert overall(lengths, "mean") == pytest.approx(2.1 / 3)
    assert np.isnan(overall(lengths, "floor"))


def remembered(gains: list[float]) -> pa.Table:
    """A needle per gain of its closed book over a floor of 0.4; all asked about twice."""
    rows = []
    for at, gain in enumerate(gains):
        rows += [row(0.5, bio_id=f"b{at}", draw=draw) for draw in range(2)]
        rows += [
            beside(0.4, "floor", bio_id=f"b{at}"),
            beside(0.4 + gain, "closed_book", bio_id=f"b{at}"),
        ]
    return results(*rows)


def test_the_gain_of_the_name_alone_is_paired_and_its_interval_speaks_of_needles() -> None:
    gains = [-0.1, 0.0, 0.1, 0.3, 0.4, 0.5]
    exact = np.sort([np.mean(pick) for pick in itertools.product(gains, repeat=6)])
    # Student's t for 5 degrees of freedom, two-sided 95 %, from a printed table: 2.571.
    tail = NormalDist().cdf(-((6 / 5) ** 0.5) * 2.571)

    (table,) = closed_book_table(remembered(gains), seed=0).to_dict("records")

    assert (table["model"], table["context_length"], table["needles"]) == ("m", 512, 6)
    assert table["gain"] == pytest.approx(0.2)
    assert np.quantile(exact, tail / 2) <= table["low"] <= np.quantile(exact, tail * 2)
    assert np.quantile(exact, 1 - tail * 2) <= table["high"] <= np.quantile(exact, 1 - tail / 2)


def test_few_needles_or_no_calibration_have_no_interval_of_the_gain() -> None:
    few = closed_book_table(remembered([0.1, 0.2, 0.3, 0.4]), seed=0)
    none = closed_book_table(by_draw(*([0.1 * draw] for draw in range(6))), seed=0)

    assert few["gain"].tolist() == [pytest.approx(0.25)]
    assert none["gain"].isna().all()
    for table in (few, none):
        assert table[["low", "high"]].isna().all(axis=None)


def test_fields_of_the_ceiling_are_those_of_the_needles_asked_about() -> None:
    tables = {
        kind: field_table(measured(), ("a",), kind).to_dict("records")
        for kind in (Kind.SWEEP, Kind.FLOOR, Kind.CEILING)
    }

    assert tables == {
        Kind.SWEEP: [{"model": "m", "n": 3, "a": pytest.approx(1 / 3)}],
        Kind.FLOOR: [{"model": "m", "n": 2, "a": pytest.approx(2 / 3)}],
        Kind.CEILING: [{"model": "m", "n": 2, "a": 1.0}],
    }


def test_the_calibration_counts_in_what_was_spent_but_not_in_what_an_answer_takes() -> None:
    (usage,) = usage_table(measured()).to_dict("records")

    # Three of the sweep, two with the needle alone, two with the name alone; the floor is free.
    assert (usage["n"], usage["priced"]) == (7, 7)
    assert usage["prompt_tokens"] == 7 * 400
    assert usage["cost_usd"] == pytest.approx(3 * 0.25 + 4 * 0.01)
    assert usage["answer_usd"] == pytest.approx(0.25)
    assert usage["latency_s"] == 1.0


def test_a_floor_that_costs_nothing_makes_no_unknown_price_known() -> None:
    (usage,) = usage_table(
        results(row(1.0, cost_usd=None), beside(0.5, "floor", cost_usd=0.0))
    ).to_dict("records")

    assert usage["priced"] == 0
    assert np.isnan(usage["cost_usd"])


def test_fields_are_shares_of_right_answers() -> None:
    table = field_table(
        results(
            row(1.0), row(1.0, a_right=False), row(0.0, a_right=False), row(1.0, model="other")
        ),
        ("a", "b"),
    )

    assert table.to_dict("records") == [
        {"model": "m", "n": 3, "a": pytest.approx(1 / 3), "b": 0.0},
        {"model": "other", "n": 1, "a": 1.0, "b": 0.0},
    ]


def test_outcomes_are_counted() -> None:
    table = outcome_table(
        results(row(1.0), row(1.0), row(0.0, outcome="error"), row(1.0, context_length=1024))
    )

    assert table.to_dict("split")["data"] == [
        ["m", 512, "error", 1],
        ["m", 512, "valid", 2],
        ["m", 1024, "valid", 1],
    ]


def test_usage_is_summed_and_an_unknown_cost_stays_unknown() -> None:
    table = usage_table(
        results(
            row(1.0, latency_s=1.0),
            row(1.0, latency_s=2.0, cached_tokens=0),
            row(0.0, latency_s=9.0, prompt_tokens=None, cached_tokens=None, cost_usd=None),
            row(1.0, model="unpriced", cost_usd=None),
        )
    )
    priced, unpriced = table.to_dict("records")

    assert (priced["n"], priced["prompt_tokens"], priced["cached_tokens"]) == (3, 800, 300)
    assert (priced["cached_share"], priced["latency_s"]) == (0.375, 2.0)
    assert (priced["cost_usd"], priced["priced"]) == (0.5, 2)
    assert priced["answer_usd"] == 0.25
    assert np.isnan([unpriced["cost_usd"], unpriced["answer_usd"]]).all()
    assert unpriced["priced"] == 0
