"""What an infobox states, on keys and values as they occur in wiki_bio, read by hand beforehand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.labels.biography import PartialDate, on_calendar
from needle_assets.labels.infobox import NO_FACTS, infobox_facts, quoted


def _numbers(date: PartialDate) -> tuple[int, int, int]:
    return date.day, date.month, date.year


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("16 august 1985", (16, 8, 1985)),
        ("november 28 , 1830", (28, 11, 1830)),
        ("04 november 1955", (4, 11, 1955)),
        ("september 1923", (0, 9, 1923)),
        ("march 4", (4, 3, 0)),
        ("1954", (0, 0, 1954)),
        ("c. 1160", (0, 0, 1160)),
        ("1852 or 1853", (0, 0, 1852)),
        # A template's leftovers: the date, then those of its other arguments.
        ("1968 8 25 y", (25, 8, 1968)),
        ("{{birth date|df=yes|1970|3|31}}", (31, 3, 1970)),
        ("1 june 1993 27 february 1941 yes", (1, 6, 1993)),
        ("november 9 , 2012 -lrb- aged 89 -rrb-", (9, 11, 2012)),
        ("7 november 1967 -lrb- aged 78 -lrb- or 79 -rrb- -rrb-", (7, 11, 1967)),
        ("31 3 1970", (31, 3, 1970)),
        # Day first or month first is not said: the year alone is sure.
        ("3 4 1970", (0, 0, 1970)),
        # No day of the calendar, a bound, no date.
        ("31 february 1970", (0, 0, 0)),
        ("after 618/9 , possibly before 628", (0, 0, 0)),
        ("44 bc", (0, 0, 0)),
        ("<none>", (0, 0, 0)),
        ("unknown", (0, 0, 0)),
        ("-lrb- -rrb-", (0, 0, 0)),
    ],
)
def test_dates(value: str, date: tuple[int, int, int]) -> None:
    facts = infobox_facts({"birth_date": value, "death_date": value})
    assert _numbers(facts.birth) == _numbers(facts.death) == date


@pytest.mark.parametrize(
    ("box", "names"),
    [
        ({"nationality": "slovene"}, ("Slovenian",)),
        ({"|Nationality ": "Slovene"}, ("Slovenian",)),
        ({"nationality": "france"}, ("French",)),
        ({"nationality": "ven venezuelan"}, ("Venezuelan",)),
        ({"nationality": "irish-american"}, ("Irish", "American")),
        ({"nationality": "african american , native american"}, ("American",)),
        ({"nationality": "hawaiian"}, ("American",)),
        ({"nationality": "british", "citizenship": "united states"}, ("British", "American")),
        ({"country": "england", "batting": "right-handed"}, ("English",)),
        ({"nationalteam": "germany u20 germany u21 germany", "caps": "3"}, ("German",)),
        # The country of an ambassador is where he served; of nobody else is a team the nation.
        ({"country": "argentina", "profession": "diplomat"}, ()),
        ({"nationality": "<none>"}, ()),
        ({"birth_place": "paris , france"}, ()),
    ],
)
def test_nationalities(box: dict[str, str], names: tuple[str, ...]) -> None:
    assert infobox_facts(box).nationalities == names


@pytest.mark.parametrize(
    ("box", "sportsperson", "politician"),
    [
        ({"clubs": "wisconsin badgers"}, True, None),
        ({"position": "midfielder"}, True, None),
        ({"occupation": "middleweight boxer from 1941 to 1950"}, True, False),
        ({"occupation": "actress"}, False, False),
        ({"occupation": "nfl official"}, False, False),
        # A coach's box does not say whether he played.
        ({"position": "head coach", "coachyears": "1993"}, None, None),
        ({"office": "mayor of ottawa", "party": "liberal"}, None, True),
        ({"party": "democratic", "term_start": "1990"}, None, True),
        ({"occupation": "planter , politician"}, False, True),
        ({"constituency": "adıyaman"}, None, True),
        # Members of a party and heads of schools have other callings.
        ({"party": "communist", "occupation": "espionage"}, False, None),
        ({"title": "president", "term_start": "1950"}, None, None),
        ({"name": "jane roe"}, None, None),
    ],
)
def test_roles(box: dict[str, str], sportsperson: bool | None, politician: bool | None) -> None:
    facts = infobox_facts(box)
    assert (facts.sportsperson, facts.politician) == (sportsperson, politician)


def test_the_evidence_quotes_the_lines_that_were_read() -> None:
    facts = infobox_facts(
        {
            "name": "jane roe",
            "birth_date": "4 may 1950",
            "nationality": "french",
            "clubs": "lyon",
            "party": "green",
        }
    )
    assert facts.evidence == (
        "infobox: nationality = french",
        "infobox: birth_date = 4 may 1950",
        "infobox: clubs = lyon",
        "infobox: party = green",
    )
    assert quoted(facts, "nationality") == ["infobox: nationality = french"]
    assert quoted(facts, "dates") == ["infobox: birth_date = 4 may 1950"]
    assert quoted(facts, "politician") == ["infobox: party = green"]
    assert "infobox: clubs = lyon" in quoted(facts, "sportsperson")


@pytest.mark.parametrize("box", [{}, {"birth_date": None}, {"nationality": "<none>"}])
def test_a_box_that_says_nothing(box: dict[str, str | None]) -> None:
    assert infobox_facts(box) == NO_FACTS


@given(
    st.dictionaries(
        st.sampled_from(
            ["birth_date", "death_date", "nationality", "occupation", "office", "party", "clubs"]
        ),
        st.one_of(st.none(), st.text(max_size=60), st.from_regex(r"[0-9 |/.-]{1,12}")),
    )
)
def test_no_value_is_an_error(box: dict[str, str | None]) -> None:
    facts = infobox_facts(box)
    assert on_calendar(facts.birth)
    assert on_calendar(facts.death)


@pytest.mark.parametrize("unit", ["-lrb- ", "-lrb- a -rrb- ", "( ", "[[", "1 ", "-", "american "])
def test_long_values_take_linear_time(unit: str) -> None:
    value = unit * (100_000 // len(unit))
    infobox_facts({"birth_date": value, "nationality": value, "occupation": value})
