"""What an engine says when it cannot answer, as OpenAI's errors. When it is asked is `chat`'s."""

import json
import logging
from typing import Any

from needle_assets.endpoint.api.errors import ApiError, clipped
from needle_assets.endpoint.serving.pool import Backend, Busy, EngineFailed

_LOG = logging.getLogger(__name__)

_ABOUT_GRAMMAR = ("grammar", "schema", "regex", "pattern", "$ref", "unsupported type")
"""Words in llama.cpp's answer to a response_format that it cannot turn into a grammar."""

_ABOUT_LENGTH = ("maximum context length", "maximum model length", "context_length")
"""Words in vLLM's answer to a prompt that is too long."""


def busy(error: Busy) -> ApiError:
    """Too many requests wait."""
    return ApiError(
        503,
        "The engine is currently overloaded, please try again later.",
        code="engine_overloaded",
        headers={"Retry-After": str(error.retry_after_s)},
    )


def failed(model: str, error: EngineFailed) -> ApiError:
    """The model's engine does not start."""
    # The last lines of its log stay in the endpoint's: they name paths of the server.
    why = str(error).partition(". Its log ends with:")[0]
    return ApiError(
        503,
        f"The model '{clipped(model)}' cannot answer now: {why}",
        code="model_not_available",
        headers={"Retry-After": str(error.retry_after_s)},
    )


def lost(model: str) -> ApiError:
    """The engine died over a request."""
    return ApiError(
        502,
        f"The engine of the model '{clipped(model)}' ended while it computed this answer. The next "
        "request starts it anew.",
        code="engine_lost",
        headers={"Retry-After": "1"},
    )


def not_understood(model: str) -> ApiError:
    """The engine answered something else than an answer."""
    return ApiError(
        502, f"The engine of the model '{clipped(model)}' gave no usable answer.", code="bad_engine"
    )


def model_not_found(model: str) -> ApiError:
    """No such model."""
    return ApiError(
        404,
        f"The model '{clipped(model)}' does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def too_long(window: int, tokens: int | None) -> ApiError:
    """The prompt is longer than the window."""
    resulted = f" resulted in {tokens} tokens" if tokens else " are longer"
    return ApiError(
        400,
        f"This model's maximum context length is {window} tokens. However, your messages"
        f"{resulted}. Please reduce the length of the messages.",
        code="context_length_exceeded",
        param="messages",
    )


def no_room(window: int, tokens: int, most: int) -> ApiError:
    """The prompt fits into the window, but not together with the answer that may be given."""
    return ApiError(
        400,
        f"This model's maximum context length is {window} tokens. However, you requested "
        f"{tokens + most} tokens ({tokens} in the messages, {most} in the completion). Please "
        "reduce the length of the messages or completion.",
        code="context_length_exceeded",
        param="messages",
    )


def refused(
    model: str,
    backend: Backend,
    status: int,
    content: bytes,
    retry_after: str | None,
    grammar: bool,
) -> ApiError:
    """An engine's HTTP error.

    Args:
        model: the model that was asked for.
        backend: who answered.
        status: its HTTP status.
        content: its body.
        retry_after: its header.
        grammar: whether the request named a response format.
    """
    fields = _error_fields(content)
    message = str(fields.get("message") or "")
    _LOG.warning("the engine of %s answered %d: %s", model, status, clipped(message, 1000))
    if fields.get("type") == "exceed_context_size_error":
        return too_long(
            int(fields.get("n_ctx") or backend.context_window or 0),
            int(fields.get("n_prompt_tokens") or 0) or None,
        )
    if status in (400, 413, 422) and any(words in message for words in _ABOUT_LENGTH):
        return ApiError(400, message, code="context_length_exceeded", param="messages")
    about_grammar = grammar and any(word in message.lower() for word in _ABOUT_GRAMMAR)
    if about_grammar and status in (400, 500):
        return ApiError(
            400,
            "Invalid schema for response_format: the model's engine cannot constrain its answer "
            f"by it: {clipped(message.rpartition('failed: ')[2])}",
            code="invalid_json_schema",
            param="response_format",
        )
    if status == 404 and backend.upstream:
        return model_not_found(model)
    if status in (429, 503):
        return ApiError(
            503,
            "The engine is currently overloaded, please try again later.",
            code="engine_overloaded",
            headers={"Retry-After": retry_after or "1"},
        )
    if status in (400, 422):
        return ApiError(400, f"The model's engine refused the request: {clipped(message, 500)}")
    return not_understood(model)


def _error_fields(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        return dict(document["error"])
    # vLLM before 0.10 had the fields at the top.
    return document if isinstance(document, dict) else {}
