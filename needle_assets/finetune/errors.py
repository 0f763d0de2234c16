"""The room's exception."""

from needle_assets.errors import NeedleError


class FinetuneError(NeedleError):
    """A dataset that no provider should be sent, or an endpoint that does not take it."""
