"""Requests to a fine-tuning API: what their user is told when they fail.

Which requests a job needs is decided in `job_submit`, `job_wait` and `job_cancel`.
"""

from needle_assets.chat.remote import RemoteCalls, Trouble
from needle_assets.finetune.errors import FinetuneError


class Calls(RemoteCalls):
    """`RemoteCalls` of fine-tuning jobs."""

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
