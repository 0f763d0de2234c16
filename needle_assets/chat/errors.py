"""What a user of a chat server can mend."""

from needle_assets.errors import NeedleError


class ChatError(NeedleError):
    """A model cannot be asked as configured, or a journal is damaged. It never shows a key."""
