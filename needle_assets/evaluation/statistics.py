"""Means, intervals and sums over `eval_results`: one row per cell, length or model.

Column-wise over the whole table; a single answer is scored in `scoring`, a picture drawn in
`plots`.
"""

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from needle_assets.seeding import generator

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95

MIN_DRAWS = 5
"""Fewest draws that get an interval.

A bootstrap interval of a mean lies between the lowest and the highest draw, and those two enclose
the truth with a chance of 1 - 2^(1 - M) at most: 50 % for M = 2, 87.5 % for 4, 93.75 % for 5.
"""

RESAMPLES = 10_000
"""The interval's ends at five draws are the 0.1 % and 99.9 % quantiles: ten resamples each."""

_LENGTH = ["model", "context_length"]


def cell_table(results: pa.Table) -> "pd.DataFrame":
    """Mean score of each cell.

    Args:
        results: ``eval_results`` of any lengths and models.

    Returns:
        model, context_length, depth (percent), n, mean, exact (share with every field right), post
        (mean of the post's score), in this order.
    """
    return _means(_frame(results, "depth"), [*_LENGTH, "depth"])


def length_table(results: pa.Table, seed: int) -> "pd.DataFrame":
    """Mean score of each (model, context length) with its 95 % interval.

    The questions of a draw share a haystack and are not independent, so whole draws are resampled
    (cluster bootstrap: Field and Welsh, J. R. Statist. Soc. B 69, 2007). With few draws the plain
    percentile interval is too narrow, so its quantiles are moved outwards ("expanded percentile":
    Hesterberg, What Teachers Should Know About the Bootstrap, Am. Statistician 69, 2015). The
    interval speaks of other haystacks about the same needles.

    Args:
        results: ``eval_results`` of any lengths and models.
        seed: of the resampling.

    Returns:
        model, context_length, draws, n, mean, exact, post, low, high. low and high are NaN where
        no interval can be had: fewer than `MIN_DRAWS` draws, or all draws with the same mean.
    """
    frame = _frame(results, "draw")
    table = _means(frame, _LENGTH)
    draws = frame.groupby([*_LENGTH, "draw"], observed=True)["score"].agg(["sum", "count"])
    of_length = {key: draw.to_numpy(dtype=np.float64) for key, draw in draws.groupby(level=_LENGTH)}
    keys = list(zip(table["model"], table["context_length"], strict=True))
    intervals = np.array(
        [_interval(of_length[key], seed, str(key[0]), int(key[1])) for key in keys],
        dtype=np.float64,
    ).reshape(-1, 2)
    table.insert(2, "draws", [len(of_length[key]) for key in keys])
    return table.assign(low=intervals[:, 0], high=intervals[:, 1])


def field_table(results: pa.Table, leaf_names: tuple[str, ...]) -> "pd.DataFrame":
    """Share of right answers in each field: model, n, then one column per leaf, 0 to 1."""
    columns = [f"{name}_right" for name in leaf_names]
    grouped = results.select(["model", *columns]).to_pandas().groupby("model")
    shares = grouped[columns].mean().set_axis(list(leaf_names), axis=1)
    shares.insert(0, "n", grouped.size())
    table: pd.DataFrame = shares.reset_index()
    return table


def outcome_table(results: pa.Table) -> "pd.DataFrame":
    """Questions by what became of them: model, context_length, outcome, n."""
    frame = results.select([*_LENGTH, "outcome"]).to_pandas()
    counts: pd.DataFrame = frame.groupby([*_LENGTH, "outcome"]).size().rename("n").reset_index()
    return counts


def usage_table(results: pa.Table) -> "pd.DataFrame":
    """What the answers of each (model, context length) took.

    Returns:
        model, context_length, n, prompt_tokens, cached_tokens, completion_tokens (sums),
        cached_share (of the prompt tokens), latency_s (median), cost_usd (sum), priced (answers
        with a known cost). A sum over nothing known is NaN, never 0.
    """
    sums = ["prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"]
    frame = results.select([*_LENGTH, *sums, "latency_s"]).to_pandas()
    grouped = frame.groupby(_LENGTH)
    table: pd.DataFrame = grouped[sums].sum(min_count=1).astype(np.float64)
    table.insert(0, "n", grouped.size())
    table["cached_share"] = table["cached_tokens"] / table["prompt_tokens"]
    table["latency_s"] = grouped["latency_s"].median()
    table["priced"] = grouped["cost_usd"].count()
    return table.reset_index()


def _frame(results: pa.Table, *more: str) -> "pd.DataFrame":
    frame: pd.DataFrame = results.select(
        [*_LENGTH, *more, "score", "exact", "post_score"]
    ).to_pandas()
    return frame


def _means(frame: "pd.DataFrame", by: list[str]) -> "pd.DataFrame":
    return (
        frame.groupby(by)
        .agg(
            n=("score", "size"),
            mean=("score", "mean"),
            exact=("exact", "mean"),
            post=("post_score", "mean"),
        )
        .reset_index()
    )


def _interval(
    draws: npt.NDArray[np.float64], seed: int, model: str, context_length: int
) -> tuple[float, float]:
    """Ends of the interval of the mean over draws given as (sum of scores, questions)."""
    count = len(draws)
    means = draws[:, 0] / draws[:, 1]
    if count < MIN_DRAWS or np.allclose(means, means[0]):
        return np.nan, np.nan
    random = generator(seed, "bootstrap", model, context_length)
    weights = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    sums, questions = (weights @ draws).T
    tail = NormalDist().cdf(-np.sqrt(count / (count - 1)) * _student_quantile(count - 1))
    low, high = np.quantile(sums / questions, [tail, 1 - tail])
    return float(low), float(high)


def _student_quantile(freedom: int) -> float:
    """Upper quantile of Student's t at `CONFIDENCE`, two-sided.

    By the expansion of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5; right
    to 0.001 from 4 degrees of freedom up.
    """
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )
