"""The report: one HTML page that opens anywhere, without a network, down to every question.

Numbers come from `statistics`, pictures from `plots`; here they are only arranged. Answers are
untrusted text: the template escapes everything, and the page forbids scripts but its own.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation import plots
from needle_assets.evaluation.fine_tunes import families, fine_tunes, in_order
from needle_assets.evaluation.registry import Training
from needle_assets.evaluation.scoring import Kind, Outcome
from needle_assets.evaluation.statistics import (
    MIN_DRAWS,
    REFERENCES,
    cell_table,
    closed_book_table,
    field_table,
    length_table,
    outcome_table,
    overall,
    usage_table,
)
from needle_assets.labels.task import Leaf, Task
from needle_assets.pages import templates

if TYPE_CHECKING:
    import pandas as pd

    from needle_assets.evaluation.plots.style import AnyChart

_TEMPLATES = Path(__file__).parent / "templates"

_LEAF_CHARACTERS = 60
_TEXT_CHARACTERS = 600
"""A model may answer a megabyte; all of it stays in `eval_results`."""

_NOTHING = "–"

_LOW_CEILING = 0.9
"""Below this the model loses more than one field in ten without any haystack."""


@dataclass(frozen=True)
class Provenance:
    """What the report was made from."""

    generated_at: datetime
    seed: int
    corpus: str
    tokenizer: str
    labeler: str
    code_version: str
    data_versions: Mapping[str, str] = field(default_factory=dict)
    """By asset key, with its partition where it has one."""


@dataclass(frozen=True)
class _Verdict:
    """One leaf of one question, as shown."""

    right: bool
    label: str
    answer: str
    """Empty where the answer does not count."""


@dataclass(frozen=True)
class _Question:
    """One row of `eval_results`, as shown."""

    row: Mapping[str, Any]
    verdicts: tuple[_Verdict, ...]
    text: str
    """The answer as it came, where it does not count; else empty."""


def build_report(
    task: Task,
    results: pa.Table,
    provenance: Provenance,
    *,
    tunings: Mapping[str, Training] | None = None,
    loss_curves: "Mapping[str, pd.DataFrame] | None" = None,
) -> str:
    """The whole page as HTML.

    Args:
        task: the task that was asked.
        results: ``eval_results`` of all lengths and models, see `scoring.score_table`; without
            rows the page says so.
        provenance: printed as the page's origin; its seed also drives the intervals.
        tunings: the fine-tune of each tuned model, by slug, its base by slug as well, see
            `registry.ModelRegistry.tunings`; without any, the page does not speak of fine-tunes.
        loss_curves: losses of the fine-tunes as `plots.training_curve` takes them, by slug; those
            that are not known are not shown.

    Raises:
        LabelError: a label in ``results`` is not one of the task.
    """
    environment = templates(_TEMPLATES)
    environment.filters |= {
        "number": _number,
        "share": _share,
        "dollars": _dollars,
        "signed": _signed,
        "image": _image,
        "moment": _moment,
        "csp_hash": _csp_hash,
    }
    content: dict[str, Any] = {"task": task, "provenance": provenance, "total": None}
    if results.num_rows:
        content |= _content(task, results, provenance.seed, tunings or {}, loss_curves or {})
    return environment.get_template("report.html.j2").render(content)


def _content(
    task: Task,
    results: pa.Table,
    seed: int,
    tunings: Mapping[str, Training],
    loss_curves: "Mapping[str, pd.DataFrame]",
) -> dict[str, Any]:
    bases = {slug: training.base for slug, training in tunings.items()}
    lengths = length_table(results, seed)
    lengths = in_order(lengths, families(lengths["model"], bases))
    changes = fine_tunes(results, seed, tunings, loss_curves)
    cells = cell_table(results)
    # A model has its heatmap once: beside that of its base, where there is one.
    cells = cells[~cells["model"].isin(changes.compared if changes else [])]
    usage = usage_table(results)
    outcomes = outcome_table(results)
    return {
        "total": _total(results, usage),
        "models": _models(lengths),
        "floor": overall(lengths, Kind.FLOOR),
        "floor_answers": _floor_answers(results),
        "hints": _hints(lengths, closed_book_table(results, seed)),
        "fine_tunes": changes,
        "curve": plots.curve(
            lengths, {slug: training.context_length for slug, training in tunings.items()}
        ),
        "heatmap": plots.heatmap(cells) if len(cells) else None,
        "lengths": _records(lengths),
        "min_draws": MIN_DRAWS,
        "leaf_groups": _leaf_groups(task),
        "fields": _fields(results, task),
        "outcomes": [str(outcome) for outcome in Outcome if (outcomes["outcome"] == outcome).any()],
        "outcome_rows": _outcome_rows(outcomes),
        "usage": _records(usage),
        "evaluations": _evaluations(results),
        "questions": [_question(task, row) for row in results.to_pylist()],
        "kind_titles": _KIND_TITLES,
        "filters": {
            name: pc.unique(results[column]).drop_null().sort().to_pylist()
            for name, column in (
                ("model", "model"),
                ("length", "context_length"),
                ("prompt", "kind"),
                ("depth", "depth"),
                ("outcome", "outcome"),
            )
        },
    }


_KIND_TITLES = {
    Kind.SWEEP: "haystack",
    Kind.CEILING: "ceiling: the needle alone",
    Kind.CLOSED_BOOK: "closed book: the name alone",
    Kind.FLOOR: "floor: best constant answer",
}


def _total(results: pa.Table, usage: "pd.DataFrame") -> dict[str, Any]:
    """Sums over all models and lengths."""
    sums = usage[["prompt_tokens", "cached_tokens", "cost_usd"]].sum(min_count=1)
    sweep = results.filter(pc.field("kind") == Kind.SWEEP.value)
    return {
        "questions": sweep.num_rows,
        "prompts": pc.count_distinct(sweep["example_id"]).as_py(),
        "valid": pc.mean(pc.equal(sweep["outcome"], str(Outcome.VALID))).as_py(),
        "asked": int(usage["n"].sum()),
        "prompt_tokens": sums["prompt_tokens"],
        "cached_share": sums["cached_tokens"] / sums["prompt_tokens"],
        "cost_usd": sums["cost_usd"],
        "priced": int(usage["priced"].sum()),
    }


def _models(lengths: "pd.DataFrame") -> list[dict[str, Any]]:
    """Each model's means over all its questions, and those at its shortest and longest length."""
    return [
        {
            "model": model,
            **{name: overall(rows, name) for name in ("mean", "closed_book", "ceiling")},
            "shortest": rows.iloc[0].to_dict(),
            "longest": rows.iloc[-1].to_dict(),
        }
        for model, rows in lengths.groupby("model", sort=False)
    ]


def _floor_answers(results: pa.Table) -> list[tuple[str, str]]:
    """The best constant answers, each with the lengths at which it is the best."""
    floor = results.filter(pc.field("kind") == Kind.FLOOR.value)
    lengths: dict[str, set[int]] = {}
    for row in floor.select(["answer", "context_length"]).to_pylist():
        lengths.setdefault(row["answer"], set()).add(row["context_length"])
    by_length = sorted((sorted(of), answer) for answer, of in lengths.items())
    return [(answer, ", ".join(f"{length:,}" for length in of)) for of, answer in by_length]


def _fields(results: pa.Table, task: Task) -> list[dict[str, Any]]:
    """Per model the shares of its sweep, then those of what it is measured against."""
    rows = [
        {"kind": kind, **row}
        for kind in (Kind.SWEEP, *reversed(REFERENCES))
        for row in _records(field_table(results, task.leaf_names, kind))
        if row["n"]
    ]
    # Sorting is stable: the kinds stay in this order.
    return sorted(rows, key=lambda row: str(row["model"]))


def _hints(lengths: "pd.DataFrame", closed_book: "pd.DataFrame") -> list[str]:
    """What ceiling and closed book say about each model's scores, in sentences."""
    hints = []
    for model, rows in lengths.groupby("model", sort=False):
        helpless = rows["ceiling"] <= rows["floor"]
        if low := _at_lengths(rows[helpless], "ceiling"):
            hints.append(
                f"With the needle alone as prompt {model} scores {low}, no more than the best "
                "constant answer. It cannot do the task in the shortest prompt, so its other "
                "scores say nothing about its context window."
            )
        if low := _at_lengths(rows[~helpless & (rows["ceiling"] < _LOW_CEILING)], "ceiling"):
            hints.append(
                f"With the needle alone as prompt {model} scores only {low}: a haystack score can "
                "hardly be higher. What is missing up to there has nothing to do with the length "
                "of the prompt."
            )
    for model, rows in closed_book[closed_book["low"] > 0].groupby("model", sort=False):
        hints.append(
            f"By the name alone {model} scores more than the best constant answer, by "
            f"{_at_lengths(rows, 'gain')}, and by more than chance among needles explains. "
            "Names give facts away, by a leak in the data or from the model's memory: its scores "
            "are not all reading."
        )
    return hints


def _at_lengths(rows: "pd.DataFrame", column: str) -> str:
    """The column's values with their lengths, in words; empty without rows."""
    said = [f"{row[column]:.2f} at {row['context_length']:,}" for row in rows.to_dict("records")]
    return f"{', '.join(said)} tokens" if said else ""


def _outcome_rows(outcomes: "pd.DataFrame") -> list[dict[str, Any]]:
    wide = outcomes.pivot_table(
        index=["model", "context_length"], columns="outcome", values="n", fill_value=0
    )
    wide.insert(0, "n", wide.sum(axis="columns"))
    return _records(wide.reset_index())


def _evaluations(results: pa.Table) -> list[dict[str, Any]]:
    """The partitions behind the page: who answered, in which run, when."""
    frame = results.select(
        ["context_length", "model", "run_id", "fingerprint", "evaluated_at"]
    ).to_pandas()
    return _records(
        frame.groupby(["model", "context_length", "run_id"])
        .agg(
            first=("evaluated_at", "min"),
            last=("evaluated_at", "max"),
            fingerprints=("fingerprint", lambda column: ", ".join(sorted(set(column.dropna())))),
        )
        .reset_index()
    )


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _leaf_groups(task: Task) -> list[tuple[str, tuple[str, ...]]]:
    """Columns of the leaves: a title and the titles below it; none for a leaf of the top level."""
    groups: list[tuple[str, tuple[str, ...]]] = []
    for parents, paths in groupby(task.leaf_paths, key=lambda path: path[:-1]):
        parts = tuple(path[-1].replace("_", " ") for path in paths)
        if parents:
            groups.append((" ".join(parents).replace("_", " "), parts))
        else:
            groups.extend((part, ()) for part in parts)
    return groups


def _question(task: Task, row: Mapping[str, Any]) -> _Question:
    gold = task.leaves(task.parse(row["label"]))
    counts = row["outcome"] == Outcome.VALID
    answered = task.leaves(task.parse(row["answer"])) if counts else {}
    return _Question(
        row=row,
        verdicts=tuple(
            _Verdict(
                right=row[f"{name}_right"],
                label=_shown(gold[name]),
                answer=_shown(answered[name]) if counts else "",
            )
            for name in task.leaf_names
        ),
        text="" if counts else _clipped(row["answer"] or "", _TEXT_CHARACTERS),
    )


def _shown(value: Leaf) -> str:
    """A leaf as JSON writes it, but a string without its quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _clipped(str(value), _LEAF_CHARACTERS)


def _clipped(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text):,} characters)"


def _image(chart: "AnyChart") -> str:
    """The chart as a data address: an image can run no script, and its ids clash with none."""
    return "data:image/svg+xml;base64," + base64.b64encode(plots.to_svg(chart).encode()).decode()


def _is_missing(value: float | datetime | None) -> bool:
    """Whether a value of a column is none: None, NaN and NaT, the last two unlike themselves."""
    return value is None or value != value


def _number(value: float | None, decimals: int = 0) -> str:
    return _NOTHING if _is_missing(value) else f"{value:,.{decimals}f}"


def _signed(value: float) -> str:
    return _NOTHING if _is_missing(value) else plots.signed(value)


def _share(value: float | None) -> str:
    return _NOTHING if value is None or _is_missing(value) else f"{100 * value:.0f} %"


def _dollars(value: float | None) -> str:
    if value is None or _is_missing(value):
        return _NOTHING
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.2g}"


def _moment(value: datetime | None) -> str:
    return _NOTHING if _is_missing(value) else f"{value:%Y-%m-%d %H:%M:%S %Z}"


def _csp_hash(text: str) -> str:
    """Source expression that lets one inline element through a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
