"""What the suites look at, without running Great Expectations."""

import re

import pytest

from needle_assets.quality.suites import persons_only, said_to_be


@pytest.mark.parametrize(
    ("bio", "phrase"),
    [
        ("jane roe ( born 1970 ) is a french chemist who lives .", "a french chemist"),
        ("the roes are an english rock band from leeds .", "an english rock band"),
        ("jane roe was the captain of a ship .", "the captain"),
        ("jane roe is a poet .", "a poet"),
        ("jane roe wrote . she is a poet .", ""),
        ("", ""),
    ],
)
def test_said_to_be(bio: str, phrase: str) -> None:
    assert said_to_be(bio) == phrase


def _suspect(bio: str) -> bool:
    (pattern,) = [
        one.arguments["regex"] for one in persons_only().expectations if "regex" in one.arguments
    ]
    return re.search(pattern, said_to_be(bio)) is not None


@pytest.mark.parametrize(
    "bio",
    [
        "the roes are an english rock band from leeds .",
        "roe and doe were an american hip hop duo , formed in 2011 .",
        "roe is an award-winning global entertainment company , formed in 1991 .",
        "hms roe was a 74-gun ship of the royal navy .",
        "roe is a husband-and-wife artistic team from montreal .",
        "jane roe is a fictional character in a television series .",
        "roe ( foaled 1970 ) was a thoroughbred racehorse .",
        "roe is a vocal ensemble that sings .",
        "roe united is a football club based in leeds .",
        "the roe brothers were american musicians .",
    ],
)
def test_what_is_no_person_is_suspect(bio: str) -> None:
    assert _suspect(bio)


@pytest.mark.parametrize(
    "bio",
    [
        "jane roe is the singer of a rock band from leeds .",
        "jane roe was a band leader .",
        "jane roe is a company director and racehorse trainer .",
        "jane roe was a ship 's captain .",
        "jane roe is a film and television director .",
        "jane roe is a football team manager .",
        "jane roe is one half of the duo roe and doe .",
        "jane roe is a former college and professional baseball player .",
    ],
)
def test_who_works_with_such_things_is_not_suspect(bio: str) -> None:
    assert not _suspect(bio)
