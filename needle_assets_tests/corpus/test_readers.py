"""Readers of wiki_bio: each form it comes in gives the same rows, each fault one clear error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle_assets.corpus.readers import read_corpus
from needle_assets.corpus.tables import RAW_SCHEMA, CorpusError

REAL = Path(__file__).parents[3] / "shared" / "data"

SCHEMA = pa.schema(
    {
        "input_text": pa.struct(
            {
                "table": pa.struct(
                    {
                        "column_header": pa.list_(pa.string()),
                        "row_number": pa.list_(pa.int16()),
                        "content": pa.list_(pa.string()),
                    }
                ),
                "context": pa.string(),
            }
        ),
        "target_text": pa.string(),
    }
)


def row(
    title: str | None = "ada byron\n",
    text: str | None = "ada byron was a poet .\nshe wrote .\n",
    infobox: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One row in wiki_bio's schema."""
    fields = {"name": "ada byron", "occupation": "poet"} if infobox is None else infobox
    table = {
        "column_header": list(fields),
        "row_number": [1] * len(fields),
        "content": list(fields.values()),
    }
    return {"input_text": {"table": table, "context": title}, "target_text": text}


def write(path: Path, *rows: dict[str, Any], schema: pa.Schema = SCHEMA, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path, **options)
    return path


def write_original(
    folder: Path,
    files: Mapping[str, str] | None = None,
    *,
    split: str = "train",
    nested: bool = True,
) -> Path:
    """The five files of one split; two articles unless said otherwise."""
    contents = {
        "box": "name_1:ada\tname_2:byron\tdied_1:<none>\n"
        "name:bo\tbirth_date_1:1\tbirth_date_2:may\n",
        "sent": "ada byron was a poet .\nshe wrote .\nbo is a dog .\n",
        "nb": "2\n1\n",
        "title": "ada byron\nbo -lrb- dog -rrb-\n",
        "id": "17\n4\n",
    } | dict(files or {})
    where = folder / split if nested else folder
    where.mkdir(parents=True, exist_ok=True)
    for suffix, content in contents.items():
        (where / f"{split}.{suffix}").write_text(content, encoding="utf-8")
    return folder


# --- Parquet -----------------------------------------------------------------------------------


def test_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "bios.parquet", row(), row("bo\n", "bo is a dog .\n", {}))
    table = read_corpus(str(path))
    assert table.schema == RAW_SCHEMA
    assert table.to_pylist() == [
        {
            "bio_id": "bios-0",
            "title": "ada byron",
            "infobox": [("name", "ada byron"), ("occupation", "poet")],
            "text": "ada byron was a poet .\nshe wrote .",
        },
        {"bio_id": "bios-1", "title": "bo", "infobox": [], "text": "bo is a dog ."},
    ]


def test_a_folder_is_read_recursively_in_the_order_of_paths(tmp_path: Path) -> None:
    write(tmp_path / "val" / "0.parquet", row("c", "c ."))
    write(tmp_path / "train" / "1.parquet", row("b", "b ."), row("d", "d ."))
    write(tmp_path / "train" / "0.parquet", row("a", "a ."))
    (tmp_path / "README.md").write_text("not data")
    table = read_corpus(str(tmp_path))
    assert table["bio_id"].to_pylist() == ["train-0-0", "train-1-0", "train-1-1", "val-0-0"]
    assert table["title"].to_pylist() == ["a", "b", "d", "c"]


def test_row_numbers_run_through_row_groups_and_batches(tmp_path: Path) -> None:
    rows = [row(f"t{i}", f"text {i} .", {"k": str(i)}) for i in range(20_000)]
    write(tmp_path / "big.parquet", *rows, row_group_size=3_000)
    table = read_corpus(str(tmp_path / "big.parquet"))
    numbers = [str(i) for i in range(20_000)]
    assert table["bio_id"].to_pylist() == [f"big-{i}" for i in numbers]
    assert table["infobox"].to_pylist() == [[("k", i)] for i in numbers]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 99])
def test_a_limit_takes_the_first_rows(tmp_path: Path, limit: int) -> None:
    write(tmp_path / "0.parquet", row("a", "a ."), row("b", "b ."), row_group_size=1)
    write(tmp_path / "1.parquet", row("c", "c ."), row("d", "d ."))
    table = read_corpus(str(tmp_path), limit=limit)
    assert table["title"].to_pylist() == ["a", "b", "c", "d"][:limit]


def test_a_limit_below_one_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", row())
    with pytest.raises(ValueError, match="limit is 0"):
        read_corpus(str(tmp_path), limit=0)


def test_files_past_the_limit_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", row("a", "a ."))
    (tmp_path / "1.parquet").write_bytes(b"broken")
    assert read_corpus(str(tmp_path), limit=1).num_rows == 1


def test_large_and_coded_strings_are_read_alike(tmp_path: Path) -> None:
    table = pa.struct(
        {
            "column_header": pa.large_list(pa.dictionary(pa.int32(), pa.string())),
            "row_number": pa.large_list(pa.int64()),
            "content": pa.large_list(pa.large_string()),
        }
    )
    other = pa.schema(
        {
            "extra": pa.int64(),
            "target_text": pa.large_string(),
            "input_text": pa.struct({"context": pa.large_string(), "table": table}),
        }
    )
    write(tmp_path / "a.parquet", row(), schema=other)
    write(tmp_path / "b.parquet", row())
    first, second = read_corpus(str(tmp_path)).drop_columns(["bio_id"]).to_pylist()
    assert first == second


def test_null_lists_and_values_are_an_empty_infobox_and_empty_values(tmp_path: Path) -> None:
    empty, blank = row(), row()
    empty["input_text"]["table"] = None
    blank["input_text"]["table"]["content"] = [None, " poet \n"]
    write(tmp_path / "a.parquet", empty, blank)
    assert read_corpus(str(tmp_path))["infobox"].to_pylist() == [
        [],
        [("name", ""), ("occupation", "poet")],
    ]


@pytest.mark.parametrize("title", ["", " \n", None])
def test_a_row_without_title_takes_the_infoboxs(tmp_path: Path, title: str | None) -> None:
    write(tmp_path / "a.parquet", row(title, infobox={"name": "x", "article_title": " bo\n"}))
    assert read_corpus(str(tmp_path))["title"].to_pylist() == ["bo"]


texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(texts, texts, st.dictionaries(texts, texts)), min_size=1, max_size=6),
    group=st.integers(1, 4),
)
def test_whatever_is_written_is_read(
    rows: list[tuple[str, str, dict[str, str]]],
    group: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.parquet"
    write(path, *(row(*parts) for parts in rows), row_group_size=group)
    table = read_corpus(str(path))
    assert table["title"].to_pylist() == [title for title, _, _ in rows]
    assert table["text"].to_pylist() == [text for _, text, _ in rows]
    assert [dict(box) for box in table["infobox"].to_pylist()] == [box for _, _, box in rows]


# --- addresses ---------------------------------------------------------------------------------


def test_addresses_of_one_folder_agree(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train" / "0.parquet", row("a", "a ."))
    write(tmp_path / "data" / "train" / "1.parquet", row("b", "b ."))
    folder = tmp_path / "data"
    by_path = read_corpus(str(folder))
    assert read_corpus(f"{folder}/").equals(by_path)
    assert read_corpus(f"file://{folder}").equals(by_path)
    assert read_corpus(f"{folder}/**/*.parquet").equals(by_path)


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data" / "a.parquet", row())
    monkeypatch.chdir(tmp_path)
    assert read_corpus("data")["bio_id"].to_pylist() == ["a-0"]
    assert read_corpus("data/a.parquet")["bio_id"].to_pylist() == ["a-0"]
    assert read_corpus("data/*.parquet")["bio_id"].to_pylist() == ["a-0"]


def test_a_remote_address_with_a_wildcard() -> None:
    memory = fsspec.filesystem("memory")
    for number, title in enumerate("ab"):
        with memory.open(f"/readers/train/{number}.parquet", "wb") as file:
            pq.write_table(pa.Table.from_pylist([row(title, "t .")], SCHEMA), file)
    with memory.open("/readers/train/notes.txt", "wb") as file:
        file.write(b"no data")
    train = read_corpus("memory://readers/train/*.parquet")
    assert train["bio_id"].to_pylist() == ["0-0", "1-0"]
    assert read_corpus("memory://readers")["bio_id"].to_pylist() == ["train-0-0", "train-1-0"]
    assert read_corpus("memory://readers/train/1.parquet")["title"].to_pylist() == ["b"]


# --- the original distribution ------------------------------------------------------------------

ORIGINAL = [
    {
        "bio_id": "train-17",
        "title": "ada byron",
        "infobox": [("name", "ada byron")],
        "text": "ada byron was a poet .\nshe wrote .",
    },
    {
        "bio_id": "train-4",
        "title": "bo -lrb- dog -rrb-",
        "infobox": [("name", "bo"), ("birth_date", "1 may")],
        "text": "bo is a dog .",
    },
]


@pytest.mark.parametrize("nested", [True, False])
def test_original_distribution(tmp_path: Path, nested: bool) -> None:
    write_original(tmp_path, nested=nested)
    table = read_corpus(str(tmp_path))
    assert table.schema == RAW_SCHEMA
    assert table.to_pylist() == ORIGINAL


def test_original_splits_come_in_their_order_and_prefix_the_ids(tmp_path: Path) -> None:
    for split in ("test", "valid", "train"):
        write_original(tmp_path, split=split)
    ids = read_corpus(str(tmp_path))["bio_id"].to_pylist()
    assert ids == ["train-17", "train-4", "valid-17", "valid-4", "test-17", "test-4"]
    assert read_corpus(str(tmp_path), limit=3)["bio_id"].to_pylist() == ids[:3]


def test_original_lines_may_lack_the_last_newline_and_hold_any_separator(tmp_path: Path) -> None:
    files = {
        "box": "name_1:o\u2028x\tname_2:a:b\tname_10:c",
        "sent": "o\u2028x\x85 said : 1_2:3 .",
        "nb": "1",
        "title": "o\u2028x",
        "id": "9",
    }
    write_original(tmp_path, files)
    [only] = read_corpus(str(tmp_path)).to_pylist()
    assert only["infobox"] == [("name", "o\u2028x a:b c")]
    assert only["text"] == "o\u2028x\x85 said : 1_2:3 ."


def test_original_box_without_any_value_is_an_empty_infobox(tmp_path: Path) -> None:
    write_original(tmp_path, {"box": "name_1:<none>\timage:<none>\n\n"})
    assert read_corpus(str(tmp_path))["infobox"].to_pylist() == [[], []]


def test_original_field_names_may_hold_digits_and_underscores(tmp_path: Path) -> None:
    box = "a_2_1:x\ta_2_2:y\ta_3_1:z\na_1:p\ta_2:q\ta:r\n"
    write_original(tmp_path, {"box": box})
    assert read_corpus(str(tmp_path))["infobox"].to_pylist() == [
        [("a_2", "x y"), ("a_3", "z")],
        [("a", "p q r")],
    ]


def test_original_batches_join_without_a_seam(tmp_path: Path) -> None:
    count = 20_000
    write_original(
        tmp_path,
        {
            "box": "".join(f"name_1:n{i}\tname_2:m\n" for i in range(count)),
            "sent": "".join(f"s{i} .\n" * (i % 3 + 1) for i in range(count)),
            "nb": "".join(f"{i % 3 + 1}\n" for i in range(count)),
            "title": "".join(f"t{i}\n" for i in range(count)),
            "id": "".join(f"{i}\n" for i in range(count)),
        },
    )
    table = read_corpus(str(tmp_path))
    assert table["bio_id"].to_pylist() == [f"train-{i}" for i in range(count)]
    assert table["infobox"].to_pylist() == [[("name", f"n{i} m")] for i in range(count)]
    assert table["text"].to_pylist() == ["\n".join([f"s{i} ."] * (i % 3 + 1)) for i in range(count)]


# --- bad input: one error that names the thing and what to do ---------------------------------


def fails(address: object, *parts: str) -> None:
    """Reading fails with one line that holds all the parts."""
    with pytest.raises(CorpusError) as caught:
        read_corpus(str(address))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_missing_path(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "nowhere does not exist", "NEEDLE_CORPUS")


@pytest.mark.parametrize("address", ["", "  "])
def test_empty_address(address: str) -> None:
    fails(address, "empty", "expected a Parquet file")


@pytest.mark.parametrize("address", ["foo://bar/x.parquet", "foo://bar/*.parquet"])
def test_unknown_protocol(address: str) -> None:
    fails(address, address, "cannot be used", "expected a Parquet file")


def test_wildcard_without_a_match(tmp_path: Path) -> None:
    fails(tmp_path / "*.parquet", "no Parquet file matches", str(tmp_path))


def test_folder_without_data(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    fails(tmp_path, "holds no *.parquet file", "train.box")


@pytest.mark.parametrize("content", [b"name,text\n", b"PK\x03\x04", b"x"])
def test_not_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    fails(tmp_path, "a.parquet is not a Parquet file", "wiki_bio's schema")
    (tmp_path / "a.csv").write_bytes(content)
    fails(tmp_path / "a.csv", "a.csv is not a Parquet file")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    fails(tmp_path, "a.parquet is empty")


@pytest.mark.parametrize("kept", [5, 200, -1])
def test_half_written_parquet(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.parquet", row())
    path.write_bytes(path.read_bytes()[:kept])
    fails(tmp_path, "a.parquet was cut off", "fetch or write it again")


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", *[row(f"t{i}", f"text {i} .") for i in range(2000)])
    content = bytearray(path.read_bytes())
    for at in range(4, len(content) - 2000):
        content[at] ^= 0x5A
    path.write_bytes(content)
    fails(tmp_path, "a.parquet cannot be read", "fetch a damaged file again")


def test_wrong_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["x"], "target_text": ["y"]}), tmp_path / "a.parquet")
    fails(
        tmp_path,
        "a.parquet lacks the columns",
        "input_text.table.column_header, input_text.table.row_number, input_text.table.content",
        "input_text.context",
        "it has name, target_text",
    )


def test_column_of_the_wrong_type(tmp_path: Path) -> None:
    changed = SCHEMA.set(1, pa.field("target_text", pa.int64()))
    write(tmp_path / "a.parquet", row(text=None), schema=changed)
    fails(tmp_path, "a.parquet: the column target_text is int64, expected string")


def test_text_that_is_not_utf_8_is_refused_with_its_row(tmp_path: Path) -> None:
    # The bytes of a lone surrogate, U+D800: what a careless writer makes of "\ud800".
    texts = pa.array([b"fine", b"not \xed\xa0\x80 fine"], pa.binary())
    table = pa.Table.from_pylist([row("one"), row("two")], schema=SCHEMA)
    damaged = pa.StringArray.from_buffers(2, *texts.buffers()[1:])
    at = table.column_names.index("target_text")
    pq.write_table(table.set_column(at, SCHEMA.field(at), damaged), tmp_path / "a.parquet")
    fails(tmp_path, "a.parquet: row 1", "not UTF-8")


def test_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    fails(tmp_path, "holds no rows")


@pytest.mark.parametrize(
    ("part", "values", "lengths"),
    [
        ("content", ["x"], "2 column_header, 2 row_number, 1 content"),
        ("row_number", [1, 1, 1], "2 column_header, 3 row_number, 2 content"),
        ("column_header", None, "0 column_header, 2 row_number, 2 content"),
    ],
)
def test_infobox_lists_of_unequal_length(
    tmp_path: Path, part: str, values: list[Any], lengths: str
) -> None:
    bad = row("b", "b .")
    bad["input_text"]["table"][part] = values
    write(tmp_path / "x" / "a.parquet", row("a", "a ."), bad, row("c", "c ."))
    fails(tmp_path, "x/a.parquet row 1 (counted from 0)", lengths)


def test_infobox_field_without_a_name(tmp_path: Path) -> None:
    bad = row("b", "b .")
    bad["input_text"]["table"]["column_header"] = ["name", None]
    write(tmp_path / "a.parquet", row("a", "a ."), bad)
    fails(tmp_path, "a.parquet row 1 (counted from 0): an infobox field has no name")


@pytest.mark.parametrize("nothing", [None, "", " \n"])
@pytest.mark.parametrize("what", ["title", "text"])
def test_row_without_title_or_text(tmp_path: Path, what: str, nothing: str | None) -> None:
    good = [row(f"t{i}", f"{i} .") for i in range(9_000)]
    bad = row(title=nothing) if what == "title" else row(text=nothing)
    write(tmp_path / "a.parquet", *good, bad)
    fails(tmp_path, f"a.parquet row 9000 (counted from 0) has no {what}")


def test_files_whose_ids_would_be_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b.parquet", row())
    write(tmp_path / "a-b.parquet", row())
    fails(tmp_path, "the id a-b-0 stands on more than one row", "rename")


@pytest.mark.parametrize("suffix", ["box", "sent", "nb", "title", "id"])
def test_original_file_missing(tmp_path: Path, suffix: str) -> None:
    write_original(tmp_path)
    (tmp_path / "train" / f"train.{suffix}").unlink()
    fails(tmp_path, f"lacks train/train.{suffix};", "fetch it whole")


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({"title": "ada\n"}, ("train.title has 1 lines", "train.nb has 2", "fetch")),
        ({"box": "a_1:x\na_1:x\na_1:x\n"}, ("train.box has 3 lines", "train.nb has 2")),
        ({"id": "1"}, ("train.id has 1 lines", "train.nb has 2")),
        ({"sent": "one .\n"}, ("train.sent has 1 lines", "add up to 3")),
        ({"nb": "2\n2\n"}, ("train.sent has 3 lines", "add up to 4")),
        ({"nb": "2\nx\n"}, ("train.nb row 1 (counted from 0) is 'x'", "number of sentences")),
        ({"nb": "3\n0\n"}, ("train/train.title row 1 (counted from 0) has no text",)),
        ({"title": "ada\n\n"}, ("train/train.title row 1 (counted from 0) has no title",)),
        ({"box": "a_1:x\nbo is a dog\n"}, ("train.box row 1 (counted from 0)", "field_N:token")),
        ({"id": "4\n4\n"}, ("the id train-4 stands on more than one row",)),
        ({"box": "", "sent": "", "nb": "", "title": "", "id": ""}, ("holds no rows",)),
    ],
)
def test_original_files_that_disagree(
    tmp_path: Path, files: dict[str, str], parts: tuple[str, ...]
) -> None:
    fails(write_original(tmp_path, files), *parts)


def test_original_file_that_is_no_text(tmp_path: Path) -> None:
    write_original(tmp_path)
    (tmp_path / "train" / "train.sent").write_bytes(b"\xff\xfe\n\n\n")
    fails(tmp_path, "split train cannot be read", "UnicodeDecodeError")


def test_an_address_where_nobody_answers() -> None:
    # Port 1 of this machine: nothing listens there, so no name is looked up and nothing waits.
    fails("http://127.0.0.1:1/a.parquet", "127.0.0.1:1/a.parquet does not exist or cannot be")


class TransportError(Exception):
    """As the hub's client raises them: no OSError."""


class Unreachable(fsspec.AbstractFileSystem):  # type: ignore[misc]
    protocol = "unreachable"

    def info(self, path: str, **_: Any) -> Any:
        raise TransportError(f"[Errno -2] Name or service not known\nwhile asking for {path}")

    ls = info


@pytest.mark.filterwarnings("ignore:UPath .* filesystem not explicitly implemented")
@pytest.mark.parametrize("path", ["data", "data/a.parquet", "data/train/*.parquet"])
def test_a_transport_that_fails(path: str) -> None:
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    fails(
        f"unreachable://{path}",
        f"unreachable://{path} cannot be read",
        "TransportError: [Errno -2] Name or service not known",
        "can be reached",
    )


# --- real texts ---------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} with real texts is absent")
def test_real_files() -> None:
    table = read_corpus(str(REAL))
    assert table.num_rows == 4_331
    raw = table.slice(4_131)
    assert raw["bio_id"].to_pylist()[0] == "wiki_bio_raw_200-0"
    assert all(title == title.strip() != "" for title in table["title"].to_pylist())
    titles = [dict(box)["article_title"] for box in raw["infobox"].to_pylist()]
    assert titles == raw["title"].to_pylist()
