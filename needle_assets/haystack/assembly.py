"""All haystacks of one context length: who is asked about, and the table of prompts.

How one haystack is filled is `builder`'s; which needle goes to which depth is `design`'s.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.haystack.builder import Builder, Draw, Pool, without
from needle_assets.haystack.design import (
    HaystackDesign,
    evaluation_draws,
    example_lengths,
    nominal_depths,
)
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import Task
from needle_assets.seeding import rank, unit_interval

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
        ("target_tokens", pa.int32()),
        ("needle", pa.string()),
        ("needle_first_token", pa.int32()),
        ("needle_last_token", pa.int32()),
        ("filler_ids", pa.list_(pa.string())),
    ]
)
"""One row per question. `context_length` is the partition's; `target_tokens` the length that the
row was built for, which some training and validation examples have shorter. Depths in percent
(nominal and realised), `needle` the asked bio as it stands in the prompt, its token positions
counted from 0 in the rendered prompt, `filler_ids` the other bios of the prompt in order."""

_NEWLINE = 1
"""Tokens that a line's end costs, as a first estimate; the assembled prompt is what is counted."""

_BLOCK = 256
"""Haystacks whose rows become Arrow at once, so that the table is not held twice."""

Progress = Callable[[int, int], None]


def build_haystacks(
    bios: pa.Table,
    labels: pa.Table,
    *,
    design: HaystackDesign,
    task: Task,
    tokenizer: ReferenceTokenizer,
    workers: int = 1,
    progress: Progress | None = None,
) -> pa.Table:
    """Every training, validation and test haystack of one context length.

    Args:
        bios: ``anonymized_bios``: bio_id, name, bio, token_count, is_person, split.
        labels: ``needle_labels``: bio_id, name, label (canonical JSON).
        design: the length, and how many haystacks of each kind.
        task: what is asked.
        tokenizer: the reference tokenizer.
        workers: threads that build. Threads, since nearly all the time goes to the tokenizer,
            which is not Python; the rows are the same for any number of them.
        progress: called with (haystacks done, haystacks to do).

    Returns:
        A table of `HAYSTACK_SCHEMA`. Test haystacks carry ``depths`` needles each and are asked
        about each of them; training and validation haystacks carry one needle at a random depth,
        and no needle serves two of them, so there may be fewer of them than asked for.

    Raises:
        HaystackError: the corpus has too few tokens or needles for the length, or none at all for
            a split, or labels are of other people than the bios. Nothing is filled up with
            repeats.
    """
    people = _tellable(bios)
    builder = Builder(design, task, tokenizer, people["name"].to_pylist())
    longest_bio = builder.longest_bio(design.context_length)
    train, validation, test = (
        _pool(people, labels, split, longest_bio) for split in ("train", "validation", "test")
    )
    work = [
        *((train, draw) for draw in _single_draws(train, builder, design, design.train_examples)),
        *(
            (validation, draw)
            for draw in _single_draws(validation, builder, design, design.validation_examples)
        ),
        *((test, draw) for draw in _test_draws(test, design, longest_bio)),
    ]
    for pool in (train, validation, test):
        for target in sorted({draw.target for of, draw in work if of is pool}, reverse=True):
            builder.check_supply(pool, target)
    tables = [HAYSTACK_SCHEMA.empty_table()]
    rows: list[dict[str, object]] = []
    for done, built in enumerate(_built(builder, work, workers), start=1):
        rows.extend(built)
        if done % _BLOCK == 0 or done == len(work):
            tables.append(pa.Table.from_pylist(rows, schema=HAYSTACK_SCHEMA))
            rows = []
        if progress:
            progress(done, len(work))
    return pa.concat_tables(tables)


def _built(
    builder: Builder, work: list[tuple[Pool, Draw]], workers: int
) -> Iterator[list[dict[str, object]]]:
    if workers <= 1:
        yield from (builder.build(pool, draw) for pool, draw in work)
        return
    with ThreadPoolExecutor(workers) as threads:
        yield from threads.map(lambda one: builder.build(*one), work)


def _tellable(bios: pa.Table) -> pa.Table:
    """Persons whose text is no other row's, in whatever split: whose it is can be told.

    Raises:
        HaystackError: a text has line breaks, which nothing but a fault before this leaves there.
    """
    counts = pc.value_counts(bios["bio"])
    shared = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    people = bios.filter(pc.and_not(bios["is_person"], pc.is_in(bios["bio"], value_set=shared)))
    if broken := people.filter(pc.match_substring(people["bio"], "\n"))["bio_id"].to_pylist():
        raise HaystackError(
            f"{len(broken)} bios have line breaks ({broken[0]!r} is one), but a prompt holds one "
            "bio per line; materialize anonymized_bios again"
        )
    return people


def _pool(people: pa.Table, labels: pa.Table, split: str, longest_bio: int) -> Pool:
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
    return Pool(
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


def _single_draws(pool: Pool, builder: Builder, design: HaystackDesign, asked: int) -> list[Draw]:
    """One needle each, at a depth drawn uniformly from 0 to 100."""
    if asked and not pool.labels:
        raise HaystackError(
            f"context length {design.context_length}: {asked} examples of split {pool.split!r} "
            "are asked for, but no labelled bio fits: with "
            f"{design.depths} depths it may have at most "
            f"{builder.longest_bio(design.context_length)} tokens at this length; use a larger "
            f"corpus (NEEDLE_CORPUS){without(pool.split)}"
        )
    examples = min(asked, len(pool.labels))
    targets = example_lengths(design.context_length, examples, design.short_share)
    needles: dict[int, int] = {}
    # The shortest choose first: what fits there fits everywhere. Each in an order of its own: what
    # one leaves at the head of a common order are the needles too long for it.
    for target in sorted(set(targets)):
        longest = builder.longest_bio(target)
        taken = set(needles.values())
        free = sorted(
            (at for at in pool.labels if pool.tokens[at] <= longest and at not in taken),
            key=lambda at: rank(design.seed, "needle", target, pool.ids[at]),
        )
        numbers = [number for number, length in enumerate(targets) if length == target]
        needles.update(zip(numbers, free, strict=False))
        if any(number not in needles for number in numbers):
            raise HaystackError(
                f"context length {design.context_length}: of {len(targets)} examples of split "
                f"{pool.split!r}, {len(numbers)} are to be of {target} tokens, but too few needles "
                f"have at most {longest} tokens; use a larger corpus (NEEDLE_CORPUS) or fewer "
                "short examples (NEEDLE_SHORT_EXAMPLES)"
            )
    depths = {
        at: 100 * unit_interval(design.seed, "depth", design.context_length, pool.ids[at])
        for at in needles.values()
    }
    return [
        Draw(number, target, (needles[number],), (depths[needles[number]],))
        for number, target in enumerate(targets)
    ]


def _test_draws(pool: Pool, design: HaystackDesign, longest_bio: int) -> list[Draw]:
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
        Draw(number, design.context_length, tuple(position[at] for at in needles), depths)
        for number, needles in enumerate(draws)
    ]
