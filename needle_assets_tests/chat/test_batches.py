"""A round of questions through batches: split, submitted, waited for, collected, begun again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from needle_assets.chat.answers import Answer
from needle_assets.chat.batch_lines import Limits
from needle_assets.chat.errors import ChatError
from needle_assets.storage import StorageError, exclusive
from needle_assets_tests.support.batch_round import NOW, Asking, question
from needle_assets_tests.support.batch_server import (
    BatchHost,
    Ending,
    Error,
    Late,
    batch_host,
    completion,
    echo,
)
from needle_assets_tests.support.fake_time import FakeTime
from needle_assets_tests.support.scripted_server import Refuse

ALL = [f"q{number}" for number in range(6)]


@pytest.fixture(scope="module")
def host() -> Iterator[BatchHost]:
    with batch_host() as running:
        yield running


@pytest.fixture
def asking(host: BatchHost, tmp_path: Path) -> Asking:
    time = FakeTime()
    return Asking(host.fresh(time.clock), host.client, time, tmp_path)


def known(number: int) -> Answer:
    return Answer(question(number).key, NOW, 1.5, answer="known")


def test_every_question_gets_its_own_answer(asking: Asking) -> None:
    answers = asking.run()

    assert [answer.answer for answer in answers] == ALL
    assert {answer.request_hash for answer in answers} == {r.key for r in asking.requests}
    assert all(answer.batched and answer.attempts == 1 for answer in answers)
    # Fifteen seconds of polls after the create, by the server's clock.
    assert {answer.evaluated_at for answer in answers} == {
        datetime(2023, 11, 14, 22, 13, 30, tzinfo=UTC)
    }


def test_what_is_sent(asking: Asking) -> None:
    receipt = asking.submit()

    [told] = asking.server.bodies
    [(file_id, body)] = asking.server.file_bodies.items()
    [batch] = receipt.batches
    label = f"needle-{receipt.mark}-1-1of1-6-{batch.fingerprint}"
    assert told == {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"needle_batch": label},
    }
    assert (body["filename"], body["purpose"]) == (f"{label}.jsonl", "batch")
    lines = [json.loads(text) for text in asking.server.files[file_id].splitlines()]
    assert [told["custom_id"] for told in lines] == [r.key for r in asking.requests]
    assert lines[2]["body"] == {
        "model": "big",
        "messages": [{"role": "user", "content": "q2"}],
        "temperature": 0,
        "max_completion_tokens": 160,
    }


def test_the_receipt(asking: Asking) -> None:
    receipt = asking.complete(asking.submit())

    [batch] = receipt.batches
    assert (receipt.name, receipt.model, receipt.questions) == ("round-1", "big", 6)
    assert receipt.destination == asking.server.base_url
    assert (batch.batch_id, batch.input_file_id) == ("batch-000002", "file-000001")
    assert (batch.status, batch.attempt, batch.requests) == ("completed", 1, 6)
    assert (batch.completed, batch.failed) == (6, 0)
    assert batch.output_file_id in asking.server.files
    assert asking.server.api_key not in receipt.model_dump_json()


def test_what_the_journal_has_is_not_asked(asking: Asking) -> None:
    with asking.journal() as journal:
        journal.append(known(0))
        journal.append(known(3))

    answers = asking.run()

    assert [answer.answer for answer in answers] == ["known", "q1", "q2", "known", "q4", "q5"]
    assert sum(asking.server.answered.values()) == 4


def test_a_journal_that_has_all_needs_no_server(asking: Asking) -> None:
    with asking.journal() as journal:
        for number in range(6):
            journal.append(known(number))

    answers = asking.run()

    assert [answer.answer for answer in answers] == ["known"] * 6
    assert not asking.server.requests


def test_many_questions_go_into_several_batches(asking: Asking) -> None:
    asking.limits = Limits(requests=4)

    receipt = asking.submit()

    assert [(b.part, b.parts, b.requests) for b in receipt.batches] == [(1, 2, 4), (2, 2, 2)]
    assert [answer.answer for answer in asking.answers(asking.complete(receipt))] == ALL


def test_a_second_submit_attaches_to_what_goes_on(asking: Asking) -> None:
    first = asking.submit()

    second = asking.submit()

    assert [b.batch_id for b in second.batches] == [b.batch_id for b in first.batches]
    assert asking.server.created == 1


def test_a_second_submit_after_the_end_takes_the_answers(asking: Asking) -> None:
    asking.round().wait(asking.submit(), timeout_s=3600)

    asking.submit()

    with asking.journal() as journal:
        assert len(journal) == 6
    assert asking.server.created == 1


def test_a_round_of_another_name_asks_anew(asking: Asking) -> None:
    asking.run()
    asking.note.unlink()
    (asking.folder / "journal.jsonl").unlink()
    asking.name = "round-2"

    asking.run()

    assert asking.server.created == 2
    assert set(asking.server.answered.values()) == {2}


def test_the_note_goes_before_the_name(asking: Asking) -> None:
    asking.submit()
    asking.name = "of-another-run"

    receipt = asking.submit()

    assert receipt.name == "round-1"
    assert asking.server.created == 1


def test_a_broken_note_is_as_good_as_none(asking: Asking) -> None:
    asking.submit()
    asking.note.write_text("{")

    asking.submit()

    assert asking.server.created == 1


def test_a_round_that_ended_meanwhile_is_not_gone_on_with(asking: Asking) -> None:
    asking.submit()
    stale = asking.round()
    asking.note.unlink()
    asking.name = "round-2"
    asking.submit()

    with (
        asking.journal() as journal,
        pytest.raises(ChatError, match="round-1 are over, and round-2"),
    ):
        stale.submit(journal)


def test_two_runs_do_not_submit_at_once(asking: Asking) -> None:
    with exclusive(asking.note, "it"), pytest.raises(StorageError, match="another run"):
        asking.submit()

    assert not asking.server.requests


def test_a_step_that_is_retried_elsewhere_finds_the_batches_that_followed(asking: Asking) -> None:
    asking.server.endings.append(Ending("expired", lambda n, b: echo(n, b) if n < 3 else Late))
    first = asking.submit()
    asking.complete(first)
    (asking.folder / "journal.jsonl").unlink()

    last = asking.complete(first)

    assert [batch.attempt for batch in last.batches] == [1, 2]
    assert asking.server.created == 2
    assert [answer.answer for answer in asking.answers(last)] == ALL


def test_a_lost_journal_is_read_out_of_all_batches_again(asking: Asking) -> None:
    asking.server.endings.append(Ending("expired", lambda n, b: echo(n, b) if n < 3 else Late))
    receipt = asking.complete(asking.submit())
    (asking.folder / "journal.jsonl").unlink()

    answers = asking.answers(receipt)

    assert [batch.attempt for batch in receipt.batches] == [1, 2]
    assert [answer.answer for answer in answers] == ALL
    assert asking.server.created == 2


def test_batches_that_no_list_shows_are_known_by_the_receipt(asking: Asking) -> None:
    receipt = asking.submit()
    asking.note.unlink()
    for kept in asking.server.batches.values():
        kept.listed_from = float("inf")

    again = asking.submit(before=receipt)

    assert [b.batch_id for b in again.batches] == [b.batch_id for b in receipt.batches]
    assert asking.server.created == 1


def test_batches_that_no_list_shows_are_known_by_the_note(asking: Asking) -> None:
    asking.submit()
    for kept in asking.server.batches.values():
        kept.listed_from = float("inf")

    asking.submit()

    assert asking.server.created == 1


def test_batches_of_a_round_that_goes_on_are_not_doubled_when_the_journal_grew(
    asking: Asking,
) -> None:
    asking.limits = Limits(requests=4)
    asking.submit()
    with asking.journal() as journal:
        journal.append(known(0))

    receipt = asking.submit()

    assert len(receipt.batches) == asking.server.created == 2


def test_batches_that_a_killed_run_did_not_come_to_are_created_beside_the_others(
    asking: Asking,
) -> None:
    asking.limits = Limits(requests=2)
    asking.server.script("batches.create", None, None, Refuse(400))
    with pytest.raises(ChatError):
        asking.submit()
    first, _ = asking.server.batches.values()
    asking.server.end(first)

    receipt = asking.submit()

    assert [(b.attempt, b.part) for b in receipt.batches] == [(1, 1), (1, 2), (1, 3)]
    assert [answer.answer for answer in asking.answers(asking.complete(receipt))] == ALL
    assert asking.server.created == 3


def test_batches_of_a_later_attempt_are_created_by_a_run_that_has_no_journal(
    asking: Asking,
) -> None:
    asking.limits = Limits(requests=3)
    half = Ending("expired", lambda n, b: Late if n else echo(n, b))
    asking.server.endings.extend([half, half])
    asking.server.script("batches.create", None, None, None, Refuse(400))
    with pytest.raises(ChatError):
        asking.run()
    (asking.folder / "journal.jsonl").unlink()

    receipt = asking.submit()

    # Four questions are left, of which one batch has room for three.
    assert [(b.attempt, b.requests) for b in receipt.batches] == [(1, 3), (1, 3), (2, 3), (2, 1)]
    assert [answer.answer for answer in asking.answers(asking.complete(receipt))] == ALL
    assert set(asking.server.answered.values()) == {1}


def test_nothing_is_created_where_the_caller_objects(asking: Asking) -> None:
    objected = []

    def object_(requests: object, _paid: int) -> None:
        objected.append(requests)
        raise ChatError("over the cap")

    with pytest.raises(ChatError, match="over the cap"):
        asking.submit(before_create=object_)

    assert objected == [asking.requests]
    assert asking.server.created == 0
    asking.submit()
    asking.submit(before_create=object_)
    assert len(objected) == 1


def test_what_completes_a_batch_is_shown_to_the_caller_first(asking: Asking) -> None:
    asking.server.endings.append(Ending("expired", lambda n, b: echo(n, b) if n < 4 else Late))
    shown: list[tuple[list[str], int]] = []

    asking.run(before_create=lambda asked, paid: shown.append(([r.key for r in asked], paid)))

    assert shown == [([question(4).key, question(5).key], 4)]


def test_progress_counts_the_questions_of_the_newest_batches(asking: Asking) -> None:
    asking.server.endings.append(Ending("expired", lambda n, b: echo(n, b) if n < 4 else Late))
    told: list[tuple[int, int]] = []
    submitted: list[int] = []

    asking.run(
        on_progress=lambda done, of: told.append((done, of)),
        on_submit=lambda receipt: submitted.append(receipt.attempt),
    )

    assert told == [(0, 6)] * 3 + [(6, 6)] + [(0, 2)] * 3 + [(2, 2)]
    assert submitted == [2]


def test_pauses_grow_with_the_time_waited(asking: Asking) -> None:
    asking.server.life = ("in_progress",) * 100

    asking.round().wait(asking.submit(), timeout_s=100_000)

    pauses = asking.time.pauses
    # A twentieth of the time waited: five seconds until a hundred are over, a minute at most.
    assert pauses[:21] == [5.0] * 21
    assert pauses[21] == 105 / 20
    assert pauses[-1] == 60.0
    assert pauses == sorted(pauses)


def test_lines_in_any_order_and_of_any_sort(asking: Asking) -> None:
    receipt = asking.round().wait(asking.submit(), timeout_s=3600)
    output = str(receipt.batches[0].output_file_id)

    def line(key: str, text: str) -> bytes:
        body = completion(text)
        return json.dumps(
            {"custom_id": key, "response": {"status_code": 200, "body": body}}, ensure_ascii=False
        ).encode()

    asking.server.files[output] = b"\n".join(
        [
            line(question(5).key, "five"),
            line("nobody's", "x"),
            b"{broken",
            b"",
            line(question(0).key, "z\u2028ero"),
            line(question(5).key, "five again"),
        ]
    )

    with asking.journal() as journal:
        collected = asking.round().collect(receipt, journal)
        kept = {n: journal.get(question(n).key) for n in range(6)}

    assert (collected.answered, collected.twice) == (2, 1)
    assert (collected.unknown, collected.broken, collected.gone) == (1, 1, ())
    assert asking.warned == [
        f"in the files of batches at {asking.server.base_url}: 1 answers to what was answered "
        "before, 1 lines about what was not asked, 1 lines that cannot be read"
    ]
    assert {n: answer.answer for n, answer in kept.items() if answer} == {
        0: "z\u2028ero",
        5: "five",
    }


def test_the_newest_batch_has_the_last_word_on_a_failure(asking: Asking) -> None:
    asking.server.endings.append(Ending(reply=lambda _n, _b: Error(500, "first")))
    asking.server.endings.append(Ending(reply=lambda _n, _b: Error(400, "second")))

    answers = asking.run()

    assert {answer.error for answer in answers} == {"HTTP 400: second"}
    assert asking.server.created == 2


def test_the_same_remarks_are_made_once(asking: Asking) -> None:
    asking.server.endings.append(Ending(reply=lambda n, b: echo(n, b) if n else b"{broken"))
    receipt = asking.round().wait(asking.submit(), timeout_s=3600)
    round_ = asking.round()

    with asking.journal() as journal:
        round_.collect(receipt, journal)
        round_.collect(receipt, journal)

    assert len(asking.warned) == 1


def test_cancelling_ends_what_goes_on_and_leaves_what_ended(asking: Asking) -> None:
    asking.limits = Limits(requests=4)
    receipt = asking.submit()
    first, second = asking.server.batches.values()
    asking.server.end(first)
    halfway = asking.round().wait(
        receipt.model_copy(update={"batches": receipt.batches[:1]}), timeout_s=3600
    )
    receipt = receipt.model_copy(update={"batches": halfway.batches + receipt.batches[1:]})

    assert asking.round().cancel(receipt) == (second.body["id"],)

    assert (first.body["status"], second.body["status"]) == ("completed", "cancelled")


def test_the_limits_older_name_is_sent_once_a_server_insisted(asking: Asking) -> None:
    asking.server.endings.append(
        Ending(reply=lambda _n, _b: Error(400, "'max_completion_tokens' is not supported"))
    )

    asking.run()

    first, second = (kept.lines[0]["body"] for kept in asking.server.batches.values())
    assert (first["max_completion_tokens"], second["max_tokens"]) == (160, 160)
    assert "max_completion_tokens" not in second
