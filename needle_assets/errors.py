"""The root of the project's exceptions: what a user can mend, said in one message.

Each room defines its own subclass. Bugs are not wrapped in these.
"""


class NeedleError(Exception):
    """Something the user can mend. The message names the thing, what was expected, what to do."""
