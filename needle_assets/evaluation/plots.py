"""Pictures of tables: heatmap, curve, histogram, depths. Small SVGs, since they go to event logs.

What a number means, and how it was computed, is `statistics`; pages are `report`.
"""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from needle_assets.evaluation.errors import EvaluationError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of lines: told apart with any colour vision (Okabe and Ito, Color Universal Design, 2008)."""

_INK = "#1f2328"
_QUIET = "#59636e"
_FONT = "Arial, sans-serif"

_CELL_WIDTH, _CELL_HEIGHT = 76, 38
_PANEL_LEAST = 150
"""Pixels of the axis title, which may not reach beyond its panel."""
_PANELS_WIDTH = 1000
"""Pixels that heatmaps side by side may take before they wrap."""

_DODGE = 0.05
"""Octaves between the points of two models at one length, so that their intervals stay legible."""

_MARGIN = 1.3
"""Factor that a curve's axis goes on beyond its first and last length."""
_OVERHANG = 0.04
"""Share of a curve's width that the lines of ceiling, closed book and floor go on at their ends."""

_BINS = 40

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

    _require(cells, "a heatmap")
    models = list(dict.fromkeys(cells["model"]))
    width = max(_CELL_WIDTH * cells["context_length"].nunique(), _PANEL_LEAST)
    height = _CELL_HEIGHT * cells["depth"].nunique()
    data = cells[["model", "context_length", "depth", "n", "mean"]]
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
    # Viridis is dark below the middle of the scale.
    ink = alt.when(alt.datum.mean < 0.5).then(alt.value("white")).otherwise(alt.value(_INK))
    layers = alt.layer(
        base.mark_rect(stroke="white", strokeWidth=1.5).encode(
            color=alt.Color(
                "mean:Q",
                scale=alt.Scale(scheme="viridis", domain=[0, 1]),
                legend=alt.Legend(
                    title="mean score", format=".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1]
                ),
            )
        ),
        base.mark_text(dy=-5, fontSize=13, fontWeight=600).encode(
            text=alt.Text("mean:Q", format=".2f"), color=ink
        ),
        base.mark_text(dy=10, fontSize=9.5).encode(text="count:N", color=ink),
    ).transform_calculate(count="'n = ' + datum.n")
    panels = layers.properties(width=width, height=height)
    if len(models) == 1:
        return _styled(panels.properties(title=models[0]))
    return _styled(
        panels.facet(
            alt.Facet(
                "model:N",
                sort=models,
                title=None,
                header=alt.Header(
                    labelFontSize=13, labelFontWeight="bold", labelColor=_INK, labelLimit=width
                ),
            ),
            columns=max(1, _PANELS_WIDTH // (width + 60)),
            spacing=28,
        )
    )


def curve(lengths: "pd.DataFrame") -> "AnyChart":
    """Mean score over context length, a line per model, and what it is measured against.

    Args:
        lengths: of `statistics.length_table`: model, context_length, mean, low, high, floor,
            closed_book, ceiling.

    Means have 95 % intervals where there are any. Ceiling and closed book are thin broken lines in
    their model's colour; the floor is grey, since it is no model's. Points of different models at
    one length stand a little apart on the (logarithmic) axis.

    Raises:
        EvaluationError: no rows.
    """
    import altair as alt

    _require(lengths, "a curve")
    models = list(dict.fromkeys(lengths["model"]))
    keys = sorted(int(value) for value in lengths["context_length"].unique())
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
    legend = alt.Legend(title=None, orient="top", symbolSize=70) if models[1:] else None
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
    chart = alt.layer(*layers).properties(width=560, height=300)
    return _styled(chart if models[1:] else chart.properties(title=models[0]))


def _reference_lines(data: "pd.DataFrame", x: Any, y_title: str, colour: Any) -> list[Any]:
    """Ceiling, closed book and floor, each as far as it is known."""
    import altair as alt

    long = data.melt(["model", "context_length", "x"], list(_BESIDE), "kind", "score")
    long = long.dropna(subset="score")
    # All models of a length have one floor: one line, at the length's own place.
    floor = long["kind"] == "floor"
    common = long[floor].groupby(["kind", "context_length"], as_index=False)["score"].mean()
    parts = [
        (long[~floor], colour),
        (common.assign(x=common["context_length"], model=""), alt.value(_QUIET)),
    ]
    span = np.log2(data["x"].max() / data["x"].min()) + 2 * np.log2(_MARGIN)
    dash = alt.StrokeDash(
        "kind:N",
        scale=alt.Scale(
            domain=[title for title, _ in _BESIDE.values()],
            range=[pattern for _, pattern in _BESIDE.values()],
        ),
        legend=alt.Legend(title=None, orient="right", symbolType="stroke", symbolSize=500),
    )
    return [
        alt.Chart(_overhanging(part, np.exp2(_OVERHANG * span)))
        .mark_line(strokeWidth=1.25, opacity=0.8)
        .encode(
            x=x, y=alt.Y("score:Q", title=y_title), detail="model:N", strokeDash=dash, color=ink
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
    longer = pd.concat(
        [first.assign(x=first["x"] / reach), points, last.assign(x=last["x"] * reach)]
    )
    return longer.assign(
        kind=longer["kind"].map({key: title for key, (title, _) in _BESIDE.items()})
    )


def histogram(values: Sequence[int] | npt.NDArray[np.int64], title: str, unit: str) -> "AnyChart":
    """How counts are distributed, for example tokens of biographies.

    Args:
        values: counts, not negative.
        title: of the picture.
        unit: what is counted, for the axis.

    Bars are of one round width. The longest 1 % are left out of the bars when they reach more
    than twice as far as the rest; the subtitle says so.

    Raises:
        EvaluationError: no values.
    """
    import altair as alt
    import pandas as pd

    counts = np.asarray(values, dtype=np.int64)
    if not counts.size:
        raise EvaluationError(f"{title}: nothing to draw; the table has no rows")
    longest = int(counts.max())
    reach = int(np.quantile(counts, 0.99))
    drawn = counts if longest <= 2 * reach else counts[counts <= reach]
    step = _round_step(int(drawn.max()) + 1)
    edges = np.arange(0, int(drawn.max()) + step + 1, step)
    heights, _ = np.histogram(drawn, edges)
    data = pd.DataFrame({"start": edges[:-1], "end": edges[1:], "rows": heights})
    facts = [
        f"n = {_integer(counts.size)}",
        f"median {_integer(np.median(counts))}",
        f"99 % up to {_integer(reach)}",
        f"longest {_integer(longest)}",
    ]
    if drawn.size < counts.size:
        facts.append(f"{_integer(counts.size - drawn.size)} longer ones not drawn")
    chart = (
        alt.Chart(data)
        .mark_bar(color=COLOURS[0], binSpacing=1)
        .encode(
            x=alt.X("start:Q", bin="binned", title=unit, axis=alt.Axis(grid=False, format=",d")),
            x2="end:Q",
            y=alt.Y("rows:Q", title="rows", axis=alt.Axis(format=",d", tickMinStep=1)),
        )
        .properties(width=560, height=240, title=alt.TitleParams(title, subtitle=" · ".join(facts)))
    )
    return _styled(chart)


def depth_chart(questions: "pd.DataFrame") -> "AnyChart":
    """Where needles really stand against where the design wanted them.

    Args:
        questions: depth and realised_depth, in percent, one row per question.

    One bar per nominal depth, from the lowest to the highest realised one, with the median; the
    dashed diagonal is the design.

    Raises:
        EvaluationError: no rows.
    """
    import altair as alt
    import pandas as pd

    _require(questions, "a chart of depths")
    data = questions.groupby("depth")["realised_depth"].agg(["min", "median", "max"]).reset_index()
    scale = alt.Scale(domain=[0, 100], nice=False)
    x = alt.X("depth:Q", title="nominal depth (%)", scale=scale)
    title = "realised depth (%)"
    diagonal = alt.Chart(pd.DataFrame({"depth": [0, 100], "realised": [0, 100]})).mark_line(
        strokeDash=[5, 4], color=_QUIET, strokeWidth=1
    )
    bars = alt.Chart(data).encode(x=x)
    return _styled(
        alt.layer(
            diagonal.encode(x=x, y=alt.Y("realised:Q", title=title, scale=scale)),
            bars.mark_rule(color=COLOURS[0], strokeWidth=5, opacity=0.45).encode(
                y="min:Q", y2="max:Q"
            ),
            bars.mark_point(color=COLOURS[0], filled=True, size=45, opacity=1).encode(y="median:Q"),
        ).properties(
            width=320,
            height=320,
            title=alt.TitleParams(
                "Needle depths",
                subtitle=f"lowest, median and highest of {_integer(len(questions))} questions",
            ),
        )
    )


def to_svg(chart: "AnyChart") -> str:
    """The chart as SVG text, drawn without a browser or network."""
    out = io.StringIO()
    chart.save(out, format="svg", engine="vl-convert")
    # The renderer numbers gradients over the life of the process; no chart here has two.
    return re.sub(r"\bgradient_\d+", "gradient", out.getvalue())


def to_png(chart: "AnyChart", scale: float = 2.0) -> bytes:
    """The chart as PNG, ``scale`` pixels for each of the SVG's."""
    out = io.BytesIO()
    chart.save(out, format="png", engine="vl-convert", scale_factor=scale)
    return out.getvalue()


def _styled(chart: "AnyChart") -> "AnyChart":
    import altair as alt

    return cast(
        "AnyChart",
        chart.configure(
            # Screen-reader labels on every cell would be half of the file; the picture's own
            # alternative text is its page's affair.
            aria=False,
            background="white",
            font=_FONT,
            padding=12,
            view=alt.ViewConfig(stroke=None),
            axis=alt.AxisConfig(
                labelColor=_INK,
                titleColor=_INK,
                titleFontWeight="normal",
                labelFontSize=11,
                titleFontSize=12,
                titlePadding=10,
                labelFlush=False,
                domainColor="#b8c0c8",
                tickColor="#b8c0c8",
                gridColor="#e8ebee",
            ),
            legend=alt.LegendConfig(
                labelColor=_INK,
                titleColor=_INK,
                titleFontWeight="normal",
                labelFontSize=11,
                titleFontSize=12,
                labelLimit=360,
            ),
            title=alt.TitleConfig(
                color=_INK,
                subtitleColor=_QUIET,
                fontSize=13,
                subtitleFontSize=11,
                anchor="start",
                offset=10,
            ),
        ),
    )


def _require(table: "pd.DataFrame", what: str) -> None:
    if table.empty:
        raise EvaluationError(f"{what} needs results; materialize eval_results first")


def _integer(value: float) -> str:
    return f"{value:,.0f}"


def _round_step(span: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that cuts ``span`` into `_BINS` or fewer."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * _BINS >= span:
                return factor * power
        power *= 10
