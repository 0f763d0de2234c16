"""The script of the README, as it stands there, against `needle endpoint serve`'s server."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from needle_assets_tests.endpoint.jobs.world import lines
from needle_assets_tests.support.fake_trainer import fake_trainer
from needle_assets_tests.support.waiting import until

ROOT = Path(__file__).parents[2]
BASE = "SmolLM2-135M-Instruct"
KEY = "key-of-the-reader"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The only Python block of the README's section on the endpoint, in a folder with its file."""
    section = (ROOT / "README.md").read_text().split("### Our own endpoint")[1].split("\n###")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(code.splitlines()) <= 30
    path = tmp_path / "script.py"
    path.write_text(code)
    (tmp_path / "train.jsonl").write_bytes(lines(10))
    return path


@contextmanager
def upstream() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat server that knows every model: its base_url, and the bodies that it was sent."""
    bodies: list[dict[str, Any]] = []

    async def complete(request: Request) -> JSONResponse:
        bodies.append(await request.json())
        said = {"role": "assistant", "content": "A needle."}
        return JSONResponse(
            {
                "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3},
            }
        )

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, what="the upstream's start")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1", bodies
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@contextmanager
def endpoint(folder: Path, upstream_url: str) -> Iterator[str]:
    """`needle endpoint serve` with a trainer that learns nothing: its address."""
    (folder / "weights").mkdir()
    config = folder / "endpoint.toml"
    config.write_text(
        f"""
        [models."{BASE}"]
        weights = "{folder / "weights"}"
        [training]
        python = "{fake_trainer(folder / "trainer", steps=3)}"
        [serving]
        upstream = "{upstream_url}"
        """
    )
    command = [str(Path(sys.executable).with_name("needle")), "endpoint", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--home", str(folder / "home"), "--config", str(config)],
        cwd=folder,
        env={**os.environ, "NEEDLE_ENDPOINT_API_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait(timeout=60)


def run(script: Path, address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script.name],
        cwd=script.parent,
        env={**os.environ, "ENDPOINT": f"{address}/v1", "NEEDLE_ENDPOINT_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_readmes_script_uploads_tunes_and_chats(script: Path, tmp_path: Path) -> None:
    with upstream() as (url, bodies), endpoint(tmp_path, url) as address:
        done = run(script, address)

        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()[-1]
        assert re.fullmatch(rf"ft:{BASE}:mine:[0-9a-f]{{8}} says: A needle\.", said)
        assert [body["model"] for body in bodies] == [said.split()[0]]

        (tmp_path / "train.jsonl").write_bytes(lines(9))
        refused = run(script, address)

        assert refused.returncode == 1
        assert "9 good examples where at least 10 are needed" in refused.stderr
