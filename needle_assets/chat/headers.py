"""What a server's headers say about when to ask again, in the ways that servers say it.

What is done about it is `quota`'s and `pacing`'s.
"""

import datetime
import email.utils
import math
import re
from collections.abc import Mapping

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def retry_after_s(headers: Mapping[str, str], now: datetime.datetime) -> float | None:
    """Seconds that a server wants to be left alone; None where it does not say.

    ``retry-after-ms`` goes before ``retry-after``, which is in seconds or an HTTP date: by the
    server's own clock, where it tells what that shows.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    return duration_s(headers.get("retry-after", ""), _time(headers.get("date", "")) or now)


def duration_s(text: str, now: datetime.datetime) -> float | None:
    """Seconds meant by ``1.5``, ``20ms``, ``6m0s``, an HTTP date or an ISO time; None otherwise.

    Never negative: what is past is now.
    """
    text = text.strip().lower()
    if (seconds := _number(text)) is not None:
        return seconds
    parts = _PART.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    when = _time(text)
    return None if when is None else max(0.0, (when - now).total_seconds())


def count(text: str | None) -> int | None:
    """A whole number of requests or tokens; None where there is none."""
    number = _number(text or "")
    return None if number is None else int(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _time(text: str) -> datetime.datetime | None:
    try:
        when = datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
