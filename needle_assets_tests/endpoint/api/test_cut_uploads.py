"""Uploads that the SDK would not send: cut, stalled, endless, or no form. They leave nothing."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from needle_assets_tests.endpoint.api.world import KEY, Endpoint, emptied, endpoint, wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("home"), limits={"file_bytes": 100_000}) as running:
        yield running


@pytest.fixture
def served(running: Endpoint) -> Iterator[Endpoint]:
    with emptied(running):
        yield running


BOUNDARY = "b0undary"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
PURPOSE = part("purpose", b"fine-tune")
FILE = part("file", b"{}", "t.jsonl")


def head(served: Endpoint, length: str, content_type: str) -> bytes:
    return (
        f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: {content_type}\r\n{length}\r\n\r\n"
    ).encode()


def answer(
    served: Endpoint,
    body: bytes,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
) -> tuple[int, str]:
    """Status and body of an upload with exactly these bytes."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(head(served, f"Content-Length: {len(body)}", content_type) + body)
        received = connection.makefile("rb")
        status = int(received.readline().split()[1])
        length = 0
        while (line := received.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return status, received.read(length).decode()


@pytest.mark.parametrize("body", [PURPOSE + FILE + END, FILE + PURPOSE + END])
def test_purpose_and_file_may_come_in_any_order(served: Endpoint, body: bytes) -> None:
    status, text = answer(served, body)

    assert status == 200, text
    assert '"filename":"t.jsonl"' in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (PURPOSE + FILE, "breaks off before its last boundary"),
        (b"", "breaks off before its last boundary"),
        (b"no form at all", "not a multipart form"),
        (FILE + END, "Missing required parameter: 'purpose'"),
        (PURPOSE + END, "Missing required parameter: 'file'"),
        (PURPOSE + part("file", b"{}") + END, "with a file name"),
        (PURPOSE + FILE + FILE + END, "one file, not several"),
        (PURPOSE + FILE + part("color", b"red") + END, "Unknown parameter: 'color'"),
        (part("purpose", b"x" * 2000) + FILE + END, "'purpose' is longer than 1024 bytes"),
        (PURPOSE * 17 + FILE + END, "more than 16 parts"),
        (PURPOSE + f"--{BOUNDARY}\r\n\r\n".encode() + b"{}\r\n" + END, "Unknown parameter: ''"),
        (PURPOSE + f"--{BOUNDARY}\r\n{'X: y' * 9999}\r\n\r\n".encode(), "not a multipart form"),
    ],
)
def test_a_form_that_is_none_is_a_bad_request_and_leaves_nothing(
    served: Endpoint, body: bytes, message: str
) -> None:
    status, text = answer(served, body)

    assert status == 400
    assert message in text
    assert served.on_disk() == []


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "x" * 300])
def test_an_upload_that_is_not_multipart_is_refused(served: Endpoint, content_type: str) -> None:
    status, text = answer(served, PURPOSE + FILE + END, content_type)

    assert status == 400
    assert "multipart/form-data with a boundary" in text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_cut_in_the_middle_leaves_nothing(served: Endpoint, chunked: bool) -> None:
    body = PURPOSE + FILE[:-4] + b"x" * 50_000
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    if chunked:
        sent = head(served, "Transfer-Encoding: chunked", content_type)
        sent += f"{len(body):x}\r\n".encode() + body + b"\r\n"
    else:
        sent = head(served, "Content-Length: 90000", content_type) + body

    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(sent)
        # The upload has begun to reach the disk before its client goes.
        wait_for(served.on_disk)

    wait_for(lambda: served.on_disk() == [])
    assert served.client().files.list().data == []


def test_a_chunked_upload_over_the_limit_is_counted_and_refused(served: Endpoint) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = head(served, "Transfer-Encoding: chunked", f"multipart/form-data; boundary={BOUNDARY}")
    opening = PURPOSE + FILE[:-4]
    sent += f"{len(opening):x}\r\n".encode() + opening + b"\r\n" + chunk * 3

    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(sent)
        status = connection.makefile("rb").readline()

    assert b" 413 " in status
    wait_for(lambda: served.on_disk() == [])


def test_an_upload_that_stands_still_is_given_up(tmp_path: Path) -> None:
    with (
        endpoint(tmp_path, limits={"upload_stall_s": 0.3}) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection,
    ):
        content_type = f"multipart/form-data; boundary={BOUNDARY}"
        connection.sendall(head(served, "Content-Length: 90000", content_type) + PURPOSE + FILE)

        received = connection.makefile("rb").readline()

        assert b" 408 " in received
        assert served.on_disk() == []
