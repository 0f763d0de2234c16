"""The sample's word lists and sentences, read from `data/` and compiled once.

How a row is drawn from them does not belong here.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from needle_assets.corpus.sample.grammar import Template, leading_to, phrase, sentences

Rules = Mapping[str, Template]
Pool = tuple[Template, ...]


@dataclass(frozen=True)
class Name:
    """A name part: its two forms by sex, and their native spelling or empty."""

    latin: tuple[str, str]
    native: tuple[str, str]


@dataclass(frozen=True)
class Culture:
    """Names that go together."""

    male: tuple[Name, ...]
    female: tuple[Name, ...]
    last: tuple[Name, ...]
    family_first: bool
    double_surnames: bool


@dataclass(frozen=True)
class Country:
    """A country: ``cities`` are (city, region or empty)."""

    name: str
    adjective: str
    weight: float
    cultures: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]
    regions: tuple[str, ...]
    month_first: bool
    native_language: str
    since: int
    footballer: str
    rules: Rules

    @property
    def short_name(self) -> str:
        """The name as it stands after a comma: without the article."""
        return self.name.removeprefix("the ")


@dataclass(frozen=True)
class Role:
    """What a person was: a noun, its years and countries, and rules such as its topics."""

    noun: Template
    born: tuple[int, int]
    adjectives: tuple[str, ...]
    sex: str
    """M or F where the noun is said of one sex only, else empty."""
    rules: Rules


@dataclass(frozen=True)
class Calling:
    """A field of work with its roles and sentences."""

    key: str
    kind: str
    """person, sport, politician, or trap: near politics without an office."""
    weight: float
    women: float
    roles: tuple[Role, ...]
    lead: Pool
    story: Pool
    home: Pool
    infobox: tuple[tuple[str, Template], ...]
    rules: Rules
    sport: str = ""
    implied: bool = False
    """The sport's own name says the country, so no adjective is put before it."""
    international: bool = True
    """Whether there are national teams."""
    games: str = "summer olympics"


@dataclass(frozen=True)
class Kind:
    """A sort of row that is not about a person."""

    key: str
    weight: float
    suffix: str
    name: Template
    born: tuple[int, int]
    lead: Pool
    story: Pool
    infobox: tuple[tuple[str, Template], ...]


@dataclass(frozen=True)
class Lexicon:
    """Everything, compiled."""

    cultures: Mapping[str, Culture]
    countries: tuple[Country, ...]
    callings: tuple[Calling, ...]
    kinds: tuple[Kind, ...]
    common: Mapping[str, Pool]
    rules: Rules
    one_of_each: frozenset[str]
    """Slots of which a row has but one."""
    placing: frozenset[str]
    """Slots that may tell where a person belongs."""
    nation_naming: frozenset[str]
    """Slots that may hold a nationality's adjective or another country."""

    def is_placed(self, template: Template) -> bool:
        """Whether the text may tell where the person belongs."""
        return "P" in template.tags or not self.placing.isdisjoint(template.slots)

    def names_nations(self, template: Template) -> bool:
        """Whether the text may hold a nationality's adjective or another country."""
        return not self.nation_naming.isdisjoint(template.slots)


_HEAD_OFFICE = "prime minister of {country}|president of {country}"


@cache
def lexicon() -> Lexicon:
    """Read and compile the data."""
    countries = _load("countries")
    sports, politics = _load("sports"), _load("politics")
    professions, others, common = _load("professions"), _load("others"), _load("common")
    words = _load("lexicon")
    slots = {name: frozenset(names.split()) for name, names in words["slots"].items()}
    rules: dict[str, Template] = {}
    for part in (words, sports, politics, professions, others, common):
        rules |= _rules(part["rules"])
    languages = {key: _rules(value) for key, value in countries["language"].items()}
    callings = (
        *(_sport(entry, sports["pools"]) for entry in sports["sport"]),
        *_politics(politics),
        *(_family(entry) for entry in professions["family"]),
    )
    nations = tuple(_country(entry, languages) for entry in countries["country"])
    layers: dict[str, list[Template]] = {}
    for layer in (
        rules,
        *(nation.rules for nation in nations),
        *(calling.rules for calling in callings),
        *(role.rules for calling in callings for role in calling.roles),
    ):
        for name, template in layer.items():
            layers.setdefault(name, []).append(template)
    return Lexicon(
        cultures={key: _culture(value) for key, value in _load("names").items()},
        countries=nations,
        callings=callings,
        kinds=tuple(_kind(entry) for entry in others["kind"]),
        common={key: sentences(value) for key, value in common.items() if key != "rules"},
        rules=rules,
        one_of_each=slots["one_of_each"],
        placing=leading_to(slots["places"], layers),
        nation_naming=leading_to(slots["other_countries"], layers),
    )


def _load(name: str) -> dict[str, Any]:
    path = files("needle_assets.corpus.sample") / "data" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _rules(sources: Mapping[str, str]) -> dict[str, Template]:
    return {name: phrase(source) for name, source in sources.items()}


def _names(words: str) -> tuple[Name, ...]:
    names = []
    for word in words.split():
        latin, _, native = word.replace("_", " ").partition("=")
        names.append(Name(_forms(latin), _forms(native)))
    return tuple(names)


def _forms(word: str) -> tuple[str, str]:
    male, _, female = word.partition("/")
    return male, female or male


def _culture(entry: Mapping[str, Any]) -> Culture:
    return Culture(
        male=_names(entry["male"]),
        female=_names(entry["female"]),
        last=_names(entry["last"]),
        family_first=entry.get("order") == "family-first",
        double_surnames=entry.get("double_surnames", False),
    )


def _split(text: str, separator: str = "|") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _country(entry: Mapping[str, Any], languages: Mapping[str, dict[str, Template]]) -> Country:
    cities = tuple(_split(city, ",") for city in _split(entry["cities"]))
    own = _rules(
        {
            "parliament": entry["parliament"],
            "party": entry["parties"],
            "headoffice": entry.get("head_office", _HEAD_OFFICE),
            "league": f"{entry['league']}|top division",
            "chamber": entry.get("chamber", "{council}"),
        }
    )
    if "regional_office" in entry:
        own |= _rules({"regionaloffice": entry["regional_office"]})
    return Country(
        name=entry["name"],
        adjective=entry["adj"],
        weight=entry["weight"],
        cultures=tuple(entry["cultures"].split()),
        cities=tuple((city[0], city[1] if len(city) > 1 else "") for city in cities),
        regions=_split(entry.get("regions", "")) or tuple(city[0] for city in cities),
        month_first=entry.get("month_first", False),
        native_language=entry.get("native", ""),
        since=entry.get("since", 0),
        footballer=entry.get("football", ""),
        rules=languages[entry.get("language", "english")] | own,
    )


_ROLE = re.compile(
    r"^(?P<noun>.*?)(?: @(?P<from>\d+)-(?P<to>\d+))?(?: #(?P<where>[^%]*?))?(?: %(?P<sex>[MF]))?$"
)


def _roles(
    lines: Iterable[str], born: Sequence[int], adjectives: tuple[str, ...], topic: str
) -> tuple[Role, ...]:
    roles = []
    for line in lines:
        head, _, topics = line.partition(":")
        match = _ROLE.match(head.strip())
        assert match is not None  # the pattern matches any text
        years = (int(match["from"]), int(match["to"])) if match["from"] else (born[0], born[1])
        roles.append(
            Role(
                noun=phrase(match["noun"]),
                born=years,
                adjectives=_adjectives(match["where"] or "") or adjectives,
                sex=match["sex"] or "",
                rules={topic: phrase(topics.strip())} if topics.strip() else {},
            )
        )
    return tuple(roles)


def _adjectives(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


def _infobox(source: str) -> tuple[tuple[str, Template], ...]:
    """``key=template`` by semicolons: the fields beside name, dates and places."""
    pairs = (part.partition("=") for part in _split(source, ";"))
    return tuple((key.strip(), phrase(value.strip())) for key, _, value in pairs)


def _sport(entry: Mapping[str, Any], pools: Mapping[str, str]) -> Calling:
    team = entry.get("team", False)
    pool = "team" if team else "ind"
    adjectives = _adjectives(entry.get("countries", ""))
    lines = [entry["noun"]] if team else entry["roles"].strip().splitlines()
    own = {
        "position": entry.get("positions", ""),
        "club": entry.get("club", ""),
        "league": entry.get("league", ""),
        "gamescored": entry.get("gamescored", ""),
    }
    return Calling(
        key=entry["sport"],
        kind="sport",
        weight=entry["weight"],
        women=entry["women"],
        roles=_roles(lines, entry["born"], adjectives, "event"),
        lead=sentences(pools[f"{pool}_lead"]),
        story=sentences(entry["story"]) * 2 + sentences(pools[f"{pool}_story"]),
        home=sentences(pools["home"]),
        infobox=_infobox(pools[f"{pool}_infobox"]),
        rules=_rules({name: source for name, source in own.items() if source}),
        sport=entry["sport"],
        implied=entry.get("implied", False),
        international=entry.get("international", True),
        games=entry.get("games", "summer olympics"),
    )


def _politics(data: Mapping[str, Any]) -> Iterable[Calling]:
    pools = data["pools"]
    home = sentences(pools["home"])
    yield Calling(
        key="politics",
        kind="politician",
        weight=1,
        women=0.17,
        roles=_roles(["{politician}"], (1790, 1982), (), ""),
        lead=sentences(pools["lead"]),
        story=sentences(pools["story"]),
        home=home,
        infobox=_infobox(pools["infobox"]),
        rules={},
    )
    yield Calling(
        key="near politics",
        kind="trap",
        weight=1,
        women=0.25,
        roles=_roles(["{trapjob}"], (1880, 1978), (), ""),
        lead=sentences(pools["trap_lead"]),
        story=sentences(pools["trap_story"]),
        home=(),
        infobox=_infobox(pools["trap_infobox"]),
        rules={},
    )


def _family(entry: Mapping[str, Any]) -> Calling:
    return Calling(
        key=entry["key"],
        kind="person",
        weight=entry["weight"],
        women=entry["women"],
        roles=_roles(
            entry["roles"].strip().splitlines(),
            entry["born"],
            _adjectives(entry.get("countries", "")),
            "topic",
        ),
        lead=sentences(entry["lead"]),
        story=sentences(entry["story"]),
        home=(),
        infobox=_infobox(entry["infobox"]),
        rules={},
    )


def _kind(entry: Mapping[str, Any]) -> Kind:
    return Kind(
        key=entry["key"],
        weight=entry["weight"],
        suffix=entry.get("suffix", ""),
        name=phrase(entry["name"]),
        born=(entry["born"][0], entry["born"][1]),
        lead=sentences(entry["lead"]),
        story=sentences(entry["story"]),
        infobox=_infobox(entry["infobox"]),
    )
