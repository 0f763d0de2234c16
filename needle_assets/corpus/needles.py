"""Which biographies can be asked about, and which side of the split each person is on.

What a biography says (labels), and where in a prompt a needle lies, do not belong here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.corpus.tables import CorpusError
from needle_assets.seeding import unit_interval

NOT_A_PERSON = "not a person"
NAME_NOT_SUBJECT = "the bio does not open with the name"
NAME_NOT_UNIQUE = "another bio has the same name"
TOO_LITTLE_TEXT = "too little text"
TOO_SHORT = "shorter than the hay's middle"
TOO_LONG = "longer than the hay's middle"
RULES = (NOT_A_PERSON, NAME_NOT_SUBJECT, NAME_NOT_UNIQUE, TOO_LITTLE_TEXT, TOO_SHORT, TOO_LONG)
"""Why a biography is no needle, in the order in which the rules are asked."""

SPLITS: Mapping[str, float] = {"train": 0.5, "validation": 0.2, "test": 0.3}
"""Shares of the persons, by split."""

_TAIL = 0.025
# A rank or title may stand before the name: "vice admiral sir", "the right honourable".
_WORDS_BEFORE_NAME = 4
# "is an american actress" says one thing; two facts take some words more.
_LEAST_WORDS = 6
_WORDS_OF_KEY = 24


@dataclass(frozen=True)
class NeedleSelection:
    """The needles of a corpus.

    Attributes:
        table: the rows fit to be needles, columns and order as they came.
        funnel: rows taken out, by the first rule that each broke, in the order of ``RULES``.
        total: rows there were.
    """

    table: pa.Table
    funnel: Mapping[str, int]
    total: int


def filter_needles(bios: pa.Table) -> NeedleSelection:
    """Keep the biographies that a question can be asked about.

    A needle is about one person, opens with that person's name, which no other biography has,
    says something, and is neither among the shortest nor the longest 2.5 % of all biographies:
    a needle's length must not tell it from the hay.

    Args:
        bios: the columns of ``ANONYMIZED_SCHEMA`` and ``token_count`` (int32).

    Raises:
        CorpusError: a column is missing.
    """
    _require(bios, "name", "bio", "is_person", "token_count")
    if bios.num_rows == 0:
        return NeedleSelection(bios, dict.fromkeys(RULES, 0), 0)
    lengths = bios["token_count"]
    shortest, longest = pc.quantile(
        lengths, [_TAIL, 1 - _TAIL], interpolation="nearest"
    ).to_pylist()
    names = bios["name"].to_pylist()
    texts = bios["bio"].to_pylist()
    counts = pc.value_counts(bios["name"])
    shared = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    opens = pa.array(map(_opens_with, texts, names), pa.bool_())
    enough = pa.array(map(_says_something, texts, names), pa.bool_())
    broken = {
        NOT_A_PERSON: pc.invert(bios["is_person"]),
        NAME_NOT_SUBJECT: pc.invert(opens),
        NAME_NOT_UNIQUE: pc.is_in(bios["name"], value_set=shared),
        TOO_LITTLE_TEXT: pc.invert(enough),
        TOO_SHORT: pc.less(lengths, shortest),
        TOO_LONG: pc.greater(lengths, longest),
    }
    remaining = pa.repeat(pa.scalar(True), bios.num_rows)
    funnel: dict[str, int] = {}
    for rule in RULES:
        kept = pc.and_not(remaining, broken[rule])
        funnel[rule] = pc.sum(remaining).as_py() - pc.sum(kept).as_py()
        remaining = kept
    return NeedleSelection(bios.filter(remaining), funnel, bios.num_rows)


def assign_splits(bios: pa.Table, seed: int, fractions: Mapping[str, float] = SPLITS) -> pa.Array:
    """Put each person on one side: train, validation or test.

    The side follows from the seed and from how the text begins, the name left out, so that
    biographies that begin alike fall on one side, and that rows which come or go move no others.
    A near-duplicate with another date in its first words may fall on the other side.

    Args:
        bios: the columns of ``ANONYMIZED_SCHEMA``.
        seed: the corpus's seed.
        fractions: the share of each split; together 1.

    Returns:
        The name of the split for each row (string).

    Raises:
        CorpusError: a column is missing, or the fractions are not shares of 1.
    """
    _require(bios, "name", "bio")
    shares = list(fractions.values())
    if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise CorpusError(
            f"the fractions of the splits are {dict(fractions)}, expected none below 0 and "
            f"a sum of 1, not {sum(shares):g}"
        )
    splits = list(zip(fractions, accumulate(shares), strict=True))
    last = splits[-1][0]

    def split_of(bio: str, name: str) -> str:
        place = unit_interval(seed, "split", _key(bio, name))
        return next((split for split, end in splits if place < end), last)

    values = map(split_of, bios["bio"].to_pylist(), bios["name"].to_pylist())
    return pa.array(values, pa.string())


def _require(bios: pa.Table, *columns: str) -> None:
    missing = [column for column in columns if column not in bios.column_names]
    if missing:
        raise CorpusError(
            f"the biographies lack the columns {', '.join(missing)}; they have "
            f"{', '.join(bios.column_names)}; materialize anonymized_bios again"
        )


def _opens_with(bio: str, name: str) -> bool:
    before, found, _ = f" {bio} ".partition(f" {name} ")
    return bool(found) and len(before.split()) <= _WORDS_BEFORE_NAME


def _words_besides(bio: str, name: str) -> list[str]:
    parts = name.split()
    return [word for word in bio.split() if word not in parts and any(map(str.isalnum, word))]


def _says_something(bio: str, name: str) -> bool:
    return len(_words_besides(bio, name)) >= _LEAST_WORDS


def _key(bio: str, name: str) -> str:
    return " ".join(_words_besides(bio, name)[:_WORDS_OF_KEY])
