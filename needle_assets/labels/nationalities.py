"""Finds what names a nationality in a text: demonyms, places, adjectives of regions.

Reading a biography's grammar does not belong here, nor any decision between two nationalities.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from needle_assets.labels.gazetteer import ROWS

UNKNOWN = "unknown"
"""The nationality of a person whose biography states none."""


class Mention(NamedTuple):
    """A phrase found in a text: its token positions (end exclusive) and what it names."""

    start: int
    end: int
    nationality: str


class Lexicon:
    """Phrases of lower-case tokens, each naming one nationality, found in a sequence of tokens."""

    def __init__(self, phrases: Mapping[str, str], others: Iterable[str] = ()) -> None:
        """Index ``phrases`` (phrase to nationality) by their first token.

        ``others`` are longer phrases that name none: "west indian" hides "indian".
        """
        self._phrases = dict(phrases)
        self._found: dict[str, str | None] = {**dict.fromkeys(others), **self._phrases}
        self._longest: dict[str, int] = {}
        for phrase in self._found:
            first, *rest = phrase.split()
            self._longest[first] = max(self._longest.get(first, 1), 1 + len(rest))

    def __iter__(self) -> Iterator[str]:
        """All phrases."""
        return iter(self._phrases)

    def get(self, phrase: str) -> str | None:
        """The nationality that a whole phrase names."""
        return self._phrases.get(phrase)

    def find(self, tokens: Sequence[str]) -> list[Mention]:
        """The phrases from left to right: the longest first, none overlapping."""
        longest = self._longest
        mentions: list[Mention] = []
        after = 0
        for position in [at for at, token in enumerate(tokens) if token in longest]:
            if position < after:
                continue
            token = tokens[position]
            for length in range(min(longest[token], len(tokens) - position), 0, -1):
                phrase = token if length == 1 else " ".join(tokens[position : position + length])
                if phrase in self._found:
                    after = position + length
                    nationality = self._found[phrase]
                    if nationality is not None:
                        mentions.append(Mention(position, after, nationality))
                    break
        return mentions


def _table() -> Iterator[tuple[str, list[list[str]]]]:
    for row in ROWS.replace("\n  ", " ").strip().splitlines():
        name, *columns = row.split("|")
        yield (
            name.strip(),
            [[item.strip() for item in column.split(",") if item.strip()] for column in columns],
        )


def _lexicon(column: int) -> dict[str, str]:
    return {
        phrase: name
        for name, columns in _table()
        if len(columns) > column
        for phrase in columns[column]
    }


NATIONALITIES: tuple[str, ...] = (*sorted(name for name, _ in _table()), UNKNOWN)
"""Every value that a label's nationality may take."""

# Adjectives of a continent or a thing that end or begin as a demonym does.
_NO_DEMONYMS = (
    *("west indian", "latin american", "north american", "south american", "central american"),
    *("indian ocean", "french horn", "english horn", "spanish guitar", "muay thai"),
)

DEMONYMS = Lexicon({name.lower(): name for name, _ in _table()} | _lexicon(0), _NO_DEMONYMS)
"""Adjectives of a nationality: "welsh", "argentine", "new zealand"."""

_NO_PLACES = (
    *("north america", "south america", "latin america", "central america"),
    *("voice of america", "boy scouts of america", "kent state"),
    *("queen victoria", "empress victoria", "princess victoria", "victoria cross"),
)

PLACES = Lexicon(_lexicon(1), _NO_PLACES)
"""Countries, states and cities."""

REGIONAL = Lexicon(_lexicon(2))
"""Adjectives of a region or people within a country: "bavarian", "tamil"."""

# Peoples and territories of a state, and the nations of states that are no more: a text may name
# either of the two.
_UMBRELLAS = {
    "British": """English, Scottish, Welsh, Northern Irish, Manx, Bermudian, Gibraltarian,
    Cayman Islander, Falkland Islander, Anguillan, Montserratian, Turks and Caicos Islander""",
    "American": "Puerto Rican, Guamanian, American Samoan, Virgin Islander",
    "Danish": "Greenlandic, Faroese",
    "Dutch": "Aruban, Curaçaoan",
    "French": "New Caledonian, French Polynesian, French Guianan",
    "Chinese": "Hong Kong, Macanese, Tibetan",
    "New Zealander": "Cook Islander, Niuean, Tokelauan",
    "Bosnian": "Herzegovinian",
    "Czechoslovak": "Czech, Slovakian",
    "Yugoslav": "Serbian, Croatian, Slovenian, Bosnian, Macedonian, Montenegrin, Kosovar",
    "Soviet": """Russian, Ukrainian, Belarusian, Georgian, Armenian, Azerbaijani, Moldovan,
    Lithuanian, Latvian, Estonian, Kazakhstani, Uzbekistani, Kyrgyz, Tajik, Turkmen""",
}
_UNDER = frozenset(
    (" ".join(name.split()), umbrella)
    for umbrella, names in _UMBRELLAS.items()
    for name in names.split(",")
)
# Two names of one nationality in the list of the 2024 post.
_SAME = (
    frozenset(["Batswana", "Motswana"]),
    frozenset(["Antiguans", "Barbudans"]),
)


def canonical(text: str) -> str | None:
    """The list's name for a nationality written in any case or variant, or None if not in it."""
    phrase = " ".join(text.lower().split())
    return UNKNOWN if phrase == UNKNOWN else DEMONYMS.get(phrase)


def agree(one: str, other: str) -> bool:
    """Whether two nationalities do not contradict each other: an English person is British too."""
    return (
        one == other
        or (one, other) in _UNDER
        or (other, one) in _UNDER
        or frozenset([one, other]) in _SAME
    )
