"""What the assets say of how far their data can be trusted: checks, reviews, quarantine."""

import csv
import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dagster._core.errors import DagsterAssetCheckFailedError
from upath import UPath

from needle_assets.corpus.tables import RAW_SCHEMA
from needle_assets.defs.assets import haystacks
from needle_assets.defs.checks import split_is_leak_free
from needle_assets.haystack.assembly import build_haystacks
from needle_assets.storage import write_table
from needle_assets_tests.defs.world import LENGTH, World
from needle_assets_tests.support.chat_server import ChatRequest, Reply

TEXT = "kept bees on the roof of the library and sold their honey to the town every autumn ."


def evaluation_of(world: World, asset: str, check: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    record = world.instance.get_latest_asset_check_evaluation_record(key)
    assert record
    assert isinstance(record.evaluation, dg.AssetCheckEvaluation)
    return record.evaluation


def rows_of(evaluation: dg.AssetCheckEvaluation | dg.AssetCheckResult, name: str) -> list[Any]:
    table = (evaluation.metadata or {})[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(row.data) for row in table.records]


# --- splits ------------------------------------------------------------------------------------


def test_the_splits_were_checked_for_leaks(finished: World) -> None:
    evaluation = evaluation_of(finished, "anonymized_bios", "split_is_leak_free")
    assert evaluation.passed
    assert evaluation.blocking
    assert rows_of(evaluation, "leaks") == [{"": "no rows"}]


def test_a_leak_is_named_with_its_rows_and_sides() -> None:
    bios = pa.table(
        {
            "bio_id": ["a", "b", "c"],
            "name": ["ada finch", "tom rye", "eve lund"],
            "bio": [f"ada finch {TEXT}", f"tom rye {TEXT}", "eve lund counted stars ."],
            "split": ["train", "test", "test"],
        }
    )
    result = split_is_leak_free(bios)
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert "1 pairs of rows: same text" in (result.description or "")
    assert rows_of(result, "leaks") == [
        {"kind": "same text", "bio_ids": "a, b", "sides": "train, test"}
    ]


# --- haystacks ---------------------------------------------------------------------------------


def test_every_prompt_was_certified(finished: World) -> None:
    evaluation = evaluation_of(finished, "haystacks", "lengths_certified")
    assert evaluation.passed
    assert evaluation.blocking
    rows = finished.table("haystacks", LENGTH).num_rows
    assert evaluation.description == f"at {LENGTH}: {rows} prompts keep every rule"
    assert all(row["broken"] == 0 for row in rows_of(evaluation, "rules"))


def with_a_cut_needle(build: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """A builder that cuts the last word of the first prompt's needle, as the post's scripts did."""

    def cut(*arguments: Any, **named: Any) -> pa.Table:
        table = build(*arguments, **named)
        rows = table.to_pylist()
        needle = rows[0]["needle"]
        user = rows[0]["messages"][1]
        user["content"] = user["content"].replace(needle, needle.rsplit(" ", 2)[0])
        return pa.Table.from_pylist(rows, schema=table.schema)

    return cut


def test_a_damaged_needle_fails_the_check_and_is_not_uploaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = world.outputs()[f"finetune_upload/{LENGTH}.json"]
    monkeypatch.setattr(haystacks, "build_haystacks", with_a_cut_needle(build_haystacks))
    with pytest.raises(DagsterAssetCheckFailedError, match="lengths_certified"):
        world.run("haystacks", "finetune_upload", partition=LENGTH)
    evaluation = evaluation_of(world, "haystacks", "lengths_certified")
    assert not evaluation.passed
    assert "needle: 1" in (evaluation.description or "")
    assert world.outputs()[f"finetune_upload/{LENGTH}.json"] == receipt


# --- corpora without a needle ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "text", "asset", "message"),
    [
        ("ada finch", "it rained .", "anonymized_bios", "as hay: the name is not in the text"),
        (
            "the quells",
            "the quells are a rock band from ghent who play very loud .",
            "filtered_needles",
            r"as needles: not a person \(3\)",
        ),
    ],
)
def test_a_corpus_of_which_nothing_is_left_says_why(
    world: World, title: str, text: str, asset: str, message: str
) -> None:
    row = {"title": title, "infobox": [], "text": text}
    raw = pa.Table.from_pylist([{"bio_id": str(i), **row} for i in range(3)], schema=RAW_SCHEMA)
    write_table(UPath(world.store / "assets" / "raw_wiki_bio.parquet"), raw)
    with pytest.raises(dg.Failure, match=f"none of 3 biographies can be used {message}"):
        world.run("anonymized_bios", "filtered_needles")
    failed = world.instance.get_runs(limit=1)[0]
    assert [
        event.step_key
        for event in world.instance.all_logs(
            failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
        )
    ] == [asset]


# --- labels ------------------------------------------------------------------------------------


def of_a_model(world: World) -> dict[str, Any]:
    return {
        "endpoint_url": world.server.base_url,
        "endpoint_api_key": "test-key",
        "labeler_model": "reader",
        "labeler_input_price": 1.0,
        "labeler_output_price": 2.0,
    }


def few_needles(world: World, rows: int) -> pa.Table:
    table = world.table("filtered_needles").slice(0, rows)
    write_table(UPath(world.store / "assets" / "filtered_needles.parquet"), table)
    return table


def test_labels_of_a_model_are_compared_with_the_rules_and_the_doubtful_shown_first(
    world: World,
) -> None:
    needles = few_needles(world, 100)
    labels = world.table("needle_labels").slice(0, 100).to_pylist()
    changed = next(row for row in labels if row["nationality_basis"] == "explicit")
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        if changed["name"] not in request.user.splitlines()[-1]:
            return known(request)
        label = json.loads(changed["label"]) | {"nationality": "Bhutanese"}
        return Reply(content=json.dumps(label))

    world.server.reply = reply
    world.run("needle_labels", "label_review", **of_a_model(world))

    stored = {row["bio_id"]: row for row in world.table("needle_labels").to_pylist()}
    disputed = stored[changed["bio_id"]]
    assert (disputed["nationality"], disputed["agreement"]) == ("Bhutanese", "contradicts")
    said = {(one["source"], one["field"]): one["says"] for one in disputed["disputed"]}
    assert said["rules", "nationality"] == changed["nationality"]
    # Each answer has its tokens and its price: a dollar a million in, two out.
    for row in stored.values():
        dollars = (row["prompt_tokens"] + 2 * row["completion_tokens"]) / 1e6
        assert row["cost_usd"] == pytest.approx(dollars)
    review = world.table("label_review").to_pylist()
    assert review[0]["bio_id"] == changed["bio_id"]
    assert review[0]["bio"] in needles["bio"].to_pylist()
    page = (world.store / "label_review.html").read_text()
    assert page.index(changed["name"]) > 0
    sheet = (world.store / "label_review.csv").read_text(encoding="utf-8-sig")
    [first, *_] = csv.DictReader(sheet.splitlines())
    assert first["bio_id"] == changed["bio_id"]


def test_an_answer_that_is_no_label_is_asked_for_again_and_then_quarantined(world: World) -> None:
    few_needles(world, 5)
    [name, *_] = world.table("filtered_needles")["name"].to_pylist()
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        return Reply(content="I cannot say.") if name in str(request.messages) else known(request)

    world.server.reply = reply
    world.run("needle_labels", **of_a_model(world))
    assert world.table("needle_labels").num_rows == 4
    [given_up] = world.table("label_quarantine").to_pylist()
    assert (given_up["name"], given_up["attempts"]) == (name, 2)
    assert given_up["answer"] == "I cannot say."
    # By rules nothing is left to quarantine: the table is emptied, not kept.
    world.run("needle_labels")
    assert world.table("label_quarantine").num_rows == 0


def test_a_server_that_was_down_for_a_while_loses_no_needle(world: World) -> None:
    few_needles(world, 20)
    names = world.table("filtered_needles")["name"].to_pylist()[:3]
    known = world.server.reply

    def reply(request: ChatRequest) -> Reply:
        down = any(name in request.user.splitlines()[-1] for name in names)
        return Reply(status=500) if down else known(request)

    before = world.outputs()["needle_labels.parquet"]
    world.server.reply = reply
    with pytest.raises(dg.Failure, match="3 of 20 requests to the labeler failed.*Run again"):
        world.run("needle_labels", **of_a_model(world))
    assert world.outputs()["needle_labels.parquet"] == before
    world.server.reply = known
    world.server.requests.clear()
    world.run("needle_labels", **of_a_model(world))
    assert world.server.count == 3
    assert world.table("needle_labels").num_rows == 20


def test_a_labeler_that_labels_nobody_says_why(world: World) -> None:
    few_needles(world, 3)
    world.server.reply = lambda _: Reply(refusal="I would rather not.")
    with pytest.raises(dg.Failure, match=r"none of 3 needles got a label: the model refused"):
        world.run("needle_labels", **of_a_model(world))


def test_hand_labels_are_compared_with_when_they_are_set(world: World, tmp_path: Any) -> None:
    labels = world.table("needle_labels").slice(0, 3).to_pylist()
    texts = {row["bio_id"]: row["bio"] for row in world.table("filtered_needles").to_pylist()}
    gold = tmp_path / "gold.jsonl"
    lines = []
    for number, row in enumerate(labels):
        label = json.loads(row["label"])
        label["politician"] ^= number == 2
        person = {"name": row["name"], "bio": texts[row["bio_id"]], "person": True}
        lines.append(json.dumps(person | label))
    gold.write_text("\n".join(lines))
    world.run("needle_labels", gold=str(gold))
    rows = rows_of(evaluation_of(world, "needle_labels", "nationality"), "accuracy")
    counted = {(row["labels"], row["fields"]): (row["right"], row["of"]) for row in rows}
    assert counted["stored labels, those in the corpus", "all nine"] == (2, 3)
    assert counted["rules, all of them", "dates"] == (3, 3)


def test_hand_labels_that_cannot_be_read_fail_the_check_and_name_the_line(
    world: World, tmp_path: Any
) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"name": "ada finch"}\n')
    with pytest.raises(dg.Failure, match="line 1"):
        world.run("needle_labels", gold=str(gold))


def test_facts_that_a_needle_needs_are_counted(finished: World) -> None:
    labels = finished.table("needle_labels")
    known = pc.not_equal(labels["nationality"], "unknown").cast(pa.int8())
    for date in ("date_of_birth", "date_of_death"):
        stated = pc.or_(*(pc.greater(labels[f"{date}_{part}"], 0) for part in ("month", "year")))
        known = pc.add(known, stated.cast(pa.int8()))
    for role in ("sportsperson", "politician"):
        known = pc.add(known, labels[role].cast(pa.int8()))
    assert pc.min(known).as_py() == 2
