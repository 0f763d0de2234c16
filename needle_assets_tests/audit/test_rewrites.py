"""What is marked as changed, what nothing explains, and the sheet that a person reads."""

import pyarrow as pa
import pytest

from needle_assets.audit.rewrites import compare_texts, reading_sheet, sample_rewrites
from needle_assets.corpus.tables import RAW_SCHEMA

INFOBOX = {"nickname": "bo"}


def _unexplained(old: str, new: str) -> tuple[str, ...]:
    return compare_texts("a", "john roe", INFOBOX, old, new).unexplained


def test_changed_stretches_are_marked_on_both_sides() -> None:
    old = "john roe -lrb- b. 1950 -rrb- is\na poet ."
    found = compare_texts("a", "john roe", {}, old, "max moe ( b. 1950 ) is a poet .")
    assert [(piece.text, piece.changed) for piece in found.old] == [
        ("john roe", True),
        ("( b. 1950 ) is a poet .", False),
    ]
    assert [piece.text for piece in found.new if piece.changed] == ["max moe"]
    assert found.unexplained == ()


@pytest.mark.parametrize(
    ("old", "new", "strange"),
    [
        # An ordinary word rewritten is what the hint is for.
        ("john roe is king of fife .", "max moe is dow of fife .", ("king",)),
        ("john roe will sing .", "max moe sing .", ("john roe will",)),
        # Names explain themselves, also with others beside them.
        ("john quincy roe is a poet .", "max moe is a poet .", ()),
        ("john roe ( known as jack ) sings .", "max moe ( known as max ) sings .", ()),
        ("john roe , bo to friends , sings .", "max moe , max to friends , sings .", ()),
        # Another spelling of brackets and quotes is no change, nor is a lone sign.
        ("john roe `` x '' -lrb- ; -rrb- sings .", 'max moe " x " ( ) sings .', ()),
        ("john roe of hawai`i sings .", "max moe of hawai'i sings .", ()),
        # A name in its native spelling, with its label.
        ("john roe ( thai : เข้ม ; 1950 ) .", "max moe ( 1950 ) .", ()),
    ],
)
def test_only_what_nothing_explains_is_hinted_at(
    old: str, new: str, strange: tuple[str, ...]
) -> None:
    assert _unexplained(old, new) == strange


def _corpus(rows: int) -> tuple[pa.Table, pa.Table]:
    ids = [f"id-{number}" for number in range(rows)]
    raw = pa.Table.from_pylist(
        [{"bio_id": i, "title": "john roe", "infobox": [], "text": f"john roe {i}"} for i in ids],
        schema=RAW_SCHEMA,
    )
    return raw, pa.table({"bio_id": ids[1:], "bio": [f"max moe {i}" for i in ids[1:]]})


def test_the_sample_is_of_kept_rows_and_a_function_of_the_seed() -> None:
    raw, kept = _corpus(60)
    ids = [one.bio_id for one in sample_rewrites(raw, kept, seed=1, rows=20)]
    assert len(set(ids)) == 20
    assert "id-0" not in ids
    assert ids == [one.bio_id for one in sample_rewrites(raw, kept.slice(0), seed=1, rows=20)]
    assert ids != [one.bio_id for one in sample_rewrites(raw, kept, seed=2, rows=20)]
    assert len(sample_rewrites(raw, kept, seed=1, rows=300)) == 59


def test_the_sheet_escapes_texts_and_outlines_what_is_unexplained() -> None:
    rewrite = compare_texts(
        "a", "john roe", {}, "john roe <script> is king .", "max moe <script> is dow ."
    )
    page = reading_sheet([rewrite], seed=7)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<del>john roe</del>" in page
    assert '<del class="strange">king</del>' in page
    assert '<ins class="strange">dow</ins>' in page
    assert "seed 7" in page
