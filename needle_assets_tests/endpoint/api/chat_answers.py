"""What the usual scripted engine answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "total_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 5},
}

COMPLETION: dict[str, Any] = {
    "id": "of-the-engine",
    "object": "chat.completion",
    "created": 1,
    "model": "of-the-engine",
    "system_fingerprint": "b0-unknown",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
    ],
    "usage": USAGE,
    "timings": {"prompt_ms": 1.0},
}

CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
    {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": USAGE, "timings": {}},
]


async def sent(chunks: list[dict[str, Any]], end: str = "data: [DONE]\n\n") -> AsyncIterator[str]:
    for chunk in chunks:
        filled = [{"finish_reason": None, **choice} for choice in chunk["choices"]]
        yield f"data: {json.dumps({'model': 'of-the-engine', **chunk, 'choices': filled})}\n\n"
    yield end


def answer(body: dict[str, Any], request: Request) -> Any:
    """The usual engine."""
    del request
    if body.get("stream"):
        return StreamingResponse(sent(CHUNKS), media_type="text/event-stream")
    return COMPLETION


def engine_error(status: int, **fields: Any) -> Any:
    """An engine that refuses."""
    return lambda *_: JSONResponse({"error": {"code": status, **fields}}, status)
