"""llama.cpp's own server in a process of its own, for as long as a block runs.

It starts, checks and ends the process; what the server is told is in `llamacpp_server`, and who
asks it what is decided elsewhere.
"""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.llamacpp_server import Attention, ServerOptions

__all__ = ["EndpointError", "ServedModel", "serve_llamacpp"]

_PROPS_TIMEOUT_S = 30
_END_TIMEOUT_S = 5

_LOG_TAIL = 12
"""Lines of the server's log that an error message ends with."""


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model that answers now."""

    base_url: str
    """Ends in /v1."""
    model_id: str
    pid: int
    """The server's process."""
    context_window: int
    """Tokens of prompt and answer together."""
    alive: Callable[[], bool]
    """Whether the process is still there."""


@contextmanager
def serve_llamacpp(
    model_path: Path,
    *,
    model_id: str,
    context_window: int,
    parallel: int = 1,
    threads: int | None = None,
    log_path: Path | None = None,
    api_key: str | None = None,
    startup_timeout_s: float = 120.0,
    adapters: Sequence[Path] = (),
    rope: Rope | None = None,
    shrink: bool = False,
    prefix_cache: bool = True,
    attention: Attention = "auto",
) -> Iterator[ServedModel]:
    """Serve a GGUF model on a free loopback port for the length of the block.

    The process ends with the block, and with this process when that is killed. A prompt that
    shares its beginning with the last one of its slot is computed from where they differ; with one
    slot, send prompts of one prefix in a row.

    Args:
        model_path: the GGUF file.
        model_id: the name it is served under.
        context_window: tokens of prompt and answer together; a longer prompt is answered HTTP 400.
        parallel: requests computed at a time, each with a window of its own.
        threads: computing threads; None: as many as there are physical cores.
        log_path: file that the server's log is appended to.
        api_key: the key that the server asks for; None: none.
        startup_timeout_s: how long loading the model may take.
        adapters: GGUF adapters of this model. None is applied unless a request says so:
            ``"lora": [{"id": 0, "scale": 1.0}]`` in its body, the id being the place in this list.
            Requests for the model itself must say ``"scale": 0.0``: without any list, llama.cpp
            reuses the prompt cache that another request's adapter filled.
        rope: how positions are stretched; the window may then be larger than the model's own.
        shrink: where the model's own window is smaller than asked for, serve that.
        prefix_cache: False computes every prompt whole.
        attention: the kernels; auto takes what is faster for questions about one long prompt.

    Raises:
        EndpointError: a model file or xllamacpp is missing, the model or an adapter cannot be
            loaded or does not have that window, or loading takes too long.
    """
    for path in (model_path, *adapters):
        if not path.is_file():
            raise EndpointError(f"the model file {path} does not exist; name a GGUF file")
    if importlib.util.find_spec("xllamacpp") is None:
        raise EndpointError(
            "serving a GGUF model needs the package xllamacpp: install the `local` extra"
        )
    options = ServerOptions(
        str(model_path.absolute()),
        model_id,
        context_window,
        parallel,
        threads,
        api_key,
        [str(path.absolute()) for path in adapters],
        rope.model_dump() if rope else None,
        prefix_cache,
        attention,
    )
    with _open_log(log_path) as log:
        start = log.seek(0, 2)
        process = subprocess.Popen(
            [sys.executable, "-m", "needle_assets.endpoint.serving.llamacpp_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Unbuffered: closing a pipe whose reader is gone has nothing left to write.
            bufsize=0,
        )
        try:
            try:
                address = _started(process, options, startup_timeout_s)
            except EndpointError as error:
                log.seek(start)
                raise EndpointError(f"{error}{_tail(log.read())}") from None
            window = _window(address, options, shrink=shrink)
            yield ServedModel(
                f"{address}/v1", model_id, process.pid, window, lambda: process.poll() is None
            )
        finally:
            _end(process)


def _open_log(path: Path | None) -> IO[bytes]:
    if path is None:
        return tempfile.TemporaryFile()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab+")


def _tail(log: bytes) -> str:
    lines = log.decode("utf-8", "replace").strip().splitlines()[-_LOG_TAIL:]
    return "\n".join([". Its log ends with:", *lines]) if lines else ""


def _started(process: subprocess.Popen[bytes], options: ServerOptions, timeout_s: float) -> str:
    """Hand over the options and wait for the server's address."""
    stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
    begun = time.monotonic()
    deadline = threading.Timer(timeout_s, process.kill)
    deadline.start()
    try:
        stdin.write(json.dumps(dataclasses.asdict(options)).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
    except BrokenPipeError:
        line = b""
    finally:
        deadline.cancel()
    reply: dict[str, str] = json.loads(line or "{}")
    if "address" in reply:
        return reply["address"]
    what = f"llama.cpp could not serve {options.model_path}"
    if "error" in reply:
        raise EndpointError(
            f"{what} with a context window of {options.context_window} tokens: {reply['error']}"
        )
    if time.monotonic() - begun >= timeout_s:
        raise EndpointError(f"{what}: it was not ready after {timeout_s:g} s")
    raise EndpointError(f"{what}: its process ended with status {process.wait()}")


def _window(address: str, options: ServerOptions, *, shrink: bool) -> int:
    """Tokens a request gets. llama.cpp gives less than was asked for in silence: refuse that."""
    request = urllib.request.Request(
        f"{address}/props", headers={"Authorization": f"Bearer {options.api_key}"}
    )
    # A proxy set for the internet cannot reach a server on this machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=_PROPS_TIMEOUT_S) as response:
            window = int(json.load(response)["default_generation_settings"]["n_ctx"])
    except (OSError, ValueError, KeyError) as error:
        raise EndpointError(
            f"the server of {options.model_path} does not answer: {error}"
        ) from None
    # llama.cpp rounds up to what its kernels like.
    if window < options.context_window and not shrink:
        raise EndpointError(
            f"{options.model_path} gives {window} tokens of context, {options.context_window} were "
            f"asked for: the model was trained with no more; ask for {window} at most"
        )
    return window


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
