"""Results in the formats of others: one Parquet file, and eval logs for Inspect AI.

What is in a log is `inspect_log`'s; what is exported, and where to, is the command line's.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.inspect_log import InspectLog
from needle_assets.evaluation.inspect_sample import Prompts
from needle_assets.evaluation.outcomes import Kind, Outcome
from needle_assets.evaluation.registry import ModelEntry
from needle_assets.evaluation.versions import of_this_version
from needle_assets.haystack.messages import Message
from needle_assets.labels.task import Task
from needle_assets.storage import StorageError, content_hash, is_local

RESULTS = "results.parquet"

_ORDER = ("model", "context_length", "kind", "draw", "example_id")


@dataclass(frozen=True)
class Export:
    """What was written."""

    results: UPath
    rows: int
    logs: tuple[UPath, ...]
    """One for each model and length that was asked."""
    not_applicable: tuple[str, ...]
    """Partitions of which no log was written: the model's window is shorter than the length."""
    without_prompts: tuple[str, ...]
    """Partitions whose logs have excerpts for prompts: their haystacks are not there any more."""
    other_version: tuple[str, ...]
    """Partitions that were left out: another version evaluated them, with other columns."""


def export_results(
    results_by_partition: Mapping[str, pa.Table],
    folder: UPath | Path,
    task: Task,
    *,
    entries: Mapping[str, ModelEntry] | None = None,
    haystacks_by_length: Mapping[int, pa.Table] | None = None,
) -> Export:
    """Write ``results.parquet`` and a log ``<model>-<length>.eval`` for each model and length.

    The same results give the same bytes. Results of another version are left out, by `versions`.
    Every file is written whole or not at all; files of an earlier export that are not written now
    stay.

    Args:
        results_by_partition: ``eval_results`` by partition key.
        folder: where to, on a disk or in an object store; made where it is not there.
        task: what was asked.
        entries: the registry's entries by slug. One that was edited since is not named in logs.
        haystacks_by_length: whole tables of ``haystacks``, whose prompts go into the logs of those
            results that were asked about them. Without them a log has the prompt around the needle.

    Raises:
        EvaluationError: there are no results, or none of this version; nothing is written.
        StorageError: a file cannot be written.
    """
    target = UPath(folder)
    given = {key: results_by_partition[key] for key in sorted(results_by_partition)}
    tables, other_version = of_this_version(task, given)
    results = _together(tables)
    path = target / RESULTS
    with whole_file(path) as file:
        pq.write_table(results, file, compression="zstd")
    prompts = _Prompts(haystacks_by_length or {})
    logs, not_applicable, without = [], [], []
    for key, table in tables.items():
        for model, length in _sweeps(table):
            rows = table.filter(
                (pc.field("model") == model) & (pc.field("context_length") == length)
            )
            # The floor has an answer everywhere: nobody is asked for it.
            asked = (pc.field("kind") == Kind.SWEEP.value) & (
                pc.field("outcome") != Outcome.NOT_APPLICABLE.value
            )
            if not rows.filter(asked).num_rows:
                not_applicable.append(key)
                continue
            known = prompts.of(rows)
            if known is None:
                without.append(key)
            log = InspectLog(
                task=task,
                rows=rows,
                partition=key,
                entry=_entry_of(rows, (entries or {}).get(model)),
                prompts=known or (lambda _example_id: None),
            )
            with whole_file(target / f"{model}-{length}.eval") as file:
                log.write(file)
            logs.append(target / f"{model}-{length}.eval")
    return Export(
        results=path,
        rows=results.num_rows,
        logs=tuple(logs),
        not_applicable=tuple(not_applicable),
        without_prompts=tuple(without),
        other_version=tuple(other_version),
    )


@contextmanager
def whole_file(path: UPath | Path) -> Iterator[IO[bytes]]:
    """A file to write to, which stands under ``path`` when the block has ended, and not before.

    As `storage.write_atomic`, for what is too large to be held in memory: it grows beside its place
    on a local disk, or in the folder for temporary files until an object store takes it whole.

    Raises:
        StorageError: it cannot be written; nothing half written remains, and an earlier file stays
            as it was.
    """
    target = UPath(path)
    beside = Path(str(target)).parent if is_local(target) else None
    try:
        if beside is not None:
            beside.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=beside, prefix=f".{target.name}.", suffix=".tmp")
        written = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if beside is None:
                target.fs.put_file(str(written), target.path)
            else:
                # mkstemp makes private files; results are shared like any other file of the user's.
                umask = os.umask(0)
                os.umask(umask)
                written.chmod(0o666 & ~umask)
                written.replace(str(target))
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"could not write {target}: {error.strerror or error}. Free some space or export to "
            "another folder; an earlier file is untouched"
        ) from error


def _together(tables: Mapping[str, pa.Table]) -> pa.Table:
    """All rows in one order.

    Raises:
        EvaluationError: there are none.
    """
    if not any(table.num_rows for table in tables.values()):
        raise EvaluationError("there are no results to export; materialize eval_results first")
    together = pa.concat_tables(tables.values()).replace_schema_metadata()
    return together.sort_by([(name, "ascending") for name in _ORDER])


def _sweeps(table: pa.Table) -> Sequence[tuple[str, int]]:
    """The models and lengths of a partition; it should be one of each."""
    pairs = table.group_by(["model", "context_length"], use_threads=False).aggregate([])
    models, lengths = pairs["model"].to_pylist(), pairs["context_length"].to_pylist()
    return sorted(zip(models, lengths, strict=True))


def _entry_of(rows: pa.Table, entry: ModelEntry | None) -> ModelEntry | None:
    """The entry, if it is still the one that was asked."""
    known = entry is not None and set(rows["entry"].to_pylist()) == {entry.identity}
    return entry if known else None


class _Prompts:
    """The prompts of haystacks, each by its example's id, without holding them as Python's."""

    def __init__(self, haystacks: Mapping[int, pa.Table]) -> None:
        self._haystacks = haystacks
        self._versions: dict[int, str] = {}

    def of(self, rows: pa.Table) -> Prompts | None:
        """Those that the rows of one length are about; None where they are others by now.

        Examples keep their ids when haystacks are built again, so that the version has to tell.
        """
        length = rows["context_length"][0].as_py()
        table = self._haystacks.get(length)
        if table is None:
            return None
        if length not in self._versions:
            self._versions[length] = content_hash(table)
        asked = set(rows["haystacks_version"].to_pylist())
        # Versions are the first digits of the hash.
        if not all(version and self._versions[length].startswith(version) for version in asked):
            return None
        place = {name: at for at, name in enumerate(table["example_id"].to_pylist())}
        messages = table["messages"]

        def prompt(example_id: str) -> Sequence[Message] | None:
            at = place.get(example_id)
            return None if at is None else messages[at].as_py()

        return prompt
