"""Takes a biography apart: name, brackets, first predicate, further sentences about the person.

No fact about the person is decided here.
"""

import re
from typing import NamedTuple

_STOP = re.compile(r"[()\n]|(?<=\s)\.(?=\s|$)")
_STOPS = re.compile(r"\s\.(?=\s|$)|\n")
_CLOSERS = {"(": 1, ")": -1}
# "3 . liga" and "no . 1" do not end a sentence.
_ORDINAL = re.compile(r"(?:^|\s)(?:\d{1,2}|no|vs|st|mt|dr|jr|sr)\s$")
_OPENS_SENTENCE = re.compile(
    r"\s*(?:he|she|they|his|her|the|in|on|at|it|this|from|after|since|during|as)\b"
)

_COPULA = re.compile(
    r"(?:^|(?<=\s))(?:is|was|are|were|has been|had been|became|remains|is n't|being)\s+(?:also\s+)?"
)
# "was born in dublin" and "is known for" are not yet what the person is.
_NO_ROLE = re.compile(
    r"(?:born|baptised|baptized|christened|raised|named|called|known|nicknamed|credited|educated|"
    r"best|better|commonly|widely|perhaps|most|often|considered|regarded|remembered|noted|famous|"
    r"married|buried|killed|murdered|executed|survived|elected|appointed|chosen|selected|drafted|"
    r"signed|listed|ranked|featured|described|recognized|recognised|active|based|located|one of)\b"
)
_PERSONAL = re.compile(r"\s*(?:[\w ,'-]{0,60}?,\s+)?(?:he|she|born)\b")
_POSSESSIVE = re.compile(r"\s*(?:his|her)\b")

_LONGEST_SENTENCE = 600
"""Characters; a longer first sentence is taken to have lost its full stop."""


def words(text: str) -> frozenset[str]:
    """A set of words, written as they are read."""
    return frozenset(text.split())


class About(NamedTuple):
    """A further sentence whose subject is the person."""

    sentence: str
    predicate: str
    """What it says the person is ("" where it tells something else)."""


class Lead(NamedTuple):
    """The parts of a biography, lower-case and tokenised as wiki_bio is."""

    brackets: tuple[str, ...]
    """What stands in brackets before the first predicate, without the outer brackets."""
    first: str
    """The first sentence without its brackets."""
    predicate: str
    """What the first sentence says the person is: "a german politician who ..."."""
    further: tuple[str, ...]
    """The other sentences, as they stand."""
    about: tuple[About, ...]
    """Those of them that are about the person."""


def _said_of(sentence: str) -> str | None:
    """What follows the first copula that says what its subject is."""
    for match in _COPULA.finditer(sentence):
        if not _NO_ROLE.match(sentence, match.end()):
            return sentence[match.end() :]
    return None


def take_apart(name: str, bio: str) -> Lead:
    """Split a biography; its brackets may be ``( )`` or wiki_bio's ``-lrb- -rrb-``."""
    text = bio.strip()
    if "-lrb-" in text:
        text = text.replace("-lrb-", "(").replace("-rrb-", ")")
    end = _sentence_end(text, 0)
    first, brackets, places = _without_brackets(text[:end])
    copula = _COPULA.search(first)
    if copula is None and end < len(text):
        # The stop belonged to an abbreviation: "o.cist .".
        longer = _sentence_end(text, end + 1)
        if longer < _LONGEST_SENTENCE:
            end = longer
            first, brackets, places = _without_brackets(text[:end])
            copula = _COPULA.search(first)
    border = copula.start() if copula else len(first)
    further = tuple(
        sentence for part in _STOPS.split(text[end + 1 :]) if (sentence := part.strip())
    )
    predicate = _said_of(first)
    if predicate is None:
        predicate = first[copula.end() :] if copula else first.removeprefix(name)
    surname = name.rpartition(" ")[2]
    return Lead(
        brackets=tuple(b for b, at in zip(brackets, places, strict=True) if at <= border),
        first=first,
        predicate=predicate,
        further=further,
        about=tuple(
            About(sentence, _said_of(sentence) or "")
            for sentence in further
            if _is_about(sentence, name, surname)
        ),
    )


def _is_about(sentence: str, name: str, surname: str) -> bool:
    if _PERSONAL.match(sentence):
        return True
    opening = sentence[: len(name) + len(surname) + 2]
    return bool(surname) and surname in opening and not _POSSESSIVE.match(sentence)


def _sentence_end(text: str, start: int) -> int:
    depth = 0
    unclosed: int | None = None
    for match in _STOP.finditer(text, start):
        mark = match.group()
        if mark in _CLOSERS:
            depth = max(depth + _CLOSERS[mark], 0)
            continue
        at = match.start()
        ordinal = mark == "." and _ORDINAL.search(text, max(at - 5, 0), at)
        if ordinal and not _OPENS_SENTENCE.match(text, at + 1):
            continue
        if not depth or mark == "\n":
            return at
        # A bracket that never closes must not swallow the whole text.
        unclosed = at if unclosed is None else unclosed
    return len(text) if unclosed is None else unclosed


def _without_brackets(sentence: str) -> tuple[str, list[str], list[int]]:
    """The text outside brackets, the outermost brackets, and where each stood in that text."""
    outside: list[str] = []
    brackets: list[str] = []
    places: list[int] = []
    # With more brackets opened than closed, none is taken to stand within another.
    deepest = 1 if sentence.count("(") > sentence.count(")") else len(sentence)
    depth = opened = begin = length = 0
    for match in re.finditer(r"[()]", sentence):
        if match.group() == "(":
            if not depth:
                piece = sentence[begin : match.start()].rstrip()
                outside.append(piece)
                length += len(piece)
                opened = match.end()
            depth = min(depth + 1, deepest)
        elif depth:
            depth -= 1
            if not depth:
                brackets.append(sentence[opened : match.start()].strip())
                places.append(length)
                begin = match.end()
    if depth:
        brackets.append(sentence[opened:].strip())
        places.append(length)
    else:
        outside.append(sentence[begin:])
    return "".join(outside), brackets, places
