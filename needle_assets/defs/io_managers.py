"""Where assets live: tables as Parquet, receipts as JSON, on a local disk or in S3.

The layout is a contract (design.md, Assets): ``assets/<key>[/<length>[/<model>]].parquet``.
"""

from abc import abstractmethod
from typing import Any

import dagster as dg
import pyarrow as pa
from upath import UPath

from needle_assets.defs.failures import as_failure
from needle_assets.storage import exclusive, read_json, read_table, write_json, write_table

ASSETS = "assets"
RUNS = "runs"
"""What ops hand to each other, by run: not assets."""


class _StoreIOManager(dg.UPathIOManager):
    """Writes whole files only, one writer at a time."""

    def __init__(self, root: UPath) -> None:
        super().__init__(base_path=root)

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """Where an asset lies under the root, without partition and extension."""
        return UPath(ASSETS, *context.asset_key.path)

    def get_op_output_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """Where an op's output lies under the root."""
        return UPath(RUNS, *context.get_identifier())

    def make_directory(self, path: UPath) -> None:
        """Nothing: whoever writes a file makes its folder, and says so when it cannot."""

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:  # noqa: ARG002
        """Write the whole file, or fail and leave what was there."""
        with as_failure(), exclusive(path, str(path)):
            self._write(path, obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:  # noqa: ARG002
        """Read the file."""
        if not path.exists():
            # The base class skips missing partitions by this exception.
            raise FileNotFoundError(f"{path} does not exist; materialize its asset first")
        with as_failure():
            return self._read(path)

    def load_input(self, context: dg.InputContext) -> Any:
        """A dict of partitions for an input annotated as one, also for one partition or none."""
        try:
            value = super().load_input(context)
        except FileNotFoundError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        if not _wants_all_partitions(context):
            return value
        if value is None:
            return {}
        if len(context.asset_partition_keys) == 1:
            return {context.asset_partition_keys[0]: value}
        return value

    @abstractmethod
    def _write(self, path: UPath, value: Any) -> None:
        """Write the value in the manager's format."""

    @abstractmethod
    def _read(self, path: UPath) -> Any:
        """Read what `_write` wrote."""


def _wants_all_partitions(context: dg.InputContext) -> bool:
    annotation = context.dagster_type.typing_type
    return (
        context.has_asset_key
        and context.has_asset_partitions
        and getattr(annotation, "__origin__", annotation) is dict
        # One receipt is a dict as well, of anything.
        and getattr(annotation, "__args__", ())[1:] != (Any,)
    )


class ParquetIOManager(_StoreIOManager):
    """Arrow tables as Parquet."""

    extension = ".parquet"

    def _write(self, path: UPath, value: Any) -> None:
        if not isinstance(value, pa.Table):
            raise TypeError(f"expected a pyarrow Table for {path}, found {type(value).__name__}")
        write_table(path, value)

    def _read(self, path: UPath) -> Any:
        return read_table(path)


class ReceiptIOManager(_StoreIOManager):
    """Receipts (plain JSON values) as JSON."""

    extension = ".json"

    def _write(self, path: UPath, value: Any) -> None:
        write_json(path, value)

    def _read(self, path: UPath) -> Any:
        return read_json(path)
