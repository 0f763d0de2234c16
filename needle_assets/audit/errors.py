"""The exception of this room."""

from needle_assets.errors import NeedleError


class AuditError(NeedleError):
    """What the audit was given cannot be measured."""
