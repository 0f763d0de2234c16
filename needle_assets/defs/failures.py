"""How a domain error ends a step: once, with its own message, without a retry."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from needle_assets.errors import NeedleError


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn what a user can mend into a `Failure`: trying again would not help."""
    try:
        yield
    except NeedleError as error:
        # Without its cause, which may quote what a server said, a key among it.
        raise dg.Failure(description=str(error), allow_retries=False) from None
