"""Labels made by hand: how they are read, which half of them stays unseen, and who agrees.

How a labeler finds its labels does not belong here.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from needle_assets.audit.errors import AuditError
from needle_assets.labels.biography import (
    BIOGRAPHY_TASK,
    Biography,
    PartialDate,
    check_label,
)
from needle_assets.labels.task import LabelError

Half = Literal[0, 1]

LOOKED_AT: Half = 0
"""The half that rules may be developed on."""

NOT_LOOKED_AT: Half = 1
"""The half whose rows nobody reads, so that its score says what unseen biographies will get."""

_DATES = ("date_of_birth", "date_of_death")


class GoldRow(BaseModel):
    """One biography labelled by hand; further keys of its line are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    bio: str
    person: bool
    nationality: str
    date_of_birth: PartialDate
    date_of_death: PartialDate
    sportsperson: bool
    politician: bool


@dataclass(frozen=True)
class Score:
    """How many labels are right."""

    right: int
    of: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where there is nothing to be right about."""
        return self.right / self.of if self.of else 0.0


@dataclass(frozen=True)
class Accuracy:
    """How well labels agree with those made by hand."""

    all_fields: Score
    dates: Score
    """All six parts of both dates."""


def half_of(name: str, bio: str) -> Half:
    """The half that a biography belongs to: the parity of the first byte of a SHA-256."""
    return LOOKED_AT if hashlib.sha256((name + bio).encode()).digest()[0] % 2 == 0 else 1


def read_gold(path: Path) -> list[GoldRow]:
    """Read labels made by hand: one JSON object a line, with the fields of `GoldRow`.

    Raises:
        AuditError: the file cannot be read or holds no label, or a line is not JSON or lacks a
            key; the message names the line, counted from 1.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AuditError(f"the gold labels {path} cannot be read: {reason}") from error
    # Not splitlines(): JSON may hold U+2028 and the like within a text.
    rows = [
        _row(line, f"{path}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise AuditError(f"the gold labels {path} hold no label")
    return rows


def _row(line: str, place: str) -> GoldRow:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise AuditError(f"{place}: not JSON ({error}); expected one object a line") from None
    if not isinstance(value, dict):
        raise AuditError(f"{place}: expected a JSON object, found {type(value).__name__}")
    try:
        row = GoldRow.model_validate(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AuditError(f"{place}: {where}: {first['msg']}") from None
    if not (row.name.strip() and row.bio.strip()):
        raise AuditError(f"{place}: an empty name or biography")
    if not (row.name + row.bio).isprintable() and any(
        "\ud800" <= mark <= "\udfff" for mark in row.name + row.bio
    ):
        raise AuditError(f"{place}: a lone surrogate in the name or biography")
    try:
        check_label(Biography.model_validate(row.model_dump(include=set(Biography.model_fields))))
    except LabelError as error:
        raise AuditError(f"{place}: {error}") from None
    # A part of a date has a default for those who make labels; here each is to be said.
    said = BIOGRAPHY_TASK.leaves(value)
    if missing := [name for name in BIOGRAPHY_TASK.leaf_names if name not in said]:
        raise AuditError(f"{place}: {', '.join(missing)}: missing")
    return row


def bios_table(rows: Sequence[GoldRow]) -> pa.Table:
    """The biographies as a labeler takes them: ``bio_id`` (their number), ``name``, ``bio``."""
    return pa.table(
        {
            "bio_id": pa.array([str(number) for number in range(len(rows))], pa.string()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "bio": pa.array([row.bio for row in rows], pa.string()),
        }
    )


def accuracy(rows: Sequence[GoldRow], labels: pa.Table) -> Accuracy:
    """Compare a label table with labels made by hand, row by row.

    A nationality of British is right for an English person and the other way round: the hand
    labels call English people British.

    Args:
        rows: the hand labels.
        labels: their biographies' labels in the same order, with a column for each field.

    Raises:
        AuditError: there are not as many labels as hand labels.
    """
    if labels.num_rows != len(rows):
        raise AuditError(f"{labels.num_rows} labels for {len(rows)} biographies labelled by hand")
    columns = [labels[name].to_pylist() for name in BIOGRAPHY_TASK.leaf_names]
    every = dates = 0
    for row, values in zip(rows, zip(*columns, strict=True), strict=True):
        said = dict(zip(BIOGRAPHY_TASK.leaf_names, values, strict=True))
        truth = BIOGRAPHY_TASK.leaves(row)
        right = {name for name in said if _british(said[name]) == _british(truth[name])}
        every += len(right) == len(said)
        dates += all(name in right for name in said if name.startswith(_DATES))
    return Accuracy(Score(every, len(rows)), Score(dates, len(rows)))


def _british(value: object) -> object:
    return "British" if value == "English" else value
