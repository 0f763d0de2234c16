"""Whether a biography's person is a sportsperson or a politician, by the role the text gives them.

A role is the head of what the person is said to be, or an office or contest the person is the
subject of; a word elsewhere ("son of a politician", "sports agent") is none. The words themselves
are in `role_words`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from needle_assets.labels import role_words as vocabulary
from needle_assets.labels.lead import Lead, said_of, words
from needle_assets.labels.nationalities import DEMONYMS, PLACES

CLAUSE = words("who whose whom which that where when while because although though")
"""Words that end a noun phrase and open a clause."""

BOUNDARY = CLAUSE | words(
    """of for from in at with by on to under into as during since until between within against
    among around near about through throughout before after over off based born best known
    having currently formerly presently primarily mainly active signed playing competing
    representing serving working living residing specializing specialising operating appearing
    turned who's he she it they his her"""
)
"""Words that end the core of a noun phrase: "professional footballer | for ..."."""

GROUP_BOUNDARY = BOUNDARY - words("best known")
"""The same after "one of the": there "best known" describes the role that follows."""

_PREPOSITIONS = words("of for from in at with by on to under into as during")

_JOINTS = frozenset([".", ",", "and", "&", "/", ";", "or", "--", "-", "but", "then", ":"])

_KIN = words(
    """son daughter wife husband brother sister father mother widow widower grandson granddaughter
    nephew niece cousin partner friend descendant grandfather grandmother uncle aunt lady bride
    half-brother half-sister twin child stepson stepdaughter heir spouse biographer consort"""
)
# "ex-footballer", "para-cyclist": of no other compound is the last part the role.
_PREFIXES = words("ex para sit semi ultra mono cross ski pro")
_NOTHING: frozenset[str] = frozenset()

_POLITICAL = vocabulary.POLITICAL_HEADS | words(
    """minister deputy representative delegate speaker commissioner president chancellor secretary
    vice-president premier general"""
)
_HEADS = (
    vocabulary.SPORT_HEADS
    | vocabulary.SPORT_PAIRS.keys()
    | _POLITICAL
    | frozenset(["player", "member"])
)
# Where a country ends that somebody is president of: not "of california state university".
_AFTER_COUNTRY = frozenset([",", "and", "&"]) | (BOUNDARY - words("of"))
# "a lawyer and the son of a member of parliament".
_RELATIVE_OF = re.compile(
    r"\bthe (?:[\w-]+ ){0,2}?(?:son|daughter|wife|husband|brother|sister|father|mother|widow|"
    r"widower|grandson|granddaughter|nephew|niece|cousin|grandfather|grandmother|uncle|aunt) "
    r"(?:of|to) "
)
# "was the son of a baron and served as governor": from there on it is the person again.
_SELF = re.compile(
    r"\band (?=(?:he|she|himself|herself|also|later|served|was|became|sat|represented)\b)"
)


class Phrase(NamedTuple):
    """One thing the person is: "former prime minister | of the netherlands"."""

    core: list[str]
    tail: list[str]


class Roles(NamedTuple):
    """What a text says the person is or was."""

    sportsperson: bool
    politician: bool


_PLAYS = re.compile(
    r"\s(?:\w+ )?(?:plays|played|competes|competed|fights|fought|rides|rode|races|raced|swims|swam|"
    r"drives)\b"
)


# "a former footballer who is now a politician", but "a biographer of roe , who was a politician".
_WHO_IS = re.compile(
    r"^(?:(?!of\b|by\b|with\b|to\b|about\b|on\b|for\b|who\b)[\w'-]+ ){1,8}?who "
    r"(?:now |later |also |then |subsequently )?(?:is|was|became|has been|has become)"
    r"(?: now| also| currently| later| once)? (?=an? |the )"
)


def is_born(tokens: Sequence[str], position: int) -> bool:
    """Whether "born" stands after a demonym as in "american born singer", and ends no phrase."""
    if tokens[position] != "born" or not position:
        return False
    start = max(position - 2, 0)
    return (
        DEMONYMS.get(tokens[position - 1]) is not None
        or DEMONYMS.get(" ".join(tokens[start:position])) is not None
    )


def phrases(text: str) -> Iterator[Phrase]:
    """The things a predicate says the person is, up to its first relative clause."""
    return _phrases(text.split())


def _phrases(tokens: list[str]) -> Iterator[Phrase]:
    core: list[str] = []
    tail: list[str] = []
    bounded = skip = said = False
    last = len(tokens) - 1
    for position, token in enumerate([*tokens, "."]):
        if token in CLAUSE:
            token = "."
        if token in _JOINTS:
            if core and not skip:
                yield _one_of(core, tail)
            # "was defeated by john doe , the governor": nothing is said of what the person is.
            skip = skip or (not core and not said and tail[:1] != [] and tail[0].endswith("ed"))
            said = True
            # "wife of an actor and politician , the governor of maine": all of it is the relative.
            skip = skip or (bool(core) and core[-1] in _KIN and tail[:1] in (["of"], ["to"]))
            core, tail, bounded = [], [], False
            if token == ".":
                return
        elif bounded:
            tail.append(token)
        elif token in BOUNDARY:
            if token == "born" and is_born(tokens, position):
                core.append(token)
                continue
            bounded = True
            tail.append(token)
        # A participle begins what further describes a role: "affiliated to", "riding for".
        elif (
            position < last
            and tokens[position + 1] in _PREPOSITIONS
            and token.endswith(("ed", "ing"))
        ):
            bounded = True
            tail.append(token)
        else:
            core.append(token)


def _one_of(core: list[str], tail: list[str]) -> Phrase:
    if core[-1] != "one" or tail[:1] != ["of"]:
        return Phrase(core, tail)
    rest = tail[1:]
    end = next((i for i, token in enumerate(rest) if token in GROUP_BOUNDARY), len(rest))
    if not end:
        return Phrase(core, tail)
    group = [token.removesuffix("s") if i == end - 1 else token for i, token in enumerate(rest)]
    return Phrase(group[:end], rest[end:])


def find_roles(lead: Lead) -> Roles:
    """The roles that the first sentence and the next ones about the person give them."""
    sports = politics = False
    for number, sentence in enumerate(_close(lead)):
        is_first = not number
        tokens = sentence.split()
        hints_at_sports = not (sports or vocabulary.SPORT_HINTS.isdisjoint(tokens))
        offices = () if politics else vocabulary.POLITICAL_HINTS.intersection(tokens)
        what = lead.predicate if is_first else ""
        said: list[Phrase] = []
        # Most sentences name no role; one of the footballers and compounds need a closer look.
        if is_first or not _HEADS.isdisjoint(tokens) or "one of" in sentence:
            what = what or said_of(sentence)
            said = _roles_said(what)
            if is_first and " who " in what and (then := _WHO_IS.match(what)):
                said += _roles_said(what[then.end() :])
            if not is_first:
                said = _own_phrases(said)
            elif lead.apposition:
                said += _roles_said(lead.apposition)
        for phrase in said:
            sports = sports or _sports_role(phrase)
            politics = politics or _political_role(phrase)
        if hints_at_sports and not sports:
            sports = _competes(_own_part(sentence, what) if is_first else sentence, is_first) or (
                is_first and _does_sports(lead, what, tokens)
            )
        if offices and not politics:
            politics = _holds_office(_own_part(sentence, what), offices)
        if is_first and said and not politics:
            politics = _party_member(said[0])
        if sports and politics:
            break
    return Roles(sports, politics)


def hints(lead: Lead) -> tuple[str, str]:
    """Words of the text that may speak of a sportsperson and of a politician, or "".

    They decide nothing alone: another source may say that the person is one.
    """
    sport = politics = ""
    for sentence in _close(lead):
        tokens = sentence.split()
        # Most sentences have neither; a set says so faster than a loop.
        if (
            not sport
            and not vocabulary.SPORTING_LIFE.isdisjoint(tokens)
            and _OTHER_SPORTING.isdisjoint(tokens)
        ):
            sport = next(token for token in tokens if token in vocabulary.SPORTING_LIFE)
        if not politics and not vocabulary.PUBLIC_LIFE.isdisjoint(tokens):
            politics = next(token for token in tokens if token in vocabulary.PUBLIC_LIFE)
    return sport, politics


def _close(lead: Lead) -> tuple[str, ...]:
    return (lead.first, *lead.about[:_CLOSE])


def _roles_said(what: str) -> list[Phrase]:
    tokens = what.split()
    if _HEADS.isdisjoint(tokens) and not (
        "-" in what or "politician." in what or what.startswith("one of")
    ):
        return []
    return list(_phrases(tokens))


def _own_phrases(said: list[Phrase]) -> list[Phrase]:
    """Without what tells of another: "author of a film about john doe , the late footballer"."""
    for number in range(1, len(said)):
        if said[number].core[0] == "the" and said[number - 1].tail:
            return said[:number]
    return said


def names_sports_role(occupation: str) -> bool:
    """Whether an occupation, such as an infobox gives it, is a sportsperson's."""
    return any(_sports_role(phrase) for phrase in phrases(occupation))


def names_political_role(occupation: str) -> bool:
    """Whether an occupation or office, such as an infobox gives it, is a politician's."""
    return any(_political_role(phrase) for phrase in phrases(occupation))


_CLOSE = 5
"""How many further sentences about the person are read."""


def _sports_role(phrase: Phrase) -> bool:
    *before, head = phrase.core
    if "-" in head:
        prefix, _, rest = head.partition("-")
        # "a footballer-turned-manager" was both.
        if prefix in _PREFIXES:
            head = rest
        elif "-turned-" in head and not vocabulary.SPORT_HEADS.isdisjoint(head.split("-turned-")):
            return True
    if head in vocabulary.SPORT_HEADS:
        return vocabulary.NO_SPORT.get(head, _NOTHING).isdisjoint(before)
    if head == "player":
        of = phrase.tail[:4] if phrase.tail[:1] == ["of"] else []
        return vocabulary.NOT_GAMES.isdisjoint((*before, *of))
    if head in ("medalist", "medallist") and _of_university(phrase.tail):
        return False
    needed = vocabulary.SPORT_PAIRS.get(head)
    if needed is None:
        return False
    if head in vocabulary.BY_LEAGUE and not vocabulary.LEAGUES.isdisjoint(phrase.tail):
        return True
    # "practitioner of chinese martial arts".
    return not needed.isdisjoint(before) or (
        head == "practitioner" and not needed.isdisjoint(phrase.tail[:5])
    )


def _of_university(tail: list[str]) -> bool:
    """ "a gold medalist of the university of delhi": the best of a year."""
    return tail[:1] in (["of"], ["from"], ["in"]) and (
        "university" in tail[:7] and "games" not in tail
    )


def _competes(sentence: str, own: bool) -> bool:
    """Whether somebody takes part in contests: the person, unless a relative is named before."""
    found = vocabulary.CONTEST.search(sentence) or vocabulary.TEAM_MEMBER.search(sentence)
    return (
        found is not None
        and not vocabulary.NO_CONTEST.search(sentence)
        and (own or _KIN.isdisjoint(sentence[: found.start()].split()))
    )


def _does_sports(lead: Lead, what: str, tokens: Iterable[str]) -> bool:
    """Sentences whose role has no word of its own.

    "a professional lacrosse transition who plays for ...", "jane roe won six driving titles in
    sprint car racing", "was the skip on the curling team".
    """
    role, _, clause = what.partition(" who")
    if _PLAYS.match(clause) and not vocabulary.SPORT.isdisjoint(role.split()):
        return True
    if vocabulary.SPORT.isdisjoint(tokens):
        return False
    if what.startswith("the skip "):
        return True
    no_copula = lead.subject == lead.first
    return (
        no_copula
        and bool(vocabulary.DEED.search(lead.first))
        and not vocabulary.NO_CONTEST.search(lead.first)
    )


def _own_part(sentence: str, what: str) -> str:
    """A sentence without what it tells of the relative that the person is said to be of."""
    if " of " not in what and " to " not in what:
        return sentence
    first = next(_phrases(what.split()[:12]), None)
    begin = len(sentence) - len(what)
    if first and first.core[-1] in _KIN and first.tail[:1] in (["of"], ["to"]):
        before = ""
    elif relative := _RELATIVE_OF.search(sentence, begin):
        before, begin = sentence[: relative.start()], relative.end()
    else:
        return sentence
    own = _SELF.search(sentence, begin)
    return before + (sentence[own.end() :] if own else "")


def _holds_office(sentence: str, hints: Set[str]) -> bool:
    for pattern, needed in _OFFICES:
        if hints.isdisjoint(needed):
            continue
        match = pattern.search(sentence)
        # "was the prime minister 's wife".
        if match is None or sentence.startswith(" 's", match.end()):
            continue
        if not vocabulary.STAFF.search(sentence, max(match.start() - 30, 0), match.end()):
            return True
    return False


_OFFICES = (
    (vocabulary.MEMBER, frozenset(["member"])),
    (vocabulary.IN_POLITICS, vocabulary.PARTY_HINTS),
    (vocabulary.SERVICE, vocabulary.OFFICE_HINTS),
    (vocabulary.CONSTITUENCY, vocabulary.SEAT_HINTS),
)
"""Patterns, each with the words of which a sentence has one if the pattern is in it."""


def _party_member(phrase: Phrase) -> bool:
    """ "is a member of the communist party of india": said first, it is the person's calling."""
    return (
        phrase.core[-1] in ("member", "ex-member")
        and "party" in phrase.tail[:9]
        and "nazi" not in phrase.tail
    )


def _political_role(phrase: Phrase) -> bool:
    *before, head = phrase.core
    if head not in _POLITICAL:
        # Two sentences may be stuck together: "is a bjp politician.he is".
        head = head.partition(".")[0]
        if head not in _POLITICAL:
            return False
    tail = " ".join(phrase.tail)
    if head in vocabulary.POLITICAL_HEADS:
        # The parliamentarian of a senate is an officer of it.
        if head == "parliamentarian" and re.search(vocabulary.CHAMBER, tail):
            return False
        # "the new statesman" is a paper.
        return (
            not vocabulary.NO_STATE.search(tail)
            and "bank" not in before
            and (head != "statesman" or before[-1:] != ["new"])
        )
    if head == "minister":
        clergy = vocabulary.CLERGY.intersection(before)
        # A minister to a country is its guest.
        abroad = phrase.tail[:1] == ["to"]
        return not (clergy or abroad or vocabulary.CLERGY.intersection(phrase.tail[:5]))
    if head == "general":
        return before[-1:] == ["attorney"]
    if head == "deputy":
        ranks = ("federal", "national", "parliamentary")
        return bool(re.search(vocabulary.CHAMBER, tail)) or any(rank in before for rank in ranks)
    if head in ("representative", "delegate", "speaker", "commissioner"):
        if head == "speaker" and not _GUESTS.isdisjoint(before):
            return False
        return "state" in before or "county" in before or bool(re.search(vocabulary.CHAMBER, tail))
    if head in ("president", "chancellor", "secretary", "vice-president", "premier"):
        return bool(re.match(vocabulary.OFFICE, f"{head} {tail}")) or (
            head != "secretary" and _of_country(phrase.tail)
        )
    return False


# What people around sports are without being sportspeople.
_OTHER_SPORTING = words(
    """coach coaches coaching manager assistant coordinator referee umpire official owner agent
    executive president chairman journalist broadcaster commentator announcer promoter trainer
    administrator analyst reporter writer"""
)
_GUESTS = words("plenary keynote invited guest motivational public conference")


def _of_country(tail: list[str]) -> bool:
    """Whether a country, and nothing in it, is what somebody is president of."""
    if tail[:1] != ["of"]:
        return False
    start = 2 if tail[1:2] == ["the"] else 1
    place = next((m for m in PLACES.find(tail[:8]) if m.start in (1, start)), None)
    return place is not None and (
        place.end == len(tail) or tail[place.end] in _AFTER_COUNTRY or tail[place.end].isdigit()
    )
