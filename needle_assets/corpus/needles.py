"""Which biographies can be asked about.

What a biography says (labels), which side of the split it is on (`splits`), and where in a prompt
a needle lies, do not belong here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.corpus.tables import require_columns

NOT_A_PERSON = "not a person"
NAME_NOT_SUBJECT = "the bio does not open with the name"
NAME_NOT_UNIQUE = "another bio has the same name"
NAME_ELSEWHERE = "another bio mentions the name"
TOO_LITTLE_TEXT = "too little text"
TOO_FEW_FACTS = "fewer than two known facts"
TOO_SHORT = "shorter than the hay's middle"
TOO_LONG = "longer than the hay's middle"
RULES = (
    NOT_A_PERSON,
    NAME_NOT_SUBJECT,
    NAME_NOT_UNIQUE,
    NAME_ELSEWHERE,
    TOO_LITTLE_TEXT,
    TOO_FEW_FACTS,
    TOO_SHORT,
    TOO_LONG,
)
"""Why a biography is no needle, in the order in which the rules are asked."""

LEAST_FACTS = 2
"""Facts of its label that a needle must state: a constant answer is right about the others."""

_TAIL = 0.025
# A rank or title may stand before the name: "vice admiral sir", "the right honourable".
_WORDS_BEFORE_NAME = 4
# "is an american actress" says one thing; two facts take some words more.
_LEAST_WORDS = 6


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


def filter_needles(bios: pa.Table, facts: pa.Array | pa.ChunkedArray) -> NeedleSelection:
    """Keep the biographies that a question can be asked about.

    A needle is about one person, opens with that person's name, which no other biography has or
    mentions, states at least `LEAST_FACTS` facts, and is neither among the shortest nor the
    longest 2.5 % of persons, who are the hay: a needle's length must not tell it from them.

    Args:
        bios: the columns of ``ANONYMIZED_SCHEMA`` and ``token_count`` (int32).
        facts: how many facts of its label each biography states (int), as the labels room counts.

    Raises:
        CorpusError: a column is missing.
    """
    require_columns(bios, "name", "bio", "is_person", "token_count")
    if bios.num_rows == 0:
        return NeedleSelection(bios, dict.fromkeys(RULES, 0), 0)
    lengths = bios["token_count"]
    of_hay = lengths.filter(bios["is_person"])
    shortest, longest = pc.quantile(
        of_hay if len(of_hay) else lengths, [_TAIL, 1 - _TAIL], interpolation="nearest"
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
        NAME_ELSEWHERE: _mentioned_elsewhere(names, texts),
        TOO_LITTLE_TEXT: pc.invert(enough),
        TOO_FEW_FACTS: pc.less(facts, LEAST_FACTS),
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


def _opens_with(bio: str, name: str) -> bool:
    before, found, _ = f" {bio} ".partition(f" {name} ")
    return bool(found) and len(before.split()) <= _WORDS_BEFORE_NAME


def _says_something(bio: str, name: str) -> bool:
    parts = name.split()
    words = (word for word in bio.split() if word not in parts and any(map(str.isalnum, word)))
    return len(list(islice(words, _LEAST_WORDS))) == _LEAST_WORDS


def _mentioned_elsewhere(names: list[str], texts: list[str]) -> pa.Array:
    """Which names stand in a biography that is not their own: a stranger may bear a new name."""
    rows: dict[str, dict[str, list[int]]] = {}
    for row, name in enumerate(names):
        first, _, rest = name.partition(" ")
        rows.setdefault(first, {}).setdefault(rest.partition(" ")[0], []).append(row)
    found = [False] * len(names)
    for text_row, text in enumerate(texts):
        words = text.split()
        # By their first two words through the whole corpus; what is met is looked at whole.
        for first, second in pairwise(words):
            if first in rows and second in rows[first]:
                for row in rows[first][second]:
                    if row != text_row and f" {names[row]} " in f" {text} ":
                        found[row] = True
    return pa.array(found, pa.bool_())
