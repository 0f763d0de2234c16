"""What goes wrong around an evaluation, through the whole asset: one clear end, nothing lost."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from needle_assets.defs import batching
from needle_assets.defs.asking import test_rows as rows_of_test
from needle_assets.defs.planning import plan_partition
from needle_assets.defs.resources import Models
from needle_assets.evaluation.batch import batch_sweep
from needle_assets.evaluation.plan import Plan
from needle_assets.evaluation.registry import ModelRegistry, Prices
from needle_assets.storage import read_table, write_table
from needle_assets_tests.defs.test_assets import dies_after, failed, metadata, revive, sweep_rows
from needle_assets_tests.defs.world import (
    ASKED,
    LENGTH,
    MODEL,
    QUESTIONS,
    SWEEP,
    World,
    knows,
    shared_tokenizer,
)
from needle_assets_tests.support.batch_server import (
    BatchHost,
    BatchServer,
    Ending,
    Late,
    batch_host,
    completion,
)
from needle_assets_tests.support.chat_server import ChatRequest, Reply
from needle_assets_tests.support.fake_time import FakeTime

PRICES = Prices(input=1.0, cached_input=0.1, output=2.0, as_of="2026-11-01")


def attempts_of(world: World, op: str) -> list[str]:
    """What became of each attempt at an op in the last run."""
    run = failed(world)
    events = world.instance.all_logs(run.run_id)
    return [
        event.dagster_event.event_type_value
        for event in events
        if event.dagster_event is not None
        and str(event.dagster_event.step_key).endswith(op)
        and event.dagster_event.event_type_value in ("STEP_FAILURE", "STEP_UP_FOR_RETRY")
    ]


def results_path(world: World, length: str = LENGTH, model: str = MODEL) -> Any:
    return world.store / "assets" / "eval_results" / length / f"{model}.parquet"


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 1_000_000,
        "NaN",
        "[1, 2]",
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "__import__('os').system('touch owned')",
        "\x00\ud800 \u2028",
    ],
    ids=["nothing", "1 MB", "NaN", "list", "deep list", "deep object", "code", "odd characters"],
)
def test_an_answer_that_is_none_is_a_row_and_the_report_stands(world: World, text: str) -> None:
    raw = json.dumps(
        {
            "object": "chat.completion",
            "choices": [{"message": {"role": "assistant", "content": text}}],
        }
    ).encode()
    world.server.reply = lambda _: Reply(raw=raw)
    world.run("eval_results", partition=SWEEP)
    rows = sweep_rows(world)
    assert rows["outcome"].to_pylist() == ["invalid"] * QUESTIONS
    assert rows["score"].to_pylist() == [0.0] * QUESTIONS
    # The server told of no usage either: the cost is not known, and not 0.
    assert rows["prompt_tokens"].null_count == QUESTIONS
    world.run("leaderboard")
    assert world.table("leaderboard")["mean"].to_pylist() == [0.0]
    assert not (world.folder / "owned").exists()


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b'"x"', b'{"choices": 3}', b'{"choices": [null]}', b'{"choices": [[]]}',
     b'{"choices": {"0": 1}}', b'{"choices": [{"message": []}]}', b"[" * 100_000, b"\xff\xfe",
     b'{"choices": [{"message": {"content": {"a": 1}}}], "usage": [1]}', b""],
)  # fmt: skip
def test_a_body_that_is_no_completion_fails_once_with_one_message(
    world: World, body: bytes
) -> None:
    before = world.outputs()
    world.server.reply = lambda _: Reply(raw=body)
    with pytest.raises(dg.Failure, match="requests to the model 'scripted'") as caught:
        world.run("eval_results", partition=SWEEP)
    assert not caught.value.allow_retries
    assert attempts_of(world, "ask_model") == ["STEP_FAILURE"]
    assert world.outputs() == before


def test_usage_that_cannot_be_makes_no_negative_cost(world: World) -> None:
    world.register_model(MODEL, prices=PRICES)
    known = world.server.reply
    cached = {"cached_tokens": 99}
    odd = [
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": "12", "completion_tokens": 2**70},
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": cached},
        {"prompt_tokens": 10.5, "completion_tokens": None},
    ]
    world.server.reply = lambda request: Reply(
        known(request).content, usage=odd[request.index % len(odd)]
    )
    world.run("eval_results", partition=SWEEP, concurrency=1)
    # 10 cached tokens at 0.1 and 5 of the answer at 2.0 a million.
    costs = sweep_rows(world)["cost_usd"].to_pylist()
    assert costs == [None, None, pytest.approx(11e-6), None]


# --- caps --------------------------------------------------------------------------------------


def test_a_cap_without_prices_asks_nothing(world: World) -> None:
    before = world.outputs()
    with pytest.raises(dg.Failure, match="no prices") as caught:
        world.run("eval_results", partition=SWEEP, max_cost_usd=1.0)
    assert not caught.value.allow_retries
    assert attempts_of(world, "ask_model") == ["STEP_FAILURE"]
    assert (world.server.count, world.outputs()) == (0, before)


@pytest.mark.parametrize("cap", [{"eval_max_tokens": 1000}, {"eval_max_s": 1e-9}])
def test_a_cap_that_is_reached_ends_once_and_is_gone_on_with(
    world: World, cap: dict[str, Any]
) -> None:
    before = world.outputs()
    with pytest.raises(dg.Failure, match="the cap on") as caught:
        world.run("eval_results", partition=SWEEP, concurrency=1, **cap)
    assert not caught.value.allow_retries
    assert attempts_of(world, "ask_model") == ["STEP_FAILURE"]
    assert world.outputs() == before
    asked = world.server.count
    assert asked < ASKED
    world.run("eval_results", partition=SWEEP)
    assert world.server.count == ASKED
    assert sweep_rows(world)["outcome"].to_pylist() == ["valid"] * QUESTIONS


def planned(world: World) -> Plan:
    """What a whole sweep comes to."""
    test = rows_of_test(world.table("haystacks", LENGTH))
    return plan_partition(world.settings(), MODEL, test, tokenizer=shared_tokenizer())


def test_only_what_is_left_to_ask_is_held_against_the_cap(world: World) -> None:
    world.register_model(MODEL, prices=PRICES)
    cap = (planned(world).usd or 0.0) * 0.9
    with pytest.raises(dg.Failure, match="USD of max_cost_usd"):
        world.run("eval_results", partition=SWEEP, max_cost_usd=cap)
    assert world.server.count == 0
    dies_after(world, 6)
    with pytest.raises(dg.Failure, match="refused the key"):
        world.run("eval_results", partition=SWEEP, concurrency=1)
    revive(world)
    world.run("eval_results", partition=SWEEP, max_cost_usd=cap)
    assert world.server.count == ASKED - 6
    assert sweep_rows(world)["outcome"].to_pylist() == ["valid"] * QUESTIONS


# --- batches -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host() -> Iterator[BatchHost]:
    with batch_host() as running:
        yield running


@pytest.fixture
def batches(host: BatchHost, world: World, monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    """A server that the world's model is asked through in batches; it has no clock to wait for."""
    time = FakeTime()
    clocked = partial(batch_sweep, sleep=time.sleep, clock=time.clock)
    monkeypatch.setattr(batching, "batch_sweep", clocked)
    server = host.fresh(time.clock)
    monkeypatch.setenv("SCRIPTED_KEY", server.api_key)
    world.register_model(MODEL, base_url=server.base_url, batch=True, prices=PRICES)
    return server


def right(world: World) -> Callable[[int, dict[str, Any]], Any]:
    known = knows(world.table("needle_labels"))
    return lambda number, body: completion(known(ChatRequest(number, body, {})).content or "")


def test_a_batch_that_expired_is_completed_and_priced(world: World, batches: BatchServer) -> None:
    answer = right(world)
    batches.endings += [
        Ending("expired", lambda n, body: answer(n, body) if n % 2 else Late),
        Ending(reply=answer),
    ]
    world.run("eval_results", partition=SWEEP)
    rows = sweep_rows(world)
    assert rows["outcome"].to_pylist() == ["valid"] * QUESTIONS
    assert (rows["batched"].to_pylist(), rows["latency_s"].null_count) == (
        [True] * QUESTIONS,
        QUESTIONS,
    )
    # Half of 40 new tokens at 1.0, 60 cached ones at 0.1 and 7 of the answer at 2.0 a million.
    assert rows["cost_usd"].to_pylist() == [pytest.approx(30e-6)] * QUESTIONS
    assert (batches.created, set(batches.answered.values())) == (2, {1})
    world.run("leaderboard")
    assert world.table("leaderboard")["mean"].to_pylist() == [1.0]


def test_what_expired_is_not_paid_and_can_be_asked_again_under_the_same_cap(
    world: World, batches: BatchServer
) -> None:
    answer = right(world)
    batches.endings += [
        Ending("expired", lambda n, body: answer(n, body) if n % 2 else Late),
        Ending(reply=answer),
    ]
    world.run("eval_results", partition=SWEEP, max_cost_usd=planned(world).usd_at_most)
    assert batches.created == 2
    assert sweep_rows(world)["outcome"].to_pylist() == ["valid"] * QUESTIONS


def test_answers_that_were_paid_and_lost_count_when_a_batch_would_complete_them(
    world: World, batches: BatchServer
) -> None:
    answer = right(world)
    batches.endings += [
        Ending(reply=lambda n, body: answer(n, body) if n % 2 else b"{broken"),
        Ending(reply=answer),
    ]
    before = world.outputs()
    most = planned(world).usd_at_most or 0.0
    with pytest.raises(dg.Failure, match=f"{ASKED} questions to scripted at 512 are in") as told:
        world.run("eval_results", partition=SWEEP, max_cost_usd=1.2 * most)
    assert "and 4 more" in str(told.value)
    assert "raise the cap" in str(told.value)
    assert "NEEDLE_DRAWS" not in str(told.value)
    assert batches.created == 1
    assert world.outputs() == before

    world.run("eval_results", partition=SWEEP, max_cost_usd=1.6 * most)
    assert batches.created == 2
    assert sweep_rows(world)["outcome"].to_pylist() == ["valid"] * QUESTIONS


def test_a_batch_over_a_cap_is_not_made(world: World, batches: BatchServer) -> None:
    for cap, said in [
        ({"eval_max_tokens": 2000}, "more than the 2,000 of NEEDLE_EVAL_MAX_TOKENS"),
        ({"max_cost_usd": 0.001}, "more than the 0.001 USD of max_cost_usd"),
    ]:
        with pytest.raises(dg.Failure, match=said) as caught:
            world.run("eval_results", partition=SWEEP, **cap)
        assert not caught.value.allow_retries
    assert (batches.created, batches.files) == (0, {})


def test_the_cap_of_a_batch_holds_for_the_most_that_it_may_come_to(
    world: World, batches: BatchServer
) -> None:
    # Short and mostly cached answers were measured: that is what is expected, and no promise.
    batches.endings.append(Ending(reply=right(world)))
    world.run("eval_results", partition=SWEEP)
    plan = planned(world)
    cap = ((plan.usd or 0.0) + (plan.usd_at_most or 0.0)) / 2
    with pytest.raises(dg.Failure, match="USD of max_cost_usd"):
        world.run("eval_results", partition=SWEEP, max_cost_usd=cap)
    assert batches.created == 1


def test_a_batch_that_nobody_can_quote_is_made_without_caps_alone(
    world: World, batches: BatchServer
) -> None:
    other = results_path(world, "640")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"no table")
    with pytest.raises(dg.Failure, match="nobody can tell what a batch to scripted comes to"):
        world.run("eval_results", partition=SWEEP, max_cost_usd=100.0)
    assert batches.created == 0
    batches.endings.append(Ending(reply=right(world)))
    world.run("eval_results", partition=SWEEP)
    assert sweep_rows(world)["score"].to_pylist() == [1.0] * QUESTIONS


# --- stores ------------------------------------------------------------------------------------


def test_a_partition_without_its_haystack_is_one_error(world: World) -> None:
    world.instance.add_dynamic_partitions("context_length", ["640"])
    with pytest.raises(dg.Failure, match=r"640\.parquet does not exist; materialize") as caught:
        world.run("eval_results", partition=f"640|{MODEL}")
    assert not caught.value.allow_retries
    assert world.server.count == 0


def other_bios(world: World) -> None:
    """Make anonymised bios anew, under other names; the haystacks stay as they are."""
    world.run("anonymized_bios", seed=1)


def test_haystacks_of_earlier_bios_cost_no_request(world: World) -> None:
    other_bios(world)
    before = world.outputs()
    with pytest.raises(dg.Failure, match="anonymized_bios changed since the haystacks of 512 were"):
        world.run("eval_results", partition=SWEEP)
    assert world.server.count == 0
    assert world.outputs() == before


def test_bios_that_change_while_a_round_is_asked_cost_no_answer(world: World) -> None:
    dies_after(world, 3)
    with pytest.raises(dg.Failure, match="refused the key"):
        world.run("eval_results", partition=SWEEP, concurrency=1)
    other_bios(world)
    revive(world)
    date = {"day": 1, "month": 2, "year": 1900}
    wrong = {"nationality": "french", "date_of_birth": date, "date_of_death": date}
    wrong |= {"sportsperson": True, "politician": True}
    world.server.reply = lambda _: Reply(json.dumps(wrong))
    run = world.run("eval_results", partition=SWEEP)
    assert world.server.count == ASKED - 3
    assert sweep_rows(world)["outcome"].to_pylist() == ["valid"] * QUESTIONS
    causes = {error["cause"] for row in sweep_rows(world)["errors"].to_pylist() for error in row}
    assert causes
    assert "swapped" not in causes
    logged = world.logged(run.run_id)
    assert "the leaderboard leaves its results out" in logged
    assert "taken from another text cannot be told" in logged


def test_a_file_that_only_the_quote_reads_stops_no_asking(world: World) -> None:
    other = results_path(world, "640")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"no table")
    world.run("eval_results", partition=SWEEP)
    assert sweep_rows(world)["score"].to_pylist() == [1.0] * QUESTIONS


def test_results_of_other_types_stop_no_asking(world: World) -> None:
    table = read_table(results_path(world))
    other = table.set_column(
        table.column_names.index("draw"), "draw", pa.array(["x"] * table.num_rows)
    )
    write_table(results_path(world, "640"), other)
    world.run("eval_results", partition=SWEEP)
    assert sweep_rows(world)["score"].to_pylist() == [1.0] * QUESTIONS


def second_model(world: World, **entry: Any) -> str:
    world.register_model("second", **entry)
    key = f"{LENGTH}|second"
    world.run("eval_results", partition=key)
    return key


@pytest.mark.parametrize("column", ["exact", "entry", "errors", "before", "attempts"])
def test_results_without_a_column_of_today_are_left_out_and_named(
    world: World, column: str
) -> None:
    second_model(world)
    write_table(results_path(world), read_table(results_path(world)).drop_columns([column]))
    run = world.run("leaderboard")
    assert world.table("leaderboard")["model"].to_pylist() == ["second"]
    assert metadata(world, "leaderboard")["left_out_as_outdated"].value == SWEEP
    assert SWEEP in world.logged(run.run_id)


def test_results_of_an_earlier_version_alone_say_what_to_do(world: World) -> None:
    old = read_table(results_path(world)).drop_columns(["before", "after", "exact", "entry"])
    write_table(results_path(world), old)
    with pytest.raises(dg.Failure, match=r"512\|scripted .*materialize eval_results again"):
        world.run("leaderboard")


def test_a_window_too_short_beside_a_model_that_reads_it(world: World) -> None:
    second_model(world, context_window=100)
    world.run("leaderboard")
    board = {row["model"]: row for row in world.table("leaderboard").to_pylist()}
    assert (board["second"]["n"], board["second"]["mean"]) == (0, None)
    assert board[MODEL]["n"] == QUESTIONS
    assert "second" in (world.store / "report.html").read_text()


# --- the registry changes meanwhile --------------------------------------------------------------


def test_an_entry_that_is_edited_while_it_is_asked_is_not_taken_for_the_one_asked(
    world: World,
) -> None:
    registry = ModelRegistry(world.settings().root / "models.json")
    before = registry.get(MODEL)
    known = world.server.reply

    def edits(request: ChatRequest) -> Reply:
        registry.add(before.model_copy(update={"model": "other", "prices": PRICES}), replace=True)
        return known(request)

    world.server.reply = edits
    world.run("eval_results", partition=SWEEP)
    rows = sweep_rows(world)
    assert set(rows["entry"].to_pylist()) == {before.identity}
    assert rows["cost_usd"].null_count == QUESTIONS
    assert {body["model"] for body in world.server.bodies} == {before.model}


def test_an_entry_that_is_edited_before_the_connection_is_the_one_that_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = ModelRegistry(world.settings().root / "models.json")
    edited = registry.get(MODEL).model_copy(update={"json_schema": False})
    connect = Models.connect

    def edits(models: Models, slug: str) -> Any:
        registry.add(edited, replace=True)
        return connect(models, slug)

    monkeypatch.setattr(Models, "connect", edits)
    world.run("eval_results", partition=SWEEP)
    assert "response_format" not in world.server.bodies[0]
    assert set(sweep_rows(world)["entry"].to_pylist()) == {edited.identity}
