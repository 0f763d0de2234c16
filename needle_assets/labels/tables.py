"""The tables that every labeler returns: labels, and biographies that got none.

How a label is found does not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from needle_assets.labels.task import LabelError, Task

_ARROW = {"string": pa.string(), "integer": pa.int32(), "boolean": pa.bool_()}


@dataclass(frozen=True)
class Audit:
    """What a label rests on; empty where a labeler does not say."""

    nationality_basis: str = ""
    """explicit (the text states a demonym), inferred (from places and the like), or none."""
    second_nationality: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class Labeled:
    """What a labeler made of some biographies: each of them stands in one of the two tables."""

    labels: pa.Table
    rejected: pa.Table


def label_schema(task: Task, bio_id: pa.DataType) -> pa.Schema:
    """Schema of a label table; a leaf's column has the leaf's type (string, int32 or bool)."""
    leaves = [
        pa.field(name, _ARROW[_leaf_type(task, path)], nullable=False)
        for name, path in zip(task.leaf_names, task.leaf_paths, strict=True)
    ]
    return pa.schema(
        [
            pa.field("bio_id", bio_id, nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            *leaves,
            pa.field("labeler", pa.string(), nullable=False),
            pa.field("nationality_basis", pa.string(), nullable=False),
            pa.field("second_nationality", pa.string(), nullable=False),
            pa.field("evidence", pa.string(), nullable=False),
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
    leaves = [task.leaves(label) for label in labels]
    columns: dict[str, Any] = {
        "bio_id": bios["bio_id"],
        "name": bios["name"].cast(pa.string()),
        "label": [task.canonical_json(label) for label in labels],
        **{name: [leaf[name] for leaf in leaves] for name in task.leaf_names},
        "labeler": [labeler] * len(labels),
        "nationality_basis": [audit.nationality_basis for audit in audits],
        "second_nationality": [audit.second_nationality for audit in audits],
        "evidence": [audit.evidence for audit in audits],
    }
    return pa.table(columns, schema=label_schema(task, bios.schema.field("bio_id").type))


def rejected_table(bios: pa.Table, reasons: Sequence[str], answers: Sequence[str]) -> pa.Table:
    """Biographies without a label: ``bio_id``, ``name``, ``reason``, ``answer`` as it came."""
    return pa.table(
        {
            "bio_id": bios["bio_id"],
            "name": bios["name"].cast(pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "answer": pa.array(answers, pa.string()),
        }
    )


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


def _leaf_type(task: Task, path: tuple[str, ...]) -> str:
    node = task.json_schema
    for part in path:
        node = node["properties"][part]
    return str(node["type"])
