"""The two files of a batch, line by line: requests going in, answers coming out.

Where the files lie, and what is asked again, is decided in `batch_submit` and `batches`.
"""

import dataclasses
import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from needle_assets.chat.answers import Answer, filled_in
from needle_assets.chat.client import Request
from needle_assets.chat.errors import ChatError
from needle_assets.chat.problems import Server, failed
from needle_assets.chat.remote import may_pass

URL = "/v1/chat/completions"

_SAID = 500
"""Characters kept of what a server says."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one batch. OpenAI's: 50,000 requests and 200 MB."""

    requests: int = 50_000
    bytes: int = 200_000_000


def request_line(request: Request, model: str, parameters: Mapping[str, Any]) -> bytes:
    """One request as the line of a batch file, the same bytes each time."""
    body = {"model": model, "messages": [*request.messages], **parameters}
    line = {"custom_id": request.key, "method": "POST", "url": URL, "body": body}
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def parts_of(
    requests: Sequence[Request], model: str, parameters: Mapping[str, Any], limits: Limits
) -> list[list[Request]]:
    """The requests in their order, in as few batches as the limits allow.

    Raises:
        ChatError: one request alone is over the limit.
    """
    parts: list[list[Request]] = []
    room = 0
    for request in requests:
        size = len(request_line(request, model, parameters))
        if size > limits.bytes:
            raise ChatError(
                f"a request of {size:,} bytes to {model} does not fit into a batch of at most "
                f"{limits.bytes:,}; register the model without --batch"
            )
        if not parts or size > room or len(parts[-1]) == limits.requests:
            parts.append([])
            room = limits.bytes
        parts[-1].append(request)
        room -= size
    return parts


@dataclasses.dataclass(frozen=True)
class BatchAnswer:
    """What came of one request of a batch."""

    answer: Answer
    passing: bool = False
    """Whether it failed of what may have passed when it is asked again."""


def lines_in(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file that comes in pieces.

    Split at newlines alone: JSON strings may hold what Python and HTTP clients also take for one.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def read_answer(line: bytes, *, server: Server, came_at: datetime.datetime) -> BatchAnswer | None:
    """The answer in one line of a batch's output or error file; None for a line that is none.

    Args:
        line: JSON with ``custom_id``, and ``response`` or ``error``.
        server: for messages.
        came_at: when the batch ended, which is as exactly as anybody can tell.
    """
    try:
        # NaN and its like are no JSON, and no table's text.
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    key = told.get("custom_id") if isinstance(told, dict) else None
    if not isinstance(key, str):
        return None
    # A batch has no latency that a user would feel: one that is batched is left out of all means.
    blank = Answer(request_hash=key, evaluated_at=came_at, latency_s=0.0, batched=True)
    response = told.get("response")
    if not isinstance(response, dict):
        return BatchAnswer(_refused(blank, told.get("error"), server), passing=True)
    status, body = response.get("status_code"), response.get("body")
    if type(status) is int and status >= 400:
        return _failed(blank, status, body, server)
    return BatchAnswer(filled_in(blank, _completion(body)))


def _refused(blank: Answer, error: object, server: Server) -> Answer:
    """A request that the model never saw, most often since the batch's time was over."""
    told = error if isinstance(error, dict) else {}
    code = str(told.get("code") or "batch_error")
    said = failed(blank, ValueError(f"{code}: {told.get('message')}"), server)
    return dataclasses.replace(said, error_type=code)


def _failed(blank: Answer, status: int, body: object, server: Server) -> BatchAnswer:
    """A request that was answered with an error: told as the same one is outside of a batch."""
    import httpx2
    import openai

    kinds: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    kind = kinds.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    told = body.get("error", body) if isinstance(body, dict) else body
    said = str(told.get("message") if isinstance(told, dict) else told)[:_SAID]
    response = httpx2.Response(status, request=httpx2.Request("POST", server.base_url))
    error = kind(said, response=response, body=told)
    return BatchAnswer(failed(blank, error, server), may_pass(error))


def _completion(body: object) -> object:
    """The body as the SDK would have made it of an answer outside of a batch."""
    from openai.types.chat import ChatCompletion

    return ChatCompletion.construct(**body) if isinstance(body, dict) else body
