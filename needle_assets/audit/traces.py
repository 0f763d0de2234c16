"""What is left of old names in new biographies, and pronouns that contradict the new names.

Written apart from `corpus.mentions`, from the promise alone: no word of three letters or more of
the title or of the infobox's names stands in the new biography.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import pyarrow as pa

SHORTEST = 3
"""Letters of the shortest word that counts as a trace."""

_GRAMMAR_TEXT = """
    the and for from with who was not his her one two all
    von van der den del della delle degli dei des dos das dal los las les zur zum ten ter
    bin ibn bint nee born aka also known called formerly
"""
_GRAMMAR = frozenset(_GRAMMAR_TEXT.split())
"""Articles, prepositions, particles, and what stands between two names of one field."""

_NAME_KEY = re.compile(r"(?:[a-z]*(?:names?|alias(?:es)?|pseudonyms?)|aka)[0-9]*", re.IGNORECASE)
# A key that ends in a name, but not in that of the person whom the article is about.
_OTHER_KEY = re.compile(
    r"image|file|lang|ship|spouse|partner|father|mother|parent|team|club|school|college|stadium|"
    r"constituency|company|label|font|signature|show|series|website|horse|dog|party|"
    r"honorific|office|district|character|module",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\(.*?(?:\)|$)")
# Letters that Unicode does not take for accented ones.
_STROKES = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
_ASCII_WORD = re.compile(r"[a-z]+")


def folded_words(text: str) -> list[str]:
    """Runs of letters of any script, in lower case and without accents."""
    text = text.casefold()
    if text.isascii():
        return _ASCII_WORD.findall(text)
    text = unicodedata.normalize("NFKD", text).translate(_STROKES)
    plain = "".join(c for c in text if not unicodedata.combining(c))
    # Korean syllables are one letter each, not the three that they are taken apart into.
    plain = unicodedata.normalize("NFC", plain)
    # Vowel signs of Indian scripts are marks that belong to their word.
    return "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in plain).split()


def is_name_key(key: str) -> bool:
    """Whether an infobox field of that key holds a name of the person."""
    plain = re.sub(r"[^a-z0-9]", "", key.rpartition("|")[2], flags=re.IGNORECASE)
    return bool(_NAME_KEY.fullmatch(plain)) and not _OTHER_KEY.search(key)


def name_words(title: str, infobox: Mapping[str, str]) -> frozenset[str]:
    """All words of a person's names: the title without its bracket, and the infobox's names.

    Words that stand in the title's bracket alone ("footballer") are none, also where the infobox
    repeats them.
    """
    plain = title.replace("-lrb-", "(").replace("-rrb-", ")")
    of_title = set(folded_words(_BRACKET.sub(" ", plain)))
    qualifier = {word for part in _BRACKET.findall(plain) for word in folded_words(part)}
    values = (
        value.replace("-lrb-", "(").replace("-rrb-", ")").replace("<none>", " ")
        for key, value in infobox.items()
        if is_name_key(key)
    )
    return frozenset(of_title | ({w for v in values for w in folded_words(v)} - qualifier))


@dataclass(frozen=True)
class Trace:
    """Words of an old name that stand in a new biography."""

    bio_id: str
    title: str
    words: tuple[str, ...]
    bio: str


@dataclass(frozen=True)
class Traces:
    """Traces of all rows of a table."""

    rows: int
    """Rows looked at."""
    found: tuple[Trace, ...]
    """One for each row with a trace."""
    grammar: Mapping[str, int]
    """Words of grammar that names hold and texts too, by the rows in which they were let pass."""


def find_traces(raw: pa.Table, kept: pa.Table) -> Traces:
    """Look in every anonymised biography for words of the old names.

    Args:
        raw: ``bio_id``, ``title``, ``infobox``.
        kept: ``bio_id`` and ``bio`` of the rows that anonymising kept.
    """
    old = {
        bio_id: (title, dict(infobox))
        for bio_id, title, infobox in zip(
            *(raw[name].to_pylist() for name in ("bio_id", "title", "infobox")), strict=True
        )
    }
    found = []
    grammar: Counter[str] = Counter()
    for bio_id, bio in zip(kept["bio_id"].to_pylist(), kept["bio"].to_pylist(), strict=True):
        title, infobox = old[bio_id]
        there = name_words(title, infobox).intersection(folded_words(bio))
        left = {word for word in there if len(word) >= SHORTEST}
        grammar.update(left & _GRAMMAR)
        if left - _GRAMMAR:
            found.append(Trace(bio_id, title, tuple(sorted(left - _GRAMMAR)), bio))
    return Traces(kept.num_rows, tuple(found), dict(grammar.most_common()))


Gender = Literal["male", "female"]

_PRONOUNS: Mapping[Gender, frozenset[str]] = {
    "male": frozenset(("he", "his", "him", "himself")),
    "female": frozenset(("she", "her", "hers", "herself")),
}
_ENGLISH = ("en_US", "en_GB", "en_IE", "en_NZ")


@cache
def _given_names() -> Mapping[Gender, frozenset[str]]:
    from importlib import import_module

    def listed(attribute: str) -> frozenset[str]:
        modules = (import_module(f"faker.providers.person.{locale}") for locale in _ENGLISH)
        lists: Iterable[Iterable[str]] = (getattr(m.Provider, attribute) for m in modules)
        return frozenset(name.lower() for names in lists for name in names)

    return {"male": listed("first_names_male"), "female": listed("first_names_female")}


def gender_of_name(name: str) -> Gender | None:
    """What the given name says: None where both genders bear it, or no list of faker's has it."""
    given = name.split()[0] if name.split() else ""
    bearers = [gender for gender, names in _given_names().items() if given in names]
    return bearers[0] if len(bearers) == 1 else None


def gender_of_text(bio: str) -> Gender | None:
    """What most pronouns say: None where there are none or as many of each."""
    words = Counter(bio.split())
    male, female = (sum(words[word] for word in pronouns) for pronouns in _PRONOUNS.values())
    return None if male == female else "male" if male > female else "female"


@dataclass(frozen=True)
class Pronouns:
    """Agreement of new names with the pronouns of their texts."""

    rows: int
    """Rows whose text has pronouns, more of one gender than of the other."""
    neutral: int
    """Those of them whose name says nothing of a gender."""
    contradicting: tuple[str, ...]
    """New names that contradict their text."""


def find_contradictions(names: Sequence[str], bios: Sequence[str]) -> Pronouns:
    """Compare what new given names and pronouns say."""
    said = [
        (name, gender_of_name(name), of_text)
        for name, bio in zip(names, bios, strict=True)
        if (of_text := gender_of_text(bio)) is not None
    ]
    return Pronouns(
        rows=len(said),
        neutral=sum(of_name is None for _, of_name, _ in said),
        contradicting=tuple(
            name for name, of_name, of_text in said if of_name not in (None, of_text)
        ),
    )
