"""The report's questions as data: what the page's table shows, packed small, and its filters.

How they look is `templates/questions.html.j2` and `templates/page.js`; sums over them are
`statistics`.
"""

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation import plots
from needle_assets.evaluation.formats import clipped
from needle_assets.evaluation.outcomes import Kind
from needle_assets.labels.task import Leaf, Task

if TYPE_CHECKING:
    import pandas as pd

_LEAF_CHARACTERS = 60
_TEXT_CHARACTERS = 600
"""A model may answer a megabyte; all of it stays in `eval_results`."""

KIND_TITLES = {
    Kind.SWEEP: "haystack",
    Kind.CEILING: "ceiling: the needle alone",
    Kind.CLOSED_BOOK: "closed book: the name alone",
    Kind.FLOOR: "floor: best constant answer",
}

_AS_THEY_ARE = (
    "example_id",
    "kind",
    "draw",
    "bio_id",
    "name",
    "depth",
    "context_length",
    "haystacks_version",
    "before",
    "needle",
    "after",
    "outcome",
    "score",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "attempts",
    "batched",
    "fingerprint",
    "served_model",
    "request_hash",
    "run_id",
    "model",
    "entry",
)

_DECIMALS = {"realised_depth": 1, "latency_s": 3, "cost_usd": 8}


@dataclass(frozen=True)
class Pick:
    """One way to pick questions: a name, and what can be picked with its title."""

    name: str
    title: str
    options: Sequence[tuple[str, str]]


def picks(task: Task, results: pa.Table) -> list[Pick]:
    """What the questions can be picked by, with the values that occur."""

    def occurring(column: str) -> list[Any]:
        return pc.unique(results[column]).drop_null().sort().to_pylist()

    titles = leaf_titles(task)
    fields = zip(task.leaf_names, titles, strict=True)
    return [
        Pick("model", "model", [(model, model) for model in occurring("model")]),
        Pick(
            "context_length",
            "context length",
            [(str(length), f"{length:,} tokens") for length in occurring("context_length")],
        ),
        Pick("depth", "depth", [(str(depth), f"{depth:.0f} %") for depth in occurring("depth")]),
        Pick("kind", "prompt", [(kind, KIND_TITLES[Kind(kind)]) for kind in occurring("kind")]),
        Pick(
            "outcome",
            "outcome",
            [(outcome, outcome.replace("_", " ")) for outcome in occurring("outcome")],
        ),
        Pick(
            "wrong",
            "wrong field",
            [("none", "none: all right"), ("any", "any"), *((f"leaf {n}", t) for n, t in fields)],
        ),
        Pick("cause", "cause", [(cause, cause.replace("_", " ")) for cause in _causes(results)]),
    ]


def leaf_titles(task: Task) -> list[str]:
    """The leaves as they are called on the page."""
    return [" ".join(path).replace("_", " ") for path in task.leaf_paths]


def packed(task: Task, results: pa.Table, cells: "pd.DataFrame") -> str:
    """All that the page's scripts show, as base64 of gzip of JSON.

    Base64 has no character that means anything in HTML, whatever models answered. A text that many
    rows share, such as the needle that every model was asked about, is there once.

    Args:
        task: the task that was asked.
        results: ``eval_results``, see `scoring.score_table`.
        cells: of `statistics.cell_table`; those of one model make its heatmap.

    Returns:
        An object of ``rows`` (how many), ``leaves`` (name and title of each), ``kinds`` (title by
        kind), ``columns`` (by name a list with one item per row, or ``values`` and per row the
        ``codes`` into them) and ``heatmaps`` (vega-lite specification by model, in the order of
        ``cells``).

    Raises:
        LabelError: a label in ``results`` is not one of the task.
    """
    content = {
        "rows": results.num_rows,
        "leaves": list(zip(task.leaf_names, leaf_titles(task), strict=True)),
        "kinds": {str(kind): title for kind, title in KIND_TITLES.items()},
        "columns": _columns(task, results),
        "heatmaps": {
            str(model): plots.heatmap(rows).to_dict()
            for model, rows in cells.groupby("model", sort=False)
        },
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # The time would make every page another.
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _columns(task: Task, results: pa.Table) -> dict[str, Any]:
    def gold(label: str) -> list[str]:
        leaves = task.leaves(task.parse(label))
        return [_shown(leaves[name]) for name in task.leaf_names]

    def read(reading: str) -> list[str | None]:
        leaves = task.leaves(json.loads(reading))
        return [_shown(leaves[name]) if name in leaves else None for name in task.leaf_names]

    def text(value: str) -> str:
        return clipped(value, _TEXT_CHARACTERS)

    return {
        **{name: _column(results[name]) for name in _AS_THEY_ARE},
        **{name: _column(pc.round(results[name], digits)) for name, digits in _DECIMALS.items()},
        "question": _column(results["name"], task.question),
        "gold": _column(results["label"], gold),
        "read": _column(results["reading"], read),
        "answer": _column(results["answer"], text),
        "reason": _column(results["reason"], text),
        "right": _column(_verdicts(task, results)),
        "errors": _errors(task, results),
        "evaluated_at": _column(
            pc.strftime(
                pc.floor_temporal(results["evaluated_at"], unit="second").cast(
                    pa.timestamp("s", "UTC")
                ),
                format="%Y-%m-%d %H:%M:%S %Z",
            )
        ),
    }


def _column(
    values: pa.ChunkedArray, shown: Callable[[Any], Any] | None = None
) -> list[Any] | dict[str, list[Any]]:
    """A column as JSON: a value that many rows share stands there once, and is shown once."""
    coded = values.combine_chunks().dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    if shown is not None:
        distinct = [shown(value) for value in distinct]
    elif 2 * len(distinct) > len(values):
        return values.to_pylist()
    return {"values": distinct, "codes": coded.indices.to_pylist()}


def _verdicts(task: Task, results: pa.Table) -> pa.ChunkedArray:
    """Per row a letter per leaf, 1 right and 0 wrong; null where nothing was asked."""
    letters = [
        pc.if_else(results[f"{name}_right"], "1", "0").cast(pa.string()) for name in task.leaf_names
    ]
    return pc.binary_join_element_wise(*letters, "")


def _errors(task: Task, results: pa.Table) -> list[list[list[Any]]]:
    """Per row its wrong leaves with their causes: leaf's number, cause, and where it was found."""
    numbers = {name: at for at, name in enumerate(task.leaf_names)}
    return [
        [_error(error, numbers) for error in errors or ()]
        for errors in results["errors"].to_pylist()
    ]


def _error(error: Mapping[str, Any], numbers: Mapping[str, int]) -> list[Any]:
    listed = [numbers[error["leaf"]], error["cause"]]
    if error["source"] is not None:
        listed += [
            error["source"],
            error["offset_tokens"],
            round(error["source_depth"], 1),
            error["by_chance"],
        ]
    return listed


def _causes(results: pa.Table) -> list[str]:
    errors = pc.list_flatten(results["errors"])
    return pc.unique(pc.struct_field(errors, "cause")).drop_null().sort().to_pylist()


def _shown(value: Leaf) -> str:
    """A leaf as JSON writes it, but a string without its quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return clipped(str(value), _LEAF_CHARACTERS)
