"""What a Wikipedia infobox says about its person, in the terms of the label.

How a text is labelled, and what the infobox decides there, does not belong here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from needle_assets.labels import dates, nationalities, roles
from needle_assets.labels.biography import NO_DATE, PartialDate
from needle_assets.labels.lead import words
from needle_assets.labels.nationalities import DEMONYMS, PLACES, REGIONAL


@dataclass(frozen=True)
class InfoboxFacts:
    """The facts of one infobox; what it does not state is empty, `NO_DATE` or None."""

    nationalities: tuple[str, ...] = ()
    """In the box's order, of its nationality and citizenship, else of the team it names."""
    birth: PartialDate = NO_DATE
    death: PartialDate = NO_DATE
    sportsperson: bool | None = None
    politician: bool | None = None
    evidence: tuple[str, ...] = ()
    """What the facts were read from, each as ``infobox: key = value``."""


NO_FACTS = InfoboxFacts()
"""What no infobox, or an empty one, says."""

_BIRTH = ("birth_date", "birthdate", "date_of_birth", "dateofbirth", "born", "birth", "birth_year")
_DEATH = ("death_date", "deathdate", "date_of_death", "dateofdeath", "died", "death", "death_year")
_NATIONALITY = ("nationality", "citizenship")
_TEAM = ("nationalteam", "ru_nationalteam", "ntl_team", "nationalteam1", "country")
_OCCUPATION = ("occupation", "profession", "occupations", "occupation(s)")
_OFFICE = ("office", "offices", "order", "title", "jr/sr")

# Keys of sports infoboxes alone; "position", "team" and "sport" stand in boxes of coaches too.
_SPORT_KEYS = words(
    """clubs caps goals youthclubs currentclub nationalcaps nationalgoals batting bowling bats
    throws debutteam finalteam played_for shoots catches/stumpings ru_position ru_amateurclubs
    ru_proclubs ru_nationalteam super allblackid proteam proyears amateurteam icposition clcounty
    singlesrecord doublesrecord singlestitles doublestitles heya highestrank british_league
    britishleague draftpick draft_pick draftyear draft_year draftround nfl bbr olympicteams
    worldsteams turnedpro racquet originalteam guernsey debutopponent testdebutdate odidebutdate
    fivefor wickets runs pastteams statlabel yearstart teama playing_teams position_s pb
    worldcupdebut racing_style billed finishes first_race last_race poles total_wins
    total_ko no_contests boxrec"""
)
_COACH_KEYS = words("coachyears coaching_teams coachclubs manageryears managerclubs coach_team")
_POSITION_KEYS = words("position positions club sport event disciplines weapon stroke swing")
_SEAT_KEYS = words(
    """riding state_senate state_house state_delegate state_assembly constituency constituency_mp
    constituency_am parliament assembly"""
)
_TERM_KEYS = words("term_start term_end office primeminister vicepresident president monarch order")
_STATES = {
    "nationality": (*_NATIONALITY, *_TEAM),
    "dates": (*_BIRTH, *_DEATH),
    "politician": (*_OFFICE, *_OCCUPATION, *_SEAT_KEYS, "party"),
}
_READ = (
    frozenset([*_BIRTH, *_DEATH, *_NATIONALITY, *_TEAM, *_OCCUPATION, *_OFFICE, "party"])
    | _SPORT_KEYS
    | _COACH_KEYS
    | _POSITION_KEYS
    | _SEAT_KEYS
    | _TERM_KEYS
)
"""Keys that say anything of the label."""

_NO_VALUE = words("<none> none n/a na unknown - -- ? tba nil yes no")
_BRACKETED = re.compile(r"-lrb-(?:(?!-[lr]rb-).)*-rrb-|\([^()]*\)")
_MARKUP = re.compile(r"\{\{|\}\}|\[\[|\]\]|& ?nbsp ?;|''+|-[lr]sb-")
_PARTS = re.compile(r"[-/|]")
_LONGEST_QUOTE = 80


def infobox_facts(infobox: Mapping[str, str | None]) -> InfoboxFacts:
    """Read an infobox in wiki_bio's spelling: ``birth_date``, ``nationality``, ``clubs``, ...

    Values may be absent, ``<none>``, in nested brackets or damaged: what cannot be read says
    nothing, and no value is an error.
    """
    box = dict(_readable(infobox))
    if not box:
        return NO_FACTS
    evidence: list[str] = []

    def quote(key: str) -> None:
        line = f"infobox: {key} = {box[key][:_LONGEST_QUOTE].rstrip()}"
        if line not in evidence:
            evidence.append(line)

    born, birth = _date(box, _BIRTH)
    died, death = _date(box, _DEATH)
    sport, sportsperson = _sportsperson(box)
    office, politician = _politician(box)
    from_keys, found = _nationalities(box, sportsperson)
    for key in (*from_keys, born, died, sport, office):
        if key:
            quote(key)
    return InfoboxFacts(found, birth, death, sportsperson, politician, tuple(evidence))


def quoted(facts: InfoboxFacts, of: str) -> list[str]:
    """The lines of ``evidence`` that state a nationality, dates, a politician or a sportsperson."""
    lines = []
    for line in facts.evidence:
        key = line.removeprefix("infobox: ").partition(" = ")[0]
        if key in _STATES[of] if of in _STATES else not _states_another(key):
            lines.append(line)
    return lines


def _states_another(key: str) -> bool:
    return key in _STATES["nationality"] or key in _STATES["dates"] or key in _SEAT_KEYS


def _readable(infobox: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for raw, value in infobox.items():
        key = raw if raw in _READ else "_".join(raw.lower().strip("| ").split())
        if key not in _READ or not value:
            continue
        text = value.lower()
        if "-lrb-" in text or "-rrb-" in text or "(" in text or ")" in text:
            text = _outside_brackets(text)
        text = " ".join(_MARKUP.sub(" ", text).split())
        # Dates stand in some templates as "yes" and numbers; a bare "yes" says nothing.
        if text and text not in _NO_VALUE:
            yield key, text


def _outside_brackets(value: str) -> str:
    """The value without what stands in brackets, nested or not; all of it if that is nothing."""
    text = value
    # Wiki's brackets nest three deep at most; a value that nests deeper keeps its middle.
    for _ in range(4):
        text, changed = _BRACKETED.subn(" ", text)
        if not changed:
            break
    for mark in ("-lrb-", "-rrb-", "(", ")"):
        text, value = text.replace(mark, " "), value.replace(mark, " ")
    return text if text.strip() else value


def _date(box: Mapping[str, str], keys: tuple[str, ...]) -> tuple[str, PartialDate]:
    for key in keys:
        if key in box and (date := dates.in_value(box[key])) != NO_DATE:
            return key, date
    return "", NO_DATE


def _nationalities(
    box: Mapping[str, str], sportsperson: bool | None
) -> tuple[list[str], tuple[str, ...]]:
    said = {key: names for key in _NATIONALITY if key in box and (names := _named(box[key]))}
    if not said and sportsperson:
        # "country" of an ambassador is where he served.
        teams = ((key, _named(box[key])) for key in _TEAM if key in box)
        said = dict([team for team in teams if team[1]][:1])
    return list(said), tuple(dict.fromkeys(name for names in said.values() for name in names))


def _named(value: str) -> list[str]:
    """Nationalities of "ven venezuelan", "france", "irish-american": the plainest reading."""
    for tokens in (value.split(), _PARTS.sub(" ", value).split()):
        for lexicon in (DEMONYMS, PLACES, REGIONAL):
            found = [mention.nationality for mention in lexicon.find(tokens)]
            if found:
                return list(dict.fromkeys(found))
    name = nationalities.canonical(value)
    return [name] if name and name != nationalities.UNKNOWN else []


def _sportsperson(box: Mapping[str, str]) -> tuple[str, bool | None]:
    for key in _OCCUPATION:
        if key in box and roles.names_sports_role(box[key]):
            return key, True
    key = next((key for key in box if key in _SPORT_KEYS), "")
    if key:
        return key, True
    key = next((key for key in box if key in _POSITION_KEYS), "")
    if key and _COACH_KEYS.isdisjoint(box) and _TERM_KEYS.isdisjoint(box):
        return key, True
    key = next((key for key in _OCCUPATION if key in box), "")
    return (key, False) if key and _COACH_KEYS.isdisjoint(box) else ("", None)


def _politician(box: Mapping[str, str]) -> tuple[str, bool | None]:
    for key in (*_OCCUPATION, *_OFFICE):
        if key in box and ("politician" in box[key] or roles.names_political_role(box[key])):
            return key, True
    occupation = next((key for key in _OCCUPATION if key in box), "")
    if seat := next((key for key in box if key in _SEAT_KEYS), ""):
        return seat, True
    # Heads of schools and churches have terms too, and members of a party other callings.
    if "party" in box and (not occupation or not _TERM_KEYS.isdisjoint(box)):
        return "party", True
    if not occupation or not _TERM_KEYS.isdisjoint(box) or "party" in box:
        return "", None
    return occupation, False
