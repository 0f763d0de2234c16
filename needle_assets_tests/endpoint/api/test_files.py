"""/v1/files through the SDK, and uploads that go wrong on the way."""

import dataclasses
import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from openai.types import FileDeleted, FileObject

from needle_assets.endpoint.blobs import BlobWriter
from needle_assets.endpoint.records import FileRecord, Hyperparameters, JobRecord, JobStatus
from needle_assets_tests.endpoint.api.world import (
    Endpoint,
    conversations,
    emptied,
    endpoint,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    limits = {"file_bytes": 100_000, "files": 12}
    with endpoint(tmp_path_factory.mktemp("home"), limits=limits) as running:
        yield running


@pytest.fixture
def served(running: Endpoint) -> Iterator[Endpoint]:
    with emptied(running):
        yield running


@pytest.fixture
def client(served: Endpoint) -> OpenAI:
    return served.client()


def strict(kind: Any, shown: Any) -> Any:
    """The object again, checked by the SDK's own type with nothing converted or missing."""
    return kind.model_validate_json(shown.to_json(), strict=True)


def test_an_upload_comes_back_byte_for_byte(served: Endpoint, client: OpenAI) -> None:
    content = conversations(10)
    before = int(time.time())

    file = client.files.create(file=("train.jsonl", content), purpose="fine-tune")

    assert strict(FileObject, file) == client.files.retrieve(file.id)
    assert file.id.startswith("file-")
    assert (file.filename, file.bytes, file.purpose) == ("train.jsonl", len(content), "fine-tune")
    assert file.object == "file"
    assert file.status == "processed"
    assert before <= file.created_at <= int(time.time())
    assert file.expires_at is None
    assert client.files.content(file.id).read() == content
    assert [path.name for path in served.on_disk()] == [hashlib.sha256(content).hexdigest()]


def test_content_of_many_chunks_is_streamed_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    path = tmp_path / "large.jsonl"
    path.write_bytes(content)

    with endpoint(tmp_path / "home") as served:
        file = served.client().files.create(file=path, purpose="fine-tune")

        assert file.bytes == len(content)
        assert served.client().files.content(file.id).read() == content


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "имя.jsonl", "a\\b.jsonl", "x;y=z.jsonl", "."]
)
def test_a_file_name_is_data_and_never_a_path(served: Endpoint, client: OpenAI, name: str) -> None:
    content = conversations(1)

    file = client.files.create(file=(name, content), purpose="fine-tune")

    assert file.filename == name
    assert client.files.content(file.id).read() == content
    assert [path.name for path in served.on_disk()] == [hashlib.sha256(content).hexdigest()]


def test_files_are_listed_by_purpose_order_and_page(served: Endpoint, client: OpenAI) -> None:
    first, second, third = (served.upload(conversations(count)) for count in (1, 2, 3))

    assert [file.id for file in client.files.list()] == [third, second, first]
    assert [file.id for file in client.files.list(order="asc")] == [first, second, third]
    assert [file.id for file in client.files.list(purpose="fine-tune", after=third)] == [
        second,
        first,
    ]
    assert client.files.list(purpose="fine-tune-results").data == []

    page = client.files.list(limit=2)
    assert [file.id for file in page.data] == [third, second]
    assert page.has_more is True
    assert [file.id for file in page.get_next_page().data] == [first]
    assert page.get_next_page().has_more is False
    # The SDK walks through the pages by itself.
    assert [file.id for file in client.files.list(limit=1)] == [third, second, first]


def test_a_deleted_file_is_gone_with_its_bytes(served: Endpoint, client: OpenAI) -> None:
    file_id = served.upload()

    deleted = client.files.delete(file_id)

    assert strict(FileDeleted, deleted) == FileDeleted(id=file_id, deleted=True, object="file")
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match=file_id):
            call(file_id)
    assert client.files.list().data == []
    assert served.on_disk() == []


def test_content_that_is_deleted_at_that_moment_is_not_found(
    served: Endpoint, client: OpenAI
) -> None:
    file_id = served.upload()
    for path in served.on_disk():
        path.unlink()

    with pytest.raises(NotFoundError, match=file_id):
        client.files.content(file_id)


def test_equal_bytes_are_kept_once_until_their_last_file_is_deleted(
    served: Endpoint, client: OpenAI
) -> None:
    one, other = served.upload(), served.upload()

    assert one != other
    assert len(served.on_disk()) == 1
    client.files.delete(one)
    assert client.files.content(other).read() == conversations(10)
    client.files.delete(other)
    assert served.on_disk() == []


def a_job(training_file: str, **changes: Any) -> JobRecord:
    job = JobRecord(
        id=f"ftjob-{uuid.uuid4()}",
        created_at=1,
        status=JobStatus.RUNNING,
        base="tiny",
        training_file=training_file,
        validation_file=None,
        hyperparameters=Hyperparameters(),
        seed=0,
    )
    return dataclasses.replace(job, **changes)


@pytest.mark.parametrize("role", ["training_file", "validation_file"])
def test_a_file_deleted_under_a_job_is_gone_for_clients_and_kept_for_the_job(
    served: Endpoint, client: OpenAI, role: str
) -> None:
    file_id = served.upload()
    job = a_job(**{"training_file": "file-other", role: file_id})
    served.state.add_job(job)

    client.files.delete(file_id)

    with pytest.raises(NotFoundError):
        client.files.retrieve(file_id)
    with pytest.raises(NotFoundError):
        client.files.delete(file_id)
    assert client.files.list().data == []
    record = served.state.file(file_id)
    assert record is not None
    assert served.services.blobs.path(record.sha256).read_bytes() == conversations(10)

    served.state.change_job(job.id, set(JobStatus), status=JobStatus.SUCCEEDED)
    served.app.state.files.sweep()

    assert served.state.file(file_id) is None
    assert served.on_disk() == []


def test_an_expired_file_is_gone_at_once_and_its_bytes_with_the_next_sweep(
    served: Endpoint, client: OpenAI
) -> None:
    file = client.files.create(
        file=("t.jsonl", conversations(10)),
        purpose="fine-tune",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert file.expires_at == file.created_at + 3600
    assert client.files.retrieve(file.id).expires_at == file.expires_at

    record = served.state.file(file.id)
    assert isinstance(record, FileRecord)
    served.state.delete_file(file.id)
    served.state.add_file(dataclasses.replace(record, expires_at=int(time.time()) - 1))

    with pytest.raises(NotFoundError):
        client.files.retrieve(file.id)
    assert client.files.list().data == []
    served.app.state.files.sweep()
    assert served.on_disk() == []


def test_an_expired_file_can_still_be_the_place_a_page_begins_after(
    served: Endpoint, client: OpenAI
) -> None:
    first, second = served.upload(conversations(1)), served.upload(conversations(2))
    served.state.add_job(a_job(second))
    client.files.delete(second)

    assert [file.id for file in client.files.list(limit=1)] == [first]


@pytest.mark.parametrize(
    ("expires_after", "param"),
    [
        ({"anchor": "last_used_at", "seconds": 3600}, "expires_after.anchor"),
        ({"seconds": 3600}, "expires_after.anchor"),
        ({"anchor": "created_at"}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 3599}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 2_592_001}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": -3600}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "soon"}, "expires_after.seconds"),
    ],
)
def test_an_expiry_out_of_bounds_is_refused(
    served: Endpoint, client: OpenAI, expires_after: Any, param: str
) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.files.create(
            file=("t.jsonl", b"{}"), purpose="fine-tune", expires_after=expires_after
        )

    assert raised.value.param == param
    assert served.on_disk() == []


def test_another_purpose_is_refused(served: Endpoint, client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="'batch' is no purpose of this endpoint") as raised:
        client.files.create(file=("t.jsonl", b"{}"), purpose="batch")

    assert raised.value.param == "purpose"
    assert served.on_disk() == []


def test_an_empty_file_is_refused(served: Endpoint) -> None:
    with pytest.raises(BadRequestError, match="The file is empty"):
        served.upload(b"")

    assert served.on_disk() == []


def test_a_file_over_the_limit_leaves_nothing(served: Endpoint) -> None:
    # Within what the form around it is allowed, so that only counting the file tells.
    with pytest.raises(APIStatusError, match="larger than 100000 bytes") as raised:
        served.upload(b"x" * 100_001)

    assert raised.value.status_code == 413
    assert served.on_disk() == []
    assert served.upload(b"x" * 100_000)


def test_the_number_of_files_is_bounded(served: Endpoint, client: OpenAI) -> None:
    ids = [served.upload() for _ in range(12)]

    with pytest.raises(BadRequestError, match="12 files already") as raised:
        served.upload()
    assert raised.value.code == "file_limit_reached"

    client.files.delete(ids[0])
    assert served.upload()


def test_a_full_disk_is_told_and_leaves_nothing(
    served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BlobWriter, "write", full)

    with pytest.raises(APIStatusError, match="disk is full") as raised:
        served.upload()

    assert raised.value.status_code == 507
    assert served.on_disk() == []


def test_bytes_that_a_killed_server_left_are_gone_at_the_next_start(tmp_path: Path) -> None:
    with endpoint(tmp_path) as first:
        kept = first.upload(conversations(10))
        # Killed between the commit and the record, and in the middle of an upload.
        with first.services.blobs.writer() as writer:
            writer.write(b"nobody's")
            writer.commit()
        (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"hal")
        assert len(first.on_disk()) == 3

    with endpoint(tmp_path) as second:
        assert second.client().files.content(kept).read() == conversations(10)
        assert len(second.on_disk()) == 1


def test_uploads_beside_deletions_lose_nothing(served: Endpoint) -> None:
    """Equal bytes go and come at the same time: whoever was told of a file can read it."""
    failures: list[str] = []

    def come_and_go() -> None:
        client = served.client()
        for _ in range(10):
            file = client.files.create(file=("t.jsonl", conversations(3)), purpose="fine-tune")
            if client.files.content(file.id).read() != conversations(3):
                failures.append(file.id)
            client.files.delete(file.id)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert failures == []
    assert served.on_disk() == []
