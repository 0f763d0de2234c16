"""What a failing server means: for one request, or for all of them.

The advice in a message is the caller's, who knows where its users set an address or a key.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from needle_assets.chat.answers import DEADLINE, TOO_LONG, Answer
from needle_assets.chat.errors import ChatError

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI

_MESSAGE_LENGTH = 500
"""Characters kept of what a server says: some answer with a whole web page."""

_SECRET_LENGTH = 8
"""Shorter keys are placeholders such as `none`, a word that may stand in any message."""

_LISTED = 10
"""Models named in a message at most; some servers have hundreds."""

# Azure's filter stops a prompt by an error where others set finish_reason.
_FILTERED = frozenset(["content_filter", "content_policy_violation"])

# The code is OpenAI's, the type is llama.cpp's; vLLM and others say it in words alone.
_WINDOW = frozenset(["context_length_exceeded", "exceed_context_size_error"])
_WINDOW_WORDS = re.compile(
    r"maximum context length|exceeds? the (?:available |model's )?context (?:size|window|length)",
    re.IGNORECASE,
)


# Names in httpx2, which the SDK is built on: somebody was there, and may be for other requests.
_HUNG_UP = frozenset(["RemoteProtocolError", "ReadError", "WriteError"])


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a user is told to do. Each completes a sentence, in lower case, without a full stop."""

    model: str
    """Names the model: ``the model 'big'``."""
    key: str
    """When the key is refused."""
    model_id: str
    """When the server has no such model, or the address is no chat server's."""
    address: str
    """When nobody answers."""
    no_schema: str
    """When the server takes no JSON schema: ``register it with --no-json-schema``."""


@dataclasses.dataclass(frozen=True)
class Server:
    """Where a model is asked, for messages too."""

    base_url: str
    api_key: str = dataclasses.field(repr=False)
    """Sent, and never part of a message, an answer or a journal."""
    model: str
    """The model's id there."""
    advice: Advice
    timeout_s: float = 300.0
    """Deadline of one attempt."""
    max_retries: int = 2
    """Of connection errors, timeouts, 408, 409 and 5xx. 0: one attempt is all that a request gets,
    and a server that stops working is not waited for."""
    deadline_s: float = 1800.0
    """Deadline of a request from its first attempt, retries and waits included."""


def address_fault(base_url: str) -> Literal["", "no address", "more than an address"]:
    """What is wrong with a server's address, which is part of messages: it must hold no secret.

    Whoever complains does not repeat it: a password or a key may stand in it.
    """
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return "no address"
    if not usable:
        return "no address"
    more = parts.username or parts.password or parts.query or parts.fragment
    return "more than an address" if more else ""


def failed(
    blank: Answer, problem: "APIError | ValueError | RecursionError", server: Server
) -> Answer:
    """``blank`` with why there is no answer; a prompt that a filter stopped is no failure."""
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    if isinstance(problem, APIError) and problem.code in _FILTERED:
        return dataclasses.replace(blank, finish_reason="content_filter")
    text, kind = str(problem), type(problem).__name__
    if isinstance(problem, APIStatusError):
        body = problem.body if isinstance(problem.body, dict) else {}
        text = f"HTTP {problem.status_code}: {body.get('message') or problem.message}"
        if problem.status_code in (400, 413, 422) and (
            problem.code in _WINDOW or problem.type in _WINDOW or _WINDOW_WORDS.search(text)
        ):
            kind = TOO_LONG
    elif isinstance(problem, APITimeoutError):
        text = f"no answer within {server.timeout_s:g} s"
    elif isinstance(problem, APIConnectionError):
        text = f"no connection: {problem.__cause__ or problem.message}"
    return dataclasses.replace(blank, error=public(text, server.api_key), error_type=kind)


async def fatal_error(
    client: "AsyncOpenAI",
    problem: "APIError | ValueError | RecursionError",
    server: Server,
    *,
    first: bool,
) -> ChatError | None:
    """The error that ends everything, if asking on cannot help.

    Args:
        client: asked which models there are, when the one asked for is not.
        problem: what the SDK raised.
        server: the server that was asked.
        first: whether nothing was answered before.
    """
    from openai import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        NotFoundError,
        PermissionDeniedError,
    )

    advice, url = server.advice, server.base_url
    if isinstance(problem, AuthenticationError | PermissionDeniedError):
        # What the server says to this often holds the key, whole or in parts.
        return ChatError(
            f"the server at {url} refused the key of {advice.model} "
            f"(HTTP {problem.status_code}); {advice.key}"
        )
    if isinstance(problem, NotFoundError):
        return ChatError(
            f"the server at {url} has no model {server.model!r} (HTTP 404)"
            f"{await _served_models(client)}; {advice.model_id}"
        )
    unpaid = isinstance(problem, APIStatusError) and problem.status_code == 402
    if unpaid or (isinstance(problem, APIError) and problem.code == "insufficient_quota"):
        return ChatError(
            f"the account of {advice.model} at {url} has no quota left; add credit, then run "
            "again: the answers that came are kept"
        )
    down = (
        isinstance(problem, APIConnectionError)
        and not isinstance(problem, APITimeoutError)
        and type(problem.__cause__).__name__ not in _HUNG_UP
    )
    if down and first:
        return ChatError(
            f"nobody answers at {url}, where {advice.model} should be "
            f"({public(str(problem.__cause__ or problem), server.api_key)}); {advice.address}"
        )
    return None


def mostly_failed(failures: Sequence[Answer], of: int, server: Server, journal: Path) -> ChatError:
    """The error that ends everything when most requests fail, whatever the reason."""
    last = str(failures[-1].error)
    hint = (
        f" If the server takes no JSON schema, {server.advice.no_schema}."
        if "response_format" in last
        else ""
    )
    return ChatError(
        f"{len(failures)} of {of} requests to {server.advice.model} at {server.base_url} failed, "
        f"the last with: {last}.{hint} Mend that and run again: the answers that came are kept in "
        f"{journal}"
    )


def overdue(blank: Answer, last: Answer, server: Server) -> Answer:
    """``blank`` for a request whose deadline passed; ``last`` is what its last attempt came to."""
    attempts = f"{last.attempts} attempt" + ("s" if last.attempts > 1 else "")
    return dataclasses.replace(
        blank,
        error=f"no answer within {server.deadline_s:g} s and {attempts}, the last: {last.error}",
        error_type=DEADLINE,
        attempts=last.attempts,
    )


def stays_down(failures: int, probes: int, last: Answer, server: Server, path: Path) -> ChatError:
    """The error that ends everything when a server that worked before does not work again."""
    return ChatError(
        f"{server.advice.model} at {server.base_url} stopped working: its last {failures} attempts "
        f"failed, {probes} of them one at a time after waits, the last with: {last.error}. When it "
        f"works again, run again: the answers that came are kept in {path}"
    )


def public(text: str, api_key: str) -> str:
    """What a server says, without the key and not too long."""
    if len(api_key) >= _SECRET_LENGTH:
        text = text.replace(api_key, "[key]")
    return text[:_MESSAGE_LENGTH]


async def _served_models(client: "AsyncOpenAI") -> str:
    """What the server lists, for a message; nothing where it does not say."""
    from openai import OpenAIError

    try:
        ids = [model.id for model in (await client.models.list()).data]
    except (OpenAIError, ValueError, AttributeError, TypeError):
        return ""
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"; it has {', '.join(ids[:_LISTED])}{more}" if ids else ""
