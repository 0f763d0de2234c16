"""/v1/chat/completions when clients leave, engines die, or somebody else's server answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from needle_assets_tests.endpoint.api.chat_answers import (
    CHUNKS,
    COMPLETION,
    answer,
    engine_error,
    sent,
)
from needle_assets_tests.endpoint.api.chat_world import ChatWorld, chat_world, wait_for


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ChatWorld]:
    with chat_world(tmp_path, answer) as here:
        yield here


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
