"""What comes of a request, by outcome; and when two requests are the same."""

from datetime import UTC, datetime
from typing import Any

import pytest

from needle_assets.chat.answers import TOO_LONG, Answer, request_key

SENT: dict[str, Any] = {
    "base_url": "https://models.example/v1",
    "model": "big",
    "messages": [{"role": "user", "content": "who is 山田?"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a"}},
    "temperature": 0,
}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"answer": "x", "finish_reason": "stop"}, "answered"),
        ({"answer": None}, "answered"),
        ({"refusal": "No.", "finish_reason": "stop"}, "refused"),
        ({"answer": "x", "finish_reason": "length"}, "truncated"),
        ({"finish_reason": "content_filter"}, "filtered"),
        ({"refusal": "No.", "finish_reason": "content_filter"}, "refused"),
        ({"error": "HTTP 500", "error_type": "InternalServerError"}, "error"),
        ({"error": "HTTP 400", "error_type": TOO_LONG}, "too_long"),
    ],
)
def test_outcomes_are_told_apart(fields: dict[str, Any], outcome: str) -> None:
    answer = Answer("h", datetime(2026, 11, 22, tzinfo=UTC), 1.0, **fields)
    assert answer.outcome == outcome


def test_the_order_of_keys_does_not_make_another_request() -> None:
    assert request_key(dict(reversed(SENT.items()))) == request_key(SENT)


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://models.example/v2"},
        {"model": "bigger"},
        {"messages": [{"role": "user", "content": "who is 山本?"}]},
        {"messages": [*SENT["messages"], *SENT["messages"]]},
        {"response_format": None},
        {"temperature": 1},
        {"seed": 0},
    ],
)
def test_anything_sent_differently_is_another_request(change: dict[str, Any]) -> None:
    assert request_key(SENT | change) != request_key(SENT)
