"""Which nationality a biography states, or gives evidence of.

The words that name nationalities are in `gazetteer`, evidence short of a statement in `origin`;
roles and dates are not decided here.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from needle_assets.labels import roles
from needle_assets.labels.lead import Lead, said_of, words
from needle_assets.labels.nationalities import DEMONYMS, PLACES, UNKNOWN, Mention, agree
from needle_assets.labels.origin import Guess, guesses, mentions

Basis = Literal["explicit", "inferred", "none"]

SecondOpinion = Callable[[], tuple[str, ...]]
"""Nationalities that another source gives; asked only where the text leaves a choice."""


class Nationality(NamedTuple):
    """What a text says of its person's nationality, and in which words."""

    name: str
    basis: Basis
    evidence: str
    second: str = ""
    """The one named beside it: Iranian of an "iranian australian"."""
    decided: bool = False
    """Whether the second opinion chose it among those that the text gives."""


_NONE = Nationality(UNKNOWN, "none", "")

# "american football", "greek orthodox": names of sports and churches; "spanish civil war".
_THINGS = words(
    """football rules orthodox catholic apostolic coptic billiards sign war wars medicine mythology
    civilization"""
)
_OF_WAR = words(
    """correspondent correspondents photographer photojournalist reporter journalist artist painter
    poet novelist hero heroine leader pilot ace criminal veteran general admiral historian
    surgeon nurse widow resister chief"""
)
_SUBJECTS = words("literature language studies linguistics")
# "an english teacher" teaches English, "a brazilian teacher" and "an english teacher of music" do
# not.
_TEACHERS = words("professor teacher translator tutor")
_LANGUAGES = words(
    "English French German Spanish Italian Russian Greek Chinese Japanese Portuguese"
)

# With "born" between them the second is the nationality: "a pakistani born english cricketer".
_BETWEEN = frozenset(
    ["and", "/", "&", "-", "--", ",", "or", "naturalized", "naturalised", "turned", "born"]
)

# "a cuban exile and american businessman" was Cuban.
_LEFT = words("exile refugee émigré emigre emigrant expatriate")

_CITIZEN = re.compile(
    r"\b(?:is|was|became|becoming|holds|has|acquired|obtained|received|gained) (?:also )?(?:an? )?"
    r"(?:(?:naturali[sz]ed|dual) )?((?:\w+ )?[\w-]+) citizen(?:ship)?\b"
    # The corpus loses an "of" now and then.
    r"|\brenounced (?:his|her) (?:[\w-]+ ){0,3}citizenship in favou?r (?:of )?"
    r"((?:\w+ )?[\w-]+) citizenship\b"
)

# "an australian rhodes scholar , he is also ...".
_OPENING = re.compile(r"an? ([^,]{3,80}?) , (?:he|she)\b")

_CLOSE = 3
"""How many further sentences may say what the person is; later ones tell of other things."""


def _no_opinion() -> tuple[str, ...]:
    return ()


def find_nationality(
    lead: Lead, opinion: SecondOpinion = _no_opinion, year: int = 0
) -> Nationality:
    """Read the nationality: the demonym of the first predicate, else what can be inferred.

    Of two named together the last is taken, as in "cuban-spanish boxer". Where a text gives
    several that are not named together ("an irish peer and british politician", a birthplace here
    and a team there), ``opinion`` decides; one that the text does not give is never taken.
    ``year`` is one of the person's life, or 0: the bishop of Rochester of 1389 was no American.
    """
    tokens = lead.predicate.split()
    end = _noun_phrase_end(tokens)
    stated = _stated(tokens, end)
    if not stated and lead.apposition:
        added = lead.apposition.split()
        if stated := _stated(added, _noun_phrase_end(added)):
            tokens = added
    citizen = _citizenship(lead) if lead.citizen else None
    if stated:
        return _of_stated(tokens, stated, citizen, opinion)
    if citizen:
        return Nationality(citizen.name, "explicit", citizen.words)
    for sentence in lead.about[:_CLOSE]:
        opening = _OPENING.match(sentence)
        later = (opening[1] if opening else said_of(sentence)).split()
        if found := _stated(later, _noun_phrase_end(later)):
            quote = " ".join(later[found[0].start : found[0].end])
            return Nationality(found[0].nationality, "explicit", quote)
    return _inferred(lead, tokens, end, opinion, year)


def _stated(tokens: Sequence[str], end: int) -> list[Mention]:
    found = mentions(tokens[:end])
    return [demonym for demonym in found if not _is_thing(tokens, demonym)] if found else found


def _of_stated(
    tokens: Sequence[str], stated: list[Mention], citizen: Guess | None, opinion: SecondOpinion
) -> Nationality:
    clusters = [[stated[0]]]
    for demonym in stated[1:]:
        if all(token in _BETWEEN for token in tokens[clusters[-1][-1].end : demonym.start]):
            clusters[-1].append(demonym)
        else:
            clusters.append([demonym])
    cluster = clusters[0]
    if len(clusters) > 1 and tokens[cluster[-1].end] in _LEFT:
        clusters = clusters[1:]
        cluster = clusters[0]
    decided = False
    if len(clusters) > 1:
        wanted = opinion()
        chosen = [c for c in clusters if any(d.nationality in wanted for d in c)]
        if len(chosen) == 1 and chosen[0] is not cluster:
            cluster, decided = chosen[0], True
    names = list(dict.fromkeys(d.nationality for d in cluster))
    if citizen:
        others = [name for name in names if name != citizen.name]
        # "became an american citizen" comes last, "also holds american citizenship" second.
        also = citizen.words.startswith(("holds", "has"))
        names = [citizen.name, *others] if also and others else [*others, citizen.name]
    quote = " ".join(tokens[cluster[0].start : cluster[-1].end])
    second = names[-2] if len(names) > 1 else ""
    return Nationality(names[-1], "explicit", quote, second, decided)


def _citizenship(lead: Lead) -> Guess | None:
    for sentence in (lead.first, *lead.further):
        match = _CITIZEN.search(sentence) if "citizen" in sentence else None
        if match is None or (
            # "germany refused since roe is a german citizen".
            match[1]
            and sentence is not lead.first
            and sentence not in lead.about
            and sentence[: match.start()].rstrip().rpartition(" ")[2] not in _who(lead)
        ):
            continue
        of = match[1] or match[2]
        if name := DEMONYMS.get(of) or PLACES.get(of):
            return Guess(name, match[0])
    return None


def _who(lead: Lead) -> tuple[str, ...]:
    return ("he", "she", lead.surname) if lead.surname else ("he", "she")


def _noun_phrase_end(tokens: Sequence[str]) -> int:
    start = 2 if list(tokens[:2]) == ["one", "of"] else 0
    boundary = roles.GROUP_BOUNDARY if start else roles.BOUNDARY
    for position in range(start, len(tokens)):
        if tokens[position] in boundary and not roles.is_born(tokens, position):
            return position
    return len(tokens)


def _is_thing(tokens: Sequence[str], demonym: Mention) -> bool:
    following = tokens[demonym.end] if demonym.end < len(tokens) else ""
    if following == "football":
        return demonym.nationality in ("American", "Canadian")
    if following in _TEACHERS:
        of = tokens[demonym.end + 1 : demonym.end + 2] == ["of"]
        return demonym.nationality in _LANGUAGES and not of
    if following == "war":
        # A "czech war correspondent" is Czech; who was in the "spanish civil war" may be anything.
        after = tokens[demonym.end + 1] if demonym.end + 1 < len(tokens) else ""
        return after not in _OF_WAR
    return following in _THINGS or following in _SUBJECTS


def _inferred(
    lead: Lead, tokens: list[str], end: int, opinion: SecondOpinion, year: int
) -> Nationality:
    found = guesses(lead, tokens, tokens[:end], year)
    first = next(found, None)
    if first is None:
        return _NONE
    wanted = opinion()
    if wanted and not any(agree(first.name, name) for name in wanted):
        other = next((guess for guess in found if guess.name in wanted), None)
        if other:
            return Nationality(other.name, "inferred", other.words, "", True)
    return Nationality(first.name, "inferred", first.words)
