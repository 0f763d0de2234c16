"""What using a model costs: a thousand questions, and five thousand examples of its fine-tune.

From measured tokens and dated prices. What an evaluation itself came to is `statistics`' usage
table; what one will come to, `plan`'s.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation.registry import ModelEntry, Training
from needle_assets.evaluation.scoring import Kind

if TYPE_CHECKING:
    import pandas as pd

QUERIES = 1000
"""Questions that a price is given for, and `EXAMPLES` of training: the units of the table in
"Fine-tuning LLMs for longer context and better RAG systems" (2024)."""

EXAMPLES = 5000

_LENGTH = ["model", "context_length"]
_TOKENS = ["prompt_tokens", "cached_tokens", "completion_tokens"]


def cost_table(
    results: pa.Table, entries: Mapping[str, ModelEntry], tunings: Mapping[str, Training]
) -> "pd.DataFrame":
    """What 1,000 questions about haystacks cost each model at each length, and its fine-tune.

    Measured over the sweep's answers whose tokens the server said; those of ceiling and closed
    book are not what anybody pays for in use. Tokens that the server said nothing of caching count
    as computed. Batched answers cost their share of the prices.

    Args:
        results: ``eval_results`` of any lengths and models.
        entries: the registry's entries by slug; a model without one has no known prices.
        tunings: the fine-tune of each model that has one, by slug.

    Returns:
        model, context_length, prompt_tokens (mean of a question), cached_share (of all prompt
        tokens, 0 to 1), completion_tokens (mean), usd_per_1000, as_of (day of the prices; None
        where they are unknown), training_usd_per_5000 (the fine-tune's cost scaled to as many
        examples, whatever epochs it took), n (answers with known tokens). What is unknown is NaN,
        never 0; a length that a model's window does not take has n = 0.
    """
    sweep = results.filter(pc.field("kind") == Kind.SWEEP.value)
    frame: pd.DataFrame = sweep.select([*_LENGTH, *_TOKENS, "batched"]).to_pandas()
    frame = frame.astype(dict.fromkeys(_TOKENS, np.float64))
    unknown = frame["prompt_tokens"].isna() | frame["completion_tokens"].isna()
    frame.loc[unknown, _TOKENS] = np.nan
    frame["cached_tokens"] = frame["cached_tokens"].fillna(0.0).mask(unknown)
    frame["usd"] = _dollars(frame, entries)
    grouped = frame.groupby(_LENGTH)
    sums = grouped[_TOKENS].sum(min_count=1)
    means = grouped[[*_TOKENS, "usd"]].mean()
    table: pd.DataFrame = means[["prompt_tokens"]].copy()
    table["cached_share"] = sums["cached_tokens"] / sums["prompt_tokens"]
    table["completion_tokens"] = means["completion_tokens"]
    table["usd_per_1000"] = QUERIES * means["usd"]
    table = table.reset_index()
    days = {slug: entry.prices.as_of for slug, entry in entries.items() if entry.prices}
    table["as_of"] = [days.get(slug) for slug in table["model"]]
    table["training_usd_per_5000"] = [
        _training_dollars(tunings.get(slug)) for slug in table["model"]
    ]
    table["n"] = grouped["prompt_tokens"].count().to_numpy()
    return table


def _dollars(frame: "pd.DataFrame", entries: Mapping[str, ModelEntry]) -> "pd.Series[float]":
    """Of each answer; NaN where its tokens or the model's prices are unknown."""
    import pandas as pd

    dollars = pd.Series(np.nan, index=frame.index)
    for slug, answers in frame.groupby("model"):
        entry = entries.get(str(slug))
        if entry is not None and entry.prices is not None:
            share = np.where(answers["batched"].eq(True), entry.batch_share, 1.0)
            usd = entry.prices.cost_usd(*(answers[name] for name in _TOKENS))
            dollars[answers.index] = usd * share
    return dollars


def _training_dollars(training: Training | None) -> float:
    if training is None or training.cost_usd is None or training.examples is None:
        return float("nan")
    return training.cost_usd / training.examples * EXAMPLES
