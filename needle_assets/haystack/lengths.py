"""Context lengths as keys: which digits are a length. What a length is made of is in `assembly`."""

import re

from needle_assets.haystack.errors import HaystackError

SHORTEST = 256
"""Tokens. Instructions and question alone take more than half of it; what remains for bios is for
`assembly` to say, since the answer's reserve is a setting."""

LONGEST = 16_777_216
"""Tokens. 16 M is beyond every context window on offer; a larger key is a slip of the hand."""

CERTIFIED_FROM = 2048
"""From this length up a prompt fills at least `CERTIFIED_FILL` of it (design.md, Words)."""

CERTIFIED_FILL = 0.99


def parse_length(key: str) -> int:
    """Tokens of a context-length key.

    A length is its plain decimal digits, so that one length has one key.

    Raises:
        HaystackError: the key is not one.
    """
    if not re.fullmatch(r"[1-9][0-9]*", key, re.ASCII) or not SHORTEST <= int(key[:9]) <= LONGEST:
        raise HaystackError(
            f"{key!r} is not a context length: expected the plain digits of a number of tokens "
            f"from {SHORTEST} to {LONGEST}, for example 4096"
        )
    return int(key)
