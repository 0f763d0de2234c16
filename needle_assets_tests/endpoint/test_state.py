"""What the endpoint remembers: in order, once, and past the death of its process."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from needle_assets.endpoint.records import (
    CheckpointRecord,
    EventRecord,
    FileRecord,
    Hyperparameters,
    JobRecord,
    JobStatus,
    ModelRecord,
)
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.state import State

EVERY_STATUS = frozenset(JobStatus)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "home" / "state.sqlite")


def file(number: int, purpose: str = "fine-tune") -> FileRecord:
    return FileRecord(f"file-{number}", "a.jsonl", purpose, 10, "0" * 64, created_at=7)


def job(number: int, **changes: object) -> JobRecord:
    plain = JobRecord(
        id=f"ftjob-{number}",
        created_at=7,
        status=JobStatus.QUEUED,
        base="small",
        training_file="file-1",
        validation_file=None,
        hyperparameters=Hyperparameters(n_epochs=3, learning_rate_multiplier=0.5),
        seed=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def event(number: int, job_id: str = "ftjob-1") -> EventRecord:
    return EventRecord(
        f"ftevent-{number}", job_id, 7, "info", "metrics", "m", {"step": number, "train_loss": 0.5}
    )


def test_what_was_added_comes_back_as_it_was_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    rope = Rope(kind="yarn", factor=2.0, theta=1e4, original_context=512)
    model = ModelRecord("ft:small::1", "small", 7, "ftjob-1", tmp_path / "a.gguf", 1024, rope)
    checkpoint = CheckpointRecord("ftckpt-1", "ftjob-1", 7, 4, {"train_loss": 0.25})
    full = job(1, metadata={"a": "b"}, suffix="mine", error_message="é\n", started=True)

    first = State(path)
    first.add_file(file(1))
    first.add_job(full)
    first.add_event(event(1))
    first.add_checkpoint(checkpoint)
    first.add_model(model)
    first.close()
    state = State(path)

    assert state.file("file-1") == file(1)
    assert state.job("ftjob-1") == full
    assert state.events("ftjob-1") == [event(1)]
    assert state.checkpoints("ftjob-1") == [checkpoint]
    assert state.model("ft:small::1") == model
    assert state.models() == [model]


def test_what_is_not_there_is_none_and_deleting_it_changes_nothing(state: State) -> None:
    assert state.file("file-1") is None
    assert state.job("ftjob-1") is None
    assert state.model("ft:a::b") is None
    assert not state.delete_file("file-1")
    assert not state.delete_model("ft:a::b")
    assert state.change_job("ftjob-1", EVERY_STATUS, seed=2) is None


def test_a_deleted_file_is_gone(state: State) -> None:
    state.add_file(file(1))

    assert state.delete_file("file-1")
    assert state.file("file-1") is None
    assert state.files() == []


def test_files_are_listed_newest_first_or_oldest_first_and_by_purpose(state: State) -> None:
    for number, purpose in [(1, "fine-tune"), (2, "batch"), (3, "fine-tune")]:
        state.add_file(file(number, purpose))

    assert [f.id for f in state.files()] == ["file-3", "file-2", "file-1"]
    assert [f.id for f in state.files(order="asc")] == ["file-1", "file-2", "file-3"]
    assert [f.id for f in state.files(purpose="fine-tune")] == ["file-3", "file-1"]


def test_pages_follow_on_one_another(state: State) -> None:
    for number in range(1, 6):
        state.add_file(file(number))
        state.add_job(job(number))

    assert [f.id for f in state.files(limit=2)] == ["file-5", "file-4"]
    assert [f.id for f in state.files(after="file-4", limit=2)] == ["file-3", "file-2"]
    assert [f.id for f in state.files(after="file-4", order="asc")] == ["file-5"]
    assert [j.id for j in state.jobs(after="ftjob-4", limit=2)] == ["ftjob-3", "ftjob-2"]
    assert state.jobs(after="ftjob-1") == []


def test_a_page_after_an_unknown_id_is_an_error(state: State) -> None:
    state.add_file(file(1))

    for ask in (
        lambda: state.files(after="file-9"),
        lambda: state.jobs(after="ftjob-9"),
        lambda: state.events("ftjob-1", after="ftevent-9"),
        lambda: state.checkpoints("ftjob-1", after="ftckpt-9"),
    ):
        with pytest.raises(KeyError, match="-9"):
            ask()


def test_jobs_are_found_by_all_pairs_of_metadata_whatever_their_letters(state: State) -> None:
    odd = "a.\"b'] $%_"
    state.add_job(job(1, metadata={"x": "1", odd: "2"}))
    state.add_job(job(2, metadata={"x": "1"}))
    state.add_job(job(3))

    assert [j.id for j in state.jobs(metadata={"x": "1"})] == ["ftjob-2", "ftjob-1"]
    assert [j.id for j in state.jobs(metadata={"x": "1", odd: "2"})] == ["ftjob-1"]
    assert state.jobs(metadata={odd: "%"}) == []
    assert len(state.jobs(metadata={})) == 3


def test_unfinished_jobs_are_listed_oldest_first(state: State) -> None:
    for number, status in enumerate(JobStatus):
        state.add_job(job(number, status=status))

    assert [j.status for j in state.unfinished_jobs()] == [
        JobStatus.VALIDATING,
        JobStatus.QUEUED,
        JobStatus.RUNNING,
        JobStatus.PAUSED,
    ]


def test_a_job_changes_only_from_an_expected_status(state: State) -> None:
    state.add_job(job(1))

    refused = state.change_job("ftjob-1", {JobStatus.RUNNING}, status=JobStatus.SUCCEEDED)
    changed = state.change_job("ftjob-1", {JobStatus.QUEUED}, status=JobStatus.RUNNING, seed=9)

    assert refused is None
    assert changed == job(1, status=JobStatus.RUNNING, seed=9)
    assert state.job("ftjob-1") == changed


def test_of_many_threads_that_take_a_job_one_gets_it(state: State) -> None:
    state.add_job(job(1))
    line = threading.Barrier(8)
    got: list[bool] = []

    def take() -> None:
        line.wait()
        changed = state.change_job("ftjob-1", {JobStatus.QUEUED}, status=JobStatus.RUNNING)
        got.append(changed is not None)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 7 + [True]


def test_an_event_and_a_checkpoint_of_a_known_id_change_nothing(state: State) -> None:
    checkpoint = CheckpointRecord("ftckpt-1", "ftjob-1", 7, 4)

    assert state.add_event(event(1))
    assert not state.add_event(replace(event(1), message="told again"))
    assert state.add_checkpoint(checkpoint)
    assert not state.add_checkpoint(replace(checkpoint, step=5))

    assert state.events("ftjob-1") == [event(1)]
    assert state.checkpoints("ftjob-1") == [checkpoint]


def test_events_are_listed_newest_first_of_one_job(state: State) -> None:
    for number in (1, 2, 3):
        state.add_event(event(number))
    state.add_event(event(4, "ftjob-2"))

    assert [e.id for e in state.events("ftjob-1", limit=2)] == ["ftevent-3", "ftevent-2"]
    assert [e.id for e in state.events("ftjob-1", after="ftevent-2")] == ["ftevent-1"]


def test_a_number_that_json_does_not_know_is_kept_as_unknown(state: State) -> None:
    state.add_event(replace(event(1), data={"train_loss": float("nan")}))

    assert state.events("ftjob-1")[0].data == {"train_loss": None}


def test_changes_of_one_transaction_are_all_kept_or_none(state: State) -> None:
    state.add_job(job(1))

    def fail_half_way() -> None:
        with state.transaction():
            state.change_job("ftjob-1", {JobStatus.QUEUED}, status=JobStatus.SUCCEEDED)
            with state.transaction():
                state.add_event(event(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()

    assert state.job("ftjob-1") == job(1)
    assert state.events("ftjob-1") == []
    assert state.add_event(event(1))


def test_a_full_disk_is_told_as_such_and_costs_only_that_change(state: State) -> None:
    state.add_file(file(1))
    # SQLite's own limit stands in for the disk's.
    (pages,) = state._db.execute("PRAGMA page_count").fetchone()
    state._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        state.add_file(replace(file(2), filename="x" * 100_000))

    state._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    state.add_file(file(3))
    assert [kept.id for kept in state.files()] == ["file-3", "file-1"]


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    script = f"""
        from pathlib import Path
        from needle_assets.endpoint.records import EventRecord
        from needle_assets.endpoint.state import State

        state = State(Path({str(path)!r}))
        for number in range(10**6):
            state.add_event(EventRecord(str(number), "ftjob-1", 7, "info", "message", ""))
            print(number, flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 20:
                os.kill(writer.pid, signal.SIGKILL)
                break
        acknowledged = max([int(line), *(int(rest) for rest in writer.stdout if rest.strip())])

    found = {int(e.id) for e in State(path).events("ftjob-1", limit=10**6)}

    # One more may have been written whose acknowledgement was not.
    assert found in (set(range(acknowledged + 1)), set(range(acknowledged + 2)))
