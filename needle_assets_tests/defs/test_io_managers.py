"""Where assets lie, whole or not at all, and how many partitions an input gets."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from upath import UPath

from needle_assets.defs.io_managers import ParquetIOManager, ReceiptIOManager
from needle_assets.storage import exclusive, read_table

TABLE = pa.table({"bio_id": ["a", "b"], "lists": [["x"], []]})
OTHER = pa.table({"bio_id": ["c"], "lists": [[""]]})

LENGTHS = dg.DynamicPartitionsDefinition(name="context_length")
SWEEPS = dg.MultiPartitionsDefinition(
    {"context_length": LENGTHS, "model": dg.DynamicPartitionsDefinition(name="model")}
)


@dg.asset(partitions_def=LENGTHS)
def per_length(context: dg.AssetExecutionContext) -> pa.Table:
    return pa.table({"partition": [context.partition_key]})


@dg.asset(partitions_def=SWEEPS)
def per_sweep(context: dg.AssetExecutionContext, per_length: pa.Table) -> pa.Table:
    return pa.table({"partition": [context.partition_key], "of": per_length["partition"]})


@dg.asset(ins={"per_sweep": dg.AssetIn(metadata={"allow_missing_partitions": True})})
def all_sweeps(per_sweep: dict[str, pa.Table]) -> pa.Table:
    return pa.table(
        {
            "key": list(per_sweep),
            "partition": [table["partition"][0].as_py() for table in per_sweep.values()],
        },
        schema=pa.schema([("key", pa.string()), ("partition", pa.string())]),
    )


@dg.asset
def all_lengths(per_length: dict[str, pa.Table]) -> pa.Table:
    return pa.table({"partition": sorted(per_length)})


TOYS = [per_length, per_sweep, all_sweeps, all_lengths]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(params=["disk", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    disk = request.param == "disk"
    return UPath(tmp_path / "home") if disk else UPath(f"memory://{uuid.uuid4().hex}")


def materialize(
    root: UPath, instance: dg.DagsterInstance, asset: dg.AssetsDefinition, key: str | None = None
) -> None:
    dg.materialize(
        TOYS,
        selection=[asset],
        partition_key=key,
        instance=instance,
        resources={"io_manager": ParquetIOManager(root)},
    )


def write(manager: dg.UPathIOManager, value: Any, key: str, partition: str | None = None) -> None:
    """Hand the manager an asset's output."""
    with dg.build_output_context(asset_key=dg.AssetKey(key), partition_key=partition) as context:
        manager.handle_output(context, value)


def read(manager: dg.UPathIOManager, key: str, partition: str | None = None) -> Any:
    """What the manager hands to whoever takes the asset as its input."""
    with dg.build_input_context(
        asset_key=dg.AssetKey(key),
        partition_key=partition,
        dagster_type=dg.PythonObjectDagsterType(pa.Table),
    ) as context:
        return manager.load_input(context)


def sweep(length: str, model: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"context_length": length, "model": model})


def files(root: UPath) -> set[str]:
    """What lies under the root, but for locks."""
    start = len(root.path.rstrip("/")) + 1
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.path[start:] for path in found if path.suffix != ".lock"}


# --- layout ------------------------------------------------------------------------------------


def test_where_assets_lie(root: UPath) -> None:
    parquet, receipts = ParquetIOManager(root), ReceiptIOManager(root)
    write(parquet, TABLE, "raw_wiki_bio")
    write(parquet, TABLE, "haystacks", "512")
    write(parquet, TABLE, "eval_results", sweep("1024", "llama-3.1-8b"))
    write(receipts, {"tokens": 3, "cost": None}, "finetune_upload", "512")
    assert files(root) == {
        "assets/raw_wiki_bio.parquet",
        "assets/haystacks/512.parquet",
        "assets/eval_results/1024/llama-3.1-8b.parquet",
        "assets/finetune_upload/512.json",
    }
    assert read_table(root / "assets" / "haystacks" / "512.parquet").equals(TABLE)
    receipt = root / "assets" / "finetune_upload" / "512.json"
    assert receipt.read_text() == '{\n  "cost": null,\n  "tokens": 3\n}\n'


def test_what_is_written_is_read(root: UPath) -> None:
    parquet, receipts = ParquetIOManager(root), ReceiptIOManager(root)
    write(parquet, TABLE, "raw_wiki_bio")
    write(receipts, {"files": ["ä"]}, "finetune_upload", "512")
    assert read(parquet, "raw_wiki_bio").equals(TABLE)
    assert read(receipts, "finetune_upload", "512") == {"files": ["ä"]}


def test_what_ops_hand_on_lies_under_runs(root: UPath) -> None:
    manager = ParquetIOManager(root)
    with dg.build_output_context(step_key="ask_model", name="result", run_id="0b51") as written:
        manager.handle_output(written, TABLE)
        assert files(root) == {"runs/0b51/ask_model/result.parquet"}
        kind = dg.PythonObjectDagsterType(pa.Table)
        with dg.build_input_context(upstream_output=written, dagster_type=kind) as taken:
            assert manager.load_input(taken).equals(TABLE)


# --- partitions of an input --------------------------------------------------------------------


def test_an_input_of_all_partitions_is_always_a_dict(
    root: UPath, instance: dg.DagsterInstance
) -> None:
    def seen() -> dict[str, str]:
        materialize(root, instance, all_sweeps)
        table = read_table(root / "assets" / "all_sweeps.parquet")
        return dict(zip(table["key"].to_pylist(), table["partition"].to_pylist(), strict=True))

    assert seen() == {}

    instance.add_dynamic_partitions("context_length", ["512"])
    instance.add_dynamic_partitions("model", ["a"])
    # Registered, not yet evaluated.
    assert seen() == {}

    materialize(root, instance, per_length, "512")
    materialize(root, instance, per_sweep, sweep("512", "a"))
    assert seen() == {"512|a": "512|a"}

    instance.add_dynamic_partitions("context_length", ["1024"])
    instance.add_dynamic_partitions("model", ["b-2.0"])
    materialize(root, instance, per_sweep, sweep("512", "b-2.0"))
    # Of four partitions two are there.
    assert seen() == {"512|a": "512|a", "512|b-2.0": "512|b-2.0"}


def test_an_input_of_one_partition_is_the_table_itself(
    root: UPath, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("context_length", ["512", "1024"])
    instance.add_dynamic_partitions("model", ["a"])
    for length in ("512", "1024"):
        materialize(root, instance, per_length, length)
        materialize(root, instance, per_sweep, sweep(length, "a"))
        made = read_table(root / "assets" / "per_sweep" / length / "a.parquet")
        assert made["of"].to_pylist() == [length]


def test_a_partition_that_may_not_be_missing_is_named(
    root: UPath, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("context_length", ["512", "1024"])
    materialize(root, instance, per_length, "512")
    with pytest.raises(dg.Failure, match=r"1024\.parquet does not exist; materialize") as caught:
        materialize(root, instance, all_lengths)
    assert not caught.value.allow_retries


# --- bad outputs and bad disks -----------------------------------------------------------------


@pytest.mark.parametrize("value", [None, [1], {"a": [1]}])
def test_only_tables_are_tables(root: UPath, value: object) -> None:
    with pytest.raises(TypeError, match=r"expected a pyarrow Table for .*512\.parquet, found"):
        write(ParquetIOManager(root), value, "haystacks", "512")
    assert files(root) == set()


def test_a_receipt_is_json(root: UPath) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write(ReceiptIOManager(root), {"a": TABLE}, "finetune_upload", "512")
    assert files(root) == set()


@pytest.mark.parametrize("earlier", [True, False])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, full_disk: Callable[[], None], earlier: bool
) -> None:
    root = UPath(tmp_path)
    manager = ParquetIOManager(root)
    if earlier:
        write(manager, TABLE, "haystacks", "512")
    before = files(root)
    full_disk()
    with pytest.raises(
        dg.Failure, match=r"haystacks/512\.parquet.*No space left on device.*NEEDLE_HOME"
    ) as caught:
        write(manager, OTHER, "haystacks", "512")
    assert not caught.value.allow_retries
    assert files(root) == before
    if earlier:
        assert read_table(root / "assets" / "haystacks" / "512.parquet").equals(TABLE)


def test_of_two_writers_of_a_partition_the_second_is_told(tmp_path: Path) -> None:
    manager = ParquetIOManager(UPath(tmp_path))
    write(manager, TABLE, "haystacks", "512")
    path = tmp_path / "assets" / "haystacks" / "512.parquet"
    with (
        exclusive(path, "it"),
        pytest.raises(dg.Failure, match=r"another run is writing .*haystacks/512\.parquet") as told,
    ):
        write(manager, OTHER, "haystacks", "512")
    assert not told.value.allow_retries
    assert read_table(path).equals(TABLE)
    # Another partition was free all the time, and this one is again.
    write(manager, OTHER, "haystacks", "1024")
    write(manager, OTHER, "haystacks", "512")
    assert read_table(path).equals(OTHER)


def test_a_missing_input_names_its_file(root: UPath) -> None:
    with pytest.raises(
        dg.Failure, match=r"needle_labels\.parquet does not exist; materialize its asset first"
    ):
        read(ParquetIOManager(root), "needle_labels")


def test_a_damaged_input_names_its_file(root: UPath) -> None:
    path = root / "assets" / "needle_labels.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(dg.Failure, match=r"needle_labels\.parquet is not a Parquet file"):
        read(ParquetIOManager(root), "needle_labels")
