"""The assets one by one, on a small corpus and a scripted model."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dagster._core.errors import DagsterAssetCheckFailedError
from upath import UPath

from needle_assets.defs import io_managers
from needle_assets.defs.assets import needles
from needle_assets.defs.journals import EVALUATION_TAG
from needle_assets.defs.provenance import DATA_VERSION, latest, version_tag
from needle_assets.evaluation.registry import Prices
from needle_assets.labels.tables import Labeled
from needle_assets.storage import StorageError, exclusive, read_table, write_table
from needle_assets_tests.defs.world import (
    ASKED,
    LENGTH,
    MODEL,
    QUESTIONS,
    SWEEP,
    UNPARTITIONED,
    World,
    knows,
    shared_tokenizer,
)
from needle_assets_tests.support.chat_server import ChatRequest, Reply
from needle_assets_tests.support.files_server import files_server
from needle_assets_tests.support.html_page import Page

TABLES = [*((key,) for key in UNPARTITIONED), ("haystacks", LENGTH)]
EVERY = [
    *((key, None) for key in UNPARTITIONED),
    ("haystacks", LENGTH),
    ("finetune_upload", LENGTH),
    ("eval_results", SWEEP),
    ("leaderboard", None),
]


def version(world: World, asset: str, partition: str | None = None) -> str | None:
    return version_tag(latest(world.instance, asset, partition), DATA_VERSION)


def metadata(world: World, asset: str, partition: str | None = None) -> dict[str, Any]:
    made = latest(world.instance, asset, partition)
    assert made
    return dict(made.metadata)


def shorten(world: World, asset: str, rows: int) -> None:
    """Leave only the first rows of a stored table, so that a test has less to do."""
    path = world.store / "assets" / f"{asset}.parquet"
    write_table(path, read_table(path).slice(0, rows))


def failed(world: World) -> dg.DagsterRun:
    """The latest run, which failed."""
    run = world.instance.get_runs(limit=1)[0]
    assert run.status is dg.DagsterRunStatus.FAILURE
    return run


# --- every asset -------------------------------------------------------------------------------


def test_the_same_inputs_settings_and_seed_give_the_same_rows(
    finished: World, new_world: World
) -> None:
    new_world.instance.add_dynamic_partitions("context_length", [LENGTH])
    new_world.run(*UNPARTITIONED)
    new_world.run("haystacks", partition=LENGTH)
    for path in TABLES:
        assert new_world.table(*path).equals(finished.table(*path)), path
        assert version(new_world, *path) == version(finished, *path), path


def test_another_seed_gives_other_rows(world: World, finished: World) -> None:
    # The haystacks first: from the same bios and labels.
    world.run("haystacks", partition=LENGTH, seed=1)
    world.run("raw_wiki_bio", "anonymized_bios", seed=1)
    for path in (("haystacks", LENGTH), ("raw_wiki_bio",), ("anonymized_bios",)):
        assert not world.table(*path).equals(finished.table(*path)), path
        assert version(world, *path) != version(finished, *path), path


@pytest.mark.parametrize(("asset", "partition"), EVERY, ids=lambda value: str(value))
def test_an_event_shows_but_does_not_store(
    finished: World, asset: str, partition: str | None
) -> None:
    made = latest(finished.instance, asset, partition)
    assert made
    assert len(dg.serialize_value(made)) < 100_000
    if asset == "finetune_upload":
        return
    table = finished.table(asset, *(partition or "").split("|") if partition else ())
    assert made.metadata["dagster/row_count"].value == table.num_rows
    preview = made.metadata["preview"]
    assert isinstance(preview, dg.TableMetadataValue)
    assert 0 < len(preview.records) <= 5
    assert set(preview.records[0].data) == set(table.column_names)


@pytest.mark.parametrize(
    ("asset", "partition", "name"),
    [
        ("anonymized_bios", None, "token_histogram"),
        ("filtered_needles", None, "token_histogram"),
        ("haystacks", LENGTH, "depths"),
        ("eval_results", SWEEP, "heatmap"),
        ("eval_results", SWEEP, "curve"),
        ("leaderboard", None, "heatmap"),
        ("leaderboard", None, "curve"),
    ],
)
def test_a_plot_is_an_image_that_the_ui_renders(
    finished: World, asset: str, partition: str | None, name: str
) -> None:
    value = metadata(finished, asset, partition)[name].value
    image = re.fullmatch(r"!\[[^]]+\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", value)
    assert image
    assert base64.b64decode(image[1]).decode().startswith("<svg")


def test_counts_that_the_ui_plots_over_time(finished: World) -> None:
    bios, asked = finished.table("anonymized_bios"), finished.table("haystacks", LENGTH)
    results = finished.table("eval_results", LENGTH, MODEL)
    assert (
        metadata(finished, "anonymized_bios")["tokens"].value == pc.sum(bios["token_count"]).as_py()
    )
    assert (
        metadata(finished, "haystacks", LENGTH)["prompt_tokens"].value
        == pc.sum(asked["prompt_tokens"]).as_py()
    )
    shown = metadata(finished, "eval_results", SWEEP)
    assert shown["mean_score"].value == 1.0
    assert shown["prompt_tokens"].value == pc.sum(results["prompt_tokens"]).as_py()
    # Prices are unknown: no cost is shown, least of all 0.
    assert "cost_usd" not in shown


def test_the_store_may_be_an_object_store(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Journals and caches stay on the disk, below the working folder.
    monkeypatch.chdir(tmp_path)
    home = UPath("memory://needle-assets-test/home")
    needed = ("haystacks/512", "anonymized_bios")
    for name in ("models.json", *(f"assets/{key}.parquet" for key in needed)):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes((world.store / name).read_bytes())
    world.run("eval_results", partition=SWEEP, home=str(home))
    world.run("leaderboard", home=str(home))
    results = read_table(home / "assets" / "eval_results" / LENGTH / f"{MODEL}.parquet")
    assert results["kind"].to_pylist().count("sweep") == QUESTIONS
    assert (home / "report.html").read_text().startswith("<!doctype html>")


# --- corpus ------------------------------------------------------------------------------------


def test_a_corpus_that_cannot_be_read_leaves_the_earlier_one(world: World, tmp_path: Path) -> None:
    before = world.outputs()
    with pytest.raises(dg.Failure, match="nowhere does not exist") as caught:
        world.run("raw_wiki_bio", corpus=str(tmp_path / "nowhere"))
    assert not caught.value.allow_retries
    assert world.outputs() == before


def test_the_corpus_that_is_set_is_read(world: World, shared_data: Path) -> None:
    corpus = str(shared_data / "wiki_bio_raw_200.parquet")
    world.run("raw_wiki_bio", corpus=corpus)
    assert world.table("raw_wiki_bio").num_rows == 200
    assert metadata(world, "raw_wiki_bio")["corpus"].value == corpus


# --- checks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asset", "check"), [("filtered_needles", "persons_only"), ("needle_labels", "nationality")]
)
def test_a_check_leaves_its_table_and_data_docs(finished: World, asset: str, check: str) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    record = finished.instance.get_latest_asset_check_evaluation_record(key)
    assert record
    assert record.event
    evaluation = record.event.asset_check_evaluation
    assert evaluation
    assert evaluation.passed
    assert re.fullmatch(r"all \d+ expectations hold", evaluation.description or "")
    table = evaluation.metadata["expectations"]
    assert isinstance(table, dg.TableMetadataValue)
    assert {"expectation", "column", "success", "observed"} <= set(table.records[0].data)
    assert all(row.data["success"] for row in table.records)
    # The finished project was copied: the page that the event names lies in the original.
    assert str(evaluation.metadata["data_docs"].value).endswith(f"data_docs/{check}/index.html")
    page = finished.store / "data_docs" / check / "index.html"
    assert page.read_text().lstrip().startswith("<!DOCTYPE html>")


def spoiled(label_bios: Callable[..., Labeled], rows: int) -> Callable[..., Labeled]:
    """A labeler that gives the first rows a nationality that there is not."""

    def label(*arguments: Any) -> Labeled:
        labeled = label_bios(*arguments)
        labels = labeled.labels
        at = labels.column_names.index("nationality")
        values = ["Ruritanian"] * rows + labels["nationality"].to_pylist()[rows:]
        changed = labels.set_column(at, labels.schema.field(at), pa.array(values))
        return Labeled(changed, labeled.quarantine)

    return label


def test_labels_that_fail_their_check_stop_the_haystacks_of_their_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needles, "label_bios", spoiled(needles.label_bios, 2))
    haystacks = world.table("haystacks", LENGTH)
    built = version(world, "haystacks", LENGTH)
    with pytest.raises(DagsterAssetCheckFailedError, match="nationality"):
        world.run("needle_labels", "haystacks", partition=LENGTH)
    started = world.instance.all_logs(failed(world).run_id, of_type=dg.DagsterEventType.STEP_START)
    assert [event.step_key for event in started] == ["needle_labels", "needle_labels_nationality"]
    assert world.table("haystacks", LENGTH).equals(haystacks)
    assert version(world, "haystacks", LENGTH) == built


def test_a_failed_check_says_what_is_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needles, "label_bios", spoiled(needles.label_bios, 2))
    with pytest.raises(DagsterAssetCheckFailedError, match="nationality"):
        world.run("needle_labels")
    key = dg.AssetCheckKey(dg.AssetKey("needle_labels"), "nationality")
    record = world.instance.get_latest_asset_check_evaluation_record(key)
    assert record
    assert record.event
    evaluation = record.event.asset_check_evaluation
    assert evaluation
    assert not evaluation.passed
    assert "expect_column_values_to_be_in_set of nationality: 2 of" in (
        evaluation.description or ""
    )
    table = evaluation.metadata["expectations"]
    assert isinstance(table, dg.TableMetadataValue)
    [wrong] = [row.data for row in table.records if not row.data["success"]]
    assert wrong["column"] == "nationality"
    assert "Ruritanian" in str(wrong["examples"])


# --- labels ------------------------------------------------------------------------------------


def endpoint(world: World, **settings: Any) -> dict[str, Any]:
    """Settings by which the scripted server is the endpoint."""
    return {
        "endpoint_url": world.server.base_url,
        "endpoint_api_key": "test-key",
        "labeler_model": "reader",
        **settings,
    }


def test_with_an_endpoint_a_model_labels_once(world: World) -> None:
    by_rules = world.table("needle_labels")
    shorten(world, "filtered_needles", 30)
    world.run("needle_labels", **endpoint(world))
    labels = world.table("needle_labels")
    assert set(labels["labeler"].to_pylist()) == {"llm:reader"}
    # The scripted model answers with the rules' labels.
    assert labels["label"].to_pylist() == by_rules["label"].to_pylist()[:30]
    assert world.server.count == 30
    world.run("needle_labels", **endpoint(world))
    assert world.server.count == 30


def test_the_rules_are_taken_where_they_are_set(world: World) -> None:
    before = version(world, "needle_labels")
    world.run("needle_labels", **endpoint(world, labeler="rules"))
    assert version(world, "needle_labels") == before
    assert world.server.count == 0


def test_what_a_model_does_not_label_is_shown_and_no_needle(world: World) -> None:
    shorten(world, "filtered_needles", 30)
    known = world.server.reply
    refused = world.table("filtered_needles")["name"].to_pylist()[3]

    def reply(request: ChatRequest) -> Reply:
        if refused in request.user.splitlines()[-1]:
            return Reply(refusal="I would rather not.")
        return known(request)

    world.server.reply = reply
    world.run("needle_labels", **endpoint(world))
    assert world.table("needle_labels").num_rows == 29
    assert refused not in world.table("needle_labels")["name"].to_pylist()
    assert metadata(world, "needle_labels")["no_label"].value == 1
    [given_up] = world.table("label_quarantine").to_pylist()
    assert (given_up["name"], given_up["outcome"]) == (refused, "refused")
    assert metadata(world, "label_quarantine")["dagster/row_count"].value == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint_url": ""}, "NEEDLE_LABELER is llm, but NEEDLE_ENDPOINT_URL is not set"),
        ({"labeler_model": ""}, "set NEEDLE_LABELER_MODEL"),
        ({"labeler_model": "other"}, "has no model 'other'"),
        ({"endpoint_api_key": "sk-not-the-right-one"}, "refused the key .* NEEDLE_ENDPOINT_API"),
        ({"endpoint_url": "http://127.0.0.1:9/v1"}, "nobody answers at http://127.0.0.1:9/v1"),
    ],
)
def test_an_endpoint_that_cannot_label_leaves_the_earlier_labels(
    world: World, changes: dict[str, str], message: str
) -> None:
    before = world.outputs()
    shorten(world, "filtered_needles", 1)
    with pytest.raises(dg.Failure, match=message) as caught:
        world.run("needle_labels", **endpoint(world, labeler="llm", **changes))
    assert not caught.value.allow_retries
    after = world.outputs()
    assert after["needle_labels.parquet"] == before["needle_labels.parquet"]
    assert "sk-not-the-right-one" not in world.logged(failed(world).run_id)


# --- haystacks ---------------------------------------------------------------------------------


def test_haystacks_are_counted_whole_and_within_their_length(finished: World) -> None:
    table = finished.table("haystacks", LENGTH)
    assert dict(zip(*pc.value_counts(table["split"]).flatten(), strict=True)) == {
        pa.scalar("train"): pa.scalar(10, pa.int64()),
        pa.scalar("validation"): pa.scalar(2, pa.int64()),
        pa.scalar("test"): pa.scalar(QUESTIONS, pa.int64()),
    }
    tokenizer = shared_tokenizer().reference
    counted = tokenizer.prompt_tokens(table["messages"].to_pylist())
    assert table["prompt_tokens"].to_pylist() == counted.tolist()
    assert counted.max() + 160 <= int(LENGTH)
    bios = set(finished.table("anonymized_bios")["bio"].to_pylist())
    for messages in table["messages"].to_pylist():
        *lines, _question = messages[-1]["content"].splitlines()
        assert set(lines) <= bios


def test_a_length_of_too_many_tokens_says_how_many_there_are(world: World) -> None:
    before = world.outputs()
    world.instance.add_dynamic_partitions("context_length", ["262144"])
    bios = world.table("anonymized_bios")
    train = bios.filter(pc.field("is_person") & (pc.field("split") == "train"))
    # Each bio is a line: one token more than the bio's own.
    tokens = pc.sum(train["token_count"]).as_py() + train.num_rows
    there = rf"context length 262144 needs .* has {tokens:,} there \({train.num_rows} bios of "
    with pytest.raises(dg.Failure, match=there) as caught:
        world.run("haystacks", partition="262144")
    assert not caught.value.allow_retries
    assert world.outputs() == before


def test_a_new_length_needs_no_code(world: World) -> None:
    add = {"ops": {"add_lengths": {"config": {"context_lengths": ["2048"]}}}}
    world.run_job("add_context_length", run_config=add)
    world.run("haystacks", partition="2048", train_examples=1, validation_examples=0)
    filled = [
        count + 160 for count in world.table("haystacks", "2048")["prompt_tokens"].to_pylist()
    ]
    assert min(filled) >= 0.99 * 2048
    assert max(filled) <= 2048


# --- fine-tune files ---------------------------------------------------------------------------


def receipt(world: World) -> dict[str, Any]:
    return dict(json.loads(world.outputs()[f"finetune_upload/{LENGTH}.json"]))


def test_without_an_endpoint_the_files_stay_in_the_store(finished: World) -> None:
    held = receipt(finished)
    train = (finished.store / "finetune" / LENGTH / "train.jsonl").read_bytes()
    examples = [json.loads(line)["messages"] for line in train.splitlines()]
    rows = finished.table("haystacks", LENGTH).filter(pc.field("split") == "train")
    assert [messages[-1] for messages in examples] == [
        {"role": "assistant", "content": label} for label in rows["label"].to_pylist()
    ]
    assert [messages[:-1] for messages in examples] == rows["messages"].to_pylist()
    assert held["context_length"] == int(LENGTH)
    assert held["train"]["sha256"] == hashlib.sha256(train).hexdigest()
    assert held["train"]["bytes"] == len(train)
    assert (held["train"]["examples"], held["validation"]["examples"]) == (10, 2)
    assert held["estimated_cost_usd"] is None
    shown = metadata(finished, "finetune_upload", LENGTH)
    assert shown["tokens"].value == held["tokens"]
    assert shown["estimated_cost_usd"].value == "no price known"


def test_an_endpoint_gets_the_same_files_once(world: World) -> None:
    kept = receipt(world)
    before = version(world, "finetune_upload", LENGTH)
    with files_server() as server:
        settings = {"endpoint_url": server.base_url, "endpoint_api_key": "test-key"}
        world.run("finetune_upload", partition=LENGTH, **settings)
        world.run("finetune_upload", partition=LENGTH, **settings)
        assert [file["purpose"] for file in server.files.values()] == ["fine-tune"] * 2
        sent = receipt(world)
        assert sent["destination"].rstrip("/") == server.base_url
        for split in ("train", "validation"):
            content = server.contents[sent[split]["file_id"]]
            assert hashlib.sha256(content).hexdigest() == kept[split]["sha256"]
    # Where the files went does not make them others.
    assert version(world, "finetune_upload", LENGTH) == before


@contextmanager
def indiscreet_endpoint() -> Iterator[str]:
    """An endpoint that refuses every key and repeats it, as some do."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = {"message": f"Incorrect API key: {self.headers['Authorization']}", "code": None}
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"error": said}).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_key_that_the_endpoint_refuses_is_printed_nowhere(world: World) -> None:
    before = world.outputs()
    with (
        indiscreet_endpoint() as url,
        pytest.raises(dg.Failure, match="refuses the key; check NEEDLE_ENDPOINT_API_KEY") as caught,
    ):
        world.run(
            "finetune_upload",
            partition=LENGTH,
            endpoint_url=url,
            endpoint_api_key="sk-not-the-right-one",
        )
    assert not caught.value.allow_retries
    assert "sk-not-the-right-one" not in world.logged(failed(world).run_id)
    assert world.outputs() == before


# --- evaluation --------------------------------------------------------------------------------


def sweep_rows(world: World) -> pa.Table:
    """The rows about haystacks."""
    return world.table("eval_results", LENGTH, MODEL).filter(pc.field("kind") == "sweep")


def test_every_question_is_a_row(finished: World) -> None:
    asked = finished.table("haystacks", LENGTH).filter(pc.field("split") == "test")
    results = sweep_rows(finished)
    assert results["example_id"].to_pylist() == asked["example_id"].to_pylist()
    assert results["answer"].to_pylist() == asked["label"].to_pylist()
    assert results["outcome"].to_pylist() == ["valid"] * QUESTIONS
    assert results["score"].to_pylist() == [1.0] * QUESTIONS
    assert results["cost_usd"].to_pylist() == [None] * QUESTIONS
    assert set(results["model"].to_pylist()) == {MODEL}
    assert set(results["haystacks_version"].to_pylist()) == {version(finished, "haystacks", LENGTH)}
    made = finished.instance.fetch_materializations(dg.AssetKey("eval_results"), limit=1).records
    assert set(results["run_id"].to_pylist()) == {made[0].run_id}


def test_each_needle_has_its_floor_ceiling_and_closed_book(finished: World) -> None:
    asked = finished.table("haystacks", LENGTH).filter(pc.field("split") == "test")
    needles = dict(zip(asked["bio_id"].to_pylist(), asked["needle"].to_pylist(), strict=True))
    results = finished.table("eval_results", LENGTH, MODEL).to_pylist()
    rows = {row["example_id"]: row for row in results if row["kind"] != "sweep"}
    assert set(rows) == {
        f"{kind}-{LENGTH}-{bio_id}"
        for kind in ("floor", "ceiling", "closed_book")
        for bio_id in needles
    }
    assert len(needles) == 2
    for bio_id, needle in needles.items():
        ceiling, closed_book, floor = (
            rows[f"{kind}-{LENGTH}-{bio_id}"] for kind in ("ceiling", "closed_book", "floor")
        )
        assert (ceiling["needle"], closed_book["needle"]) == (needle, None)
        # The scripted model knows everybody by name.
        assert (ceiling["score"], closed_book["score"]) == (1.0, 1.0)
        assert (floor["outcome"], floor["cost_usd"], floor["prompt_tokens"]) == ("valid", 0.0, 0)
        assert floor["latency_s"] is None


def test_scores_and_what_they_are_measured_against_do_not_mix(world: World) -> None:
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        # Everything with a haystack or a needle is right, names alone are refused.
        lines = request.user.splitlines()
        return known(request) if len(lines) > 1 else Reply(refusal="Who would that be?")

    world.server.reply = reply
    world.run("eval_results", partition=SWEEP)
    world.run("leaderboard")
    floor = pc.mean(
        world.table("eval_results", LENGTH, MODEL).filter(pc.field("kind") == "floor")["score"]
    ).as_py()
    for shown in (metadata(world, "eval_results", SWEEP), metadata(world, "leaderboard")):
        assert (shown["mean_score"].value, shown["ceiling"].value) == (1.0, 1.0)
        assert shown["closed_book"].value == 0.0
        assert shown["floor"].value == pytest.approx(floor, abs=1e-4)
    [line] = world.table("leaderboard").to_pylist()
    assert (line["n"], line["needles"], line["mean"]) == (QUESTIONS, 2, 1.0)
    assert (line["closed_book"], line["ceiling"]) == (0.0, 1.0)
    assert line["floor"] == pytest.approx(floor)


def test_wrong_and_missing_answers_stay_in_the_mean(world: World) -> None:
    known = world.server.reply
    asked = world.table("haystacks", LENGTH).filter(pc.field("split") == "test")
    wrong = json.loads(asked["label"].to_pylist()[0])
    wrong["sportsperson"] = not wrong["sportsperson"]
    scripted = {
        0: Reply(json.dumps(wrong)),
        1: Reply(refusal="I would rather not."),
        2: Reply('{"nationality": "Fre', finish_reason="length"),
    }
    world.server.reply = lambda request: scripted.get(request.index) or known(request)
    world.run("eval_results", partition=SWEEP, concurrency=1)
    results = sweep_rows(world)
    assert results["outcome"].to_pylist() == ["valid", "refused", "truncated", "valid"]
    assert results["score"].to_pylist() == [pytest.approx(8 / 9), 0.0, 0.0, 1.0]
    assert metadata(world, "eval_results", SWEEP)["mean_score"].value == pytest.approx(
        (8 / 9 + 1) / 4, abs=1e-4
    )


def test_a_known_price_makes_a_cost(world: World) -> None:
    prices = Prices(input=1.0, cached_input=0.1, output=2.0, as_of="2026-11-01")
    world.register_model(MODEL, prices=prices)
    known = world.server.reply
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 600},
    }
    world.server.reply = lambda request: Reply(known(request).content, usage=usage)
    world.run("eval_results", partition=SWEEP)
    # 400 new tokens at 1.0, 600 cached ones at 0.1 and 50 of the answer at 2.0 a million.
    costs = world.table("eval_results", LENGTH, MODEL)["cost_usd"].to_pylist()
    assert sorted(costs) == [0.0] * 2 + [pytest.approx(0.00056)] * ASKED
    shown = metadata(world, "eval_results", SWEEP)
    # What the calibration costs is spent as well.
    assert shown["cost_usd"].value == pytest.approx(ASKED * 0.00056)
    assert shown["cached_tokens"].value == ASKED * 600


def test_who_evaluates_again_asks_again(world: World) -> None:
    for round_ in (1, 2):
        world.run("eval_results", partition=SWEEP)
        assert world.server.count == round_ * ASKED


def dies_after(world: World, answers: int) -> None:
    """Make the server refuse the key from then on."""
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        return known(request) if request.index < answers else Reply(status=401)

    world.server.reply = reply


def revive(world: World) -> None:
    world.server.requests.clear()
    world.server.reply = knows(world.table("needle_labels"))


def test_a_sweep_that_died_asks_only_what_is_missing(world: World) -> None:
    before = world.outputs()
    dies_after(world, 3)
    with pytest.raises(dg.Failure, match="refused the key of the model 'scripted'"):
        world.run("eval_results", partition=SWEEP, concurrency=1)
    assert world.outputs() == before

    revive(world)
    world.run("eval_results", partition=SWEEP)
    assert world.server.count == ASKED - 3
    assert sweep_rows(world)["score"].to_pylist() == [1.0] * QUESTIONS


def test_questions_that_failed_alone_are_asked_again(world: World) -> None:
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        return Reply(status=400) if request.index == 1 else known(request)

    world.server.reply = reply
    world.run("eval_results", partition=SWEEP, concurrency=1)
    outcomes = sweep_rows(world)["outcome"].to_pylist()
    assert outcomes == ["valid", "error", "valid", "valid"]

    revive(world)
    world.run("eval_results", partition=SWEEP)
    assert world.server.count == 1
    outcomes = sweep_rows(world)["outcome"].to_pylist()
    assert outcomes == ["valid"] * QUESTIONS


def test_answers_that_could_not_be_stored_are_not_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.outputs()

    def full(path: UPath, table: pa.Table) -> None:
        if "eval_results" in path.parts:
            raise StorageError(f"could not write {path}: No space left on device")
        write_table(path, table)

    with monkeypatch.context() as patched:
        patched.setattr(io_managers, "write_table", full)
        with pytest.raises(dg.Failure, match="No space left"):
            world.run("eval_results", partition=SWEEP)
    assert world.outputs() == before
    assert world.server.count == ASKED

    world.run("eval_results", partition=SWEEP)
    assert world.server.count == ASKED
    assert world.outputs() != before


def test_of_two_runs_of_one_sweep_the_second_asks_nothing(world: World) -> None:
    before = world.outputs()
    journal = world.store / "journals" / LENGTH / MODEL / "open.jsonl"
    with (
        exclusive(journal, "the other run's"),
        pytest.raises(dg.Failure, match=r"another run is writing the journal .*512/scripted") as it,
    ):
        world.run("eval_results", partition=SWEEP)
    assert not it.value.allow_retries
    assert world.server.count == 0
    assert world.outputs() == before


def test_a_scheduled_round_has_a_journal_of_its_own(world: World) -> None:
    dies_after(world, 3)
    with pytest.raises(dg.Failure):
        world.run("eval_results", partition=SWEEP, concurrency=1)

    # The round asks everything, whatever an interrupted run by hand has got so far.
    revive(world)
    dies_after(world, 1)
    with pytest.raises(dg.Failure):
        world.run("eval_results", partition=SWEEP, tags={EVALUATION_TAG: "2026-11-23"})
    revive(world)
    world.run("eval_results", partition=SWEEP, tags={EVALUATION_TAG: "2026-11-23"})
    assert world.server.count == ASKED - 1

    revive(world)
    world.run("eval_results", partition=SWEEP)
    assert world.server.count == ASKED - 3

    revive(world)
    world.run("eval_results", partition=SWEEP, tags={EVALUATION_TAG: "2026-11-30"})
    assert world.server.count == ASKED


@pytest.mark.parametrize(
    ("entry", "key", "message", "requests"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, "test-key", "nobody answers at http://127", 0),
        ({}, "sk-not-the-right-one", "refused the key .* set SCRIPTED_KEY to a key", 1),
        ({}, "", "the environment variable SCRIPTED_KEY is not set", 0),
        ({"model": "other"}, "test-key", "has no model 'other' .*; it has reader", 1),
    ],
    ids=["endpoint down", "wrong key", "no key", "model not found"],
)
def test_a_model_that_cannot_answer_leaves_the_earlier_results(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, Any],
    key: str,
    message: str,
    requests: int,
) -> None:
    monkeypatch.setenv("SCRIPTED_KEY", key)
    world.register_model(MODEL, **entry)
    before = world.outputs()
    with pytest.raises(dg.Failure, match=message) as caught:
        world.run("eval_results", partition=SWEEP)
    assert not caught.value.allow_retries
    assert world.outputs() == before
    assert world.server.count == requests
    assert "sk-not-the-right-one" not in world.logged(failed(world).run_id)


def test_cells_beyond_the_window_are_not_applicable_and_nothing_is_asked(world: World) -> None:
    world.register_model(MODEL, context_window=511)
    world.run("eval_results", partition=SWEEP)
    rows = sweep_rows(world)
    assert world.server.count == 0
    assert rows["outcome"].to_pylist() == ["not_applicable"] * QUESTIONS
    assert rows["score"].to_pylist() == [None] * QUESTIONS
    assert "mean_score" not in metadata(world, "eval_results")
    world.run("leaderboard")
    [row] = world.table("leaderboard").to_pylist()
    assert (row["n"], row["mean"]) == (0, None)


# --- leaderboard -------------------------------------------------------------------------------


def test_the_report_is_one_page_of_its_own(finished: World) -> None:
    page = Page((finished.store / "report.html").read_text())
    for _, attributes in page.elements:
        assert not re.match("(?:https?:)?//", attributes.get("src") or attributes.get("href") or "")
    rows = finished.table("eval_results", LENGTH, MODEL)
    assert sorted(page.column("example_id")) == sorted(rows["example_id"].to_pylist())
    assert version(finished, "needle_labels") in page.text
    shown = metadata(finished, "leaderboard")
    assert str(shown["report"].value).endswith(".needle/report.html")
    assert shown["left_out_as_outdated"].value == "none"


def evaluate_second_length(world: World) -> None:
    world.instance.add_dynamic_partitions("context_length", ["640"])
    world.run("haystacks", partition="640")
    world.run("eval_results", partition=f"640|{MODEL}")


def test_results_of_haystacks_that_changed_are_left_out_and_named(world: World) -> None:
    evaluate_second_length(world)
    world.run("leaderboard")
    assert world.table("leaderboard")["context_length"].to_pylist() == [512, 640]
    world.run("haystacks", partition=LENGTH, seed=1)
    run = world.run("leaderboard")
    assert world.table("leaderboard")["context_length"].to_pylist() == [640]
    assert metadata(world, "leaderboard")["left_out_as_outdated"].value == SWEEP
    assert "left out, their haystacks changed since" in world.logged(run.run_id)


def test_results_of_a_model_whose_entry_changed_are_left_out_and_named(world: World) -> None:
    # The slug stands for another model now, of which one length was evaluated again.
    world.register_model(MODEL, json_schema=False)
    evaluate_second_length(world)
    run = world.run("leaderboard")
    assert world.table("leaderboard")["context_length"].to_pylist() == [640]
    assert metadata(world, "leaderboard")["left_out_as_outdated"].value == SWEEP
    assert "or their model's entry" in world.logged(run.run_id)


def test_another_price_of_the_same_model_leaves_nothing_out(world: World) -> None:
    prices = Prices(input=1, cached_input=1, output=1, as_of="2026-11-22")
    world.register_model(MODEL, prices=prices)
    world.run("leaderboard")
    assert metadata(world, "leaderboard")["left_out_as_outdated"].value == "none"


def test_results_of_an_earlier_version_are_left_out_and_named(world: World) -> None:
    evaluate_second_length(world)
    path = world.store / "assets" / "eval_results" / LENGTH / f"{MODEL}.parquet"
    write_table(path, read_table(path).drop_columns(["kind"]))
    run = world.run("leaderboard")
    assert world.table("leaderboard")["context_length"].to_pylist() == [640]
    assert metadata(world, "leaderboard")["left_out_as_outdated"].value == SWEEP
    assert "or another version made them" in world.logged(run.run_id)


def test_haystacks_of_an_earlier_version_cost_no_request(world: World) -> None:
    path = world.store / "assets" / "haystacks" / f"{LENGTH}.parquet"
    write_table(path, read_table(path).drop_columns(["needle"]))
    with pytest.raises(dg.Failure, match="materialize haystacks again"):
        world.run("eval_results", partition=SWEEP)
    assert world.server.count == 0


def test_results_of_labels_that_changed_are_left_out(world: World) -> None:
    # Fewer needles are other labels; the haystacks are of the old ones until they are built again.
    shorten(world, "filtered_needles", 300)
    world.run("needle_labels")
    before = world.outputs()
    page = (world.store / "report.html").read_bytes()
    with pytest.raises(
        dg.Failure, match=r"512\|scripted was asked about earlier haystacks or labels"
    ) as told:
        world.run("leaderboard")
    assert not told.value.allow_retries
    assert world.outputs() == before
    assert (world.store / "report.html").read_bytes() == page


def test_without_any_evaluation_there_is_nothing_to_report(new_world: World) -> None:
    with pytest.raises(dg.Failure, match="nothing was evaluated yet; materialize eval_results"):
        new_world.run("leaderboard")
    assert new_world.outputs() == {}
    assert not (new_world.store / "report.html").exists()
