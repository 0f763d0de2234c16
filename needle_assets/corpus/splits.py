"""Which side of the split each person is on, and proof that nothing leaks from side to side.

What makes a good needle is decided in `needles`; which side a prompt draws from in `haystack`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from needle_assets.corpus.tables import CorpusError, require_columns
from needle_assets.seeding import unit_interval

SPLITS: Mapping[str, float] = {"train": 0.5, "validation": 0.2, "test": 0.3}
"""Shares of the persons, by split."""

NEAR_DUPLICATE = 0.7
"""Jaccard similarity of two texts' sets of word triples, names left out, from which they count as
one text. In 60 words one other date leaves 0.8 to 0.9; two footballers born on different days
whose articles have one sentence of the same pattern stay below 0.6."""

_SHINGLE = 3
_PERMUTATIONS = 64
# Bands of 3 rows find a pair of similarity 0.7 with a chance of 1 - (1 - 0.7^3)^21 = 0.9999.
_ROWS_OF_BAND = 3
# All pairs are compared in small groups; in a large one each text with its neighbours.
_SMALL_GROUP = 16
_ASSIGNING, _CHECKING = 1, 2

Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Leaks:
    """What stands on more than one side: pairs of rows (positions), by kind."""

    names: list[tuple[int, int]]
    """Rows of the same new name."""
    texts: list[tuple[int, int]]
    """Rows of the same text, the name left out."""
    near_duplicates: list[tuple[int, int]]
    """Rows whose texts are at least `NEAR_DUPLICATE` alike."""

    @property
    def free(self) -> bool:
        """Whether there are none."""
        return not (self.names or self.texts or self.near_duplicates)


def assign_splits(
    bios: pa.Table,
    seed: int,
    *,
    persons: pa.ChunkedArray | pa.Array | None = None,
    fractions: Mapping[str, float] = SPLITS,
) -> pa.Array:
    """Put each person on one side: train, validation or test.

    Near-duplicate texts, and rows of one person, go to one side together. The side follows from
    the seed and the text, the name left out, so that rows which come or go move no others but
    their own near-duplicates.

    Args:
        bios: the columns of ``ANONYMIZED_SCHEMA``.
        seed: the corpus's seed.
        persons: what tells a person apart, for each row (the article's title); rows with equal
            values are one person's. None: the texts alone decide.
        fractions: the share of each split; together 1.

    Returns:
        The name of the split for each row (string).

    Raises:
        CorpusError: a column is missing, or the fractions are not shares of 1.
    """
    require_columns(bios, "name", "bio")
    shares = list(fractions.values())
    if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise CorpusError(
            f"the fractions of the splits are {dict(fractions)}, expected none below 0 and "
            f"a sum of 1, not {sum(shares):g}"
        )
    if bios.num_rows == 0:
        return pa.array([], pa.string())
    texts = _masked_texts(bios)
    linked = [_equal_rows(pa.array(texts, pa.string())), _near_duplicates(texts, _ASSIGNING)]
    if persons is not None:
        linked.append(_equal_rows(persons))
    group = _groups(len(texts), np.concatenate(linked))
    places = np.array([unit_interval(seed, "split", text) for text in texts])
    # The least place of a group is one of its texts', whichever row comes first.
    lowest = np.ones(group.max() + 1)
    np.minimum.at(lowest, group, places)
    ends = np.array(list(accumulate(shares)))
    side = np.minimum(np.searchsorted(ends, lowest[group], side="right"), len(shares) - 1)
    return pa.array(list(fractions), pa.string()).take(pa.array(side))


def split_leaks(bios: pa.Table) -> Leaks:
    """Look for names, texts and near-duplicates that stand on two sides.

    Another signature than `assign_splits` uses finds the candidates, so that a pair which that
    one missed has a second chance to be seen.

    Args:
        bios: ``anonymized_bios``: name, bio, split.

    Raises:
        CorpusError: a column is missing.
    """
    require_columns(bios, "name", "bio", "split")
    texts = _masked_texts(bios)
    sides = np.asarray(bios["split"].combine_chunks().dictionary_encode().indices)

    def crossing(pairs: Pairs) -> list[tuple[int, int]]:
        across = pairs[sides[pairs[:, 0]] != sides[pairs[:, 1]]]
        return [(int(a), int(b)) for a, b in across]

    return Leaks(
        names=crossing(_equal_rows(bios["name"])),
        texts=crossing(_equal_rows(pa.array(texts, pa.string()))),
        near_duplicates=crossing(_near_duplicates(texts, _CHECKING)),
    )


def _masked_texts(bios: pa.Table) -> list[str]:
    """The texts without the words of the name: two names must not make one text two."""
    return [
        _masked(bio, name)
        for bio, name in zip(bios["bio"].to_pylist(), bios["name"].to_pylist(), strict=True)
    ]


def _masked(bio: str, name: str) -> str:
    parts = set(name.split())
    return " ".join([word for word in bio.split() if word not in parts])


def _shingles(text: str) -> list[str]:
    words = text.split()
    if len(words) <= _SHINGLE:
        return [text]
    return list(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def _near_duplicates(texts: list[str], seed: int) -> Pairs:
    """Pairs of texts that differ and are at least `NEAR_DUPLICATE` alike; shape ``(pairs, 2)``.

    Of rows with one text the first stands for all. MinHash signatures in bands (Leskovec,
    Rajaraman, Ullman, Mining of Massive Datasets, 3.4) find the candidates, which are compared
    exactly. In a group of many texts that are all alike not every pair is listed, but enough of
    them to connect the group.
    """
    from rensa import RMinHash

    first_row = {text: row for row, text in reversed(list(enumerate(texts)))}
    rows = np.array(list(first_row.values()), dtype=np.int64)
    signatures = np.array(
        RMinHash.digests_from_token_sets(map(_shingles, first_row), _PERMUTATIONS, seed),
        dtype=np.uint32,
    ).reshape(-1, _PERMUTATIONS)
    candidates = {
        (min(rows[a], rows[b]), max(rows[a], rows[b]))
        for start in range(0, _PERMUTATIONS - _ROWS_OF_BAND + 1, _ROWS_OF_BAND)
        for a, b in _equal_signatures(signatures[:, start : start + _ROWS_OF_BAND])
    }
    sets: dict[np.int64, frozenset[str]] = {}

    def similarity(a: np.int64, b: np.int64) -> float:
        for row in (a, b):
            if row not in sets:
                sets[row] = frozenset(_shingles(texts[row]))
        return len(sets[a] & sets[b]) / len(sets[a] | sets[b])

    found = [pair for pair in sorted(candidates) if similarity(*pair) >= NEAR_DUPLICATE]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _equal_signatures(band: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Pairs of rows with equal bands."""
    keys = np.ascontiguousarray(band).view(f"V{band.itemsize * band.shape[1]}").ravel()
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        rows = order[start : start + size].tolist()
        if size <= _SMALL_GROUP:
            yield from combinations(rows, 2)
        else:
            yield from ((rows[0], row) for row in rows[1:])
            yield from pairwise(rows)


def _equal_rows(values: pa.ChunkedArray | pa.Array) -> Pairs:
    """Pairs (first row, row) of rows with equal values."""
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    codes = np.asarray(encoded.indices)
    rows = np.arange(len(codes))
    first = np.full(len(encoded.dictionary), len(codes))
    np.minimum.at(first, codes, rows)
    later = first[codes] != rows
    return np.column_stack([first[codes][later], rows[later]]).astype(np.int64)


def _groups(rows: int, pairs: Pairs) -> npt.NDArray[np.int32]:
    """The number of each row's group, where pairs connect; shape ``(rows,)``."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
