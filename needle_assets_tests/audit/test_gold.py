"""Reading labels made by hand, and scoring others against them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from needle_assets.audit.errors import AuditError
from needle_assets.audit.gold import GoldRow, accuracy, bios_table, half_of, read_gold
from needle_assets.labels.biography import BIOGRAPHY_TASK

NONE = {"year": 0, "month": 0, "day": 0}


def gold(**changes: Any) -> dict[str, Any]:
    """A line of hand labels: an English poet born on 3 may 1950."""
    row = {
        "name": "jane roe",
        "bio": "jane roe ( born 3 may 1950 ) is an english poet .",
        "person": True,
        "nationality": "British",
        "date_of_birth": {"year": 1950, "month": 5, "day": 3},
        "date_of_death": NONE,
        "sportsperson": False,
        "politician": False,
        "doubt": "a key that nobody reads",
    }
    return row | changes


def _labels(*rows: dict[str, Any]) -> pa.Table:
    leaves = [BIOGRAPHY_TASK.leaves(row) for row in rows]
    return pa.table({name: [leaf[name] for leaf in leaves] for name in BIOGRAPHY_TASK.leaf_names})


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_lines_are_read_in_order_and_blank_ones_passed_over(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "gold.jsonl",
        json.dumps(gold()),
        "",
        # JSON may hold a line separator that is no line's end of the file.
        json.dumps(gold(name="john\u2028doe"), ensure_ascii=False),
    )
    assert [row.name for row in read_gold(path)] == ["jane roe", "john\u2028doe"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jane roe, British", "line 2: not JSON"),
        ("[1, 2]", "line 2: expected a JSON object, found list"),
        (json.dumps({"name": "x"}), "line 2: bio: Field required"),
        (json.dumps(gold(person="yes")), "line 2: person: Input should be a valid boolean"),
        (json.dumps(gold(date_of_birth={"year": "1950"})), "line 2: date_of_birth.year: "),
        (json.dumps(gold(date_of_death={"year": 0, "day": 0})), "line 2: date_of_death_month: m"),
        (
            json.dumps(gold(date_of_birth={"year": 1950, "month": 2, "day": 31})),
            "line 2: date_of_birth 31/2/1950 is not a calendar date",
        ),
        (json.dumps(gold(nationality="Klingon")), "line 2: nationality 'Klingon' is not in the li"),
        (json.dumps(gold(bio=" ")), "line 2: an empty name or biography"),
        (json.dumps(gold(bio="jane \ud800 roe")), "line 2: a lone surrogate"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = _write(tmp_path / "gold.jsonl", json.dumps(gold()), line)
    with pytest.raises(AuditError, match="gold.jsonl, " + said):
        read_gold(path)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(gold()), encoding="utf-8-sig")
    assert len(read_gold(path)) == 1


def test_a_file_that_is_not_there_or_holds_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"none.jsonl cannot be read: No such file"):
        read_gold(tmp_path / "none.jsonl")
    with pytest.raises(AuditError, match=r"empty.jsonl hold no label"):
        read_gold(_write(tmp_path / "empty.jsonl", ""))
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(AuditError, match=r"latin.jsonl cannot be read: it is not UTF-8"):
        read_gold(tmp_path / "latin.jsonl")


def test_the_halves_are_those_that_the_rules_were_developed_on_and_not() -> None:
    halves = {half_of(f"person {number}", "is a poet .") for number in range(40)}
    assert halves == {0, 1}
    first = hashlib.sha256(b"jane roeis a poet .").digest()[0]
    assert half_of("jane roe", "is a poet .") == first % 2


def test_english_and_british_agree_and_every_other_difference_counts() -> None:
    rows = [GoldRow.model_validate(gold())] * 4
    labels = _labels(
        gold(nationality="English"),
        gold(nationality="Scottish"),
        gold(date_of_birth={"year": 1950, "month": 5, "day": 4}),
        gold(politician=True),
    )
    found = accuracy(rows, labels)
    assert (found.all_fields.right, found.all_fields.of) == (1, 4)
    assert (found.dates.right, found.dates.of) == (3, 4)
    assert found.dates.share == 0.75


def test_labels_of_other_rows_are_refused() -> None:
    with pytest.raises(AuditError, match="1 labels for 2 biographies"):
        accuracy([GoldRow.model_validate(gold())] * 2, _labels(gold()))


def test_no_rows_score_nothing() -> None:
    assert accuracy([], _labels()).all_fields.share == 0.0


def test_biographies_as_a_labeler_takes_them() -> None:
    table = bios_table([GoldRow.model_validate(gold())])
    assert table.to_pylist() == [{"bio_id": "0", "name": "jane roe", "bio": gold()["bio"]}]
