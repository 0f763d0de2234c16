"""A sweep through batches: the same requests and answers as one by one."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from needle_assets.evaluation.batch import BatchSweep, batch_sweep, end_round
from needle_assets.evaluation.client import answers_table, ask_all
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.journal import Journal, open_journal
from needle_assets.evaluation.registry import ModelEntry
from needle_assets.evaluation.requests import Question
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.support.batch_server import (
    BatchHost,
    BatchServer,
    Ending,
    Error,
    Late,
    batch_host,
    echo,
)
from needle_assets_tests.support.chat_server import Reply, chat_server
from needle_assets_tests.support.fake_time import FakeTime

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

QUESTIONS = [
    Question(f"{draw}-{depth}", draw, [{"role": "user", "content": f"hay {draw}\n{draw}-{depth}"}])
    for draw in range(2)
    for depth in range(2)
]


OpenJournal = Callable[[], AbstractContextManager[Journal]]


@pytest.fixture(scope="module")
def host() -> Iterator[BatchHost]:
    with batch_host() as running:
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def server(host: BatchHost, time: FakeTime) -> BatchServer:
    return host.fresh(time.clock)


def entry(**changes: Any) -> ModelEntry:
    values: dict[str, Any] = {
        "slug": "big-model",
        "base_url": "https://models.example/v1",
        "model": "big",
        "context_window": 32_768,
        "api_key_env": "BIG_MODEL_KEY",
        "batch": True,
    }
    return ModelEntry(**(values | changes))


@pytest.fixture
def sweep(server: BatchServer, time: FakeTime, tmp_path: Path) -> Iterator[BatchSweep]:
    with batch_sweep(
        QUESTIONS,
        entry=entry(),
        base_url=server.base_url,
        api_key=server.api_key,
        task=BIOGRAPHY_TASK,
        max_completion_tokens=160,
        seed=5,
        name="512/big-model/run-1",
        notes=tmp_path / "note.json",
        sleep=time.sleep,
        clock=time.clock,
        now=lambda: NOW,
    ) as connected:
        yield connected


@pytest.fixture
def journal(tmp_path: Path) -> OpenJournal:
    return partial(open_journal, tmp_path, "open")


def test_every_question_gets_its_own_answer_in_their_order(
    sweep: BatchSweep, journal: OpenJournal
) -> None:
    with journal() as opened:
        receipt = sweep.submit(opened)
    ended = sweep.complete(receipt, journal, timeout_s=3600)
    with journal() as opened:
        answers = sweep.answers(ended, opened)

    assert [(answer.example_id, answer.answer) for answer in answers] == [
        ("0-0", "hay 0\n0-0"),
        ("0-1", "hay 0\n0-1"),
        ("1-0", "hay 1\n1-0"),
        ("1-1", "hay 1\n1-1"),
    ]
    assert answers_table(answers)["batched"].to_pylist() == [True] * 4


def test_a_batch_sends_what_asking_one_by_one_sends(
    server: BatchServer, sweep: BatchSweep, journal: OpenJournal, tmp_path: Path
) -> None:
    with journal() as opened:
        sweep.submit(opened)
    with chat_server(lambda _: Reply("x"), models=("big",)) as live:
        with open_journal(tmp_path, "live") as opened:
            alone = ask_all(
                QUESTIONS,
                entry=entry(),
                base_url=live.base_url,
                api_key=live.api_key,
                task=BIOGRAPHY_TASK,
                journal=opened,
                max_completion_tokens=160,
                concurrency=1,
                timeout_s=30,
                seed=5,
            )
        sent = [request.body for request in live.requests]

    [content] = server.files.values()
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line["custom_id"] for line in lines] == [answer.request_hash for answer in alone]
    assert [line["body"] for line in lines] == sent


def test_what_was_answered_one_by_one_is_in_no_batch(
    sweep: BatchSweep, journal: OpenJournal
) -> None:
    with chat_server(lambda _: Reply("x"), models=("big",)) as live, journal() as opened:
        ask_all(
            QUESTIONS[:3],
            entry=entry(),
            base_url=live.base_url,
            api_key=live.api_key,
            task=BIOGRAPHY_TASK,
            journal=opened,
            max_completion_tokens=160,
            concurrency=1,
            timeout_s=30,
            seed=5,
        )
        receipt = sweep.submit(opened)

    [batch] = receipt.batches
    assert (batch.requests, receipt.questions) == (1, 4)


def test_what_no_batch_answers_is_an_error_and_no_answer_of_the_journal(
    server: BatchServer, sweep: BatchSweep, journal: OpenJournal
) -> None:
    bad = Error(400, "no")
    server.endings.append(Ending(reply=lambda number, body: bad if number == 1 else echo(0, body)))
    with journal() as opened:
        receipt = sweep.submit(opened)
    ended = sweep.complete(receipt, journal, timeout_s=3600)
    with journal() as opened:
        answers = sweep.answers(ended, opened)
        kept = len(opened)

    assert [answer.error for answer in answers] == [None, "HTTP 400: no", None, None]
    assert (answers[1].example_id, answers[1].evaluated_at) == (
        "0-1",
        NOW.replace(year=2023, month=11, day=14, hour=22, minute=13, second=30),
    )
    assert kept == 3


def test_the_journal_is_free_while_a_batch_is_waited_for(
    sweep: BatchSweep, journal: OpenJournal
) -> None:
    with journal() as opened:
        receipt = sweep.submit(opened)

    def look(_done: int, _total: int) -> None:
        with journal():
            looked.append(True)

    looked: list[bool] = []
    sweep.complete(receipt, journal, timeout_s=3600, on_progress=look)

    assert looked


def test_the_caller_is_asked_about_the_questions_that_are_paid_for(
    server: BatchServer, sweep: BatchSweep, journal: OpenJournal
) -> None:
    server.endings.append(Ending("expired", lambda number, body: echo(0, body) if number else Late))
    asked: list[tuple[list[str], int]] = []

    def look(questions: Any, paid: int) -> None:
        asked.append(([question.example_id for question in questions], paid))

    with journal() as opened:
        receipt = sweep.submit(opened, before_create=look)
    sweep.complete(receipt, journal, timeout_s=3600, before_create=look)

    assert asked == [(["0-0", "0-1", "1-0", "1-1"], 0), (["0-0"], 3)]


def test_a_server_without_batches_is_told_of_in_the_registrys_words(
    server: BatchServer, sweep: BatchSweep, journal: OpenJournal
) -> None:
    server.has_batches = False

    with (
        journal() as opened,
        pytest.raises(EvaluationError, match="register the model 'big-model' without --batch"),
    ):
        sweep.submit(opened)


def test_a_wait_that_fails_is_an_error_of_the_evaluation(
    sweep: BatchSweep, journal: OpenJournal
) -> None:
    with journal() as opened:
        receipt = sweep.submit(opened)

    with pytest.raises(EvaluationError, match="run again to wait on"):
        sweep.complete(receipt, journal, timeout_s=1)


def test_a_round_that_is_ended_is_followed_by_another(
    sweep: BatchSweep, journal: OpenJournal, tmp_path: Path
) -> None:
    with journal() as opened:
        sweep.submit(opened)

    end_round(tmp_path / "note.json")
    end_round(tmp_path / "note.json")

    assert not (tmp_path / "note.json").exists()
