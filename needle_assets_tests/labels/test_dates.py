"""Every written form of a date of birth or death, read by hand beforehand."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.labels.biography import NO_DATE, PartialDate
from needle_assets.labels.dates import Life, in_bracket, in_sentence

NONE = (0, 0, 0)


def _numbers(date: PartialDate) -> tuple[int, int, int]:
    return date.day, date.month, date.year


@pytest.mark.parametrize(
    ("bracket", "birth", "death"),
    [
        ("born july 26 , 1970", (26, 7, 1970), NONE),
        ("born 26 july 1970 in bordeaux", (26, 7, 1970), NONE),
        ("born 26th of july 1970", (26, 7, 1970), NONE),
        ("born sept. 3 , 1970", (3, 9, 1970), NONE),
        ("born 1970-07-26", (26, 7, 1970), NONE),
        ("born 24 . september 1988 in vienna", (24, 9, 1988), NONE),
        # Only one order is on the calendar; of both, without a second opinion, neither is taken.
        ("born 02/19/1950", (19, 2, 1950), NONE),
        ("born 19.02.1950", (19, 2, 1950), NONE),
        ("born 3/4/1950", (0, 0, 1950), NONE),
        ("born 31 february 1950", NONE, NONE),
        ("31 april 1850 -- 3 may 1921", NONE, (3, 5, 1921)),
        ("born 1969 , august 26", (26, 8, 1969), NONE),
        ("b. july 1970", (0, 7, 1970), NONE),
        ("born 14 september", (14, 9, 0), NONE),
        ("born 1970", (0, 0, 1970), NONE),
        ("march 2 , 1985", (2, 3, 1985), NONE),
        ("24 may 1913 -- 18 september 1993", (24, 5, 1913), (18, 9, 1993)),
        ("august 14 , 1865 - december 11 , 1941", (14, 8, 1865), (11, 12, 1941)),
        ("1883 -- 3 june 1912", (0, 0, 1883), (3, 6, 1912)),
        ("1850\u20131921", (0, 0, 1850), (0, 0, 1921)),
        ("1591-1642", (0, 0, 1591), (0, 0, 1642)),
        ("1300-1310 -- 1378", (0, 0, 1300), (0, 0, 1378)),
        # A bound is no date.
        ("c. 1085 -- after 1154", (0, 0, 1085), NONE),
        ("after 1269 -- 7 february 1333", NONE, (7, 2, 1333)),
        ("born before 1500", NONE, NONE),
        ("born 6 may 1876 in kuopio , dead 15 june 1946", (6, 5, 1876), (15, 6, 1946)),
        ("1936-95", (0, 0, 1936), (0, 0, 1995)),
        ("1895-05", (0, 0, 1895), (0, 0, 1905)),
        ("born 1950-51", (0, 0, 1950), NONE),
        ("born 1950/12/25", (25, 12, 1950), NONE),
        ("63 bc -- 14 ad", NONE, (0, 0, 14)),
        ("ad 69 -- 122 ad", (0, 0, 69), (0, 0, 122)),
        ("c. 1850 -- 1921", (0, 0, 1850), (0, 0, 1921)),
        ("1850 or 1851 -- 1921", (0, 0, 1850), (0, 0, 1921)),
        ("1850/51 -- 1900", (0, 0, 1850), (0, 0, 1900)),
        ("960 -- 1010", (0, 0, 960), (0, 0, 1010)),
        ("died 3 may 1921", NONE, (3, 5, 1921)),
        ("-- 1921", NONE, (0, 0, 1921)),
        ("born 3 may 1850 ; died 1921", (3, 5, 1850), (0, 0, 1921)),
        ("february 12 , 1756january 22 , 1824", (12, 2, 1756), (22, 1, 1824)),
        ("25 march 18358 november 1917", (25, 3, 1835), (8, 11, 1917)),
        ("b. metz , may 6 , 1891 -- d. nancy , april 1 , 1926", (6, 5, 1891), (1, 4, 1926)),
        ("5 october 1884 , metz - 1 august 1933 , nancy", (5, 10, 1884), (1, 8, 1933)),
        ("born 2 july 1950 in stratford-upon-avon", (2, 7, 1950), NONE),
        ("born jane roe ; august 27 , 1912 -- november 9 , 1980", (27, 8, 1912), (9, 11, 1980)),
        ("12 february -lsb- o.s. 31 january -rsb- 1890 -- 1900", (12, 2, 1890), (0, 0, 1900)),
        ("( pronounced so ) ; born 8 may 1991", (8, 5, 1991), NONE),
        # The corpus closes "-lsb-" with "]" too.
        ("14 may -lsb- o.s. 3 may ] 1850 -- 1901", (14, 5, 1850), (0, 0, 1901)),
        ("born b.1950", (0, 0, 1950), NONE),
        # Years of another calendar beside ours; years before the year 100.
        ("c. 595-690 ah , 1199 -- 1291 ce", (0, 0, 1199), (0, 0, 1291)),
        ("ca. 975-980 -- 3 december 1038", (0, 0, 975), (3, 12, 1038)),
        ("c. 12 -- 44", (0, 0, 12), (0, 0, 44)),
        ("35 ad -- c. 100", (0, 0, 35), (0, 0, 100)),
        ("44 -- 12", NONE, NONE),
        # None of these is a date of a life.
        ("elected 1950", NONE, NONE),
        ("mp 1950 -- 1960", NONE, NONE),
        ("fl. 1850 -- 1860", NONE, NONE),
        ("reigned 1850 -- 1860", NONE, NONE),
        ("100 bc -- 44 bc", NONE, NONE),
        ("born in the 1950s", NONE, NONE),
        ("iso 259-3", NONE, NONE),
        ("", NONE, NONE),
    ],
)
def test_in_bracket(bracket: str, birth: tuple[int, int, int], death: tuple[int, int, int]) -> None:
    life = in_bracket(bracket)
    assert (_numbers(life.birth), _numbers(life.death)) == (birth, death)


@pytest.mark.parametrize(
    ("sentence", "birth", "death"),
    [
        ("he was born in kiev on 3 may 1950 and died in paris in 1988", (3, 5, 1950), (0, 0, 1988)),
        ("she was born to an italian father and a swiss mother on 6 may 1980", (6, 5, 1980), NONE),
        ("who was born on 28 september 1946 in dublin", (28, 9, 1946), NONE),
        ("he died of cancer on march 3 , 1990 , aged 50", NONE, (3, 3, 1990)),
        ("he was killed in action on 17 april 1945", NONE, (17, 4, 1945)),
        ("she held the chair until her death in 1950", NONE, (0, 0, 1950)),
        ("he died in paris at the age of 50 in 1900", NONE, (0, 0, 1900)),
        ("he died aged 50 on 3 may 1900", NONE, (3, 5, 1900)),
        ("she was found dead on 3 may 1990", NONE, (3, 5, 1990)),
        ("his father died in 1950", NONE, NONE),
        ("he married ann doe , born 3 may 1950", NONE, NONE),
        ("the son of a farmer , he was born on 3 may 1950", (3, 5, 1950), NONE),
        ("the son of a farmer , roe was born on 3 may 1950", (3, 5, 1950), NONE),
        ("he has a son , and his daughter was born on 3 may 1950", NONE, NONE),
        ("he was born in a village of undivided bihar on 3 may 1950", (3, 5, 1950), NONE),
        ("he was born in kiev , moved to paris in 1950", NONE, NONE),
        ("he was born at charlton , kent", NONE, NONE),
        ("he is a member of the class of 1950", NONE, NONE),
    ],
)
def test_in_sentence(
    sentence: str, birth: tuple[int, int, int], death: tuple[int, int, int]
) -> None:
    life = in_sentence(sentence)
    assert (_numbers(life.birth), _numbers(life.death)) == (birth, death)


_DAYS = st.dates(datetime.date(1000, 1, 1), datetime.date(2025, 12, 31))
_FORMS = [
    lambda date: f"{date.day} {date:%B} {date.year}".lower(),
    lambda date: f"{date:%B} {date.day} , {date.year}".lower(),
    lambda date: f"{date:%b}. {date.day} {date.year}".lower(),
]


@given(_DAYS, _DAYS, st.sampled_from(_FORMS), st.sampled_from([" -- ", " - ", " \u2013 "]))
def test_any_two_calendar_dates_are_read_back(
    one: datetime.date, other: datetime.date, form: object, dash: str
) -> None:
    written = f"{form(one)}{dash}{form(other)}"  # type: ignore[operator]
    life = in_bracket(written)
    assert _numbers(life.birth) == (one.day, one.month, one.year)
    assert _numbers(life.death) == (other.day, other.month, other.year)


def test_a_second_opinion_orders_day_and_month() -> None:
    opinion = Life(PartialDate(day=3, month=4, year=1950), NO_DATE)
    assert _numbers(in_bracket("born 4/3/1950", lambda: opinion).birth) == (3, 4, 1950)
    assert _numbers(in_sentence("he was born on 4/3/1950", lambda: opinion).birth) == (3, 4, 1950)
    # One that fits neither order settles nothing.
    assert _numbers(in_bracket("born 5/3/1950", lambda: opinion).birth) == (0, 0, 1950)


def test_the_death_of_another_is_left_out() -> None:
    assert in_sentence("she was queen from 1978 until his death in 1999").death == NO_DATE
    assert in_sentence("another poet of that name died in 1999").death == NO_DATE
    assert _numbers(in_sentence("she wrote until her death in 1999").death) == (0, 0, 1999)


@pytest.mark.parametrize("unit", ["-lsb- ", "[", "1950-", "3 may ", "born ", "before a ", "( "])
def test_long_brackets_take_linear_time(unit: str) -> None:
    in_bracket(unit * (100_000 // len(unit)))


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    assert in_bracket(text).birth.day <= 31
    assert in_sentence(text).death.month <= 12


def test_nothing_stated_is_no_date() -> None:
    assert in_bracket("hungarian : foo") == (NO_DATE, NO_DATE)
