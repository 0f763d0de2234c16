"""One haystack: whole bios only, needles at their depths, every token counted.

Which needles a haystack carries, and how long it is, is decided in `assembly` and `design`; the
wording of a prompt in `labels`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from needle_assets.haystack.design import HaystackDesign
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.lengths import CERTIFIED_FILL, CERTIFIED_FROM
from needle_assets.haystack.messages import prompt_messages
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import Task
from needle_assets.seeding import generator

_FITS = 8
"""Attempts to correct the estimate of a line's tokens before a length is given up."""

_STARTS = 64
"""Runs of hay that are compared. One ends within 5 tokens of a gap with a chance of 5 / 90, where
90 is the mean of a biography; one of 64 does so with a chance of 97 %."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The bios of one split that are short enough for the length, hay and needles alike."""

    split: str
    ids: list[str]
    names: list[str]
    bios: list[str]
    tokens: Indices
    """Tokens of each bio with its line's end, estimated; shape ``(len(ids),)``."""
    labels: dict[int, str]
    """Canonical JSON by position, of those that are needles."""


@dataclass(frozen=True)
class Draw:
    """One haystack to build: needles (positions in the pool) by ascending depth."""

    number: int
    target: int
    """Tokens of the prompt and the answer's reserve: the context length, or a shorter one."""
    needles: tuple[int, ...]
    depths: tuple[float, ...]


class Builder:
    """Assembles the haystacks of one context length."""

    def __init__(
        self,
        design: HaystackDesign,
        task: Task,
        tokenizer: ReferenceTokenizer,
        names: Sequence[str],
    ) -> None:
        """Measure what stands around the bios; ``names`` are those that may be asked about."""
        self._design = design
        self._task = task
        self._tokenizer = tokenizer
        longest_name = max(names, key=lambda name: len(name.encode()), default="")
        self._frame = int(self._frames([longest_name])[0])

    def longest_bio(self, target: int) -> int:
        """Tokens that a bio may have, its line's end included, in a haystack of that length.

        At the context length all needles of a draw fit at once, at a shorter one two bios do. The
        same limit holds for needles and hay: a needle's length must not tell it apart.

        Raises:
            HaystackError: the length leaves no room for bios.
        """
        room = target - self._design.answer_tokens - self._frame
        if room < self._design.depths:
            raise HaystackError(
                f"context length {target} leaves no room for biographies: "
                f"{self._design.answer_tokens} tokens are reserved for the answer and "
                f"{self._frame} go to the instructions and the question"
                f"{self._unless_short(target)}"
            )
        longest = room // self._design.depths
        if target == self._design.context_length:
            return longest
        return min(self.longest_bio(self._design.context_length), room // 2)

    def check_supply(self, pool: Pool, target: int) -> None:
        """Make sure that the split has bios enough for one haystack, before any is built.

        Raises:
            HaystackError: it has not; the message says how many tokens it has.
        """
        needed = target - self._design.answer_tokens - self._frame
        longest = self.longest_bio(target)
        fitting = pool.tokens[pool.tokens <= longest]
        if (available := int(fitting.sum())) < needed:
            raise HaystackError(
                f"context length {target} needs {needed:,} tokens of bios in one haystack of "
                f"split {pool.split!r}, but the corpus has {available:,} there ({fitting.size:,} "
                f"bios of at most {longest:,} tokens); use a larger corpus (NEEDLE_CORPUS) or a "
                f"shorter length{without(pool.split)}{self._unless_short(target)}"
            )

    def build(self, pool: Pool, draw: Draw) -> list[dict[str, object]]:
        """The rows of one haystack, one for each of its needles.

        Raises:
            HaystackError: no set of whole bios fills the length.
        """
        limit = draw.target - self._design.answer_tokens
        filled = CERTIFIED_FILL if draw.target >= CERTIFIED_FROM else 0.0
        least = int(np.ceil(filled * draw.target)) - self._design.answer_tokens
        names = [pool.names[needle] for needle in draw.needles]
        budget = limit - int(self._frames(names).max())
        for attempt in range(_FITS):
            random = generator(
                self._design.seed,
                "haystack",
                self._design.context_length,
                pool.split,
                draw.number,
                attempt,
            )
            hay = self._choose_hay(pool, draw, budget, random)
            order = _arrange(pool.tokens, draw, hay)
            bios = [pool.bios[at] for at in order]
            prompts = [prompt_messages(self._task, bios, name) for name in names]
            tokens, (first, last, *spans) = self._tokenizer.measure(
                prompts, [bios[0], bios[-1], *(pool.bios[needle] for needle in draw.needles)]
            )
            if least <= tokens.min() and tokens.max() <= limit:
                haystack_tokens = last.last + 1 - first.first
                return [
                    {
                        "example_id": f"{pool.split}-{self._design.context_length}"
                        f"-{draw.number:05d}-{k:03d}",
                        "split": pool.split,
                        "context_length": self._design.context_length,
                        "draw": draw.number,
                        "bio_id": pool.ids[needle],
                        "name": names[k],
                        "depth": draw.depths[k],
                        "realised_depth": _depth(
                            span.first - first.first, haystack_tokens, span.last + 1 - span.first
                        ),
                        "messages": prompts[k],
                        "label": pool.labels[needle],
                        "prompt_tokens": int(tokens[k]),
                        "target_tokens": draw.target,
                        "needle": pool.bios[needle],
                        "needle_first_token": span.first,
                        "needle_last_token": span.last,
                        "filler_ids": [pool.ids[at] for at in order if at != needle],
                    }
                    for k, (needle, span) in enumerate(zip(draw.needles, spans, strict=True))
                ]
            # Line ends may merge with what stands before them: aim again by the true count.
            budget += limit - int(tokens.max())
        raise HaystackError(
            f"context length {draw.target}: no set of whole bios of split "
            f"{pool.split!r} fills {CERTIFIED_FILL:.0%} of it; use a larger corpus"
        )

    def _unless_short(self, target: int) -> str:
        shorter = target < self._design.context_length
        return "; NEEDLE_SHORT_EXAMPLES=0 builds no examples so short" if shorter else ""

    def _frames(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokens of the prompts about ``names`` without any bio."""
        return self._tokenizer.prompt_tokens(
            [prompt_messages(self._task, [], name) for name in names]
        )

    def _choose_hay(
        self, pool: Pool, draw: Draw, budget: int, random: np.random.Generator
    ) -> Indices:
        """Bios that fill ``budget`` together with the needles, in random order."""
        needles = np.asarray(draw.needles)
        gap = budget - int(pool.tokens[needles].sum())
        fits = pool.tokens <= self.longest_bio(draw.target)
        fits[needles] = False
        order = random.permutation(np.flatnonzero(fits))
        # A run of random bios that fills the gap by itself has their lengths; a last one chosen
        # to fit is mostly long, which in a short haystack would make the hay longer than needles.
        filled = np.concatenate([[0], np.cumsum(pool.tokens[order])])
        first, end = _fullest_run(filled, gap)
        left = gap - int(filled[end] - filled[first])
        if left > (1 - CERTIFIED_FILL) * draw.target:
            # Few bios to choose from: random ones until one more of middling length would be the
            # last; then the one that fits the rest of the gap best, and so on until none fits.
            first, end = 0, _end_of_run(filled, 0, gap - float(np.median(pool.tokens)))
        chosen = list(order[first:end])
        rest = np.concatenate([order[:first], order[end:]])
        gap -= int(filled[end] - filled[first])
        while (fitting := rest[pool.tokens[rest] <= gap]).size:
            best = fitting[np.argmax(pool.tokens[fitting])]
            chosen.append(best)
            rest = rest[rest != best]
            gap -= int(pool.tokens[best])
        return random.permutation(np.asarray(chosen, dtype=np.int64))


def _fullest_run(filled: Indices, gap: int) -> tuple[int, int]:
    """First and end of the run of whole bios, of `_STARTS`, that leaves least of the gap.

    Args:
        filled: tokens before each bio and, last, of all; shape ``(bios + 1,)``.
        gap: tokens that a run may have.
    """
    runs = [(first, _end_of_run(filled, first, gap)) for first in range(min(_STARTS, len(filled)))]
    return max(runs, key=lambda run: int(filled[run[1]] - filled[run[0]]))


def _end_of_run(filled: Indices, first: int, gap: float) -> int:
    """Where the run from a bio on ends that has at most so many tokens."""
    return max(first, int(np.searchsorted(filled, filled[first] + gap, side="right")) - 1)


def _depth(start: int, haystack: int, needle: int) -> float:
    """Where a needle starts, in percent of where the last bio of its size could start."""
    return 100 * start / (haystack - needle) if haystack > needle else 0.0


def without(split: str) -> str:
    """How to do without a split's haystacks, as the end of an error's sentence."""
    return (
        ""
        if split == "test"
        else f", or build none of this split (NEEDLE_{split.upper()}_EXAMPLES=0)"
    )


def _arrange(tokens: Indices, draw: Draw, hay: Indices) -> list[int]:
    """Positions of all bios in order: each needle starts as near to its depth as hay allows.

    A needle's depth is where it starts, in percent of where the last bio of its size could start:
    0 is first and 100 is last, exactly.
    """
    total = int(tokens[hay].sum() + tokens[list(draw.needles)].sum())
    order: list[int] = []
    at, used = 0, 0
    for needle, depth in zip(draw.needles, draw.depths, strict=True):
        target = depth / 100 * (total - int(tokens[needle]))
        while used < len(hay) and abs(at + tokens[hay[used]] - target) < abs(at - target):
            order.append(int(hay[used]))
            at += int(tokens[hay[used]])
            used += 1
        order.append(needle)
        at += int(tokens[needle])
    order.extend(int(bio) for bio in hay[used:])
    return order
