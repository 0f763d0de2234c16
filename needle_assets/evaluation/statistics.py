"""Means, intervals and sums over `eval_results`: one row per cell, length or model.

Scores are the sweep's; what they are measured against stands beside them, in columns of its own.
A single answer is scored in `scoring`, a picture drawn in `plots`.
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation.scoring import Kind
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

REFERENCES = (Kind.FLOOR, Kind.CLOSED_BOOK, Kind.CEILING)
"""What a mean is measured against."""

_LENGTH = ["model", "context_length"]
_PAIR = ["model", "base", "context_length"]
_SAME_QUESTION = ["context_length", "haystacks_version", "example_id"]


def cell_table(results: pa.Table) -> "pd.DataFrame":
    """Mean score of each cell.

    Args:
        results: ``eval_results`` of any lengths and models.

    Returns:
        model, context_length, depth (percent), n, mean, exact (share with every field right), post
        (mean of the post's score), in this order.
    """
    return _means(_scores(results, "depth"), [*_LENGTH, "depth"])


def length_table(results: pa.Table, seed: int) -> "pd.DataFrame":
    """Mean score of each (model, context length) with its 95 % interval.

    The questions of a draw share a haystack and are not independent, so whole draws are resampled
    (cluster bootstrap: Field and Welsh, J. R. Statist. Soc. B 69, 2007). With few draws the plain
    percentile interval is too narrow, so its quantiles are moved outwards ("expanded percentile":
    Hesterberg, What Teachers Should Know About the Bootstrap, Am. Statistician 69, 2015). The
    interval speaks of other haystacks about the same needles.

    Floor, closed book and ceiling are means over the same questions, each with the score that its
    needle has there: a needle that is asked about twice counts twice there, too.

    Args:
        results: ``eval_results`` of any lengths and models.
        seed: of the resampling.

    Returns:
        model, context_length, draws, n (questions), mean, exact, post, needles (different ones),
        floor, closed_book, ceiling, low, high. low and high are NaN where no interval can be had:
        fewer than `MIN_DRAWS` draws, or all draws with the same mean.
    """
    frame = _scores(results, "draw", "bio_id")
    table = _means(frame, _LENGTH)
    table["needles"] = frame.groupby(_LENGTH)["bio_id"].nunique().to_numpy()
    for kind in REFERENCES:
        beside = _beside(results, kind, "score")
        table[kind.value] = beside.groupby(_LENGTH)["score"].mean(skipna=False).to_numpy()
    table.insert(2, "draws", frame.groupby(_LENGTH)["draw"].nunique().to_numpy())
    return _with_intervals(table, frame, "score", "draw", seed)


def overall(lengths: "pd.DataFrame", column: str) -> float:
    """Mean of a column of `length_table` over its rows, each with the weight of its questions."""
    return float((lengths[column] * lengths["n"]).sum(skipna=False) / lengths["n"].sum())


def closed_book_table(results: pa.Table, seed: int) -> "pd.DataFrame":
    """How much more a model scores by the name alone than the best constant answer does.

    The two are compared needle by needle, and needles are resampled as draws are in
    `length_table`: the interval speaks of other needles.

    Returns:
        model, context_length, needles, gain (difference of the means), low, high (95 %; NaN with
        fewer than `MIN_DRAWS` needles or when all gain the same).
    """
    frame = _beside(results, Kind.CLOSED_BOOK, "score")
    frame["gain"] = frame["score"] - _beside(results, Kind.FLOOR, "score")["score"]
    grouped = frame.groupby(_LENGTH)
    table: pd.DataFrame = grouped["bio_id"].nunique().rename("needles").reset_index()
    table["gain"] = grouped["gain"].mean(skipna=False).to_numpy()
    return _with_intervals(table, frame, "gain", "bio_id", seed)


def difference_cells(results: pa.Table, bases: Mapping[str, str]) -> "pd.DataFrame":
    """How much more a fine-tuned model scores than its base in each cell.

    Question by question: what only one of the two was asked, or asked about other haystacks,
    does not count. Without a common question a pair has no rows.

    Args:
        results: ``eval_results`` of any lengths and models.
        bases: slug of the base of each tuned model's slug.

    Returns:
        model (the tuned one), base, context_length, depth (percent), n (questions that both
        answered), difference (of the mean scores, -1 to 1).
    """
    frame = _paired(results, bases)
    table: pd.DataFrame = (
        frame.groupby([*_PAIR, "depth"])
        .agg(n=("difference", "size"), difference=("difference", "mean"))
        .reset_index()
    )
    return table


def difference_table(results: pa.Table, bases: Mapping[str, str], seed: int) -> "pd.DataFrame":
    """How much more a fine-tuned model scores than its base and than the best constant answer.

    Both differences are taken question by question, and whole draws are resampled as in
    `length_table`: two models that find the same haystack hard differ by less than either varies.

    Args:
        results: ``eval_results`` of any lengths and models.
        bases: slug of the base of each tuned model's slug.
        seed: of the resampling.

    Returns:
        model (the tuned one), base, context_length, draws, n (questions that both answered),
        base_mean, mean, difference, low, high, floor, over_floor, floor_low, floor_high. The
        intervals are NaN as in `length_table`; what rests on an unknown floor is NaN as well.
    """
    frame = _paired(results, bases)
    grouped = frame.groupby(_PAIR)
    table: pd.DataFrame = grouped["draw"].nunique().rename("draws").reset_index()
    table["n"] = grouped.size().to_numpy()
    columns = ["base_mean", "mean", "difference", "floor", "over_floor"]
    table[columns] = grouped[columns].mean(skipna=False).to_numpy()
    over_floor = _with_intervals(table, frame, "over_floor", "draw", seed)
    table = _with_intervals(table, frame, "difference", "draw", seed)
    table[["floor_low", "floor_high"]] = over_floor[["low", "high"]]
    order = ["draws", "n", *columns[:3], "low", "high", *columns[3:], "floor_low", "floor_high"]
    return table[[*_PAIR, *order]]


def leaderboard_table(results: pa.Table, bases: Mapping[str, str], seed: int) -> "pd.DataFrame":
    """`length_table` with what `difference_table` knows about its rows.

    Returns:
        The columns of `length_table`, then base, pairs (questions that both answered), difference,
        difference_low, difference_high, over_floor, over_floor_low, over_floor_high: missing for
        a model without a base that answered the same questions.
    """
    names = {
        "n": "pairs",
        "difference": "difference",
        "low": "difference_low",
        "high": "difference_high",
        "over_floor": "over_floor",
        "floor_low": "over_floor_low",
        "floor_high": "over_floor_high",
    }
    differences = difference_table(results, bases, seed)[[*_PAIR, *names]].rename(columns=names)
    lengths = length_table(results, seed)
    return lengths.merge(differences, on=_LENGTH, how="left", validate="one_to_one")


def field_table(
    results: pa.Table, leaf_names: tuple[str, ...], kind: Kind = Kind.SWEEP
) -> "pd.DataFrame":
    """Share of right answers in each field: model, n, then one column per leaf, 0 to 1.

    Those of another kind than the sweep are means over the sweep's questions as in
    `length_table`; n is then how many answers of that kind there are.
    """
    columns = [f"{name}_right" for name in leaf_names]
    frame = (
        _rows(results, Kind.SWEEP, "model", *columns)
        if kind is Kind.SWEEP
        else _beside(results, kind, *columns)
    )
    shares = frame.groupby("model")[columns].mean(skipna=False).set_axis(list(leaf_names), axis=1)
    counts = _rows(results, kind, "model").groupby("model").size()
    shares.insert(0, "n", counts.reindex(shares.index, fill_value=0))
    table: pd.DataFrame = shares.reset_index()
    return table


def outcome_table(results: pa.Table) -> "pd.DataFrame":
    """Questions of the sweep by what became of them: model, context_length, outcome, n."""
    frame = _rows(results, Kind.SWEEP, *_LENGTH, "outcome")
    counts: pd.DataFrame = frame.groupby([*_LENGTH, "outcome"]).size().rename("n").reset_index()
    return counts


def usage_table(results: pa.Table) -> "pd.DataFrame":
    """What the answers of each (model, context length) took, those of the calibration included.

    Returns:
        model, context_length, n (questions asked), prompt_tokens, cached_tokens,
        completion_tokens (sums), cached_share (of the prompt tokens), latency_s (median of the
        sweep), cost_usd (sum), priced (answers with a known cost), answer_usd (mean cost of an
        answer of the sweep). A sum or mean over nothing known is NaN, never 0.
    """
    sums = ["prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"]
    # Nobody was asked for the floor: its zeros are not known prices.
    asked = results.filter(pc.field("kind") != Kind.FLOOR.value)
    grouped = asked.select([*_LENGTH, *sums]).to_pandas().groupby(_LENGTH)
    sweep = _rows(results, Kind.SWEEP, *_LENGTH, "latency_s", "cost_usd").groupby(_LENGTH)
    table: pd.DataFrame = grouped[sums].sum(min_count=1).astype(np.float64)
    table.insert(0, "n", grouped.size())
    table["cached_share"] = table["cached_tokens"] / table["prompt_tokens"]
    table["latency_s"] = sweep["latency_s"].median()
    table["priced"] = grouped["cost_usd"].count()
    table["answer_usd"] = sweep["cost_usd"].mean()
    return table.reset_index()


def _rows(results: pa.Table, kind: Kind, *columns: str) -> "pd.DataFrame":
    """Columns of the rows of one kind."""
    chosen = results.filter(pc.field("kind") == kind.value)
    frame: pd.DataFrame = chosen.select(list(columns)).to_pandas()
    return frame


def _scores(results: pa.Table, *more: str) -> "pd.DataFrame":
    """The sweep's scores."""
    return _rows(results, Kind.SWEEP, *_LENGTH, *more, "score", "exact", "post_score")


def _beside(results: pa.Table, kind: Kind, *columns: str) -> "pd.DataFrame":
    """A row per question of the sweep, in their order, with its needle's columns of a kind."""
    key = [*_LENGTH, "bio_id"]
    frame = _rows(results, Kind.SWEEP, *key).merge(
        _rows(results, kind, *key, *columns), on=key, how="left", validate="many_to_one"
    )
    return frame.astype(dict.fromkeys(columns, np.float64))


def _paired(results: pa.Table, bases: Mapping[str, str]) -> "pd.DataFrame":
    """The sweep's questions that both a tuned model and its base answered, with both scores.

    Returns:
        model, base, context_length, depth, draw, mean, base_mean, difference, floor, over_floor.
    """
    key = [*_LENGTH, "bio_id"]
    frame = _rows(results, Kind.SWEEP, *key, *_SAME_QUESTION[1:], "depth", "draw", "score")
    floor = _rows(results, Kind.FLOOR, *key, "score").rename(columns={"score": "floor"})
    tuned = frame.rename(columns={"score": "mean"})
    tuned.insert(1, "base", tuned["model"].map(dict(bases)).astype("str"))
    base = frame[["model", *_SAME_QUESTION, "score"]].set_axis(
        ["base", *_SAME_QUESTION, "base_mean"], axis=1
    )
    pairs = tuned.merge(base, on=["base", *_SAME_QUESTION], validate="many_to_one").merge(
        floor, on=key, how="left", validate="many_to_one"
    )
    scores = ["mean", "base_mean", "floor"]
    pairs[scores] = pairs[scores].astype(np.float64)
    pairs["difference"] = pairs["mean"] - pairs["base_mean"]
    pairs["over_floor"] = pairs["mean"] - pairs["floor"]
    return pairs


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


def _with_intervals(
    table: "pd.DataFrame", frame: "pd.DataFrame", column: str, cluster: str, seed: int
) -> "pd.DataFrame":
    """A table of lengths with the ends of its means' intervals, low and high.

    ``frame`` has the questions; those with the same value of ``cluster`` are resampled together.
    """
    grouped = frame.groupby([*_LENGTH, cluster])[column]
    clusters = grouped.sum(skipna=False).to_frame("sum").assign(questions=grouped.size())
    of_length = {key: rows.to_numpy(np.float64) for key, rows in clusters.groupby(level=_LENGTH)}
    intervals = [
        _interval(of_length[model, length], seed, cluster, str(model), int(length))
        for model, length in zip(table["model"], table["context_length"], strict=True)
    ]
    ends = np.array(intervals, dtype=np.float64).reshape(-1, 2)
    return table.assign(low=ends[:, 0], high=ends[:, 1])


def _interval(
    clusters: npt.NDArray[np.float64], seed: int, *scope: str | int
) -> tuple[float, float]:
    """Ends of the interval of the mean over clusters given as (sum of scores, questions)."""
    count = len(clusters)
    means = clusters[:, 0] / clusters[:, 1]
    if count < MIN_DRAWS or np.isnan(means).any() or np.allclose(means, means[0]):
        return np.nan, np.nan
    random = generator(seed, "bootstrap", *scope)
    weights = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    sums, questions = (weights @ clusters).T
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
