"""The embedded server: it answers within its window, and never outlives whoever started it."""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.grammar import compact_grammar
from needle_assets.endpoint.serving.llamacpp import ServedModel, serve_llamacpp
from needle_assets.endpoint.serving.llamacpp_server import (
    Attention,
    ServerOptions,
    llama_parameters,
)
from needle_assets.settings import bundled_model
from needle_assets_tests.endpoint.serving.adapters import random_adapter

WINDOW = 512
KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def model() -> Path:
    path = bundled_model()
    if path is None:
        pytest.skip("the bundled model is not installed: it comes with the `local` extra")
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[ServedModel]:
    with serve_llamacpp(
        model, model_id="small", context_window=WINDOW, parallel=2, api_key=KEY
    ) as served:
        yield served


def post(server: ServedModel, body: dict[str, Any], key: str = KEY) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.base_url}/chat/completions",
        data=json.dumps({"model": server.model_id, "temperature": 0, **body}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return dict(json.load(response))


def with_context_length(model: Path, copy: Path, tokens: int) -> Path:
    """The model declaring another window: four bytes of its metadata."""
    content = bytearray(model.read_bytes())
    key = b"llama.context_length"
    # After the key come the type (4 bytes, 4 meaning uint32) and the value.
    at = content.index(key) + len(key)
    assert content[at : at + 8] == struct.pack("<II", 4, 8192)
    content[at + 4 : at + 8] = struct.pack("<I", tokens)
    copy.write_bytes(content)
    return copy


def logprobs(server: ServedModel, text: str, **body: Any) -> list[float]:
    """Of the likeliest first tokens of an answer, by token."""
    answer = post(
        server,
        {"messages": ask(text), "max_tokens": 1, "logprobs": True, "top_logprobs": 5, **body},
    )
    top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return [token["logprob"] for token in top]


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.model
def test_answers_in_the_schema_and_reuses_the_prefix(server: ServedModel) -> None:
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer"}},
        "required": ["year"],
        "additionalProperties": False,
    }
    facts = "ada brackwater was born in 1911 . bruno dunmere was born in 1932 . " * 4
    body = {
        "max_completion_tokens": 40,
        "response_format": {"type": "json_schema", "json_schema": {"name": "y", "schema": schema}},
    }

    first = post(server, {**body, "messages": ask(f"{facts}\nWhen was ada born?")})
    second = post(server, {**body, "messages": ask(f"{facts}\nWhen was bruno born?")})

    for answer in (first, second):
        content = json.loads(answer["choices"][0]["message"]["content"])
        assert content.keys() == {"year"}
        assert isinstance(content["year"], int)
        assert answer["model"] == "small"
    prompt_tokens = second["usage"]["prompt_tokens"]
    cached_tokens = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert prompt_tokens - 20 < cached_tokens < prompt_tokens


@pytest.mark.model
def test_guesses_do_not_depend_on_what_the_slot_answered_before(model: Path) -> None:
    names = ("ada brackwater", "bruno dunmere", "clara eastlake")
    facts = {name: f"{name} was born on 3 may 1911 in hull . " * 3 for name in names}
    keys = ("born_on_the_day", "born_in_the_month", "born_in_the_year")
    form = json.dumps(dict.fromkeys(keys, 0), separators=(",", ":"))
    schema = {
        "type": "object",
        "properties": {key: {"type": "integer"} for key in keys},
        "required": [*keys],
        "additionalProperties": False,
    }

    def guessed_right(served: ServedModel, name: str) -> int:
        question = f"Answer as in {form}. {facts[name]}When was {name} born?"
        grammar = compact_grammar(schema)
        body = {"messages": ask(question), "max_tokens": 60, "grammar": grammar}
        return int(post(served, body)["timings"]["draft_n_accepted"])

    with serve_llamacpp(model, model_id="s", context_window=WINDOW, api_key=KEY) as served:
        fresh = guessed_right(served, names[0])
        for name in names[1:]:
            guessed_right(served, name)
        again = guessed_right(served, names[0])

    assert fresh > 8
    assert again == fresh


@pytest.mark.model
@pytest.mark.parametrize(
    ("window", "asked", "device", "used"),
    [
        (8192, "auto", "CPU", "DISABLED"),
        (8193, "auto", "CPU", "AUTO"),
        (512, "auto", "GPU", "AUTO"),
        (512, "plain", "GPU", "DISABLED"),
        (512, "flash", "CPU", "ENABLED"),
    ],
)
def test_a_processor_reads_short_windows_with_the_plain_kernels(
    window: int, asked: Attention, device: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    xllamacpp = pytest.importorskip("xllamacpp", reason="it comes with the `local` extra")
    kind = getattr(xllamacpp.ggml_backend_dev_type, f"GGML_BACKEND_DEVICE_TYPE_{device}")
    monkeypatch.setattr(xllamacpp, "get_device_info", lambda: [{"type": kind}])
    options = ServerOptions("m.gguf", "m", window, 1, None, None, attention=asked)

    chosen = llama_parameters(options).flash_attn_type

    assert chosen == getattr(xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{used}")


@pytest.mark.model
def test_a_prompt_longer_than_the_window_is_an_error(server: ServedModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        post(server, {"messages": ask("word " * (WINDOW + 1)), "max_tokens": 1})

    assert error.value.code == 400
    assert f"exceeds the available context size ({WINDOW} tokens)" in error.value.read().decode()


@pytest.mark.model
def test_the_wrong_key_is_refused(server: ServedModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        post(server, {"messages": ask("hi"), "max_tokens": 1}, key="another")

    assert error.value.code == 401


@pytest.mark.model
def test_the_key_is_not_in_the_process_list(server: ServedModel) -> None:
    listed = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(server.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "llamacpp_server" in listed
    assert KEY not in listed


@pytest.mark.model
def test_the_process_ends_with_the_block_also_after_an_exception(model: Path) -> None:
    seen: list[int] = []

    def fail_while_it_runs() -> None:
        with serve_llamacpp(model, model_id="small", context_window=WINDOW) as served:
            os.kill(served.pid, 0)
            seen.append(served.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_it_runs()

    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


@pytest.mark.model
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits on processes of others: Linux")
@pytest.mark.parametrize("forks", [False, True], ids=["alone", "its fork holds the pipe open"])
def test_the_process_ends_when_its_parent_is_killed(model: Path, forks: bool) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from needle_assets.endpoint.serving.llamacpp import serve_llamacpp

        with serve_llamacpp(Path({str(model)!r}), model_id="m", context_window=256) as served:
            fork = os.fork() if {forks} else None
            if fork != 0:
                print(served.pid, fork or "", flush=True)
            signal.pause()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, *fork = map(int, parent.stdout.readline().split())
        watched = os.pidfd_open(pid)
        try:
            parent.kill()
            ended, _, _ = select.select([watched], [], [], 15)
        finally:
            os.close(watched)
            for left in fork:
                os.kill(left, signal.SIGKILL)

    assert ended, f"the server (process {pid}) outlived its parent"


@pytest.mark.model
def test_a_window_that_the_model_does_not_have_is_refused(model: Path) -> None:
    with (
        pytest.raises(EndpointError, match=r"gives 8192 tokens of context, 9000 were asked for"),
        serve_llamacpp(model, model_id="small", context_window=9000),
    ):
        pass


@pytest.mark.model
def test_a_smaller_window_is_served_where_that_is_allowed(model: Path, tmp_path: Path) -> None:
    small = with_context_length(model, tmp_path / "small.gguf", 512)

    with serve_llamacpp(small, model_id="s", context_window=1024, shrink=True) as served:
        assert served.context_window == 512
        assert served.alive()
    assert not served.alive()


@pytest.mark.model
def test_adapters_are_applied_by_request_and_leave_the_base_as_it_is(
    model: Path, tmp_path: Path
) -> None:
    adapters = [
        random_adapter(tmp_path / f"{seed}.gguf", width=576, blocks=30, seed=seed, size=0.3)
        for seed in (1, 2)
    ]
    question = "Name a colour."
    none, first, second = (
        {"lora": [{"id": number, "scale": scale}]}
        for number, scale in ((0, 0.0), (0, 1.0), (1, 1.0))
    )
    with serve_llamacpp(model, model_id="s", context_window=256, api_key=KEY) as alone:
        expected = logprobs(alone, question)

    with serve_llamacpp(
        model, model_id="s", context_window=256, api_key=KEY, adapters=adapters
    ) as served:
        unapplied = logprobs(served, question)
        tuned = [logprobs(served, question, **lora) for lora in (first, second, first)]
        # In the slot that an adapter just filled.
        base = logprobs(served, question, **none)

    assert unapplied == pytest.approx(expected, abs=1e-3)
    assert base == pytest.approx(expected, abs=1e-3)
    assert tuned[0] == pytest.approx(tuned[2], abs=1e-3)
    assert tuned[0] != pytest.approx(expected, abs=0.05)
    assert tuned[0] != pytest.approx(tuned[1], abs=0.05)


@pytest.mark.model
@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_a_stretched_model_answers_past_its_own_window(
    model: Path, tmp_path: Path, kind: Literal["linear", "yarn"]
) -> None:
    small = with_context_length(model, tmp_path / "small.gguf", 256)
    rope = Rope(kind=kind, factor=2, theta=100_000, original_context=256)
    prompt = ask("ada brackwater was born in 1911 . " * 30 + "When was ada born?")

    with (
        pytest.raises(EndpointError, match="gives 256 tokens of context, 512 were asked for"),
        serve_llamacpp(small, model_id="s", context_window=512),
    ):
        pass
    with serve_llamacpp(small, model_id="s", context_window=512, rope=rope, api_key=KEY) as served:
        answer = post(served, {"messages": prompt, "max_tokens": 8})

    assert served.context_window == 512
    assert 256 < answer["usage"]["prompt_tokens"] <= 512
    assert answer["usage"]["completion_tokens"] == 8


@pytest.mark.model
def test_linear_scaling_is_llama_cpps_own(model: Path) -> None:
    """The server says it in yarn's terms; llama.cpp's linear type must give the same numbers."""
    text = "ada brackwater was born in 1911 . bruno dunmere was born in 1932 . When was ada born?"
    rope = Rope(kind="linear", factor=2, theta=100_000, original_context=8192)
    script = """
        import json, sys
        from needle_assets.endpoint.serving import llamacpp_server
        from xllamacpp import llama_rope_scaling_type as types

        def stretch(parameters, kind, factor, theta, original_context):
            parameters.rope_scaling_type = types.LLAMA_ROPE_SCALING_TYPE_LINEAR
            parameters.rope_freq_scale = 0.5

        llamacpp_server._stretch = stretch
        llamacpp_server.main()
    """
    options = {
        "model_path": str(model),
        "model_id": "s",
        "context_window": 256,
        "parallel": 1,
        "threads": None,
        "api_key": KEY,
        "rope": rope.model_dump(),
    }
    with serve_llamacpp(model, model_id="s", context_window=256, rope=rope, api_key=KEY) as served:
        ours = logprobs(served, text)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(options).encode() + b"\n")
        process.stdin.flush()
        address = json.loads(process.stdout.readline())["address"]
        own = ServedModel(f"{address}/v1", "s", process.pid, 256, lambda: True)
        theirs = logprobs(own, text)
        process.kill()
    with serve_llamacpp(model, model_id="s", context_window=256, api_key=KEY) as served:
        plain = logprobs(served, text)

    assert ours == pytest.approx(theirs, abs=1e-3)
    assert ours != pytest.approx(plain, abs=0.05)


def test_a_missing_adapter_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    with (
        pytest.raises(EndpointError, match=r"gone\.gguf does not exist"),
        serve_llamacpp(
            tmp_path / "model.gguf",
            model_id="s",
            context_window=WINDOW,
            adapters=[tmp_path / "gone.gguf"],
        ),
    ):
        pass


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(EndpointError, match=r"absent\.gguf does not exist"),
        serve_llamacpp(tmp_path / "absent.gguf", model_id="small", context_window=WINDOW),
    ):
        pass


def test_without_xllamacpp_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with (
        pytest.raises(EndpointError, match="install the `local` extra"),
        serve_llamacpp(tmp_path / "model.gguf", model_id="small", context_window=WINDOW),
    ):
        pass


def test_a_file_that_is_no_model_is_an_error_with_the_log(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "model.gguf").write_text("no model")
    log = tmp_path / "logs" / "server.log"

    with (
        pytest.raises(EndpointError) as error,
        serve_llamacpp(
            tmp_path / "model.gguf", model_id="small", context_window=WINDOW, log_path=log
        ),
    ):
        pass

    assert "could not serve" in str(error.value)
    assert "failed to load model" in str(error.value)
    assert "failed to load model" in log.read_text()


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "model.gguf").write_text("no model")

    with (
        pytest.raises(EndpointError, match="it was not ready after 0.001 s"),
        serve_llamacpp(
            tmp_path / "model.gguf", model_id="s", context_window=256, startup_timeout_s=0.001
        ),
    ):
        pass
