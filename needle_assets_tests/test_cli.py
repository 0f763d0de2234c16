"""The `needle` command as a person types it: what it says, and how it ends."""

import datetime
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from needle_assets import cli
from needle_assets.cli import demo
from needle_assets.console import console
from needle_assets.defs.launch import Launched, instance_here, registered_lengths
from needle_assets.defs.resources import Connection, Models
from needle_assets.evaluation.registry import ModelRegistry, Prices
from needle_assets.settings import Settings
from needle_assets.storage import exclusive, write_json, write_table
from needle_assets_tests.corpus.test_readers import row, write
from needle_assets_tests.defs.world import (
    ASKED,
    PROJECT,
    SMALL,
    UNPARTITIONED,
    World,
    own_environment,
    world_in,
)
from needle_assets_tests.support.eval_results import sweep
from needle_assets_tests.support.scripted_server import Refuse, ScriptedServer, scripted_server

BUILT_IN = "smollm2-135m-instruct"


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> Iterator[None]:
    with own_environment():
        yield


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Needle = Callable[..., Ended]


@pytest.fixture
def needle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Needle:
    """Run a command in this process, as its entry point does."""
    monkeypatch.setattr(console, "width", 200)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["needle", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, and we are in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    monkeypatch.chdir(folder)
    # Any file will do: nothing trains here.
    monkeypatch.setenv("NEEDLE_TRAINER_PYTHON", sys.executable)
    return folder


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A small project that ran once; we are in it and have its settings in the environment."""
    with world_in(tmp_path / "finished") as world:
        monkeypatch.chdir(world.folder)
        for name, value in SMALL.items():
            monkeypatch.setenv(f"NEEDLE_{name.upper()}", str(value))
        yield world


def fails(ended: Ended, *parts: str) -> None:
    """Exit code 1 and one line on stderr that holds all the parts."""
    assert ended.code == 1, ended
    assert "Traceback" not in ended.err
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


# --- lengths -----------------------------------------------------------------------------------


def test_lengths_are_added_and_listed(project: Path, needle: Needle) -> None:
    added = needle("lengths", "add", "4096", "512")
    assert added.code == 0
    assert "dg launch --assets haystacks --partition 4096" in added.out
    (project / ".needle" / "assets" / "haystacks").mkdir(parents=True)
    (project / ".needle" / "assets" / "haystacks" / "512.parquet").touch()
    listed = needle("lengths", "list").out
    rows = [line.strip("│ \n").split("│") for line in listed.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [["512", "built"], ["4096", "-"]]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "bad", ["abc", "0", "-4", "1e3", "12", "512|x", "99999999", "4096,8192", "[bold]"]
)
def test_bad_lengths_are_refused_all_or_none(needle: Needle, bad: str) -> None:
    fails(
        needle("lengths", "add", "4096", bad),
        f"{bad!r} is not a context length",
        "from 256 to 16777216, for example 4096",
    )
    with instance_here("") as instance:
        assert registered_lengths(instance) == []


# --- models ------------------------------------------------------------------------------------


def add_model(needle: Needle, slug: str = "tuned-7b", **options: str | None) -> Ended:
    given = {
        "--base-url": "http://127.0.0.1:9/v1",
        "--model": "org/tuned",
        "--context-window": "8192",
        **{f"--{name.replace('_', '-')}": value for name, value in options.items()},
    }
    words = [word for name, value in given.items() for word in (name, value) if word]
    return needle("models", "add", slug, *words)


def test_models_are_added_and_listed(project: Path, needle: Needle) -> None:
    added = add_model(needle, api_key_env="TUNED_KEY", no_json_schema=None)
    assert added.code == 0
    assert "dg launch --assets eval_results --partition '1024|tuned-7b'" in added.out
    entry = ModelRegistry(Settings(home=str(project / ".needle")).root / "models.json").get(
        "tuned-7b"
    )
    assert (entry.model, entry.api_key_env, entry.json_schema) == ("org/tuned", "TUNED_KEY", False)
    listed = needle("models", "list").out
    assert "tuned-7b" in listed
    assert BUILT_IN in listed
    assert "embedded" in listed
    with instance_here("") as instance:
        assert list(instance.get_dynamic_partitions("model")) == ["tuned-7b"]


@pytest.mark.usefixtures("project")
def test_slugs_are_whole_in_a_narrow_terminal(
    needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = "a-slug-that-somebody-made-rather-long"
    add_model(needle, slug)
    monkeypatch.setattr(console, "width", 80)
    listed = needle("models", "list").out
    assert slug in listed
    assert BUILT_IN in listed


@pytest.mark.parametrize(
    ("slug", "options", "message"),
    [
        ("a|b", {}, "'a|b' cannot name a model"),
        ("tuned", {"base_url": "localhost:8000"}, "needs a base_url such as https://host/v1"),
        ("tuned", {"base_url": "http://me:secret-word@h/v1"}, "more than host and path"),
        ("tuned", {"context_window": "0"}, "a context window of 0"),
        ("tuned", {"api_key_env": "sk-secret-word"}, "never the key itself"),
        (BUILT_IN, {}, "built in and cannot be changed"),
    ],
)
def test_a_model_that_cannot_work_is_refused(
    project: Path, needle: Needle, slug: str, options: dict[str, str], message: str
) -> None:
    ended = add_model(needle, slug, **options)
    fails(ended, message)
    assert "secret-word" not in ended.err
    assert not (project / ".needle" / "models.json").exists()
    with instance_here("") as instance:
        assert list(instance.get_dynamic_partitions("model")) == []


def test_a_slug_does_not_change_its_model(project: Path, needle: Needle) -> None:
    add_model(needle)
    assert add_model(needle).code == 0
    before = (project / ".needle" / "models.json").read_bytes()
    fails(add_model(needle, model="org/other"), "'tuned-7b' is registered already, as 'org/tuned'")
    assert (project / ".needle" / "models.json").read_bytes() == before


def test_prices_batches_and_caches_of_a_model_are_kept_and_listed(
    project: Path, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(
        needle,
        input_price="0.15",
        cached_price="0.075",
        output_price="0.6",
        prices_as_of="2026-11-01",
        batch=None,
        batch_share="0.4",
        tokens_per_minute="200000",
        prefix_cache="slots",
        concurrency="7",
    )
    entry = ModelRegistry(Settings(home=str(project / ".needle")).root / "models.json").get(
        "tuned-7b"
    )
    assert entry.prices == Prices(
        input=0.15, cached_input=0.075, output=0.6, as_of=datetime.date(2026, 11, 1)
    )
    assert (entry.batch, entry.batch_share, entry.prefix_cache) == (True, 0.4, "slots")
    assert (entry.tokens_per_minute, entry.concurrency) == (200_000, 7)
    monkeypatch.setattr(console, "width", 80)
    listed = needle("models", "list").out
    for shown in ("0.15, 0.075, 0.6", "of 2026-11-01", "batches at"):
        assert shown in listed


def test_cached_tokens_cost_what_all_do_unless_it_is_said(project: Path, needle: Needle) -> None:
    add_model(needle, input_price="0.15", output_price="0")
    prices = (
        ModelRegistry(Settings(home=str(project / ".needle")).root / "models.json")
        .get("tuned-7b")
        .prices
    )
    assert prices is not None
    assert (prices.cached_input, prices.output, prices.as_of) == (0.15, 0, datetime.date.today())


def test_a_model_without_prices_has_none(project: Path, needle: Needle) -> None:
    add_model(needle)
    models = ModelRegistry(Settings(home=str(project / ".needle")).root / "models.json")
    assert models.get("tuned-7b").prices is None
    assert "not known" in needle("models", "list").out


PRICED = {"input_price": "1", "output_price": "2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_price": "1"}, "give both --input-price and --output-price"),
        ({"output_price": "1"}, "give both --input-price and --output-price"),
        ({"cached_price": "1"}, "give both --input-price and --output-price"),
        (PRICED | {"prices_as_of": "2026-13-01"}, "--prices-as-of is '2026-13-01'"),
        (PRICED | {"input_price": "inf"}, "--input-price is inf"),
        (PRICED | {"cached_price": "inf"}, "--cached-price is inf"),
        (PRICED | {"output_price": "inf"}, "--output-price is inf"),
        ({"batch_share": "0"}, "--batch-share is 0"),
        ({"batch_share": "1.5"}, "--batch-share is 1.5"),
        ({"batch_share": "nan"}, "--batch-share is nan"),
        ({"tokens_per_minute": "0"}, "a limit of 0 tokens a minute"),
        ({"prefix_cache": "none"}, "--prefix-cache is 'none': expected shared or slots"),
        ({"concurrency": "0"}, "a concurrency of 0"),
    ],
)
def test_a_bad_value_of_a_model_is_one_line(
    project: Path, needle: Needle, options: dict[str, str], message: str
) -> None:
    fails(add_model(needle, **options), message)
    assert not (project / ".needle" / "models.json").exists()


@pytest.mark.usefixtures("project")
def test_a_price_below_zero_is_named(needle: Needle) -> None:
    ended = add_model(needle, input_price="-1", output_price="2")
    assert ended.code == 2
    assert "--input-price" in ended.err


# --- plan, export, evaluations -----------------------------------------------------------------


def test_a_plan_asks_nobody_and_adds_up(finished: World, needle: Needle) -> None:
    before = finished.server.count
    ended = needle("plan", "--lengths", "512,2048", "--models", "scripted", "--draws", "6")
    assert ended.code == 0, ended.err
    depths = int(SMALL["depths"])
    assert f"({2 * 6 * depths} about haystacks, " in ended.out
    for length in ("512", "2,048"):
        assert f"{length}: {depths} depths x 6 draws about" in ended.out
    assert finished.server.count == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "nobody"), "no model 'nobody' is registered"),
        (("--lengths", "12"), "'12' is not a context length"),
    ],
)
@pytest.mark.usefixtures("finished")
def test_a_plan_of_what_is_not_there_is_one_error(
    needle: Needle, options: tuple[str, str], message: str
) -> None:
    fails(needle("plan", *options), message)


def test_results_are_exported_to_where_it_was_said(finished: World, needle: Needle) -> None:
    folder = finished.folder / "out"
    ended = needle("export", "--folder", str(folder))
    assert ended.code == 0, ended.err
    exported = pq.read_table(folder / "results.parquet")
    assert exported.num_rows > 0
    assert set(exported["model"].to_pylist()) == {"scripted"}
    assert f"{exported.num_rows:,} rows" in ended.out
    assert (folder / "scripted-512.eval").exists()
    assert f"inspect view --log-dir {folder}" in ended.out
    assert finished.server.count == 0


def test_an_export_says_which_results_of_another_version_it_leaves_out(
    project: Path, needle: Needle
) -> None:
    stored = project / ".needle" / "assets" / "eval_results" / "1024"
    today = sweep("today", [1024], depths=2, draws=2)
    write_table(stored / "today.parquet", today)
    write_table(stored / "old.parquet", today.drop_columns(["errors"]))

    ended = needle("export")

    assert ended.code == 0, ended.err
    assert f"results.parquet: {today.num_rows} rows" in ended.out
    assert "left out, since another version evaluated them: 1024|old\n" in ended.out


def test_without_results_there_is_nothing_to_export(project: Path, needle: Needle) -> None:
    ended = needle("export")
    fails(ended, "eval_results")
    assert not (project / ".needle" / "export" / "results.parquet").exists()


@pytest.mark.usefixtures("finished")
def test_evaluations_are_listed_whole_in_a_narrow_terminal(
    needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    listed = needle("evaluations", "list").out
    # As `needle evaluations accept` takes them.
    assert "512 scripted\n" in listed
    assert "1.000" in listed
    assert "the first" in listed


@pytest.mark.usefixtures("finished")
def test_an_accepted_evaluation_is_listed_as_such(needle: Needle) -> None:
    ended = needle("evaluations", "accept", "512", "scripted", "1")
    assert ended.code == 0, ended.err
    assert "evaluation 1 of scripted at 512 is what later ones are compared with" in ended.out
    assert "accepted by hand" in needle("evaluations", "list").out


@pytest.mark.parametrize(
    "which", [("512", "scripted", "2"), ("1024", "scripted", "1"), ("512", "nobody", "1")]
)
@pytest.mark.usefixtures("finished")
def test_an_evaluation_that_was_not_made_cannot_be_accepted(
    needle: Needle, which: tuple[str, str, str]
) -> None:
    fails(needle("evaluations", "accept", *which), "`needle evaluations list`")


@pytest.mark.usefixtures("project")
def test_without_an_evaluation_none_is_listed(needle: Needle) -> None:
    ended = needle("evaluations", "list")
    assert (ended.code, ended.out.strip()) == (0, "no model was evaluated yet")


# --- settings, help, instance ------------------------------------------------------------------


def test_all_settings_are_listed_and_no_key(
    project: Path, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLE_ENDPOINT_API_KEY", "sk-secret-word")
    monkeypatch.setenv("NEEDLE_DRAWS", "7")
    ended = needle("settings")
    assert ended.code == 0
    for name in Settings.model_fields:
        assert f"NEEDLE_{name.upper()} " in ended.out
    assert "secret-word" not in ended.out + ended.err
    [draws] = [line for line in ended.out.splitlines() if "NEEDLE_DRAWS" in line]
    assert draws.split("│")[2].strip() == "7"
    assert list(project.iterdir()) == [project / "dagster.yaml"]


@pytest.mark.usefixtures("project")
def test_names_of_settings_are_whole_in_a_narrow_terminal(
    needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    shown = needle("settings").out
    assert all(f" NEEDLE_{name.upper()} " in shown for name in Settings.model_fields)


@pytest.mark.parametrize(
    ("command", "default"),
    [
        (("demo",), "(90)"),
        (("endpoint", "serve"), "(8600)"),
        (("endpoint", "check"), "(NEEDLE_ENDPOINT_URL)"),
    ],
)
def test_help_tells_what_holds_without_an_option(
    needle: Needle, command: tuple[str, ...], default: str
) -> None:
    assert f"[default: {default}]" in " ".join(needle(*command, "--help").out.split())


def test_a_setting_that_cannot_be_used_is_named(
    project: Path, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDLE_DRAWS", "many")
    fails(needle("demo"), "NEEDLE_DRAWS", "`needle settings` lists all settings")
    assert not (project / ".needle").exists()


def test_variables_come_from_the_folders_env_file(
    project: Path, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file's variables go into the environment: they must not outlive this test.
    monkeypatch.setenv("NEEDLE_SEED", "1")
    monkeypatch.delenv("NEEDLE_SEED")
    (project / ".env").write_text("NEEDLE_SEED=12345\n")
    assert "12345" in needle("settings").out


@pytest.mark.parametrize(
    "command", [("lengths", "list"), ("lengths", "add", "512"), ("demo",), ("report",), ("init",)]
)
def test_outside_a_project_it_is_said_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needle: Needle, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(needle(*command), "no dagster.yaml in this folder", "DAGSTER_HOME")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("home", ["nowhere", "/nowhere/at/all"])
def test_a_dagster_home_that_is_not_there_is_named(
    needle: Needle, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    fails(needle("lengths", "list"), f"DAGSTER_HOME is {home}", "unset DAGSTER_HOME")


def test_the_first_partitions_are_added_once(project: Path, needle: Needle) -> None:
    needle("lengths", "add", "4096")
    for _ in range(2):
        assert needle("init").code == 0
    with instance_here("") as instance:
        assert registered_lengths(instance) == ["512", "1024", "4096"]
        assert list(instance.get_dynamic_partitions("model")) == [BUILT_IN]
    assert not (project / ".needle").exists()


def test_the_command_is_installed(project: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("needle"), "lengths", "add", "1e3"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: '1e3' is not a context length")
    assert ended.stderr.count("\n") == 1


# --- demo and report ---------------------------------------------------------------------------


@contextmanager
def scripted_model(world: World) -> Iterator[None]:
    """The scripted server stands in for the embedded model."""

    @contextmanager
    def connect(models: Models, slug: str) -> Iterator[Connection]:
        yield Connection(models.registry.get(slug), world.server.base_url, world.server.api_key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Models, "connect", connect)
        patch.setattr(world.server, "models", None)
        yield


def steps(out: str) -> dict[str, str]:
    """What each step of the demo said."""
    said = [line.removeprefix("✓ ").split(" ", 1) for line in out.splitlines() if "✓" in line]
    return {asset: what.strip() for asset, what in said}


def test_the_demo_runs_what_is_missing_and_says_so(finished: World, needle: Needle) -> None:
    made = (*UNPARTITIONED, "haystacks[512]", "finetune_upload[512]")
    with scripted_model(finished):
        first = needle("demo", "--lengths", "512")
        again = needle("demo", "--lengths", "512, 512")
    for ended in (first, again):
        assert ended.code == 0, ended.err
        assert [*steps(ended.out)] == [*made, f"eval_results[512|{BUILT_IN}]", "leaderboard"]
        assert {steps(ended.out)[step] for step in made} == {"unchanged, reused"}
        # The scripted model evaluated before, and the embedded one now; both know all labels.
        *_, row = (line.split() for line in ended.out.splitlines() if "1.000" in line)
        # No interval from two draws. The model knows each label by the name alone.
        assert BUILT_IN.startswith(row[0])
        assert row[1:5] == ["512", "4", "1.000", "-"]
        assert row[6:] == ["1.000", "1.000", "1.000"]
        assert "report: .needle/report.html" in ended.out
    assert steps(first.out)[f"eval_results[512|{BUILT_IN}]"].endswith(" s")
    assert steps(again.out)[f"eval_results[512|{BUILT_IN}]"] == "unchanged, reused"
    assert finished.server.count == ASKED
    assert BUILT_IN in (finished.store / "report.html").read_text()


def test_the_demos_options_go_before_the_environment(finished: World, needle: Needle) -> None:
    with scripted_model(finished):
        ended = needle("demo", "--lengths", "512", "--depths", "3", "--draws", "1")
    assert ended.code == 0, ended.err
    # 3 questions, and 3 people asked about alone and without any text.
    assert finished.server.count == 3 + 3 + 3
    assert steps(ended.out)["needle_labels"] == "unchanged, reused"
    assert steps(ended.out)["haystacks[512]"] != "unchanged, reused"


def test_the_report_is_made_from_what_was_evaluated(finished: World, needle: Needle) -> None:
    (finished.store / "report.html").unlink()
    ended = needle("report")
    assert ended.code == 0, ended.err
    assert "scripted" in ended.out
    assert (finished.store / "report.html").exists()
    assert finished.server.count == 0


def test_without_an_evaluation_there_is_no_report(project: Path, needle: Needle) -> None:
    fails(needle("report"), "nothing was evaluated yet; materialize eval_results first")
    assert not (project / ".needle" / "report.html").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--depths", "0"), ("--draws", "0"), ("--depths", "x"), ("--draws", "-1")]
)
def test_a_number_out_of_range_is_named(
    project: Path, needle: Needle, option: str, value: str
) -> None:
    ended = needle("demo", option, value)
    assert ended.code == 2
    assert f"Invalid value for '{option}'" in ended.err
    assert "Traceback" not in ended.err
    assert not (project / ".needle").exists()


@pytest.mark.parametrize("lengths", ["abc", "512,", "512;1024", "512,-4", "128"])
def test_the_demo_refuses_bad_lengths_before_any_work(
    project: Path, needle: Needle, lengths: str
) -> None:
    fails(needle("demo", "--lengths", lengths), "is not a context length")
    assert not (project / ".needle" / "assets").exists()
    with instance_here("") as instance:
        assert registered_lengths(instance) == []


def test_a_length_beyond_the_corpus_says_how_many_tokens_there_are(
    finished: World, needle: Needle
) -> None:
    before = finished.outputs()
    ended = needle("demo", "--lengths", "65536")
    fails(ended, "context length 65536 needs", "but the corpus has ", "use a larger corpus")
    assert finished.outputs() == before


def test_a_full_disk_is_one_error(
    finished: World, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = finished.outputs()
    monkeypatch.setenv("NEEDLE_SEED", "1")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    fails(needle("demo"), "raw_wiki_bio.parquet", "No space left on device", "NEEDLE_HOME")
    assert finished.outputs() == before


def test_two_writers_of_one_partition_are_one_error(finished: World, needle: Needle) -> None:
    before = finished.outputs()
    path = finished.store / "assets" / "leaderboard.parquet"
    with exclusive(path, "the leaderboard"):
        fails(needle("report"), "another run is writing", "leaderboard.parquet", "try again")
    assert finished.outputs() == before


def test_two_demos_at_once_are_one_error(finished: World, needle: Needle) -> None:
    with exclusive(finished.store / "launch", "it"):
        fails(needle("demo", "--lengths", "512"), "another run is writing", "from the command line")
    assert needle("report").code == 0


# --- a corpus that cannot be used --------------------------------------------------------------


def unequal() -> dict[str, Any]:
    damaged = row("b", "b .")
    damaged["input_text"]["table"]["content"] = ["x"]
    return damaged


def make_corpus(kind: str, path: Path) -> None:
    """Write a corpus that has one fault."""
    if kind == "not Parquet":
        path.write_text("name,text\n")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "half written":
        write(path, row())
        path.write_bytes(path.read_bytes()[:-9])
    elif kind == "wrong columns":
        pq.write_table(pa.table({"name": ["x"]}), path)
    elif kind == "no rows":
        write(path)
    elif kind == "unequal infobox":
        write(path, row(), unequal())
    elif kind == "no title":
        write(path, row(), row(title=None))
    elif kind == "no text":
        write(path, row(), row(text=""))
    else:
        assert kind == "missing"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("missing", ("corpus.parquet does not exist", "NEEDLE_CORPUS")),
        ("not Parquet", ("corpus.parquet is not a Parquet file", "wiki_bio's schema")),
        ("empty", ("corpus.parquet is empty",)),
        ("half written", ("corpus.parquet was cut off", "fetch or write it again")),
        ("wrong columns", ("corpus.parquet lacks the columns input_text", "it has name")),
        ("no rows", ("corpus.parquet holds no rows",)),
        ("unequal infobox", ("corpus.parquet row 1 (counted from 0)", "2 column_header")),
        ("no title", ("corpus.parquet row 1 (counted from 0) has no title",)),
        ("no text", ("corpus.parquet row 1 (counted from 0) has no text",)),
    ],
)
def test_a_corpus_that_cannot_be_used_is_one_error(
    project: Path, needle: Needle, kind: str, parts: tuple[str, ...]
) -> None:
    corpus = project / "corpus.parquet"
    make_corpus(kind, corpus)
    fails(needle("demo", "--corpus", str(corpus)), *parts)
    assert not list((project / ".needle").rglob("*.parquet"))


def test_a_corpus_without_a_needle_says_why(project: Path, needle: Needle) -> None:
    corpus = write(project / "corpus.parquet", row("ada byron", "ada byron was a poet ."))
    ended = needle("demo", "--corpus", str(corpus))
    fails(ended, "none of 1 biographies can be used as needles", "too little text (1)")
    assert not (project / ".needle" / "assets" / "needle_labels.parquet").exists()


# --- fine-tunes --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launches:
    """What a demo would run, instead of running it."""

    definitions: dg.Definitions
    settings: Settings
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    instance: None = None

    def bring_up_to_date(self, asset: str, partition: str | None = None) -> Launched:
        self.asked.append((asset, partition))
        if asset == "finetuned_model":
            write_json(
                self.settings.root / "assets" / asset / f"{partition}.json", {"slug": "tuned"}
            )
        return Launched(asset, partition, reused=False, seconds=0.0)


@pytest.fixture
def launches(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[Launches]:
    """The launchers that commands made; nothing runs, and nothing is registered or printed."""
    made: list[Launches] = []

    @contextmanager
    def launcher(definitions: Any, _instance: Any, settings: Settings) -> Iterator[Launches]:
        made.append(Launches(definitions, settings))
        yield made[-1]

    monkeypatch.setattr("needle_assets.defs.launch.launcher", launcher)
    monkeypatch.setattr("needle_assets.defs.launch.register", lambda *_: None)
    for name in ("print_leaderboard", "tell_of_labels"):
        monkeypatch.setattr(demo, name, lambda *_: None)
    (project / "python").touch()
    monkeypatch.setenv("NEEDLE_TRAINER_PYTHON", str(project / "python"))
    return made


def test_the_demo_tunes_at_the_first_length_and_asks_at_all(
    launches: list[Launches], needle: Needle
) -> None:
    ended = needle("demo", "--lengths", "512,1024")
    assert ended.code == 0, ended.err
    [launched] = launches
    tuned = launched.asked.index(("finetuned_model", "512"))
    assert ("finetuned_model", "1024") not in launched.asked
    assert launched.asked[tuned + 1 :] == [
        ("eval_results", "512|tuned"),
        ("eval_results", "1024|tuned"),
        ("leaderboard", None),
    ]


def test_steps_are_examples_by_the_batch_once_through(
    launches: list[Launches], needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needle("demo", "--steps", "200").code == 0
    monkeypatch.setenv("NEEDLE_BATCH_SIZE", "5")
    assert needle("demo", "--steps", "3").code == 0
    told = [(made.settings.train_examples, made.settings.batch_size) for made in launches]
    assert told == [(400, 2), (15, 5)]
    assert {made.settings.epochs for made in launches} == {1}


@pytest.mark.parametrize(
    ("arguments", "endpoint"),
    [
        (("--no-finetune",), ""),
        # Somebody's endpoint may want money, which nobody has said yes to.
        ((), "https://models.example/v1"),
    ],
)
def test_a_demo_without_a_fine_tune_makes_no_model(
    launches: list[Launches],
    needle: Needle,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    endpoint: str,
) -> None:
    monkeypatch.setenv("NEEDLE_ENDPOINT_URL", endpoint)
    assert needle("demo", *arguments).code == 0
    [launched] = launches
    assert "finetuned_model" not in [asset for asset, _ in launched.asked]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--no-finetune", "--steps", "5"), {}, "--steps"),
        (("--steps", "5"), {"NEEDLE_ENDPOINT_URL": "https://models.example/v1"}, "--finetune"),
        (("--finetune",), {"NEEDLE_ENDPOINT_URL": "store"}, "nothing to fine-tune at"),
        ((), {"NEEDLE_TRAINER_PYTHON": "no/such/python"}, "make trainer"),
    ],
)
def test_a_fine_tune_that_cannot_be_is_refused_before_any_work(
    launches: list[Launches],
    needle: Needle,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fails(needle("demo", *arguments), said)
    assert not any(launched.asked for launched in launches)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted endpoint with one model; its key is in the environment."""
    with scripted_server() as server:
        server.models["base-1"] = {"id": "base-1", "object": "model", "created": 0, "owned_by": "x"}
        monkeypatch.setenv("NEEDLE_ENDPOINT_API_KEY", server.api_key)
        yield server


@pytest.mark.usefixtures("project")
def test_a_check_of_an_endpoint_pays_for_nothing(served: ScriptedServer, needle: Needle) -> None:
    ended = needle("endpoint", "check", "--base-url", served.base_url)
    assert ended.code == 0, ended.out
    assert "passed" in ended.out
    assert served.api_key not in ended.out + ended.err
    assert served.requests["files.create"]
    assert not served.requests["jobs.create"]
    assert not served.files


@pytest.mark.usefixtures("project")
def test_an_endpoint_that_does_not_conform_ends_with_1(
    served: ScriptedServer, needle: Needle, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.script_for_ever("files.retrieve", Refuse(500, "scripted failure"))
    monkeypatch.setenv("NEEDLE_ENDPOINT_URL", served.base_url)
    ended = needle("endpoint", "check")
    assert ended.code == 1
    assert "failed" in ended.out


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("address", ["", "no-address", "ftp://host/v1"])
def test_a_check_of_nothing_says_what_is_missing(needle: Needle, address: str) -> None:
    arguments = ("--base-url", address) if address else ()
    fails(needle("endpoint", "check", *arguments), "https://host/v1")
