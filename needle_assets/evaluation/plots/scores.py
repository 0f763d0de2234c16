"""Pictures of scores: over depth and length, over length alone, and what a fine-tune changed.

What a number means, and how it was computed, is `statistics`.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from needle_assets.evaluation.plots.style import COLOURS, INK, QUIET, require, signed, styled

if TYPE_CHECKING:
    import pandas as pd

    from needle_assets.evaluation.plots.style import AnyChart

_CELL_WIDTH, _CELL_HEIGHT = 76, 38
_PANEL_LEAST = 150
"""Pixels of the axis title, which may not reach beyond its panel."""
_PANELS_WIDTH = 1000
"""Pixels that heatmaps side by side may take before they wrap."""

_NEWLINE = "\t"
"""Between the lines of a panel's title: in no model's name."""
_LETTER = 7.2
"""Pixels that a letter of such a title takes on average; measured on slugs."""

_DARK = 0.75
"""Difference beyond which white stands out better than ink from the diverging colours."""

_DODGE = 0.05
"""Octaves between the points of two models at one length, so that their intervals stay legible."""

_MARGIN = 1.3
"""Factor that a curve's axis goes on beyond its first and last length."""
_OVERHANG = 0.03
"""Share of a curve's width that the lines of ceiling, closed book and floor go on at their ends."""

_BESIDE = {
    "ceiling": ("ceiling: the needle alone", [7, 3]),
    "closed_book": ("closed book: the name alone", [2, 2]),
    "floor": ("floor: best constant answer", [9, 2, 2, 2]),
}
"""Columns of `statistics.length_table` that a mean is measured against: legend and dashes."""


def heatmap(cells: "pd.DataFrame") -> "AnyChart":
    """Mean score over depth and context length, a panel per model.

    Args:
        cells: of `statistics.cell_table`: model, context_length, depth (percent), n, mean.

    Each cell shows its mean and its number of questions. Depth 0 % (the haystack's start) is on
    top. The colours are viridis, from 0 to 1 always, so that any two heatmaps compare.

    Raises:
        EvaluationError: no cells.
    """
    import altair as alt

    require(cells, "a heatmap")
    # Viridis is dark below the middle of the scale.
    ink = alt.when(alt.datum.mean < 0.5).then(alt.value("white")).otherwise(alt.value(INK))
    colour = alt.Color(
        "mean:Q",
        scale=alt.Scale(scheme="viridis", domain=[0, 1]),
        legend=alt.Legend(title="mean score", format=".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )
    data = cells[["model", "context_length", "depth", "n", "mean"]]
    return _panels(data, alt.Text("mean:Q", format=".2f"), colour, ink)


def difference_heatmap(cells: "pd.DataFrame") -> "AnyChart":
    """How much more a fine-tuned model scores than its base, a panel per pair.

    Args:
        cells: of `statistics.difference_cells`: model, base, context_length, depth (percent), n,
            difference.

    Each cell shows its difference with its sign, and its number of questions. Blue is a gain and
    orange a loss, which no colour vision mistakes for each other; the colours go from -1 to 1
    always, with white at 0.

    Raises:
        EvaluationError: no cells.
    """
    import altair as alt

    require(cells, "a heatmap of differences")
    ink = (
        alt.when((alt.datum.difference < -_DARK) | (alt.datum.difference > _DARK))
        .then(alt.value("white"))
        .otherwise(alt.value(INK))
    )
    colour = alt.Color(
        "difference:Q",
        scale=alt.Scale(scheme="blueorange", reverse=True, domain=[-1, 1], domainMid=0),
        legend=alt.Legend(
            title="difference",
            values=[-1, -0.5, 0, 0.5, 1],
            labelExpr="datum.value == 0 ? '0' : format(datum.value, '+.1f')",
        ),
    )
    data = cells[["context_length", "depth", "n", "difference"]].assign(
        model=cells["model"] + _NEWLINE + "− " + cells["base"], text=cells["difference"].map(signed)
    )
    return _panels(data, alt.Text("text:N"), colour, ink)


def _panels(data: "pd.DataFrame", text: Any, colour: Any, ink: Any) -> "AnyChart":
    """Cells of depth and context length with their text and n, a panel per model."""
    import altair as alt

    width = max(_CELL_WIDTH * data["context_length"].nunique(), _PANEL_LEAST)
    if data["model"].nunique() > 1:
        data = data.assign(model=data["model"].map(lambda name: _wrapped(name, width)))
    models = list(dict.fromkeys(data["model"]))
    height = _CELL_HEIGHT * data["depth"].nunique()
    base = alt.Chart(data).encode(
        x=alt.X(
            "context_length:O",
            title="context length (tokens)",
            axis=alt.Axis(labelAngle=0, format=",d", formatType="number"),
        ),
        y=alt.Y(
            "depth:O",
            title="needle depth (%)",
            axis=alt.Axis(format=".0f", formatType="number"),
        ),
    )
    layers = alt.layer(
        base.mark_rect(stroke="white", strokeWidth=1.5).encode(color=colour),
        base.mark_text(dy=-5, fontSize=13, fontWeight=600).encode(text=text, color=ink),
        base.mark_text(dy=10, fontSize=9.5).encode(text="count:N", color=ink),
    ).transform_calculate(count="'n = ' + datum.n")
    panels = layers.properties(width=width, height=height)
    if len(models) == 1:
        return styled(panels.properties(title=models[0].split(_NEWLINE)))
    return styled(
        panels.facet(
            alt.Facet(
                "model:N",
                sort=models,
                title=None,
                header=alt.Header(
                    labelFontSize=13,
                    labelFontWeight="bold",
                    labelColor=INK,
                    labelLimit=width,
                    labelExpr=f"split(datum.label, '{_NEWLINE}')",
                ),
            ),
            columns=max(1, _PANELS_WIDTH // (width + 60)),
            spacing=28,
        )
    )


def _wrapped(title: str, width: int) -> str:
    """The title in lines that a panel has room for, broken behind hyphens where it can be."""
    lines = []
    for line in title.split(_NEWLINE):
        held = ""
        for part in re.split(r"(?<=-)", line):
            if held and len(held + part) * _LETTER > width:
                lines.append(held)
                held = ""
            held += part
        lines.append(held)
    return _NEWLINE.join(lines)


def curve(lengths: "pd.DataFrame", trained: Mapping[str, int] | None = None) -> "AnyChart":
    """Mean score over context length, a line per model, and what it is measured against.

    Args:
        lengths: of `statistics.length_table`: model, context_length, mean, low, high, floor,
            closed_book, ceiling.
        trained: the context length that a fine-tuned model was trained at, by model; it is marked
            above the lines.

    Means have 95 % intervals where there are any. Ceiling and closed book are thin and broken, in
    their model's colour: lines for one model, a short piece at each length for several, whose
    lines would cross. The floor is grey, since it is no model's. Points of different models at one
    length stand a little apart on the (logarithmic) axis.

    Raises:
        EvaluationError: no rows.
    """
    import altair as alt

    require(lengths, "a curve")
    models = list(dict.fromkeys(lengths["model"]))
    marked = {model: at for model, at in (trained or {}).items() if model in models}
    keys = sorted({int(value) for value in lengths["context_length"]} | set(marked.values()))
    place = {model: _DODGE * (at - (len(models) - 1) / 2) for at, model in enumerate(models)}
    data = lengths[["model", "context_length", "mean", "low", "high", *_BESIDE]].assign(
        x=lengths["context_length"] * np.exp2(lengths["model"].map(place).to_numpy(float))
    )
    x = alt.X(
        "x:Q",
        title="context length (tokens)",
        scale=alt.Scale(type="log", base=2, domain=[keys[0] / _MARGIN, keys[-1] * _MARGIN]),
        axis=alt.Axis(values=keys, format=",d", grid=False, labelOverlap="greedy"),
    )
    y_title = "mean score (share of fields right)"
    y = alt.Y(
        "mean:Q",
        title=y_title,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], format=".1f"),
    )
    # Colour and shape share one legend, so that the lines are told apart in grey as well.
    legend = (
        alt.Legend(title=None, orient="top", symbolSize=70, offset=30 if marked else 18)
        if models[1:]
        else None
    )
    colours = [COLOURS[at % len(COLOURS)] for at in range(len(models))]
    colour = alt.Color(
        "model:N", sort=models, scale=alt.Scale(domain=models, range=colours), legend=legend
    )
    shape = alt.Shape("model:N", sort=models, scale=alt.Scale(domain=models), legend=legend)
    base = alt.Chart(data).encode(x=x, y=y, color=colour)
    layers: list[Any] = [
        *_reference_lines(data, x, y_title, colour),
        base.mark_line(strokeWidth=2),
        base.mark_point(size=55, filled=True, opacity=1).encode(shape=shape),
    ]
    known = data.dropna(subset=["low", "high"])
    if len(known):
        layers.append(
            alt.Chart(known)
            .mark_errorbar(ticks=alt.MarkConfig(size=9), rule=alt.MarkConfig(strokeWidth=1.5))
            .encode(x=x, y=alt.Y("low:Q", title=y_title), y2="high:Q", color=colour)
        )
    if marked:
        places = [(model, at, at * np.exp2(place[model])) for model, at in marked.items()]
        layers += _trained_marks(places, x, colour)
    chart = alt.layer(*layers).properties(width=560, height=300)
    return styled(chart if models[1:] else chart.properties(title=models[0]))


def _reference_lines(data: "pd.DataFrame", x: Any, y_title: str, colour: Any) -> list[Any]:
    """Ceiling, closed book and floor, each as far as it is known."""
    import altair as alt

    long = data.melt(["model", "context_length", "x"], list(_BESIDE), "kind", "score")
    long = long.dropna(subset="score")
    # All models of a length have one floor: one line, at the length's own place.
    floor = long["kind"] == "floor"
    common = long[floor].groupby(["kind", "context_length"], as_index=False)["score"].mean()
    common = common.assign(x=common["context_length"], model="")
    span = np.log2(data["x"].max() / data["x"].min()) + 2 * np.log2(_MARGIN)
    reach = np.exp2(_OVERHANG * span)
    drawn = _pieces if data["model"].nunique() > 1 else _overhanging
    parts = [
        (drawn(long[~floor], reach), colour),
        (_overhanging(common, reach), alt.value(QUIET)),
    ]
    dash = alt.StrokeDash(
        "kind:N",
        scale=alt.Scale(
            domain=[title for title, _ in _BESIDE.values()],
            range=[pattern for _, pattern in _BESIDE.values()],
        ),
        legend=alt.Legend(title=None, orient="right", symbolType="stroke", symbolSize=500),
    )
    return [
        alt.Chart(part.replace({"kind": {key: title for key, (title, _) in _BESIDE.items()}}))
        .mark_line(strokeWidth=1.25, opacity=0.8)
        .encode(
            x=x,
            y=alt.Y("score:Q", title=y_title),
            detail=["model:N", "piece:N"],
            strokeDash=dash,
            color=ink,
        )
        for part, ink in parts
        if len(part)
    ]


def _overhanging(points: "pd.DataFrame", reach: float) -> "pd.DataFrame":
    """Lines that go on a little at both ends: one length alone has a line as well."""
    import pandas as pd

    ends = points.groupby(["model", "kind"])["x"]
    first = points[points["x"] == ends.transform("min")]
    last = points[points["x"] == ends.transform("max")]
    longer = [first.assign(x=first["x"] / reach), points, last.assign(x=last["x"] * reach)]
    return pd.concat(longer).assign(piece="")


def _pieces(points: "pd.DataFrame", reach: float) -> "pd.DataFrame":
    """A short level line through every point."""
    import pandas as pd

    both = [points.assign(x=points["x"] / reach), points.assign(x=points["x"] * reach)]
    return pd.concat(both).assign(piece=lambda rows: rows["context_length"].astype(str))


def _trained_marks(places: list[tuple[str, int, float]], x: Any, colour: Any) -> list[Any]:
    """Above the lines, which length each fine-tuned model was trained at.

    ``places`` has the model, the length and the model's own place beside it.
    """
    import altair as alt
    import pandas as pd

    marks = pd.DataFrame(places, columns=["model", "context_length", "x"]).assign(y=1.0)
    words = marks.groupby("context_length", as_index=False)["x"].mean()
    y = alt.Y("y:Q")
    return [
        alt.Chart(marks)
        .mark_point(shape="triangle-down", filled=True, size=70, opacity=1, yOffset=-6)
        .encode(x=x, y=y, color=colour),
        alt.Chart(words.assign(y=1.0, text="trained here"))
        .mark_text(dy=-16, fontSize=10.5, color=QUIET)
        .encode(x=x, y=y, text="text:N"),
    ]
