"""What a request gets of the pool: an engine's address, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass

from needle_assets.endpoint.errors import EndpointError


class Busy(EndpointError):  # noqa: N818 - a state, not a fault
    """As many requests wait as may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests wait for this model")
        self.retry_after_s = retry_after_s


class EngineFailed(EndpointError):  # noqa: N818
    """The model's engine does not start, or is gone."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Backend:
    """Where one request goes. Good until the lease ends."""

    base_url: str
    """Ends in /v1."""
    api_key: str
    model_id: str
    lora: int | None
    """The adapter's number; None: none is to be applied."""
    adapters: int
    """How many the engine holds."""
    context_window: int | None
    """Tokens of prompt and answer together; None: only the upstream server knows."""
    upstream: bool = False
    """A server of somebody else, which knows neither ``lora`` nor what only llama.cpp knows."""
    fingerprint: str | None = None
    lost: Callable[[], None] = lambda: None
    """To be called when the connection broke: the engine gets no further request."""
