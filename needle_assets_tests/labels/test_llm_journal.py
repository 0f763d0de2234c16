"""What labelling by a model leaves behind: tokens and cost of each row, and a journal to resume."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from needle_assets.labels.task import LabelError
from needle_assets.storage import StorageError
from needle_assets_tests.chat.full_disk import file_size_limit
from needle_assets_tests.labels.llm_world import (
    GOOD,
    MODEL,
    about,
    in_quarantine,
    is_again,
    labeler_of,
    some_bios,
    to_person_1,
)
from needle_assets_tests.support.chat_server import ChatRequest, Reply, chat_server

# What it takes


USAGE = {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360}


def test_tokens_and_cost_are_those_of_all_attempts(tmp_path: Path) -> None:
    bad = Reply("what?", usage={"prompt_tokens": 300, "completion_tokens": 4, "total_tokens": 304})
    good = Reply(GOOD, usage={"prompt_tokens": 350, "completion_tokens": 60, "total_tokens": 410})
    with chat_server(to_person_1(bad, good)) as server:
        labeled = labeler_of(server, tmp_path, input_price=2.0, output_price=10.0).label(
            some_bios(2)
        )

    row = labeled.labels.to_pylist()[1]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (650, 64)
    # 650 x 2 + 64 x 10 millionths of a dollar.
    assert row["cost_usd"] == pytest.approx(0.00194)


def test_what_got_no_label_costs_too(tmp_path: Path) -> None:
    no = Reply("no", usage=USAGE)
    with chat_server(to_person_1(no, no)) as server:
        labeler = labeler_of(server, tmp_path, input_price=1.0, output_price=1.0)
        row = in_quarantine(labeler.label(some_bios(3)))
    assert (row["prompt_tokens"], row["completion_tokens"]) == (600, 120)
    assert row["cost_usd"] == pytest.approx(0.00072)


@pytest.mark.parametrize(
    "prices", [{}, {"input_price": 2.0}, {"output_price": 2.0}], ids=["none", "input", "output"]
)
def test_without_both_prices_the_cost_is_unknown_not_nothing(
    tmp_path: Path, prices: dict[str, float]
) -> None:
    with chat_server(lambda _: Reply(GOOD, usage=USAGE)) as server:
        [row] = labeler_of(server, tmp_path, **prices).label(some_bios(1)).labels.to_pylist()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (300, 60)
    assert row["cost_usd"] is None


def test_a_model_that_is_free_costs_nothing(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD, usage=USAGE)) as server:
        labeler = labeler_of(server, tmp_path, input_price=0.0, output_price=0.0)
        assert labeler.label(some_bios(1)).labels["cost_usd"].to_pylist() == [0.0]


def test_an_attempt_without_a_count_makes_the_sum_unknown(tmp_path: Path) -> None:
    counted, failed = Reply("what?", usage=USAGE), Reply(status=500)
    with chat_server(to_person_1(counted, failed)) as server:
        labeler = labeler_of(server, tmp_path, input_price=1.0, output_price=1.0)
        row = in_quarantine(labeler.label(some_bios(3)))
    assert (row["attempts"], row["outcome"]) == (2, "error")
    assert (row["prompt_tokens"], row["completion_tokens"], row["cost_usd"]) == (None, None, None)


# Going on where it stopped


def test_a_second_run_asks_nothing_and_returns_the_same(tmp_path: Path) -> None:
    replies = to_person_1(Reply("what?", usage=USAGE), Reply("no", usage=USAGE))
    with chat_server(replies) as server:
        labeler = labeler_of(server, tmp_path, input_price=1.0, output_price=1.0)
        first = labeler.label(some_bios(3))
        assert labeler.label(some_bios(3)) == first
    assert in_quarantine(first)["attempts"] == 2
    assert server.count == 4


def test_what_failed_is_asked_again_and_what_came_before_it_is_not(tmp_path: Path) -> None:
    with chat_server(to_person_1(Reply("what?"), Reply(status=500))) as server:
        labeler = labeler_of(server, tmp_path)
        assert in_quarantine(labeler.label(some_bios(3)))["outcome"] == "error"
        server.reply = lambda _: Reply(GOOD)
        labels = labeler.label(some_bios(3)).labels
    assert labels["attempts"].to_pylist() == [1, 2, 1]
    assert server.count == 5
    assert is_again(server.requests[4])


def test_a_killed_run_resumes_without_asking_twice(tmp_path: Path) -> None:
    program = (
        "import sys, pyarrow as pa; from pathlib import Path;"
        "from needle_assets.labels.llm import LLMLabeler;"
        "bios = pa.ipc.open_file(sys.argv[1]).read_all();"
        f"LLMLabeler(sys.argv[2], {MODEL!r}, Path(sys.argv[3]), 'test-key',"
        "  max_retries=0, concurrency=1).label(bios)"
    )
    bios = tmp_path / "bios.arrow"
    with pa.OSFile(str(bios), "wb") as sink, pa.ipc.new_file(sink, some_bios(1).schema) as writer:
        writer.write_table(some_bios(6))
    running: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def kills_at_the_second_attempt_at_person_2(request: ChatRequest) -> Reply:
        if about(request) == "person 2":
            if is_again(request):
                started.wait(timeout=60)
                os.kill(running[0].pid, signal.SIGKILL)
            return Reply("what?")
        return Reply(GOOD)

    with chat_server(kills_at_the_second_attempt_at_person_2) as server:
        arguments = [str(bios), server.base_url, str(tmp_path / "labels.jsonl")]
        running.append(subprocess.Popen([sys.executable, "-c", program, *arguments]))
        started.set()
        assert running[0].wait(timeout=120) == -signal.SIGKILL
        server.reply = lambda _: Reply(GOOD)
        labels = labeler_of(server, tmp_path).label(some_bios(6)).labels

    assert labels["attempts"].to_pylist() == [1, 1, 2, 1, 1, 1]
    # Only the request that was under way is sent again.
    asked = [(about(request)[-1], is_again(request)) for request in server.requests]
    killed = [("0", False), ("1", False), ("2", False), ("2", True)]
    assert asked == [*killed, ("2", True), ("3", False), ("4", False), ("5", False)]


def test_a_torn_last_line_is_dropped_and_asked_again(tmp_path: Path) -> None:
    journal = tmp_path / "labels.jsonl"
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler = labeler_of(server, tmp_path)
        labeler.label(some_bios(3))
        journal.write_bytes(journal.read_bytes()[:-20])
        assert labeler.label(some_bios(3)).labels.num_rows == 3
    assert [about(request)[-1] for request in server.requests] == ["0", "1", "2", "2"]


def test_a_damaged_line_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text("nonsense\n")
    with (
        chat_server(lambda _: Reply(GOOD)) as server,
        pytest.raises(LabelError, match=r"labels\.jsonl, line 1: not an answer"),
    ):
        labeler_of(server, tmp_path).label(some_bios(1))
    assert server.count == 0


@pytest.mark.parametrize(
    "change", [{"model": "labeler-2"}, {"use_json_schema": False}, {"max_answer_tokens": 99}]
)
def test_anything_sent_differently_is_asked_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler_of(server, tmp_path).label(some_bios(1))
        labeler_of(server, tmp_path, **change).label(some_bios(1))
    assert server.count == 2


def test_the_journal_has_a_line_for_every_attempt_and_no_key(tmp_path: Path) -> None:
    replies = to_person_1(Reply("what?", usage=USAGE), Reply(GOOD, usage=USAGE))
    with chat_server(replies, api_key="sk-secret") as server:
        labeler_of(server, tmp_path).label(some_bios(2))
    lines = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert "sk-secret" not in "".join(lines)
    entries = [json.loads(line) for line in lines]
    assert [entry["answer"] for entry in entries] == [GOOD, "what?", GOOD]
    assert entries[1]["prompt_tokens"] == 300
    assert len({entry["request_hash"] for entry in entries}) == 3


def test_on_a_full_disk_there_is_one_clear_error_and_nothing_half_written(tmp_path: Path) -> None:
    journal = tmp_path / "labels.jsonl"
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler = labeler_of(server, tmp_path, concurrency=4)
        labeler.label(some_bios(2))
        two = journal.read_bytes()
        with (
            # Room for two and a half answers more.
            file_size_limit(len(two) * 9 // 4),
            pytest.raises(StorageError, match=r"could not write the journal .*labels\.jsonl"),
        ):
            labeler.label(some_bios(30))
        kept = journal.read_bytes()
        before = server.count
        assert labeler.label(some_bios(30)).labels.num_rows == 30

    assert kept.startswith(two)
    assert kept.endswith(b"\n")
    assert [json.loads(line)["answer"] for line in kept.splitlines()] == [GOOD] * 4
    assert server.count == before + 26
