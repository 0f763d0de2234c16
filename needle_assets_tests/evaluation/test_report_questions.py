"""The questions as the page gets them: all there, small, shared texts once, and their picks."""

import base64
import gzip
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import BaseModel

from needle_assets.evaluation.report_questions import packed, picks
from needle_assets.evaluation.scoring import score_table
from needle_assets.evaluation.statistics import cell_table
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.labels.task import LabelError, Task
from needle_assets_tests.support.eval_results import (
    answer_row,
    answers,
    model_entry,
    question_row,
    questions,
    sweep,
)

GOLD = (
    '{"nationality":"French","date_of_birth":{"day":3,"month":4,"year":1911},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


def one_answer(answer: str | None, **changes: Any) -> pa.Table:
    return score_table(
        BIOGRAPHY_TASK,
        questions([question_row(GOLD)]),
        answers([answer_row(answer, **changes)]),
        entry=model_entry(),
        run_id="run-1",
        haystacks_version="1f0c",
    )


def unpacked(results: pa.Table, task: Task = BIOGRAPHY_TASK) -> Any:
    text = packed(task, results, cell_table(results))
    return json.loads(gzip.decompress(base64.b64decode(text)))


def column(data: Any, name: str) -> list[Any]:
    found = data["columns"][name]
    if isinstance(found, list):
        return found
    return [None if code is None else found["values"][code] for code in found["codes"]]


@pytest.fixture(scope="module")
def two_models() -> pa.Table:
    return pa.concat_tables(
        [
            sweep("base", [512, 1024], depths=5, draws=5, skill=0.4),
            sweep("tuned", [512, 1024], depths=5, draws=5, skill=0.9),
        ]
    )


@pytest.mark.parametrize(
    "name",
    [
        *("example_id", "kind", "draw", "bio_id", "name", "depth", "context_length", "outcome"),
        *("haystacks_version", "before", "needle", "after", "answer", "reason", "score", "model"),
        *("prompt_tokens", "cached_tokens", "completion_tokens", "attempts", "batched", "entry"),
        *("fingerprint", "served_model", "request_hash", "run_id"),
    ],
)
def test_every_row_has_all_of_its_values(two_models: pa.Table, name: str) -> None:
    assert column(unpacked(two_models), name) == two_models[name].to_pylist()


def test_a_text_that_models_share_is_there_once(two_models: pa.Table) -> None:
    columns = unpacked(two_models)["columns"]

    for name in ("needle", "before", "after", "gold", "question"):
        source = {"gold": "label", "question": "name"}.get(name, name)
        expected = pc.count_distinct(two_models[source].drop_null()).as_py()
        assert len(columns[name]["values"]) == expected


@pytest.mark.parametrize(("depths", "draws"), [(1, 1), (3, 9), (5, 20)])
def test_the_number_of_rows_is_told_and_every_column_has_as_many(depths: int, draws: int) -> None:
    """Whether a column's values are shared, and so whether it has codes, depends on the design."""
    results = sweep("m", [512], depths=depths, draws=draws, skill=0.4)

    data = unpacked(results)

    assert data["rows"] == results.num_rows
    assert {len(column(data, name)) for name in data["columns"]} == {results.num_rows}


def test_a_question_is_the_tasks_own(two_models: pa.Table) -> None:
    said = column(unpacked(two_models), "question")

    assert said == [BIOGRAPHY_TASK.question(name) for name in two_models["name"].to_pylist()]


def test_label_and_reading_stand_leaf_by_leaf() -> None:
    answer = GOLD.replace("French", "Kenyan").replace('"month":4', '"month":5')

    data = unpacked(one_answer(answer))

    assert [name for name, _ in data["leaves"]] == list(BIOGRAPHY_TASK.leaf_names)
    assert data["leaves"][3] == ["date_of_birth_year", "date of birth year"]
    assert column(data, "gold") == [["French", "3", "4", "1911", "0", "0", "0", "true", "false"]]
    assert column(data, "read") == [["Kenyan", "3", "5", "1911", "0", "0", "0", "true", "false"]]
    assert column(data, "right") == ["010111111"]


def test_an_answer_that_cannot_be_read_is_kept_as_it_came_with_the_reason() -> None:
    data = unpacked(one_answer("She was French & born in 1911."))

    assert column(data, "answer") == ["She was French & born in 1911."]
    assert column(data, "read") == [None]
    assert column(data, "right") == ["000000000"]
    assert "not a biography label" in column(data, "reason")[0]


def test_what_was_not_asked_is_neither_right_nor_wrong() -> None:
    results = sweep("m", [1024], depths=5, draws=5, window=600)

    data = unpacked(results.filter(pc.field("kind") == "sweep"))

    assert column(data, "right") == [None] * 25
    assert column(data, "errors") == [[]] * 25


def test_wrong_fields_have_their_causes_and_where_a_fact_was_taken_from(
    two_models: pa.Table,
) -> None:
    expected = [
        [
            [BIOGRAPHY_TASK.leaf_names.index(error["leaf"]), error["cause"]]
            + (
                [
                    error["source"],
                    error["offset_tokens"],
                    round(error["source_depth"], 1),
                    error["by_chance"],
                ]
                if error["cause"] == "swapped"
                else []
            )
            for error in errors or []
        ]
        for errors in two_models["errors"].to_pylist()
    ]
    assert any(len(error) == 6 for errors in expected for error in errors)

    assert column(unpacked(two_models), "errors") == expected


def test_a_megabyte_of_answer_is_cut_and_its_size_told() -> None:
    """Bad input: 1 MB, as text and inside a label."""
    text = packed(BIOGRAPHY_TASK, one := one_answer("x" * 1_000_000), cell_table(one))
    inside = unpacked(one_answer(GOLD.replace("French", "y" * 1_000_000)))

    assert len(text) < 20_000
    assert column(unpacked(one), "answer") == ["x" * 600 + "… (1,000,000 characters)"]
    assert column(inside, "read")[0][0] == "y" * 60 + "… (1,000,000 characters)"


def test_numbers_are_as_long_as_they_are_shown() -> None:
    data = unpacked(one_answer(GOLD, latency_s=1.23456789))

    assert column(data, "latency_s") == [1.235]
    assert column(data, "realised_depth") == [48.5]
    assert column(data, "evaluated_at") == ["2026-11-22 09:30:00 UTC"]


def test_each_model_has_a_heatmap_of_its_own_cells(two_models: pa.Table) -> None:
    specs = unpacked(two_models)["heatmaps"]

    assert list(specs) == ["base", "tuned"]
    cells = cell_table(two_models).set_index(["model", "context_length", "depth"])["mean"]
    for model, spec in specs.items():
        (rows,) = spec["datasets"].values()
        shown = {(row["context_length"], row["depth"]): row["value"] for row in rows}
        assert shown == cells[model].to_dict()


def test_a_cell_that_is_not_applicable_has_no_value() -> None:
    data = unpacked(sweep("m", [512, 1024], depths=5, draws=5, window=600))

    (rows,) = data["heatmaps"]["m"]["datasets"].values()
    beyond = [row for row in rows if row["context_length"] == 1024]
    assert len(beyond) == 5
    assert [row["value"] for row in beyond] == [None] * 5


def test_a_row_takes_few_bytes() -> None:
    """10,000 questions have to fit in 15 MB; the rest of a page is under 3."""
    results = pa.concat_tables(
        [sweep(f"m{at}", [2048, 4096], depths=10, draws=20, skill=0.7) for at in range(3)]
    )

    size = len(packed(BIOGRAPHY_TASK, results, cell_table(results)))

    assert size / results.num_rows < 600


def test_picks_offer_what_occurs_and_nothing_else(two_models: pa.Table) -> None:
    offered = {
        pick.name: [value for value, _ in pick.options]
        for pick in picks(BIOGRAPHY_TASK, two_models)
    }

    assert offered["model"] == ["base", "tuned"]
    assert offered["context_length"] == ["512", "1024"]
    assert offered["depth"] == ["0.0", "25.0", "50.0", "75.0", "100.0"]
    assert offered["kind"] == ["ceiling", "closed_book", "floor", "sweep"]
    assert set(offered["outcome"]) == set(two_models["outcome"].to_pylist())
    assert offered["wrong"] == [
        *("none", "any"),
        *(f"leaf {name}" for name in BIOGRAPHY_TASK.leaf_names),
    ]
    assert set(offered["cause"]) == {
        error["cause"] for errors in two_models["errors"].to_pylist() for error in errors or []
    }


def test_without_a_wrong_field_there_is_no_cause_to_pick() -> None:
    (cause,) = (pick for pick in picks(BIOGRAPHY_TASK, one_answer(GOLD)) if pick.name == "cause")

    assert cause.options == []


def test_what_is_no_label_is_refused() -> None:
    results = one_answer(GOLD)
    at = results.column_names.index("label")

    with pytest.raises(LabelError, match="not a biography label"):
        unpacked(results.set_column(at, "label", pa.array(['{"passkey":1}'])))


class Passkey(BaseModel):
    passkey: int


def test_another_task_needs_no_other_page() -> None:
    nothing = Passkey(passkey=0)
    task = Task("passkey", Passkey, "Answer in JSON.", "What is the passkey of {name}?", nothing)
    results = score_table(
        task,
        questions([question_row('{"passkey":4711}')]),
        answers([answer_row('{"passkey":4712}')]),
        entry=model_entry(),
        run_id="run-1",
        haystacks_version="1f0c",
    )

    data = unpacked(results, task)

    assert data["leaves"] == [["passkey", "passkey"]]
    assert column(data, "gold") == [["4711"]]
    assert column(data, "read") == [["4712"]]
    assert column(data, "right") == ["0"]
    assert column(data, "question") == ["What is the passkey of ada brackwater?"]
