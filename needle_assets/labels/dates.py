"""Dates of birth and death in the text of a biography, in every form that occurs there.

Knows calendar dates and the words that say whose they are; nothing else of the person.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from needle_assets.labels.biography import NO_DATE, PartialDate, on_calendar

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBER = {month: number for number, month in enumerate(_MONTHS, 1)}

_DAY = r"[0-3]?\d(?:\s?(?:(?:st|nd|rd|th)\b|\.))?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
# Brackets name years of three digits too ("960 -- 1010"); elsewhere three digits are a number.
_YEAR = r"(?:1\d{3}|20\d\d)(?!\d)"
_EARLY_YEAR = r"(?:[1-9]\d\d|1\d{3}|20\d\d)(?!\d)"

_DATE_FORMS = r"""
    (?<![\w./-])(?:
        (?P<one>\d\d?)(?P<mark>[/.-])(?P<other>\d\d?)(?P=mark)(?P<y7>\d{{4}})(?!\d)
      | (?P<d1>{day})(?:\s?[/\u2013-]\s?\d\d?)?\s+(?:of\s+)?(?P<m1>{month})
        (?:\s*,?\s*(?P<y1>{year}))?
      | (?P<m2>{month})\s*(?P<d2>{day})(?!\d)(?:\s?[/\u2013-]\s?\d\d?(?!\d))?
        (?:\s*,?\s*(?P<y2>{year}))?
      | (?P<m3>{month})\s*(?:of\s+|,\s*)?(?P<y3>{year})
      | (?P<y4>\d{{4}})[-/](?P<n4>[01]\d)[-/](?P<d4>[0-3]\d)(?!\d)
      | (?P<y8>\d{{1,3}})\s+(?:ad|a\.d\.|ce)(?![\w.]) | (?:ad|a\.d\.)\s+(?P<y9>\d{{1,3}})(?!\d)
      | (?P<y6>{year})\s*,\s*(?P<m6>{month})\s*(?P<d6>[0-3]?\d)(?!\d|\s*,?\s*\d{{4}})
      | (?P<y5>{alone})(?!s\b|\s+s\b)
    )(?P<bc>\s*(?:bc\b|b\.c\.|bce\b))?
"""


def _pattern(year: str, alone: str) -> re.Pattern[str]:
    forms = _DATE_FORMS.format(day=_DAY, month=_MONTH, year=year, alone=alone)
    return re.compile(forms, re.VERBOSE)


_BRACKET_DATE = _pattern(_EARLY_YEAR, _YEAR + r"|[1-9]\d\d(?=\s+(?:--|-)\s|\s*$|[-/][1-9]\d\d\s)")
_TEXT_DATE = _pattern(_YEAR, _YEAR)

# The corpus writes "-lsb- ... ]" too.
_EDITORIAL = re.compile(r"-lsb-.*?(?:-rsb-|\])|\[[^\]]*\]|\([^()]*\)")
# "595-690 ah , 1199 -- 1291 ce": the years of another calendar stand beside ours.
_OTHER_CALENDAR = re.compile(
    r"(?<![\w.])\d{1,4}(?:\s?(?:--|[-/\u2013])\s?\d{1,4})?\s+(?:ah|a\.h\.|hijri|bs)(?![\w.])"
)
# "c. 12 -- 44": years of two digits, where a bracket holds nothing else.
_ANCIENT = re.compile(
    r"(?:born )?(?:(?:c\.|ca\.|circa|ad) )?(\d{2,3})(?: (?:ad|ce))?"
    r" (?:--|[-\u2013\u2014]) (?:died )?(?:(?:c\.|ca\.|circa|ad) )?(\d{2,3})(?: (?:ad|ce))?"
)
_SHORT_RANGE = re.compile(
    r"(?<![\d-])((?:1\d|20)\d\d)\s*(?:--|[-\u2013\u2014])\s*(\d\d)(?=\s*(?:$|[;,)]))"
)
# "1591-1642", "canada-died 1937" and, with the dash lost, "1756january 22", "18358 november 1917".
_TIGHT_YEARS = re.compile(r"(?<=\d{4})\s*(?:--|[-\u2013\u2014])\s*(?=\d{3,4}(?!\d))")
_TIGHT_RANGE = re.compile(
    r"(?<=\w)-(?=died\b|" + _MONTH + r")"
    r"|(?<=(?<!\d)\d{4})(?=" + _MONTH + r"|[0-3]?\d\s+" + _MONTH + r")"
)
# "1300-1310 -- 1378": beside a dash between spaces, a tight one is within one date.
_TIGHT_WORD = re.compile(r"(?<![\w.])(b|d|c|ca)\.(?=\d)")
_SPACED_RANGE = re.compile(r"\s(?:--|[-\u2013\u2014])\s")
_RANGE = re.compile(
    r"(?:^|(?<=[\s\d?.]))(?:--|[-\u2013\u2014])(?=[\s\d?]|$|c\.|d\.|died)|(?<=\d\s)(?:to|until)(?=\s)"
)
_NOT_A_LIFE = re.compile(
    r"(?<![\w.])(?:fl\s?\.?|floruit|flourished|active|reign(?:ed)?|r\.|ruled|in office|"
    r"elected|served|mp|pope|married|m\.)\s[^;,]*"
)
_BIRTH_WORD = re.compile(r"(?<![\w-])(?:born|b\.|birth|baptised|baptized|bapt?\.|christened)(?!\w)")
_DEATH_WORD = re.compile(
    r"(?<![\w-])(?:died|dead|d\.|death|killed|murdered|executed|deceased)(?!\w)|†"
)

# What may stand between "born" and its date: no other deed of the person.
_GAP = (
    r"(?:(?:at the age of|aged|at age) \d{1,3}\b|"
    r"(?!\b(?:(?!united)(?<!of )\w+ed|or|who|where|when|grew|began|"
    r"came|went|made|became|left|won|took|"
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
    r"(?:was )?found dead|perished|succumbed to|lost (?:his|her) life|"
    r"(?:his|her) (?:sudden |untimely )?death"
    r"|was (?:\w+ly )?(?:killed|murdered|executed|assassinated|hanged|beheaded|shot dead))\b"
    + _GAP
    + r"(?=\b(?:[0-3]?\d|"
    + _MONTH
    + "))"
)
_RELATIVE = re.compile(
    r"\b(?:father|mother|parents|son|sons|daughter|daughters|brother|brothers|sister|sisters|wife"
    r"|husband|child|children|uncle|aunt|cousin|nephew|grand\w+|family|couple|partner|widow"
    r"|spouse|consort|another)\b"
)


# "he married anne , born 3 may 1950": his wife.
_WEDDED = re.compile(r"\b(?:married|marrying|wed)\b.*,\s*$")
# "the son of a farmer , he was born on 3 may 1950": the person again.
_AGAIN = re.compile(
    r", (?!(?:and|who|his|her)\b|\S+ (?:"
    r"father|mother|son|daughter|brother|sister|wife|husband|child)\b)[\w'.-]+(?: [\w'.-]+)? was $"
)


# Four of five brackets are as plain as this, and are read in a quarter of the time.
_PLAIN_MONTH = (
    "(january|february|march|april|may|june|july|august|september|october|november|december)"
)
_PLAIN_DATE = rf"(?:(?:(\d\d?) {_PLAIN_MONTH}|{_PLAIN_MONTH} (\d\d?) ,) )?((?:1\d|20)\d\d)"
_PLAIN = re.compile(
    rf"(?:; |, )*(?:born |b\. )?{_PLAIN_DATE}(?: (?:in|,) [a-z\u00c0-\u024f ,'.]+?)?"
    rf"(?: --? {_PLAIN_DATE})?"
)

_LONGEST_BRACKET = 1500
"""Characters; names in several scripts stand before the dates, tales after them."""

_LONGEST_VALUE = 300
"""Characters of an infobox's value that are read; dates stand first."""

# "1968 8 25", "1970|3|31", "31 3 1970", "31.3.1970".
_NUMBERS = re.compile(
    r"(?<![\w.])(?:(?P<y1>\d{4})[\s|/.-]{1,3}(?P<m1>\d\d?)[\s|/.-]{1,3}(?P<d1>\d\d?)"
    r"|(?P<one>\d\d?)[\s|/.-]{1,3}(?P<other>\d\d?)[\s|/.-]{1,3}(?P<y2>\d{4}))(?!\d)"
)
# "after 1922" is when somebody was still alive.
_OPEN_ENDED = re.compile(
    r"\b(?:before|after|ante|post|bef\.|aft\.|not (?:before|after|later than)|no later than)\s+"
    r"(?:\w+\s){0,2}?(?=" + _EARLY_YEAR + r")" + _EARLY_YEAR + r"(?:\s?/\s?\d+)?"
)


class Life(NamedTuple):
    """When a person was born and died; a part that is not stated is 0."""

    birth: PartialDate
    death: PartialDate


NO_LIFE = Life(NO_DATE, NO_DATE)
"""Neither date is stated."""

SecondOpinion = Callable[[], Life]
"""The dates that another source gives; asked only where a text leaves a choice."""


def no_opinion() -> Life:
    """The second opinion of no source."""
    return NO_LIFE


_DIGIT = re.compile(r"\d")
_SHE = re.compile(r"\b(?:she|her)\b")
_HE = re.compile(r"\b(?:he|his|him)\b")


class _Found(NamedTuple):
    start: int
    end: int
    date: PartialDate


def in_bracket(bracket: str, opinion: SecondOpinion = no_opinion) -> Life:
    """Dates in the bracket after the name: "( born july 26 , 1970 )", "( 1850 -- 3 may 1921 )".

    A date alone is the birth, since living people are written so; after a dash it is the death.
    Years before Christ, of office and of reign are left out. Of "3/4/1950" the day is the one
    of ``opinion``; without it only the year is stated.
    """
    text = bracket[:_LONGEST_BRACKET]
    plain = _PLAIN.fullmatch(text)
    if plain:
        birth, death = _of_plain(*plain.groups()[:5]), _of_plain(*plain.groups()[5:])
        return NO_LIFE if birth is NO_DATE and death is NO_DATE else Life(birth, death)
    if not _DIGIT.search(text):
        return NO_LIFE
    if "(" in text or "[" in text or "-lsb-" in text:
        text = _EDITORIAL.sub(" ", _EDITORIAL.sub(" ", text))
    if ancient := _ANCIENT.fullmatch(text):
        first, last = int(ancient[1]), int(ancient[2])
        return Life(PartialDate(year=first), PartialDate(year=last)) if first < last else NO_LIFE
    text = _OPEN_ENDED.sub(" ", _NOT_A_LIFE.sub(" ", _OTHER_CALENDAR.sub(" ", text)))
    text = _SHORT_RANGE.sub(_full_years, text)
    if not _SPACED_RANGE.search(text):
        text = _TIGHT_YEARS.sub(" -- ", text)
    text = _TIGHT_WORD.sub(r"\1. ", _TIGHT_RANGE.sub(" -- ", text))
    found = _dates(text, _BRACKET_DATE, opinion)
    if not found:
        return NO_LIFE
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


def in_value(value: str) -> PartialDate:
    """The first date of an infobox's value: "16 august 1985", "1968 8 25 y", "1970|3|31".

    A day that no calendar has makes the whole date not stated, as in a text; so does "before
    1500". Of "3 4 1970" only the year is sure.
    """
    value = _EDITORIAL.sub(" ", value[:_LONGEST_VALUE])
    numbers = _NUMBERS.search(value)
    if numbers:
        return _in_numbers(numbers)
    match = _BRACKET_DATE.search(_OPEN_ENDED.sub(" ", value))
    return _read(match) if match else NO_DATE


def says_whose(bracket: str) -> bool:
    """Whether a bracket has dates and says that they are of a birth or a death."""
    return _DIGIT.search(bracket) is not None and (
        _BIRTH_WORD.search(bracket) is not None or _DEATH_WORD.search(bracket) is not None
    )


def in_sentence(sentence: str, opinion: SecondOpinion = no_opinion) -> Life:
    """Dates that a sentence about the person states: "he was born in kiev on 3 may 1950".

    Births and deaths of relatives are left out. ``opinion`` is as in `in_bracket`.
    """
    if not _DIGIT.search(sentence):
        return NO_LIFE
    birth = death = NO_DATE
    if "born" in sentence or "bapti" in sentence or "christened" in sentence:
        birth = _after(_WAS_BORN, sentence, opinion)
    if _speaks_of_death(sentence):
        death = _after(_HAS_DIED, sentence, opinion)
    if birth is NO_DATE and death is NO_DATE:
        return NO_LIFE
    return Life(birth, death)


def _speaks_of_death(sentence: str) -> bool:
    # Most sentences have none of these, and a search for letters is ten times as fast.
    return (
        "died" in sentence
        or "death" in sentence
        or "killed" in sentence
        or "passed away" in sentence
        or "drowned" in sentence
        or "found dead" in sentence
        or "perished" in sentence
        or "succumbed" in sentence
        or "lost h" in sentence
        or "suicide" in sentence
        or "murdered" in sentence
        or "executed" in sentence
        or "assassinated" in sentence
        or "hanged" in sentence
        or "beheaded" in sentence
        or "shot dead" in sentence
    )


def _after(marker: re.Pattern[str], sentence: str, opinion: SecondOpinion) -> PartialDate:
    for match in marker.finditer(sentence):
        before = sentence[: match.start()]
        if (_RELATIVE.search(before) or _WEDDED.search(before)) and not _AGAIN.search(before):
            return NO_DATE
        # "she was queen from 1978 until his death in 1999": another person's.
        other = _SHE if match[0].startswith("his ") else _HE
        if match[0].startswith(("his ", "her ")) and other.search(sentence, 0, match.start()):
            continue
        date = _TEXT_DATE.match(sentence, match.end())
        if date:
            return _read(date, opinion)
    return NO_DATE


def _dates(text: str, pattern: re.Pattern[str], opinion: SecondOpinion) -> list[_Found]:
    return [
        _Found(match.start(), match.end(), date)
        for match in pattern.finditer(text)
        if (date := _read(match, opinion)) is not NO_DATE
    ]


def _read(match: re.Match[str], opinion: SecondOpinion = no_opinion) -> PartialDate:
    # The groups of `_DATE_FORMS`, in its order.
    (one, _, other, y7, d1, m1, y1, m2, d2, y2, m3, y3, y4, n4, d4, y8, y9, y6, m6, d6, y5, bc) = (
        match.groups()
    )
    if bc:
        return NO_DATE
    if y7:
        return _in_either_order(int(one), int(other), int(y7), opinion)
    day, month = d1 or d2 or d4 or d6, m1 or m2 or m3 or m6
    year = y1 or y2 or y3 or y4 or y5 or y6 or y8 or y9
    date = PartialDate(
        day=int(day.rstrip("stndrh. ")) if day else 0,
        month=_NUMBER[month[:3]] if month else int(n4 or 0),
        year=int(year or 0),
    )
    return date if on_calendar(date) else NO_DATE


def _of_plain(
    d1: str | None, m1: str | None, m2: str | None, d2: str | None, year: str | None
) -> PartialDate:
    if not year:
        return NO_DATE
    day, month = d1 or d2, m1 or m2
    if not (day and month):
        return PartialDate(year=int(year))
    date = PartialDate(day=int(day), month=_NUMBER[month[:3]], year=int(year))
    return date if on_calendar(date) else NO_DATE


def _in_either_order(one: int, other: int, year: int, opinion: SecondOpinion) -> PartialDate:
    """The date of "3/4/1950", day or month first: both where only one is on the calendar."""
    orders = [
        date
        for day, month in dict.fromkeys([(one, other), (other, one)])
        if day and month and on_calendar(date := PartialDate(day=day, month=month, year=year))
    ]
    if len(orders) < 2:
        return orders[0] if orders else NO_DATE
    return next((date for date in orders if date in opinion()), PartialDate(year=year))


def _in_numbers(match: re.Match[str]) -> PartialDate:
    if match["y2"]:
        return _in_either_order(
            int(match["one"]), int(match["other"]), int(match["y2"]), no_opinion
        )
    date = PartialDate(day=int(match["d1"]), month=int(match["m1"]), year=int(match["y1"]))
    return date if on_calendar(date) else NO_DATE


def _full_years(match: re.Match[str]) -> str:
    first, last = int(match[1]), int(match[2])
    # "born 1950-51": in one of the two years, of which the first is taken.
    if last == (first + 1) % 100:
        return f"{first} "
    century = first // 100 + (last < first % 100)
    return f"{first} -- {century}{last:02d}"
