"""Uploaded bytes: whole or not at all, each content once, deleted when nothing speaks of it."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from needle_assets.endpoint.blobs import Blobs

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""Of b"hello": as `printf hello | sha256sum` says."""


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def put(blobs: Blobs, data: bytes) -> str:
    with blobs.writer() as writer:
        writer.write(data)
        return writer.commit()[0]


def test_bytes_lie_under_their_sha256(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    with blobs.writer() as writer:
        writer.write(b"hel")
        writer.write(b"lo")
        committed = writer.commit()

    assert committed == (HELLO, 5)
    assert blobs.path(HELLO).read_bytes() == b"hello"
    assert files_of(tmp_path) == [HELLO]


def test_equal_bytes_are_stored_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    assert put(blobs, b"hello") == put(blobs, b"hello") == HELLO
    assert files_of(tmp_path) == [HELLO]


def test_a_writer_left_without_commit_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    with blobs.writer() as writer:
        writer.write(b"hello")

    def fail_half_way() -> None:
        with blobs.writer() as writer:
            writer.write(b"hello")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()

    assert files_of(tmp_path) == []


def test_a_killed_upload_is_gone_at_the_next_start_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    script = f"""
        import signal
        from pathlib import Path
        from needle_assets.endpoint.blobs import Blobs

        blobs = Blobs(Path({str(tmp_path)!r}))
        with blobs.writer() as whole:
            whole.write(b"hello")
            whole.commit()
        with blobs.writer() as half:
            half.write(b"x" * 10**6)
            print("written", flush=True)
            signal.pause()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert len(files_of(tmp_path)) == 2

    blobs = Blobs(tmp_path)

    assert files_of(tmp_path) == [HELLO]
    assert blobs.path(HELLO).read_bytes() == b"hello"


def test_what_is_not_used_is_discarded(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    kept, unused = put(blobs, b"kept"), put(blobs, b"unused")

    assert blobs.discard_unused({kept}) == [unused]
    assert files_of(tmp_path) == [kept]
    assert blobs.discard_unused(lambda: ()) == [kept]
    assert files_of(tmp_path) == []


def test_what_was_committed_is_safe_until_its_record_can_be_there(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    with blobs.writer() as writer:
        writer.write(b"hello")
        writer.commit()
        while_open = blobs.discard_unused(())
    afterwards = blobs.discard_unused(())

    assert while_open == []
    assert afterwards == [HELLO]


@pytest.mark.parametrize("name", ["", "../state.sqlite", "incoming", HELLO.upper(), HELLO + "/x"])
def test_a_path_is_made_of_a_sha256_alone(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a sha256"):
        Blobs(tmp_path).path(name)


def test_writing_outside_of_the_block_is_refused(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    closed = blobs.writer()
    with closed:
        closed.write(b"hello")
        closed.commit()

    for writer in (blobs.writer(), closed):
        with pytest.raises(ValueError, match="inside the writer's block"):
            writer.write(b"more")
    assert hashlib.sha256(blobs.path(HELLO).read_bytes()).hexdigest() == HELLO
