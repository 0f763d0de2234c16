"""Random choices for one row of the sample, cheap enough for hundreds a row.

What is chosen does not belong here.
"""

from collections.abc import Sequence
from typing import TypeVar

from needle_assets.seeding import generator

_T = TypeVar("_T")
_BLOCK = 256


class Dice:
    """A stream of choices that depends on the seed and scope alone."""

    def __init__(self, seed: int, *scope: str | int) -> None:
        self._generator = generator(seed, *scope)
        self._numbers: list[float] = []

    def unit(self) -> float:
        """One number in [0, 1)."""
        if not self._numbers:
            # One call for many numbers: a call costs as much as a hundred numbers.
            self._numbers = self._generator.random(_BLOCK).tolist()
        return self._numbers.pop()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self.unit() * (high - low + 1))

    def choice(self, items: Sequence[_T]) -> _T:
        """One of the items, all equally likely."""
        return items[int(self.unit() * len(items))]

    def weighted(self, items: Sequence[_T], weights: Sequence[float]) -> _T:
        """One of the items, as likely as its weight says."""
        left = self.unit() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]
