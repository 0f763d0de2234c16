"""Suites run by Great Expectations itself, on small tables with one fault each."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from needle_assets.quality.runner import ExpectationOutcome, QualityError, QualityReport, validate
from needle_assets.quality.suites import Expected, Suite, nationality, persons_only

ALLOWED = ["English", "French", "Thai", "unknown"]
NATIONALITY = nationality(ALLOWED, unknown="unknown", agreed="agrees")


def _needles(**changes: Any) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "bio_id": ["a", "b", "c"],
            "name": ["jane roe", "john doe", "max moe"],
            "bio": [
                "jane roe is a poet .",
                "john doe was a poet .",
                "max moe is a singer in a band .",
            ],
            "token_count": pd.array([6, 6, 9], dtype="int32"),
            "is_person": [True, True, True],
            "person_reason": ["is a poet", "was a poet", "is a singer"],
            "split": ["train", "validation", "test"],
        }
    )
    return table.assign(**changes)


def _labels(nationalities: Sequence[str], agreement: Sequence[str | None]) -> pd.DataFrame:
    count = len(nationalities)
    return pd.DataFrame(
        {
            "bio_id": [f"id-{number}" for number in range(count)],
            "name": [f"person {number}" for number in range(count)],
            "nationality": pd.array(nationalities, dtype="str"),
            "stated_nationality": pd.array([None] * count, dtype="str"),
            "nationality_agreement": pd.array(agreement, dtype="str"),
        }
    )


def _failed(report: QualityReport) -> list[ExpectationOutcome]:
    failed = [row for row in report.rows if not row.success]
    assert report.success is (not failed)
    return failed


def test_sound_needles_pass() -> None:
    report = validate(_needles(), persons_only())
    assert _failed(report) == []
    assert report.docs_index is None
    assert {row.column for row in report.rows} >= {"is_person", "said_to_be", "token_count", ""}


@pytest.mark.parametrize(
    ("changes", "column", "examples"),
    [
        ({"is_person": [True, False, True]}, "is_person", ("b: False",)),
        (
            {"bio": ["jane roe is a poet .", "the does are a rock band .", "max is a singer ."]},
            "said_to_be",
            ("b: a rock band",),
        ),
        ({"token_count": [6, 0, 9]}, "token_count", ("b: 0",)),
        ({"split": ["train", "dev", "test"]}, "split", ("b: dev",)),
        ({"name": ["jane roe", "jane roe", "x"]}, "name", ("a: jane roe", "b: jane roe")),
        ({"person_reason": ["x", None, "x"]}, "person_reason", ("b: null",)),
        ({"bio_id": ["a", "b", "b"]}, "bio_id", ("b", "b")),
    ],
)
def test_a_fault_fails_its_expectation_alone(
    changes: dict[str, Any], column: str, examples: tuple[str, ...]
) -> None:
    (failed,) = _failed(validate(_needles(**changes), persons_only()))
    assert failed.column == column
    assert failed.unexpected_count == len(examples)
    assert failed.unexpected_examples == examples


def test_a_few_suspects_among_many_are_borne() -> None:
    many = pd.concat([_needles()] * 400, ignore_index=True)
    many["bio_id"] = many["name"] = [str(number) for number in range(len(many))]
    many.loc[7, "bio"] = "the does are a rock band ."
    assert validate(many, persons_only()).success
    many.loc[range(10, 13), "bio"] = "the does are a rock band ."
    (failed,) = _failed(validate(many, persons_only()))
    assert (failed.column, failed.unexpected_count) == ("said_to_be", 4)


def test_an_empty_table_fails() -> None:
    report = validate(_needles().iloc[:0], persons_only())
    assert [row.expectation for row in _failed(report)] == ["expect_table_row_count_to_be_between"]


def test_sound_labels_pass() -> None:
    labels = _labels(["French", "Thai", "unknown"], ["agrees", None, None])
    assert _failed(validate(labels, NATIONALITY)) == []


def test_a_nationality_outside_the_list_fails() -> None:
    labels = _labels(["French", "Martian", "Thai"], [None, None, None])
    (failed,) = _failed(validate(labels, NATIONALITY))
    assert failed.expectation == "expect_column_values_to_be_in_set"
    assert failed.unexpected_examples == ("id-1: Martian",)
    assert failed.observed == "1 of 3 unexpected"


def test_too_many_unknowns_fail() -> None:
    # 2 of 5 = 40 %, more than 35 %.
    labels = _labels(["French", "Thai", "Thai", "unknown", "unknown"], [None] * 5)
    (failed,) = _failed(validate(labels, NATIONALITY))
    assert failed.expectation == "expect_column_values_to_not_be_in_set"
    assert validate(labels, nationality(ALLOWED, "unknown", "agrees", max_unknown=0.5)).success


def test_english_people_labelled_unknown_fail() -> None:
    # The 2024 post's list had no "English": 162 of 165 such people were labelled unknown.
    labels = _labels(["unknown"] * 4 + ["French"] * 96, ["contradicts"] * 4 + ["agrees"] * 96)
    (failed,) = _failed(validate(labels, NATIONALITY))
    assert (failed.column, failed.unexpected_count) == ("nationality_agreement", 4)
    assert failed.observed == "4 of 100 unexpected"


def test_data_docs_are_html_in_the_folder(tmp_path: Path) -> None:
    report = validate(_needles(), persons_only(), docs_dir=tmp_path / "docs")
    assert report.docs_index == tmp_path / "docs" / "index.html"
    assert "persons_only" in report.docs_index.read_text(encoding="utf-8")
    assert len(list((tmp_path / "docs" / "validations").rglob("*.html"))) == 1


def test_it_prints_and_logs_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        validate(_needles(), persons_only())
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("great_exp")] == []


def test_a_missing_column_is_named() -> None:
    with pytest.raises(QualityError, match="suite persons_only has no column is_person"):
        validate(_needles().drop(columns="is_person"), persons_only())


def test_an_expectation_that_raises_is_an_error_and_not_a_failed_check() -> None:
    broken = Suite(
        name="broken",
        columns=("bio_id",),
        key="bio_id",
        expectations=(Expected("expect_column_values_to_be_unique", {"column": "nowhere"}),),
    )
    with pytest.raises(QualityError, match="on 'nowhere': .*does not exist"):
        validate(_needles(), broken)
