"""The endpoint's process: one per home, from its start to its graceful end.

As a program it reads one JSON line from stdin (the configuration, keys included, which a command
line would show), answers with one JSON line on stdout (its address, or what is wrong), and serves.
"""

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from filelock import Timeout
from pydantic import BaseModel

from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.home import (
    Announcement,
    announce,
    only_server,
    starting,
    withdraw,
    without_keys,
)
from needle_assets.endpoint.leases import Leases

_REQUESTS_END_S = 5
"""What open requests have for ending when the server stops."""


class Orders(BaseModel):
    """The line on stdin."""

    config: EndpointConfig
    linger_s: float
    """Seconds that the server stays when nobody holds a lease any more."""
    wait_s: float
    """Seconds that an earlier server of the home has for ending."""


def serve(
    config: EndpointConfig,
    *,
    linger_s: float | None = None,
    wait_s: float = 0.0,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop within seconds; a job that trains goes on at the
    next start.

    Args:
        config: all of the configuration. Port 0 takes a free one.
        linger_s: end also this many seconds after the last lease of the home is gone; None: never.
        wait_s: how long an earlier server of the home has for ending.
        on_ready: called with the address, such as ``http://127.0.0.1:8600``, once requests are
            answered; None: print it.

    Raises:
        EndpointError: another server has the home, the port is taken, or a part cannot start.
    """
    from needle_assets.endpoint.api.app import create_app

    home = config.home.absolute()
    instance = secrets.token_hex(16)
    with only_server(home, wait_s=wait_s), _listening(config.host, config.port) as listening:
        address = _address(config.host, listening)

        def ready() -> None:
            about = without_keys(config)
            announce(
                home,
                Announcement(
                    address=address,
                    instance=instance,
                    pid=os.getpid(),
                    embedded=linger_s is not None,
                    config=about,
                ),
            )
            (on_ready or _print_address)(address)
            if linger_s is not None:
                watch = threading.Thread(
                    target=_end_unused, args=(server, home, linger_s), daemon=True
                )
                watch.start()

        settings = uvicorn.Config(
            create_app(config, instance=instance),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_REQUESTS_END_S,
        )
        server = _Server(settings, ready)
        with _surviving_signals(server):
            server.run([listening])
        if not server.answered:
            raise EndpointError(f"the endpoint of {home} could not start: its log says why")


def main() -> None:
    """Serve as the line on stdin orders."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Anything may print; stdout is for the one line that the starter waits for.
    report = os.dup(1)
    os.dup2(2, 1)
    # A starter may have been told to ignore it, which is inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def say(**line: str) -> None:
        # The starter may be gone: others may wait for the server all the same.
        with contextlib.suppress(BrokenPipeError):
            os.write(report, json.dumps(line).encode() + b"\n")
        os.close(report)

    orders = Orders.model_validate_json(sys.stdin.readline())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        serve(
            orders.config,
            linger_s=orders.linger_s,
            wait_s=orders.wait_s,
            on_ready=lambda address: say(address=address),
        )
    except EndpointError as error:
        say(error=str(error))
        sys.exit(1)


class _Server(uvicorn.Server):
    """A server that tells when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.answered = False
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.answered = True
            self._ready()


@contextlib.contextmanager
def _surviving_signals(server: uvicorn.Server) -> Iterator[None]:
    """Have a signal stop the server, and not end the process before all is closed.

    uvicorn raises a signal again when it is done, for whoever had it before: that is this block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, server.handle_exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_unused(server: uvicorn.Server, home: Path, linger_s: float) -> None:
    """End the server when nobody has held a lease for ``linger_s``."""
    leases = Leases(home)
    unused_since = None
    while not server.should_exit:
        now = time.monotonic()
        try:
            held = bool(leases.holders())
        except FileNotFoundError:
            # The home was deleted: nobody can come any more.
            server.should_exit = True
            break
        if held:
            unused_since = None
        elif unused_since is None:
            unused_since = now
        elif now - unused_since >= linger_s and _nobody_comes(home, leases):
            server.should_exit = True
        time.sleep(min(0.5, linger_s / 4))


def _nobody_comes(home: Path, leases: Leases) -> bool:
    """Withdraw the address, unless somebody is just about to use it."""
    try:
        with starting(home, timeout_s=0):
            if leases.holders():
                return False
            withdraw(home)
            return True
    except Timeout:
        return False


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise EndpointError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another one with "
            "--port, or 0 for any that is free"
        ) from None
    return listening


def _address(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _print_address(address: str) -> None:
    print(f"serving on {address}", flush=True)


if __name__ == "__main__":
    main()
