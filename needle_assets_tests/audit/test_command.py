"""The audit's table: each measure can come out bad, and what is missing is said."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from needle_assets.audit import command
from needle_assets.audit.command import (
    AuditResult,
    Measure,
    of_anonymising,
    of_gold,
    of_haystacks,
    of_speed,
    render,
    run_audit,
)
from needle_assets.audit.errors import AuditError
from needle_assets.audit.gold import GoldRow
from needle_assets.corpus.anonymize import Anonymized
from needle_assets.corpus.sample import sample_corpus, to_wiki_bio
from needle_assets.corpus.tables import ANONYMIZED_SCHEMA, RAW_SCHEMA
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.settings import load_settings
from needle_assets_tests.audit.test_gold import gold

NAMES = ("kept", "trace", "pronoun")


def _corpus(*texts: str) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"bio_id": str(at), "title": "john roe", "infobox": [("born", "1950")], "text": text}
            for at, text in enumerate(texts)
        ],
        schema=RAW_SCHEMA,
    )


def _anonymized(bios: dict[str, tuple[str, str]], total: int) -> Anonymized:
    rows = [
        {"bio_id": i, "name": name, "bio": bio, "is_person": True, "person_reason": "x"}
        for i, (name, bio) in bios.items()
    ]
    return Anonymized(pa.Table.from_pylist(rows, schema=ANONYMIZED_SCHEMA), {"dropped": 1}, total)


def _anonymising(bios: dict[str, tuple[str, str]]) -> tuple[dict[str, Measure], list[str]]:
    corpus = _corpus("john roe is a poet . he sings .", "john roe is a chemist .")
    measures, notes = of_anonymising(corpus, _anonymized(bios, 2))
    return dict(zip(NAMES, measures, strict=True)), notes


def test_a_good_anonymising_reaches_every_target() -> None:
    measures, notes = _anonymising(
        {"0": ("william moe", "william moe is a poet . he sings ."), "1": ("a b", "a b sings .")}
    )
    assert [measures[name].met for name in NAMES] == [True, True, True]
    assert (measures["kept"].ours, measures["kept"].n) == ("100.0%", "2 of 2 rows")
    assert measures["pronoun"].n == "0 of 1 texts with pronouns"
    assert "kept: 2 of all 2 rows; left out: dropped 1" in notes


def test_a_dropped_row_a_trace_and_a_wrong_pronoun_are_each_found() -> None:
    measures, notes = _anonymising({"0": ("mary moe", "mary moe is a poet . he , roe , sings .")})
    assert [measures[name].met for name in NAMES] == [False, False, False]
    assert [measures[name].ours for name in NAMES] == ["50.0%", "1", "100.0%"]
    assert "trace: 'roe' of 'john roe' in 0" in notes
    assert "pronoun: 'mary moe' contradicts its text" in notes


def test_no_rows_meet_no_promise_that_is_a_share() -> None:
    measures, _ = _anonymising({})
    assert (measures["kept"].met, measures["pronoun"].met) == (False, None)


def _of_gold(*rows: dict[str, Any]) -> dict[str, Measure]:
    return {one.name: one for one in of_gold([GoldRow.model_validate(row) for row in rows])}


BAND = gold(name="the roes", bio="the roes are an english rock band from leeds .", person=False)


def test_right_rules_reach_the_targets_of_the_hand_labels() -> None:
    found = _of_gold(gold(), BAND)
    assert found["non-persons found"].n == "1 of 1"
    assert found["persons wrongly dropped"].n == "0 of 1"
    assert found["rule labels with all fields right"].ours == "100.0%"
    assert found["dates right"].met is True
    halves = [found[name].n for name in found if name.endswith("half not looked at")]
    # One person stands in one of the halves.
    assert set(halves) <= {"1 of 1", "0 of 0"}


def test_hand_labels_that_say_otherwise_fail_each_measure() -> None:
    found = _of_gold(
        gold(date_of_birth={"year": 1951, "month": 5, "day": 3}),
        gold(person=False),
        BAND | {"person": True, "date_of_birth": {"year": 0, "month": 0, "day": 0}},
    )
    assert (found["non-persons found"].ours, found["non-persons found"].met) == ("0.0%", False)
    assert found["persons wrongly dropped"].n == "1 of 2"
    assert found["persons wrongly dropped"].met is False
    assert found["rule labels with all fields right"].met is False
    assert (found["dates right"].ours, found["dates right"].met) == ("50.0%", False)


def test_one_person_in_230_may_be_dropped() -> None:
    dropped = BAND | {"person": True}
    assert _of_gold(dropped, *[gold()] * 229)["persons wrongly dropped"].met is True
    assert _of_gold(dropped, dropped, *[gold()] * 228)["persons wrongly dropped"].met is False


def test_damaged_and_repeated_examples_fail() -> None:
    messages = [{"role": "user", "content": "ann is a po\nWho is ann?"}]
    row = {"example_id": "e", "split": "train", "bio_id": "a", "messages": messages, "label": "{}"}
    bios = pa.table({"bio_id": ["a"], "bio": ["ann is a poet ."]})
    distinct, damaged = of_haystacks(pa.Table.from_pylist([row] * 4), bios, "made up")
    assert (distinct.ours, distinct.met) == ("25.0%", False)
    assert (damaged.ours, damaged.met) == ("4", False)
    assert damaged.n == "4 prompts, made up"


def test_less_than_4000_biographies_a_second_are_too_slow() -> None:
    assert of_speed(40_000, 10.0, 2, 42.4) == Measure(
        name="raw to labels, whole chain, bios/s",
        post="200 (anonymising alone)",
        target=">= 4,000",
        ours="4,000",
        met=True,
        n="40,000 rows, 2 workers, 42 tokens a bio",
    )
    assert of_speed(40_000, 10.1, 2, 42.4).met is False


def _printed(result: AuditResult) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(render(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_says_yes_no_and_nothing_and_takes_no_markup() -> None:
    result = AuditResult(
        (
            Measure("kept", "57 %", ">= 92 %", "97.0%", True, "9 of 9"),
            Measure("traces", "7.9 %", "0", "3", False, "9"),
            Measure("speed", "", ">= 4,000", "not measured", None, "needs --raw"),
        ),
        ("trace: '[red]roe[/]' of 'john'",),
    )
    lines = _printed(result).splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    met = {row[0]: row[4] for row in cells if row[0] in ("kept", "traces", "speed")}
    assert met == {"kept": "yes", "traces": "no", "speed": "-"}
    assert "[red]roe[/]" in lines[-1]
    assert [measure.name for measure in result.missed] == ["traces"]


def test_the_whole_audit_of_a_small_corpus(
    tmp_path: Path, reference_tokenizer: ReferenceTokenizer
) -> None:
    pq.write_table(to_wiki_bio(sample_corpus(700, 3)), tmp_path / "corpus.parquet")
    (tmp_path / "gold.jsonl").write_text(f"{json.dumps(gold())}\n{json.dumps(BAND)}\n")
    told: list[str] = []
    result = run_audit(
        gold=tmp_path / "gold.jsonl",
        raw=str(tmp_path / "corpus.parquet"),
        settings=load_settings({"home": str(tmp_path / "home"), "workers": 1}),
        sheet=tmp_path / "sheet.html",
        tokenizer=reference_tokenizer,
        speed_rows=700,
        tell=told.append,
    )
    found = {measure.name: measure for measure in result.measures}
    assert len(found) == len(result.measures) == 13
    assert found["kept rows with a trace of a name"].ours == "0"
    assert found["distinct training examples"].ours == "100.0%"
    assert found["needles damaged"].ours == "0"
    assert found["raw to labels, whole chain, bios/s"].n.startswith("700 rows, 1 workers, ")
    assert found["ordinary words rewritten"].met is None
    assert "300 rows" in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert told[0] == "anonymising and labelling 700 rows"
    assert found["distinct training examples"].n == "100 examples of 2,048 tokens, the corpus"


def test_a_corpus_too_small_for_haystacks_gives_way_to_the_sample_and_says_so(
    tmp_path: Path, reference_tokenizer: ReferenceTokenizer
) -> None:
    pq.write_table(to_wiki_bio(sample_corpus(50, 3)), tmp_path / "corpus.parquet")
    result = run_audit(
        gold=None,
        raw=str(tmp_path / "corpus.parquet"),
        settings=load_settings({"home": str(tmp_path / "home"), "workers": 1, "sample_rows": 700}),
        tokenizer=reference_tokenizer,
        speed_rows=50,
    )
    found = {measure.name: measure for measure in result.measures}
    assert found["needles damaged"].n.endswith("prompts, built-in sample")
    assert any(note.startswith("haystacks are of the built-in sample") for note in result.notes)


def test_what_is_not_given_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, reference_tokenizer: ReferenceTokenizer
) -> None:
    monkeypatch.setattr(command, "_of_haystacks", lambda *_: [])
    result = run_audit(gold=None, raw=None, settings=load_settings(), tokenizer=reference_tokenizer)
    assert {measure.ours for measure in result.measures} == {"not measured"}
    assert [measure.n for measure in result.measures] == [
        *["needs --raw"] * 4,
        *["needs --gold"] * 6,
        "needs --raw",
    ]
    assert result.missed == ()


def test_a_sheet_of_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="give --raw as well"):
        run_audit(gold=None, raw=None, settings=load_settings(), sheet=tmp_path / "sheet.html")
