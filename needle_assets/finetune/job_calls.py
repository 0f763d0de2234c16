"""Requests to a fine-tuning API: what an error means, how long one is put up with, what is said.

Which requests a job needs is decided in `job_submit`, `job_wait` and `job_cancel`.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from needle_assets.chat.clients import public_address
from needle_assets.finetune.endpoint_errors import (
    UNREADABLE,
    is_out_of_quota,
    may_pass,
    public,
    retry_after_s,
)
from needle_assets.finetune.errors import FinetuneError

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")

Sleep = Callable[[float], None]
Clock = Callable[[], float]
"""Seconds since any fixed moment, never going back."""

_PAGE = 100
"""Items asked for at a time; the most that OpenAI's lists take."""

_LONGEST_PAUSE_S = 30.0


class Trouble(Exception):  # noqa: N818  (never leaves the room: callers see FinetuneError)
    """One request that was not answered as hoped."""

    def __init__(self, said: str, error: Exception) -> None:
        super().__init__(said)
        self.said = said
        """Without the key."""
        self.status: int | None = getattr(error, "status_code", None)
        """None: there was no answer, or none that could be read."""
        self.unpaid = is_out_of_quota(error)
        self.retry_after_s = retry_after_s(error)
        """As the server asked, seconds."""
        self.passing = may_pass(error)
        """Whether another try may be answered."""


class Calls:
    """A client, and how patient it is. Requests go out one at a time and are not retried by the
    SDK, which repeats whatever failed, creates among them, and sleeps by its own clock.
    """

    def __init__(
        self, client: "OpenAI", *, sleep: Sleep, clock: Clock, request_timeout_s: float
    ) -> None:
        self.client = client.with_options(max_retries=0, timeout=request_timeout_s)
        self.sleep = sleep
        self.clock = clock
        self.address = public_address(str(client.base_url))
        self._timeout_s = request_timeout_s

    def once(self, ask: "Callable[[OpenAI], T]") -> T:
        """One request.

        Raises:
            Trouble: it was refused, not answered, or answered with what cannot be read.
        """
        import openai

        try:
            return ask(self.client)
        except openai.APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else {}
            said = f"HTTP {error.status_code}: {body.get('message') or error.message}"
            raise Trouble(self.public(said), error) from None
        except openai.APITimeoutError as error:
            raise Trouble(f"no answer within {self._timeout_s:g} s", error) from None
        except openai.APIConnectionError as error:
            said = f"no connection: {error.__cause__ or error.message}"
            raise Trouble(self.public(said), error) from None
        except (openai.APIError, *UNREADABLE) as error:
            said = f"an answer that cannot be read ({error})"
            raise Trouble(self.public(said), error) from None

    def steady(self, aim: str, ask: "Callable[[OpenAI], T]", *, patience_s: float) -> T:
        """One request that may be made again and again, until it is answered.

        Args:
            aim: completes "the server at X did not ...", for the message.
            ask: the request; it changes nothing, or the same thing however often it is made.
            patience_s: how long troubles that may pass are put up with.

        Raises:
            FinetuneError: the server refuses, or troubles did not pass in time.
        """
        started, pauses = self.clock(), growing_pauses()
        while True:
            try:
                return self.once(ask)
            except Trouble as trouble:
                if not trouble.passing:
                    raise self.refusal(aim, trouble) from None
                pause = max(next(pauses), trouble.retry_after_s or 0.0)
                if self.clock() + pause - started > patience_s:
                    raise self.out_of_patience(aim, trouble) from None
            self.sleep(pause)

    def pages(
        self, aim: str, ask: "Callable[[OpenAI, dict[str, Any]], Any]", *, patience_s: float
    ) -> Iterator[Any]:
        """The items of a list, newest first, each once, however its server pages.

        Args:
            aim: as for `steady`.
            ask: asks for one page with the arguments given (``limit`` and ``after``).
            patience_s: for each page.

        Raises:
            FinetuneError: as `steady`.
        """
        seen: set[str] = set()
        arguments: dict[str, Any] = {"limit": _PAGE}
        while True:
            page = functools.partial(_page, ask, arguments)
            items, more = self.steady(aim, page, patience_s=patience_s)
            fresh = [item for item in items if item.id not in seen]
            seen.update(item.id for item in fresh)
            yield from fresh
            # Some servers know no paging and send the same page for ever.
            if not fresh or not more:
                return
            arguments = {"limit": _PAGE, "after": items[-1].id}

    def refusal(self, aim: str, trouble: Trouble) -> FinetuneError:
        """The error for what no further try would mend."""
        if trouble.status in (401, 403):
            # What a server says to this often holds the key, whole or in parts.
            return FinetuneError(
                f"the server at {self.address} refuses the key (HTTP {trouble.status}): "
                "check NEEDLE_ENDPOINT_API_KEY, then run again"
            )
        if trouble.unpaid:
            return FinetuneError(
                f"the account at {self.address} has no quota left ({trouble.said}): add credit, "
                "then run again; a job that was created goes on and is found again"
            )
        return FinetuneError(f"the server at {self.address} did not {aim}: {trouble.said}")

    def out_of_patience(self, aim: str, trouble: Trouble) -> FinetuneError:
        """The error for troubles that did not pass."""
        asked = trouble.retry_after_s
        wait = f"; it asks to wait {asked:.0f} s" if asked else ""
        return FinetuneError(
            f"the server at {self.address} did not {aim} in the time given, the last trouble "
            f"being: {trouble.said}{wait}. Run again when it answers: a job that was created is "
            "found again and not paid twice"
        )

    def public(self, text: str) -> str:
        """What a server says, without the key and not too long."""
        return public(self.client, text)


def growing_pauses(first_s: float = 1.0, longest_s: float = _LONGEST_PAUSE_S) -> Iterator[float]:
    """1, 2, 4, ... seconds, and then the longest for ever."""
    return (min(first_s * 2.0 ** min(n, 60), longest_s) for n in itertools.count())


def with_id(answer: T) -> T:
    """The answer, which names an object.

    Raises:
        ValueError: it does not, whatever its server meant by it.
    """
    if not isinstance(getattr(answer, "id", None), str) or not getattr(answer, "id", ""):
        raise ValueError(f"expected an object with an id, not {str(answer)[:80]!r}")
    return answer


def _page(
    ask: "Callable[[OpenAI, dict[str, Any]], Any]", arguments: dict[str, Any], client: "OpenAI"
) -> tuple[list[Any], bool]:
    """What is on one page, and whether more may follow."""
    page = ask(client, arguments)
    items = getattr(page, "data", None)
    if not isinstance(items, list):
        raise ValueError("expected a list under `data`")
    return [with_id(item) for item in items], getattr(page, "has_more", None) is not False
