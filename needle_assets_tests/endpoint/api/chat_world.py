"""The chat route over real HTTP, and behind it an engine that answers as a test says."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from openai import OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from needle_assets.endpoint.api import chat
from needle_assets.endpoint.api.errors import install_error_handlers
from needle_assets.endpoint.blobs import Blobs
from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.services import JobControl, Services
from needle_assets.endpoint.serving.pool import Pool
from needle_assets.endpoint.state import State
from needle_assets_tests.endpoint.serving.engines import Starter, config

Answerer = Callable[[dict[str, Any], Request], Any]
"""Makes an engine's answer: a Response, or the JSON of one, or a coroutine of either."""


@dataclass
class ScriptedEngine:
    """llama.cpp's side of HTTP."""

    answer: Answerer
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def app(self) -> ASGIApp:
        async def complete(request: Request) -> Response:
            body = await request.json()
            self.bodies.append(body)
            self.keys.append(request.headers.get("authorization", ""))
            answer = self.answer(body, request)
            if hasattr(answer, "__await__"):
                answer = await answer
            return answer if isinstance(answer, Response) else JSONResponse(answer)

        return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


@dataclass
class ChatWorld:
    """Both sides."""

    address: str
    engine: ScriptedEngine
    start: Starter
    state: State
    pool: Pool

    def client(self, **options: Any) -> OpenAI:
        options = {"max_retries": 0, "timeout": 30, **options}
        return OpenAI(base_url=f"{self.address}/v1", api_key="any", **options)

    def ask(self, **parameters: Any) -> Any:
        """One completion through the SDK; what it has no name for goes into the body."""
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], **parameters}
        known = {"model": body.pop("model"), "messages": body.pop("messages")}
        stream = body.pop("stream", False)
        client = cast(Any, self.client(timeout=120))
        return client.chat.completions.create(**known, stream=stream, extra_body=body)


@contextmanager
def chat_world(home: Path, answer: Answerer, **serving: Any) -> Iterator[ChatWorld]:
    """Serve for the length of the block. With ``upstream=True`` the engine is a vLLM server."""
    engine = ScriptedEngine(answer)
    with served(engine.app()) as engine_address:
        if upstream := serving.get("upstream"):
            address = f"{engine_address}/v1" if upstream is True else upstream
            serving |= {"upstream": address, "upstream_api_key": "key-of-vllm"}
        settings = config(home, **serving)
        state, start = State(home / "state.sqlite"), Starter(f"{engine_address}/v1")
        pool = Pool(settings, state, start=start)
        with served(chat_app(settings, state, pool)) as address:
            yield ChatWorld(address, engine, start, state, pool)
        state.close()


def chat_app(settings: EndpointConfig, state: State, pool: Pool) -> FastAPI:
    """The chat route and what it needs, no more. It closes the pool at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan)
    install_error_handlers(app)
    app.include_router(chat.router)
    app.state.services = Services(settings, state, cast(Blobs, None), pool, cast(JobControl, None))
    return app


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Its address, for the length of the block."""
    options = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)


def wait_for(condition: Callable[[], object]) -> None:
    """Return once it holds; fail if it does not in time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
