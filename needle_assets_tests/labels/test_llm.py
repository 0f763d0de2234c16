"""The LLM labeler over real HTTP, against a scripted server: mending, asking again, giving up."""

import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.labels.llm import LLMLabeler, resolve_labeler
from needle_assets.labels.rules import label_table
from needle_assets.labels.task import LabelError
from needle_assets_tests.labels.llm_world import (
    GOOD,
    MODEL,
    OTHER,
    about,
    in_quarantine,
    labeler_of,
    some_bios,
    to_person_1,
)
from needle_assets_tests.support.chat_server import ChatRequest, Reply, chat_server

# What is asked


def test_labels_have_the_same_columns_as_the_rules_and_name_the_model(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeled = labeler_of(server, tmp_path).label(some_bios(3))
    assert labeled.labels.schema == label_table(some_bios(3)).schema
    assert labeled.labels["bio_id"].to_pylist() == ["id-0", "id-1", "id-2"]
    assert labeled.labels["labeler"].to_pylist() == [f"llm:{MODEL}"] * 3
    assert labeled.labels["label"].to_pylist() == [GOOD] * 3
    assert labeled.labels["repaired"].to_pylist() == [False] * 3
    assert labeled.labels["attempts"].to_pylist() == [1] * 3
    assert labeled.quarantine.num_rows == 0


def test_what_is_asked(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler_of(server, tmp_path).label(some_bios(1))
    assert server.bodies == [
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": BIOGRAPHY_TASK.system_prompt},
                {
                    "role": "user",
                    "content": "person 0 is a french poet .\nGive the JSON for person 0.",
                },
            ],
            "temperature": 0,
            "max_completion_tokens": 160,
            "response_format": BIOGRAPHY_TASK.response_format,
        }
    ]


def test_no_schema_is_sent_to_an_endpoint_that_takes_none(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler_of(server, tmp_path, use_json_schema=False).label(some_bios(1))
    assert "response_format" not in server.bodies[0]


def test_the_infobox_is_not_shown_to_the_model(tmp_path: Path) -> None:
    bios = some_bios(1).append_column("infobox", pa.array([[("nationality", "Swiss")]]))
    with chat_server(lambda _: Reply(GOOD)) as server:
        assert labeler_of(server, tmp_path).label(bios).labels.num_rows == 1
    assert "Swiss" not in json.dumps(server.bodies)


def test_an_endpoint_that_insists_on_max_tokens_gets_it(tmp_path: Path) -> None:
    def older(request: ChatRequest) -> Reply:
        if "max_completion_tokens" in request.body:
            return Reply(status=400, error_message="use max_tokens, not max_completion_tokens")
        return Reply(GOOD)

    with chat_server(older) as server:
        assert labeler_of(server, tmp_path).label(some_bios(2)).labels.num_rows == 2
    assert [body.get("max_tokens") for body in server.bodies] == [None, 160, 160]


def test_the_same_biography_twice_is_asked_once(tmp_path: Path) -> None:
    twice = pa.concat_tables([some_bios(1), some_bios(1)])
    with chat_server(lambda _: Reply(GOOD)) as server:
        assert labeler_of(server, tmp_path).label(twice).labels.num_rows == 2
    assert server.count == 1


def test_requests_in_flight_are_bounded_and_used(tmp_path: Path) -> None:
    # After the first, which goes alone, three answers wait for each other: fewer than three in
    # flight would never get past.
    barrier = threading.Barrier(3, timeout=30)

    def together(request: ChatRequest) -> Reply:
        if request.index:
            barrier.wait()
        return Reply(GOOD)

    with chat_server(together) as server:
        labeler_of(server, tmp_path, concurrency=3).label(some_bios(10))
    assert server.max_in_flight == 3


def test_progress_counts_biographies(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def stubborn(request: ChatRequest) -> Reply:
        return Reply("no") if about(request) == "person 1" else Reply(GOOD)

    with chat_server(stubborn) as server:
        labeler_of(server, tmp_path, progress=lambda *step: seen.append(step)).label(some_bios(3))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert server.count == 4


# Mended without asking


@pytest.mark.parametrize(
    "answer",
    [
        f"Of course! {GOOD} She was French.",
        f"```json\n{GOOD}\n```",
        f"[{GOOD}]",
        f"{GOOD}\n{GOOD}",
        GOOD.replace('"day":5', '"day":"05"').replace("1911", '"1911"'),
        GOOD.replace('"day":5', '"day":05'),
        GOOD.replace('"month":3', '"month":"march"'),
    ],
    ids=["prose", "fenced", "a list", "the same twice", "strings", "leading zero", "march"],
)
def test_an_answer_that_is_clear_is_mended_and_not_asked_again(tmp_path: Path, answer: str) -> None:
    with chat_server(to_person_1(Reply(answer))) as server:
        labeled = labeler_of(server, tmp_path).label(some_bios(3))
    assert labeled.labels["label"].to_pylist() == [GOOD] * 3
    assert labeled.labels["repaired"].to_pylist() == [False, True, False]
    assert labeled.labels["attempts"].to_pylist() == [1, 1, 1]
    assert server.count == 3


def test_a_whole_answer_padded_up_to_the_limit_counts(tmp_path: Path) -> None:
    padded = Reply(f"{GOOD}{' ' * 80}", finish_reason="length")
    with chat_server(lambda _: padded) as server:
        labels = labeler_of(server, tmp_path).label(some_bios(1)).labels
    assert (labels["label"].to_pylist(), labels["repaired"].to_pylist()) == ([GOOD], [False])


# Asked again, once


_NO_DAY = GOOD.replace('"day":5,"month":3', '"day":31,"month":2')

BAD_ANSWERS = [
    pytest.param(Reply("she is french"), "no JSON object", id="prose"),
    pytest.param(Reply(f"{GOOD} or {OTHER}"), "2 different JSON", id="two objects"),
    pytest.param(Reply(f"[{GOOD},{OTHER}]"), "2 different JSON", id="a list of two"),
    pytest.param(Reply(GOOD[:50]), "damaged or not complete", id="half an object"),
    pytest.param(Reply(""), "no JSON object", id="nothing"),
    pytest.param(Reply(None), "no JSON object", id="null"),
    pytest.param(Reply("[1]"), "no JSON object", id="a list of a number"),
    pytest.param(Reply(GOOD.replace("false", '"no"')), "sportsperson: ", id="a wrong type"),
    pytest.param(
        Reply(GOOD.replace("French", "Martian")),
        "nationality 'Martian' is not in the list of nationalities",
        id="no nationality",
    ),
    pytest.param(
        Reply(_NO_DAY),
        "date_of_birth 31/2/1911 is not a calendar date",
        id="31 february",
    ),
    pytest.param(
        Reply(GOOD[:30], finish_reason="length"),
        "the answer was cut off at its token limit: not a biography label",
        id="cut off",
    ),
    pytest.param(
        Reply(f"It is {GOOD}, or rath", finish_reason="length"),
        "the answer was cut off at its token limit: not a biography label",
        id="cut off in prose behind an object",
    ),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ANSWERS)
def test_a_bad_answer_is_asked_for_once_more_with_its_error(
    tmp_path: Path, bad: Reply, reason: str
) -> None:
    with chat_server(to_person_1(bad, Reply(GOOD))) as server:
        labels = labeler_of(server, tmp_path).label(some_bios(3)).labels

    assert labels["label"].to_pylist() == [GOOD] * 3
    assert labels["attempts"].to_pylist() == [1, 2, 1]
    assert labels["repaired"].to_pylist() == [False] * 3
    first, again = (asked for asked in server.requests if about(asked) == "person 1")
    assert again.messages[:2] == first.messages
    said, complaint = again.messages[2:]
    assert said == {"role": "assistant", "content": bad.content or "(no answer)"}
    assert complaint["role"] == "user"
    assert reason in complaint["content"]
    assert {**again.body, "messages": None} == {**first.body, "messages": None}


@pytest.mark.parametrize(("bad", "reason"), BAD_ANSWERS)
def test_what_stays_bad_is_given_up_with_its_reason(
    tmp_path: Path, bad: Reply, reason: str
) -> None:
    with chat_server(to_person_1(Reply("what?"), bad)) as server:
        row = in_quarantine(labeler_of(server, tmp_path).label(some_bios(3)))

    assert reason in row["reason"]
    assert row["outcome"] == ("truncated" if bad.finish_reason == "length" else "invalid")
    assert row["answer"] == bad.content
    assert row["attempts"] == 2
    assert server.count == 4


def test_the_second_answer_is_mended_too(tmp_path: Path) -> None:
    with chat_server(to_person_1(Reply("what?"), Reply(f"Sorry! {GOOD}"))) as server:
        labels = labeler_of(server, tmp_path).label(some_bios(3)).labels
    assert labels["repaired"].to_pylist() == [False, True, False]
    assert labels["attempts"].to_pylist() == [1, 2, 1]


# Not asked again: it would come out the same


@pytest.mark.parametrize(
    ("reply", "outcome", "reason", "answer"),
    [
        (Reply(None, refusal="No."), "refused", "the model refused", "No."),
        (Reply("", finish_reason="content_filter"), "filtered", "content filter stopped it", ""),
        (Reply(status=400, error_code="content_filter"), "filtered", "content filter", None),
        (
            Reply(status=400, error_code="context_length_exceeded", error_message="900 > 512"),
            "too_long",
            "does not fit into the model's context window: HTTP 400: 900 > 512",
            None,
        ),
        (Reply(status=500), "error", "the request failed: HTTP 500: scripted failure", None),
        (Reply(raw=b"{}"), "error", "HTTP 200 without a chat completion", None),
    ],
    ids=["refused", "filtered", "filtered before", "too long", "failed", "no completion"],
)
def test_what_asking_again_cannot_help_is_given_up_at_once(
    tmp_path: Path, reply: Reply, outcome: str, reason: str, answer: str | None
) -> None:
    with chat_server(to_person_1(reply)) as server:
        row = in_quarantine(labeler_of(server, tmp_path).label(some_bios(3)))

    assert row["outcome"] == outcome
    assert reason in row["reason"]
    assert (row["answer"], row["attempts"]) == (answer, 1)
    assert server.count == 3


# What ends the run


def test_a_wrong_key_is_one_error_that_does_not_show_it(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD), api_key="right") as server:
        labeler = labeler_of(server, tmp_path, api_key="sk-secret", concurrency=4)
        with pytest.raises(
            LabelError, match="refused the key .* NEEDLE_ENDPOINT_API_KEY"
        ) as caught:
            labeler.label(some_bios(5))
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "sk-secret" not in str(caught.value.__context__)
    assert "sk-secret" not in repr(labeler)
    assert server.count == 1


def test_a_server_that_quotes_the_key_in_another_error_does_not_reveal_it(tmp_path: Path) -> None:
    def quotes(request: ChatRequest) -> Reply:
        return Reply(status=422, error_message=f"bad: {request.headers['authorization']}")

    with (
        chat_server(quotes, api_key="sk-secret") as server,
        pytest.raises(LabelError, match=r"1 of 1 requests .* HTTP 422: bad: Bearer \[key\]"),
    ):
        labeler_of(server, tmp_path).label(some_bios(1))


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: Reply(GOOD), models=("other",)) as server,
        pytest.raises(LabelError, match="no model 'labeler-1' .* other; set NEEDLE_LABELER_MODEL"),
    ):
        labeler_of(server, tmp_path).label(some_bios(2))


def test_an_endpoint_that_is_down_is_named(tmp_path: Path) -> None:
    with chat_server(lambda _: Reply(GOOD)) as server:
        labeler = labeler_of(server, tmp_path)
    with pytest.raises(LabelError, match=r"nobody answers at .*127\.0\.0\.1:\d+/v1, where the lab"):
        labeler.label(some_bios(2))


def test_an_endpoint_that_is_slow_is_named(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: Reply(GOOD, delay_s=60)) as server,
        pytest.raises(LabelError, match=r"no answer within 0\.2 s"),
    ):
        labeler_of(server, tmp_path, timeout_s=0.2).label(some_bios(1))


@pytest.mark.parametrize("raw", [b'{"error": "busy"}', b"{}"])
def test_an_endpoint_that_is_something_else_is_named(tmp_path: Path, raw: bytes) -> None:
    with (
        chat_server(lambda _: Reply(raw=raw)) as server,
        pytest.raises(LabelError, match=r"without a chat completion; .* end in /v1"),
    ):
        labeler_of(server, tmp_path).label(some_bios(1))


def test_an_endpoint_without_json_schema_says_which_setting_helps(tmp_path: Path) -> None:
    refusal = Reply(status=400, error_message="response_format is not supported")
    with (
        chat_server(lambda _: refusal) as server,
        pytest.raises(LabelError, match="set NEEDLE_LABELER_JSON_SCHEMA to false"),
    ):
        labeler_of(server, tmp_path).label(some_bios(3))


def test_a_proxy_does_not_stand_before_an_endpoint_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        # Nobody listens on the discard port.
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with chat_server(lambda _: Reply(GOOD)) as server:
        assert labeler_of(server, tmp_path).label(some_bios(1)).labels.num_rows == 1


# Settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": ""}, "NEEDLE_ENDPOINT_URL"),
        ({"model": ""}, "NEEDLE_LABELER_MODEL"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    settings: dict[str, Any] = {"base_url": "http://x/v1", "model": "m", "journal_path": tmp_path}
    with pytest.raises(LabelError, match=words):
        LLMLabeler(**(settings | change))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1:9/v1",
        "http://127.0.0.1:9/v1?api-key=hunter2",
        "http://127.0.0.1:9/v1#hunter2",
        "ftp://hunter2/v1",
        "http://[hunter2/v1",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(LabelError, match="NEEDLE_ENDPOINT_API_KEY") as caught:
        LLMLabeler(base_url=url, model=MODEL, journal_path=tmp_path / "j.jsonl")
    assert "hunter2" not in str(caught.value)


def test_nothing_to_label_needs_no_endpoint(tmp_path: Path) -> None:
    labeler = LLMLabeler(base_url="http://x/v1", model=MODEL, journal_path=tmp_path / "j.jsonl")
    labeled = labeler.label(some_bios(0))
    assert (labeled.labels.num_rows, labeled.quarantine.num_rows) == (0, 0)
    assert labeled.labels.schema == label_table(some_bios(0)).schema


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
