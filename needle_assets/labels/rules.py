"""Labels biographies by rules written from the language: no model, no network, no randomness.

Evidence from infoboxes and the comparison of labelers do not belong here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa

from needle_assets.labels import dates, roles
from needle_assets.labels.biography import BIOGRAPHY_TASK, NO_DATE, Biography
from needle_assets.labels.lead import Lead, take_apart, words
from needle_assets.labels.nationalities import (
    DEMONYMS,
    PLACES,
    REGIONAL,
    UNKNOWN,
    Lexicon,
    Mention,
)
from needle_assets.labels.tables import Audit, labels_table, require_columns

LABELER = "rules"

Basis = Literal["explicit", "inferred", "none"]


@dataclass(frozen=True)
class LabeledBio:
    """A label with what it rests on."""

    label: Biography
    nationality_basis: Basis
    second_nationality: str
    """The nationality named beside the label's ("iranian australian": Iranian), or empty."""
    evidence: tuple[str, ...]
    """The words that the facts were read from, as ``field: words``."""


class _Nationality(NamedTuple):
    name: str
    basis: Basis
    evidence: str
    second: str = ""


_NONE = _Nationality(UNKNOWN, "none", "")

# "german-speaking swiss" and "french-language author" say nothing of the person's nationality.
_NO_NATIONALITY = words(
    """language speaking style trained educated occupied influenced themed inspired owned built
    made era"""
)
_RESIDENCE = frozenset(["based", "resident", "raised", "bred"])
# "american football", "greek orthodox": names of sports and churches.
_THINGS = words("football rules orthodox catholic apostolic coptic billiards sign")
_SUBJECTS = words("literature language studies professor teacher horn translator")
_TEACHES = words("professor lecturer scholar academic scientist researcher fellow")
_BETWEEN = frozenset(
    ["and", "/", "&", "-", "--", ",", "or", "naturalized", "naturalised", "turned"]
)
_BEFORE_PLACE = words(
    """in from at near of to , ( for outside around the by into and throughout across"""
)
_ORIGIN = re.compile(
    r"\b(?:was born|born and raised|born|native of|grew up|was raised|hails from|originally from|"
    r"(?:childhood|youth|early years) in|attended school in)\b"
)
_CITIZEN = re.compile(
    r"\b(?:is|was|became|becoming|holds|has|acquired|obtained|received|gained) (?:also )?(?:an? )?"
    r"(?:(?:naturali[sz]ed|dual) )?((?:\w+ )?[\w-]+) citizen(?:ship)?\b"
)
_CAPPED = re.compile(
    r"\b(?:called up (?:for|by)|selected (?:for|by)|capped (?:for|by)|caps? for|represent\w*)"
    r"(?: the| his native| her native)? (?=\w)"
)
# "at the 1960 summer olympics in rome": where an event was says nothing of who took part.
_EVENTS = words(
    """olympics paralympics games championship championships cup contest festival tournament open
    war battle exhibition conference prix"""
)
_TEAMS = frozenset(["team", "side", "squad", "teams", "championship", "championships"])
_LIVING = words("living lives resides residing")

_CLOSE = 3
"""How many further sentences may say what the person is; later ones tell of other things."""

_LONGEST_LIFE = 125
"""Years; the longest documented life is 122."""


def label_bio(name: str, bio: str) -> LabeledBio:
    """Label one biography of one person.

    Of two nationalities the last named is the label's, as in "cuban-spanish boxer".
    """
    lead = take_apart(name, bio)
    life, life_evidence = _life(lead)
    nationality = _nationality(lead)
    role = roles.find_roles(lead)
    label = Biography(
        nationality=nationality.name,
        date_of_birth=life.birth,
        date_of_death=life.death,
        sportsperson=role.sportsperson,
        politician=role.politician,
    )
    evidence = []
    if nationality.evidence:
        evidence.append(f"nationality: {nationality.evidence}")
    if life_evidence:
        evidence.append(f"dates: {life_evidence}")
    return LabeledBio(label, nationality.basis, nationality.second, tuple(evidence))


def label_table(bios: pa.Table) -> pa.Table:
    """Label biographies (columns ``bio_id``, ``name``, ``bio``), one row each, in their order.

    The columns are those of `tables.label_schema`.

    Raises:
        LabelError: a column is missing or has a null.
    """
    require_columns(bios)
    found = [
        label_bio(name, bio)
        for name, bio in zip(bios["name"].to_pylist(), bios["bio"].to_pylist(), strict=True)
    ]
    return labels_table(
        BIOGRAPHY_TASK,
        bios,
        [item.label for item in found],
        LABELER,
        [
            Audit(item.nationality_basis, item.second_nationality, "; ".join(item.evidence))
            for item in found
        ],
    )


def _life(lead: Lead) -> tuple[dates.Life, str]:
    birth = death = NO_DATE
    evidence = ""
    for bracket in lead.brackets:
        birth, death = dates.in_bracket(bracket)
        if birth is not NO_DATE or death is not NO_DATE:
            evidence = bracket
            break
    for sentence in (lead.first, *(said.sentence for said in lead.about)):
        if birth is not NO_DATE and death is not NO_DATE:
            break
        stated = dates.in_sentence(sentence)
        if birth is NO_DATE and stated.birth is not NO_DATE:
            birth, evidence = stated.birth, evidence or sentence.strip()
        if death is NO_DATE and stated.death is not NO_DATE:
            death, evidence = stated.death, evidence or sentence.strip()
    if birth.year and death.year and not 0 <= death.year - birth.year <= _LONGEST_LIFE:
        death = NO_DATE
    return dates.Life(birth, death), evidence


def _nationality(lead: Lead) -> _Nationality:
    tokens = lead.predicate.split()
    end = _noun_phrase_end(tokens)
    demonyms = list(_demonyms(tokens[:end]))
    stated = [d for d in demonyms if not _is_thing(tokens, d)]
    citizen = _citizenship(lead)
    if stated:
        cluster = [stated[0]]
        for demonym in stated[1:]:
            if not all(token in _BETWEEN for token in tokens[cluster[-1].end : demonym.start]):
                break
            cluster.append(demonym)
        names = list(dict.fromkeys(d.nationality for d in cluster))
        if citizen:
            others = [name for name in names if name != citizen.name]
            # "became an american citizen" comes last, "also holds american citizenship" second.
            also = citizen.words.startswith(("holds", "has"))
            names = [citizen.name, *others] if also and others else [*others, citizen.name]
        quote = " ".join(tokens[cluster[0].start : cluster[-1].end])
        return _Nationality(names[-1], "explicit", quote, names[-2] if len(names) > 1 else "")
    if citizen:
        return _Nationality(citizen.name, "explicit", citizen.words)
    for _, what in lead.about[:_CLOSE]:
        later = what.split()
        phrase = later[: _noun_phrase_end(later)]
        found = next((d for d in _demonyms(phrase) if not _is_thing(later, d)), None)
        if found:
            return _Nationality(
                found.nationality, "explicit", " ".join(later[found.start : found.end])
            )
    return _inferred(lead, tokens, end)


class _Guess(NamedTuple):
    name: str
    words: str


def _citizenship(lead: Lead) -> _Guess | None:
    for sentence in (lead.first, *(said.sentence for said in lead.about)):
        match = _CITIZEN.search(sentence) if "citizen" in sentence else None
        if match and (name := DEMONYMS.get(match[1]) or PLACES.get(match[1])):
            return _Guess(name, match[0])
    return None


def _noun_phrase_end(tokens: Sequence[str]) -> int:
    start = 2 if list(tokens[:2]) == ["one", "of"] else 0
    boundary = roles.GROUP_BOUNDARY if start else roles.BOUNDARY
    for position in range(start, len(tokens)):
        if tokens[position] in boundary:
            return position
    return len(tokens)


def _demonyms(tokens: Sequence[str], lexicon: Lexicon = DEMONYMS) -> Iterator[Mention]:
    yield from sorted(
        [
            *lexicon.find(tokens),
            *(
                Mention(position, position + 1, name)
                for position, token in enumerate(tokens)
                if ("-" in token or "/" in token) and lexicon.get(token) is None
                for name in _compound(token, lexicon)
            ),
        ],
        key=lambda demonym: demonym.start,
    )


def _compound(token: str, lexicon: Lexicon) -> Iterator[str]:
    parts = re.split(r"[-/]", token)
    if parts[-1] in _NO_NATIONALITY or parts[-1] in _RESIDENCE or parts[-1] == "born":
        return
    for part in parts:
        name = lexicon.get(part)
        if name is not None:
            yield name


def _is_thing(tokens: Sequence[str], demonym: Mention) -> bool:
    if demonym.start and tokens[demonym.start - 1] == "muay":
        return True
    following = tokens[demonym.end] if demonym.end < len(tokens) else ""
    if following == "football":
        return demonym.nationality in ("American", "Canadian")
    return following in _THINGS or following in _SUBJECTS


def _inferred(lead: Lead, tokens: list[str], end: int) -> _Nationality:
    """Evidence short of a stated demonym, the strongest first."""
    phrase = tokens[:end]
    found = (
        _by_team(lead)
        or _by_place(lead.first.split(), after="from")
        or _by_suffix(phrase, "born")
        or _by_birthplace(lead)
        or _by_place(_without_posts(tokens, phrase))
        or _by_suffix(phrase, "based")
        or _by_place(phrase, anywhere=True)
        or _first(_demonyms(tokens), tokens)
        or _first(_demonyms(tokens, REGIONAL), tokens)
    )
    return _Nationality(found.name, "inferred", found.words) if found else _NONE


def _first(demonyms: Iterator[Mention], tokens: Sequence[str]) -> _Guess | None:
    span = next(demonyms, None)
    return _Guess(span.nationality, " ".join(tokens[span.start : span.end])) if span else None


def _by_team(lead: Lead) -> _Guess | None:
    """The team played for: "the hungary national football team", "12 caps for mali"."""
    for sentence in (lead.first, *lead.further[:_CLOSE]):
        capped = _CAPPED.search(sentence)
        if capped:
            rest = sentence[capped.end() :].split()
            span = next(PLACES.find(rest), None)
            if span and not span.start:
                return _Guess(span.nationality, capped[0] + " ".join(rest[: span.end]))
        if "national" not in sentence:
            continue
        tokens = sentence.split()
        for lexicon in (DEMONYMS, PLACES):
            for span in lexicon.find(tokens):
                after = tokens[span.end : span.end + 8]
                if (
                    after[:1] in (["national"], ["women"], ["men"])
                    and "national" in after[:4]
                    and _TEAMS.intersection(after)
                ):
                    return _Guess(span.nationality, " ".join(tokens[span.start : span.end]))
    return None


def _by_birthplace(lead: Lead) -> _Guess | None:
    for bracket in lead.brackets:
        birth = re.split(r"\s(?:--|[-\u2013\u2014])\s|\bdied\b", bracket, maxsplit=1)[0]
        place = _by_place(birth.split())
        if place:
            return place
    for sentence in (lead.first, *(said.sentence for said in lead.about)):
        match = _ORIGIN.search(sentence)
        if match:
            place = _by_place(sentence[match.end() :].split()[:14])
            if place:
                return place
    return None


def _by_place(
    tokens: Sequence[str], after: str | None = None, anywhere: bool = False
) -> _Guess | None:
    """The first place named, by its last part: "perth , scotland" is Scottish.

    A name alone may be a person's ("jordan", "florence"): unless ``anywhere``, it counts only
    where a place can stand.
    """
    spans = list(PLACES.find(tokens))
    for index, span in enumerate(spans):
        if after is not None and after not in tokens[max(span.start - 4, 0) : span.start]:
            continue
        if not (anywhere or _can_be_a_place(tokens, span)):
            continue
        last = span
        for further in spans[index + 1 :]:
            if further.start - last.end > 3 or "," not in tokens[last.end : further.start]:
                break
            # The country and the state of Georgia are told apart by the city before them.
            if last.nationality != "Georgian" or tokens[further.start] != "georgia":
                last = further
        return _Guess(last.nationality, " ".join(tokens[span.start : last.end]))
    return None


def _can_be_a_place(tokens: Sequence[str], span: Mention) -> bool:
    if not _EVENTS.isdisjoint(tokens[max(span.start - 3, 0) : span.start]):
        return False
    before = tokens[span.start - 1] if span.start else ""
    if before in _BEFORE_PLACE or before.isdigit():
        return True
    # "born hamburg , 3 may 1850", but "born florence roe , 3 may 1850".
    return before in ("born", "b.") and tokens[span.end : span.end + 1] in ([","], [])


def _by_suffix(phrase: Sequence[str], suffix: str) -> _Guess | None:
    """ "a swiss-born physician", "a london-based singer"."""
    for token in phrase:
        base, _, last = token.rpartition("-")
        if last == suffix and (name := DEMONYMS.get(base) or PLACES.get(base)):
            return _Guess(name, token)
    return None


def _without_posts(tokens: Sequence[str], phrase: Sequence[str]) -> list[str]:
    """Leave out where scholars teach and where anybody lives: people move for both."""
    for position, token in enumerate(tokens):
        if token in _LIVING or (token in _TEACHES and position < len(phrase)):
            return list(tokens[:position])
    return list(tokens)
