"""How many draws a 3-point difference would have needed, from the spread that was measured.

The formula is `power`'s.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from needle_assets.evaluation.scoring import Kind
from needle_assets.evaluation.statistics import intervals, power
from needle_assets.evaluation.statistics.rows import (
    CELL,
    LENGTH,
    PAIR,
    asked_rows,
    clusters,
    paired_rows,
)

if TYPE_CHECKING:
    import pandas as pd


def needed_table(results: pa.Table, bases: Mapping[str, str]) -> "pd.DataFrame":
    """Draws needed to see a difference of 3 points, tested at 5 %, two-sided, power 80 %.

    Of a single model: between two evaluations of it about different haystacks, each with so many
    draws. Of a pair: between the two models about the same haystacks.

    Args:
        results: ``eval_results`` of any lengths and models.
        bases: slug of the base of each tuned model's slug.

    Returns:
        model, base (missing for a single model), context_length, draws (measured), spread
        (standard deviation of the draws' means or of their mean differences; NaN with one draw),
        needed_draws (float; a multiple of the depths asked about, with which a sweep is balanced;
        NaN with fewer than `MIN_DRAWS` draws measured). Single models come first.
    """
    import pandas as pd

    single = asked_rows(results, Kind.SWEEP, *CELL, "draw", "score").astype({"score": np.float64})
    pairs = paired_rows(results, bases)
    lines = _needed(single, LENGTH, "score", independent=True)
    lines += _needed(pairs, PAIR, "difference", independent=False)
    columns = [*PAIR, "draws", "spread", "needed_draws"]
    return pd.DataFrame(lines, columns=columns).astype(
        {"context_length": np.int32, "draws": np.int64, "spread": float, "needed_draws": float}
    )


def _needed(
    frame: "pd.DataFrame", by: list[str], column: str, *, independent: bool
) -> list[dict[str, object]]:
    depths = dict(frame.groupby(by)["depth"].nunique().items())
    lines: list[dict[str, object]] = []
    for key, draws in clusters(frame, by, column).items():
        means = draws[:, 0] / draws[:, 1]
        spread = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
        needed = np.nan
        if len(means) >= intervals.MIN_DRAWS and not np.isnan(spread):
            at_least = power.draws_needed(spread, independent=independent)
            needed = float(-(-at_least // int(depths[key])) * int(depths[key]))
        named = {"base": None, **dict(zip(by, key, strict=True))}
        lines.append(named | {"draws": len(means), "spread": spread, "needed_draws": needed})
    return lines
