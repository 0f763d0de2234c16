"""Sentence templates: their notation, and how one becomes the corpus's tokenised text.

Which slots there are, and what fills them, is decided by the scene a template is written in.

Notation: ``[a|b|]`` one of the alternatives; ``<he|she>`` by sex; ``{slot}`` filled by the scene;
``{club1}`` the same text each time in one row; ``{n3-9}`` a number, ``{w3-9}`` in words,
``{t3-9}`` as in 3rd, ``{o3-9}`` as in third; ``{y25}`` the year at age 25, ``{d25}`` a date in
it, ``{decade25}`` its decade; ``@a`` a or an; ``//`` the end of a sentence. Punctuation is
written as usual. A line may open with tags and ``> ``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from needle_assets.corpus.sample.dice import Dice


class Scene(Protocol):
    """What a template is written in."""

    dice: Dice
    male: bool

    def slot(self, name: str, copy: str) -> str:
        """The text of ``{name}``; ``copy`` is its trailing digit or empty."""
        ...

    def year(self, age: int) -> int:
        """The year at that age."""
        ...

    def date(self, age: int) -> str:
        """A date in that year, in words."""
        ...


class _Node(Protocol):
    def write(self, scene: Scene, out: list[str]) -> None: ...


@dataclass(frozen=True)
class _Text:
    text: str

    def write(self, scene: Scene, out: list[str]) -> None:  # noqa: ARG002
        out.append(self.text)


@dataclass(frozen=True)
class _Sequence:
    parts: tuple[_Node, ...]

    def write(self, scene: Scene, out: list[str]) -> None:
        for part in self.parts:
            part.write(scene, out)


@dataclass(frozen=True)
class _Choice:
    options: tuple[_Node, ...]

    def write(self, scene: Scene, out: list[str]) -> None:
        scene.dice.choice(self.options).write(scene, out)


@dataclass(frozen=True)
class _BySex:
    options: tuple[_Node, ...]

    def write(self, scene: Scene, out: list[str]) -> None:
        self.options[0 if scene.male else -1].write(scene, out)


@dataclass(frozen=True)
class _Slot:
    name: str
    copy: str

    def write(self, scene: Scene, out: list[str]) -> None:
        out.append(scene.slot(self.name, self.copy))


@dataclass(frozen=True)
class _Number:
    kind: str
    low: int
    high: int

    def write(self, scene: Scene, out: list[str]) -> None:
        out.append(_WRITE_NUMBER[self.kind](scene.dice.between(self.low, self.high)))


@dataclass(frozen=True)
class _Time:
    kind: str
    age: int

    def write(self, scene: Scene, out: list[str]) -> None:
        if self.kind == "d":
            out.append(scene.date(self.age))
            return
        year = scene.year(self.age)
        out.append(str(year) if self.kind == "y" else f"{year // 10 * 10}s")


_TAG = re.compile(r"^([A-Z]|[bx]\d{4}|=\w+)( ([A-Z]|[bx]\d{4}|=\w+))*$")
_NUMBER = re.compile(r"^([nwto])(\d+)-(\d+)$")
_TIME = re.compile(r"^(y|d|decade)(\d+)$")
_PLAIN = re.compile(r"[^\[\]<>{}|]+")
_SLOT = re.compile(r"^([a-zA-Z_]+?)(\d?)$")


@dataclass(frozen=True, eq=False)
class Template:
    """A compiled template and what can be asked about it before it is written."""

    root: _Node
    slots: frozenset[str]
    oldest: int = 0
    """The highest age it speaks of; 0 when it names no year."""
    tags: frozenset[str] = frozenset()
    group: str = ""
    """At most one sentence of a group goes into a text."""
    born_from: int = 0
    born_to: int = 9999

    def write(self, scene: Scene) -> str:
        """The raw text; finish a whole row with ``tidy``."""
        out: list[str] = []
        self.root.write(scene, out)
        return "".join(out)


def sentence(line: str) -> Template:
    """Compile a line that ends with a full stop, with its tags."""
    return _compile(line, is_sentence=True)


def phrase(source: str) -> Template:
    """Compile alternatives ``a|b|c`` that are no whole sentence."""
    return _compile(f"[{source}]", is_sentence=False)


@cache
def sentences(block: str) -> tuple[Template, ...]:
    """Compile a block of lines."""
    return tuple(sentence(line) for line in block.strip().splitlines() if line.strip())


def _compile(line: str, *, is_sentence: bool) -> Template:
    head, arrow, rest = line.partition("> ")
    tagged = bool(arrow) and _TAG.match(head) is not None
    tags = head.split() if tagged else []
    source = _tokenise(rest if tagged else line, is_sentence=is_sentence)
    parser = _Parser(source)
    root = parser.parse()
    return Template(
        root=root,
        slots=frozenset(parser.slots),
        oldest=parser.oldest,
        tags=frozenset(tag for tag in tags if tag.isupper()),
        group=next((tag[1:] for tag in tags if tag[0] == "="), ""),
        born_from=next((int(tag[1:]) for tag in tags if tag[0] == "b"), 0),
        born_to=next((int(tag[1:]) for tag in tags if tag[0] == "x"), 9999),
    )


def _tokenise(text: str, *, is_sentence: bool) -> str:
    """Punctuation as wiki_bio has it: apart from the words, brackets and quotes as tokens."""
    if is_sentence:
        text = text.strip()
        if not text.endswith("."):
            raise ValueError(f"the sample's sentence {text!r} does not end with a full stop")
        text = text[:-1] + " ."
    text = text.replace("(", "-lrb- ").replace(")", " -rrb-").replace("//", ".\n")
    text = re.sub(r'"([^"]*)"', r"`` \1 ''", text)
    text = re.sub(r"(?<=[^\s'])'s(?![a-z])", " 's", text)
    text = re.sub(r"(?<=s)'(?=[\s\]|])", " '", text)
    return re.sub(r"(?<=\S)([,;:])(?=[\s\]|\[])", r" \1", text)


@dataclass
class _Parser:
    source: str
    at: int = 0
    slots: set[str] = field(default_factory=set)
    oldest: int = 0

    def parse(self) -> _Node:
        node = self._sequence("")
        if self.at != len(self.source):
            raise self._error()
        return node

    def _sequence(self, ends: str) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.source) and self.source[self.at] not in ends:
            character = self.source[self.at]
            if character == "{":
                parts.append(self._slot())
            elif character in "[<":
                parts.append(self._options(character))
            else:
                plain = _PLAIN.match(self.source, self.at)
                if plain is None:
                    raise self._error()
                parts.append(_Text(plain[0]))
                self.at = plain.end()
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _options(self, opening: str) -> _Node:
        closing = "]" if opening == "[" else ">"
        options: list[_Node] = []
        while True:
            self.at += 1
            options.append(self._sequence("|" + closing))
            if self.at >= len(self.source):
                raise self._error()
            if self.source[self.at] == closing:
                self.at += 1
                return (_Choice if opening == "[" else _BySex)(tuple(options))

    def _slot(self) -> _Node:
        end = self.source.find("}", self.at)
        name = self.source[self.at + 1 : end]
        self.at = end + 1
        if match := _NUMBER.match(name):
            return _Number(match[1], int(match[2]), int(match[3]))
        if match := _TIME.match(name):
            self.oldest = max(self.oldest, int(match[2]))
            return _Time(match[1], int(match[2]))
        match = _SLOT.match(name)
        if match is None or end < 0:
            raise self._error()
        self.slots.add(match[1])
        return _Slot(match[1], match[2])

    def _error(self) -> ValueError:
        return ValueError(f"the sample's template {self.source!r} is wrong at {self.at}")


_REPAIRS = (
    ("  ", re.compile(r" {2,}"), " "),
    ("\n", re.compile(r" ?\n ?"), "\n"),
    ("the the ", re.compile(r"\bthe the "), "the "),
    (" , ", re.compile(r" , (?=[,.;]|-rrb-)"), " "),
)
_ARTICLE = re.compile(r"@a (`` |-lrb- )?(\S+)")
_SOUNDS_LIKE_CONSONANT = ("uni", "uk", "euro", "use", "one", "ewe", "uru", "uga", "utop", "ubi")
_SOUNDS_LIKE_VOWEL = ("hour", "heir", "honor", "honest", "8", "11 ", "11-", "18-", "mba", "mp")


def tidy(text: str) -> str:
    """Close the gaps that empty alternatives leave, and choose between a and an."""
    for sign, pattern, replacement in _REPAIRS:
        if sign in text:
            text = pattern.sub(replacement, text)
    if "@a" in text:
        text = _ARTICLE.sub(_article, text)
    return text.strip()


def _article(match: re.Match[str]) -> str:
    before, word = match[1] or "", match[2]
    vowel = word[0] in "aeiouáéíóöø" and not word.startswith(_SOUNDS_LIKE_CONSONANT)
    vowel = vowel or word.startswith(_SOUNDS_LIKE_VOWEL)
    return f"{'an' if vowel else 'a'} {before}{word}"


_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen"""
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def in_words(number: int) -> str:
    """A number below 100 in words."""
    ones, tens = _ONES.split(), _TENS.split()
    if number < len(ones):
        return ones[number]
    ten, one = divmod(number, 10)
    return f"{tens[ten]}-{ones[one]}" if one else tens[ten]


def ordinal_in_words(number: int) -> str:
    """21 gives twenty-first."""
    start, hyphen, last = in_words(number).rpartition("-")
    last = last[:-1] + "ieth" if last.endswith("y") else _IRREGULAR.get(last, last + "th")
    return start + hyphen + last


def ordinal(number: int) -> str:
    """21 gives 21st."""
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


_WRITE_NUMBER = {
    "n": lambda number: f"{number:,}",
    "w": in_words,
    "t": ordinal,
    "o": ordinal_in_words,
}


def leading_to(targets: frozenset[str], rules: Mapping[str, Sequence[Template]]) -> frozenset[str]:
    """The targets, and the rules whose writing may fill one of them."""
    found = set(targets)
    grown = True
    while grown:
        more = {name for name, parts in rules.items() if any(t.slots & found for t in parts)}
        grown = not more <= found
        found |= more
    return frozenset(found)
