"""What an endpoint's refusal of a file or a question means to its user: a message without the key.

Whether another try may help, and how long to try, is `chat.remote`'s.
"""

from typing import TYPE_CHECKING

from needle_assets.chat.clients import public_address
from needle_assets.chat.problems import public
from needle_assets.chat.remote import is_out_of_quota
from needle_assets.finetune.errors import FinetuneError

if TYPE_CHECKING:
    from openai import OpenAI


def endpoint_error(client: "OpenAI", error: Exception, doing: str) -> FinetuneError:
    """The error to raise instead of the SDK's.

    Args:
        client: who asked; its key is taken out of the message.
        error: what the SDK raised, one of `chat.remote.UNREADABLE` included.
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
        said = public(str(body.get("message") or error.message), client.api_key)
        if error.status_code == 429:
            return FinetuneError(
                f"{url} takes no more requests for now (429 {said}), when it was {doing}; run "
                "again later"
            )
        return FinetuneError(f"{url} refused, when it was {doing}: {error.status_code} {said}")
    said = public(str(error), client.api_key)
    return FinetuneError(
        f"{url} sent an answer that cannot be read, when it was {doing} ({said}); "
        "is NEEDLE_ENDPOINT_URL the address of the API, most often ending in /v1?"
    )
