"""An engine's answer as OpenAI's: whole, or chunk by chunk. Only what OpenAI says is kept."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_FINISHED = frozenset(["stop", "length", "content_filter", "tool_calls"])


@dataclass(frozen=True)
class Envelope:
    """What an answer says about itself."""

    model: str
    """As it was asked for."""
    fingerprint: str | None
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, answer: Mapping[str, Any]) -> Json:
        """A whole answer.

        Raises:
            KeyError, TypeError, ValueError: the engine's answer is not a chat completion.
        """
        (choice,) = answer["choices"]
        said = choice["message"]
        message: Json = {
            "role": "assistant",
            "content": said["content"],
            "refusal": said.get("refusal"),
            "annotations": [],
        }
        if said.get("reasoning_content"):
            message["reasoning_content"] = said["reasoning_content"]
        return {
            **self._head("chat.completion", answer),
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": _logprobs(choice.get("logprobs")),
                    "finish_reason": _finish_reason(choice["finish_reason"]),
                }
            ],
            "usage": _usage(answer["usage"]),
        }

    def chunk(self, part: Mapping[str, Any], *, with_usage: bool) -> Json | None:
        """A piece of a streamed answer; None for one that says nothing to this client.

        Raises:
            KeyError, TypeError, ValueError: it is not a piece of a chat completion.
        """
        choices = [
            {
                "index": 0,
                "delta": {
                    name: value or ""
                    for name, value in choice["delta"].items()
                    if name in ("role", "content", "refusal", "reasoning_content")
                    and (value is not None or name == "content")
                },
                "logprobs": _logprobs(choice.get("logprobs")),
                "finish_reason": choice["finish_reason"]
                and _finish_reason(choice["finish_reason"]),
            }
            for choice in part["choices"]
        ]
        usage = part.get("usage")
        if not choices and not (usage and with_usage):
            return None
        chunk: Json = {**self._head("chat.completion.chunk", part), "choices": choices}
        if with_usage:
            chunk["usage"] = None if choices else _usage(usage or {})
        return chunk

    def _head(self, kind: str, answer: Mapping[str, Any]) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint or answer.get("system_fingerprint"),
        }


def event(data: Mapping[str, Any] | str) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def _finish_reason(reason: str) -> str:
    return reason if reason in _FINISHED else "stop"


def _usage(usage: Mapping[str, Any]) -> Json:
    prompt, completion = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": int(cached), "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprobs(logprobs: Mapping[str, Any] | None) -> Json | None:
    if not logprobs or logprobs.get("content") is None:
        return None
    return {
        "content": [
            {
                **_token(token),
                "top_logprobs": [_token(other) for other in token.get("top_logprobs") or []],
            }
            for token in logprobs["content"]
        ],
        "refusal": None,
    }


def _token(token: Mapping[str, Any]) -> Json:
    return {name: token.get(name) for name in ("token", "logprob", "bytes")}
