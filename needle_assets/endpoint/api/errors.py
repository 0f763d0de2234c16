"""Errors in OpenAI's shape, so that its SDK raises its own classes. What goes wrong is elsewhere.

Every answer that is not a success is {"error": {"message", "type", "param", "code"}}.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_TYPES = {429: "rate_limit_error"}
"""Types of errors by status; other 4xx are invalid_request_error, other 5xx server_error."""

_LONGEST_MESSAGE = 2000


class ApiError(HTTPException):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        message: what is wrong and what to do. It never holds a key.
        type: OpenAI's type of error; None: the usual one of the status.
        code: OpenAI's code, for programs.
        param: the request's parameter that is at fault.
        headers: of the answer, such as Retry-After.
    """

    # Not an exception of its own line: FastAPI answers any other one that is raised while it
    # reads a body with its own "error parsing the body".

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.message = message
        self.type = type or _TYPES.get(
            status, "server_error" if status >= 500 else "invalid_request_error"
        )
        self.code = code
        self.param = param


def error_body(error: ApiError) -> dict[str, dict[str, str | None]]:
    """The body of the answer."""
    return {
        "error": {
            "message": clipped(error.message, _LONGEST_MESSAGE),
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def error_response(error: ApiError) -> JSONResponse:
    """The whole answer."""
    return JSONResponse(error_body(error), error.status_code, headers=error.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Have the framework's own errors (bad bodies, unknown paths and methods) look the same."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(StarletteHTTPException, _on_http)


def clipped(text: str, longest: int = 200) -> str:
    """Text of a client as it may stand in a message."""
    return text if len(text) <= longest else f"{text[:longest]}..."


async def _on_http(request: Request, raised: Exception) -> Response:
    error = cast(StarletteHTTPException, raised)
    if isinstance(error, ApiError):
        return error_response(error)
    url = f"{request.method} {clipped(request.url.path)}"
    if error.status_code == 404:
        shown = ApiError(404, f"Invalid URL ({url})", code="unknown_url")
    elif error.status_code == 405:
        shown = ApiError(
            405, f"Not allowed: {url}", code="method_not_allowed", headers=error.headers
        )
    else:
        message = str(error.detail)
        if message == "There was an error parsing the body":
            message = "The body could not be read as JSON in UTF-8."
        shown = ApiError(error.status_code, message, headers=error.headers)
    return error_response(shown)


async def _on_validation(_: Request, raised: Exception) -> Response:
    first = cast(RequestValidationError, raised).errors()[0]
    # The first part is where it was: body, query or path.
    inner = first["loc"][1:]
    kind, param = first["type"], _dotted(inner)
    if kind == "json_invalid":
        detail = first.get("ctx", {}).get("error", "")
        shown = ApiError(400, f"The body is not JSON: {detail} at character {inner[0]}.")
    elif not param and kind == "value_error":
        # Of several parameters together.
        message = str(first["msg"]).removeprefix("Value error, ")
        shown = ApiError(400, f"{message}.", code="invalid_value")
    elif not param:
        shown = ApiError(
            400,
            "The body must be a JSON object, sent with Content-Type: application/json.",
        )
    elif kind == "missing":
        shown = ApiError(
            400,
            f"Missing required parameter: '{param}'.",
            code="missing_required_parameter",
            param=param,
        )
    elif kind == "extra_forbidden":
        shown = ApiError(
            400,
            f"Unknown parameter: '{clipped(param)}'.",
            code="unknown_parameter",
            param=clipped(param),
        )
    else:
        # The value itself is not repeated: it may be anything, a secret too.
        message = str(first["msg"]).removeprefix("Value error, ")
        shown = ApiError(
            400,
            f"Invalid value for '{clipped(param)}': {message}.",
            code="invalid_value",
            param=clipped(param),
        )
    return error_response(shown)


def _dotted(parts: Sequence[object]) -> str:
    return ".".join(str(part) for part in parts)
