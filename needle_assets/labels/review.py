"""Which labels a person should look at first, and why: as a table, as CSV, as an HTML page.

Whether sources agree is found out in `agreement`; nothing is mended here.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.labels.agreement import AGREES
from needle_assets.labels.biography import BIOGRAPHY_TASK, UNKNOWN
from needle_assets.labels.tables import require_columns, rows_of
from needle_assets.labels.task import LabelError
from needle_assets.pages import templates

PAGE_ROWS = 500
"""Rows of the HTML page; the CSV has them all."""

_TEMPLATES = Path(__file__).parent / "templates"

_DISPUTE = 10
"""A contradiction goes before everything that is only uncertain."""

_FIELD_WEIGHTS: Mapping[str, int] = {
    "nationality": 5,
    "sportsperson": 4,
    "politician": 4,
    "date_of_birth_year": 3,
    "date_of_death_year": 3,
}
"""Part of a date weighs 1: a wrong day is mostly two sources that differ, not a mislabel."""


class _Doubt(NamedTuple):
    weight: int
    why: str


def review_table(labels: pa.Table, bios: pa.Table) -> pa.Table:
    """The labels that a person should look at, those with most to look at first.

    Contradictions go first, by number and weight of the disputed fields; then labels of which a
    part is missing, inferred, one of two, without evidence, or had to be repaired. Labels without
    any doubt are left out. Equal priorities go by ``bio_id``.

    Args:
        labels: a label table with the columns that `agreement.compare` adds.
        bios: ``bio_id``, ``name``, ``bio``.

    Returns:
        ``priority`` (int32), ``why`` (string), ``bio_id``, ``name``, ``bio``, one column for each
        field of the label, ``labeler``, ``nationality_basis``, ``second_nationality``,
        ``evidence``, ``repaired``, ``attempts``, ``agreement``, ``disputed`` as one line of text.

    Raises:
        LabelError: a column is missing, or a label has no biography.
    """
    require_columns(bios)
    missing = [name for name in _needed() if name not in labels.column_names]
    if missing:
        raise LabelError(
            f"the labels have no column {', '.join(missing)}; compare them with other sources "
            "first, or materialize needle_labels again"
        )
    doubts = [list(_doubts(row)) for row in _facts(labels)]
    told = labels.append_column(
        "priority", pa.array([sum(doubt.weight for doubt in row) for row in doubts], pa.int32())
    ).append_column("why", pa.array(["; ".join(d.why for d in row) for row in doubts], pa.string()))
    told = told.filter(pc.greater(told["priority"], 0))
    told = told.sort_by([("priority", "descending"), ("bio_id", "ascending")])
    rows = rows_of(told, bios, "biography")
    disputed = [_line(disputes) for disputes in told["disputed"].to_pylist()]
    shown = {
        "priority": told["priority"],
        "why": told["why"],
        "bio_id": told["bio_id"],
        "name": told["name"],
        "bio": bios["bio"].take(rows),
        **{name: told[name] for name in _needed()},
        "disputed": pa.array(disputed, pa.string()),
    }
    return pa.table(shown)


def review_csv(table: pa.Table) -> bytes:
    """A review table as CSV (UTF-8 with a byte order mark, which spreadsheets ask for).

    Texts are untrusted: what a spreadsheet would run as a formula gets an apostrophe before it.
    """
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches():
        columns = [map(_inert, column.to_pylist()) for column in batch.columns]
        writer.writerows(zip(*columns, strict=True))
    return sink.getvalue().encode("utf-8-sig")


def review_html(table: pa.Table, *, csv_place: str = "label_review.csv") -> bytes:
    """The first `PAGE_ROWS` rows as one page that opens without a network and holds no script.

    Args:
        table: what `review_table` gave.
        csv_place: where the page says that all rows are.
    """
    environment = templates(_TEMPLATES)
    page = environment.get_template("review.html.j2").render(
        rows=[_shown(row) for row in table.slice(0, PAGE_ROWS).to_pylist()],
        total=table.num_rows,
        csv_place=csv_place,
    )
    return page.encode()


def _needed() -> tuple[str, ...]:
    return (
        *BIOGRAPHY_TASK.leaf_names,
        *("labeler", "nationality_basis", "second_nationality", "evidence", "repaired", "attempts"),
        *("agreement", "disputed"),
    )


_READ = (
    *("nationality", "nationality_basis", "second_nationality", "evidence"),
    *("repaired", "attempts", "agreement", "disputed"),
)


def _facts(labels: pa.Table) -> Iterator[Mapping[str, Any]]:
    columns = [labels[name].to_pylist() for name in _READ]
    return (dict(zip(_READ, values, strict=True)) for values in zip(*columns, strict=True))


def _doubts(row: Mapping[str, Any]) -> Iterator[_Doubt]:
    for dispute in row["disputed"]:
        yield _Doubt(
            _DISPUTE * _FIELD_WEIGHTS.get(dispute["field"], 1),
            f"{dispute['source']} says {dispute['field']} {dispute['says']}",
        )
    if row["repaired"]:
        yield _Doubt(4, "the model's answer was repaired")
    if row["attempts"] > 1:
        yield _Doubt(2, f"the model was asked {row['attempts']} times")
    if row["second_nationality"]:
        yield _Doubt(3, f"two nationalities, also {row['second_nationality']}")
    if row["nationality"] == UNKNOWN:
        yield _Doubt(2, "no nationality")
    elif row["nationality_basis"] == "inferred" and row["agreement"] != AGREES:
        yield _Doubt(2, "nationality inferred")
    if not row["evidence"]:
        yield _Doubt(1, "no evidence")


def _line(disputes: Iterable[Mapping[str, str]]) -> str:
    return "; ".join(f"{one['source']}: {one['field']} = {one['says']}" for one in disputes)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell must not begin with (OWASP, "CSV injection")."""


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    dates = (("born", "date_of_birth"), ("died", "date_of_death"))
    return {
        **row,
        "dates": [(title, date) for title, name in dates if (date := _date(row, name))],
    }


def _date(row: Mapping[str, Any], name: str) -> str:
    """Year, month and day as far as they are stated: "1950-05-03", "1950", "?-05-03"."""
    parts = [row[f"{name}_{part}"] for part in ("year", "month", "day")]
    while parts and not parts[-1]:
        parts.pop()
    return "-".join(f"{part:02d}" if part else "?" for part in parts)
