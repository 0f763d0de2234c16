import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from needle_assets.storage import (
    StorageError,
    content_hash,
    exclusive,
    read_table,
    write_atomic,
    write_json,
    write_table,
)

TABLE = pa.table({"a": [1, 2, 3], "b": [["x"], [], None]})


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    write_table(tmp_path / "deep" / "down" / "t.parquet", TABLE)
    assert read_table(tmp_path / "deep" / "down" / "t.parquet").equals(TABLE)


def test_object_stores_are_written_too() -> None:
    path = UPath("memory://needle-test/t.parquet")
    write_table(path, TABLE)
    assert read_table(path).equals(TABLE)


def test_a_full_disk_leaves_the_earlier_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.bin"
    write_atomic(path, b"earlier")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"t\.bin.*No space left on device.*NEEDLE_HOME"):
        write_atomic(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["t.bin"]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist; materialize"):
        read_table(tmp_path / "none.parquet")


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(StorageError, match=r"t\.parquet is not a Parquet file"):
        read_table(tmp_path / "t.parquet")


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "r.json", {"cost": float("nan")})
    assert not list(tmp_path.iterdir())


def test_content_hash_does_not_see_chunks_or_slices() -> None:
    in_chunks = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    assert content_hash(in_chunks) == content_hash(TABLE)
    tail = pa.table({"a": [2, 3], "b": [[], None]}, schema=TABLE.schema)
    assert content_hash(TABLE.slice(1)) == content_hash(tail)


def test_content_hash_is_the_same_after_storage(tmp_path: Path) -> None:
    nested = pa.table(
        {
            "messages": pa.array(
                [[{"role": "user", "content": "a"}], []],
                pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
            ),
            "infobox": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
        }
    )
    write_table(tmp_path / "t.parquet", nested)
    assert content_hash(read_table(tmp_path / "t.parquet")) == content_hash(nested)


@pytest.mark.parametrize(
    "other",
    [
        TABLE.slice(0, 2),
        TABLE.rename_columns(["a", "c"]),
        TABLE.set_column(0, "a", pa.array([1, 2, 4])),
        TABLE.set_column(0, "a", pa.array([1, 2, 3], pa.int32())),
    ],
)
def test_content_hash_sees_values_names_and_types(other: pa.Table) -> None:
    assert content_hash(other) != content_hash(TABLE)


def _hold(path: Path, held: Any, done: Any) -> None:
    with exclusive(path, "it"):
        held.set()
        done.wait(30)


def test_a_second_writer_is_told_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "p.parquet", held, done))
    holder.start()
    try:
        assert held.wait(30)
        with (
            pytest.raises(StorageError, match=r"another run is writing haystacks\[512\]"),
            exclusive(tmp_path / "p.parquet", "haystacks[512]"),
        ):
            pass
    finally:
        holder.kill()
        holder.join()
    # The lock of a killed process is free.
    with exclusive(tmp_path / "p.parquet", "haystacks[512]"):
        pass
