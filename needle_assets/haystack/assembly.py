"""Haystacks of an exact length: whole bios only, needles at their depths, every token counted.

Which needle goes to which depth is decided in `design`; the wording of a prompt in `labels`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.haystack.design import evaluation_draws, nominal_depths
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.lengths import CERTIFIED_FILL, CERTIFIED_FROM
from needle_assets.haystack.messages import Message, prompt_messages
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import Task
from needle_assets.seeding import generator, rank, unit_interval

HAYSTACK_SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("split", pa.string()),
        ("context_length", pa.int32()),
        ("draw", pa.int32()),
        ("bio_id", pa.string()),
        ("name", pa.string()),
        ("depth", pa.float64()),
        ("realised_depth", pa.float64()),
        (
            "messages",
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        ),
        ("label", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("needle_first_token", pa.int32()),
        ("needle_last_token", pa.int32()),
        ("filler_ids", pa.list_(pa.string())),
    ]
)
"""One row per question. Depths in percent (nominal and realised), token positions counted from 0
in the rendered prompt, `filler_ids` the other bios of the prompt in order."""

_NEWLINE = 1
"""Tokens that a line's end costs, as a first estimate; the assembled prompt is what is counted."""

_FITS = 8
"""Attempts to correct that estimate before a length is given up."""

Progress = Callable[[int, int], None]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HaystackDesign:
    """What to build for one context length."""

    context_length: int
    answer_tokens: int
    depths: int
    draws: int
    train_examples: int
    validation_examples: int
    seed: int


@dataclass(frozen=True)
class _Pool:
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
class _Draw:
    """One haystack to build: needles (positions in the pool) by ascending depth."""

    number: int
    needles: tuple[int, ...]
    depths: tuple[float, ...]


def build_haystacks(
    bios: pa.Table,
    labels: pa.Table,
    *,
    design: HaystackDesign,
    task: Task,
    tokenizer: ReferenceTokenizer,
    progress: Progress | None = None,
) -> pa.Table:
    """Every training, validation and test haystack of one context length.

    Args:
        bios: ``anonymized_bios``: bio_id, name, bio, token_count, is_person, split.
        labels: ``needle_labels``: bio_id, name, label (canonical JSON).
        design: the length, and how many haystacks of each kind.
        task: what is asked.
        tokenizer: the reference tokenizer.
        progress: called with (haystacks done, haystacks to do).

    Returns:
        A table of `HAYSTACK_SCHEMA`. Test haystacks carry ``depths`` needles each and are asked
        about each of them; training and validation haystacks carry one needle at a random depth,
        and no needle serves two of them, so there may be fewer of them than asked for.

    Raises:
        HaystackError: the corpus has too few tokens or needles for the length, or labels are of
            other people than the bios. Nothing is filled up with repeats.
    """
    builder = _Builder(design, task, tokenizer)
    people = bios.filter(pc.field("is_person"))
    longest_bio = builder.longest_bio(people["name"])
    pools = {
        split: _pool(people, labels, split, longest_bio)
        for split in ("train", "validation", "test")
    }
    work = [
        (pools["train"], _single_draws(pools["train"], design, design.train_examples)),
        (
            pools["validation"],
            _single_draws(pools["validation"], design, design.validation_examples),
        ),
        (pools["test"], _test_draws(pools["test"], design, longest_bio)),
    ]
    for pool, draws in work:
        for draw in draws:
            builder.check_supply(pool, draw)
    to_do = sum(len(draws) for _, draws in work)
    rows: list[dict[str, object]] = []
    for done, (pool, draw) in enumerate((pool, draw) for pool, draws in work for draw in draws):
        rows.extend(builder.build(pool, draw))
        if progress:
            progress(done + 1, to_do)
    return pa.Table.from_pylist(rows, schema=HAYSTACK_SCHEMA)


def _pool(people: pa.Table, labels: pa.Table, split: str, longest_bio: int) -> _Pool:
    fitting = people.filter(
        (pc.field("split") == split) & (pc.field("token_count") + _NEWLINE <= longest_bio)
    )
    ids = fitting["bio_id"].to_pylist()
    columns = (labels[name].to_pylist() for name in ("bio_id", "name", "label"))
    label_of = {bio_id: (name, label) for bio_id, name, label in zip(*columns, strict=True)}
    names = fitting["name"].to_pylist()
    of_others = [
        bio_id
        for bio_id, name in zip(ids, names, strict=True)
        if bio_id in label_of and label_of[bio_id][0] != name
    ]
    if of_others:
        # An id names a row of a corpus; another corpus or seed gives it to somebody else.
        raise HaystackError(
            f"{len(of_others)} labels are of other people than the bios ({of_others[0]!r} is one); "
            "materialize filtered_needles and needle_labels again"
        )
    return _Pool(
        split=split,
        ids=ids,
        names=names,
        bios=fitting["bio"].to_pylist(),
        tokens=fitting["token_count"].to_numpy().astype(np.int64) + _NEWLINE,
        labels={
            position: label_of[bio_id][1]
            for position, bio_id in enumerate(ids)
            if bio_id in label_of
        },
    )


def _single_draws(pool: _Pool, design: HaystackDesign, examples: int) -> list[_Draw]:
    """One needle each, at a depth drawn uniformly from 0 to 100."""
    ordered = sorted(pool.labels, key=lambda at: rank(design.seed, "needle", pool.ids[at]))
    return [
        _Draw(
            number,
            (needle,),
            (100 * unit_interval(design.seed, "depth", design.context_length, pool.ids[needle]),),
        )
        for number, needle in enumerate(ordered[:examples])
    ]


def _test_draws(pool: _Pool, design: HaystackDesign, longest_bio: int) -> list[_Draw]:
    position = {pool.ids[at]: at for at in pool.labels}
    try:
        draws = evaluation_draws(
            list(position), depths=design.depths, draws=design.draws, seed=design.seed
        )
    except HaystackError as error:
        raise HaystackError(
            f"context length {design.context_length}: {error}. With {design.depths} depths a bio "
            f"may have at most {longest_bio} tokens at this length"
        ) from None
    depths = nominal_depths(design.depths)
    return [
        _Draw(number, tuple(position[bio_id] for bio_id in needles), depths)
        for number, needles in enumerate(draws)
    ]


class _Builder:
    """Assembles the haystacks of one length."""

    def __init__(self, design: HaystackDesign, task: Task, tokenizer: ReferenceTokenizer) -> None:
        self._design = design
        self._task = task
        self._tokenizer = tokenizer
        self._limit = design.context_length - design.answer_tokens
        self._least = (
            int(np.ceil(CERTIFIED_FILL * design.context_length)) - design.answer_tokens
            if design.context_length >= CERTIFIED_FROM
            else 0
        )

    def longest_bio(self, names: pa.ChunkedArray) -> int:
        """Tokens that a bio may have, its line's end included, so that all needles fit at once.

        The same limit holds for needles and hay: a needle's length must not tell it apart.
        """
        longest_name = max(names.to_pylist(), key=len, default="")
        room = self._limit - int(self._frames([longest_name])[0])
        if room < self._design.depths:
            raise HaystackError(
                f"context length {self._design.context_length} leaves no room for biographies: "
                f"{self._design.answer_tokens} tokens are reserved for the answer and "
                f"{self._limit - room} go to the instructions and the question"
            )
        return room // self._design.depths

    def build(self, pool: _Pool, draw: _Draw) -> list[dict[str, object]]:
        """The rows of one haystack, one for each of its needles."""
        names = [pool.names[needle] for needle in draw.needles]
        budget = self._limit - int(self._frames(names).max())
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
            tokens = self._tokenizer.prompt_tokens(prompts)
            if self._least <= tokens.min() and tokens.max() <= self._limit:
                return self._rows(pool, draw, order, prompts, tokens)
            # Line ends may merge with what stands before them: aim again by the true count.
            budget += self._limit - int(tokens.max())
        raise HaystackError(
            f"context length {self._design.context_length}: no set of whole bios of split "
            f"{pool.split!r} fills {CERTIFIED_FILL:.0%} of it; use a larger corpus"
        )

    def check_supply(self, pool: _Pool, draw: _Draw) -> None:
        """Make sure that the split has bios enough for one haystack, before any is built.

        Raises:
            HaystackError: it has not; the message says how many tokens it has.
        """
        budget = self._limit - int(self._frames([pool.names[at] for at in draw.needles]).max())
        available = int(pool.tokens.sum())
        if available < budget:
            raise HaystackError(
                f"context length {self._design.context_length} needs {budget:,} tokens of bios in "
                f"one haystack of split {pool.split!r}, but the corpus has {available:,} there "
                f"({len(pool.ids):,} bios); use a larger corpus (NEEDLE_CORPUS) or a shorter "
                f"length{_without(pool.split)}"
            )

    def _frames(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokens of the prompts about ``names`` without any bio."""
        return self._tokenizer.prompt_tokens(
            [prompt_messages(self._task, [], name) for name in names]
        )

    def _choose_hay(
        self, pool: _Pool, draw: _Draw, budget: int, random: np.random.Generator
    ) -> Indices:
        """Bios that fill ``budget`` together with the needles, in random order."""
        needles = np.asarray(draw.needles)
        gap = budget - int(pool.tokens[needles].sum())
        others = np.setdiff1d(np.arange(len(pool.ids)), needles)
        order = random.permutation(others)
        # Random bios until one more of middling length would be the last; then the one that fits
        # the rest of the gap best, and so on until none fits.
        filled = np.cumsum(pool.tokens[order])
        taken = int(np.searchsorted(filled, gap - np.median(pool.tokens), side="right"))
        chosen = list(order[:taken])
        rest = order[taken:]
        gap -= int(filled[taken - 1]) if taken else 0
        while (fitting := rest[pool.tokens[rest] <= gap]).size:
            best = fitting[np.argmax(pool.tokens[fitting])]
            chosen.append(best)
            rest = rest[rest != best]
            gap -= int(pool.tokens[best])
        return random.permutation(np.asarray(chosen, dtype=np.int64))

    def _rows(
        self,
        pool: _Pool,
        draw: _Draw,
        order: list[int],
        prompts: list[list[Message]],
        tokens: npt.NDArray[np.int32],
    ) -> list[dict[str, object]]:
        first, last, *spans = self._tokenizer.locate(
            prompts[0], [pool.bios[at] for at in (order[0], order[-1], *draw.needles)]
        )
        haystack_tokens = last.last + 1 - first.first
        rows: list[dict[str, object]] = []
        for k, (needle, span) in enumerate(zip(draw.needles, spans, strict=True)):
            movable = haystack_tokens - (span.last + 1 - span.first)
            rows.append(
                {
                    "example_id": f"{pool.split}-{self._design.context_length}"
                    f"-{draw.number:05d}-{k:03d}",
                    "split": pool.split,
                    "context_length": self._design.context_length,
                    "draw": draw.number,
                    "bio_id": pool.ids[needle],
                    "name": pool.names[needle],
                    "depth": draw.depths[k],
                    "realised_depth": 100 * (span.first - first.first) / movable
                    if movable
                    else 0.0,
                    "messages": prompts[k],
                    "label": pool.labels[needle],
                    "prompt_tokens": int(tokens[k]),
                    "needle_first_token": span.first,
                    "needle_last_token": span.last,
                    "filler_ids": [pool.ids[at] for at in order if at != needle],
                }
            )
        return rows


def _without(split: str) -> str:
    return (
        ""
        if split == "test"
        else f", or build none of this split (NEEDLE_{split.upper()}_EXAMPLES=0)"
    )


def _arrange(tokens: Indices, draw: _Draw, hay: Indices) -> list[int]:
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
