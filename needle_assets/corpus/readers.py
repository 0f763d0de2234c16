"""Readers: wiki_bio in each form it comes in, as one table of `RAW_SCHEMA`.

Swapping names, deciding who is a person and counting tokens do not belong here, nor does the
built-in sample.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from needle_assets.corpus.tables import RAW_SCHEMA, CorpusError

_BATCH_ROWS = 8192
_PARQUET_COLUMNS = {
    "input_text.table.column_header": pa.list_(pa.string()),
    "input_text.table.row_number": pa.list_(pa.int64()),
    "input_text.table.content": pa.list_(pa.string()),
    "input_text.context": pa.string(),
    "target_text": pa.string(),
}
_SPLITS = ("train", "valid", "test")
_SUFFIXES = ("box", "sent", "nb", "title", "id")
_TITLE_FIELD = "article_title"
_EMPTY_CELL = "<none>"
_FORMS = (
    "a Parquet file, a folder of Parquet files, an address such as hf://datasets/.../*.parquet, "
    "or the folder of the original wiki_bio distribution"
)


def read_corpus(address: str, *, limit: int | None = None) -> pa.Table:
    """Read a corpus of biographies.

    Args:
        address: a Parquet file in wiki_bio's schema, a folder of them (read recursively, in the
            order of their paths), any fsspec URL of either, also with wildcards, or the folder of
            the original distribution (``train/train.box`` and so on, or ``train.box`` directly).
        limit: read no more than the first so many rows.

    Returns:
        A table of ``RAW_SCHEMA``. ``bio_id`` is the file's path below the address and the number
        of the row within the file, counted from 0 (``train-0000-17``); in the original
        distribution the split and the article's id (``train-1234567``). A row whose title is
        empty takes the infobox's ``article_title``.

    Raises:
        CorpusError: nothing can be read at the address, a file is not what it should be, or a
            row has no title, no text, or a damaged infobox.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    source = _source(address)
    with _reading(address):
        files = _parquet_files(source)
        splits = [] if files else _original_splits(source)
        if not files and not splits:
            raise CorpusError(_nothing_found(source))
    if files:
        batches = chain.from_iterable(_parquet_batches(source, path) for path in files)
    else:
        batches = chain.from_iterable(_original_batches(source, split) for split in splits)

    rows: list[pa.RecordBatch] = []
    wanted = limit
    for batch in batches:
        rows.append(batch if wanted is None else batch.slice(0, wanted))
        if wanted is not None:
            wanted -= rows[-1].num_rows
            if wanted == 0:
                break
    table = pa.Table.from_batches(rows, RAW_SCHEMA)
    if table.num_rows == 0:
        raise CorpusError(f"{address} holds no rows, expected biographies; check the file")
    _check_unique(table["bio_id"], address)
    return table


@dataclass(frozen=True)
class _Source:
    """An address taken apart: ``pattern`` is a file, a folder or a glob in ``filesystem``."""

    address: str
    filesystem: Any
    pattern: str

    @property
    def is_glob(self) -> bool:
        return any(character in self.pattern for character in "*?[")

    @property
    def root(self) -> str:
        """The folder that paths in ids and messages are relative to."""
        parts = self.pattern.split("/")
        if self.is_glob:
            wild = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
            return "/".join(parts[:wild])
        if self.filesystem.isdir(self.pattern):
            return self.pattern
        return "/".join(parts[:-1])

    def relative(self, path: str) -> str:
        return path.removeprefix(self.root + "/")


def _source(address: str) -> _Source:
    if not address.strip():
        raise CorpusError(f"the corpus address is empty, expected {_FORMS}")
    try:
        location = UPath(address).expanduser()
        filesystem = location.fs
    except (ValueError, ImportError) as error:
        raise CorpusError(
            f"the corpus address {address} cannot be used ({_summary(error)}); expected {_FORMS}"
        ) from error
    if location.protocol in ("", "file", "local"):
        location = location.absolute()
    return _Source(address, filesystem, location.path.rstrip("/"))


def _parquet_files(source: _Source) -> list[str]:
    filesystem, pattern = source.filesystem, source.pattern
    if not source.is_glob and filesystem.isfile(pattern):
        return [pattern]
    found = filesystem.glob(pattern) if source.is_glob else filesystem.find(pattern)
    return sorted(path for path in found if path.endswith(".parquet"))


def _nothing_found(source: _Source) -> str:
    if source.is_glob:
        return f"no Parquet file matches {source.address}; check the address"
    if not source.filesystem.exists(source.pattern):
        remote = " or cannot be reached" if "://" in source.address else ""
        return (
            f"{source.address} does not exist{remote}; set NEEDLE_CORPUS to {_FORMS}, or leave it "
            "empty for the built-in sample"
        )
    return (
        f"{source.address} holds no *.parquet file and none of the original distribution's files "
        f"({', '.join(f'train.{suffix}' for suffix in _SUFFIXES)}); expected {_FORMS}"
    )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what file systems and Arrow raise into one message.

    Remote file systems raise their own transport's errors, which share no base class.
    """
    try:
        yield
    except CorpusError:
        raise
    except Exception as error:
        raise CorpusError(
            f"{name} cannot be read ({_summary(error)}); check that the address is right and can "
            "be reached, and fetch a damaged file again"
        ) from error


def _summary(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _check_unique(bio_ids: pa.ChunkedArray, address: str) -> None:
    if pc.count_distinct(bio_ids).as_py() == len(bio_ids):
        return
    counts = pc.value_counts(bio_ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
    raise CorpusError(
        f"{address}: the id {repeated} stands on more than one row, expected one row each; "
        "remove the repeated rows or rename one of the files"
    )


# --- wiki_bio's Parquet ---------------------------------------------------------------------


def _parquet_batches(source: _Source, path: str) -> Iterator[pa.RecordBatch]:
    name = source.relative(path)
    stem = name.removesuffix(".parquet").replace("/", "-")
    with ExitStack() as stack:
        with _reading(name):
            file = stack.enter_context(source.filesystem.open(path, "rb"))
            _check_magic(file, name)
            parquet = pq.ParquetFile(file)
        _check_columns(parquet.schema_arrow, name)
        batches = parquet.iter_batches(_BATCH_ROWS, columns=list(_PARQUET_COLUMNS))
        first = 0
        while True:
            with _reading(name):
                batch = next(batches, None)
            if batch is None:
                return
            _check_utf8(batch, name, first)
            yield _from_wiki_bio(batch, name, stem, first)
            first += batch.num_rows


def _check_utf8(batch: pa.RecordBatch, name: str, first: int) -> None:
    """Writers may put any bytes into a text, a lone surrogate's too; who reads them fails later."""
    if _is_sound(batch):
        return
    row = next(row for row in range(batch.num_rows) if not _is_sound(batch.slice(row, 1)))
    raise CorpusError(
        f"{name}: row {first + row} holds a text that is not UTF-8 (a lone surrogate, or another "
        "encoding); mend or remove the row"
    )


def _is_sound(batch: pa.RecordBatch) -> bool:
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _check_magic(file: IO[bytes], name: str) -> None:
    """Parquet opens and closes with the same four bytes; the closing ones are written last."""
    start = file.read(4)
    size = file.seek(0, 2)
    file.seek(max(size - 4, 0))
    end = file.read(4)
    file.seek(0)
    if start != b"PAR1":
        what = "is empty" if size == 0 else "is not a Parquet file"
        raise CorpusError(f"{name} {what}, expected wiki_bio's schema as Parquet")
    if end != b"PAR1":
        raise CorpusError(
            f"{name} was cut off after {size:,} bytes, expected a whole Parquet file; fetch or "
            "write it again"
        )


def _check_columns(schema: pa.Schema, name: str) -> None:
    found = dict(_leaves(list(schema)))
    missing = [column for column in _PARQUET_COLUMNS if column not in found]
    if missing:
        raise CorpusError(
            f"{name} lacks the columns {', '.join(missing)} of wiki_bio's schema; it has "
            f"{', '.join(found) or 'none'}; convert it to that schema"
        )
    for column, expected in _PARQUET_COLUMNS.items():
        if not _same_kind(found[column], expected):
            raise CorpusError(
                f"{name}: the column {column} is {found[column]}, expected {expected}; convert it"
            )


def _leaves(fields: Sequence[pa.Field], prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves(list(field.type), f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.type


def _same_kind(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a cast keeps the meaning: writers differ in large and small, plain and coded."""
    if pa.types.is_list(expected):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and _same_kind(found.value_type, expected.value_type)
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_integer(expected):
        return bool(pa.types.is_integer(found))
    return bool(
        pa.types.is_string(found)
        or pa.types.is_large_string(found)
        or pa.types.is_string_view(found)
    )


def _from_wiki_bio(batch: pa.RecordBatch, name: str, stem: str, first: int) -> pa.RecordBatch:
    headers, numbers, contents, titles, texts = (
        _leaf(batch, column).cast(expected) for column, expected in _PARQUET_COLUMNS.items()
    )
    lengths = [pc.fill_null(pc.list_value_length(part), 0) for part in (headers, numbers, contents)]
    uneven = pc.or_(pc.not_equal(lengths[0], lengths[1]), pc.not_equal(lengths[0], lengths[2]))
    row = _first_true(uneven)
    if row is not None:
        sizes = ", ".join(
            f"{length[row]} {part}"
            for length, part in zip(
                lengths, ("column_header", "row_number", "content"), strict=True
            )
        )
        raise CorpusError(
            f"{name} row {first + row} (counted from 0): the infobox's lists differ in length "
            f"({sizes}), expected one of each per field; mend or remove the row"
        )
    keys, values = headers.flatten(), contents.flatten()
    if keys.null_count:
        row = pc.list_parent_indices(headers)[_first_true(keys.is_null())].as_py()
        raise CorpusError(
            f"{name} row {first + row} (counted from 0): an infobox field has no name; mend or "
            "remove the row"
        )
    infobox = pa.MapArray.from_arrays(
        _offsets(lengths[0]),
        keys,
        pc.utf8_trim_whitespace(pc.fill_null(values, "")),
    )
    rows = pa.array(np.arange(first, first + batch.num_rows)).cast(pa.string())
    bio_ids = pc.binary_join_element_wise(stem, rows, "-")
    return _checked(bio_ids, titles, infobox, texts, name, first)


def _leaf(batch: pa.RecordBatch, column: str) -> pa.Array:
    top, *inner = column.split(".")
    return pc.struct_field(batch[top], inner) if inner else batch[top]


# --- the original distribution ---------------------------------------------------------------


@dataclass(frozen=True)
class _Split:
    """The five files of one split, by suffix."""

    name: str
    paths: dict[str, str]


def _original_splits(source: _Source) -> list[_Split]:
    if source.is_glob:
        return []
    splits = []
    for split in _SPLITS:
        for folder in (f"{source.pattern}/{split}", source.pattern):
            paths = {suffix: f"{folder}/{split}.{suffix}" for suffix in _SUFFIXES}
            missing = [p for p in paths.values() if not source.filesystem.isfile(p)]
            if len(missing) == len(paths):
                continue
            if missing:
                raise CorpusError(
                    f"{source.address} lacks "
                    f"{', '.join(source.relative(path) for path in missing)}; the original "
                    f"distribution has {', '.join('.' + suffix for suffix in _SUFFIXES)} for "
                    f"each split; fetch it whole"
                )
            splits.append(_Split(split, paths))
            break
    return splits


def _original_batches(source: _Source, split: _Split) -> Iterator[pa.RecordBatch]:
    names = {suffix: source.relative(path) for suffix, path in split.paths.items()}
    with _reading(f"{source.address}, split {split.name}"):
        sentences = _sentence_counts(source, split.paths["nb"], names["nb"])
        counts = {
            suffix: _count_lines(source, split.paths[suffix])
            for suffix in ("box", "title", "id", "sent")
        }
    for suffix in ("box", "title", "id"):
        if counts[suffix] != len(sentences):
            raise CorpusError(
                f"{names[suffix]} has {counts[suffix]:,} lines and {names['nb']} has "
                f"{len(sentences):,}, expected one an article in each; fetch the files again"
            )
    if counts["sent"] != sentences.sum():
        raise CorpusError(
            f"{names['sent']} has {counts['sent']:,} lines and the numbers in {names['nb']} add "
            f"up to {sentences.sum():,}, expected one line a sentence; fetch the files again"
        )
    with ExitStack() as stack:
        with _reading(f"{source.address}, split {split.name}"):
            files = {
                suffix: stack.enter_context(
                    source.filesystem.open(path, "r", encoding="utf-8", newline="\n")
                )
                for suffix, path in split.paths.items()
            }
        for first in range(0, len(sentences), _BATCH_ROWS):
            nb = sentences[first : first + _BATCH_ROWS]
            with _reading(f"{source.address}, split {split.name}"):
                boxes, titles, ids = (
                    _lines(files[suffix], len(nb)) for suffix in ("box", "title", "id")
                )
                lines = _lines(files["sent"], int(nb.sum()))
            texts = pc.binary_join(pa.ListArray.from_arrays(_offsets(nb), lines), "\n")
            bio_ids = pc.binary_join_element_wise(split.name, pc.utf8_trim_whitespace(ids), "-")
            infobox = _boxes(boxes, names["box"], first)
            yield _checked(bio_ids, titles, infobox, texts, names["title"], first)


def _sentence_counts(source: _Source, path: str, name: str) -> "np.ndarray[Any, Any]":
    with source.filesystem.open(path, "r", encoding="utf-8", newline="\n") as file:
        lines = [line.strip() for line in file]
    for row, line in enumerate(lines):
        if not line.isdecimal():
            raise CorpusError(
                f"{name} row {row} (counted from 0) is {line!r}, expected the article's number "
                "of sentences; fetch the file again"
            )
    return np.array(lines, dtype=np.int64)


def _count_lines(source: _Source, path: str) -> int:
    lines = 0
    last = b"\n"
    with source.filesystem.open(path, "rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _lines(file: IO[str], count: int) -> pa.Array:
    return pa.array([line.rstrip("\r\n") for line in islice(file, count)], pa.string())


def _boxes(lines: pa.Array, name: str, first: int) -> pa.MapArray:
    """Infoboxes from lines of tab-separated ``field_N:token``.

    The tokens of one field stand together and in order; they become one value.
    """
    split = pc.split_pattern(lines, "\t")
    cells = split.flatten()
    parts = pc.extract_regex(cells, r"^(?P<field>[^:]*?)(?:_\d+)?:(?P<token>.*)$")
    row = pc.list_parent_indices(split)
    readable = parts.is_valid()
    good_rows = pc.unique(row.filter(pc.or_(readable, pc.equal(pc.utf8_length(cells), 0))))
    if len(good_rows) < len(lines):
        bad = int(np.setdiff1d(np.arange(len(lines)), good_rows.to_numpy())[0])
        raise CorpusError(
            f"{name} row {first + bad} (counted from 0) holds no field_N:token, expected "
            "tab-separated ones; fetch the file again"
        )
    token = parts.field("token")
    kept = pc.and_(readable, pc.not_equal(token, _EMPTY_CELL))
    row, field, token = (part.filter(kept) for part in (row, parts.field("field"), token))
    codes = field.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    rows = row.to_numpy()
    starts = np.flatnonzero(
        np.concatenate(
            [np.ones(min(len(rows), 1), bool), (np.diff(codes) != 0) | (np.diff(rows) != 0)]
        )
    )
    tokens = pa.ListArray.from_arrays(pa.array(np.append(starts, len(rows)), pa.int32()), token)
    fields_per_row = np.bincount(rows[starts], minlength=len(lines))
    return pa.MapArray.from_arrays(
        _offsets(fields_per_row), field.take(pa.array(starts)), pc.binary_join(tokens, " ")
    )


# --- both -------------------------------------------------------------------------------------


def _checked(
    bio_ids: pa.Array,
    titles: pa.Array,
    infobox: pa.MapArray,
    texts: pa.Array,
    name: str,
    first: int,
) -> pa.RecordBatch:
    """One batch of the result; ``name`` and ``first`` say where it stood."""
    titles = pc.fill_null(pc.utf8_trim_whitespace(titles), "")
    from_infobox = pc.fill_null(pc.map_lookup(infobox, _TITLE_FIELD, "first"), "")
    titles = pc.if_else(pc.equal(titles, ""), pc.utf8_trim_whitespace(from_infobox), titles)
    texts = pc.fill_null(pc.utf8_trim_whitespace(texts), "")
    for column, what in ((titles, "title"), (texts, "text")):
        row = _first_true(pc.equal(column, ""))
        if row is not None:
            raise CorpusError(
                f"{name} row {first + row} (counted from 0) has no {what}, expected one for each "
                "biography; fill it in or remove the row"
            )
    return pa.RecordBatch.from_arrays([bio_ids, titles, infobox, texts], schema=RAW_SCHEMA)


def _first_true(mask: pa.Array) -> int | None:
    index = pc.index(mask, True).as_py()
    return None if index < 0 else int(index)


def _offsets(lengths: Any) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(np.asarray(lengths))]), pa.int32())
