"""What an export leaves in its folder, and what it refuses to export."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from inspect_ai.log import list_eval_logs, read_eval_log
from upath import UPath

from needle_assets.evaluation.calibration import sweep_questions, with_floor
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.export import Export, export_results, whole_file
from needle_assets.evaluation.scoring import score_table
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.storage import StorageError, content_hash, write_table
from needle_assets_tests.support.eval_results import (
    answer_row,
    answers,
    haystacks,
    model_entry,
    question_row,
    sweep,
)

GOLD = (
    '{"nationality":"Swiss","date_of_birth":{"day":1,"month":3,"year":1911},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


@pytest.fixture(scope="module")
def results() -> dict[str, pa.Table]:
    """Two models at 1024 and 2048, whose windows take both, and one that takes only the first."""
    partitions = {
        f"{length}|{model}": sweep(model, [length], depths=2, draws=4)
        for model in ("base", "tuned")
        for length in (1024, 2048)
    }
    return partitions | {
        f"{length}|small": sweep("small", [length], depths=2, draws=4, window=1024)
        for length in (1024, 2048)
    }


def export(results: dict[str, pa.Table], folder: Any, **changes: Any) -> Export:
    return export_results(results, folder, BIOGRAPHY_TASK, **changes)


def test_one_parquet_file_has_every_row_in_one_order(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    done = export(results, tmp_path)

    found = pq.read_table(tmp_path / "results.parquet")
    every = pa.concat_tables(results.values())
    assert done.rows == found.num_rows == every.num_rows
    assert found.column_names == every.column_names
    key = ["model", "context_length", "kind", "draw", "example_id"]
    places = [tuple(row.values()) for row in found.select(key).to_pylist()]
    assert [place[:3] for place in places] == sorted(place[:3] for place in places)
    of_sweep = [place for place in places if place[2] == "sweep"]
    assert of_sweep == sorted(of_sweep)
    # Nothing but the order is changed.
    order = [(name, "ascending") for name in key]
    assert found.sort_by(order).to_pylist() == every.sort_by(order).to_pylist()


def test_inspect_finds_a_log_of_each_model_and_length(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    done = export(results, tmp_path)

    named = {Path(info.name).name: info.task for info in list_eval_logs(str(tmp_path))}
    assert named == {
        "base-1024.eval": "biography-1024",
        "base-2048.eval": "biography-2048",
        "tuned-1024.eval": "biography-1024",
        "tuned-2048.eval": "biography-2048",
        "small-1024.eval": "biography-1024",
    }
    assert {path.name for path in done.logs} == set(named)
    assert done.not_applicable == ("2048|small",)


def test_a_log_has_the_mean_of_its_partition(tmp_path: Path, results: dict[str, pa.Table]) -> None:
    export(results, tmp_path)

    for key in ("1024|base", "2048|tuned"):
        length, model = key.split("|")
        log = read_eval_log(str(tmp_path / f"{model}-{length}.eval"))
        of_sweep = results[key].filter(pc.field("kind") == "sweep")
        assert log.results is not None
        assert log.samples is not None
        assert len(log.samples) == of_sweep.num_rows
        mean = log.results.scores[0].metrics["mean"].value
        assert mean == pytest.approx(pc.mean(of_sweep["score"]).as_py())
        assert (log.eval.metadata or {})["partition"] == f"eval_results {key}"


def test_the_same_results_give_the_same_bytes(tmp_path: Path, results: dict[str, pa.Table]) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    backwards = {key: results[key] for key in reversed(results)}

    export(results, first)
    export(backwards, again)

    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes()


def test_only_the_entry_that_was_asked_is_named(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    asked = model_entry("base")
    edited = model_entry("tuned", model="org/another", base_url="https://elsewhere.example/v1")

    export(results, tmp_path, entries={"base": asked, "tuned": edited})

    base = read_eval_log(str(tmp_path / "base-1024.eval"), header_only=True)
    tuned = read_eval_log(str(tmp_path / "tuned-1024.eval"), header_only=True)
    assert base.eval.model_base_url == "http://127.0.0.1:8000/v1"
    assert (tuned.eval.model, tuned.eval.model_base_url) == ("tuned", None)


def scored(built: pa.Table, version: str) -> dict[str, pa.Table]:
    """Results about one question of these haystacks."""
    questions = sweep_questions(BIOGRAPHY_TASK, built)
    given = with_floor(BIOGRAPHY_TASK, questions, answers([answer_row(GOLD)]))
    table = score_table(
        BIOGRAPHY_TASK,
        questions,
        given,
        entry=model_entry("base"),
        run_id="run-1",
        haystacks_version=version,
    )
    return {"512|base": table}


def test_prompts_are_those_of_the_haystacks_that_were_asked_about(tmp_path: Path) -> None:
    built = haystacks([question_row(GOLD)])
    stored = tmp_path / "haystacks.parquet"
    write_table(stored, built)

    done = export(
        scored(built, content_hash(built)[:16]),
        tmp_path,
        haystacks_by_length={512: pq.read_table(stored)},
    )

    [sample] = read_eval_log(str(tmp_path / "base-512.eval")).samples or []
    assert not isinstance(sample.input, str)
    assert [one.text for one in sample.input] == [
        message["content"] for message in built["messages"][0].as_py()
    ]
    assert done.without_prompts == ()


@pytest.mark.parametrize("version", ["0123456789abcdef", ""])
def test_prompts_of_other_haystacks_are_not_taken_for_those(tmp_path: Path, version: str) -> None:
    built = haystacks([question_row(GOLD)])

    done = export(scored(built, version), tmp_path, haystacks_by_length={512: built})

    [sample] = read_eval_log(str(tmp_path / "base-512.eval")).samples or []
    assert isinstance(sample.input, str)
    assert done.without_prompts == ("512|base",)


@pytest.mark.parametrize("empty", [{}, {"512|base": None}])
def test_nothing_is_refused(tmp_path: Path, empty: dict[str, Any]) -> None:
    none = {key: sweep("m", [1024], depths=1, draws=1).slice(0, 0) for key in empty}

    with pytest.raises(EvaluationError, match="no results to export; materialize eval_results"):
        export(none, tmp_path)


def test_results_of_another_version_are_left_out_and_named(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    attempts = results["2048|base"]["attempts"].cast(pa.int64())
    at = results["2048|base"].column_names.index("attempts")
    others = {
        "1024|tuned": results["1024|tuned"].drop_columns(["errors"]),
        "2048|base": results["2048|base"].set_column(at, "attempts", attempts),
    }

    done = export(results | others, tmp_path)

    assert done.other_version == ("1024|tuned", "2048|base")
    assert {path.name for path in done.logs} == {
        *("base-1024.eval", "tuned-2048.eval", "small-1024.eval")
    }
    found = pq.read_table(tmp_path / "results.parquet").select(["context_length", "model"])
    assert found.num_rows == sum(results[key].num_rows for key in results.keys() - others)
    rows = {f"{row['context_length']}|{row['model']}" for row in found.to_pylist()}
    assert rows == results.keys() - others


def test_a_column_more_is_not_exported(tmp_path: Path, results: dict[str, pa.Table]) -> None:
    today = results["1024|base"]
    more = today.append_column("more", pa.nulls(today.num_rows, pa.string()))

    export({"1024|base": today}, tmp_path / "today")
    done = export({"1024|base": more}, tmp_path / "more")

    assert done.other_version == ()
    assert (tmp_path / "more" / "results.parquet").read_bytes() == (
        tmp_path / "today" / "results.parquet"
    ).read_bytes()


def test_nothing_but_results_of_another_version_is_refused(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    old = {key: results[key].drop_columns(["errors"]) for key in ("1024|base", "1024|tuned")}

    with pytest.raises(
        EvaluationError,
        match=r"no results .* 1024\|base, 1024\|tuned .* another version.*materialize eval_results",
    ):
        export(old, tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_as_stored_are_exported_as_those_in_memory(
    tmp_path: Path, results: dict[str, pa.Table]
) -> None:
    stored = tmp_path / "stored.parquet"
    write_table(stored, results["1024|base"])

    done = export(results | {"1024|base": pq.read_table(stored)}, tmp_path / "to")

    assert done.other_version == ()
    assert done.rows == sum(table.num_rows for table in results.values())


def test_an_object_store_takes_whole_files(results: dict[str, pa.Table]) -> None:
    folder = UPath("memory://exported")

    export(results, folder)

    assert {path.name for path in folder.iterdir()} == {
        *("results.parquet", "small-1024.eval", "base-1024.eval", "base-2048.eval"),
        *("tuned-1024.eval", "tuned-2048.eval"),
    }
    assert (folder / "base-1024.eval").read_bytes().startswith(b"PK\x03\x04")


def test_a_file_that_could_not_be_finished_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "one.eval"
    path.write_bytes(b"earlier")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_finished_is_as_readable_as_any_other(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")

    with whole_file(tmp_path / "new" / "one.eval") as file:
        file.write(b"whole")
        assert not (tmp_path / "new" / "one.eval").exists()

    assert (tmp_path / "new" / "one.eval").read_bytes() == b"whole"
    assert (tmp_path / "new" / "one.eval").stat().st_mode == other.stat().st_mode


def test_a_folder_that_is_a_file_is_said(tmp_path: Path, results: dict[str, pa.Table]) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(StorageError, match=r"could not write .*results\.parquet"):
        export(results, tmp_path / "taken")


def test_exporting_needs_no_package_of_inspect() -> None:
    code = "import sys, needle_assets.evaluation.export; sys.exit('inspect_ai' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
