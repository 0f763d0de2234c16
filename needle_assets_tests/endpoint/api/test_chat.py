"""/v1/chat/completions through OpenAI's SDK: what comes back, and what an engine is asked."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from needle_assets_tests.endpoint.api.chat_world import ChatWorld, chat_world, wait_for
from needle_assets_tests.endpoint.serving.engines import tune

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "total_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 5},
}

COMPLETION = {
    "id": "of-the-engine",
    "object": "chat.completion",
    "created": 1,
    "model": "of-the-engine",
    "system_fingerprint": "b0-unknown",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
    ],
    "usage": USAGE,
    "timings": {"prompt_ms": 1.0},
}

CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
    {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": USAGE, "timings": {}},
]


async def sent(chunks: list[dict[str, Any]], end: str = "data: [DONE]\n\n") -> AsyncIterator[str]:
    for chunk in chunks:
        filled = [{"finish_reason": None, **choice} for choice in chunk["choices"]]
        yield f"data: {json.dumps({'model': 'of-the-engine', **chunk, 'choices': filled})}\n\n"
    yield end


def answer(body: dict[str, Any], request: Request) -> Any:
    """The usual engine."""
    del request
    if body.get("stream"):
        return StreamingResponse(sent(CHUNKS), media_type="text/event-stream")
    return COMPLETION


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ChatWorld]:
    with chat_world(tmp_path, answer) as here:
        yield here


def test_an_answer_is_shaped_as_openai_shapes_it(world: ChatWorld) -> None:
    got = world.ask()

    assert got.id.startswith("chatcmpl-")
    assert got.id != world.ask().id
    assert (got.object, got.model) == ("chat.completion", "small")
    assert got.created > 1_700_000_000
    assert got.system_fingerprint.startswith("fp_")
    assert got.choices[0].message.role == "assistant"
    assert got.choices[0].message.content == "Hello"
    assert got.choices[0].message.refusal is None
    assert got.choices[0].finish_reason == "stop"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (7, 2)
    assert got.usage.total_tokens == 9
    assert got.usage.prompt_tokens_details.cached_tokens == 5
    assert "timings" not in got.model_dump()


def test_a_tuned_model_and_its_base_are_asked_of_one_engine(world: ChatWorld) -> None:
    tune(world.state, "ft:small::first")
    tune(world.state, "ft:small::second")

    tuned = world.ask(model="ft:small::second")
    base = world.ask()

    assert (tuned.model, base.model) == ("ft:small::second", "small")
    assert tuned.system_fingerprint == world.ask(model="ft:small::second").system_fingerprint
    assert [body.get("lora") for body in world.engine.bodies[:2]] == [
        [{"id": 1, "scale": 1.0}],
        # Said outright: llama.cpp would reuse the cache of the last request's adapter otherwise.
        [{"id": 0, "scale": 0.0}],
    ]
    assert world.engine.keys[0] == "Bearer key-of-the-engine"
    assert world.start.tries == 1


def test_the_engine_gets_openais_parameters_with_openais_defaults(world: ChatWorld) -> None:
    world.ask(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": t} for t in ("one ", "two")]},
            # As the SDK dumps an answer that is sent back.
            {"role": "assistant", "content": "three", "refusal": None, "tool_calls": None},
            {"role": "user", "content": "four"},
        ],
        seed=3,
        max_tokens=5,
        max_completion_tokens=4,
        stop="\n",
        user="ignored",
        metadata={"ignored": "too"},
    )
    world.ask(temperature=0, top_p=0.5, response_format={"type": "json_object"}, logprobs=True)

    first, second = world.engine.bodies
    assert first == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one two"},
            {"role": "assistant", "content": "three"},
            {"role": "user", "content": "four"},
        ],
        "seed": 3,
        "max_tokens": 4,
        "stop": ["\n"],
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
    }
    assert (second["temperature"], second["top_p"], second["logprobs"]) == (0, 0.5, True)
    assert second["response_format"] == {"type": "json_object"}


def test_a_schema_reaches_the_engine_as_it_was_sent(world: ChatWorld) -> None:
    schema = {"name": "year", "strict": True, "schema": {"type": "object", "properties": {}}}

    world.ask(response_format={"type": "json_schema", "json_schema": schema})

    assert world.engine.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": schema,
    }


def test_probabilities_come_back_without_what_openai_does_not_say(tmp_path: Path) -> None:
    token = {"id": 504, "token": "He", "bytes": [72, 101], "logprob": -0.5}
    choice = {**COMPLETION["choices"][0], "logprobs": {"content": [{**token, "top_logprobs": []}]}}

    with chat_world(tmp_path, lambda *_: {**COMPLETION, "choices": [choice]}) as world:
        got = world.ask(logprobs=True)

    (said,) = got.choices[0].logprobs.content
    assert said.model_dump() == {
        "token": "He",
        "bytes": [72, 101],
        "logprob": -0.5,
        "top_logprobs": [],
    }


@pytest.mark.parametrize("with_usage", [False, True])
def test_a_stream_ends_with_usage_if_that_is_asked_for(world: ChatWorld, with_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if with_usage else {}

    chunks = list(world.ask(stream=True, **options))

    said = [chunk for chunk in chunks if chunk.choices]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == "Hello"
    assert said[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in said] == [None, None, None, "length"]
    assert {chunk.model for chunk in chunks} == {"small"}
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.prompt_tokens_details.cached_tokens for usage in usages] == [5] * with_usage
    assert len(chunks) == len(said) + with_usage


SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def schema(value: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}


@pytest.mark.parametrize(
    ("parameters", "param", "code"),
    [
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"tools": [{}]}, "tools", "unsupported_parameter"),
        ({"n": 2}, "n", "unsupported_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"seed": "many"}, "seed", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0.type",
            "invalid_value",
        ),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "missing_required_parameter"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format", "invalid_value"),
        ({"response_format": schema("text")}, "response_format", "invalid_json_schema"),
        ({"response_format": schema({"type": "objekt"})}, "response_format", "invalid_json_schema"),
        ({"response_format": schema({"required": 1})}, "response_format", "invalid_json_schema"),
        (
            {"response_format": schema({"enum": ["x" * 70_000]})},
            "response_format",
            "invalid_json_schema",
        ),
    ],
)
def test_a_bad_parameter_is_named(
    world: ChatWorld, parameters: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        world.ask(**parameters)

    assert (error.value.param, error.value.code) == (param, code)
    assert world.start.tries == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_not_there(world: ChatWorld, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        world.ask(model="large", stream=stream)

    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    assert "'large' does not exist" in error.value.message


def engine_error(status: int, **fields: Any) -> Any:
    return lambda *_: JSONResponse({"error": {"code": status, **fields}}, status)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_past_the_window_is_openais_error(tmp_path: Path, stream: bool) -> None:
    too_long = engine_error(
        400, type="exceed_context_size_error", message="...", n_prompt_tokens=331, n_ctx=256
    )

    with (
        chat_world(tmp_path, too_long) as world,
        pytest.raises(openai.BadRequestError) as error,
    ):
        world.ask(stream=stream)

    assert (error.value.code, error.value.param) == ("context_length_exceeded", "messages")
    assert "maximum context length is 256 tokens" in error.value.message
    assert "resulted in 331 tokens" in error.value.message


def test_a_schema_that_llama_cpp_cannot_turn_into_a_grammar_is_named(tmp_path: Path) -> None:
    failure = "Automatic parser generation failed: JSON schema error at #: unsupported $ref x"

    with (
        chat_world(tmp_path, engine_error(400, message=failure)) as world,
        pytest.raises(openai.BadRequestError) as error,
    ):
        world.ask(response_format=SCHEMA)

    assert (error.value.param, error.value.code) == ("response_format", "invalid_json_schema")
    assert "unsupported $ref x" in error.value.message


@pytest.mark.parametrize(
    "broken",
    [
        engine_error(500, message="at /secret/path.cpp:17"),
        lambda *_: Response(b"<html>/secret/path"),
        lambda *_: {"choices": [], "secret": 1},
        lambda *_: [],
    ],
    ids=["an error of its own", "no JSON", "no choices", "no object"],
)
def test_what_an_engine_says_wrongly_is_not_repeated(tmp_path: Path, broken: Any) -> None:
    with (
        chat_world(tmp_path, broken) as world,
        pytest.raises(openai.InternalServerError) as error,
    ):
        world.ask()

    assert error.value.status_code == 502
    assert error.value.body.keys() == {"message", "type", "param", "code"}  # type: ignore[attr-defined]
    assert "secret" not in str(error.value.body)


class Slow:
    """An engine that computes until its client is gone, unless it is told to answer."""

    def __init__(self) -> None:
        self.begun = 0
        self.given_up = 0

    async def __call__(self, body: dict[str, Any], request: Request) -> Any:
        self.begun += 1
        while not await request.is_disconnected():
            if body["messages"][-1]["content"] == "quick":
                return COMPLETION
            await asyncio.sleep(0.005)
        self.given_up += 1
        return COMPLETION


def hanging(world: ChatWorld, *, stream: bool = False) -> socket.socket:
    """A client that asked and waits; it hangs up when it is closed."""
    asked = {"model": "small", "messages": [{"role": "user", "content": "slow"}], "stream": stream}
    body = json.dumps(asked).encode()
    host, port = world.address.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    client.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return client


QUICK = [{"role": "user", "content": "quick"}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_hangs_up_frees_its_place(tmp_path: Path, stream: bool) -> None:
    slow = Slow()
    with chat_world(tmp_path, slow) as world:
        client = hanging(world, stream=stream)
        wait_for(lambda: slow.begun == 1)

        client.close()
        wait_for(lambda: slow.given_up == 1)

        assert world.ask(messages=QUICK).choices[0].message.content == "Hello"
        assert world.start.tries == 1


def test_a_client_that_hangs_up_in_mid_stream_frees_its_place(tmp_path: Path) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                async for piece in sent(CHUNKS[1:2], end=""):
                    yield piece
                await asyncio.sleep(0.005)
        finally:
            closed.append(True)

    def streams(body: dict[str, Any], request: Request) -> Any:
        return StreamingResponse(endless()) if body.get("stream") else answer(body, request)

    with chat_world(tmp_path, streams) as world:
        with world.client() as client:
            chunks = client.chat.completions.create(
                model="small", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            assert next(iter(chunks)).choices[0].delta.content == "Hel"
            chunks.close()

        wait_for(lambda: closed)
        assert world.ask().choices[0].message.content == "Hello"


def test_a_client_that_hangs_up_while_it_waits_is_never_computed(tmp_path: Path) -> None:
    slow = Slow()
    with chat_world(tmp_path, slow, queue=1) as world:
        computing = hanging(world)
        wait_for(lambda: slow.begun == 1)
        waiting = hanging(world)
        (group,) = world.pool._groups.values()
        wait_for(lambda: len(group.waiters) == 1)

        waiting.close()
        wait_for(lambda: not group.waiters)
        computing.close()

        assert world.ask(messages=QUICK).choices[0].message.content == "Hello"
        assert slow.begun == 2


def test_requests_past_the_queue_are_told_when_to_come_back(tmp_path: Path) -> None:
    slow = Slow()
    with chat_world(tmp_path, slow, queue=0) as world, hanging(world):
        wait_for(lambda: slow.begun == 1)

        with pytest.raises(openai.InternalServerError) as error:
            world.ask()

        assert (error.value.status_code, error.value.code) == (503, "engine_overloaded")
        assert int(error.value.response.headers["Retry-After"]) >= 1


def test_a_model_that_does_not_start_says_why_but_not_where(world: ChatWorld) -> None:
    world.start.failure = "it is no GGUF file. Its log ends with:\n/home/somebody"

    with pytest.raises(openai.InternalServerError) as error:
        world.ask()

    assert (error.value.status_code, error.value.code) == (503, "model_not_available")
    assert "it is no GGUF file" in error.value.message
    assert "somebody" not in str(error.value.body)
    assert error.value.response.headers["Retry-After"] == "2"


class Dying:
    """An engine that cuts the connection at the first request and answers the second."""

    def __init__(self) -> None:
        self.cut = 0

    def __call__(self, body: dict[str, Any], request: Request) -> Any:
        if self.cut:
            return answer(body, request)
        self.cut += 1
        if not body.get("stream"):
            return Response(b"{", headers={"Content-Length": "100"})
        # Ends without [DONE], as a process that is killed.
        return StreamingResponse(sent(CHUNKS[:2], end=""))


def test_an_engine_that_dies_over_an_answer_is_started_anew(tmp_path: Path) -> None:
    with chat_world(tmp_path, Dying()) as world:
        with pytest.raises(openai.InternalServerError) as error:
            world.ask()

        assert (error.value.status_code, error.value.code) == (502, "engine_lost")
        assert error.value.response.headers["Retry-After"] == "1"
        assert world.ask().choices[0].message.content == "Hello"
        assert world.start.tries == 2


def test_the_sdk_gets_over_an_engine_that_dies_by_itself(tmp_path: Path) -> None:
    with chat_world(tmp_path, Dying()) as world:
        got = world.client(max_retries=1).chat.completions.create(
            model="small", messages=[{"role": "user", "content": "Hi"}]
        )

        assert got.choices[0].message.content == "Hello"


def test_an_engine_that_dies_in_mid_stream_is_an_error_of_the_stream(tmp_path: Path) -> None:
    with chat_world(tmp_path, Dying()) as world:
        chunks = iter(world.ask(stream=True))
        assert next(chunks).choices[0].delta.role == "assistant"

        with pytest.raises(openai.APIError) as error:
            list(chunks)

        assert error.value.code == "engine_lost"
        assert world.ask().choices[0].message.content == "Hello"


def test_an_upstream_server_gets_what_was_asked_and_nothing_of_llama_cpp(tmp_path: Path) -> None:
    with chat_world(tmp_path, answer, upstream=True) as world:
        got = world.ask(model="org/tuned", seed=1, max_completion_tokens=5)
        streamed = list(world.ask(model="org/tuned", stream=True))

        assert got.model == "org/tuned"
        assert got.system_fingerprint == "b0-unknown"
        assert world.engine.bodies[0] == {
            "model": "org/tuned",
            "messages": [{"role": "user", "content": "Hi"}],
            "seed": 1,
            "max_tokens": 5,
        }
        assert set(world.engine.keys) == {"Bearer key-of-vllm"}
        assert streamed[-1].choices[0].finish_reason == "length"
        assert world.start.tries == 0


@pytest.mark.parametrize(
    ("status", "message", "expected", "code"),
    [
        (404, "The model `x` does not exist.", 404, "model_not_found"),
        (
            400,
            "This model's maximum context length is 64 tokens. However, you requested 99 tokens.",
            400,
            "context_length_exceeded",
        ),
        (401, "Unauthorized", 502, "bad_engine"),
        (503, "no room", 503, "engine_overloaded"),
    ],
)
def test_an_upstream_servers_errors_are_openais(
    tmp_path: Path, status: int, message: str, expected: int, code: str
) -> None:
    refusing = engine_error(status, message=message, type="x", param=None)

    with (
        chat_world(tmp_path, refusing, upstream=True) as world,
        pytest.raises(openai.APIStatusError) as error,
    ):
        world.ask(model="x")

    assert (error.value.status_code, error.value.code) == (expected, code)


def test_an_upstream_server_that_is_not_there(tmp_path: Path) -> None:
    with (
        chat_world(tmp_path, answer, upstream="http://127.0.0.1:9/v1") as world,
        pytest.raises(openai.InternalServerError) as error,
    ):
        world.ask(model="x")

    assert error.value.status_code == 502
