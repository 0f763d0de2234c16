"""Requests to `/v1/files` and `/v1/batches`: what their user is told when they fail.

Which requests a batch needs is decided in `batch_submit` and `batches`.
"""

from typing import TYPE_CHECKING

from needle_assets.chat.errors import ChatError
from needle_assets.chat.problems import Server
from needle_assets.chat.remote import Clock, RemoteCalls, Sleep, Trouble

if TYPE_CHECKING:
    from openai import OpenAI

_ABSENT = frozenset([404, 405, 501])
"""Statuses of a server that knows nothing of what was asked."""


class Calls(RemoteCalls):
    """`RemoteCalls` of batches; what it tells names the server's own setting."""

    def __init__(
        self,
        client: "OpenAI",
        server: Server,
        *,
        sleep: Sleep,
        clock: Clock,
        patience_s: float,
    ) -> None:
        super().__init__(
            client,
            sleep=sleep,
            clock=clock,
            request_timeout_s=server.timeout_s,
            patience_s=patience_s,
        )
        self.server = server

    def refusal(self, aim: str, trouble: Trouble) -> ChatError:
        """The error for what no further try would mend."""
        advice = self.server.advice
        if trouble.status in (401, 403):
            # What a server says to this often holds the key, whole or in parts.
            return ChatError(
                f"the server at {self.address} refused the key of {advice.model} "
                f"(HTTP {trouble.status}); {advice.key}"
            )
        if trouble.unpaid:
            return ChatError(
                f"the account of {advice.model} at {self.address} has no quota left; add credit, "
                "then run again: a batch that was created goes on and is found again"
            )
        if trouble.status in _ABSENT:
            return ChatError(
                f"the server at {self.address} did not {aim} ({trouble.said}). If it has no "
                f"/v1/files and /v1/batches, register {advice.model} without --batch"
            )
        return ChatError(f"the server at {self.address} did not {aim}: {trouble.said}")

    def out_of_patience(self, aim: str, trouble: Trouble) -> ChatError:
        """The error for troubles that did not pass."""
        return ChatError(
            f"the server at {self.address} did not {aim} in the time given, the last trouble "
            f"being: {trouble.said}. Run again when it answers: a batch that was created is "
            "found again and not paid twice"
        )
