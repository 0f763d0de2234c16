"""The endpoint for the length of a block: one server for all, gone soon after the last of them."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import openai
import psutil
import pytest

from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig, ServingConfig
from needle_assets.endpoint.embedded import RunningEndpoint, embedded_endpoint
from needle_assets.endpoint.errors import EndpointError
from needle_assets_tests.support.waiting import until

LINGER_S = 0.4


@pytest.fixture
def config(tmp_path: Path) -> Iterator[EndpointConfig]:
    weights = tmp_path / "base.gguf"
    weights.write_bytes(b"GGUF")
    config = EndpointConfig(
        home=tmp_path / "home", auth="off", models={"small": BaseModelConfig(gguf=weights)}
    )
    yield config
    until(lambda: not servers_of(config), what="the end of all servers")


def servers_of(config: EndpointConfig) -> list[int]:
    """The server processes that have a file of the home open."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "needle_assets.endpoint.serve" in (process.info["cmdline"] or []):
            try:
                files = [file.path for file in process.open_files()]
            except psutil.Error:
                continue
            if any(path.startswith(f"{config.home}/") for path in files):
                found.append(process.pid)
    return found


def models(endpoint: RunningEndpoint) -> list[str]:
    with openai.OpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0, timeout=30,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:  # fmt: skip
        return [model.id for model in client.models.list()]


@contextmanager
def holder(config: EndpointConfig) -> Iterator[subprocess.Popen[str]]:
    """Another process that is inside a block until it is told or killed; its line: where."""
    script = f"""
        import sys
        from needle_assets.endpoint.config import EndpointConfig
        from needle_assets.endpoint.embedded import embedded_endpoint

        config = EndpointConfig.model_validate_json(sys.argv[1])
        with embedded_endpoint(config, linger_s={LINGER_S}) as endpoint:
            print(endpoint.base_url, endpoint.api_key, flush=True)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), config.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> RunningEndpoint:
    assert process.stdout is not None
    return RunningEndpoint(*process.stdout.readline().split())


def test_blocks_share_a_server_that_ends_after_the_last_one(
    config: EndpointConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with embedded_endpoint(config, linger_s=LINGER_S) as outer:
        with embedded_endpoint(config, linger_s=LINGER_S) as inner:
            assert models(inner) == ["small"]
        (server,) = servers_of(config)
        assert inner == outer
        assert outer.base_url.endswith("/v1")
        assert models(outer) == ["small"]
        with pytest.raises(openai.AuthenticationError):
            models(RunningEndpoint(outer.base_url, "another key"))
        key = config.home / "api_key"
        assert key.read_text().strip() == outer.api_key
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert outer.api_key not in " ".join(psutil.Process(server).cmdline())
        assert outer.api_key not in (config.home / "server.json").read_text()
        assert (config.home / "server.log").exists()

    until(lambda: not psutil.pid_exists(server), what="the server's end")
    assert not (config.home / "server.json").exists()


def test_two_that_start_at_once_have_one_server_which_outlives_the_one_that_started_it(
    config: EndpointConfig,
) -> None:
    with holder(config) as one, holder(config) as other:
        assert said(one) == (endpoint := said(other))
        (server,) = servers_of(config)

        one.kill()
        one.wait()
        assert models(endpoint) == ["small"]
        other.kill()
        other.wait()

        until(lambda: not psutil.pid_exists(server), what="the server's end")


@contextmanager
def somebody_else() -> Iterator[int]:
    """A web server that has nothing to do with us: its port."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "instance": "another"}')

        def log_message(self, *_: object) -> None:
            """Keep the test output quiet."""

    with HTTPServer(("127.0.0.1", 0), Health) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield web.server_port
        web.shutdown()
        thread.join()


def test_the_address_of_a_killed_server_is_not_believed(config: EndpointConfig) -> None:
    with somebody_else() as port:
        with embedded_endpoint(config, linger_s=60) as first:
            (server,) = servers_of(config)
            os.kill(server, signal.SIGKILL)
            address = config.home / "server.json"
            stale = json.loads(address.read_text()) | {"address": f"http://127.0.0.1:{port}"}
            address.write_text(json.dumps(stale))

        with embedded_endpoint(config, linger_s=LINGER_S) as second:
            assert str(port) not in second.base_url
            assert second.api_key == first.api_key
            assert models(second) == ["small"]


def test_other_settings_replace_a_server_that_nobody_uses_and_are_refused_where_it_is_used(
    config: EndpointConfig,
) -> None:
    changed = config.model_copy(update={"serving": ServingConfig(window=1024, parallel=2)})
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with (
            embedded_endpoint(config, linger_s=60),
            pytest.raises(
                EndpointError,
                match=rf"runs with other settings \(serving.parallel, serving.window\) for process "
                rf"{os.getpid()}: wait until nobody uses it",
            ),
            embedded_endpoint(changed),
        ):
            pass
        (first,) = servers_of(config)

        with embedded_endpoint(changed, linger_s=LINGER_S) as endpoint:
            (second,) = servers_of(config)
            assert second != first
            assert models(endpoint) == ["small"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_server_that_cannot_start_says_why_and_leaves_no_process(config: EndpointConfig) -> None:
    config.home.mkdir()
    (config.home / "state.sqlite").write_text("no database" * 100)

    with (
        pytest.raises(EndpointError, match=r"could not start: (?s:.*)file is not a database"),
        embedded_endpoint(config),
    ):
        pass

    assert servers_of(config) == []


def test_a_server_whose_home_was_deleted_ends(config: EndpointConfig) -> None:
    with embedded_endpoint(config, linger_s=2):
        (server,) = servers_of(config)
        shutil.rmtree(config.home)

        until(lambda: not psutil.pid_exists(server), what="the server's end")
