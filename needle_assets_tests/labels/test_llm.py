"""The LLM labeler over real HTTP, against a scripted server: journal, rejections, errors."""

import json
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from needle_assets.labels.biography import BIOGRAPHY_TASK, NO_DATE, Biography
from needle_assets.labels.llm import LLMLabeler, resolve_labeler
from needle_assets.labels.rules import label_table
from needle_assets.labels.task import LabelError
from needle_assets_tests.support.chat_server import ChatRequest, ChatServer, Reply, chat_server

MODEL = "labeler-1"
GOOD = BIOGRAPHY_TASK.canonical_json(
    Biography(
        nationality="French",
        date_of_birth=NO_DATE,
        date_of_death=NO_DATE,
        sportsperson=False,
        politician=False,
    )
)


def _bios(count: int) -> pa.Table:
    names = [f"person {number}" for number in range(count)]
    return pa.table(
        {
            "bio_id": [f"id-{number}" for number in range(count)],
            "name": names,
            "bio": [f"{name} is a french poet ." for name in names],
        },
        schema=pa.schema([(column, pa.string()) for column in ("bio_id", "name", "bio")]),
    )


def _labeler(server: ChatServer, folder: Path, **options: object) -> LLMLabeler:
    settings = {
        "base_url": server.base_url,
        "model": MODEL,
        "journal_path": folder / "labels.jsonl",
        "api_key": server.api_key,
        "max_retries": 0,
        **options,
    }
    return LLMLabeler(**settings)  # type: ignore[arg-type]


def test_labels_have_the_same_columns_as_the_rules_and_name_the_model(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeled = _labeler(server, tmp_path).label(_bios(3))
    assert labeled.labels.schema == label_table(_bios(3)).schema
    assert labeled.labels["bio_id"].to_pylist() == ["id-0", "id-1", "id-2"]
    assert labeled.labels["labeler"].to_pylist() == [f"llm:{MODEL}"] * 3
    assert labeled.labels["label"].to_pylist() == [GOOD] * 3
    assert labeled.rejected.num_rows == 0


def test_what_is_asked(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        _labeler(server, tmp_path).label(_bios(1))
        _labeler(server, tmp_path, use_json_schema=False).label(_bios(1))
    with_schema, without = server.bodies
    assert with_schema["messages"] == [
        {"role": "system", "content": BIOGRAPHY_TASK.system_prompt},
        {"role": "user", "content": "person 0 is a french poet .\nGive the JSON for person 0."},
    ]
    assert with_schema["temperature"] == 0
    assert with_schema["response_format"] == BIOGRAPHY_TASK.response_format
    assert "response_format" not in without


def test_a_second_run_asks_nothing_and_returns_the_same(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        first = _labeler(server, tmp_path).label(_bios(4))
        second = _labeler(server, tmp_path).label(_bios(4))
    assert server.count == 4
    assert second == first


def test_a_resumed_run_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    def fails_on_the_third(request: ChatRequest) -> Reply:
        return Reply(status=500) if request.index == 2 else Reply(GOOD)

    with chat_server(fails_on_the_third) as server:
        labeler = _labeler(server, tmp_path, concurrency=1)
        with pytest.raises(LabelError, match="2 of 5 answers are journaled"):
            labeler.label(_bios(5))
        server.reply = lambda _: Reply(GOOD)
        assert labeler.label(_bios(5)).labels.num_rows == 5
    asked = [request.user.splitlines()[0] for request in server.requests]
    assert asked == [f"person {number} is a french poet ." for number in (0, 1, 2, 2, 3, 4)]


def test_a_torn_last_line_is_dropped_and_asked_again(tmp_path: Path) -> None:
    journal = tmp_path / "labels.jsonl"
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler = _labeler(server, tmp_path)
        labeler.label(_bios(3))
        content = journal.read_bytes()
        journal.write_bytes(content[:-20])
        assert labeler.label(_bios(3)).labels.num_rows == 3
    assert server.count == 4
    assert sorted(journal.read_bytes().splitlines()) == sorted(content.splitlines())


def test_a_damaged_line_elsewhere_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "labels.jsonl"
    journal.write_text("nonsense\n")
    with (
        chat_server(lambda _: Reply(GOOD)) as server,
        pytest.raises(LabelError, match=r"line 1 of the label journal .*labels\.jsonl is damaged"),
    ):
        _labeler(server, tmp_path).label(_bios(1))
    assert server.count == 0


@pytest.mark.parametrize(
    "change", [{"model": "labeler-2"}, {"use_json_schema": False}, {"max_answer_tokens": 99}]
)
def test_anything_sent_differently_is_asked_anew(tmp_path: Path, change: dict[str, object]) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        _labeler(server, tmp_path).label(_bios(1))
        _labeler(server, tmp_path, **change).label(_bios(1))
    assert server.count == 2


def test_the_same_biography_twice_is_asked_once(tmp_path: Path) -> None:
    twice = pa.concat_tables([_bios(1), _bios(1)])
    with chat_server(lambda _: Reply(GOOD)) as server:
        assert _labeler(server, tmp_path).label(twice).labels.num_rows == 2
    assert server.count == 1


_OTHER_DATE = GOOD.replace(
    '"date_of_birth":{"day":0,"month":0', '"date_of_birth":{"day":31,"month":2'
)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(None, refusal="i would rather not"), "the model refused"),
        (Reply(GOOD[:30], finish_reason="length"), "cut off at its token limit"),
        (Reply("", finish_reason="content_filter"), "content filter"),
        (Reply(status=400, error_code="content_filter"), "content filter"),
        (Reply(status=400, error_code="context_length_exceeded"), "longer than the model's"),
        (Reply("she is french"), "not a biography label"),
        (Reply(""), "not a biography label"),
        (Reply("[1]"), "not a biography label"),
        (Reply(GOOD.replace("false", '"no"')), "not a biography label: sportsperson"),
        (Reply(GOOD.replace("French", "Martian")), "'Martian' is not in the list"),
        (Reply(_OTHER_DATE), "date_of_birth 31/2/0 is not a calendar date"),
    ],
)
def test_what_is_no_label_is_a_rejected_row_with_its_reason(
    tmp_path: Path, reply: Reply, reason: str
) -> None:
    with chat_server(lambda request: reply if request.index == 1 else Reply(GOOD)) as server:
        labeled = _labeler(server, tmp_path, concurrency=1).label(_bios(3))
    assert labeled.labels["bio_id"].to_pylist() == ["id-0", "id-2"]
    (row,) = labeled.rejected.to_pylist()
    assert (row["bio_id"], row["name"]) == ("id-1", "person 1")
    assert reason in row["reason"]
    assert row["answer"] == (reply.refusal or reply.content or "")


def test_a_rejected_row_is_not_asked_again(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply("no")) as server:
        labeler = _labeler(server, tmp_path)
        assert labeler.label(_bios(2)) == labeler.label(_bios(2))
    assert server.count == 2


def test_requests_in_flight_are_bounded_and_used(tmp_path: Path) -> None:
    # Three answers wait for each other: fewer than three in flight would never get past.
    barrier = threading.Barrier(3, timeout=30)

    def together(_: ChatRequest) -> Reply:
        barrier.wait()
        return Reply(GOOD)

    with chat_server(together) as server:
        _labeler(server, tmp_path, concurrency=3).label(_bios(9))
    assert server.max_in_flight == 3


def test_progress_counts_up_to_what_was_missing(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with chat_server(lambda _: Reply(GOOD)) as server:
        _labeler(server, tmp_path).label(_bios(1))
        _labeler(server, tmp_path, progress=lambda *step: seen.append(step)).label(_bios(4))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_wrong_key_is_one_error_that_does_not_show_it(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD), api_key="right") as server:
        labeler = _labeler(server, tmp_path, api_key="sk-secret")
        with pytest.raises(LabelError, match="refuses the key") as caught:
            labeler.label(_bios(5))
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "sk-secret" not in repr(labeler)


def test_a_server_that_quotes_the_key_in_another_error_does_not_reveal_it(tmp_path: Path) -> None:
    def quotes(request: ChatRequest) -> Reply:
        return Reply(status=422, error_message=f"bad: {request.headers['authorization']}")

    with (
        chat_server(quotes, api_key="sk-secret") as server,
        pytest.raises(LabelError, match=r"failed: .*\*\*\*") as caught,
    ):
        _labeler(server, tmp_path).label(_bios(1))
    assert "sk-secret" not in str(caught.value)


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: Reply(GOOD), models=("other",)) as server,
        pytest.raises(LabelError, match="has no model 'labeler-1'"),
    ):
        _labeler(server, tmp_path).label(_bios(2))


def test_an_endpoint_that_is_down_is_named(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler = _labeler(server, tmp_path)
    with pytest.raises(LabelError, match=r"127\.0\.0\.1:\d+/v1 cannot be reached"):
        labeler.label(_bios(2))


def test_an_endpoint_that_is_slow_is_named(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: Reply(GOOD, delay_s=60)) as server,
        pytest.raises(LabelError, match=r"did not answer within 0\.2 s"),
    ):
        _labeler(server, tmp_path, timeout_s=0.2).label(_bios(1))


@pytest.mark.parametrize("raw", [b"<html>welcome</html>", b'{"error": "busy"}', b"{}"])
def test_an_endpoint_that_is_something_else_is_named(tmp_path: Path, raw: bytes) -> None:
    with (
        chat_server(lambda _: Reply(raw=raw)) as server,
        pytest.raises(LabelError, match="but not with a chat completion"),
    ):
        _labeler(server, tmp_path).label(_bios(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": ""}, "NEEDLE_ENDPOINT_URL"),
        ({"model": ""}, "NEEDLE_LABELER_MODEL"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    settings = {"base_url": "http://x/v1", "model": "m", "journal_path": tmp_path / "j", **change}
    with pytest.raises(LabelError, match=words):
        LLMLabeler(**settings)  # type: ignore[arg-type]


def test_nothing_to_label_needs_no_endpoint(tmp_path: Path) -> None:
    labeler = LLMLabeler(base_url="http://x/v1", model=MODEL, journal_path=tmp_path / "j.jsonl")
    labeled = labeler.label(_bios(0))
    assert (labeled.labels.num_rows, labeled.rejected.num_rows) == (0, 0)


def test_the_journal_holds_tokens_and_no_key(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD), api_key="sk-secret") as server:
        _labeler(server, tmp_path).label(_bios(1))
    (line,) = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert "sk-secret" not in line
    entry = json.loads(line)
    assert entry["outcome"] == "answered"
    assert entry["prompt_tokens"] > 0


@pytest.mark.parametrize(
    ("setting", "endpoint", "resolved"),
    [
        ("auto", "", "rules"),
        ("auto", "http://x/v1", "llm"),
        ("rules", "http://x/v1", "rules"),
        ("llm", "http://x/v1", "llm"),
    ],
)
def test_resolve_labeler(setting: str, endpoint: str, resolved: str) -> None:
    assert resolve_labeler(setting, endpoint) == resolved  # type: ignore[arg-type]


def test_llm_without_an_endpoint_is_refused() -> None:
    with pytest.raises(LabelError, match="NEEDLE_ENDPOINT_URL is not set"):
        resolve_labeler("llm", "")
