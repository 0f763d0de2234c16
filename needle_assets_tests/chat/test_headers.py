"""When to ask again, as servers say it."""

from datetime import UTC, datetime

import pytest

from needle_assets.chat.headers import count, duration_s, retry_after_s

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800),
        ("7", 7),
        ("0.25", 0.25),
        (" 1S ", 1),
        ("-3", 0),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90),
        ("2026-11-22T12:00:05Z", 5),
        ("2026-11-22T13:00:05+01:00", 5),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0),
    ],
)
def test_durations_and_times_are_seconds_from_now(text: str, seconds: float) -> None:
    assert duration_s(text, NOON) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1x", "s", "1s and more", "5 m"])
def test_what_is_no_duration_says_nothing(text: str) -> None:
    assert duration_s(text, NOON) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after-ms": "1500", "retry-after": "3"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:10 GMT"}, 10),
        # Our own clock is an hour behind the server's.
        (
            {
                "retry-after": "Sun, 22 Nov 2026 13:00:10 GMT",
                "date": "Sun, 22 Nov 2026 13:00:00 GMT",
            },
            10,
        ),
        ({"retry-after": "later"}, None),
    ],
)
def test_milliseconds_go_before_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOON) == seconds


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("0", 0), ("12.0", 12), ("", None), (None, None), ("x", None)]
)
def test_counts_are_whole_numbers(text: str | None, number: int | None) -> None:
    assert count(text) == number
