"""New names for people: which there are, and who gets which.

Given and family names come from faker's lists, read once; another version of faker may give
other names. Where a name stands in a text does not belong here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from needle_assets.corpus.tables import CorpusError
from needle_assets.corpus.words import (
    ENGLISH,
    EVER,
    IN_USE,
    first_names,
    listed_names,
    ordinary_words,
)

Gender = Literal["male", "female", "neutral"]
GENDERS: tuple[Gender, ...] = ("male", "female", "neutral")

_NEIGHBOURS = (
    *("da_DK", "de_CH", "de_DE", "es_ES", "fi_FI", "fr_BE", "fr_FR", "it_IT", "lv_LV", "nl_NL"),
    *("no_NO", "pl_PL", "pt_BR", "ro_RO", "sv_SE"),
)
_SHORTEST, _LONGEST = 3, 10
_NO_NEW_NAMES = frozenset({"ben", "della", "nee", "shah", "von"})
"""Names that read as part of another one: "carla nee ( born 1950 )", "otto von"."""
_ATTEMPTS = 16
_NEXT_GIVEN, _NEXT_FAMILY = 7, 1013


def _usable(names: Iterable[str]) -> list[str]:
    ordinary = ordinary_words()
    return sorted(
        name
        for name in names
        if name.isascii()
        and name.isalpha()
        and _SHORTEST <= len(name) <= _LONGEST
        and name not in ordinary
        and name not in _NO_NEW_NAMES
    )


@cache
def given_names(gender: Gender) -> tuple[str, ...]:
    """Given names of one gender, lower case, sorted; the three genders share none.

    Names in use in the United States and Great Britain count as male or female only where nobody
    of the other gender bears them, neither in faker's long historical list of English names nor in
    other English-speaking and neighbouring countries. Names that both genders bear are neutral,
    unless one of all those countries gives them to one gender alone.
    """
    men, women = first_names(IN_USE)
    men_in_english, women_in_english = first_names(ENGLISH)
    men_ever, women_ever = first_names(EVER)
    men_abroad, women_abroad = first_names(_NEIGHBOURS)
    if gender == "male":
        return tuple(_usable(men - women_ever - women_abroad))
    if gender == "female":
        return tuple(_usable(women - men_ever - men_abroad))
    one_sided = (men_in_english ^ women_in_english) | (men_abroad ^ women_abroad)
    historical = (men_ever & women_ever) - (men_in_english | women_in_english) - one_sided
    return tuple(_usable((men & women) | historical))


@cache
def family_names() -> tuple[str, ...]:
    """Family names, lower case, sorted; none of them is a given name or an ordinary word."""
    men, women = first_names(ENGLISH)
    families = listed_names("last_names", EVER)
    return tuple(_usable(families - men - women - {*given_names("neutral")}))


@dataclass(frozen=True, slots=True)
class NewName:
    """A name in lower case. ``middle`` is empty unless a name of two words did not do."""

    given: str
    middle: str
    family: str

    @property
    def full(self) -> str:
        """The whole name, two or three words."""
        if self.middle:
            return f"{self.given} {self.middle} {self.family}"
        return f"{self.given} {self.family}"


def pair_count(gender: Gender) -> int:
    """How many names of two words there are."""
    return len(given_names(gender)) * len(family_names())


def bearer_limit(gender: Gender) -> int:
    """How many rows can share one pair, told apart by their middle names."""
    return (len(given_names(gender)) + len(family_names())) // _ATTEMPTS


@dataclass(frozen=True)
class Allotment:
    """Which pair of names each row starts from, and which of the pair's bearers it is.

    Attributes:
        pair: int64, below ``pair_count`` of the row's gender.
        bearer: int64, from 0: 0 may have the pair as it is, the others need a middle name.
    """

    pair: "np.ndarray[Any, np.dtype[np.int64]]"
    bearer: "np.ndarray[Any, np.dtype[np.int64]]"


def allot(
    genders: "np.ndarray[Any, Any]", digests: "np.ndarray[Any, np.dtype[np.uint64]]"
) -> Allotment:
    """Share out the pairs of names.

    A row's pair follows from its digest alone. Rows of one gender that meet on a pair are its
    bearers in the order of their digests. So the order of the rows does not matter, and a row
    that comes or goes can rename only those that share its pair.

    Args:
        genders: for each row its place in ``GENDERS``, shape (rows,).
        digests: 128 random bits of each row, shape (rows, 2), different for different rows.

    Raises:
        CorpusError: more rows meet on one pair than middle names can tell apart. With the names
            there are that takes hundreds of millions of rows: among 2 million of the gender with
            the fewest pairs (about 570,000) a pair has 3.5 bearers on average, and the chance
            that any has more than 195 is below 1e-200 (Poisson).
    """
    pair = np.zeros(len(genders), np.int64)
    bearer = np.zeros(len(genders), np.int64)
    for code, gender in enumerate(GENDERS):
        rows = np.flatnonzero(genders == code)
        if not len(rows):
            continue
        first, second = digests[rows, 0], digests[rows, 1]
        number = (first % np.uint64(pair_count(gender))).astype(np.int64)
        order = np.lexsort((second, first, number))
        ordered = number[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        sizes = np.diff(starts, append=len(ordered))
        if sizes.max() > bearer_limit(gender):
            raise CorpusError(
                f"{len(rows):,} rows need {gender} names, and {sizes.max():,} of them one and the "
                f"same pair of names, expected at most {bearer_limit(gender):,}; split the corpus"
            )
        pair[rows] = number
        bearer[rows[order]] = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return Allotment(pair, bearer)


def new_name(
    pair: int, bearer: int, gender: Gender, taken: Callable[[str], bool]
) -> NewName | None:
    """The name of one bearer of a pair, none of whose words is taken.

    No two (pair, bearer, gender) get the same name, whatever is taken. Candidate ``k`` of all
    rows is the same shift of their pairs, so two rows whose candidates have one and the same
    pair differ in ``k`` or in ``bearer``; and the middle name is, for a given pair, one-to-one
    with (bearer, k). Given names of different genders are different words.

    Args:
        pair: below ``pair_count(gender)``.
        bearer: below ``bearer_limit(gender)``.
        gender: decides the list of given names.
        taken: whether a lower-case word must not be in the name: the old name has it, or the
            text.

    Returns:
        The name, or None where all 16 candidates contain a taken word.
    """
    given, families = given_names(gender), family_names()
    left, right = divmod(pair, len(families))
    for attempt in range(_ATTEMPTS):
        i = (left + attempt * _NEXT_GIVEN) % len(given)
        j = (right + attempt * _NEXT_FAMILY) % len(families)
        middle = _middle(i + j, bearer * _ATTEMPTS + attempt, given, families)
        first, last = given[i], families[j]
        if taken(first) or taken(last):
            continue
        if not middle or not (middle in (first, last) or taken(middle)):
            return NewName(first, middle, last)
    return None


def _middle(start: int, step: int, given: tuple[str, ...], families: tuple[str, ...]) -> str:
    """Nothing for step 0; then each given name once, and after them each family name once."""
    if step < len(given):
        return given[(start + step) % len(given)] if step else ""
    return families[(start + step) % len(families)]
