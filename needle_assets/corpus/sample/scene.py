"""What a template is written in: the slots of one row, each filled the same way all along.

Which facts a person has, and which sentences are chosen, does not belong here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from needle_assets.corpus.sample.dice import Dice
from needle_assets.corpus.sample.grammar import Template
from needle_assets.corpus.sample.lexicon import Country, Culture, Lexicon, Rules

THIS_YEAR = 2015
"""wiki_bio is a copy of Wikipedia of that year, and so is what counts as living."""

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)

_OLYMPICS = {
    "summer": "1896 athens 1900 paris 1908 london 1912 stockholm 1920 antwerp 1924 paris "
    "1928 amsterdam 1932 los_angeles 1936 berlin 1948 london 1952 helsinki 1956 melbourne "
    "1960 rome 1964 tokyo 1968 mexico_city 1972 munich 1976 montreal 1980 moscow "
    "1984 los_angeles 1988 seoul 1992 barcelona 1996 atlanta 2000 sydney 2004 athens "
    "2008 beijing 2012 london",
    "winter": "1924 chamonix 1928 st._moritz 1932 lake_placid 1936 garmisch-partenkirchen "
    "1948 st._moritz 1952 oslo 1956 cortina_d'ampezzo 1960 squaw_valley 1964 innsbruck "
    "1968 grenoble 1972 sapporo 1976 innsbruck 1980 lake_placid 1984 sarajevo 1988 calgary "
    "1992 albertville 1994 lillehammer 1998 nagano 2002 salt_lake_city 2006 turin "
    "2010 vancouver 2014 sochi",
}
_PARALYMPICS_SINCE = 1960
_WARS = (
    (1618, 1648, "thirty years ' war"),
    (1756, 1763, "seven years ' war"),
    (1799, 1815, "napoleonic wars"),
    (1853, 1856, "crimean war"),
    (1870, 1871, "franco-prussian war"),
    (1899, 1902, "boer war"),
    (1914, 1918, "first world war"),
    (1939, 1945, "second world war"),
    (1950, 1953, "korean war"),
)
_OLD_TIMES = 1875
"""Those born earlier get a rule's ``old`` variant, where there is one: no taxi drivers then."""
_FIGHTING_AGE = (17, 45)
_COMPETING_AGE = (21, 31)


@dataclass(frozen=True)
class FullName:
    """A name and its parts, lower case. ``title`` is how the article is called."""

    title: str
    first: str
    middle: str
    last: str
    native: str
    family_first: bool


def draw_name(dice: Dice, culture: Culture, male: bool) -> FullName:
    """A name as it is usual in the culture."""
    sex = 0 if male else 1
    given = culture.male if male else culture.female
    first, middle = dice.choice(given), dice.choice(given)
    last = dice.choice(culture.last)
    while last.latin[sex] == first.latin[sex]:
        last = dice.choice(culture.last)
    surname, native_surname = last.latin[sex], last.native[sex]
    title_surname = surname
    if culture.double_surnames and dice.chance(0.35):
        second = dice.choice(culture.last).latin[sex]
        title_surname = surname if second == surname else f"{surname} {second}"
    elif not culture.family_first and not native_surname and dice.chance(0.02):
        title_surname = surname = f"{surname}-{dice.choice(culture.last).latin[sex]}"
    parts = (title_surname, first.latin[sex])
    native_parts = (native_surname, first.native[sex])
    if not culture.family_first:
        parts, native_parts = parts[::-1], native_parts[::-1]
    joint = "" if culture.family_first and native_surname and len(native_surname) < 3 else " "
    return FullName(
        title=" ".join(parts),
        first=first.latin[sex],
        middle="" if middle is first else middle.latin[sex],
        last=surname,
        native=joint.join(native_parts) if all(native_parts) else "",
        family_first=culture.family_first,
    )


class RowScene:
    """The scene of one row: slots are filled from its values, its makers, then the rules."""

    def __init__(
        self,
        dice: Dice,
        lexicon: Lexicon,
        *,
        male: bool,
        country: Country,
        culture: Culture,
        layers: Sequence[Rules],
        born: int,
        last_year: int,
        games: str = "summer olympics",
    ) -> None:
        self.dice = dice
        self.male = male
        self.values: dict[str, str] = {}
        self.last_year = last_year
        self.born = born
        # One shift for the whole row keeps the years of its sentences in order.
        self.shift = dice.between(-1, 2)
        self.month_first = dice.chance(0.85 if country.month_first else 0.12)
        self._lexicon = lexicon
        self._country = country
        self._home = country
        self._culture = culture
        self._layers = (*layers, country.rules, lexicon.rules)
        self._games = games
        self._makers: dict[str, Callable[[], str]] = {
            "s": lambda: self.values["he"] if dice.chance(0.6) else self.values["last"],
            "whose": lambda: (
                self.values["his"] if dice.chance(0.65) else f"{self.values['last']} 's"
            ),
            "until": lambda: dice.choice(("to", "until")),
            "city": lambda: dice.choice(self._country.cities)[0],
            "region": lambda: dice.choice(self._country.regions),
            "country": lambda: self._country.name,
            "land": lambda: self._country.short_name,
            "adj": lambda: self._country.adjective,
            "fcity": lambda: dice.choice(self.foreign().cities)[0],
            "fcountry": lambda: self.foreign().name,
            "fplace": lambda: self.place(self.foreign(), named=True),
            "fadj": lambda: self.foreign().adjective,
            "flanguage": lambda: dice.choice(_LANGUAGES),
            "fclub": self._foreign_club,
            "spouse": lambda: self._someone(male=not male),
            "father": lambda: self._relative(male=True),
            "mother": lambda: self._someone(male=False),
            "brother": lambda: self._relative(male=True),
            "sister": lambda: self._relative(male=False),
            "cousin": lambda: self._relative(male=dice.chance(0.6)),
            "child": lambda: self._given(male=dice.chance(0.5)),
            "sonfirst": lambda: self._given(male=True),
            "daughterfirst": lambda: self._given(male=False),
            "theparty": self._the_party,
            "sonname": lambda: self._relative(male=True),
            "daughtername": lambda: self._relative(male=False),
            "given": lambda: self._given(male=male),
            "surname": lambda: dice.choice(self._culture.last).latin[0],
            "colleague": lambda: self._someone(male=dice.chance(0.75), anywhere=0.15),
            "woman": lambda: self._someone(male=False),
            "month": lambda: dice.choice(MONTHS),
            "games": self._the_games,
            "war": self._the_war,
            "height": self._the_height,
            "contract": lambda: str(THIS_YEAR + dice.between(1, 3)),
            "college": self._the_college,
        }

    def slot(self, name: str, copy: str) -> str:
        """The text of a slot; one with a digit, or of which there is but one, stays the same."""
        key = name + copy
        if key in self.values:
            return self.values[key]
        if not copy and name not in self._lexicon.one_of_each:
            return self._fill(name)
        others = [self.values.get(f"{name}{digit}") for digit in ("", "1", "2", "3", "4")]
        text = self._fill(name)
        for _ in range(4):
            if text not in others:
                break
            text = self._fill(name)
        self.values[key] = text
        return text

    def _fill(self, name: str) -> str:
        maker = self._makers.get(name)
        return maker() if maker else self.rule(name).write(self)

    def rule(self, name: str) -> Template:
        """The innermost rule of that name: the role's, the calling's, the country's, anyone's."""
        if self.born < _OLD_TIMES and f"old{name}" in self._lexicon.rules:
            return self._lexicon.rules[f"old{name}"]
        for layer in self._layers:
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def year(self, age: int) -> int:
        """The year at an age, never past the person's own time."""
        return min(self.born + age + self.shift, self.last_year)

    def date(self, age: int) -> str:
        """A date in that year."""
        day, month = self.dice.between(1, 28), self.dice.between(1, 12)
        return date_text(day, month, self.year(age), month_first=self.month_first)

    def reaches_age(self, age: int) -> bool:
        """Whether the year at that age lies before the last one."""
        return self.born + age + self.shift < self.last_year

    def foreign(self) -> Country:
        """Some other country."""
        while True:
            country = self.dice.choice(self._lexicon.countries)
            if country is not self._home:
                return country

    def place(self, country: Country, *, named: bool) -> str:
        """A city, with its region or country when ``named`` (else now and then)."""
        city, region = self.dice.choice(country.cities)
        if not named and self.dice.chance(0.45):
            return city
        if region and country.weight >= 5 and self.dice.chance(0.85):
            return f"{city} , {region}"
        return f"{city} , {country.short_name}"

    def _foreign_club(self) -> str:
        self._country = self.foreign()
        try:
            return self._country.rules["club"].write(self)
        finally:
            self._country = self._home

    def _given(self, *, male: bool) -> str:
        names = self._culture.male if male else self._culture.female
        return self.dice.choice(names).latin[0 if male else 1]

    def _someone(self, *, male: bool, anywhere: float = 0.0) -> str:
        culture = self._culture
        if anywhere and self.dice.chance(anywhere):
            culture = self._lexicon.cultures[self.dice.choice(self.foreign().cultures)]
        return self._other_than_self(lambda: draw_name(self.dice, culture, male).title)

    def _other_than_self(self, draw: Callable[[], str]) -> str:
        own = self.values.get("name")
        name = draw()
        while name == own:
            name = draw()
        return name

    def _relative(self, *, male: bool) -> str:
        for name in self._culture.last:
            if self.values["last"] in name.latin:
                surname = name.latin[0 if male else 1]
                break
        else:
            surname = self.values["last"]
        joint = "{1} {0}" if self._culture.family_first else "{0} {1}"
        return self._other_than_self(lambda: joint.format(self._given(male=male), surname))

    def _the_games(self) -> str:
        season, _, event = self._games.partition(" ")
        if season not in _OLYMPICS:
            return f"{self.year(26)} {self._games}"
        known = _OLYMPICS[season].split()
        held = [
            (int(year), host.replace("_", " "))
            for year, host in zip(known[::2], known[1::2], strict=True)
            if _COMPETING_AGE[0] <= int(year) - self.born <= _COMPETING_AGE[1]
            and int(year) < self.last_year
            and (event == "olympics" or int(year) >= _PARALYMPICS_SINCE)
        ]
        if not held:
            event = self.dice.choice(("world championships", "european championships"))
            return f"{self.year(25)} {event}"
        year, host = self.dice.choice(held)
        games = f"{year} {season} {event}"
        return f"{games} in {host}" if self.dice.chance(0.3) else games

    def _the_war(self) -> str:
        fought = [
            name
            for start, end, name in _WARS
            if start - self.born <= _FIGHTING_AGE[1] and end - self.born >= _FIGHTING_AGE[0]
        ]
        return self.dice.choice(fought) if fought else f"border war of {self.year(27)}"

    def _the_party(self) -> str:
        party = self.slot("party", "")
        return party if _WITH_ARTICLE.isdisjoint(party.split()) else f"the {party}"

    def _the_height(self) -> str:
        centimetres = self.dice.between(172, 203) if self.male else self.dice.between(158, 187)
        if self.dice.chance(0.7):
            return f"{centimetres / 100:.2f} m"
        feet, inches = divmod(round(centimetres / 2.54), 12)
        return f"{feet} ft {inches} in"

    def _the_college(self) -> str:
        region = self.dice.choice(self._country.regions)
        city = self.dice.choice(self._country.cities)[0]
        return self.dice.choice(
            (f"the university of {region}", f"{region} state", f"{city} state", f"{city} college")
        )


_WITH_ARTICLE = {"party", "union", "front", "congress", "movement", "league", "democrats", "left"}
_LANGUAGES = ("french", "german", "russian", "arabic", "italian", "portuguese", "mandarin", "dutch")


def date_text(day: int, month: int, year: int, *, month_first: bool) -> str:
    """``26 july 1970`` or ``july 26 , 1970``."""
    name = MONTHS[month - 1]
    return f"{name} {day} , {year}" if month_first else f"{day} {name} {year}"
