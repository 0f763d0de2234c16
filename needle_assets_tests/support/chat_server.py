"""A scripted OpenAI-compatible chat server on a free loopback port, for tests over real HTTP.

    with chat_server(lambda request: Reply('{"answer": 1}')) as server:
        client = OpenAI(base_url=server.base_url, api_key=server.api_key)

The reply function sees each request and returns one `Reply`; it runs in the request's own thread,
so a test may block in it (a barrier, an event) to steer who waits for whom. It holds no model.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class ChatRequest:
    """One request to /v1/chat/completions as it arrived."""

    index: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body["messages"])

    @property
    def user(self) -> str:
        """The last user message."""
        return next(str(m["content"]) for m in reversed(self.messages) if m["role"] == "user")


@dataclass(frozen=True)
class Reply:
    """What the server answers. A status other than 200 makes it an error body.

    `delay_s` holds the answer back; closing the server ends the wait at once, so a client's
    timeout can be tested without anybody sleeping. `hang_up` closes the connection unanswered.
    `raw` replaces the whole body of the answer.
    """

    content: str | None = None
    refusal: str | None = None
    finish_reason: str = "stop"
    status: int = 200
    error_code: str | None = None
    error_message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    fingerprint: str | None = "fp_scripted"
    delay_s: float = 0.0
    hang_up: bool = False
    raw: bytes | None = None


ReplyFunction = Callable[[ChatRequest], Reply]


class ChatServer:
    """The running server: `base_url`, `api_key`, what was asked so far, and the reply function.

    `reply` may be exchanged at any time. A request with another key than `api_key` is answered
    401 with that key in the message (as some servers do); a model outside `models` is answered
    404 with code `model_not_found`. Both are counted and recorded like any other request.
    """

    def __init__(
        self, reply: ReplyFunction, api_key: str = "test-key", models: tuple[str, ...] | None = None
    ) -> None:
        self.reply = reply
        self.api_key = api_key
        self.models = models
        self.requests: list[ChatRequest] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def count(self) -> int:
        """Chat requests so far, failed ones included."""
        return len(self.requests)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]

    def close(self) -> None:
        """Stop listening: from now on the port refuses connections."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Record the request and find its reply. Called by the HTTP layer."""
        with self._lock:
            request = ChatRequest(len(self.requests), body, headers)
            self.requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            reply = self._checked(request)
            if reply.delay_s:
                self._closing.wait(reply.delay_s)
            return reply
        finally:
            with self._lock:
                self._in_flight -= 1

    def _checked(self, request: ChatRequest) -> Reply:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given != self.api_key:
            message = f"Incorrect API key provided: {given}"
            return Reply(status=401, error_code="invalid_api_key", error_message=message)
        model = request.body.get("model")
        if self.models is not None and model not in self.models:
            message = f"The model `{model}` does not exist"
            return Reply(status=404, error_code="model_not_found", error_message=message)
        return self.reply(request)


@contextmanager
def chat_server(
    reply: ReplyFunction, api_key: str = "test-key", models: tuple[str, ...] | None = None
) -> Iterator[ChatServer]:
    """Run a `ChatServer` for the length of the block."""
    server = ChatServer(reply, api_key, models)
    try:
        yield server
    finally:
        server.close()


class _Http(ThreadingHTTPServer):
    # Clients keep connections open: closing must not wait for them.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], chat: ChatServer) -> None:
        self.chat = chat
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self._send(404, _error("no such page", None))
            return
        models = [{"id": name, "object": "model"} for name in self.server.chat.models or ()]
        self._send(200, _json({"object": "list", "data": models}))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != CHAT_PATH:
            self._send(404, _error("no such page", None))
            return
        body = json.loads(raw)
        reply = self.server.chat.answer(body, {k.lower(): v for k, v in self.headers.items()})
        if reply.hang_up:
            self.close_connection = True
            return
        if reply.raw is not None:
            payload = reply.raw
        elif reply.status == 200:
            payload = _json(_completion(body, reply))
        else:
            payload = _error(reply.error_message, reply.error_code)
        self._send(reply.status, payload, reply.headers)

    def _send(self, status: int, payload: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)
        except (BrokenPipeError, ConnectionResetError):
            # The client gave up waiting, which is what such a test wants.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output quiet."""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _error(message: str, code: str | None) -> bytes:
    return _json({"error": {"message": message, "type": "scripted", "param": None, "code": code}})


def _completion(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    prompt_tokens = sum(len(str(m.get("content", "")).split()) for m in body["messages"])
    completion_tokens = len((reply.content or "").split())
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "system_fingerprint": reply.fingerprint,
        "choices": [
            {
                "index": 0,
                "finish_reason": reply.finish_reason,
                "message": {
                    "role": "assistant",
                    "content": reply.content,
                    "refusal": reply.refusal,
                },
            }
        ],
        "usage": reply.usage
        or {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
