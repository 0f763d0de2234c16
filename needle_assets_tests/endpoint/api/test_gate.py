"""Keys, sizes and the shape of every error, seen through the SDK and over bare HTTP."""

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AuthenticationError, NotFoundError, PermissionDeniedError
from pydantic import ValidationError

from needle_assets.endpoint.config import EndpointConfig, load_config
from needle_assets.endpoint.errors import EndpointError
from needle_assets_tests.endpoint.api.world import KEY, Endpoint, endpoint


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    limits = {"chat_bytes": 2000, "file_bytes": 5000}
    with endpoint(tmp_path_factory.mktemp("home"), limits=limits) as running:
        yield running


def asked(
    served: Endpoint,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = KEY,
    **headers: str,
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of one bare request."""
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.headers), json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("key", ["wrong", KEY + "x", KEY[:-1], "ключ"])
def test_a_wrong_key_is_an_authentication_error_that_does_not_repeat_it(
    served: Endpoint, key: str
) -> None:
    status, headers, answer = asked(
        served,
        "GET",
        "/v1/models",
        key=None,
        Authorization=f"Bearer {key}".encode().decode("latin1"),
    )

    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert headers["www-authenticate"] == "Bearer"
    assert key not in json.dumps(answer, ensure_ascii=False)
    assert KEY not in json.dumps(answer)


def test_the_sdk_raises_its_own_authentication_error(served: Endpoint) -> None:
    with pytest.raises(AuthenticationError) as raised:
        served.client("sk-not-the-key").models.list()

    assert raised.value.code == "invalid_api_key"
    assert raised.value.type == "invalid_request_error"
    assert raised.value.request_id


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", KEY])
def test_no_key_is_told_how_to_send_one(served: Endpoint, header: str) -> None:
    status, _, answer = asked(served, "GET", "/v1/models", key=None, Authorization=header)

    assert status == 401
    assert "Authorization: Bearer KEY" in answer["error"]["message"]


def test_without_the_key_nobody_learns_which_paths_there_are(served: Endpoint) -> None:
    statuses = {
        asked(served, "GET", path, key=None)[0]
        for path in ("/", "/v1/nothing", "/docs", "/openapi.json", "/v1/files/file-1/content")
    }

    assert statuses == {401}


def test_health_needs_no_key_and_names_the_server(served: Endpoint) -> None:
    status, _, answer = asked(served, "GET", "/health", key=None)

    assert (status, answer) == (200, {"status": "ok", "instance": "test-instance"})


def test_every_answer_has_a_request_id_of_its_own(served: Endpoint) -> None:
    ids = [
        asked(served, "GET", "/v1/models")[1]["x-request-id"],
        asked(served, "GET", "/v1/nothing")[1]["x-request-id"],
        asked(served, "GET", "/v1/models", key="wrong")[1]["x-request-id"],
    ]

    assert all(re.fullmatch(r"req_[0-9a-f]{32}", name) for name in ids)
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("GET", "/v1/files/", 404, "unknown_url"),
        ("GET", "/v1/files/../../etc/passwd", 404, "unknown_url"),
        ("GET", "/v1/files/..%2f..%2fetc%2fpasswd/content", 404, "unknown_url"),
        ("PUT", "/v1/files", 405, "method_not_allowed"),
        ("GET", "/v1/files/file-0", 404, "file_not_found"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-0", 404, "fine_tune_not_found"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-0/events", 404, "fine_tune_not_found"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-0/checkpoints", 404, "fine_tune_not_found"),
        ("POST", "/v1/fine_tuning/jobs/ftjob-0/cancel", 404, "fine_tune_not_found"),
        ("POST", "/v1/fine_tuning/jobs/ftjob-0/pause", 404, "fine_tune_not_found"),
        ("POST", "/v1/fine_tuning/jobs/ftjob-0/resume", 404, "fine_tune_not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("DELETE", "/v1/models/nobody", 404, "model_not_found"),
        ("DELETE", "/v1/files/file-0", 404, "file_not_found"),
        ("GET", "/v1/files?limit=0", 400, "invalid_value"),
        ("GET", "/v1/files?limit=many", 400, "invalid_value"),
        ("GET", "/v1/files?order=up", 400, "invalid_value"),
        ("GET", "/v1/files?after=file-0", 400, "invalid_value"),
        ("GET", "/v1/fine_tuning/jobs?after=ftjob-0", 400, "invalid_value"),
        ("GET", "/v1/fine_tuning/jobs?metadata=x", 400, "invalid_value"),
    ],
)
def test_errors_have_openais_shape(
    served: Endpoint, method: str, path: str, status: int, code: str
) -> None:
    found, _, answer = asked(served, method, path)

    assert found == status
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["code"] == code
    assert answer["error"]["type"] == "invalid_request_error"


def test_a_bad_query_names_its_parameter(served: Endpoint) -> None:
    error = asked(served, "GET", "/v1/files?limit=many")[2]["error"]

    assert error["param"] == "limit"
    assert "Invalid value for 'limit'" in error["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b'{"model": "\xff"}', "UTF-8"),
        (b"[]", "must be a JSON object"),
        (b"", "must be a JSON object"),
        (b"[" * 1500, "could not be read as JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_bad_request(
    served: Endpoint, body: bytes, message: str
) -> None:
    status, _, answer = asked(
        served, "POST", "/v1/fine_tuning/jobs", body, **{"Content-Type": "application/json"}
    )

    assert status == 400
    assert message in answer["error"]["message"]


def test_a_body_of_another_type_is_not_taken_for_json(served: Endpoint) -> None:
    body = b'{"model": "tiny", "training_file": "file-0"}'

    status, _, answer = asked(
        served, "POST", "/v1/fine_tuning/jobs", body, **{"Content-Type": "text/plain"}
    )

    assert status == 400
    assert "Content-Type: application/json" in answer["error"]["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(served: Endpoint, chunked: bool) -> None:
    body: Any = b'{"model": "' + b"x" * 2000 + b'"}'

    status, _, answer = asked(
        served,
        "POST",
        "/v1/fine_tuning/jobs",
        iter([body[:1000], body[1000:]]) if chunked else body,
        **{"Content-Type": "application/json"},
    )

    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    assert "larger than 2000 bytes" in answer["error"]["message"]


def test_a_fault_of_the_server_is_a_500_that_tells_nothing_of_it(
    served: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(served.state, "models", fail)

    status, headers, answer = asked(served, "GET", "/v1/models")

    assert (status, answer["error"]["type"]) == (500, "server_error")
    assert "secret" not in json.dumps(answer)
    assert headers["x-request-id"] in answer["error"]["message"]
    assert headers["x-request-id"] in caplog.text
    assert "secret of the house" in caplog.text


def test_the_sdk_raises_not_found(served: Endpoint) -> None:
    with pytest.raises(NotFoundError, match="file-0"):
        served.client().files.retrieve("file-0")


def test_authentication_can_be_off_on_loopback_alone(tmp_path: Path) -> None:
    assert EndpointConfig(home=tmp_path, auth="off").auth == "off"
    with pytest.raises(ValidationError, match=r"loopback alone, not on 0\.0\.0\.0"):
        EndpointConfig(home=tmp_path, auth="off", host="0.0.0.0")
    with pytest.raises(ValidationError, match="no key is set"):
        EndpointConfig(home=tmp_path)


@pytest.mark.parametrize("key", ["two words", "line\n", "ключ"])
def test_a_key_that_no_header_can_carry_is_refused_unsaid(tmp_path: Path, key: str) -> None:
    with pytest.raises(EndpointError, match="printable ASCII alone") as raised:
        load_config(None, home=tmp_path, api_key=key)

    assert key not in str(raised.value)


@pytest.mark.parametrize("name", ["", "ft:base", "/etc", "a b", "a\n", "-x"])
def test_a_base_models_name_that_cannot_be_asked_for_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EndpointError, match="name .* cannot be used"):
        load_config(None, home=tmp_path, auth="off", models={name: {"gguf": "x.gguf"}})


def test_without_authentication_any_key_will_do_but_no_page_of_a_browser(tmp_path: Path) -> None:
    with endpoint(tmp_path, auth="off", api_key="") as open_to_all:
        assert [model.id for model in open_to_all.client("anything").models.list()] == ["tiny"]
        # A page of somebody else's, and a name of somebody else's that leads here.
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example:80"}):
            with pytest.raises(PermissionDeniedError, match="without a key"):
                open_to_all.client().models.list(extra_headers=headers)
        local = {"Origin": f"http://localhost:{open_to_all.port}"}
        assert open_to_all.client().models.list(extra_headers=local).data


def test_an_upload_over_the_limit_is_refused_before_it_is_read(served: Endpoint) -> None:
    with pytest.raises(APIStatusError, match="for an upload") as raised:
        served.upload(b"x" * 20 * 2**20)

    assert raised.value.status_code == 413
    assert served.on_disk() == []


def test_an_upload_with_a_wrong_key_is_refused_before_it_is_read(served: Endpoint) -> None:
    with pytest.raises(AuthenticationError):
        served.client("wrong").files.create(file=b"x" * 20 * 2**20, purpose="fine-tune")

    assert served.on_disk() == []


@pytest.mark.parametrize("path", ["/v1/fine_tuning/jobs", "/v1/chat/completions"])
def test_a_request_that_stands_still_in_its_body_is_given_up(tmp_path: Path, path: str) -> None:
    with (
        endpoint(tmp_path, limits={"upload_stall_s": 0.3}) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection,
    ):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        connection.sendall(head.encode())

        received = connection.makefile("rb").readline()

        assert b" 408 " in received
