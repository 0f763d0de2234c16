"""The plan of an evaluation, against sums by hand; nothing is asked here."""

from datetime import UTC, date, datetime
from math import isnan
from typing import Any

import pytest

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.measured import Measured, Pace, Spread
from needle_assets.evaluation.plan import (
    Limits,
    Plan,
    check_affordable,
    plan_evaluation,
)
from needle_assets.evaluation.registry import ModelEntry, Prices, Training
from needle_assets.evaluation.statistics.intervals import MIN_DRAWS
from needle_assets.evaluation.statistics.power import draws_needed, half_width
from needle_assets.evaluation.workload import Supply, Workload

PRICES = Prices(input=2.0, cached_input=0.5, output=8.0, as_of=date(2026, 11, 1))
TUNED = Training(
    base="b",
    context_length=4096,
    job_id="ftjob-1",
    fingerprint="4f1d",
    finetuned_at=datetime(2026, 11, 2, tzinfo=UTC),
)
LIMITS = Limits(answer_tokens=160, concurrency=8)


def entry(**changes: Any) -> ModelEntry:
    values: dict[str, Any] = {
        "slug": "m",
        "base_url": "https://models.example/v1",
        "model": "org/m",
        "context_window": 32_768,
        "prices": PRICES,
    }
    return ModelEntry(**(values | changes))


def workload(**changes: Any) -> Workload:
    """10 draws of 5 depths at 4096: 50 prompts of 4,000 tokens that share 3,900."""
    values: dict[str, Any] = {
        "context_length": 4096,
        "depths": 5,
        "draws": 10,
        "people": 10,
        "prompt_tokens": 200_000,
        "shared_tokens": 156_000,
        "prefix_tokens": 3_900,
        "calibration_tokens": 5_000,
        "counted": True,
    }
    return Workload(**(values | changes))


def plan(
    work: Workload | None = None,
    measured: Measured | None = None,
    limits: Limits = LIMITS,
    **changes: Any,
) -> Plan:
    return plan_evaluation(entry(**changes), work or workload(), limits=limits, measured=measured)


def said(texts: tuple[str, ...]) -> str:
    return "\n".join(texts)


def test_without_results_the_design_and_the_limits_are_what_is_planned_by() -> None:
    found = plan()

    assert found.requests == 50 + 20
    assert found.prompt_tokens == 205_000
    assert found.computed_tokens == 205_000 - 156_000
    assert found.completion_tokens == 70 * 160
    # 49,000 x 2 + 156,000 x 0.5 + 11,200 x 8 millionths.
    assert found.usd == pytest.approx(0.098 + 0.078 + 0.0896)
    assert found.usd_at_most == pytest.approx(0.41 + 0.0896)
    assert found.hours is None
    assert "assumed, not measured" in said(found.notes)
    assert "their limit; none is measured" in said(found.notes)
    assert "hours: unknown" in said(found.notes)
    assert found.warnings == ()


def test_measured_answers_cache_and_pace_go_before_assumptions() -> None:
    known = Measured(completion_tokens=60.0, cached_share=0.5, pace=Pace(0.1, 0.001, 0.02))

    found = plan(measured=known, concurrency=4)

    assert found.completion_tokens == 70 * 60
    # Of each draw's other 4 prompts, 160,000 tokens in all, half were in the cache.
    assert found.computed_tokens == 205_000 - 80_000
    assert found.usd == pytest.approx((125_000 * 2 + 80_000 * 0.5 + 4200 * 8) / 1e6)
    assert found.hours == pytest.approx((70 * 0.1 + 125_000 * 0.001 + 4200 * 0.02) / 4 / 3600)
    assert "50% of a draw's later prompts, as measured" in said(found.notes)
    assert "4 at a time" in said(found.notes)
    # The most it can cost does not rest on what was measured.
    assert found.usd_at_most == pytest.approx(0.41 + 0.0896)


def test_the_setting_bounds_what_an_entry_lets_fly() -> None:
    known = Measured(pace=Pace(3600.0, 0.0, 0.0))

    assert plan(measured=known, concurrency=100).hours == pytest.approx(70 / 8)


def test_more_cannot_be_cached_than_is_shared() -> None:
    found = plan(measured=Measured(cached_share=1.0))

    assert found.computed_tokens == 205_000 - 156_000


def test_prefixes_too_short_for_a_hosted_cache_are_computed() -> None:
    short = workload(prefix_tokens=1_023)

    hosted, slots = plan(short), plan(short, prefix_cache="slots")

    assert hosted.computed_tokens == 205_000
    assert "from 1,024 tokens up" in said(hosted.notes)
    assert slots.computed_tokens == 49_000
    assert "in one slot; assumed" in said(slots.notes)
    assert plan(workload(prefix_tokens=1_024)).computed_tokens == 49_000
    # The embedded server is llama.cpp, whatever the entry of a model tuned there says.
    assert plan(short, base_url=None, training=TUNED).computed_tokens == 49_000


def test_a_batch_costs_its_share_and_is_taken_to_cache_nothing() -> None:
    found = plan(batch=True, batch_share=0.5, measured=Measured(pace=Pace(1.0, 1.0, 1.0)))

    assert found.computed_tokens == 205_000
    assert found.usd == pytest.approx(0.5 * (0.41 + 0.0896))
    assert found.hours is None
    assert "a batch may take a day" in said(found.notes)
    assert "batched answers at 0.5 of the prices" in said(found.notes)


def test_unknown_prices_are_not_zero() -> None:
    found = plan(prices=None)

    assert found.usd is None
    assert found.usd_at_most is None
    assert "dollars: unknown" in said(found.notes)


def test_a_window_shorter_than_the_length_is_not_applicable() -> None:
    found = plan(context_window=4095)

    assert not found.applicable
    assert (found.requests, found.prompt_tokens, found.completion_tokens) == (0, 0, 0)
    assert (found.usd, found.hours) == (0, 0)
    assert isnan(found.half_width)
    assert "4,095 tokens" in said(found.notes)
    assert plan(context_window=4096).applicable


def test_the_interval_is_what_so_many_draws_give() -> None:
    found = plan(measured=Measured(spread=Spread(of_draws=0.12, within=0.2, depths=5)))

    assert found.half_width == half_width(0.12, 10)
    needed = draws_needed(0.12, 0.03, independent=True)
    # Whole blocks of 5, so that the design is balanced.
    assert needed % 5
    assert found.needed_draws == needed + 5 - needed % 5
    assert "spread by 0.120, as measured" in said(found.notes)


def test_an_interval_that_rests_on_an_assumption_says_so() -> None:
    found = plan()

    assert found.half_width == half_width(0.25 / 5**0.5, 10)
    assert "interval: assumes that single questions spread by 0.25" in said(found.notes)


def test_a_limit_of_tokens_a_minute_takes_its_time() -> None:
    quick = Measured(completion_tokens=100.0, pace=Pace(0.0, 0.0, 0.0001))

    known = plan(measured=quick, tokens_per_minute=10_000)
    unknown = plan(measured=Measured(completion_tokens=100.0), tokens_per_minute=10_000)

    # 205,000 and 7,000 tokens are 21.2 minutes of 10,000.
    assert known.hours == pytest.approx(21.2 / 60)
    assert unknown.hours is None
    assert "at least 0.35 by its tokens a minute" in said(unknown.notes)


def test_a_prompt_over_the_minutes_tokens_is_warned_of() -> None:
    assert "every question would be rejected" in said(plan(tokens_per_minute=4095).warnings)
    assert plan(tokens_per_minute=4096).warnings == ()


def test_draws_that_are_no_multiple_of_the_depths_are_warned_of() -> None:
    found = plan(workload(draws=12))

    assert not found.workload.balanced
    assert "12 draws are no multiple of 5 depths" in said(found.warnings)


def test_draws_too_few_for_an_interval_are_warned_of() -> None:
    few = plan(workload(depths=1, draws=MIN_DRAWS - 1))

    assert isnan(few.half_width)
    assert f"fewer than {MIN_DRAWS} draws get no interval" in said(few.warnings)
    assert plan(workload(depths=1, draws=MIN_DRAWS)).warnings == ()


def test_needles_that_do_not_fit_are_warned_of() -> None:
    few = plan(workload(supply=Supply(30, 9, 100, 25.0)))
    some = plan(workload(supply=Supply(30, 49, 100, 25.0)))
    half = plan(workload(supply=Supply(30, 50, 100, 25.0)))
    just = plan(workload(supply=Supply(30, 10, 10, 25.0)))

    assert "only 9 needles of at most 30 tokens fit, but 10 people" in said(few.warnings)
    assert "only 49% of the needles fit" in said(some.warnings)
    assert half.warnings == just.warnings == ()


def test_caps_that_will_stop_it_are_warned_of() -> None:
    caps = Limits(answer_tokens=160, concurrency=1, max_tokens=216_199, max_s=69.0)

    found = plan(limits=caps, measured=Measured(pace=Pace(1.0, 0.0, 0.0)))

    assert "216,200 tokens are more than the 216,199 of NEEDLE_EVAL_MAX_TOKENS" in said(
        found.warnings
    )
    assert "NEEDLE_EVAL_MAX_S" in said(found.warnings)
    enough = Limits(answer_tokens=160, concurrency=1, max_tokens=216_200, max_s=70.0)
    assert plan(limits=enough, measured=Measured(pace=Pace(1.0, 0.0, 0.0))).warnings == ()


def test_a_batch_that_may_be_over_a_cap_is_said_not_to_be_made() -> None:
    # 70 requests: 205,000 tokens of prompts, answers of 10 tokens as measured or of 160 at most.
    caps = Limits(answer_tokens=160, concurrency=1, max_tokens=216_199)
    short = Measured(completion_tokens=10.0)

    assert plan(limits=caps, measured=short).warnings == ()
    assert "216,200 tokens are more than the 216,199 of NEEDLE_EVAL_MAX_TOKENS: no batch" in said(
        plan(limits=caps, measured=short, batch=True).warnings
    )


def test_estimates_say_that_they_are() -> None:
    assert "counted in the haystacks" in said(plan().notes)
    found = plan(workload(counted=False, remarks=("built with 3 depths",)))
    assert "no such haystacks are built" in said(found.notes)
    assert "built with 3 depths" in found.notes


def test_what_fits_under_the_cap_passes() -> None:
    plans = [plan(), plan(slug="n")]

    check_affordable(plans, 0.54)
    check_affordable([plan(prices=None)], None)
    check_affordable([plan(prices=None, context_window=512)], 0.0)


def test_what_costs_more_than_the_cap_is_refused_with_the_sums() -> None:
    with pytest.raises(EvaluationError) as error:
        check_affordable([plan(), plan(slug="n"), plan(slug="o", context_window=512)], 0.53)

    # Twice 0.2656, and twice 0.4996 at most.
    assert "evaluating m at 4,096, n at 4,096 costs about 0.5312 USD (0.9992 USD" in str(
        error.value
    )
    assert "the 0.53 USD of max_cost_usd" in str(error.value)
    assert "nothing was sent" in str(error.value)


def test_a_cap_needs_prices() -> None:
    with pytest.raises(EvaluationError, match="evaluating m has no known cost"):
        check_affordable([plan(), plan(prices=None)], 100.0)
