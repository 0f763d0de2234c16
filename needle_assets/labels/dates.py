"""Dates of birth and death in the text of a biography, in every form that occurs there.

Knows calendar dates and the words that say whose they are; nothing else of the person.
"""

import re
from typing import NamedTuple

from needle_assets.labels.biography import NO_DATE, PartialDate, on_calendar

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBER = {month: number for number, month in enumerate(_MONTHS, 1)}

_DAY = r"[0-3]?\d(?:\s?(?:st|nd|rd|th)\b)?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
# Brackets name years of three digits too ("960 -- 1010"); elsewhere three digits are a number.
_YEAR = r"(?:1\d{3}|20\d\d)(?!\d)"
_EARLY_YEAR = r"(?:[1-9]\d\d|1\d{3}|20\d\d)(?!\d)"

_DATE_FORMS = r"""
    (?<![\w./-])(?:
        (?P<d1>{day})(?:\s?[/\u2013-]\s?\d\d?)?\s+(?:of\s+)?(?P<m1>{month})(?:\s*,?\s*(?P<y1>{year}))?
      | (?P<m2>{month})\s*(?P<d2>{day})(?!\d)(?:\s?[/\u2013-]\s?\d\d?(?!\d))?
        (?:\s*,?\s*(?P<y2>{year}))?
      | (?P<m3>{month})\s*(?:of\s+|,\s*)?(?P<y3>{year})
      | (?P<y4>\d{{4}})-(?P<n4>[01]\d)-(?P<d4>[0-3]\d)(?!\d)
      | (?P<y6>{year})\s*,\s*(?P<m6>{month})\s*(?P<d6>[0-3]?\d)(?!\d|\s*,?\s*\d{{4}})
      | (?P<y5>{alone})(?!s\b|\s+s\b)
    )(?P<bc>\s*(?:bc\b|b\.c\.|bce\b))?
"""


def _pattern(year: str, alone: str) -> re.Pattern[str]:
    forms = _DATE_FORMS.format(day=_DAY, month=_MONTH, year=year, alone=alone)
    return re.compile(forms, re.VERBOSE)


_BRACKET_DATE = _pattern(_EARLY_YEAR, _YEAR + r"|[1-9]\d\d(?=\s+(?:--|-)\s|\s*$)")
_TEXT_DATE = _pattern(_YEAR, _YEAR)

_EDITORIAL = re.compile(r"-lsb-.*?-rsb-|\[[^\]]*\]|\([^()]*\)")
_SHORT_RANGE = re.compile(
    r"(?<![\d-])((?:1\d|20)\d\d)\s*(?:--|[-\u2013\u2014])\s*(\d\d)(?=\s*(?:$|[;,)]))"
)
# "1591-1642", "canada-died 1937" and, with the dash lost, "1756january 22", "18358 november 1917".
_TIGHT_RANGE = re.compile(
    r"(?<=\d{4})\s*(?:--|[-\u2013\u2014])\s*(?=\d{3,4}(?!\d))|(?<=\w)-(?=died\b|" + _MONTH + r")"
    r"|(?<=(?<!\d)\d{4})(?=" + _MONTH + r"|[0-3]?\d\s+" + _MONTH + r")"
)
_RANGE = re.compile(
    r"(?:^|(?<=[\s\d?.]))(?:--|[-\u2013\u2014])(?=[\s\d?]|$|c\.|d\.|died)|(?<=\d\s)(?:to|until)(?=\s)"
)
_NOT_A_LIFE = re.compile(
    r"(?<![\w.])(?:fl\s?\.?|floruit|flourished|active|reign(?:ed)?|r\.|ruled|in office|married|m\.)"
    r"\s[^;,]*"
)
_BIRTH_WORD = re.compile(r"(?<![\w-])(?:born|b\.|birth|baptised|baptized|bapt?\.|christened)(?!\w)")
_DEATH_WORD = re.compile(r"(?<![\w-])(?:died|d\.|death|killed|murdered|executed|deceased)(?!\w)|†")

# What may stand between "born" and its date: no other deed of the person.
_GAP = (
    r"(?:(?!\b(?:(?!united)\w+ed|or|who|where|when|grew|began|came|went|made|became|left|won|took|"
    r"after|before|age)\b)[^;()]){0,90}?"
)
_WAS_BORN = re.compile(
    r"(?:(?<![\w-])born|\bwas (?:baptised|baptized|christened))\b"
    + _GAP
    + r"(?=\b(?:[0-3]?\d|"
    + _MONTH
    + "))"
)
_HAS_DIED = re.compile(
    r"\b(?:died|passed away|(?:he|she|who|and) drowned|committed suicide|"
    r"(?:his|her) (?:sudden |untimely )?death"
    r"|was (?:\w+ly )?(?:killed|murdered|executed|assassinated|hanged|beheaded|shot dead))\b"
    + _GAP
    + r"(?=\b(?:[0-3]?\d|"
    + _MONTH
    + "))"
)
_RELATIVE = re.compile(
    r"\b(?:father|mother|parents|son|sons|daughter|daughters|brother|brothers|sister|sisters|wife"
    r"|husband|child|children|uncle|aunt|cousin|nephew|grand\w+|family|couple|partner|widow)\b"
)


class Life(NamedTuple):
    """When a person was born and died; a part that is not stated is 0."""

    birth: PartialDate
    death: PartialDate


class _Found(NamedTuple):
    start: int
    end: int
    date: PartialDate


def in_bracket(bracket: str) -> Life:
    """Dates in the bracket after the name: "( born july 26 , 1970 )", "( 1850 -- 3 may 1921 )".

    A date alone is the birth, since living people are written so; after a dash it is the death.
    Years before Christ, of office and of reign are left out.
    """
    text = _EDITORIAL.sub(" ", _EDITORIAL.sub(" ", bracket))
    text = _SHORT_RANGE.sub(_full_years, _NOT_A_LIFE.sub(" ", text))
    text = _TIGHT_RANGE.sub(" -- ", text)
    found = _dates(text, _BRACKET_DATE)
    if not found:
        return Life(NO_DATE, NO_DATE)
    death_word = _DEATH_WORD.search(text)
    # A dash within a date ("1970-07-26", "12/13 may") parts nothing.
    dash = next(
        (
            match.start()
            for match in _RANGE.finditer(text)
            if not any(item.start < match.start() < item.end for item in found)
        ),
        None,
    )
    border = death_word.start() if death_word else dash
    if border is None:
        if len(found) > 1 and not _BIRTH_WORD.search(text) and found[1].date.day:
            return Life(found[0].date, found[1].date)
        return Life(found[0].date, NO_DATE)
    before = [item.date for item in found if item.start < border]
    after = [item.date for item in found if item.start >= border]
    if not before and not death_word and _BIRTH_WORD.search(text, border):
        before, after = after[:1], after[1:]
    return Life(before[0] if before else NO_DATE, after[0] if after else NO_DATE)


def in_sentence(sentence: str) -> Life:
    """Dates that a sentence about the person states: "he was born in kiev on 3 may 1950".

    Births and deaths of relatives are left out.
    """
    return Life(_after(_WAS_BORN, sentence), _after(_HAS_DIED, sentence))


def _after(marker: re.Pattern[str], sentence: str) -> PartialDate:
    for match in marker.finditer(sentence):
        if _RELATIVE.search(sentence, 0, match.start()):
            return NO_DATE
        date = _TEXT_DATE.match(sentence, match.end())
        if date:
            return _read(date)
    return NO_DATE


def _dates(text: str, pattern: re.Pattern[str]) -> list[_Found]:
    return [
        _Found(match.start(), match.end(), date)
        for match in pattern.finditer(text)
        if (date := _read(match)) is not NO_DATE
    ]


def _read(match: re.Match[str]) -> PartialDate:
    if match["bc"]:
        return NO_DATE
    groups = match.groupdict()
    day = groups["d1"] or groups["d2"] or groups["d4"] or groups["d6"]
    month = groups["m1"] or groups["m2"] or groups["m3"] or groups["m6"]
    year = next((groups[f"y{form}"] for form in range(1, 7) if groups[f"y{form}"]), None)
    date = PartialDate(
        day=int(re.match(r"\d+", day).group()) if day else 0,  # type: ignore[union-attr]
        month=_NUMBER[month[:3]] if month else int(groups["n4"] or 0),
        year=int(year or 0),
    )
    return date if on_calendar(date) else NO_DATE


def _full_years(match: re.Match[str]) -> str:
    first, last = int(match[1]), int(match[2])
    century = first // 100 + (last < first % 100)
    return f"{first} -- {century}{last:02d}"
