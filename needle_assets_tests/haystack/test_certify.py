"""Each promise of design.md is broken once, alone, and the certificate names that rule alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needle_assets.haystack import certificate as rule
from needle_assets.haystack.assembly import HAYSTACK_SCHEMA
from needle_assets.haystack.certificate import Certificate
from needle_assets.haystack.certify import DEPTH_ALPHA, certify
from needle_assets.haystack.design import HaystackDesign
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.haystack.invented import build, corpus, design, merging_tokenizer

Row = dict[str, Any]
Lines = list[tuple[str, str]]
"""Biographies of a prompt in order: bio_id and text."""

EXAMPLES = {"train_examples": 60, "validation_examples": 8}
DESIGN = design(2048, short_share=0.25, **EXAMPLES)


@pytest.fixture(scope="module")
def rows(reference_tokenizer: ReferenceTokenizer) -> list[Row]:
    table = build(reference_tokenizer, 2048, short_share=0.25, **EXAMPLES)
    return list(table.to_pylist())


class Tampering:
    """Changes rows as a faulty builder would have written them, all else in order."""

    def __init__(self, tokenizer: ReferenceTokenizer, bios: int = 400) -> None:
        self._tokenizer = tokenizer
        self.bios = corpus(tokenizer, bios)[0]
        self._people = {row["bio_id"]: row for row in self.bios.to_pylist()}

    def certify(self, rows: list[Row], built_as: HaystackDesign = DESIGN) -> Certificate:
        return certify(
            pa.Table.from_pylist(rows, schema=HAYSTACK_SCHEMA),
            self.bios,
            design=built_as,
            task=BIOGRAPHY_TASK,
            tokenizer=self._tokenizer,
        )

    def broken(self, rows: list[Row], built_as: HaystackDesign = DESIGN) -> dict[str, list[str]]:
        """The rules that are broken, each with the example_ids that it names."""
        found = self.certify(rows, built_as).broken
        return {result.rule: list(result.examples) for result in found}

    def lines(self, row: Row) -> Lines:
        texts = row["messages"][1]["content"].split("\n")[:-1]
        ids = list(row["filler_ids"])
        ids.insert(texts.index(row["needle"]), row["bio_id"])
        return list(zip(ids, texts, strict=True))

    def with_lines(self, row: Row, lines: Lines, **changes: Any) -> Row:
        """The row with another haystack, tokens and depth recorded as they are in it."""
        row = row | changes
        at = [bio_id for bio_id, _ in lines].index(row["bio_id"])
        question = f"Give the JSON for {row['name']}."
        content = "\n".join([*(text for _, text in lines), question])
        system, user = row["messages"]
        row["messages"] = [system, user | {"content": content}]
        rendered = self._tokenizer.render(row["messages"])
        begin = rendered.index(f"\n{row['needle']}\n") + 1
        start = self._count(rendered[: rendered.index(content)])
        end = self._count(rendered[: rendered.index(f"\n{question}")])
        first = self._count(rendered[:begin])
        inside = self._count(row["needle"])
        return row | {
            "prompt_tokens": self._count(rendered),
            "needle_first_token": first,
            "needle_last_token": first + inside - 1,
            "realised_depth": 100 * (first - start) / (end - start - inside),
            "filler_ids": [bio_id for number, (bio_id, _) in enumerate(lines) if number != at],
        }

    def with_stranger(self, row: Row, split: str) -> Row:
        """The row with one of its hay in exchange for a person of another split, as long."""
        strangers = {
            one["token_count"]: (one["bio_id"], one["bio"])
            for one in self._people.values()
            if one["split"] == split and one["is_person"]
        }
        lines = self.lines(row)
        at = next(
            number
            for number, (bio_id, _) in enumerate(lines)
            if bio_id != row["bio_id"] and self.tokens(bio_id) in strangers
        )
        lines[at] = strangers[self.tokens(lines[at][0])]
        return self.with_lines(row, lines)

    def text(self, bio_id: str) -> str:
        return str(self._people[bio_id]["bio"])

    def name(self, bio_id: str) -> str:
        return str(self._people[bio_id]["name"])

    def tokens(self, bio_id: str) -> int:
        return int(self._people[bio_id]["token_count"])

    def _count(self, text: str) -> int:
        return int(self._tokenizer.count([text])[0])


@pytest.fixture(scope="module")
def tampering(reference_tokenizer: ReferenceTokenizer) -> Tampering:
    return Tampering(reference_tokenizer)


def change(rows: list[Row], at: int, changed: Callable[[Row], Row] | Row) -> list[Row]:
    """The rows with one of them changed."""
    new = changed(rows[at]) if callable(changed) else rows[at] | changed
    return [*rows[:at], new, *rows[at + 1 :]]


def of_length(rows: list[Row], target: int = 2048, split: str = "train") -> list[int]:
    return [
        at
        for at, row in enumerate(rows)
        if row["target_tokens"] == target and row["split"] == split
    ]


def test_what_was_built_is_certified_rule_by_rule(rows: list[Row], tampering: Tampering) -> None:
    certificate = tampering.certify(rows)
    assert certificate.passed
    assert certificate.rows == 60 + 8 + 25
    assert [result.rule for result in certificate.rules] == list(rule.RULES)
    checked = {result.rule: result.checked for result in certificate.rules}
    assert checked.pop(rule.NEEDLES_ONCE) == 68
    assert checked.pop(rule.DEPTHS_UNIFORM) == 60
    assert checked.pop(rule.TEST_DRAWS) == 25
    assert set(checked.values()) == {93}


def test_figures_are_those_of_the_table(rows: list[Row], tampering: Tampering) -> None:
    certificate = tampering.certify(rows)
    totals = [(row["target_tokens"], row["prompt_tokens"] + 160) for row in rows]
    least = min(total for target, total in totals if target == 2048)
    assert certificate.least_filled == least / 2048
    assert least >= 0.99 * 2048
    assert certificate.most_filled == max(total / target for target, total in totals) <= 1
    tenths = [int(row["depth"] // 10) for row in rows if row["split"] == "train"]
    # 60 examples, 6 expected in each tenth.
    by_hand = sum((tenths.count(tenth) - 6) ** 2 / 6 for tenth in range(10))
    assert certificate.depth_chi_square == pytest.approx(by_hand)
    assert certificate.depth_p_value is not None
    assert certificate.depth_p_value > DEPTH_ALPHA


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    # The merging tokenizer knows few words: what stands around the bios takes 435 tokens.
    kind=st.sampled_from([(True, 3000), (True, 4096), (True, 5000)])
    | st.sampled_from([(False, 512), (False, 1024), (False, 2048), (False, 3000)]),
    depths=st.integers(1, 4),
    draws=st.integers(1, 5),
    seed=st.integers(0, 50),
    short_share=st.sampled_from([0.0, 0.1, 0.25, 0.9]),
)
def test_everything_that_is_built_is_certified_even_where_line_ends_merge(
    reference_tokenizer: ReferenceTokenizer,
    kind: tuple[bool, int],
    depths: int,
    draws: int,
    seed: int,
    short_share: float,
) -> None:
    merging, length = kind
    tokenizer = merging_tokenizer() if merging else reference_tokenizer
    changes = {"depths": depths, "draws": draws, "seed": seed}
    table = build(tokenizer, length, short_share=short_share, **changes)
    built_as = design(length, short_share=short_share, **changes)
    assert not Tampering(tokenizer).broken(table.to_pylist(), built_as)


def test_a_cut_bio_is_reported(rows: list[Row], tampering: Tampering) -> None:
    def cut(row: Row) -> Row:
        lines = tampering.lines(row)
        at = next(n for n, (bio_id, _) in enumerate(lines) if bio_id != row["bio_id"])
        lines[at] = (lines[at][0], lines[at][1].rsplit(" ", 2)[0])
        return tampering.with_lines(row, lines)

    at = of_length(rows)[3]
    assert tampering.broken(change(rows, at, cut)) == {rule.WHOLE_BIOS: [rows[at]["example_id"]]}


def test_a_bio_that_stands_twice_is_reported(rows: list[Row], tampering: Tampering) -> None:
    def repeat(row: Row) -> Row:
        lines = tampering.lines(row)
        hay = [n for n, (bio_id, _) in enumerate(lines) if bio_id != row["bio_id"]]
        lines[hay[0]] = lines[hay[1]]
        return tampering.with_lines(row, lines)

    # Below 2048 a prompt need not be filled, and the row's place is not what is looked at here.
    at = of_length(rows, 1024)[0]
    assert rule.WHOLE_BIOS in tampering.broken(change(rows, at, repeat))


def test_a_damaged_needle_is_reported(rows: list[Row], tampering: Tampering) -> None:
    """Fault: needle cut or damaged in the training set (tokens subtracted as characters)."""

    def cut(row: Row) -> Row:
        needle = row["needle"].rsplit(" ", 2)[0]
        lines = [
            (bio_id, needle if bio_id == row["bio_id"] else text)
            for bio_id, text in tampering.lines(row)
        ]
        return tampering.with_lines(row, lines, needle=needle)

    at = of_length(rows)[5]
    assert tampering.broken(change(rows, at, cut)) == {
        rule.WHOLE_BIOS: [rows[at]["example_id"]],
        rule.NEEDLE: [rows[at]["example_id"]],
    }


def test_a_bio_of_another_split_is_reported(rows: list[Row], tampering: Tampering) -> None:
    at = of_length(rows)[0]
    assert tampering.broken(
        change(rows, at, lambda row: tampering.with_stranger(row, "validation"))
    ) == {rule.OWN_SPLIT: [rows[at]["example_id"]]}


@pytest.mark.parametrize(
    ("column", "wrong", "reported"),
    [
        ("needle_first_token", lambda row: row["needle_first_token"] + 1, rule.NEEDLE_TOKENS),
        ("needle_last_token", lambda row: row["needle_last_token"] - 1, rule.NEEDLE_TOKENS),
        ("prompt_tokens", lambda row: row["prompt_tokens"] - 1, rule.PROMPT_TOKENS),
        ("realised_depth", lambda row: row["realised_depth"] + 0.01, rule.REALISED_DEPTH),
        ("filler_ids", lambda row: row["filler_ids"][::-1], rule.FILLERS),
        ("filler_ids", lambda row: row["filler_ids"][1:], rule.FILLERS),
        ("bio_id", lambda row: row["filler_ids"][0], rule.NEEDLE),
        ("label", lambda row: row["label"].replace(":", ": "), rule.LABEL),
        ("label", lambda row: row["label"].replace('"', "'"), rule.LABEL),
        ("target_tokens", lambda _: 2047, rule.LENGTHS_MIX),
        ("context_length", lambda _: 4096, rule.LENGTHS_MIX),
    ],
)
def test_a_wrong_column_is_reported(
    rows: list[Row],
    tampering: Tampering,
    column: str,
    wrong: Callable[[Row], object],
    reported: str,
) -> None:
    # A test row: no other rule looks at the needle of another row of its kind.
    at = next(n for n, row in enumerate(rows) if row["split"] == "test" and row["depth"] == 50)
    broken = tampering.broken(change(rows, at, {column: wrong(rows[at])}))
    if column == "bio_id":
        broken.pop(rule.TEST_DRAWS, None)
    if column == "target_tokens":
        broken.pop(rule.LENGTH, None)
    assert broken == {reported: [rows[at]["example_id"]]}


def test_words_after_the_question_are_reported(rows: list[Row], tampering: Tampering) -> None:
    def go_on(row: Row) -> Row:
        row = tampering.with_lines(row, tampering.lines(row))
        system, user = row["messages"]
        added = user | {"content": user["content"] + " ."}
        return row | {"messages": [system, added], "prompt_tokens": row["prompt_tokens"] + 1}

    at = next(at for at in of_length(rows) if rows[at]["prompt_tokens"] + 160 < 2048)
    assert tampering.broken(change(rows, at, go_on)) == {rule.PROMPT: [rows[at]["example_id"]]}


def test_prompts_longer_than_their_length_are_reported(
    rows: list[Row], tampering: Tampering
) -> None:
    longer_answers = replace(DESIGN, answer_tokens=220)
    broken = tampering.broken(rows, longer_answers)
    assert list(broken) == [rule.LENGTH]
    most_filled = tampering.certify(rows, longer_answers).most_filled
    assert most_filled is not None
    assert most_filled > 1


def test_asking_for_a_length_and_getting_half_of_it_is_reported(
    rows: list[Row], tampering: Tampering
) -> None:
    """Fault: asking for 64k silently gives 32k and is plotted as 64k."""
    doubled = [
        row | {"context_length": 4096, "target_tokens": 2 * row["target_tokens"]} for row in rows
    ]
    certificate = tampering.certify(doubled, replace(DESIGN, context_length=4096))
    assert [result.rule for result in certificate.broken] == [rule.LENGTH]
    assert certificate.least_filled is not None
    assert certificate.least_filled < 0.51


def test_an_example_that_occurs_twice_is_reported(rows: list[Row], tampering: Tampering) -> None:
    """Fault: training file of 4,940 rows holds 760 distinct examples."""
    first, second = of_length(rows)[:2]
    own_id = {"example_id": rows[second]["example_id"]}
    assert tampering.broken(change(rows, second, rows[first] | own_id)) == {
        rule.DISTINCT: [rows[second]["example_id"]]
    }


def test_an_id_that_occurs_twice_is_reported(rows: list[Row], tampering: Tampering) -> None:
    first, second = of_length(rows)[:2]
    same_id = {"example_id": rows[first]["example_id"]}
    assert tampering.broken(change(rows, second, same_id)) == {
        rule.DISTINCT: [rows[first]["example_id"]]
    }


def test_a_needle_of_two_training_examples_is_reported(
    rows: list[Row], tampering: Tampering
) -> None:
    first, second = of_length(rows)[:2]

    def other_hay(row: Row) -> Row:
        # Two bios on one side of the needle change places: another prompt about the same needle.
        lines = tampering.lines(rows[first])
        at = [bio_id for bio_id, _ in lines].index(rows[first]["bio_id"])
        a, b = (0, 1) if at > 1 else (at + 1, at + 2)
        lines[a], lines[b] = lines[b], lines[a]
        return tampering.with_lines(rows[first], lines, example_id=row["example_id"])

    assert tampering.broken(change(rows, second, other_hay)) == {
        rule.NEEDLES_ONCE: [rows[second]["example_id"]]
    }


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_another_mix_of_lengths_than_the_declared_one_is_reported(
    rows: list[Row], tampering: Tampering, share: float
) -> None:
    assert list(tampering.broken(rows, replace(DESIGN, short_share=share))) == [rule.LENGTHS_MIX]


def test_depths_that_leave_out_half_of_the_haystack_are_reported(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    many = {"depths": 1, "draws": 1, "train_examples": 250}
    built = build(reference_tokenizer, 640, bios=1200, **many).to_pylist()
    upper = [row for row in built if row["split"] != "train" or row["depth"] < 50]
    tampering = Tampering(reference_tokenizer, bios=1200)
    assert not tampering.broken(built, design(640, **many))
    certificate = tampering.certify(upper, design(640, **many))
    assert [result.rule for result in certificate.broken] == [rule.DEPTHS_UNIFORM]
    assert certificate.depth_p_value is not None
    assert certificate.depth_p_value < DEPTH_ALPHA


def test_fewer_than_five_examples_a_tenth_say_nothing_about_depths(
    rows: list[Row], tampering: Tampering
) -> None:
    alone = [row for row in rows if row["split"] == "train" and row["target_tokens"] == 2048][:40]
    only_these = replace(DESIGN, short_share=0.0, draws=0)
    certificate = tampering.certify(alone, only_these)
    assert certificate.passed
    assert (certificate.depth_examples, certificate.depth_p_value) == (0, None)


def test_depth_100_that_is_not_last_is_reported(rows: list[Row], tampering: Tampering) -> None:
    """Fault: depth 100 % drawn at 0.9."""

    def at_nine_tenths(row: Row) -> Row:
        *lines, needle = tampering.lines(row)
        lines.insert(round(0.9 * len(lines)), needle)
        return tampering.with_lines(row, lines)

    draw = [at for at, row in enumerate(rows) if row["split"] == "test" and row["draw"] == 2]
    tampered = rows
    for at in draw:
        tampered = change(tampered, at, at_nine_tenths)
    assert tampering.broken(tampered) == {rule.DEPTH_KEPT: [rows[draw[-1]]["example_id"]]}


def test_a_training_needle_far_from_its_depth_is_reported(
    rows: list[Row], tampering: Tampering
) -> None:
    def to_the_start(row: Row) -> Row:
        lines = sorted(tampering.lines(row), key=lambda line: line[0] != row["bio_id"])
        return tampering.with_lines(row, lines)

    at = next(at for at in of_length(rows) if rows[at]["depth"] > 30)
    assert tampering.broken(change(rows, at, to_the_start)) == {
        rule.DEPTH_KEPT: [rows[at]["example_id"]]
    }


def test_one_haystack_for_two_draws_is_reported(reference_tokenizer: ReferenceTokenizer) -> None:
    """Fault: one fixed haystack serves every cell, so cells are not independent."""
    one_depth = {"depths": 1, "draws": 2}
    built = build(reference_tokenizer, 2048, **one_depth).to_pylist()
    tampering = Tampering(reference_tokenizer)
    first, second = (at for at, row in enumerate(built) if row["split"] == "test")

    def same_hay(row: Row) -> Row:
        other = built[first]["filler_ids"][9]
        return tampering.with_lines(
            row,
            tampering.lines(built[first]),
            bio_id=other,
            name=tampering.name(other),
            needle=tampering.text(other),
        )

    assert tampering.broken(change(built, second, same_hay), design(2048, **one_depth)) == {
        rule.TEST_DRAWS: [built[second]["example_id"]]
    }


def test_depths_out_of_balance_are_reported(rows: list[Row], tampering: Tampering) -> None:
    second, third = (
        at
        for at, row in enumerate(rows)
        if row["split"] == "test" and row["draw"] == 1 and row["depth"] in (25, 50)
    )
    swapped = change(change(rows, second, {"depth": 50.0}), third, {"depth": 25.0})
    assert list(tampering.broken(swapped)) == [rule.TEST_DRAWS]
    missing = [row for row in rows if row["split"] != "test" or row["draw"] != 3]
    assert list(tampering.broken(missing)) == [rule.TEST_DRAWS]


def test_a_table_without_the_columns_says_which(tampering: Tampering) -> None:
    old = HAYSTACK_SCHEMA.empty_table().drop_columns(["needle", "target_tokens"])
    with pytest.raises(HaystackError, match="lack the columns target_tokens, needle"):
        certify(
            old,
            tampering.bios,
            design=DESIGN,
            task=BIOGRAPHY_TASK,
            tokenizer=merging_tokenizer(),
        )
