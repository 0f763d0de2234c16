"""The second, simple reading of stated nationalities, and labels beside what others say."""

from typing import Any

import pyarrow as pa
import pytest

from needle_assets.batches import map_batches
from needle_assets.labels.agreement import (
    DISPUTED,
    compare,
    compared_rule_labels,
    stated_nationalities,
    with_agreement,
)
from needle_assets.labels.biography import BIOGRAPHY_TASK, Biography, PartialDate
from needle_assets.labels.tables import Audit, labels_table
from needle_assets.labels.task import LabelError


@pytest.mark.parametrize(
    ("bio", "stated"),
    [
        ("jane roe ( born 1970 ) is a french chemist .", ("French",)),
        ("jane roe was an english stage actress . she was irish .", ("English",)),
        ("jane roe is a cuban-spanish boxer .", ("Cuban", "Spanish")),
        ("jane roe is a new zealand poet .", ("New Zealander",)),
        ("jane roe is an american football coach .", ()),
        ("jane roe is a swiss-born poet .", ()),
        ("jane roe is a member of the polish academy .", ()),
        ("jane roe wrote .", ()),
        ("", ()),
    ],
)
def test_stated_nationalities(bio: str, stated: tuple[str, ...]) -> None:
    assert stated_nationalities(bio) == stated


def test_with_agreement_joins_by_id_and_leaves_the_unstated_null() -> None:
    bios = pa.table(
        {
            "bio_id": ["a", "b", "c", "d"],
            "name": ["w", "x", "y", "z"],
            "bio": [
                "w is a french poet .",
                "x is an english poet .",
                "y is a poet .",
                "z is a welsh poet .",
            ],
        }
    )
    labels = pa.table(
        {"bio_id": ["d", "c", "b", "a"], "nationality": ["unknown", "Thai", "British", "French"]}
    )
    joined = with_agreement(labels, bios)
    assert joined["bio"].to_pylist()[0] == "z is a welsh poet ."
    assert joined["stated_nationality"].to_pylist() == ["Welsh", None, "English", "French"]
    assert joined["nationality_agreement"].to_pylist() == ["contradicts", None, "agrees", "agrees"]


def test_a_label_without_its_biography_is_named() -> None:
    bios = pa.table({"bio_id": ["a"], "name": ["x"], "bio": ["x is a poet ."]})
    labels = pa.table({"bio_id": ["a", "q"], "nationality": ["Thai", "Thai"]})
    with pytest.raises(LabelError, match="1 labels have no biography .*'q'"):
        with_agreement(labels, bios)


BIRTH = PartialDate(year=1950, month=5, day=3)
SILENT = "jane roe wrote ."


def _label(**changes: Any) -> Biography:
    facts: dict[str, Any] = {
        "nationality": "French",
        "date_of_birth": BIRTH,
        "date_of_death": PartialDate(),
        "sportsperson": False,
        "politician": False,
    }
    return Biography(**facts | changes)


def _bios(*bios: str, infobox: dict[str, str] | None = None) -> pa.Table:
    table = pa.table(
        {
            "bio_id": [f"id-{at}" for at in range(len(bios))],
            "name": ["jane roe"] * len(bios),
            "bio": list(bios),
        }
    )
    if infobox is None:
        return table
    boxes = pa.array([list(infobox.items())] * len(bios), pa.map_(pa.string(), pa.string()))
    return table.append_column("infobox", boxes)


def _labels(bios: pa.Table, *labels: Biography, evidence: str = "") -> pa.Table:
    return labels_table(
        BIOGRAPHY_TASK, bios, labels, "made up", [Audit(evidence=evidence)] * len(labels)
    )


def _compared(
    label: Biography,
    bio: str = SILENT,
    infobox: dict[str, str] | None = None,
    rules: Biography | None = None,
) -> tuple[str, list[tuple[str, str, str]]]:
    """The agreement of one label, and its disputes as (field, source, says)."""
    bios = _bios(bio, infobox=infobox)
    (row,) = compare(
        _labels(bios, label), rules=_labels(bios, rules) if rules else None, bios=bios
    ).to_pylist()
    return row["agreement"], [tuple(one.values()) for one in row["disputed"]]


def test_without_another_source_a_label_stands_alone() -> None:
    assert _compared(_label()) == ("alone", [])
    assert _compared(_label(), infobox={}) == ("alone", [])


def test_the_text_may_agree_or_contradict() -> None:
    assert _compared(_label(), "jane roe is a french poet .") == ("agrees", [])
    # Of two, either will do.
    assert _compared(_label(), "jane roe is a french-thai poet .") == ("agrees", [])
    assert _compared(_label(nationality="British"), "jane roe is an english poet .")[0] == "agrees"
    # The label lacks what the text states.
    assert _compared(_label(nationality="unknown"), "jane roe is a welsh poet .") == (
        "contradicts",
        [("nationality", "text", "Welsh")],
    )


@pytest.mark.parametrize(
    ("changes", "infobox", "disputes"),
    [
        ({}, {"birth_date": "3 may 1950"}, []),
        ({}, {"birth_date": "4 may 1951"}, [("_day", "4"), ("_year", "1951")]),
        # Parts that only one of them states are no contradiction.
        ({}, {"birth_date": "1950"}, []),
        ({"date_of_birth": PartialDate(year=1950)}, {"birth_date": "4 june 1950"}, []),
    ],
)
def test_an_infobox_contradicts_only_parts_of_a_date_that_the_label_states(
    changes: dict[str, Any], infobox: dict[str, str], disputes: list[tuple[str, str]]
) -> None:
    agreement, found = _compared(_label(**changes), infobox=infobox)
    assert found == [(f"date_of_birth{part}", "infobox", says) for part, says in disputes]
    assert agreement == ("contradicts" if disputes else "agrees")


def test_a_nationality_that_the_text_need_not_state_is_no_contradiction() -> None:
    thai = {"nationality": "thai"}
    assert _compared(_label(nationality="unknown"), infobox=thai) == ("alone", [])
    assert _compared(_label(nationality="Thai"), infobox=thai) == ("agrees", [])
    assert _compared(_label(), infobox=thai) == (
        "contradicts",
        [("nationality", "infobox", "Thai")],
    )


def test_yes_and_no_are_always_stated() -> None:
    infobox = {"occupation": "politician"}
    agreement, disputes = _compared(_label(), infobox=infobox)
    assert ("politician", "infobox", "true") in disputes
    assert agreement == "contradicts"
    assert _compared(_label(politician=True), infobox=infobox) == ("agrees", [])


def test_a_model_s_label_is_compared_with_the_rules_in_every_field() -> None:
    assert _compared(_label(), rules=_label()) == ("agrees", [])
    assert _compared(_label(nationality="British"), rules=_label(nationality="English")) == (
        "agrees",
        [],
    )
    # Both read the same text: what one of them lacks is a contradiction too.
    assert _compared(
        _label(date_of_birth=PartialDate(year=1950), sportsperson=True),
        rules=_label(nationality="unknown"),
    ) == (
        "contradicts",
        [
            ("nationality", "rules", "unknown"),
            ("date_of_birth_day", "rules", "3"),
            ("date_of_birth_month", "rules", "5"),
            ("sportsperson", "rules", "false"),
        ],
    )


def test_disputes_are_listed_by_source_and_then_by_field() -> None:
    _, disputes = _compared(
        _label(),
        "jane roe is a welsh poet .",
        infobox={"nationality": "thai", "birth_date": "1951"},
        rules=_label(nationality="Welsh"),
    )
    assert disputes == [
        ("nationality", "rules", "Welsh"),
        ("nationality", "infobox", "Thai"),
        ("date_of_birth_year", "infobox", "1951"),
        ("nationality", "text", "Welsh"),
    ]


def test_rows_are_joined_by_id() -> None:
    bios = _bios("jane roe is a thai poet .", "jane roe is a french poet .")
    labels = _labels(bios, _label(nationality="Thai"), _label()).take([1, 0])
    rules = _labels(bios, _label(nationality="Thai"), _label())
    found = compare(labels, rules=rules, bios=bios)
    assert found["bio_id"].to_pylist() == ["id-1", "id-0"]
    assert found["agreement"].to_pylist() == ["agrees", "agrees"]
    assert found.schema.field("disputed").type == DISPUTED


def test_a_label_without_evidence_gets_that_of_the_rules() -> None:
    bios = _bios(SILENT, SILENT)
    rules = _labels(bios, _label(), _label(), evidence="dates: born 1950")
    silent = compare(_labels(bios, _label(), _label()), rules=rules, bios=bios)
    assert silent["evidence"].to_pylist() == ["rules: dates: born 1950"] * 2
    own = compare(_labels(bios, _label(), _label(), evidence="x"), rules=rules, bios=bios)
    assert own["evidence"].to_pylist() == ["x", "x"]
    assert compare(rules.slice(0, 0), rules=rules, bios=bios).num_rows == 0


def test_a_label_that_the_rules_did_not_make_is_named() -> None:
    bios = _bios(SILENT, SILENT)
    labels = _labels(bios, _label(), _label())
    with pytest.raises(LabelError, match="1 labels have no label by rules .*'id-1'"):
        compare(labels, rules=labels.slice(0, 1), bios=bios)


def test_compared_rule_labels_are_the_same_in_batches() -> None:
    bios = _bios(*[f"jane roe ( born {year} ) is a thai poet ." for year in range(1900, 1950)])
    whole = compared_rule_labels(bios)
    parts = pa.concat_tables([compared_rule_labels(bios.slice(at, 7)) for at in range(0, 50, 7)])
    assert whole.equals(parts)
    assert whole.equals(map_batches(compared_rule_labels, bios))
    assert set(whole["agreement"].to_pylist()) == {"agrees"}
