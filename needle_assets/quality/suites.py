"""What is expected of the needles and of their labels, as Great Expectations suites.

How a suite is run and reported is decided in `runner`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Expected:
    """One expectation, by Great Expectations' name and arguments."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """Expectations of one table.

    ``columns`` must be there, ``key`` names a row in examples, and ``prepare`` adds the columns
    that only the expectations read.
    """

    name: str
    columns: tuple[str, ...]
    key: str
    expectations: tuple[Expected, ...]
    prepare: Callable[["pd.DataFrame"], "pd.DataFrame"] = lambda table: table


_COPULA = re.compile(r"\s(?:is|was|are|were)\s(.{1,300})")
_FIRST_SENTENCE = re.compile(r"(?:(?!\s\.(?:\s|$)|\n).){0,700}", re.DOTALL)
_PHRASE_END = re.compile(
    r"\s(?:who|whom|which|that|whose|of|from|for|in|at|by|to|with|on|as|based|formed|founded|"
    r"created|started|consisting|comprising|composed|known|signed|and|or|best|active|currently|"
    r"[,;(])(?=\s|$)"
)
# Words that end a noun phrase only where no person is meant; "film" and "college" would not do
# ("a film and television director").
_GROUP_OR_THING = (
    r"(?:^|[ /-])(?:bands?|duos?|trio|quartet|quintet|sextet|septet|octet|groups?|supergroup|"
    r"ensemble|orchestra|choir|collective|troupe|company|firm|corporation|conglomerate|label|brand|team|club|"
    r"franchise|organi[sz]ation|foundation|charity|association|agency|partnership|ship|boat|vessel|"
    r"yacht|submarine|frigate|destroyer|schooner|steamer|barque|racehorse|horse|mare|stallion|"
    r"gelding|filly|colt|gorilla|chimpanzee|album|novel|magazine|newspaper|website|character|"
    r"superhero|supervillain|dynasty|siblings|brothers|sisters|twins|couple|musicians|project)$"
)


def said_to_be(bio: str) -> str:
    """What the first sentence says its subject is, up to the end of that noun phrase, or ""."""
    sentence = _FIRST_SENTENCE.match(bio)
    said = _COPULA.search(sentence.group()) if sentence else None
    if said is None:
        return ""
    end = _PHRASE_END.search(said[1])
    return (said[1][: end.start()] if end else said[1]).rstrip(" .")


def persons_only(max_suspects: float = 0.002) -> Suite:
    """Needles are persons, each with a text, a name of its own, a token count and a split.

    Beside the flag ``is_person``, what the first sentence says is looked at: at most a share of
    ``max_suspects`` may be called a band, a company, a ship and the like.
    """

    def prepare(needles: "pd.DataFrame") -> "pd.DataFrame":
        return needles.assign(said_to_be=[said_to_be(bio) for bio in needles["bio"].fillna("")])

    columns = ("bio_id", "name", "bio", "token_count", "is_person", "person_reason", "split")
    return Suite(
        name="persons_only",
        columns=columns,
        key="bio_id",
        expectations=(
            _some_rows(),
            *(_not_null(column) for column in columns),
            _unique("bio_id"),
            _unique("name"),
            _in_set("is_person", [True]),
            Expected(
                "expect_column_values_to_not_match_regex",
                {"column": "said_to_be", "regex": _GROUP_OR_THING, "mostly": 1 - max_suspects},
            ),
            Expected(
                "expect_column_value_lengths_to_be_between", {"column": "bio", "min_value": 1}
            ),
            Expected(
                "expect_column_values_to_be_between", {"column": "token_count", "min_value": 1}
            ),
            _in_set("split", ["train", "validation", "test"]),
        ),
        prepare=prepare,
    )


def nationality(
    allowed: Sequence[str],
    unknown: str,
    agreed: str,
    max_unknown: float = 0.35,
    min_agreement: float = 0.97,
) -> Suite:
    """Nationalities are of the list, mostly known, and agree with what the texts state.

    Args:
        allowed: the list, ``unknown`` among it.
        unknown: the value of a label whose text states none.
        agreed: the value of ``nationality_agreement`` where text and label agree; null where the
            text states no nationality.
        max_unknown: the largest share of unknown.
        min_agreement: the smallest share of agreement among texts that state a nationality.
    """
    return Suite(
        name="nationality",
        columns=("bio_id", "name", "nationality", "stated_nationality", "nationality_agreement"),
        key="bio_id",
        expectations=(
            _some_rows(),
            _unique("bio_id"),
            _not_null("nationality"),
            _in_set("nationality", allowed),
            Expected(
                "expect_column_values_to_not_be_in_set",
                {"column": "nationality", "value_set": [unknown], "mostly": 1 - max_unknown},
            ),
            _in_set("nationality_agreement", [agreed], mostly=min_agreement),
        ),
    )


def _some_rows() -> Expected:
    # Every expectation of a column holds for an empty one.
    return Expected("expect_table_row_count_to_be_between", {"min_value": 1})


def _not_null(column: str) -> Expected:
    return Expected("expect_column_values_to_not_be_null", {"column": column})


def _unique(column: str) -> Expected:
    return Expected("expect_column_values_to_be_unique", {"column": column})


def _in_set(column: str, values: Sequence[object], mostly: float = 1.0) -> Expected:
    return Expected(
        "expect_column_values_to_be_in_set",
        {"column": column, "value_set": list(values), "mostly": mostly},
    )
