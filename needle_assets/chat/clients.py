"""Clients of OpenAI-compatible servers: made in one place, so that all reach a server the same way.

What is asked, and what an error means, belongs to who asks.
"""

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

NO_KEY = "none"
"""Sent where a server asks for no key: the SDK would look for one in the environment."""

TIMEOUT_S = 300.0
MAX_RETRIES = 2


def openai_client(
    base_url: str,
    api_key: str = "",
    *,
    timeout_s: float = TIMEOUT_S,
    max_retries: int = MAX_RETRIES,
) -> "OpenAI":
    """A client of the server at ``base_url``; close it, or use it as a context manager.

    Args:
        base_url: most often ending in /v1.
        api_key: empty where the server asks for none.
        timeout_s: deadline of one attempt.
        max_retries: of connection errors, 408, 409, 429 and 5xx, by the SDK.
    """
    from openai import DefaultHttpxClient, OpenAI

    return OpenAI(
        base_url=base_url,
        api_key=api_key or NO_KEY,
        timeout=timeout_s,
        max_retries=max_retries,
        # A proxy set for the internet cannot reach a server on this machine.
        http_client=DefaultHttpxClient(trust_env=not is_loopback(base_url)),
    )


def async_openai_client(
    base_url: str,
    api_key: str = "",
    *,
    timeout_s: float = TIMEOUT_S,
    max_retries: int = MAX_RETRIES,
) -> "AsyncOpenAI":
    """As `openai_client`, for an event loop."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or NO_KEY,
        timeout=timeout_s,
        max_retries=max_retries,
        http_client=DefaultAsyncHttpxClient(trust_env=not is_loopback(base_url)),
    )


def is_loopback(base_url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(base_url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def public_address(base_url: str) -> str:
    """The address for receipts and messages: no user, password, query or fragment."""
    parts = urlsplit(base_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
