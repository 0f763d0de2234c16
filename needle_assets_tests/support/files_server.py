"""A scripted OpenAI-compatible /v1/files, and /v1/models, on a free loopback port, over real HTTP.

It keeps what was uploaded in memory. Chat is `chat_server`'s, jobs are `scripted_server`'s.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import unquote


@dataclass(frozen=True)
class Fault:
    """One upload that goes wrong."""

    kind: Literal["cut", "answer lost", "half kept", "status"]
    """``cut``: the connection ends with half of the body read. ``answer lost``: the file is kept,
    then the connection ends. ``half kept``: the answer tells of half the bytes."""
    status: int = 500
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FilesServer:
    """The running server and what it holds."""

    api_key: str
    base_url: str = ""
    any_key: bool = False
    """Whether it takes every key."""
    refuse: str = ""
    """If set, uploads are answered 400 with this message."""
    faults: list[Fault] = field(default_factory=list)
    """What happens to the next uploads, one each; then all goes well."""
    attempts: int = 0
    """Uploads that arrived or broke off."""
    deleted: list[str] = field(default_factory=list)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further fields of each model, by its id."""
    lists_models_alone: bool = False
    """Whether a model can be asked for only in the list of all."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def files_server(api_key: str = "test-key", *, paging: bool = True) -> Iterator[FilesServer]:
    """Run a `FilesServer` for the length of the block."""
    state = FilesServer(api_key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self._allowed():
                return
            if self.path.startswith("/v1/models"):
                self._models(unquote(self.path.removeprefix("/v1/models").lstrip("/")))
                return
            page = {"object": "list", "data": [*state.files.values()]}
            self._send(200, page | {"has_more": False} if paging else page)

        def _models(self, name: str) -> None:
            models = {
                key: {"id": key, "object": "model", "created": 0, "owned_by": "test", **fields}
                for key, fields in state.models.items()
            }
            if not name:
                self._send(200, {"object": "list", "data": [*models.values()]})
            elif name in models and not state.lists_models_alone:
                self._send(200, models[name])
            else:
                code = None if state.lists_models_alone else "model_not_found"
                self._send(404, {"error": {"message": f"no {name}", "code": code}})

        def do_POST(self) -> None:
            state.attempts += 1
            fault = state.faults.pop(0) if state.faults else None
            length = int(self.headers["Content-Length"])
            if fault and fault.kind == "cut":
                self.rfile.read(length // 2)
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if not self._allowed():
                return
            if fault and fault.kind == "status":
                error = {"message": f"scripted {fault.status}", "code": fault.code}
                self._send(fault.status, {"error": error}, fault.headers)
                return
            if state.refuse:
                self._send(400, {"error": {"message": state.refuse, "code": None}})
                return
            kind = self.headers["Content-Type"].encode()
            parts = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body, policy=HTTP)
            fields = {
                part.get_param("name", header="content-disposition"): part
                for part in parts.iter_parts()
            }
            content = fields["file"].get_payload(decode=True)
            if fault and fault.kind == "half kept":
                content = content[: len(content) // 2]
            file = {
                "id": f"file-{state.attempts - 1}",
                "object": "file",
                "bytes": len(content),
                "created_at": 0,
                "filename": fields["file"].get_filename(),
                "purpose": fields["purpose"].get_payload(decode=True).decode(),
                "status": "processed",
            }
            state.files[file["id"]] = file
            state.contents[file["id"]] = content
            if fault and fault.kind == "answer lost":
                self.close_connection = True
                return
            self._send(200, file)

        def do_DELETE(self) -> None:
            if self._allowed():
                file_id = self.path.rpartition("/")[2]
                state.files.pop(file_id, None)
                state.deleted.append(file_id)
                self._send(200, {"id": file_id, "object": "file", "deleted": True})

        def _allowed(self) -> bool:
            given = self.headers["Authorization"]
            allowed = state.any_key or given == f"Bearer {state.api_key}"
            if not allowed:
                self._send(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
            return allowed

        def _send(
            self, status: int, value: object, headers: Mapping[str, str] = MappingProxyType({})
        ) -> None:
            payload = json.dumps(value).encode()
            self.send_response(status)
            for name, said in headers.items():
                self.send_header(name, said)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
