"""The app: routes, what stands before them, and the services behind them for as long as it runs."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator

from fastapi import FastAPI

from needle_assets.endpoint.api import chat, files, jobs, models
from needle_assets.endpoint.api.errors import install_error_handlers
from needle_assets.endpoint.api.gate import Gate
from needle_assets.endpoint.api.storage import FileStore
from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.jobs.runner import Runner
from needle_assets.endpoint.services import RunnerFactory, open_services

_LOG = logging.getLogger(__name__)

_SWEEP_S = 60.0
"""Seconds between looks for files that expired."""


def create_app(
    config: EndpointConfig, *, make_runner: RunnerFactory = Runner, instance: str | None = None
) -> FastAPI:
    """The endpoint as an ASGI app; its services live from its start to its end.

    Args:
        config: all of its configuration.
        make_runner: what runs the jobs, where it is not the usual runner.
        instance: how /health names this server; None: something random.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(config, make_runner) as services:
            app.state.services = services
            app.state.files = FileStore(services.state, services.blobs)
            app.state.files.discard_unused()
            sweeping = asyncio.create_task(_sweep(app.state.files))
            try:
                yield
            finally:
                sweeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeping

    app = FastAPI(
        title="needle endpoint",
        lifespan=lifespan,
        redirect_slashes=False,
        # Pages without a key would be the only ones; the SDK needs none of them.
        openapi_url=None,
    )
    app.state.instance = instance or secrets.token_hex(8)
    install_error_handlers(app)
    app.add_middleware(Gate, config=config)
    for routes in (files, jobs, models, chat):
        app.include_router(routes.router)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "instance": app.state.instance}

    return app


async def _sweep(files: FileStore) -> None:
    while True:
        try:
            await asyncio.to_thread(files.sweep)
        except Exception:
            # A full disk now is no reason never to look again.
            _LOG.exception("files that expired could not be dropped")
        await asyncio.sleep(_SWEEP_S)
