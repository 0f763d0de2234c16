import pytest

from needle_assets.chat.clients import openai_client
from needle_assets.chat.remote import UNREADABLE
from needle_assets.finetune.endpoint_errors import endpoint_error
from needle_assets_tests.support.scripted_server import (
    Fault,
    Garble,
    HangUp,
    Host,
    Refuse,
    Stall,
)


def said(host: Host, fault: Fault, timeout_s: float = 10.0) -> str:
    """What a user is told when listing files meets a fault."""
    import openai

    server = host.fresh()
    server.script("files.list", fault)
    with openai_client(
        server.base_url, server.api_key, timeout_s=timeout_s, max_retries=0
    ) as client:
        try:
            client.files.list()
        except (openai.OpenAIError, *UNREADABLE) as error:
            return str(endpoint_error(client, error, "asked for its files"))
    raise AssertionError("nothing went wrong")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Refuse(401), "refuses the key; check NEEDLE_ENDPOINT_API_KEY"),
        (Refuse(403), "refuses the key; check NEEDLE_ENDPOINT_API_KEY"),
        (Refuse(402), "no quota left; add credit"),
        (Refuse(429, code="insufficient_quota"), "no quota left; add credit"),
        (Refuse(429, "slow down"), "no more requests for now (429 slow down), when it was asked"),
        (Refuse(500, "disk full"), "refused, when it was asked for its files: 500 disk full"),
        (HangUp(), "hung up"),
    ],
)
def test_each_refusal_says_what_to_do(host: Host, fault: Fault, told: str) -> None:
    message = said(host, fault)
    assert told in message
    assert host.base_url in message


def test_a_server_that_does_not_answer_in_time_is_not_one_that_is_down(host: Host) -> None:
    message = said(host, Stall(5.0), timeout_s=0.2)
    assert "did not answer in time" in message
    assert "NEEDLE_REQUEST_TIMEOUT_S" in message


def test_a_body_that_is_no_json_is_told(host: Host) -> None:
    message = said(host, Garble(b"{", "application/json"))
    assert "cannot be read, when it was asked for its files" in message
    assert "ending in /v1?" in message


def test_neither_key_nor_web_page_is_repeated_whole(host: Host) -> None:
    key = host.server.api_key
    message = said(host, Refuse(400, f"no {key} here " + "<p>" * 5000))
    assert key not in message
    assert "[key]" in message
    assert len(message) < 1000
