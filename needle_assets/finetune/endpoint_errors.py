"""What an endpoint's refusal means: a message without the key, and whether another try may help.

How often and how long to try is decided by who asked.
"""

import email.utils
import math
from typing import TYPE_CHECKING

from needle_assets.chat.clients import public_address
from needle_assets.finetune.errors import FinetuneError

if TYPE_CHECKING:
    from openai import OpenAI

UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)
"""What the SDK raises, wherever it happens to touch it, for a body that it does not expect."""

_UNPAID = ("insufficient_quota", "billing_hard_limit_reached")

_PASSING = frozenset([408, 409, 425, 429])
"""Statuses below 500 that may be another one at the next try."""

_SAID = 500
"""Characters kept of what a server says: some answer with a whole web page."""

_SECRET_LENGTH = 8
"""Shorter keys are placeholders such as `none`, a word that may stand in any message."""


def endpoint_error(client: "OpenAI", error: Exception, doing: str) -> FinetuneError:
    """The error to raise instead of the SDK's.

    Args:
        client: who asked; its key is taken out of the message.
        error: what the SDK raised, one of `UNREADABLE` included.
        doing: completes "<address> refused, when it was ...", in the past tense.
    """
    import openai

    url = public_address(str(client.base_url))
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # What the server says to this often holds the key, whole or in parts.
        return FinetuneError(f"{url} refuses the key; check NEEDLE_ENDPOINT_API_KEY")
    if is_out_of_quota(error):
        return FinetuneError(
            f"the account at {url} has no quota left; add credit there, then run again"
        )
    if isinstance(error, openai.APITimeoutError):
        return FinetuneError(
            f"{url} did not answer in time, when it was {doing}; run again, or set "
            "NEEDLE_REQUEST_TIMEOUT_S higher"
        )
    if isinstance(error, openai.APIConnectionError):
        return FinetuneError(
            f"{url} cannot be reached, or hung up ({error.__cause__ or error}), when it was "
            f"{doing}; start the endpoint, correct NEEDLE_ENDPOINT_URL, or set it to 'store' to "
            "keep the files there"
        )
    if isinstance(error, openai.APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        said = public(client, body.get("message") or error.message)
        if error.status_code == 429:
            return FinetuneError(
                f"{url} takes no more requests for now (429 {said}), when it was {doing}; run "
                "again later"
            )
        return FinetuneError(f"{url} refused, when it was {doing}: {error.status_code} {said}")
    return FinetuneError(
        f"{url} sent an answer that cannot be read, when it was {doing} ({public(client, error)}); "
        "is NEEDLE_ENDPOINT_URL the address of the API, most often ending in /v1?"
    )


def is_out_of_quota(error: Exception) -> bool:
    """Whether waiting will not help: the account is used up."""
    import openai

    return isinstance(error, openai.APIStatusError) and (
        error.status_code == 402 or error.code in _UNPAID
    )


def may_pass(error: Exception) -> bool:
    """Whether another try may be answered: there was no answer, none to be read, or not yet."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return (error.status_code >= 500 or error.status_code in _PASSING) and not is_out_of_quota(
            error
        )
    return isinstance(error, (openai.APIError, *UNREADABLE))


def retry_after_s(error: Exception) -> float | None:
    """Seconds that a server asks to wait: a number, or a date by the server's own clock."""
    import openai

    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    asked = headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(asked)
            now = email.utils.parsedate_to_datetime(headers.get("date", ""))
            seconds = (then - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def public(client: "OpenAI", said: object) -> str:
    """What a server says, without the key and not too long."""
    text = str(said)
    if len(client.api_key) >= _SECRET_LENGTH:
        text = text.replace(client.api_key, "[key]")
    return text[:_SAID]
