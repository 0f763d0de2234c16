"""Before the first call: what an evaluation asks, costs, takes, and how exactly it will tell.

Pure: a workload, an entry and what was measured come in. Reading the store is done under `defs`,
printing by `console`; what a running evaluation may use up is the client's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.measured import Measured
from needle_assets.evaluation.registry import ModelEntry, fits
from needle_assets.evaluation.statistics.intervals import MIN_DRAWS
from needle_assets.evaluation.statistics.power import SEEN, draws_needed, half_width
from needle_assets.evaluation.workload import Workload

CACHED_FROM = 1024
"""Tokens of a prefix that hosted servers keep (OpenAI's guide to prompt caching); shorter ones are
computed, and billed, again."""

ASSUMED_SPREAD = 0.25
"""Standard deviation of single questions' scores that is assumed of a model without results: above
all of SmolLM2's and its fine-tunes' at 512 and 1,024 tokens, which had 0.13 to 0.24."""

LEAST_FITTING = 0.5
"""Share of needles that fit below which a length asks about short biographies only."""


@dataclass(frozen=True)
class Limits:
    """What the settings say about any evaluation."""

    answer_tokens: int
    """Of one answer at most."""
    concurrency: int
    """Requests in flight at most."""
    max_tokens: int | None = None
    """Tokens of prompts and answers at which an evaluation stops."""
    max_s: float | None = None
    """Seconds at which it stops."""


@dataclass(frozen=True)
class Plan:
    """One model at one context length."""

    model: str
    context_length: int
    applicable: bool
    """Whether the model's window takes the length; else nothing is asked and all sums are 0."""
    workload: Workload
    requests: int
    """Questions of the sweep, and those of its calibration."""
    prompt_tokens: int
    """Of all prompts, each counted whole."""
    computed_tokens: int
    """Of those, what the server has to compute: the rest is in its prefix cache."""
    completion_tokens: int
    """Of all answers."""
    usd: float | None
    """None: the prices are not known."""
    usd_at_most: float | None
    """With nothing in the cache and every answer at its limit; retries not counted."""
    hours: float | None
    """None: the pace was never measured."""
    half_width: float
    """Of the 95 % interval of the mean score, 0 to 1; NaN where so few draws get none."""
    needed_draws: int
    """Draws that show a difference of `SEEN` between two evaluations about different haystacks, a
    multiple of the depths; about the same haystacks mostly fewer do."""
    notes: tuple[str, ...]
    """What the figures rest on."""
    warnings: tuple[str, ...]


def plan_evaluation(
    entry: ModelEntry, workload: Workload, *, limits: Limits, measured: Measured | None = None
) -> Plan:
    """What evaluating a model at a length comes to.

    Args:
        entry: the model.
        workload: what is asked at the length.
        limits: of the settings.
        measured: what its earlier results tell; without them assumptions stand in the notes.
    """
    known = measured or Measured()
    if not fits(entry, workload.context_length):
        return _not_applicable(entry, workload)
    notes = list(_of_workload(workload))
    requests = workload.questions + workload.calibration
    prompt = workload.prompt_tokens + workload.calibration_tokens
    cached, said = _cached(entry, workload, known)
    notes.append(said)
    answer = known.completion_tokens
    if answer is None:
        answer = float(limits.answer_tokens)
        notes.append(f"answers: {limits.answer_tokens} tokens each, their limit; none is measured")
    completion = round(requests * answer)
    hours, said = _hours(entry, requests, prompt, cached, completion, known, limits)
    notes.append(said)
    spread, said = _spread(workload, known)
    notes.append(said)
    limit = requests * limits.answer_tokens
    needed = draws_needed(spread, SEEN, independent=True)
    usd = _usd(entry, prompt, cached, completion)
    if usd is None:
        notes.append("dollars: unknown; the registry's entry has no prices")
    elif entry.batch:
        notes.append(f"dollars: batched answers at {entry.batch_share:g} of the prices")
    # Nothing stops a batch at a cap: what it may come to at most must fit.
    over = _over(entry, limits, prompt + (limit if entry.batch else completion), hours)
    return Plan(
        model=entry.slug,
        context_length=workload.context_length,
        applicable=True,
        workload=workload,
        requests=requests,
        prompt_tokens=prompt,
        computed_tokens=prompt - cached,
        completion_tokens=completion,
        usd=usd,
        usd_at_most=_usd(entry, prompt, 0, limit),
        hours=hours,
        half_width=half_width(spread, workload.draws),
        needed_draws=-(-needed // workload.depths) * workload.depths,
        notes=tuple(notes),
        warnings=(
            *_warnings(entry, workload),
            *over,
        ),
    )


def check_affordable(plans: Sequence[Plan], max_cost_usd: float | None) -> None:
    """Refuse what costs more than the cap, or may do so, before the first call.

    The dollars expected are compared; what an evaluation really uses up is capped as it runs.
    Without a cap everything passes, also what has no known price.

    Raises:
        EvaluationError: the plans come to more than ``max_cost_usd``, or a price is unknown.
    """
    if max_cost_usd is None:
        return
    asked = [plan for plan in plans if plan.applicable]
    if unknown := sorted({plan.model for plan in asked if plan.usd is None}):
        raise EvaluationError(
            f"evaluating {', '.join(unknown)} has no known cost, and max_cost_usd is "
            f"{max_cost_usd:g}: the registry's entry has no prices; add them by `needle models "
            "add --replace`, or take the cap away; nothing was sent"
        )
    dollars = sum(plan.usd or 0.0 for plan in asked)
    if dollars > max_cost_usd:
        most = sum(plan.usd_at_most or 0.0 for plan in asked)
        what = ", ".join(f"{plan.model} at {plan.context_length:,}" for plan in asked)
        raise EvaluationError(
            f"evaluating {what} costs about {dollars:.4f} USD ({most:.4f} USD with nothing cached "
            f"and every answer at its limit), more than the {max_cost_usd:g} USD of max_cost_usd; "
            "raise it, or ask less (NEEDLE_DRAWS, NEEDLE_DEPTHS); nothing was sent"
        )


def _not_applicable(entry: ModelEntry, workload: Workload) -> Plan:
    return Plan(
        model=entry.slug,
        context_length=workload.context_length,
        applicable=False,
        workload=workload,
        requests=0,
        prompt_tokens=0,
        computed_tokens=0,
        completion_tokens=0,
        usd=0.0,
        usd_at_most=0.0,
        hours=0.0,
        half_width=float("nan"),
        needed_draws=0,
        notes=(f"not applicable: the window has {entry.context_window:,} tokens",),
        warnings=(),
    )


def _of_workload(workload: Workload) -> Sequence[str]:
    counted = (
        "prompts: counted in the haystacks"
        if workload.counted
        else "prompts: estimated from the length; no such haystacks are built"
    )
    return (counted, *workload.remarks)


def _cached(entry: ModelEntry, workload: Workload, measured: Measured) -> tuple[int, str]:
    """Prompt tokens that the server will not compute again, and what that rests on."""
    behind = workload.prompt_tokens * (workload.depths - 1) / workload.depths
    if measured.cached_share is not None:
        cached = min(round(behind * measured.cached_share), workload.shared_tokens)
        return cached, (
            f"cache: {measured.cached_share:.0%} of a draw's later prompts, as measured; nothing "
            "of ceiling and closed book"
        )
    if entry.batch:
        return 0, "cache: nothing, since a batch is answered in any order; not measured"
    slots = entry.prefix_cache == "slots" or entry.base_url is None
    if not slots and workload.prefix_tokens < CACHED_FROM:
        return 0, (
            f"cache: nothing, since hosted servers keep prefixes from {CACHED_FROM:,} tokens up; "
            "not measured"
        )
    return workload.shared_tokens, (
        "cache: a draw's haystack is computed once, "
        f"{'in one slot' if slots else 'for all requests'}; assumed, not measured"
    )


def _usd(entry: ModelEntry, prompt: int, cached: int, completion: int) -> float | None:
    if entry.prices is None:
        return None
    share = entry.batch_share if entry.batch else 1.0
    return share * entry.prices.cost_usd(prompt, cached, completion)


def _hours(
    entry: ModelEntry,
    requests: int,
    prompt: int,
    cached: int,
    completion: int,
    measured: Measured,
    limits: Limits,
) -> tuple[float | None, str]:
    if entry.batch:
        return None, "hours: unknown; a batch may take a day"
    lanes = min(limits.concurrency, entry.concurrency or limits.concurrency)
    least = (prompt + completion) / entry.tokens_per_minute / 60 if entry.tokens_per_minute else 0.0
    if measured.pace is None:
        bound = f"; at least {least:.2f} by its tokens a minute" if least else ""
        return None, f"hours: unknown; the model's pace was never measured{bound}"
    seconds = measured.pace.seconds(requests, prompt - cached, completion) / lanes
    return max(seconds / 3600, least), f"hours: from measured latencies, {lanes} at a time"


def _spread(workload: Workload, measured: Measured) -> tuple[float, str]:
    if measured.spread is not None:
        spread = measured.spread.at(workload.depths)
        return spread, f"interval: the means of draws spread by {spread:.3f}, as measured"
    spread = ASSUMED_SPREAD / workload.depths**0.5
    return spread, (
        f"interval: assumes that single questions spread by {ASSUMED_SPREAD:g} and draws by "
        "nothing else; not measured"
    )


def _warnings(entry: ModelEntry, workload: Workload) -> list[str]:
    found = []
    if not workload.balanced:
        found.append(
            f"{workload.draws} draws are no multiple of {workload.depths} depths: not every "
            "needle visits every depth"
        )
    if workload.draws < MIN_DRAWS:
        found.append(f"fewer than {MIN_DRAWS} draws get no interval")
    supply = workload.supply
    if supply is not None and supply.fitting < workload.people:
        found.append(
            f"only {supply.fitting:,} needles of at most {supply.longest_bio:,} tokens fit, but "
            f"{workload.people:,} people are asked about: use a larger corpus, fewer draws or "
            "fewer depths"
        )
    elif supply is not None and supply.share < LEAST_FITTING:
        found.append(
            f"only {supply.share:.0%} of the needles fit (at most {supply.longest_bio:,} tokens): "
            "fewer depths would ask about longer biographies, too"
        )
    if entry.tokens_per_minute is not None and workload.context_length > entry.tokens_per_minute:
        found.append(
            f"one prompt has more tokens than the {entry.tokens_per_minute:,} that the server "
            "takes in a minute: every question would be rejected"
        )
    return found


def _over(entry: ModelEntry, limits: Limits, tokens: int, hours: float | None) -> list[str]:
    found = []
    if limits.max_tokens is not None and tokens > limits.max_tokens:
        found.append(
            f"{tokens:,} tokens are more than the {limits.max_tokens:,} of NEEDLE_EVAL_MAX_TOKENS: "
            + ("no batch will be made" if entry.batch else "it will stop and can be resumed")
        )
    if limits.max_s is not None and (hours or 0.0) * 3600 > limits.max_s:
        found.append(
            f"{hours or 0.0:.2f} hours are more than the {limits.max_s / 3600:.2f} of "
            "NEEDLE_EVAL_MAX_S: it will stop and can be resumed"
        )
    return found
