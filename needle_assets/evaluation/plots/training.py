"""The picture of a fine-tune: its losses, step by step.

What the fine-tune changed in the scores is `scores`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.plots.style import COLOURS, QUIET, integer, require, styled

if TYPE_CHECKING:
    import pandas as pd

    from needle_assets.evaluation.plots.style import AnyChart

_POINTS = 200
"""Reports that are drawn; more would make the picture large and no clearer."""

_TRAIN, _VALID = "training", "validation"


def training_curve(points: "pd.DataFrame", title: str) -> "AnyChart":
    """Losses of a fine-tune over its steps, and its learning rate below them where it is known.

    Args:
        points: step and train_loss, one row per report of the trainer in the order in which they
            came; where known, valid_loss and learning_rate as well. What is not known is NaN. Of
            a step that was reported twice, as after a resume, the last value counts.
        title: of the picture.

    Of more than `_POINTS` reports, the means of equally many neighbours are drawn; the subtitle
    says so.

    Raises:
        EvaluationError: no step has a loss.
    """
    import altair as alt

    require(points, "a training curve")
    known = _known(points)
    if not known["train_loss"].notna().any():
        raise EvaluationError(f"{title}: none of {len(points)} steps has a training loss")
    drawn, together = _thinned(known)
    x = alt.X(
        "step:Q",
        title=None if _has(drawn, "learning_rate") else "step",
        scale=alt.Scale(domain=[0, max(known["step"].max(), 1)], nice=False),
        axis=alt.Axis(format=",d", grid=False, tickMinStep=1),
    )
    losses = drawn.melt(["step"], ["train_loss", "valid_loss"], "kind", "loss").dropna()
    losses["kind"] = losses["kind"].map({"train_loss": _TRAIN, "valid_loss": _VALID})
    base = alt.Chart(losses).encode(
        x=x,
        y=alt.Y("loss:Q", title="loss"),
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=[_TRAIN, _VALID], range=list(COLOURS[:2])),
            legend=alt.Legend(title=None, orient="top") if _has(drawn, "valid_loss") else None,
        ),
    )
    layers: list[Any] = [base.transform_filter(alt.datum.kind == _TRAIN).mark_line(strokeWidth=1.5)]
    if _has(drawn, "valid_loss"):
        layers.append(
            base.transform_filter(alt.datum.kind == _VALID).mark_point(
                filled=True, size=55, opacity=1
            )
        )
    heading = alt.TitleParams(title, subtitle=_facts(known, together))
    upper = alt.layer(*layers).properties(width=560, height=220, title=heading)
    if not _has(drawn, "learning_rate"):
        return styled(upper)
    lower = (
        alt.Chart(drawn.dropna(subset=["learning_rate"]))
        .mark_line(color=QUIET, strokeWidth=1.25)
        .encode(
            x=x.title("step"),
            y=alt.Y(
                "learning_rate:Q",
                title="learning rate",
                axis=alt.Axis(
                    tickCount=2,
                    titleColor=QUIET,
                    labelColor=QUIET,
                    labelExpr="datum.value == 0 ? '0' : format(datum.value, '~e')",
                ),
            ),
        )
        .properties(width=560, height=56)
    )
    return styled(alt.vconcat(upper, lower, spacing=12).resolve_scale(color="independent"))


def _known(points: "pd.DataFrame") -> "pd.DataFrame":
    """One row per step, in their order, with all columns that are drawn."""
    values = ["train_loss", "valid_loss", "learning_rate"]
    reports = points.reindex(columns=["step", *values]).astype(np.float64)
    # What is missing in a step's last report may stand in an earlier one: losses come one by one.
    return reports.groupby("step")[values].last().reset_index()


def _thinned(points: "pd.DataFrame") -> tuple["pd.DataFrame", int]:
    """At most `_POINTS` rows, and how many reports each is the mean of."""
    together = -(-len(points) // _POINTS)
    if together == 1:
        return points, 1
    return points.groupby(np.arange(len(points)) // together).mean(), together


def _has(points: "pd.DataFrame", column: str) -> bool:
    return bool(points[column].notna().any())


def _facts(points: "pd.DataFrame", together: int) -> str:
    train, valid = points["train_loss"].dropna(), points["valid_loss"].dropna()
    facts = [
        f"{integer(points['step'].iloc[-1])} steps",
        f"training loss {train.iloc[0]:.2f} to {train.iloc[-1]:.2f}",
    ]
    if len(valid):
        facts.append(f"validation loss {valid.iloc[-1]:.2f} at last")
    if together > 1:
        facts.append(f"drawn as means of {together} reports each")
    return " · ".join(facts)
