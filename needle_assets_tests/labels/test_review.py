"""Which labels come first, why, and how they are shown."""

import csv
import io
from typing import Any

import pyarrow as pa
import pytest

from needle_assets.labels.agreement import DISPUTED
from needle_assets.labels.biography import BIOGRAPHY_TASK, Biography, PartialDate
from needle_assets.labels.review import PAGE_ROWS, review_csv, review_html, review_table
from needle_assets.labels.tables import Audit, labels_table
from needle_assets.labels.task import LabelError

SURE = Audit("explicit", "", "nationality: french")


def _labels(*rows: dict[str, Any]) -> tuple[pa.Table, pa.Table]:
    """Labels and their biographies; a row may set nationality, audit, disputed, bio, birth."""
    bios = pa.table(
        {
            "bio_id": [row.get("bio_id", f"id-{at}") for at, row in enumerate(rows)],
            "name": ["jane roe"] * len(rows),
            "bio": [row.get("bio", "jane roe is a french poet .") for row in rows],
        }
    )
    made = [
        Biography(
            nationality=row.get("nationality", "French"),
            date_of_birth=row.get("birth", PartialDate()),
            date_of_death=PartialDate(),
            sportsperson=False,
            politician=False,
        )
        for row in rows
    ]
    labels = labels_table(
        BIOGRAPHY_TASK, bios, made, "rules", [row.get("audit", SURE) for row in rows]
    )
    disputed = [
        [{"field": field, "source": source, "says": says} for field, source, says in disputes]
        for disputes in (row.get("disputed", []) for row in rows)
    ]
    labels = labels.append_column(
        "agreement",
        pa.array(
            [
                "contradicts" if one else row.get("agreement", "agrees")
                for row, one in zip(rows, disputed, strict=True)
            ]
        ),
    ).append_column("disputed", pa.array(disputed, DISPUTED))
    return labels, bios


def _reviewed(*rows: dict[str, Any]) -> list[tuple[int, str, str]]:
    table = review_table(*_labels(*rows))
    return [(row["priority"], row["bio_id"], row["why"]) for row in table.to_pylist()]


NATIONALITY = ("nationality", "text", "Thai")
YEAR = ("date_of_birth_year", "infobox", "1951")
DAY = ("date_of_birth_day", "infobox", "4")


def test_a_label_without_a_doubt_is_left_out() -> None:
    assert _reviewed({}, {"birth": PartialDate(year=1950)}) == []


def test_what_was_inferred_and_another_source_says_too_is_no_doubt() -> None:
    assert _reviewed({"audit": Audit("inferred", "", "nationality: lyon")}) == []


def test_contradictions_go_first_by_number_and_weight() -> None:
    found = _reviewed(
        {"disputed": [DAY]},
        {"audit": Audit("inferred", "", "nationality: lyon"), "agreement": "alone"},
        {"disputed": [YEAR, DAY]},
        {"disputed": [NATIONALITY]},
        {"disputed": [YEAR]},
    )
    assert found == [
        (50, "id-3", "text says nationality Thai"),
        (40, "id-2", "infobox says date_of_birth_year 1951; infobox says date_of_birth_day 4"),
        (30, "id-4", "infobox says date_of_birth_year 1951"),
        (10, "id-0", "infobox says date_of_birth_day 4"),
        (2, "id-1", "nationality inferred"),
    ]


def test_doubts_short_of_a_contradiction_say_why() -> None:
    found = _reviewed(
        {"audit": SURE._replace(repaired=True, attempts=2)},
        {"audit": Audit("explicit", "Thai", "nationality: thai-french", attempts=1)},
        {"nationality": "unknown", "audit": Audit("none", "", "dates: 1950")},
        {"nationality": "unknown", "audit": Audit("none", "", "")},
    )
    assert found == [
        (6, "id-0", "the model's answer was repaired; the model was asked 2 times"),
        (3, "id-1", "two nationalities, also Thai"),
        (3, "id-3", "no nationality; no evidence"),
        (2, "id-2", "no nationality"),
    ]


def test_equal_priorities_go_by_id_whatever_the_order_of_the_labels() -> None:
    rows = [{"bio_id": i, "disputed": [DAY]} for i in ("b", "c", "a")]
    assert [bio_id for _, bio_id, _ in _reviewed(*rows)] == ["a", "b", "c"]
    assert review_table(*_labels(*rows)).equals(review_table(*_labels(*rows[::-1])))


def test_the_table_holds_the_biography_the_label_and_the_disputes() -> None:
    table = review_table(*_labels({"disputed": [NATIONALITY, YEAR], "bio": "jane roe sings ."}))
    assert table.column_names[:5] == ["priority", "why", "bio_id", "name", "bio"]
    (row,) = table.to_pylist()
    assert (row["bio"], row["nationality"], row["evidence"]) == (
        *("jane roe sings .", "French", "nationality: french"),
    )
    assert row["disputed"] == "text: nationality = Thai; infobox: date_of_birth_year = 1951"


def test_labels_that_were_not_compared_are_refused() -> None:
    labels, bios = _labels({})
    with pytest.raises(LabelError, match="no column agreement, disputed"):
        review_table(labels.drop(["agreement", "disputed"]), bios)


def test_a_label_without_its_biography_is_named() -> None:
    labels, bios = _labels({"disputed": [DAY]}, {})
    with pytest.raises(LabelError, match="1 labels have no biography .*'id-0'"):
        review_table(labels, bios.slice(1))


NASTY = '=cmd("x")\n,<script>alert(1)</script> "\u200f宮城野 & {{ 7*7 }}'


def test_the_csv_holds_every_row_and_runs_nothing() -> None:
    table = review_table(
        *_labels(*[{"disputed": [DAY], "bio": NASTY} for _ in range(PAGE_ROWS + 1)])
    )
    text = review_csv(table).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == PAGE_ROWS + 1
    assert rows[0]["bio"] == f"'{NASTY}"
    assert rows[0]["priority"] == "10"
    assert review_csv(table).startswith(b"\xef\xbb\xbfpriority,why,")


def test_the_page_escapes_texts_and_says_where_the_rest_is() -> None:
    table = review_table(
        *_labels(*[{"disputed": [DAY], "bio": NASTY} for _ in range(PAGE_ROWS + 1)])
    )
    page = review_html(table, csv_place="here/label_review.csv").decode()
    assert page.count("<tr>") == PAGE_ROWS + 1  # with the heading
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert "501 labels" in page
    assert "here/label_review.csv" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("birth", "shown"),
    [
        (PartialDate(year=1950, month=5, day=3), "1950-05-03"),
        (PartialDate(year=1950), "1950"),
        (PartialDate(month=5, day=3), "?-05-03"),
    ],
)
def test_the_page_shows_as_much_of_a_date_as_is_stated(birth: PartialDate, shown: str) -> None:
    table = review_table(*_labels({"disputed": [DAY], "birth": birth}))
    assert f"<small>born</small> {shown}<br>" in review_html(table).decode()


def test_no_doubts_make_an_empty_page() -> None:
    table = review_table(*_labels({}))
    assert table.num_rows == 0
    assert "<table" not in review_html(table).decode()
    assert len(review_csv(table).splitlines()) == 1
