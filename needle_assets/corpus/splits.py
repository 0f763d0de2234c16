"""Which side of the split each person is on, and proof that nothing leaks from side to side.

What makes a good needle is decided in `needles`; which side a prompt draws from in `haystack`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

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
# Bands of 3 rows find a pair of similarity 0.7 with a chance of 1 - (1 - 0.7^3)^21 = 0.9998.
_ROWS_OF_BAND = 3
# All pairs are compared in small groups; in a large one each text with its neighbours.
_SMALL_GROUP = 16
# Bands find ever more pairs that are not alike, as the square of the rows: in 700,000 biographies
# some 20 million. The signatures of two texts that are 0.7 alike agree in less than 0.45 of 64
# places once in 90,000 pairs.
_WORTH_COMPARING = 0.45
_BLOCK = 1 << 14
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
            values are one person's, a null says nothing. None: the texts alone decide.
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
        nameless(bio, name)
        for bio, name in zip(bios["bio"].to_pylist(), bios["name"].to_pylist(), strict=True)
    ]


def nameless(bio: str, name: str) -> str:
    """A biography without the words of its name, by which it is told under any name."""
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
    Rajaraman, Ullman, Mining of Massive Datasets, 3.4) find the candidates; those whose signatures
    are alike are compared exactly. In a group of many texts that are all alike not every pair is
    listed, but enough of them to connect the group.
    """
    first_row = {text: row for row, text in reversed(list(enumerate(texts)))}
    rows = np.array(list(first_row.values()), dtype=np.int64)
    signatures = _signatures(list(first_row), seed)
    found = [
        _alike(signatures, _equal_signatures(signatures[:, start : start + _ROWS_OF_BAND]))
        for start in range(0, _PERMUTATIONS - _ROWS_OF_BAND + 1, _ROWS_OF_BAND)
    ]
    candidates = np.unique(np.sort(rows[np.concatenate(found)], axis=1), axis=0)
    sets: dict[int, frozenset[str]] = {}

    def similarity(a: int, b: int) -> float:
        for row in (a, b):
            if row not in sets:
                sets[row] = frozenset(_shingles(texts[row]))
        return len(sets[a] & sets[b]) / len(sets[a] | sets[b])

    same = [similarity(a, b) >= NEAR_DUPLICATE for a, b in candidates.tolist()]
    return candidates[np.array(same, dtype=bool)]


def _signatures(texts: list[str], seed: int) -> npt.NDArray[np.uint32]:
    """MinHash signatures of the texts' sets of word triples; shape ``(len(texts), 64)``."""
    from rensa import RMinHash

    signatures = np.empty((len(texts), _PERMUTATIONS), dtype=np.uint32)
    for start in range(0, len(texts), _BLOCK):
        block = texts[start : start + _BLOCK]
        signatures[start : start + len(block)] = RMinHash.digests_from_token_sets(
            map(_shingles, block), _PERMUTATIONS, seed
        )
    return signatures


def _equal_signatures(band: npt.NDArray[np.uint32]) -> Pairs:
    """Pairs of rows with equal bands; shape ``(pairs, 2)``."""
    keys = np.ascontiguousarray(band).view(f"V{band.itemsize * band.shape[1]}").ravel()
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    start_of, size_of = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    places = np.arange(len(keys))
    small = size_of <= _SMALL_GROUP
    later = places[~small & (places > start_of)]
    # With the first of its group, with its neighbour, and in small groups with all others.
    pairs = [np.column_stack([start_of[later], later])]
    for step in range(1, _SMALL_GROUP):
        one = places[: max(len(places) - step, 0)]
        one = one[start_of[one] == start_of[one + step]]
        if step > 1:
            one = one[small[one]]
        pairs.append(np.column_stack([one, one + step]))
    return order[np.concatenate(pairs)]


def _alike(signatures: npt.NDArray[np.uint32], pairs: Pairs) -> Pairs:
    """The pairs whose signatures agree in `_WORTH_COMPARING` of their places or more."""
    agree = [
        np.mean(signatures[block[:, 0]] == signatures[block[:, 1]], axis=1) >= _WORTH_COMPARING
        for block in np.split(pairs, range(_BLOCK, len(pairs), _BLOCK))
    ]
    return pairs[np.concatenate(agree)]


def _equal_rows(values: pa.ChunkedArray | pa.Array) -> Pairs:
    """Pairs (first row, row) of rows with equal values; a null equals none."""
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    rows = np.flatnonzero(encoded.is_valid())
    codes = np.asarray(encoded.indices.drop_null())
    first = np.full(len(encoded.dictionary), len(encoded))
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
