"""The room's exception."""

from needle_assets.errors import NeedleError


class HaystackError(NeedleError):
    """A haystack of that length cannot be built from what is there, or its key is not a length."""
