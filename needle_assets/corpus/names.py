"""New names for people: who may be called what, and which words are more than a name.

Given and family names come from faker's lists, read once; another version of faker may give
other names. Where a name stands in a text does not belong here.
"""

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain
from typing import Any, Literal

from needle_assets.corpus.tables import CorpusError
from needle_assets.seeding import generator

Gender = Literal["male", "female", "neutral"]

_IN_USE = ("en_US", "en_GB")
_LOCALES = (*_IN_USE, "en_IE", "en_NZ")
_NEIGHBOURS = (
    *("da_DK", "de_CH", "de_DE", "es_ES", "fi_FI", "fr_BE", "fr_FR", "it_IT", "lv_LV", "nl_NL"),
    *("no_NO", "pl_PL", "pt_BR", "ro_RO", "sv_SE"),
)
_SHORTEST, _LONGEST = 3, 10
_ROUNDS = 4
_ATTEMPTS = 16


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for lists of words that are long to quote one by one."""
    return frozenset(text.split())


FUNCTION_WORDS = word_set(
    """
    a about after again against all also although always am among an and another any are around as
    at away be became because been before began being below between both but by came can could
    currently did do does down during each either ever every few first for former formerly from
    further get had has have having he her here hers herself him himself his how i if in including
    into is it its itself just last later least less many may me might more most much must my near
    never new next no nor not now of off often on once one only onto or other others our out over
    own part per same several shall she should since so some soon still such than that the their
    theirs them themselves then there these they this those though through throughout to together
    too toward towards under until up upon us very was we well were what when where whether which
    while who whom whose why will with within without would yet you your two three four five six
    seven eight nine ten second third fourth fifth
    """
)
"""Words of grammar: standing alone they are never a trace of somebody's name."""

_COMMON_NOUNS = word_set(
    """
    academy ace actor admiral air album anchor angel archer army arrow art arts ash association
    athlete attempt award awards back baker ball ballet band bank banks barber baron bass battle bay
    beach bear beard beast bell berry best big bird bishop blessed blood blues boat body bold bolt
    bond book books border born boss bow bowl bowler boxer boy branch brand brass brave bridge
    bright bronze brook brooks brother brothers buck bull bullet burns bush butcher cab cable cage
    camp cannon cap cape capital caps captain card cardinal care carpenter cart case cash cast
    castle cat catch catholic cave center centre chain chair champion champions chance chapel charm
    chase chess chief child children christ christian church city classic clay clean clerk cliff
    cloud club coach coast coffee coin cold college colonel comet comic common comrade cook cooper
    corner council count country county court cousin craft crane crash creek cricket crisis crisp
    cross crow crown cruel cruise crush cup cycle daily dale dance dark dart date daughter dawn day
    days dead deal dean dear death deep delta desert diamond director diver doctor doe dog draft
    draw dream drew driver driving drum drummer duke dusty dutch eagle earl early east eastern edge
    eight elder elite empire enemy english episode era eve extra fair faith falcon fame family fan
    farm farmer father feast fellow fiction field fields fighter film finch finger fire fish fisher
    flag fleet flood flower flowers fog folk fool foot football footballer forest fort fortune
    forward founder fox frank free french fresh friend friendly frog frost gain gallery game games
    garden gardener garnet gate gates gay general genie gentle german ghost giant gift goal
    goalkeeper gold golden good governor grace grade grand grant grass graves gray great green grey
    grove guard guardian guest guide guitar gun guy hail half hall hammer hand hands harbor harbour
    hare harmony haven hawk hawks hay head heart heat heaven heavy hero hidden hill hills hockey
    holder holiday holland hollow holy home honor honour hood hook hooker hope hopper horn horse
    host hotel house human hunger hunt hunter ice idol imperial indie infantry inn irish iron island
    ivory ivy jazz jet jets jewel job joker jordan joy judge juice jump junior justice keen keeper
    kent key kick kind king kingdom kings knife knight knights label labour lady lake lamb land lane
    lark laurel law lawless lawn lawyer leader leaf league legend lens lessons liberty light
    lightning linen liner link lion lions little live loan lock london lone long loose lord lords
    love lover low lucky lyric mace magic major male man manager manly marathon marble marine mark
    market marsh marshal marshall mason master masters match mate mayor meadow mean medal medic
    melody member men mercy metal mild mile military mill miller mine minister minor mint mirror
    mixed model money monk moon moor morning moss mother motor mount mountain mouth music musician
    myrtle mystery naked name national native navy neat nest net news nice night noble north
    northern novel novelist nugget nurse oak ocean office officer old olive opera oral orange order
    organ outlaw pace page painter palace palmer panther paper parish park parks parliament parson
    party passion pastor path patience patron peace peak pearl penny pepper period person piano pike
    piper pirate pitch pitcher place plain platform play player plum poet point polar pole polo pond
    pool poor pop pope porter post potter power powers prairie present president pretty price pride
    priest prime prince princess prior prize professor prophet proud province punk pupil purple
    queen quick quiet rabbit race racer radio raider rain rainbow ranger rangers rare ray rebel
    record red reed refuge region reign republic reverend rich rider ring ritual rival river rivers
    road robin rock rocket roman romans rookie rose rough round rover royal ruby rugby rule runner
    sack sage sailor saint saints salt sand satin savage scale scholar school scotch scots scout
    screen sea season secret seed seller senate senator senior sergeant series service shadow shark
    sharp shepherd sheriff shield shine ship shore short show silence silent silk silver sing singer
    single sister sisters skate skating ski slave sleep sleet slim slow small smart smoke smooth
    snake snow soccer soldier solo son song sorrow soul south southern spark sparks speaker spear
    spice spider spirit spot spring spy square squire stable stage stand star stars state states
    steady steel stern still stock stone storm story straight strange stream street strike striker
    strong studio style sugar summer sun super supreme swan sweet swift swimmer swing sword table
    tackle tailor talent tall tank target teacher team temple tempo tenor tent tester theater
    theatre thorn thunder tide tiger tin title toll tomb top torch tour tower town track trade trail
    train treasure treaty tree trial trinity triumph trophy true truth tune twin twins union unique
    united university unknown urban usher vale valentine valley van vessel vice victor victory
    viking village vine violet virgin vision voice wall war ward warden warrior waters weapon weaver
    wedding week weeks welsh west western whale wheel wheeler whip white wicked wild win wind wine
    wing winger winner winter wire wise wit wizard wolf wolves woman women wonder wood woods wool
    words work worker works world worth wrestler writer yard year years yellow young youth january
    february march april may june july august september october november december monday tuesday
    wednesday thursday friday saturday sunday
    """
)

_PEOPLES_AND_PLACES = word_set(
    """
    aberdeen adelaide africa african albanian algerian america american angeles arab argentine
    armenian asia asian aspen athens atlanta austin australian austrian barcelona bath belfast
    belgian berlin birmingham bolton bosnian boston bradford brazilian brisbane bristol british
    brooklyn buffalo bulgarian burnley cairo cambridge canadian canterbury cardiff caribbean
    carlisle charlotte chelsea chester chicago chilean chinese cleveland colombian columbia columbus
    cork coventry croatian cuban czech dallas danish delhi denver derby detroit dublin durham
    edinburgh egyptian england essex europe european everton exeter filipino finnish flemish
    florence francisco frankfurt geneva georgian ghanaian glasgow greek hamburg hollywood houston
    hull hungarian icelandic indian indonesian iranian iraqi israeli italian jamaican japanese
    jersey jewish kenyan kingston korean lancaster latin latvian lebanese leeds leicester lincoln
    lithuanian liverpool lyon macedonian madrid malaysian manchester melbourne memphis mexican miami
    milan montreal moroccan moscow munich naples newcastle nice nigerian norfolk northampton
    norwegian norwich nottingham oakland orlando oslo oxford pakistani paris persian perth peruvian
    philadelphia phoenix pittsburgh polish portland portuguese prague preston quebec reading
    richmond roman romanian rome russian salem scotland scottish seattle serbian sheffield slovak
    slovene slovenian spanish stafford stanford stockholm suffolk sunderland surrey sussex swansea
    swedish swiss sydney syrian thai tokyo toronto tunisian turin turkish ukrainian uruguayan
    venezuelan venice vienna vietnamese wales warsaw warwick washington wellington westminster
    windsor york yorkshire
    """
)


def _provider(kind: str, locale: str | None = None) -> Any:
    return import_module(".".join(filter(None, ("faker.providers", kind, locale)))).Provider


def _words(values: Iterable[str]) -> set[str]:
    return {word for value in values for word in re.findall(r"[a-z]+", value.lower())}


@cache
def ordinary_words() -> frozenset[str]:
    """Lower-case words that mean something besides a name, such as "king", "will", "georgia".

    From faker's lists of common words, professions, streets and places, with those added that
    biographies are full of. A person may bear one as a name, so they need a look at their context.
    """
    address = _provider("address", "en_US")
    places = chain(
        address.states,
        _provider("address", "en").countries,
        _provider("address", "en_CA").provinces,
    )
    # "georgia" is a place; "edward" is not one for the sake of prince edward island.
    men, women = _first_names(_LOCALES)
    return frozenset(
        chain(
            _words(_provider("lorem", "en_US").word_list),
            _words(_provider("job").jobs),
            _words(_provider("color").safe_colors),
            _words(address.street_suffixes),
            (
                word
                for place in places
                for word in _words([place])
                if " " not in place or word not in men | women
            ),
            FUNCTION_WORDS,
            _COMMON_NOUNS,
            _PEOPLES_AND_PLACES,
        )
    )


@cache
def _listed(attribute: str, locales: tuple[str, ...]) -> frozenset[str]:
    values = chain.from_iterable(
        getattr(_provider("person", locale), attribute) for locale in locales
    )
    return frozenset(value.lower() for value in values)


def _first_names(locales: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of men and of women; some stand in both."""
    return _listed("first_names_male", locales), _listed("first_names_female", locales)


@cache
def known_names() -> frozenset[str]:
    """Lower-case words that English speakers bear as names and that mean little else."""
    everywhere = (*_LOCALES, "en")
    listed = (*_first_names(everywhere), _listed("last_names", everywhere))
    return frozenset(chain.from_iterable(listed)) - ordinary_words()


def _usable(names: Iterable[str]) -> list[str]:
    ordinary = ordinary_words()
    return sorted(
        name
        for name in names
        if name.isascii()
        and name.isalpha()
        and _SHORTEST <= len(name) <= _LONGEST
        and name not in ordinary
    )


@cache
def given_names(gender: Gender) -> tuple[str, ...]:
    """Given names of one gender, lower case, sorted; the three genders share none.

    Names in use in the United States and Great Britain count as male or female only where nobody
    of the other gender bears them, neither in faker's long historical list of English names nor in
    other English-speaking and neighbouring countries. Names that both genders bear are neutral,
    unless one of all those countries gives them to one gender alone.
    """
    men, women = _first_names(_IN_USE)
    men_in_english, women_in_english = _first_names(_LOCALES)
    men_ever, women_ever = _first_names((*_LOCALES, "en"))
    men_abroad, women_abroad = _first_names(_NEIGHBOURS)
    if gender == "male":
        return tuple(_usable(men - women_ever - women_abroad))
    if gender == "female":
        return tuple(_usable(women - men_ever - men_abroad))
    one_sided = (men_in_english ^ women_in_english) | (men_abroad ^ women_abroad)
    historical = (men_ever & women_ever) - (men_in_english | women_in_english) - one_sided
    return tuple(_usable((men & women) | historical))


@cache
def family_names() -> tuple[str, ...]:
    """Family names, lower case, sorted; none of them is a given name or an ordinary word."""
    men, women = _first_names(_LOCALES)
    families = _listed("last_names", (*_LOCALES, "en"))
    return tuple(_usable(families - men - women - {*given_names("neutral")}))


@dataclass(frozen=True, slots=True)
class NewName:
    """A name in lower case. ``middle`` is empty unless a name of two words did not do."""

    given: str
    middle: str
    family: str

    @property
    def full(self) -> str:
        """The whole name, two or three words."""
        return " ".join(filter(None, (self.given, self.middle, self.family)))


class NamePool:
    """Names for the rows of a corpus: no two rows get the same one, whatever their order.

    Each (given, family) pair has a number; a row's number is shuffled into a pair by a Feistel
    network over given x family names, a bijection (Black and Rogaway 2002, "Ciphers with
    arbitrary finite domains"). So names are unique by construction, without a table of those
    already taken. Rows past the number of pairs, and rows whose pair does not fit their text,
    get a middle name that tells them from every other row with that pair.
    """

    def __init__(self, seed: int) -> None:
        """Prepare the shuffles of one seed (some thousand random numbers)."""
        # Shuffled, so that a row's next candidate is no neighbour in the alphabet.
        families = family_names()
        order = generator(seed, "new names", "families").permutation(len(families))
        self._families = [families[i] for i in order]
        self._given: dict[Gender, list[str]] = {}
        self._rounds: dict[Gender, list[list[int]]] = {}
        genders: tuple[Gender, ...] = ("male", "female", "neutral")
        for gender in genders:
            given = given_names(gender)
            rng = generator(seed, "new names", gender)
            self._given[gender] = [given[i] for i in rng.permutation(len(given))]
            sizes = (len(given), len(families))
            self._rounds[gender] = [
                rng.integers(sizes[r % 2], size=sizes[1 - r % 2]).tolist() for r in range(_ROUNDS)
            ]

    def pairs(self, gender: Gender) -> int:
        """How many names of two words there are."""
        return len(self._given[gender]) * len(self._families)

    def capacity(self, gender: Gender) -> int:
        """How many rows can be named at all."""
        return self.pairs(gender) * (len(self._given[gender]) // _ATTEMPTS)

    def draw(self, row: int, gender: Gender, forbidden: Set[str] = frozenset()) -> NewName | None:
        """The name of a row, none of whose words is forbidden.

        Args:
            row: the row's number in the corpus, from 0. Different rows get different names,
                whatever their genders.
            gender: decides the list of given names.
            forbidden: lower-case words that the name must not contain: the old name's words and
                those of the text.

        Returns:
            The name, or None where all 16 candidates contain a forbidden word.

        Raises:
            CorpusError: the row is beyond the names there are (some millions).
        """
        given, families = self._given[gender], self._families
        lap, number = divmod(row, self.pairs(gender))
        if (lap + 1) * _ATTEMPTS > len(given):
            raise CorpusError(
                f"row {row:,}: there are {gender} names for {self.capacity(gender):,} rows only; "
                "split the corpus"
            )
        left, right = self._shuffled(number, gender)
        # Candidate k of all rows is the same bijection shifted, so (lap, k) tells the rows apart
        # that come to share a pair; for a given pair the middle name is one-to-one with (lap, k).
        for attempt in range(_ATTEMPTS):
            i = (left + attempt * 7) % len(given)
            j = (right + attempt * 13) % len(families)
            middle = ""
            if lap or attempt:
                middle = given[(i + j + lap * _ATTEMPTS + attempt) % len(given)]
            name = NewName(given[i], middle, families[j])
            if (
                name.given not in forbidden
                and name.family not in forbidden
                and middle not in forbidden
                and middle != name.given
            ):
                return name
        return None

    def _shuffled(self, number: int, gender: Gender) -> tuple[int, int]:
        sizes = (len(self._given[gender]), len(self._families))
        halves = list(divmod(number, sizes[1]))
        for r, table in enumerate(self._rounds[gender]):
            side = r % 2
            halves[side] = (halves[side] + table[halves[1 - side]]) % sizes[side]
        return halves[0], halves[1]
