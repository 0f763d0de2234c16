"""What a text gives as evidence of a nationality that it does not state: places, teams, peoples.

What is stated, and how the evidence is weighed against another source, is in `nationality`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from needle_assets.labels.lead import Lead, words
from needle_assets.labels.nationalities import DEMONYMS, PLACES, REGIONAL, Lexicon, Mention

# "german-speaking swiss" and "french-language author" say nothing of the person's nationality.
_NO_NATIONALITY = words(
    """language speaking style trained educated occupied influenced themed inspired owned built
    made era"""
)
_RESIDENCE = frozenset(["based", "resident", "raised", "bred"])
_NEGATIONS = frozenset(["non", "anti", "pro", "pan", "post", "pre"])

_TEACHES = words("professor lecturer scholar academic scientist researcher fellow")

_TEACHERS = words("professor teacher lecturer tutor translator instructor emeritus")
_SCHOLARS = words("professor teacher lecturer scholar student historian expert specialist emeritus")
_SUBJECTS = words(
    "literature language languages studies linguistics history art law philosophy music politics"
)

_BEFORE_PLACE = words("""in from at near of , ( for outside around the by now""")
# "in central germany", "of fifteenth-century italy".
_PART = re.compile(
    r"(?:(?:north|south|east|west)(?:ern)?|central|modern|ancient|medieval|rural|late|early|upper|"
    r"lower|colonial|nazi|imperial|\w+-\w+)$"
)
_ORIGIN = re.compile(
    r"\b(?:was born|born and raised|born|native of|grew up|was raised|hails from|originally from|"
    r"(?:childhood|youth|early years) in|attended school in)\b"
)

_CAPPED = re.compile(
    r"\b(?:called up (?:for|by)|selected (?:for|by)|capped (?:for|by)|caps? for|represent\w*|"
    r"(?:compet\w+|rowed|swam|swum|raced|skated|fenced|wrestled|boxed|skied|sailed) "
    r"(?:internationally )?for)"
    r"(?: the| his native| her native)? (?=\w)"
)
_STATE = re.compile(
    r"\b(?:government|parliament|senate|congress|cabinet|house of representatives|"
    r"national assembly|chamber of deputies) of (?:the )?(?=\w)"
)
# "at the 1960 summer olympics in rome": where an event was says nothing of who took part.
_EVENTS = words(
    """olympics paralympics games championship championships cup contest festival tournament open
    war battle exhibition conference prix"""
)
# "acclaimed throughout the united states", "envoy to the philippines".
_ABROAD = frozenset(["throughout", "across", "to"])
# "united states ambassador to chile": whom somebody serves, not where.
_SERVANTS = words("ambassador senator army navy marine marines representative congressman envoy")
# Foreigners serve in a foreign legion.
_FORCES = words("army navy luftwaffe wehrmacht military marine marines corps force infantry")
_SERVING = words("in of for with")
_SERVED = re.compile(r"\b(?:served|enlisted|joined|entered|commissioned|officer|soldier)\b")
_AGAINST = words("against by fighting fought")
_FIRST_WORDS = 3
"""Words into the predicate: "a retired us navy officer"."""

_OF_OTHERS = frozenset(["on", "about", "against"])
_DESCENT = words("descent ancestry heritage extraction parentage")
_TEAMS = frozenset(["team", "side", "squad", "teams"])
_TITLES = frozenset(["championship", "championships", "champion"])
_LIVING = words("living lives resides residing")

_SETTLED = 1600
"""Year before which no town beyond the seas had its European name: Jamestown is of 1607."""

_NEW_WORLD = frozenset(["American", "Canadian", "Australian", "New Zealander", "South African"])

_CLOSE = 3
"""How many further sentences may say what the person is; later ones tell of other things."""


class Guess(NamedTuple):
    """A nationality and the words that speak for it."""

    name: str
    words: str


def guesses(lead: Lead, tokens: list[str], phrase: list[str], year: int) -> Iterator[Guess]:
    """Evidence short of a stated demonym, the strongest first.

    Args:
        lead: the biography.
        tokens: its predicate.
        phrase: the predicate's first noun phrase.
        year: one of the person's life, or 0.
    """
    found = map(partial(_georgia, lead), _guesses(lead, tokens, phrase))
    if not 0 < year < _SETTLED:
        return found
    return (guess for guess in found if guess.name not in _NEW_WORLD)


def mentions(tokens: Sequence[str], lexicon: Lexicon = DEMONYMS) -> list[Mention]:
    """Phrases of a lexicon, also as parts of compounds: "german-turkish", "finnish/american"."""
    found = lexicon.find(tokens)
    joined = " ".join(tokens)
    if "-" not in joined and "/" not in joined:
        return found
    compounds = [
        Mention(position, position + 1, name)
        for position, token in enumerate(tokens)
        if ("-" in token or "/" in token) and lexicon.get(token) is None
        for name in _compound(tokens, position, lexicon)
    ]
    if not compounds:
        return found
    # "lebanese-south african" is Lebanese and South African, and not African.
    at = {demonym.start for demonym in compounds}
    return sorted(
        [*compounds, *(demonym for demonym in found if demonym.start not in at)],
        key=lambda demonym: demonym.start,
    )


def _compound(tokens: Sequence[str], position: int, lexicon: Lexicon) -> Iterator[str]:
    parts = re.split(r"[-/]", tokens[position])
    if (
        parts[-1] in _NO_NATIONALITY
        or parts[-1] in _RESIDENCE
        or parts[-1] == "born"
        or parts[0] in _NEGATIONS
    ):
        return
    last = len(parts) - 1
    for number, part in enumerate(parts):
        name = None
        if not number and position:
            name = lexicon.get(f"{tokens[position - 1]} {part}")
        if name is None and number == last and position + 1 < len(tokens):
            name = lexicon.get(f"{part} {tokens[position + 1]}")
        name = name or lexicon.get(part)
        if name is not None:
            yield name


def _guesses(lead: Lead, tokens: list[str], phrase: list[str]) -> Iterator[Guess]:
    steps: tuple[Callable[[], Guess | None], ...] = (
        lambda: _by_team(lead),
        lambda: _by_place(lead.first.split(), after="from"),
        lambda: _by_suffix(phrase, "born"),
        lambda: _by_service(tokens),
        lambda: _by_birthplace(lead),
        # Foreigners may win a national title.
        lambda: _national(lead, _TITLES),
        lambda: _first(mentions(phrase, REGIONAL), phrase),
        lambda: _by_place(phrase, anywhere=True),
        lambda: _by_place(_without_posts(tokens, phrase)),
        lambda: _by_suffix(phrase, "based"),
        lambda: _by_place(lead.subject.split(), after="of"),
        lambda: _first(mentions(tokens), tokens),
        lambda: _first(mentions(tokens, REGIONAL), tokens),
        lambda: _by_state(lead),
        lambda: _by_later_service(lead),
    )
    for step in steps:
        found = step()
        if found:
            yield found


def _by_state(lead: Lead) -> Guess | None:
    """The state served: "a member of the senate of france"."""
    for sentence in (lead.first, *lead.about[:_CLOSE]):
        served = _STATE.search(sentence) if " of " in sentence else None
        if served:
            rest = sentence[served.end() :].split()
            span = next(iter(PLACES.find(rest[:4])), None)
            if span and not span.start:
                return Guess(span.nationality, served[0] + " ".join(rest[: span.end]))
    return None


def _by_service(tokens: list[str]) -> Guess | None:
    """The state whose forces somebody serves in: "a fighter pilot of the german luftwaffe"."""
    if _FORCES.isdisjoint(tokens):
        return None
    for lexicon in (REGIONAL, DEMONYMS, PLACES):
        for span in lexicon.find(tokens):
            # Forces have names too ("union army"); the "british indian army" was Britain's.
            if lexicon is REGIONAL:
                force = tokens[span.end - 1 : span.end]
            else:
                force = tokens[span.end : span.end + 2]
            before = tokens[max(span.start - 4, 0) : span.start]
            if (
                not _FORCES.isdisjoint(force)
                and _AGAINST.isdisjoint(before)
                and (span.start < _FIRST_WORDS or not _SERVING.isdisjoint(before))
            ):
                return Guess(span.nationality, " ".join(tokens[span.start : span.end]))
    return None


def _by_later_service(lead: Lead) -> Guess | None:
    """The same of a further sentence: "she served as an officer in the united states army"."""
    for sentence in lead.about[:_CLOSE]:
        if _SERVED.search(sentence) and (found := _by_service(sentence.split())):
            return found
    return None


def _georgia(lead: Lead, guess: Guess) -> Guess:
    """Georgia alone is the state, but not where the text speaks of Georgians or of Tbilisi."""
    if not guess.words.endswith("georgia") or guess.name != "American":
        return guess
    spoken = {*lead.first.split(), *(word for text in lead.further for word in text.split())}
    country = "," not in guess.words and not spoken.isdisjoint(_OF_GEORGIA)
    return Guess("Georgian", guess.words) if country else guess


_OF_GEORGIA = frozenset(["georgian", "georgians", "tbilisi", "caucasus", "soviet"])


def _first(demonyms: list[Mention], tokens: Sequence[str]) -> Guess | None:
    for span in demonyms:
        after = tokens[span.end] if span.end < len(tokens) else ""
        if after in _DESCENT or _is_war(tokens, span) or _is_subject(tokens, span):
            continue
        # "focused on japanese art" and "fought against the german army" say nothing of who did.
        if _OF_OTHERS.isdisjoint(tokens[max(span.start - 2, 0) : span.start]):
            return Guess(span.nationality, " ".join(tokens[span.start : span.end]))
    return None


def _is_subject(tokens: Sequence[str], span: Mention) -> bool:
    """Whether a scholar's subject is named: "professor of french at", "scholar of chinese art"."""
    before = tokens[max(span.start - 3, 0) : span.start]
    after = tokens[span.end] if span.end < len(tokens) else ""
    if after in _TEACHERS:
        return tokens[span.end + 1 : span.end + 2] in (["at"], ["in"])
    if after in _SUBJECTS:
        return not _SCHOLARS.isdisjoint(before)
    return before[-1:] in (["of"], ["in"]) and not _TEACHERS.isdisjoint(before[:-1])


def _by_team(lead: Lead) -> Guess | None:
    """The team played for: "the hungary national football team", "12 caps for mali"."""
    for sentence in (lead.first, *lead.further[:_CLOSE]):
        capped = _CAPPED.search(sentence)
        if capped:
            rest = sentence[capped.end() :].split()[:8]
            span = next(iter(PLACES.find(rest)), None)
            if span and not span.start:
                return Guess(span.nationality, capped[0] + " ".join(rest[: span.end]))
    return _national(lead, _TEAMS)


def _national(lead: Lead, of: frozenset[str]) -> Guess | None:
    """The nation of a "hungary national football team", or of a "british national title"."""
    for sentence in (lead.first, *lead.further[:_CLOSE]):
        if "national" not in sentence:
            continue
        tokens = sentence.split()
        for lexicon in (DEMONYMS, PLACES):
            for span in lexicon.find(tokens):
                after = tokens[span.end : span.end + 8]
                if (
                    after[:1] in (["national"], ["women"], ["men"])
                    and "national" in after[:4]
                    and of.intersection(after)
                ):
                    return Guess(span.nationality, " ".join(tokens[span.start : span.end]))
    return None


def _by_birthplace(lead: Lead) -> Guess | None:
    for bracket in lead.brackets:
        birth = _AFTER_BIRTH.split(bracket, maxsplit=1)[0]
        place = _by_place(birth.split())
        if place:
            return place
    for sentence in (lead.first, *lead.about):
        match = _ORIGIN.search(sentence)
        if match:
            rest = sentence[match.end() :].split()[:14]
            # "native of uruguay": the preposition belongs to what was found.
            place = _by_place(["in", *rest] if match[0].endswith(("of", "from", "in")) else rest)
            if place:
                return place
    return None


_AFTER_BIRTH = re.compile(r"\s(?:--|[-\u2013\u2014])\s|\bdied\b")


def _by_place(
    tokens: Sequence[str], after: str | None = None, anywhere: bool = False
) -> Guess | None:
    """The first place named, by its last part: "perth , scotland" is Scottish.

    A name alone may be a person's ("jordan", "florence"): unless ``anywhere``, it counts only
    where a place can stand.
    """
    if after is not None and after not in tokens:
        return None
    spans = PLACES.find(tokens)
    for index, span in enumerate(spans):
        if after is not None and after not in tokens[max(span.start - 4, 0) : span.start]:
            continue
        if not (anywhere or _can_be_a_place(tokens, span)) or _is_war(tokens, span):
            continue
        last = span
        for further in spans[index + 1 :]:
            between = tokens[last.end : further.start]
            # "acclaimed in the united states , europe and russia" is no place within another.
            if len(between) > 3 or "," not in between or "and" in between:
                break
            # The country and the state of Georgia are told apart by the city before them.
            if last.nationality != "Georgian" or tokens[further.start] != "georgia":
                last = further
        return Guess(last.nationality, " ".join(tokens[span.start : last.end]))
    return None


def _can_be_a_place(tokens: Sequence[str], span: Mention) -> bool:
    # "a war veteran from ohio" is no event in ohio.
    near = tokens[max(span.start - 3, 0) : span.start]
    if "history" in near:
        return False
    if near[-1:] != ["from"] and not _EVENTS.isdisjoint(near):
        return False
    after = tokens[span.end] if span.end < len(tokens) else ""
    if after in _SERVANTS:
        return True
    start = span.start
    while start > span.start - 2 and start and _PART.match(tokens[start - 1]):
        start -= 1
    before = tokens[start - 1] if start else ""
    if before == "the" and start > 1 and tokens[start - 2] in _ABROAD:
        return False
    if before in _BEFORE_PLACE or before.isdigit() or (before == "as" and after == "'s"):
        return True
    # "born hamburg , 3 may 1850", but "born florence roe , 3 may 1850".
    return before in ("born", "b.") and after in (",", "")


def _is_war(tokens: Sequence[str], span: Mention) -> bool:
    return tokens[span.end : span.end + 1] in (["war"], ["wars"])


def _by_suffix(phrase: Sequence[str], suffix: str) -> Guess | None:
    """ "a swiss-born physician", "a london-based singer"."""
    for token in phrase:
        base, _, last = token.rpartition("-")
        if last == suffix and (name := DEMONYMS.get(base) or PLACES.get(base)):
            return Guess(name, token)
    return None


def _without_posts(tokens: Sequence[str], phrase: Sequence[str]) -> list[str]:
    """Leave out where scholars teach and where anybody lives: people move for both."""
    for position, token in enumerate(tokens):
        if token in _LIVING:
            return list(tokens[:position])
        # "a philosopher who is a professor at oxford university".
        is_one = position < len(phrase) or "is" in tokens[max(position - 3, 0) : position]
        if token in _TEACHES and is_one:
            return list(tokens[:position])
    return list(tokens)
