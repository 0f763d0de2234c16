"""Requests to a server that works for us for hours: what an error means, how long it is borne.

Which requests a batch or a fine-tune needs, and what its user is told to do, is decided there.
"""

import datetime
import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from needle_assets.chat.clients import public_address
from needle_assets.chat.headers import retry_after_s
from needle_assets.chat.problems import public
from needle_assets.errors import NeedleError

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")

Sleep = Callable[[float], None]
Clock = Callable[[], float]
"""Seconds since any fixed moment, never going back."""

UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What the SDK raises, wherever it happens to touch it, for a body that it does not expect."""

_PASSING = frozenset([408, 409, 425, 429])
"""Statuses below 500 that may be another one at the next try."""

_UNPAID = frozenset(["insufficient_quota", "billing_hard_limit_reached"])

_PAGE = 100
"""Items asked for at a time; the most that OpenAI's lists take."""

_LONGEST_PAUSE_S = 30.0


class Trouble(Exception):  # noqa: N818  (never leaves its room: callers see the room's error)
    """One request that was not answered as hoped."""

    def __init__(self, said: str, error: Exception) -> None:
        super().__init__(said)
        self.said = said
        """Without the key."""
        self.status = _status(error)
        """None: there was no answer, or none that could be read."""
        self.unpaid = is_out_of_quota(error)
        self.passing = may_pass(error)
        """Whether another try may be answered."""
        self.retry_after_s = asked_to_wait_s(error) or 0.0
        """As the server asked; 0 where it did not."""


class RemoteCalls(ABC):
    """A client, and how patient it is. Requests go out one at a time and are not retried by the
    SDK, which repeats whatever failed, creates among them, and sleeps by its own clock.

    Args:
        client: whose address and key are used.
        sleep: waits so many seconds.
        clock: tells the time.
        request_timeout_s: of each request.
        patience_s: how long troubles that may pass are put up with.
    """

    def __init__(
        self,
        client: "OpenAI",
        *,
        sleep: Sleep,
        clock: Clock,
        request_timeout_s: float,
        patience_s: float,
    ) -> None:
        self.client = client.with_options(max_retries=0, timeout=request_timeout_s)
        self.patience_s = patience_s
        """How long troubles that may pass are put up with, where a request does not say."""
        self.sleep = sleep
        self.clock = clock
        self.address = public_address(str(client.base_url)).rstrip("/")
        self._timeout_s = request_timeout_s

    @abstractmethod
    def refusal(self, aim: str, trouble: Trouble) -> NeedleError:
        """The error for what no further try would mend; ``aim`` as for `steady`."""

    @abstractmethod
    def out_of_patience(self, aim: str, trouble: Trouble) -> NeedleError:
        """The error for troubles that did not pass; ``aim`` as for `steady`."""

    def once(self, ask: "Callable[[OpenAI], T]") -> T:
        """One request.

        Raises:
            Trouble: it was refused, not answered, or answered with what cannot be read.
        """
        import httpx2
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
        # A body that breaks off while it is read is none of the SDK's errors.
        except httpx2.HTTPError as error:
            raise Trouble(self.public(f"no connection: {error}"), error) from None
        except (openai.APIError, *UNREADABLE) as error:
            said = f"an answer that cannot be read ({error})"
            raise Trouble(self.public(said), error) from None

    def steady(
        self, aim: str, ask: "Callable[[OpenAI], T]", *, patience_s: float | None = None
    ) -> T:
        """One request that may be made again and again, until it is answered.

        Args:
            aim: completes "the server at X did not ...", for the message.
            ask: the request; it changes nothing, or the same thing however often it is made.
            patience_s: how long troubles that may pass are put up with here; None: as usual.

        Raises:
            NeedleError: the server refuses, or troubles did not pass in time.
        """
        started, pauses = self.clock(), growing_pauses()
        while True:
            try:
                return self.once(ask)
            except Trouble as trouble:
                if not trouble.passing:
                    raise self.refusal(aim, trouble) from None
                self.bear(aim, trouble, next(pauses), since=started, patience_s=patience_s)

    def bear(
        self,
        aim: str,
        trouble: Trouble,
        pause_s: float,
        *,
        since: float,
        patience_s: float | None = None,
    ) -> None:
        """Wait until a request can be made again: so long, or as long as the server asks.

        Raises:
            NeedleError: its troubles would last longer than they are put up with.
        """
        pause_s = max(pause_s, trouble.retry_after_s)
        if self.clock() + pause_s - since > (self.patience_s if patience_s is None else patience_s):
            raise self.out_of_patience(aim, trouble) from None
        self.sleep(pause_s)

    def until_there(
        self, aim: str, ask: "Callable[[OpenAI], T | None]", *, lag_s: float
    ) -> T | None:
        """What is asked for; None where it stays away longer than a server may lag behind.

        Raises:
            NeedleError: as `steady`.
        """
        started, pauses = self.clock(), growing_pauses()
        while True:
            answer = self.steady(aim, ask)
            left = started + lag_s - self.clock()
            if answer is not None or left <= 0:
                return answer
            self.sleep(min(next(pauses), left))

    def pages(
        self,
        aim: str,
        ask: "Callable[[OpenAI, dict[str, Any]], Any]",
        *,
        patience_s: float | None = None,
    ) -> Iterator[Any]:
        """The items of a list, newest first, each once, however its server pages.

        Args:
            aim: as for `steady`.
            ask: asks for one page with the arguments given (``limit`` and ``after``).
            patience_s: for each page, as for `steady`.

        Raises:
            NeedleError: as `steady`.
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

    def public(self, text: str) -> str:
        """What a server says, without the key and not too long."""
        return public(text, self.client.api_key)


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


def is_out_of_quota(error: Exception) -> bool:
    """Whether waiting will not help: the account is used up."""
    return _status(error) == 402 or getattr(error, "code", None) in _UNPAID


def may_pass(error: Exception) -> bool:
    """Whether another try may be answered: there was no answer, none to be read, or not yet."""
    status = _status(error)
    passing = status is None or status >= 500 or status in _PASSING
    return passing and not is_out_of_quota(error)


def asked_to_wait_s(error: Exception) -> float | None:
    """Seconds that the server which refused asks to wait; None where it does not say."""
    response = getattr(error, "response", None)
    if response is None:
        return None
    return retry_after_s(response.headers, datetime.datetime.now(datetime.UTC))


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _page(
    ask: "Callable[[OpenAI, dict[str, Any]], Any]", arguments: dict[str, Any], client: "OpenAI"
) -> tuple[list[Any], bool]:
    """What is on one page, and whether more may follow."""
    page = ask(client, arguments)
    items = getattr(page, "data", None)
    if not isinstance(items, list):
        raise ValueError("expected a list under `data`")
    return [with_id(item) for item in items], getattr(page, "has_more", None) is not False
