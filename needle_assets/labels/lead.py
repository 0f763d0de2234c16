"""Takes a biography apart: name, brackets, first predicate, further sentences about the person.

No fact about the person is decided here.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
_PERSONAL = re.compile(r"(?:[\w ,'-]{0,60}?,\s+)?(?:he|she|born)\b")
_OPENS_ABOUT = re.compile(
    r"(?:\( ?born|(?:after|until|upon|following|since|before) (?:his|her)|an? native of|raised)\b"
)
# "roe 's father , john roe , was a senator": the sentence is about him.
_RELATIVES = re.compile(
    r" 's (?:[\w-]+ ){0,2}?(?:father|mother|parents|brothers?|sisters?|sons?|daughters?|wife|"
    r"husband|spouse|widow|widower|uncles?|aunts?|cousins?|nephews?|nieces?|grand\w+|great-\w+|"
    r"half-\w+|step\w+|children|family|twin)\b"
)
# "a lawyer and a judge , roe was a delegate": what stands before the subject.
_INTRODUCTION = 90
_VERB = re.compile(r"\s(?:is|was|has|had|\w+ed|became|won|held|ran|sat|made|led)\b")
# What stands between the name and the copula and says what the person is: "jane roe , a greek
# rower , was ...".
_APPOSITION = re.compile(r",\s+((?:an?|the|one of the)\s.*)", re.DOTALL)

_LONGEST_SENTENCE = 600
"""Characters; a longer first sentence is taken to have lost its full stop."""

_LONGEST = 3000
"""Characters of a sentence that are read; patterns are not let loose on a text without stops."""


def words(text: str) -> frozenset[str]:
    """A set of words, written as they are read."""
    return frozenset(text.split())


class Lead(NamedTuple):
    """The parts of a biography, lower-case and tokenised as wiki_bio is."""

    surname: str
    brackets: tuple[str, ...]
    """What stands in brackets before the first predicate, without the outer brackets."""
    later_brackets: tuple[tuple[str, str], ...]
    """Brackets after it in the first sentence, each with the predicate's words before it."""
    first: str
    """The first sentence without its brackets."""
    subject: str
    """Its part before the copula: the name and what is added to it."""
    apposition: str
    """What the subject adds to the name: "a greek rower", or nothing."""
    predicate: str
    """What the first sentence says the person is: "a german politician who ..."."""
    citizen: bool
    """Whether the text speaks of a citizen anywhere."""
    further: tuple[str, ...]
    """The other sentences, as they stand."""
    about: tuple[str, ...]
    """Those of them whose subject is the person."""


def said_of(sentence: str) -> str:
    """What a sentence says its subject is: what follows the first copula that says it, or ""."""
    for match in _COPULA.finditer(sentence):
        if not _NO_ROLE.match(sentence, match.end()):
            return sentence[match.end() :]
    return ""


def take_apart(name: str, bio: str) -> Lead:
    """Split a biography; its brackets may be ``( )`` or wiki_bio's ``-lrb- -rrb-``."""
    text = bio.strip()
    if "-lrb-" in text or "-rrb-" in text:
        text = text.replace("-lrb-", "(").replace("-rrb-", ")")
    end = _sentence_end(text, 0)
    surname = name.rpartition(" ")[2]
    first, brackets, places = _without_brackets(text[: min(end, _LONGEST)])
    copula = _COPULA.search(first)
    opens = _OPENS_SENTENCE.match(text, end + 1) or text.startswith(f"{surname} ", end + 2)
    if copula is None and end < len(text) and not opens:
        # The stop belonged to an abbreviation: "o.cist .".
        longer = _sentence_end(text, end + 1)
        if longer < _LONGEST_SENTENCE:
            end = longer
            first, brackets, places = _without_brackets(text[:end])
            copula = _COPULA.search(first)
    unclosed = copula is None and text.count("(", 0, end) > text.count(")", 0, end)
    if unclosed and brackets and (inside := _COPULA.search(brackets[-1])):
        # "jane roe ( born in lyon is a french poet".
        first = f"{first[: places[-1]]} {brackets[-1][inside.start() :]}"
        brackets[-1] = brackets[-1][: inside.start()]
        copula = _COPULA.search(first)
    subject, last, predicate, apposition = first, len(first), "", ""
    if copula:
        # "jane roe is ( born 1950 ) a writer".
        subject, last = first[: copula.start()], copula.end()
        predicate = first[last:]
        if _NO_ROLE.match(predicate):
            predicate = said_of(predicate) or predicate
        if "," in subject and (added := _APPOSITION.search(subject, len(name))):
            apposition = added[1].strip(" ,")
    else:
        predicate = first.removeprefix(name)
    further = tuple(_sentences(text[end + 1 :]))
    pairs = list(zip(brackets, places, strict=True))
    return Lead(
        surname=surname,
        brackets=tuple(bracket for bracket, at in pairs if at <= last),
        later_brackets=tuple((bracket, first[last:at]) for bracket, at in pairs if at > last),
        first=first,
        subject=subject,
        apposition=apposition,
        predicate=predicate,
        citizen="citizen" in text,
        further=further,
        about=tuple(_about(further, name, surname)),
    )


def _sentences(text: str) -> Iterator[str]:
    if "\n" in text:
        text = text.replace("\n", " . ")
    for part in text.split(" . "):
        sentence = part.strip().removesuffix(" .")
        if sentence and sentence != ".":
            yield sentence[:_LONGEST]


def _about(sentences: Sequence[str], name: str, surname: str) -> Iterator[str]:
    first_name = name.partition(" ")[0] + " "
    reach = len(name) + len(surname) + 2
    for sentence in sentences:
        start = sentence[:75]
        if (
            # Half of the sentences have neither word where a subject stands.
            (("he " in start or "born" in start) and _PERSONAL.match(sentence))
            or _names(sentence, surname, first_name, reach)
            or _OPENS_ABOUT.match(sentence)
        ):
            yield sentence


def _names(sentence: str, surname: str, first_name: str, reach: int) -> bool:
    """Whether the person's name is the subject."""
    if not surname or sentence.startswith(("his ", "her ")):
        return False
    named = sentence.find(surname, 0, reach)
    if named >= 0:
        return " 's " not in sentence[:reach] or not _RELATIVES.match(
            sentence, named + len(surname)
        )
    if sentence.startswith(first_name):
        return not _RELATIVES.match(sentence, len(first_name) - 1)
    at = sentence.find(f", {surname} ", 0, _INTRODUCTION)
    return at > 0 and _VERB.match(sentence, at + len(surname) + 2) is not None


def _sentence_end(text: str, start: int) -> int:
    """Where the sentence ends that begins at ``start``: a stop outside brackets, or a new line."""
    line = text.find("\n", start)
    limit = len(text) if line < 0 else line
    depth = 0
    unclosed = -1
    begin = start
    while True:
        at = text.find(" .", begin, limit) + 1
        if not at:
            if line >= 0:
                return line
            return limit if unclosed < 0 else unclosed
        depth += text.count("(", start, at) - text.count(")", start, at)
        depth = max(depth, 0)
        start = begin = at + 1
        if begin < limit and not text[begin].isspace():
            # ".com" is no stop; what was counted stays counted.
            continue
        if _ORDINAL.search(text, max(at - 5, 0), at) and not _OPENS_SENTENCE.match(text, at + 1):
            continue
        if not depth:
            return at
        # A bracket that never closes must not swallow the whole text.
        unclosed = at if unclosed < 0 else unclosed


def _without_brackets(sentence: str) -> tuple[str, list[str], list[int]]:
    """The text outside brackets, the outermost brackets, and where each stood in that text."""
    outside: list[str] = []
    brackets: list[str] = []
    places: list[int] = []
    # With more brackets opened than closed, none is taken to stand within another.
    opens = sentence.count("(")
    deepest = 1 if opens > sentence.count(")") else len(sentence)
    if not opens:
        return sentence, brackets, places
    if opens == 1 and (close := sentence.find(")", open_ := sentence.find("("))) >= 0:
        before = sentence[:open_].rstrip()
        return before + sentence[close + 1 :], [sentence[open_ + 1 : close].strip()], [len(before)]
    depth = opened = begin = length = 0
    for match in _BRACKET.finditer(sentence):
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


_BRACKET = re.compile(r"[()]")
