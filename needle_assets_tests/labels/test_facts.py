"""Facts that a biography states, counted as far as needed; and labels of invented people."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from needle_assets.corpus.anonymize import anonymize
from needle_assets.corpus.sample import sample_corpus, sample_truth
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.labels.facts import known_facts
from needle_assets.labels.nationalities import canonical
from needle_assets.labels.rules import count_facts, label_table
from needle_assets.labels.task import LabelError

ROWS = 1500


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("is a painter .", 0),
        ("( born 1950 ) is a painter .", 1),
        ("( born 3 may ) is a french painter .", 2),
        ("( 1950 -- 2001 ) was a painter .", 2),
        ("is a rower .", 1),
        ("( 3 may 1950 -- 1 june 2001 ) was a french rower and politician .", 5),
    ],
)
def test_each_stated_fact_counts_once(text: str, facts: int) -> None:
    assert count_facts("jane roe", f"jane roe {text}") == facts
    bios = pa.table({"bio_id": ["a"], "name": ["jane roe"], "bio": [f"jane roe {text}"]})
    assert known_facts(bios)["facts"].to_pylist() == [min(facts, 2)]


def test_counts_are_those_of_the_labels() -> None:
    bios = anonymize(sample_corpus(300, 2), seed=0).table
    labels = label_table(bios).to_pylist()
    counted = [
        (row["nationality"] != "unknown")
        + any(row[f"date_of_birth_{part}"] for part in ("day", "month", "year"))
        + any(row[f"date_of_death_{part}"] for part in ("day", "month", "year"))
        + row["sportsperson"]
        + row["politician"]
        for row in labels
    ]
    assert known_facts(bios)["facts"].to_pylist() == [min(count, 2) for count in counted]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(LabelError, match="no column 'bio'"):
        known_facts(pa.table({"bio_id": ["a"], "name": ["jane roe"]}))


def test_rules_against_what_the_sample_was_made_to_say() -> None:
    """The sample has traps (relatives in office, agents, places) and labels known by design."""
    bios = anonymize(sample_corpus(ROWS, 1), seed=0).table
    truth = sample_truth(ROWS, 1)
    truth = truth.take(pc.index_in(bios["bio_id"], value_set=truth["bio_id"].combine_chunks()))
    bios, truth = bios.filter(truth["is_person"]), truth.filter(truth["is_person"])
    labels = label_table(bios)
    wrong = {
        name: sum(
            (canonical(said) if name == "nationality" else said) != found
            for said, found in zip(truth[name].to_pylist(), labels[name].to_pylist(), strict=True)
        )
        for name in BIOGRAPHY_TASK.leaf_names
    }
    assert bios.num_rows > 1300
    assert [name for name, count in wrong.items() if name.startswith("date") and count] == []
    # Seeds 1 to 3 gave 0 politicians, 2 or 3 sportspeople, 11 to 21 nationalities of some 1,420.
    assert wrong["politician"] == 0
    assert wrong["sportsperson"] <= 0.005 * bios.num_rows
    assert wrong["nationality"] <= 0.02 * bios.num_rows
