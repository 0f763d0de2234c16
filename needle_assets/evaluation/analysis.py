"""What the report says beyond means: bias, effective length, causes, prices, draws, history.

Numbers come from `statistics`, `anatomy`, `costs` and `evaluations`, pictures from `plots`; here
they are put side by side and into words. The page around it is `report`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from needle_assets.evaluation import plots
from needle_assets.evaluation.anatomy import anatomy_table, chance_table, swap_table
from needle_assets.evaluation.costs import cost_table
from needle_assets.evaluation.evaluations import Evaluation, evaluations_table
from needle_assets.evaluation.fine_tunes import families, in_order
from needle_assets.evaluation.formats import records
from needle_assets.evaluation.registry import ModelEntry, Training
from needle_assets.evaluation.statistics import (
    MIN_DRAWS,
    drop_table,
    effective_table,
    length_table,
    needed_table,
    position_table,
    usage_table,
)
from needle_assets.labels.task import Task

if TYPE_CHECKING:
    import pandas as pd

    from needle_assets.evaluation.plots.style import AnyChart

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A picture and the rows of its table."""

    chart: "AnyChart | None"
    """None where a picture would show nothing that the table does not."""
    rows: Rows


@dataclass(frozen=True)
class Failures:
    """Why fields were wrong, and where the facts of others that were answered stand."""

    causes: "AnyChart"
    titles: Mapping[str, str]
    """In words, of each cause, in the order of the columns."""
    rows: Rows
    """By model and context length: n (wrong fields), then the number of each cause."""
    offsets: "AnyChart | None"
    """This and the next are None where no fact was swapped."""
    places: "AnyChart | None"
    chance: Rows
    """By model: traced, here, elsewhere, excess as in `anatomy.chance_table`."""


@dataclass(frozen=True)
class Prices:
    """What using the models takes."""

    usage: "AnyChart | None"
    rows: Rows
    """Of `costs.cost_table`, with the median latency_s, and tuned: whether it is a fine-tune."""
    totals: Rows
    """Of `statistics.usage_table`."""


@dataclass(frozen=True)
class Needed:
    """How many draws a small difference takes."""

    sentences: Sequence[str]
    rows: Rows


@dataclass(frozen=True)
class Analysis:
    """The sections of the page in their order; None where there is nothing to say."""

    corrected: Section | None
    position: Section | None
    effective: Section | None
    drops: Rows
    """Of `statistics.drop_table`; none where one length alone was asked."""
    failures: Failures | None
    prices: Prices | None
    needed: Needed | None
    over_time: Section | None


def analysis(
    task: Task,
    results: pa.Table,
    seed: int,
    *,
    entries: Mapping[str, ModelEntry],
    tunings: Mapping[str, Training],
    evaluations: Sequence[Evaluation] = (),
) -> Analysis:
    """What there is to say about the results beyond their means and fine-tunes.

    Args:
        task: the task that was asked.
        results: ``eval_results`` of all lengths and models, with rows.
        seed: of the intervals.
        entries: the models as registered, by slug; without a model's, its prices are unknown.
        tunings: the fine-tune of each tuned model, by slug.
        evaluations: all that were ever made, in their order.
    """
    bases = {slug: training.base for slug, training in tunings.items()}
    lengths = length_table(results, seed)
    order = families(lengths["model"], bases)
    lengths = in_order(lengths, order)
    return Analysis(
        corrected=_corrected(lengths),
        position=_position(in_order(position_table(results, seed), order)),
        effective=_effective(in_order(effective_table(results, seed), order), lengths),
        drops=records(in_order(drop_table(results, seed), order))
        if lengths["context_length"].nunique() > 1
        else [],
        failures=_failures(
            task,
            *(
                in_order(table, order)
                for table in (anatomy_table(results), swap_table(results), chance_table(results))
            ),
        ),
        prices=_prices(
            in_order(cost_table(results, entries, tunings), order),
            in_order(usage_table(results), order),
            lengths,
            tunings,
        ),
        needed=_needed(in_order(needed_table(results, bases), order)),
        over_time=_over_time(evaluations_table(evaluations), order),
    )


def _corrected(lengths: "pd.DataFrame") -> Section | None:
    if lengths["corrected"].isna().all():
        return None
    return Section(plots.corrected_curve(lengths), records(lengths[lengths["n"] > 0]))


def _effective(table: "pd.DataFrame", lengths: "pd.DataFrame") -> Section | None:
    if table.empty:
        return None
    asked = lengths[lengths["n"] > 0].groupby("model")["context_length"]
    ends = {str(model): (int(of.min()), int(of.max())) for model, of in asked}
    told = [_effective_in_words(row, *ends[row["model"]]) for row in records(table)]
    said = table.assign(**{name: [words[name] for words in told] for name in ("said", "interval")})
    # One length says no more than whether it passes.
    drawn = lengths["context_length"].nunique() > 1 and table["threshold"].notna().any()
    return Section(
        plots.effective_lengths(said, lengths) if drawn else None,
        [row | {"title": plots.DEFINITIONS[row["definition"]]} for row in records(said)],
    )


def _effective_in_words(row: Mapping[str, Any], shortest: int, longest: int) -> dict[str, str]:
    """The effective length of a row and the ends of its interval, with what lies beyond them."""

    def length(tokens: float) -> str:
        if math.isnan(tokens):
            return f"< {shortest:,}"
        return f"≥ {longest:,}" if tokens == longest else f"{tokens:,.0f}"

    if math.isnan(row["threshold"]):
        return {"said": "unknown", "interval": ""}
    told = row["draws"] >= MIN_DRAWS
    return {
        "said": length(row["effective_length"]),
        "interval": f"{length(row['low'])} to {length(row['high'])}" if told else "",
    }


def _position(table: "pd.DataFrame") -> Section | None:
    known = table.dropna(subset="difference")
    if known.empty:
        return None
    return Section(plots.position_bias(known), records(known))


def _failures(
    task: Task, causes: "pd.DataFrame", swaps: "pd.DataFrame", chance: "pd.DataFrame"
) -> Failures | None:
    if causes.empty:
        return None
    keys = ["model", "context_length"]
    wide = causes.pivot_table(index=keys, columns="cause", values="n", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=[str(cause) for cause in plots.CAUSES], fill_value=0)
    wide.insert(0, "n", wide.sum(axis="columns"))
    return Failures(
        causes=plots.causes(causes, task.leaf_names),
        titles={cause: title for cause, (title, _) in plots.CAUSES.items()},
        rows=records(in_order(wide.reset_index(), list(dict.fromkeys(causes["model"])))),
        offsets=plots.swap_offsets(swaps) if len(swaps) else None,
        places=plots.swap_places(swaps) if len(swaps) else None,
        chance=records(_pooled(chance)),
    )


def _pooled(chance: "pd.DataFrame") -> "pd.DataFrame":
    """Shares of all of a model's traced fields: each length and field with its own number."""
    shares = ["here", "elsewhere", "excess"]
    weighted = chance.assign(**{name: chance[name] * chance["traced"] for name in shares})
    table: pd.DataFrame = weighted.groupby("model", sort=False)[["traced", *shares]].sum()
    table[shares] = table[shares].div(table["traced"], axis="index")
    return table.reset_index()


def _prices(
    costs: "pd.DataFrame",
    usage: "pd.DataFrame",
    lengths: "pd.DataFrame",
    tunings: Mapping[str, Training],
) -> Prices | None:
    key = ["model", "context_length"]
    told = usage.rename(columns={"cached_share": "reported"})[[*key, "latency_s", "reported"]]
    costs = costs.merge(told, on=key, how="left", validate="one_to_one")
    # What a server does not report was not measured to be 0, though it is paid for as if it were.
    costs["cached_share"] = costs["cached_share"].where(costs["reported"].notna())
    drawn = lengths[[*key, "draws", "n"]].merge(
        costs[[*key, "latency_s", "cached_share"]], on=key, how="left", validate="one_to_one"
    )
    known = drawn[["latency_s", "cached_share"]].notna().any(axis=None)
    priced = costs[costs["n"] > 0]
    if priced.empty and not known:
        return None
    return Prices(
        usage=plots.usage(drawn) if known else None,
        rows=records(priced.assign(tuned=priced["model"].isin(list(tunings)))),
        totals=records(usage[usage["n"] > 0]),
    )


def _needed(table: "pd.DataFrame") -> Needed | None:
    known = table.dropna(subset="needed_draws")
    if known.empty:
        return None
    return Needed(list(_needs(known)), records(known))


def _needs(table: "pd.DataFrame") -> Iterator[str]:
    """A sentence per model and pair, about the length that takes the most draws."""
    for (model, base), rows in table.groupby(["model", "base"], sort=False, dropna=False):
        row = rows.sort_values("needed_draws", kind="stable").iloc[-1]
        alone = base is None or base != base
        yield (
            f"{model if alone else f'{model} minus {base}'}: {row['needed_draws']:,.0f} draws "
            f"({row['draws']:,} were made), at {row['context_length']:,} tokens, where it takes "
            "most."
        )


def _over_time(table: "pd.DataFrame", order: Sequence[str]) -> Section | None:
    asked = table.dropna(subset=["evaluated_at", "mean"])
    count = asked.groupby(["model", "context_length"])["number"].transform("size")
    again = asked[count > 1]
    if again.empty:
        return None
    models = [*order, *sorted(set(again["model"]) - set(order))]
    ordered = in_order(again, models)
    return Section(plots.over_time(ordered), records(ordered))
