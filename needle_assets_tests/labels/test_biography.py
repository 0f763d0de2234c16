"""Labels that no biography can have are refused; answers are read leniently where it is fair."""

import pytest

from needle_assets.labels.biography import (
    BIOGRAPHY_TASK,
    NO_DATE,
    Biography,
    PartialDate,
    check_label,
    on_calendar,
)
from needle_assets.labels.task import LabelError


def _label(
    nationality: str = "French", birth: PartialDate = NO_DATE, death: PartialDate = NO_DATE
) -> Biography:
    return Biography(
        nationality=nationality,
        date_of_birth=birth,
        date_of_death=death,
        sportsperson=False,
        politician=True,
    )


@pytest.mark.parametrize(
    ("day", "month", "year", "possible"),
    [
        (0, 0, 0, True),
        (0, 0, 1921, True),
        (0, 5, 1921, True),
        (14, 9, 0, True),
        (29, 2, 0, True),
        (29, 2, 2000, True),
        (29, 2, 1900, False),
        (31, 2, 1950, False),
        (31, 4, 0, False),
        (3, 0, 1950, False),
        (1, 13, 1950, False),
        (-1, 1, 1950, False),
        (1, 1, -5, False),
        (1, 1, 3000, False),
    ],
)
def test_on_calendar(day: int, month: int, year: int, possible: bool) -> None:
    assert on_calendar(PartialDate(day=day, month=month, year=year)) is possible


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (_label("Martian"), "'Martian' is not in the list"),
        (_label(birth=PartialDate(day=31, month=2, year=1950)), "date_of_birth 31/2/1950"),
        (
            _label(birth=PartialDate(year=1950), death=PartialDate(year=1940)),
            "1940 is before date_of_birth 1950",
        ),
    ],
)
def test_check_label_refuses(label: Biography, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        check_label(label)


def test_check_label_refuses_another_task_s_label() -> None:
    with pytest.raises(LabelError, match="expected a biography's label, got PartialDate"):
        check_label(NO_DATE)


def test_check_label_takes_unknowns() -> None:
    check_label(_label("unknown"))


def test_an_answer_s_nationality_is_read_in_any_variant() -> None:
    answer = BIOGRAPHY_TASK.canonical_json(_label("Argentinean"))
    variant = answer.replace("Argentinean", "argentine")
    assert variant != answer
    assert BIOGRAPHY_TASK.parse(variant) == BIOGRAPHY_TASK.parse(answer)


def test_a_nationality_outside_the_list_stays_as_answered() -> None:
    assert _label("Roman").nationality == "Roman"
