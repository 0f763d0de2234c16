"""Randomness as a function of a seed and a name, never of call order.

Nothing here knows what the numbers are for.
"""

import hashlib

import numpy as np


def digest(*scope: str | int) -> bytes:
    """16 bytes that depend on every part of ``scope`` and on where one part ends."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in scope:
        encoded = str(part).encode("utf-8", "surrogatepass")
        hasher.update(len(encoded).to_bytes(8, "big") + encoded)
    return hasher.digest()


def generator(seed: int, *scope: str | int) -> np.random.Generator:
    """A generator for one thing, for example ``generator(seed, "draw", split, 7)``.

    The same seed and scope give the same stream on every machine and for any number of workers.
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest(seed, *scope), "big")))


def unit_interval(seed: int, *scope: str | int) -> float:
    """One number in [0, 1), cheaper than a generator: for a choice made once per row."""
    return int.from_bytes(digest(seed, *scope)[:7], "big") / 2**56


def rank(seed: int, *scope: str | int) -> int:
    """A sort key that puts things in a random but reproducible order."""
    return int.from_bytes(digest(seed, *scope), "big")
