"""The tables that every labeler returns: labels, and biographies that got none.

How a label is found does not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from needle_assets.labels.task import LabelError, Task

_ARROW = {"string": pa.string(), "integer": pa.int32(), "boolean": pa.bool_()}

_AUDIT = (
    pa.field("nationality_basis", pa.string(), nullable=False),
    pa.field("second_nationality", pa.string(), nullable=False),
    pa.field("evidence", pa.string(), nullable=False),
    pa.field("repaired", pa.bool_(), nullable=False),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("prompt_tokens", pa.int64()),
    pa.field("completion_tokens", pa.int64()),
    pa.field("cost_usd", pa.float64()),
)

_QUARANTINE = (
    pa.field("reason", pa.string(), nullable=False),
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("answer", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("prompt_tokens", pa.int64()),
    pa.field("completion_tokens", pa.int64()),
    pa.field("cost_usd", pa.float64()),
)


class Audit(NamedTuple):
    """What a label rests on and what it took; empty where a labeler does not say.

    Columns of a label table, in this order. Not a dataclass: one is made for every row.
    """

    nationality_basis: str = ""
    """explicit (the text states a demonym), inferred (from places and the like), or none."""
    second_nationality: str = ""
    evidence: str = ""
    repaired: bool = False
    """Whether the model's answer was mended before it could be read."""
    attempts: int = 0
    """Requests that it took: none for rules."""
    prompt_tokens: int | None = None
    """Of all attempts, as the server counted; None for rules and where it did not say."""
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """Of all attempts, in US dollars; None when tokens or prices are unknown."""


class Rejection(NamedTuple):
    """Why a biography got no label. Columns of a quarantine table, in this order."""

    reason: str
    outcome: str
    """invalid, refused, truncated, filtered, too_long (for the model's window) or error."""
    answer: str | None
    """The last attempt's text, as it came."""
    attempts: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class Labeled:
    """What a labeler made of some biographies: each of them stands in one of the two tables."""

    labels: pa.Table
    quarantine: pa.Table


def label_schema(task: Task, bio_id: pa.DataType) -> pa.Schema:
    """Schema of a label table; a leaf's column has the leaf's type (string, int32 or bool)."""
    leaves = [
        pa.field(name, _ARROW[_leaf_type(task, path)], nullable=False)
        for name, path in zip(task.leaf_names, task.leaf_paths, strict=True)
    ]
    return pa.schema(
        [
            *_names(bio_id),
            pa.field("label", pa.string(), nullable=False),
            *leaves,
            pa.field("labeler", pa.string(), nullable=False),
            *_AUDIT,
        ]
    )


def labels_table(
    task: Task,
    bios: pa.Table,
    labels: Sequence[BaseModel],
    labeler: str,
    audits: Sequence[Audit] | None = None,
) -> pa.Table:
    """One row a biography, in their order, as `label_schema` says; ``label`` is canonical JSON."""
    require_columns(bios)
    audits = audits if audits is not None else [Audit()] * len(labels)
    schema = label_schema(task, bios.schema.field("bio_id").type)
    columns: list[Any] = [
        bios["bio_id"],
        bios["name"].cast(pa.string()),
        [task.canonical_json(label) for label in labels],
        *_columns([task.leaf_values(label) for label in labels], len(task.leaf_names)),
        pa.repeat(pa.scalar(labeler, pa.string()), len(labels)),
        *_columns(audits, len(_AUDIT)),
    ]
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)


def quarantine_table(bios: pa.Table, rejections: Sequence[Rejection]) -> pa.Table:
    """Biographies without a label, in their order: ``bio_id``, ``name`` and `Rejection`'s columns.

    The names are cast to strings; ``answer`` and what is not known may be null.
    """
    schema = pa.schema([*_names(bios.schema.field("bio_id").type), *_QUARANTINE])
    columns = [
        bios["bio_id"],
        bios["name"].cast(pa.string()),
        *_columns(rejections, len(_QUARANTINE)),
    ]
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)


def rows_of(labels: pa.Table, others: pa.Table, what: str) -> pa.Array:
    """Where in another table the biography of each label stands, by ``bio_id``.

    Args:
        labels: a label table.
        others: a table with a ``bio_id``.
        what: what a row of ``others`` is, for the message.

    Raises:
        LabelError: a label has no such row: the tables were made from different corpora.
    """
    rows = pc.index_in(labels["bio_id"], value_set=others["bio_id"].combine_chunks())
    if rows.null_count:
        lost = labels["bio_id"].filter(pc.is_null(rows))[0].as_py()
        raise LabelError(
            f"{rows.null_count} labels have no {what} (the first: {lost!r}); materialize "
            "needle_labels again"
        )
    return rows


def require_columns(bios: pa.Table) -> None:
    """Check that a table can be labelled.

    Raises:
        LabelError: it lacks ``bio_id``, ``name`` or ``bio``, or one of them has a null.
    """
    for column in ("bio_id", "name", "bio"):
        if column not in bios.column_names:
            raise LabelError(
                f"the biographies have no column {column!r} (only {', '.join(bios.column_names)}); "
                "materialize filtered_needles again"
            )
        if bios[column].null_count:
            row = bios[column].to_pylist().index(None)
            raise LabelError(f"row {row} of the biographies has no {column}")


def _names(bio_id: pa.DataType) -> list[pa.Field]:
    return [
        pa.field("bio_id", bio_id, nullable=False),
        pa.field("name", pa.string(), nullable=False),
    ]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """Rows turned into columns; as many where there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _leaf_type(task: Task, path: tuple[str, ...]) -> str:
    node = task.json_schema
    for part in path:
        node = node["properties"][part]
    return str(node["type"])
