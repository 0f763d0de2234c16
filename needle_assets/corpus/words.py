"""Words that mean something besides a name, and names that mean little else.

From faker's lists, read once, and from `ordinary_words.txt`: words that a language model's
vocabulary holds in lower case, and that occur in biographies or are frequent in a spelling
checker's list of English; faker's names left out but for those that mean something too, chosen by
hand. New names for people (`names`), and where a name stands in a text, do not belong here.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module, resources
from itertools import chain
from typing import Any

IN_USE = ("en_US", "en_GB")
ENGLISH = (*IN_USE, "en_IE", "en_NZ")
EVER = (*ENGLISH, "en")
"""Places whose lists of names faker has: today's, all in English, and with its historical list."""


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
    alexandria blackburn britain dakota devon erie hamilton hawthorn olympia sierra sofia
    venezuelan venice vienna vietnamese victoria wales warsaw warwick washington wellington
    westminster windsor york yorkshire
    alicante aragon bilbao braga burgos cadiz coimbra cordoba galicia granada guimaraes lima murcia
    palma porto salamanca santos segovia seville toledo valencia zaragoza
    """
)


def _provider(kind: str, locale: str | None = None) -> Any:
    return import_module(".".join(filter(None, ("faker.providers", kind, locale)))).Provider


def _words(values: Iterable[str]) -> set[str]:
    return {word for value in values for word in re.findall(r"[a-z]+", value.lower())}


def _frequent_words() -> frozenset[str]:
    """English words besides names, one long line folded: see the head of this module."""
    return word_set(resources.files(__package__).joinpath("ordinary_words.txt").read_text("utf-8"))


def _states_and_countries() -> Iterable[str]:
    return chain(
        _provider("address", "en_US").states,
        _provider("address", "en").countries,
        _provider("address", "en_CA").provinces,
    )


@cache
def words_after_towns() -> frozenset[str]:
    """First words of states and countries, as they stand behind a town and a comma."""
    firsts = (place.lower().split()[0] for place in _states_and_countries())
    return frozenset(firsts) - FUNCTION_WORDS | {"england", "scotland", "wales", "u.s.", "usa"}


@cache
def ordinary_words() -> frozenset[str]:
    """Lower-case words that mean something besides a name, such as "king", "will", "georgia".

    From faker's lists of common words, professions, streets and places, with those added that
    biographies are full of. A person may bear one as a name, so they need a look at their context.
    """
    # "georgia" is a place; "edward" is not one for the sake of prince edward island.
    men, women = first_names(ENGLISH)
    return frozenset(
        chain(
            _words(_provider("lorem", "en_US").word_list),
            _words(_provider("job").jobs),
            _words(_provider("color").safe_colors),
            _words(_provider("address", "en_US").street_suffixes),
            (
                word
                for place in _states_and_countries()
                for word in _words([place])
                if " " not in place or word not in men | women
            ),
            FUNCTION_WORDS,
            _frequent_words(),
            _PEOPLES_AND_PLACES,
        )
    )


@cache
def listed_names(attribute: str, locales: tuple[str, ...]) -> frozenset[str]:
    """One of faker's lists, such as "last_names", of some places together, lower case."""
    values = chain.from_iterable(
        getattr(_provider("person", locale), attribute) for locale in locales
    )
    return frozenset(value.lower() for value in values)


def first_names(locales: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of men and of women; some stand in both."""
    return listed_names("first_names_male", locales), listed_names("first_names_female", locales)


@cache
def borne_names() -> frozenset[str]:
    """Lower-case words that English speakers bear as names, whatever else they mean."""
    listed = (*first_names(EVER), listed_names("last_names", EVER))
    return frozenset(chain.from_iterable(listed))


@cache
def known_names() -> frozenset[str]:
    """Lower-case words that English speakers bear as names and that mean little else."""
    return borne_names() - ordinary_words()
