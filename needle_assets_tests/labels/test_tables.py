"""The tables of labelers: types, nulls and order, with and without rows."""

import pyarrow as pa
import pytest

from needle_assets.labels.biography import BIOGRAPHY_TASK, NO_DATE, Biography, PartialDate
from needle_assets.labels.tables import (
    Audit,
    Rejection,
    label_schema,
    labels_table,
    quarantine_table,
    require_columns,
)
from needle_assets.labels.task import LabelError

BIOS = pa.table(
    {
        "bio_id": pa.array([7, 9], pa.int64()),
        "name": pa.array(["ada", "bruno"], pa.large_string()),
        "bio": ["ada is french .", "bruno is british ."],
    }
)
LABELS = [
    Biography(
        nationality="French",
        date_of_birth=PartialDate(year=1911),
        date_of_death=NO_DATE,
        sportsperson=True,
        politician=False,
    ),
    Biography(
        nationality="British",
        date_of_birth=NO_DATE,
        date_of_death=PartialDate(day=2, month=3, year=1990),
        sportsperson=False,
        politician=True,
    ),
]


def test_a_label_table_has_the_label_its_leaves_and_its_audit() -> None:
    audits = [
        Audit("explicit", "Swiss", "nationality: french"),
        Audit(repaired=True, attempts=2, prompt_tokens=40, completion_tokens=9, cost_usd=0.5),
    ]

    table = labels_table(BIOGRAPHY_TASK, BIOS, LABELS, "llm:m", audits)

    assert table.to_pylist() == [
        {
            "bio_id": 7,
            "name": "ada",
            "label": '{"nationality":"French","date_of_birth":{"day":0,"month":0,"year":1911},'
            '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}',
            "nationality": "French",
            "date_of_birth_day": 0,
            "date_of_birth_month": 0,
            "date_of_birth_year": 1911,
            "date_of_death_day": 0,
            "date_of_death_month": 0,
            "date_of_death_year": 0,
            "sportsperson": True,
            "politician": False,
            "labeler": "llm:m",
            "nationality_basis": "explicit",
            "second_nationality": "Swiss",
            "evidence": "nationality: french",
            "repaired": False,
            "attempts": 0,
            "prompt_tokens": None,
            "completion_tokens": None,
            "cost_usd": None,
        },
        {
            "bio_id": 9,
            "name": "bruno",
            "label": '{"nationality":"British","date_of_birth":{"day":0,"month":0,"year":0},'
            '"date_of_death":{"day":2,"month":3,"year":1990},"sportsperson":false,"politician":true}',
            "nationality": "British",
            "date_of_birth_day": 0,
            "date_of_birth_month": 0,
            "date_of_birth_year": 0,
            "date_of_death_day": 2,
            "date_of_death_month": 3,
            "date_of_death_year": 1990,
            "sportsperson": False,
            "politician": True,
            "labeler": "llm:m",
            "nationality_basis": "",
            "second_nationality": "",
            "evidence": "",
            "repaired": True,
            "attempts": 2,
            "prompt_tokens": 40,
            "completion_tokens": 9,
            "cost_usd": 0.5,
        },
    ]


def test_without_audits_their_columns_are_empty() -> None:
    table = labels_table(BIOGRAPHY_TASK, BIOS, LABELS, "rules")
    assert table.schema == label_schema(BIOGRAPHY_TASK, pa.int64())
    assert table["attempts"].to_pylist() == [0, 0]
    assert table["cost_usd"].to_pylist() == [None, None]


def test_a_quarantine_table_says_why() -> None:
    rejections = [
        Rejection("the model refused", "refused", "No.", 1, 40, 2, 0.25),
        Rejection("the request failed: HTTP 500", "error", None, 2),
    ]

    table = quarantine_table(BIOS, rejections)

    assert table.to_pylist() == [
        {
            "bio_id": 7,
            "name": "ada",
            "reason": "the model refused",
            "outcome": "refused",
            "answer": "No.",
            "attempts": 1,
            "prompt_tokens": 40,
            "completion_tokens": 2,
            "cost_usd": 0.25,
        },
        {
            "bio_id": 9,
            "name": "bruno",
            "reason": "the request failed: HTTP 500",
            "outcome": "error",
            "answer": None,
            "attempts": 2,
            "prompt_tokens": None,
            "completion_tokens": None,
            "cost_usd": None,
        },
    ]


def test_tables_without_rows_have_the_same_columns() -> None:
    none = BIOS.slice(0, 0)
    full = labels_table(BIOGRAPHY_TASK, BIOS, LABELS, "rules")
    assert labels_table(BIOGRAPHY_TASK, none, [], "rules").equals(full.slice(0, 0))
    rejected = quarantine_table(BIOS, [Rejection("r", "invalid", "", 1)] * 2)
    assert quarantine_table(none, []).equals(rejected.slice(0, 0))


@pytest.mark.parametrize("column", ["bio_id", "name", "bio"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(LabelError, match=f"have no column '{column}'"):
        require_columns(BIOS.drop_columns([column]))


def test_a_null_is_named_with_its_row() -> None:
    bios = BIOS.set_column(2, "bio", pa.array(["ada is french .", None]))
    with pytest.raises(LabelError, match="row 1 of the biographies has no bio"):
        require_columns(bios)
