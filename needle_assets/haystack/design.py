"""The design of a sweep: which needles a draw carries, and at which depth each stands.

Only identifiers and depths here; texts and token counts are `assembly`'s.
"""

from collections.abc import Sequence

import numpy as np

from needle_assets.haystack.errors import HaystackError
from needle_assets.seeding import generator, rank


def nominal_depths(depths: int) -> tuple[float, ...]:
    """``depths`` evenly spaced percents from 0 (first) to 100 (last); a single one is 50."""
    if depths == 1:
        return (50.0,)
    return tuple(round(float(depth), 2) for depth in np.linspace(0.0, 100.0, depths))


def latin_square(order: int, seed: int, *scope: str | int) -> list[list[int]]:
    """A random Latin square: each of ``order`` symbols once in every row and every column.

    Made from the cyclic square by permuting rows, columns and symbols, the usual randomisation of
    a Latin square design (Fisher and Yates, Statistical Tables, 1938).
    """
    random = generator(seed, "latin square", *scope)
    rows, columns, symbols = (random.permutation(order) for _ in range(3))
    return [[int(symbols[(row + column) % order]) for column in columns] for row in rows]


def evaluation_draws(
    needles: Sequence[str], *, depths: int, draws: int, seed: int
) -> list[tuple[str, ...]]:
    """For each draw the needle at each depth: ``draws`` tuples of ``depths`` bio ids.

    Draws come in blocks of ``depths``; a block shares its needles, and each of them visits every
    depth once. With ``draws`` a multiple of ``depths`` the design is balanced. Needles are taken
    in an order that depends on the seed alone, so that all context lengths (and all models) are
    asked about the same people as far as they fit.

    Raises:
        HaystackError: fewer needles than the blocks need.
    """
    blocks = -(-draws // depths)
    if len(needles) < blocks * depths:
        raise HaystackError(
            f"{draws} draws of {depths} depths ask about {blocks * depths} people, but only "
            f"{len(needles)} needles fit; use a larger corpus, fewer draws or fewer depths"
        )
    chosen = sorted(needles, key=lambda bio_id: rank(seed, "needle", bio_id))[: blocks * depths]
    design: list[tuple[str, ...]] = []
    for block in range(blocks):
        group = chosen[block * depths : (block + 1) * depths]
        square = latin_square(depths, seed, block)
        design.extend(tuple(group[symbol] for symbol in row) for row in square)
    return design[:draws]
