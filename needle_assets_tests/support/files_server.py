"""A scripted OpenAI-compatible /v1/files on a free loopback port, for tests over real HTTP.

It keeps what was uploaded in memory. Chat is `chat_server`'s.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FilesServer:
    """The running server and what it holds."""

    api_key: str
    base_url: str = ""
    refuse: str = ""
    """If set, uploads are answered 400 with this message."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def files_server(api_key: str = "test-key", *, paging: bool = True) -> Iterator[FilesServer]:
    """Run a `FilesServer` for the length of the block."""
    state = FilesServer(api_key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self._allowed():
                page = {"object": "list", "data": [*state.files.values()]}
                self._send(200, page | {"has_more": False} if paging else page)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self._allowed():
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
            file = {
                "id": f"file-{len(state.files)}",
                "object": "file",
                "bytes": len(content),
                "created_at": 0,
                "filename": fields["file"].get_filename(),
                "purpose": fields["purpose"].get_payload(decode=True).decode(),
                "status": "processed",
            }
            state.files[file["id"]] = file
            state.contents[file["id"]] = content
            self._send(200, file)

        def _allowed(self) -> bool:
            allowed = self.headers["Authorization"] == f"Bearer {state.api_key}"
            if not allowed:
                self._send(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
            return allowed

        def _send(self, status: int, value: object) -> None:
            payload = json.dumps(value).encode()
            self.send_response(status)
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
