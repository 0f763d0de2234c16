"""A person of the sample: the facts, and which of them the text will state.

Sentences are put together elsewhere; here is only the subject of the first one, since it holds
the name and the dates.
"""

from dataclasses import dataclass
from typing import Literal

from needle_assets.corpus.sample.dice import Dice
from needle_assets.corpus.sample.lexicon import Calling, Country, Culture, Lexicon, Role, Rules
from needle_assets.corpus.sample.scene import (
    THIS_YEAR,
    FullName,
    RowScene,
    date_text,
    draw_name,
)

Basis = Literal["stated", "inferable", "absent"]

_KINDS = (("sport", 0.40), ("politician", 0.10), ("trap", 0.02), ("person", 0.48))
_BASES: tuple[tuple[Basis, float], ...] = (("stated", 0.73), ("inferable", 0.17), ("absent", 0.1))
_LIVING_DATES = (("full", 0.72), ("year", 0.09), ("later", 0.06), ("none", 0.13))
_DEAD_DATES = (
    ("full", 0.60),
    ("years", 0.14),
    ("circa", 0.05),
    ("year full", 0.03),
    ("full year", 0.02),
    ("birth", 0.03),
    ("death", 0.04),
    ("later", 0.04),
    ("none", 0.05),
)
_IMMIGRATION = frozenset(
    ("american", "canadian", "australian", "british", "french", "israeli", "argentine", "german")
)
_POSTNOMINALS = {
    "naturalist": "frs",
    "physical science": "frs",
    "scholar": "fba",
    "medicine": "frcs",
    "military": "dso",
    "religion": "op",
}


@dataclass(frozen=True)
class Day:
    """A date; day and month 0 where only the year is known."""

    day: int = 0
    month: int = 0
    year: int = 0

    def text(self, *, month_first: bool) -> str:
        """In words; the year alone where no more is known."""
        if not self.day:
            return str(self.year)
        return date_text(self.day, self.month, self.year, month_first=month_first)

    def year_only(self) -> "Day":
        """The same without day and month."""
        return Day(year=self.year)


NO_DAY = Day()


@dataclass(frozen=True)
class Person:
    """The facts of one person."""

    calling: Calling
    role: Role
    basis: Basis
    country: Country
    origin: Country
    """Where the person was born; differs from the country in "german-born american"."""
    double: Literal["", "hyphen", "space", "born"]
    male: bool
    culture: Culture
    name: FullName
    birth: Day
    death: Day | None
    active: bool
    """Still competing; sportspeople only."""

    @property
    def alive(self) -> bool:
        """Whether the person is living."""
        return self.death is None

    @property
    def last_year(self) -> int:
        """The last year of the person's life, or this year."""
        return self.death.year if self.death else THIS_YEAR


def draw_person(dice: Dice, lexicon: Lexicon) -> Person:
    """A person in whom calling, country, years and name fit each other."""
    kind = dice.weighted([k for k, _ in _KINDS], [w for _, w in _KINDS])
    callings = [calling for calling in lexicon.callings if calling.kind == kind]
    calling = dice.weighted(callings, [calling.weight for calling in callings])
    role = dice.choice(calling.roles)
    basis = dice.weighted([b for b, _ in _BASES], [w for _, w in _BASES])
    if calling.implied or (basis == "absent" and len(set(role.adjectives)) in (1, 2)):
        basis = "inferable"
    country = _draw_country(dice, lexicon, role)
    while country.since > role.born[1]:
        country = _draw_country(dice, lexicon, role)
    double: Literal["", "hyphen", "space", "born"] = ""
    origin = country
    if basis == "stated" and dice.chance(0.1 if country.adjective in _IMMIGRATION else 0.035):
        origin = dice.weighted(lexicon.countries, [c.weight for c in lexicon.countries])
        if origin is not country:
            double = "born"
            if country.adjective in _IMMIGRATION:
                double = dice.weighted(("hyphen", "space", "born"), (0.45, 0.25, 0.3))
    earliest = max(role.born[0], min(country.since, role.born[1]))
    birth_year = earliest + int((role.born[1] - earliest) * dice.unit() ** 0.65)
    women = calling.women * (0.4 if birth_year < 1850 and calling.key != "nobility" else 1)
    if birth_year < 1940 and kind == "sport":
        women *= 0.4
    male = role.sex == "M" or (role.sex != "F" and not dice.chance(women))
    culture = lexicon.cultures[dice.choice((origin if double else country).cultures)]
    birth = Day(dice.between(1, 28), dice.between(1, 12), birth_year)
    death = _draw_death(dice, birth)
    age = THIS_YEAR - birth_year
    return Person(
        calling=calling,
        role=role,
        basis=basis,
        country=country,
        origin=origin,
        double=double,
        male=male,
        culture=culture,
        name=draw_name(dice, culture, male),
        birth=birth,
        death=death,
        active=death is None and calling.kind == "sport" and dice.chance((46 - age) / 18),
    )


def _draw_country(dice: Dice, lexicon: Lexicon, role: Role) -> Country:
    if role.adjectives:
        adjective = dice.choice(role.adjectives)
        return next(c for c in lexicon.countries if c.adjective == adjective)
    return dice.weighted(lexicon.countries, [country.weight for country in lexicon.countries])


def _draw_death(dice: Dice, birth: Day) -> Day | None:
    lived_on = {range(1900, 1925): 0.1, range(1925, 1945): 0.6, range(1945, 1970): 0.9}
    chance = next((p for years, p in lived_on.items() if birth.year in years), 0.97)
    if birth.year >= 1900 and (birth.year >= 1985 or dice.chance(chance)):
        return None
    age = dice.between(27, 45) if dice.chance(0.14) else dice.between(46, 94)
    oldest = THIS_YEAR - 1 - birth.year
    if age > oldest:
        age = dice.between(max(24, oldest - 12), oldest) if oldest > 24 else oldest
    return Day(dice.between(1, 28), dice.between(1, 12), birth.year + age)


def scene_of(person: Person, dice: Dice, lexicon: Lexicon) -> RowScene:
    """The scene of a person's row, with the plain slots filled."""
    layers: tuple[Rules, ...] = (person.role.rules, person.calling.rules)
    scene = RowScene(
        dice,
        lexicon,
        male=person.male,
        country=person.country,
        culture=person.culture,
        layers=layers,
        born=person.birth.year,
        last_year=person.last_year,
        games=person.calling.games,
    )
    active, alive, male = person.active, person.alive, person.male
    scene.values |= {
        "plainname": person.name.title,
        "name": person.name.title,
        "last": person.name.last,
        "he": "he" if male else "she",
        "him": "him" if male else "her",
        "his": "his" if male else "her",
        "himself": "himself" if male else "herself",
        "is": "is" if alive else "was",
        "was": "was",
        "plays": "plays" if active else "played",
        "whoplays": "currently playing" if active else "who played",
        "competes": "competes" if active else "competed",
        "specialises": "specialises"
        if alive and (active or person.calling.kind != "sport")
        else "specialised",
        "sport": person.calling.sport,
    }
    footballer = person.country.footballer
    if person.calling.key == "football" and footballer:
        scene.values |= {"noun": footballer, "sport": "soccer"}
    else:
        scene.values["noun"] = person.role.noun.write(scene)
    scene.values["A"] = _nationality(person, scene)
    return scene


def _nationality(person: Person, scene: RowScene) -> str:
    """The article and what stands between it and the noun: "a retired german"."""
    dice = scene.dice
    nation = ""
    if person.basis == "stated":
        nation = person.country.adjective
        if person.double:
            joint = {"hyphen": "-", "space": " ", "born": "-born "}[person.double]
            nation = f"{person.origin.adjective}{joint}{nation}"
    words = [nation] if nation else []
    if person.calling.kind == "sport":
        if person.alive and not person.active and dice.chance(0.85):
            words.insert(dice.between(0, len(words)), dice.choice(("former", "retired", "former")))
        if "professional" not in scene.values["noun"] and dice.chance(0.15):
            words.append("professional")
    elif dice.chance(0.08):
        words.insert(0, scene.slot("praise", ""))
    return " ".join(("@a", *words))


@dataclass(frozen=True)
class Subject:
    """How a row's first sentence names its person, and what that tells."""

    text: str
    names_birthplace: bool
    sentences: tuple[str, ...]
    """Further sentences with dates, the birth's first."""
    stated_birth: Day
    stated_death: Day
    birth_name: str
    birthplace: str
    deathplace: str


def write_subject(person: Person, scene: RowScene) -> Subject:
    """The name, with dates and places in brackets as far as the text states them."""
    dice = scene.dice
    placed = person.basis != "absent"
    birthplace = scene.place(person.origin, named=person.basis == "inferable")
    abroad = person.basis == "stated" and dice.chance(0.12)
    deathplace = scene.place(scene.foreign() if abroad else person.country, named=False)
    scene.values |= {"birthcity": birthplace, "deathcity": deathplace}
    where = birthplace if placed and dice.chance(0.35) else ""
    styles = _LIVING_DATES if person.alive else _DEAD_DATES
    style = dice.weighted([s for s, _ in styles], [w for _, w in styles])
    dates = _dates(person, scene, style, where, deathplace if placed else "")
    name, birth_name, brackets = _name(person, scene)
    inside = list(brackets)
    if dates.brackets:
        # "born anna schmidt ; 12 may 1950": the word is not said twice.
        again = "born " if inside and inside[-1].startswith("born ") else ""
        inside.append(dates.brackets.removeprefix("; " if inside else "").removeprefix(again))
    text = name
    if inside:
        text += f" -lrb- {' ; '.join(inside)} -rrb-"
    elif dice.chance(0.08):
        # Wikipedia's pronunciation templates leave such holes in wiki_bio.
        text += " -lrb- -rrb-"
    if dates.after:
        text += f" , {dates.after} ,"
    return Subject(
        text=text,
        names_birthplace=bool(where) and (birthplace in text or bool(dates.sentences)),
        sentences=dates.sentences,
        stated_birth=dates.birth,
        stated_death=dates.death,
        birth_name=birth_name,
        birthplace=birthplace,
        deathplace=deathplace,
    )


@dataclass(frozen=True)
class _Dates:
    brackets: str
    after: str
    sentences: tuple[str, ...]
    birth: Day
    death: Day


def _dates(person: Person, scene: RowScene, style: str, where: str, grave: str) -> _Dates:
    dice, month_first = scene.dice, scene.month_first
    birth, death = person.birth, person.death or NO_DAY
    if style in ("year", "years", "circa", "year full"):
        birth = birth.year_only()
    if style in ("years", "full year"):
        death = death.year_only()
    if style in ("none", "death"):
        birth = NO_DAY
    if style in ("none", "birth"):
        death = NO_DAY
    if style == "circa" and dice.chance(0.5):
        death = death.year_only()
    born = birth.text(month_first=month_first)
    died = death.text(month_first=month_first)
    if style == "circa":
        born = f"c. {born}"
    he = scene.values["he"]
    in_where = f" in {where}" if where else ""
    in_grave = f" in {grave}" if grave else ""
    on = {True: f"on {born}", False: f"in {born}"}[bool(birth.day)]
    brackets, after = "", ""
    sentences: tuple[str, ...] = ()
    if style == "later" and person.alive:
        sentences = (f"{he} was born {on}{in_where} .",)
    elif style == "later":
        brackets = f"born {born}{in_where}"
        sentences = (f"{he} died on {died}{in_grave} .",)
    elif style in ("full", "year") and person.alive:
        if dice.chance(0.04):
            after = f"born {on}{in_where}"
        else:
            forms = [f"born {born}{in_where}"] * 12 + [f"b. {born}{in_where}"]
            if birth.day:
                forms += [f"; born {born}{in_where}", f"born on {born}{in_where}"]
            if where:
                forms += [f"born {born} , {where}", f"born in {where} {on}"]
            brackets = dice.choice(forms)
    elif style == "birth":
        brackets = f"born {born}{in_where}"
    elif style == "death":
        brackets = dice.choice((f"died {died}", f"d. {died}", f"died {died}{in_grave}"))
    elif style != "none":
        forms = [f"{born} -- {died}"] * 9 + [
            f"{born} - {died}",
            f"; {born} -- {died}",
            f"born {born} ; died {died}",
        ]
        if where and grave:
            forms = [
                f"{born} , {where} -- {died} , {grave}",
                f"{born} in {where} -- {died} in {grave}",
                f"born {born} in {where} , died {died} in {grave}",
                f"b. {born} , {where} -- d. {died} , {grave}",
            ]
        brackets = dice.choice(forms)
    return _Dates(brackets, after, sentences, birth, death)


def _name(person: Person, scene: RowScene) -> tuple[str, str, list[str]]:
    """The name as it opens the text, another name by birth, and what of it stands in brackets."""
    dice, name = scene.dice, person.name
    shown, birth_name, brackets = name.title, "", []
    kind = dice.unit()
    western = not name.family_first
    rest = name.title.removeprefix(name.first).strip()
    if western and kind < 0.2 and name.middle:
        shown = f"{name.first} {name.middle} {rest}"
    elif western and kind < 0.26 and person.country.adjective in ("american", "canadian"):
        shown = f"{name.first} {dice.choice('abcdefghjklmprstw')}. {rest}"
    elif western and kind < 0.30:
        nickname = scene.slot("nickname", "")
        shown = f"{name.first} `` {nickname} '' {rest}"
    elif western and kind < 0.33 and not person.male:
        birth_name = f"{name.first} {scene.slot('surname', '')}"
        brackets = [f"née {birth_name.removeprefix(name.first).strip()}"]
    elif western and kind < 0.355:
        birth_name = f"{scene.slot('given', '')} {scene.slot('surname', '')}"
        brackets = [f"born {birth_name}"]
    elif kind < 0.375:
        shown = f"{name.title} , known as {dice.choice((name.first, name.last))} ,"
    elif western and kind < 0.39 and person.male and person.country.adjective == "american":
        shown = f"{name.title} , {dice.choice(('jr.', 'sr.', 'iii'))}"
    elif western and kind < 0.41 and person.country.adjective in ("english", "british"):
        title = "sir" if person.male else "dame"
        honour = _POSTNOMINALS.get(person.calling.key, "obe")
        shown = dice.choice((f"{title} {name.title}", f"{name.title} {honour}"))
    if name.native and person.basis != "absent" and dice.chance(0.45):
        language = person.country.native_language
        labelled = language and person.basis == "stated" and not person.double
        brackets.insert(0, f"{language} : {name.native}" if labelled else name.native)
    return shown, birth_name, brackets
