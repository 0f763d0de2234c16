"""What every request passes first: a name, the key, the size of its body. It knows no route.

This is a middleware because FastAPI reads a body before it asks its dependencies: a client
without the key shall not have megabytes read.
"""

import asyncio
import hmac
import logging
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from needle_assets.endpoint.api.errors import ApiError, error_response
from needle_assets.endpoint.config import EndpointConfig

_LOG = logging.getLogger(__name__)

_OPEN_PATHS = frozenset(["/health"])
_UPLOAD = ("POST", "/v1/files")

MULTIPART_BYTES = 64 * 1024
"""What boundaries, headers and fields of an upload may take beside the file."""

_LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])


class Gate:
    """The middleware around the whole app."""

    def __init__(self, app: ASGIApp, config: EndpointConfig) -> None:
        self.app = app
        self._key = config.api_key.get_secret_value().encode() if config.auth == "key" else None
        self._body_bytes = config.limits.chat_bytes
        self._upload_bytes = config.limits.file_bytes + MULTIPART_BYTES
        self._stall_s = config.limits.upload_stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it raises."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(16)}"
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            headers = Headers(scope=scope)
            if scope["path"] not in _OPEN_PATHS:
                self._authenticate(headers)
            limited = self._limited(scope, headers, receive)
            await self.app(scope, limited, send_named)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return
        except ApiError as error:
            if not started:
                await error_response(error)(scope, receive, send_named)
        except Exception:
            _LOG.exception("request %s (%s %r)", request_id, scope["method"], scope["path"])
            if started:
                raise
            fault = ApiError(
                500,
                "The server had an error while processing your request; its log says more under "
                f"{request_id}.",
            )
            await error_response(fault)(scope, receive, send_named)

    def _authenticate(self, headers: Headers) -> None:
        if self._key is None:
            _check_origin(headers)
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        challenge = {"WWW-Authenticate": "Bearer"}
        if scheme.lower() != "bearer" or not given.strip():
            raise ApiError(
                401,
                "You didn't provide an API key. Send it as a header: Authorization: Bearer KEY.",
                code="invalid_api_key",
                headers=challenge,
            )
        # Starlette reads headers as Latin-1; the key may be of any letters.
        if not hmac.compare_digest(given.strip().encode("latin-1"), self._key):
            raise ApiError(
                401,
                "Incorrect API key provided. It is the one that the endpoint was started with.",
                code="invalid_api_key",
                headers=challenge,
            )

    def _limited(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        upload = (scope["method"], scope["path"]) == _UPLOAD
        largest = self._upload_bytes if upload else self._body_bytes
        too_large = ApiError(
            413,
            f"The request is larger than {largest} bytes, the most that this endpoint takes"
            + (" for an upload." if upload else "."),
            code="request_too_large",
            param="file" if upload else None,
        )
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise ApiError(400, "Content-Length is not a number.")
        # Python itself refuses to read numbers of thousands of digits.
        if len(length) > 18 or int(length) > largest:
            raise too_large
        arrived, whole = 0, False

        async def receive_limited() -> Message:
            nonlocal arrived, whole
            try:
                # Behind the body there is only the client's end to be told, whenever that is.
                async with asyncio.timeout(None if whole else self._stall_s):
                    message = await receive()
            except TimeoutError:
                what = "upload" if upload else "request"
                raise ApiError(
                    408, f"The {what} stood still for {self._stall_s:g} s; nothing of it was kept."
                ) from None
            if message["type"] == "http.request":
                whole = not message.get("more_body", False)
                arrived += len(message.get("body", b""))
                if arrived > largest:
                    raise too_large
            return message

        return receive_limited


def _check_origin(headers: Headers) -> None:
    """Without a key, keep out what a browser sends for a page of somebody else's."""
    # A page may post to 127.0.0.1, or have its own name lead there (DNS rebinding): both show in
    # headers that a page cannot set.
    for name, value in (
        ("Host", f"//{headers.get('host', 'localhost')}"),
        ("Origin", headers.get("origin", "http://localhost")),
    ):
        if _hostname(value) not in _LOOPBACK_NAMES:
            raise ApiError(
                403,
                f"This endpoint runs without a key, so it answers this machine alone: {name} must "
                "name localhost. Start it with a key to reach it otherwise.",
                code="forbidden_origin",
            )


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
