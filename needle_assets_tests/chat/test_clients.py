import pytest

from needle_assets.chat.clients import is_loopback, openai_client, public_address


@pytest.mark.parametrize(
    ("base_url", "own"),
    [
        ("http://localhost:8600/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.8.8.8:1/v1", True),
        ("http://[::1]:8600/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example.com/v1", False),
        ("nonsense", False),
    ],
)
def test_an_address_of_this_machine_is_known(base_url: str, own: bool) -> None:
    assert is_loopback(base_url) is own


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://host/v1/", "https://host/v1/"),
        ("https://user:word@host:8443/v1", "https://host:8443/v1"),
        ("https://host/v1?api-key=secret#part", "https://host/v1"),
    ],
)
def test_a_public_address_has_no_secret(base_url: str, shown: str) -> None:
    assert public_address(base_url) == shown


def test_a_client_without_a_key_takes_none_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    with openai_client("http://127.0.0.1:1/v1") as client:
        assert client.api_key == "none"
