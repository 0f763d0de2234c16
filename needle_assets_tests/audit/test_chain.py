"""The chain as the audit runs it, and what it reads out of haystacks."""

import pyarrow as pa
import pytest

from needle_assets.audit.chain import Stopwatch, build, inspect_haystacks, repeated
from needle_assets.audit.errors import AuditError
from needle_assets.corpus.sample import sample_corpus
from needle_assets.corpus.tables import RAW_SCHEMA
from needle_assets.haystack.tokenizer import ReferenceTokenizer

BIOS = pa.table({"bio_id": ["a", "b"], "bio": ["ann is a poet .", "bob is a chemist ."]})


def _prompt(*lines: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "ann is a poet ."},
        {"role": "user", "content": "\n".join(lines)},
    ]


def _haystacks(*rows: tuple[str, str, list[dict[str, str]], str]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"example_id": f"e{at}", "split": s, "bio_id": b, "messages": m, "label": label}
            for at, (s, b, m, label) in enumerate(rows)
        ]
    )


def test_whole_needles_on_lines_of_their_own_are_sound() -> None:
    prompt = _prompt("bob is a chemist .", "ann is a poet .", "Who is ann?")
    found = inspect_haystacks(
        _haystacks(("train", "a", prompt, "{}"), ("train", "b", prompt, "{1}")), BIOS
    )
    assert (found.training, found.distinct, found.rows, found.damaged) == (2, 2, 2, ())


def test_repeated_training_examples_are_counted() -> None:
    # The post's training file of 4,940 rows held 760 distinct examples: 15 %.
    prompt = _prompt("ann is a poet .", "Who is ann?")
    found = inspect_haystacks(_haystacks(*[("train", "a", prompt, "{}")] * 4), BIOS)
    assert (found.training, found.distinct) == (4, 1)
    # Repeats among test prompts are no training examples.
    assert inspect_haystacks(_haystacks(("test", "a", prompt, "{}")), BIOS).training == 0


@pytest.mark.parametrize(
    "lines",
    [
        # 7.5 % of the post's needles were cut or damaged.
        ("ann is a po", "Who is ann?"),
        ("is a poet .", "Who is ann?"),
        ("bob is a chemist . ann is a poet .", "Who is ann?"),
        ("bob is a chemist .", "Who is ann?"),
        ("ann is a poet .", "ann is a poet .", "Who is ann?"),
    ],
)
def test_a_needle_that_is_cut_or_merged_or_missing_or_twice_is_damaged(
    lines: tuple[str, ...],
) -> None:
    found = inspect_haystacks(_haystacks(("test", "a", _prompt(*lines), "{}")), BIOS)
    assert found.damaged == ("e0",)


def test_a_needle_that_no_biography_has_is_damaged() -> None:
    found = inspect_haystacks(_haystacks(("test", "z", _prompt("ann is a poet ."), "{}")), BIOS)
    assert found.damaged == ("e0",)


def test_a_repeated_corpus_has_fresh_ids_and_the_same_texts() -> None:
    raw = sample_corpus(3, 0)
    again = repeated(raw, 7)
    assert again.num_rows == 9
    assert len(set(again["bio_id"].to_pylist())) == 9
    assert again["text"].to_pylist() == raw["text"].to_pylist() * 3
    with pytest.raises(AuditError, match="the corpus has no rows"):
        repeated(RAW_SCHEMA.empty_table(), 5)


def test_a_stopwatch_adds_up_equal_steps() -> None:
    ticks = iter([0.0, 2.0, 10.0, 13.0, 20.0, 21.0])
    watch = Stopwatch(clock=lambda: next(ticks))
    for name in ("read", "write", "read"):
        with watch.step(name):
            pass
    assert watch.seconds == {"read": 3.0, "write": 3.0}
    assert watch.total == 6.0


def test_the_chain_ends_in_compared_labels_of_persons(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    raw = sample_corpus(120, 0)
    watch = Stopwatch()
    built = build(raw, seed=0, workers=1, tokenizer=reference_tokenizer, stopwatch=watch)
    assert set(watch.seconds) == {
        *("anonymise", "count tokens", "split", "pick needles", "label and compare")
    }
    labelled = set(built.labels["bio_id"].to_pylist())
    persons = built.bios.filter(built.bios["is_person"])
    assert labelled
    assert labelled <= set(persons["bio_id"].to_pylist())
    assert set(built.labels["agreement"].to_pylist()) <= {"agrees", "contradicts", "alone"}
