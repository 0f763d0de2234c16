"""Sample sizes against published ones, the exact power of Student's t test, and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from needle_assets.evaluation.statistics import MIN_DRAWS, draws_needed, half_width, needed_table
from needle_assets.evaluation.statistics.intervals import sign_flip
from needle_assets_tests.evaluation.statistics.sweeps import answers_of, unasked
from needle_assets_tests.support.scored_rows import results, row


def exact_power(draws: int, effect: float) -> float:
    """Of the two-sided t test at 5 %; ``effect`` is the difference over the spread."""
    limit = scipy.stats.t.ppf(0.975, draws - 1)
    noncentral = scipy.stats.nct(draws - 1, effect * math.sqrt(draws))
    return float(1 - noncentral.cdf(limit) + noncentral.cdf(-limit))


@pytest.mark.parametrize(("effect", "published"), [(1.0, 10), (0.5, 34), (0.2, 199)])
def test_draws_of_a_paired_comparison_are_those_of_the_tables(
    effect: float, published: int
) -> None:
    """Two-sided 5 %, power 80 %: Cohen, Statistical Power Analysis, 1988."""
    assert draws_needed(0.06, 0.06 * effect) == published


@pytest.mark.parametrize(("effect", "published"), [(0.8, 26), (0.5, 64), (0.2, 394)])
def test_draws_of_two_independent_evaluations_are_those_of_the_tables(
    effect: float, published: int
) -> None:
    found = draws_needed(0.06, 0.06 * effect, independent=True)

    assert published - 1 <= found <= published


@pytest.mark.parametrize("spread", [0.03, 0.06, 0.11, 0.2])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_so_many_draws_have_the_power_and_fewer_have_not(spread: float, power: float) -> None:
    draws = draws_needed(spread, 0.03, power)

    assert exact_power(draws, 0.03 / spread) >= power - 0.005
    assert exact_power(draws - 2, 0.03 / spread) < power


def test_a_simulated_change_of_3_points_is_seen_in_four_of_five_sweeps() -> None:
    draws = draws_needed(0.05)
    sweeps = np.random.default_rng(3).normal(0.03, 0.05, size=(4_000, draws))

    errors = sweeps.std(axis=1, ddof=1) / math.sqrt(draws)
    seen = np.abs(sweeps.mean(axis=1)) > scipy.stats.t.ppf(0.975, draws - 1) * errors

    assert seen.mean() == pytest.approx(0.8, abs=0.025)


def test_no_spread_needs_the_fewest_draws_that_have_an_interval_or_can_be_significant() -> None:
    assert draws_needed(0.001, independent=True) == MIN_DRAWS
    # A difference that is the same in every draw, tested by flipping signs.
    fewest = draws_needed(0.0)
    assert sign_flip(np.full(fewest, 0.03), 0) <= 0.05
    assert sign_flip(np.full(fewest - 1, 0.03), 0) > 0.05


@pytest.mark.parametrize(
    ("spread", "points", "power"),
    [(-0.1, 0.03, 0.8), (math.nan, 0.03, 0.8), (0.1, 0.0, 0.8), (0.1, 0.03, 1.0)],
)
def test_a_question_without_an_answer_is_refused(
    spread: float, points: float, power: float
) -> None:
    with pytest.raises(ValueError, match="a spread of at least 0, points above 0"):
        draws_needed(spread, points, power)


def test_the_half_width_of_an_interval_to_come() -> None:
    assert half_width(0.1, 5) == pytest.approx(2.776 * 0.1 / math.sqrt(5), abs=1e-4)
    assert half_width(0.1, 30) == pytest.approx(2.045 * 0.1 / math.sqrt(30), abs=1e-4)
    assert math.isnan(half_width(0.1, MIN_DRAWS - 1))


BASE = [0.1, 0.4, 0.2, 0.5, 0.3]
GAINS = [0.05, 0.01, 0.03, 0.0, 0.06]


def test_a_single_model_is_compared_with_itself_and_a_pair_within_draws() -> None:
    tuned = [a + b for a, b in zip(BASE, GAINS, strict=True)]
    rows = results(*answers_of("base", *BASE), *answers_of("tuned", *tuned))

    table = needed_table(rows, {"tuned": "base"})
    base, _, pair = table.to_dict("records")

    assert list(table) == ["model", "base", "context_length", "draws", "spread", "needed_draws"]
    assert table["model"].tolist() == ["base", "tuned", "tuned"]
    assert table["base"].isna().tolist() == [True, True, False]
    assert (pair["base"], pair["context_length"], pair["draws"]) == ("base", 512, 5)
    assert base["spread"] == pytest.approx(math.sqrt(0.1 / 4))
    assert pair["spread"] == pytest.approx(math.sqrt(0.0026 / 4))
    # 2 x 7.849 x 0.025 / 0.0009 + 0.96 = 437.0; 7.849 x 0.00065 / 0.0009 + 1.92 = 7.59
    assert base["needed_draws"] == 438
    assert pair["needed_draws"] == 8


def test_needed_draws_are_whole_blocks_of_the_depths() -> None:
    rows = [
        row(0.1 * draw, draw=draw, depth=depth, example_id=f"{draw} {depth}")
        for draw in range(5)
        for depth in (0.0, 33.33, 66.67, 100.0)
    ]

    (table,) = needed_table(results(*rows), {}).to_dict("records")

    # A spread of 0.158 needs 438 draws, as above; a sweep of four depths is balanced at 440.
    assert table["draws"] == 5
    assert table["needed_draws"] == 440


def test_too_few_draws_tell_nothing_about_how_many_it_takes() -> None:
    few = needed_table(results(*answers_of("m", 0.1, 0.2, 0.4, 0.3)), {})
    one = needed_table(results(*answers_of("m", 0.1)), {})
    none = needed_table(results(unasked()), {"m": "m"})

    assert few["spread"].tolist() == [pytest.approx(math.sqrt(0.05 / 3))]
    assert few["needed_draws"].isna().all()
    assert one["spread"].isna().all()
    assert none.empty
