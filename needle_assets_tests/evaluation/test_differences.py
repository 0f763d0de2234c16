"""What a fine-tune changed, against values worked out by hand or by exact enumeration."""

import itertools
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from needle_assets.evaluation.statistics import (
    MIN_DRAWS,
    difference_cells,
    difference_table,
    leaderboard_table,
    length_table,
)
from needle_assets_tests.support.scored_rows import beside, results, row


def answers_of(model: str, *scores: float, **changes: Any) -> list[dict[str, Any]]:
    """A row per score: question q0 of draw 0, question q1 of draw 1, and so on."""
    return [
        row(score, model=model, example_id=f"q{at}", draw=at, **changes)
        for at, score in enumerate(scores)
    ]


def test_differences_of_cells_are_those_of_the_questions_that_both_answered() -> None:
    table = difference_cells(
        results(
            row(0.5, model="base", example_id="q0"),
            row(0.25, model="base", example_id="q1"),
            row(1.0, model="base", example_id="q2", depth=100.0),
            row(0.0, model="base", example_id="only the base was asked"),
            row(1.0, model="tuned", example_id="q0"),
            row(0.5, model="tuned", example_id="q1"),
            row(0.25, model="tuned", example_id="q2", depth=100.0),
            row(1.0, model="tuned", example_id="only the tuned model was asked"),
            row(1.0, model="other", example_id="q0"),
        ),
        {"tuned": "base"},
    )

    assert table.to_dict("split")["data"] == [
        ["tuned", "base", 512, 0.0, 2, 0.375],
        ["tuned", "base", 512, 100.0, 1, -0.75],
    ]
    assert list(table) == ["model", "base", "context_length", "depth", "n", "difference"]


def test_questions_about_other_haystacks_are_no_pair_though_they_have_one_name() -> None:
    rows = results(
        *answers_of("base", 0.0, 0.0),
        *answers_of("tuned", 1.0, 1.0, haystacks_version="v2"),
        *answers_of("tuned", 1.0, 1.0, context_length=1024),
    )

    for table in (
        difference_cells(rows, {"tuned": "base"}),
        difference_table(rows, {"tuned": "base"}, seed=0),
    ):
        assert table.empty
        assert {"model", "base", "context_length", "n", "difference"} < set(table)


def test_without_a_base_among_the_results_there_is_no_difference() -> None:
    rows = results(*answers_of("tuned", 1.0))

    assert difference_cells(rows, {}).empty
    assert difference_cells(rows, {"tuned": "not evaluated"}).empty
    assert difference_table(rows, {"not evaluated": "tuned"}, seed=0).empty


def test_several_models_have_one_base_and_a_tuned_one_can_be_a_base() -> None:
    rows = results(*answers_of("base", 0.25), *answers_of("once", 0.5), *answers_of("twice", 1.0))

    table = difference_table(rows, {"once": "base", "twice": "once"}, seed=0)
    both = difference_table(rows, {"once": "base", "twice": "base"}, seed=0)

    assert dict(zip(table["model"], table["difference"], strict=True)) == {
        "once": 0.25,
        "twice": 0.5,
    }
    assert both["difference"].tolist() == [0.25, 0.75]


def test_the_interval_of_a_difference_is_that_of_its_draws() -> None:
    before = [0.1, 0.5, 0.3, 0.4, 0.2, 0.6]
    gains = [0.4, 0.0, 0.3, -0.1, 0.5, 0.1]
    exact = np.sort([np.mean(pick) for pick in itertools.product(gains, repeat=6)])
    # Student's t for 5 degrees of freedom, two-sided 95 %, from a printed table: 2.571.
    tail = NormalDist().cdf(-((6 / 5) ** 0.5) * 2.571)

    (found,) = difference_table(
        results(
            *answers_of("base", *before),
            *answers_of("tuned", *(a + b for a, b in zip(before, gains, strict=True))),
        ),
        {"tuned": "base"},
        seed=0,
    ).to_dict("records")

    assert (found["draws"], found["n"]) == (6, 6)
    assert found["base_mean"] == pytest.approx(0.35)
    assert found["mean"] == pytest.approx(0.55)
    assert found["difference"] == pytest.approx(0.2)
    assert np.quantile(exact, tail / 2) <= found["low"] <= np.quantile(exact, tail * 2)
    assert np.quantile(exact, 1 - tail * 2) <= found["high"] <= np.quantile(exact, 1 - tail / 2)


def test_a_difference_varies_less_than_the_scores_where_both_find_the_same_draws_hard() -> None:
    hard = [0.1, 0.7, 0.3, 0.5, 0.2, 0.6]
    slightly = [0.01, 0.0, 0.02, 0.0, 0.01, 0.02]
    rows = results(
        *answers_of("base", *hard),
        *answers_of("tuned", *(a + 0.2 + b for a, b in zip(hard, slightly, strict=True))),
    )

    (found,) = difference_table(rows, {"tuned": "base"}, seed=0).to_dict("records")
    alone = length_table(rows, seed=0)

    assert found["high"] - found["low"] < 0.1 * (alone["high"] - alone["low"]).min()
    assert 0.2 < found["low"] < found["difference"] < found["high"] < 0.22


def test_what_is_over_the_floor_is_taken_needle_by_needle() -> None:
    scores = [0.95, 0.6, 0.8, 0.5, 0.7]
    rows = [
        *answers_of("base", *[0.5] * 5),
        *(
            row(score, model="tuned", example_id=f"q{at}", draw=at, bio_id=f"b{at % 2}")
            for at, score in enumerate(scores)
        ),
        beside(0.5, "floor", model="tuned", bio_id="b0"),
        beside(0.2, "floor", model="tuned", bio_id="b1"),
    ]

    (known,) = difference_table(results(*rows), {"tuned": "base"}, seed=0).to_dict("records")
    (unknown,) = difference_table(results(*rows[:-1]), {"tuned": "base"}, seed=0).to_dict("records")

    # The first needle is asked about in three of the five draws.
    assert known["floor"] == pytest.approx((3 * 0.5 + 2 * 0.2) / 5)
    assert known["over_floor"] == pytest.approx(3.55 / 5 - 1.9 / 5)
    assert 0.2 < known["floor_low"] < known["over_floor"] < known["floor_high"] < 0.45
    assert np.isnan([unknown[name] for name in ("floor", "over_floor", "floor_low")]).all()
    assert unknown["difference"] == known["difference"]


@pytest.mark.parametrize("draws", [1, MIN_DRAWS - 1])
def test_a_difference_over_too_few_draws_has_no_interval(draws: int) -> None:
    gains = [0.1 * at for at in range(draws)]
    rows = results(*answers_of("base", *[0.2] * draws), *answers_of("tuned", *gains))

    (found,) = difference_table(rows, {"tuned": "base"}, seed=0).to_dict("records")

    assert np.isnan([found["low"], found["high"]]).all()
    assert found["n"] == draws


def test_the_leaderboard_has_the_difference_beside_the_means_of_a_tuned_model_alone() -> None:
    rows = results(
        *answers_of("base", 0.1, 0.2, 0.3, 0.4, 0.5),
        *answers_of("tuned", 0.9, 0.6, 0.8, 0.7, 0.6),
        *answers_of("tuned", 0.9, 0.6, 0.8, 0.7, 0.6, context_length=1024),
    )

    table = leaderboard_table(rows, {"tuned": "base"}, seed=0)
    (difference,) = difference_table(rows, {"tuned": "base"}, seed=0).to_dict("records")
    base, tuned, unpaired = table.to_dict("records")

    means = length_table(rows, seed=0)
    pd.testing.assert_frame_equal(table[list(means)], means)
    assert (tuned["base"], tuned["pairs"]) == ("base", 5)
    assert tuned["difference"] == pytest.approx(0.42)
    assert tuned["difference_low"] == difference["low"]
    assert tuned["difference_high"] == difference["high"]
    for row_without in (base, unpaired):
        assert pd.isna([row_without[name] for name in ("base", "pairs", "difference")]).all()


def test_a_leaderboard_without_fine_tunes_has_the_same_columns() -> None:
    rows = results(*answers_of("base", 0.1), *answers_of("tuned", 0.9))

    with_pairs = leaderboard_table(rows, {"tuned": "base"}, seed=0)
    without = leaderboard_table(rows, {}, seed=0)

    assert list(without) == list(with_pairs)
    assert without["difference"].isna().all()
