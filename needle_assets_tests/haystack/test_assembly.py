"""Haystacks keep design.md's promises on invented bios of every length."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needle_assets.haystack.assembly import build_haystacks
from needle_assets.haystack.certify import certify
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.haystack.invented import build, corpus, design, merging_tokenizer


@pytest.fixture(scope="module")
def built(reference_tokenizer: ReferenceTokenizer) -> pa.Table:
    return build(reference_tokenizer, 2048)


def lines_of(row: dict[str, Any]) -> list[str]:
    *bios, _question = row["messages"][1]["content"].split("\n")
    return bios


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    length=st.sampled_from([640, 1024, 2048, 3000, 4096]),
    depths=st.integers(1, 6),
    draws=st.integers(1, 7),
    seed=st.integers(0, 5),
    short_share=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_no_bio_is_cut_and_no_prompt_is_too_long_or_too_short(
    reference_tokenizer: ReferenceTokenizer,
    length: int,
    depths: int,
    draws: int,
    seed: int,
    short_share: float,
) -> None:
    bios, _ = corpus(reference_tokenizer)
    whole = set(bios["bio"].to_pylist())
    table = build(
        reference_tokenizer,
        length,
        depths=depths,
        draws=draws,
        seed=seed,
        short_share=short_share,
    )
    for row in table.to_pylist():
        assert set(lines_of(row)) <= whole
        assert len(set(lines_of(row))) == len(lines_of(row))
        assert row["messages"][1]["content"].endswith(f"\n{BIOGRAPHY_TASK.question(row['name'])}")
    true_counts = reference_tokenizer.prompt_tokens(table["messages"].to_pylist()) + 160
    assert (true_counts == table["prompt_tokens"].to_numpy() + 160).all()
    targets = table["target_tokens"].to_numpy()
    assert (true_counts <= targets).all()
    assert (true_counts >= 0.99 * targets)[targets >= 2048].all()


def test_a_draw_asks_one_question_per_depth_over_the_same_haystack(built: pa.Table) -> None:
    test = built.to_pandas().query("split == 'test'")
    assert len(test) == 25
    for _, draw in test.groupby("draw"):
        assert sorted(draw["depth"]) == [0, 25, 50, 75, 100]
        shared = {"\n".join(lines_of(row)) for row in draw.to_dict("records")}
        assert len(shared) == 1
    haystacks = {tuple(lines_of(row)) for row in test.to_dict("records")}
    assert len(haystacks) == 5


def test_no_haystack_serves_two_draws(built: pa.Table) -> None:
    """Fault: one fixed haystack serves every cell, so cells are not independent."""
    hay: dict[int, set[str]] = {}
    for row in built.to_pylist():
        if row["split"] == "test":
            hay.setdefault(row["draw"], set()).update(lines_of(row))
    draws = list(hay.values())
    assert len(draws) == 5
    for number, one in enumerate(draws):
        for other in draws[number + 1 :]:
            # Five needles are shared by the block; of some thirty bios few others are.
            assert len(one & other) < len(one) / 2


def test_realised_depth_is_first_and_last_exactly_and_near_in_between(built: pa.Table) -> None:
    """Fault: depth 100 % drawn at 0.9."""
    for row in built.to_pylist():
        bios = lines_of(row)
        at = next(i for i, bio in enumerate(bios) if bio.startswith(f"{row['name']} "))
        if row["depth"] == 0:
            assert at == 0
            assert row["realised_depth"] == 0
        if row["depth"] == 100:
            assert at == len(bios) - 1
            assert row["realised_depth"] == 100
        assert abs(row["realised_depth"] - row["depth"]) < 6


def test_recorded_tokens_hold_exactly_the_needle(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    for row in built.to_pylist()[::5]:
        rendered = reference_tokenizer.render(row["messages"])
        (needle,) = [bio for bio in lines_of(row) if bio.startswith(f"{row['name']} ")]
        before = int(reference_tokenizer.count([rendered[: rendered.index(needle)]])[0])
        inside = int(reference_tokenizer.count([needle])[0])
        assert row["needle_first_token"] == before
        assert row["needle_last_token"] == before + inside - 1


def test_fillers_are_the_other_bios_in_order(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    bios, _ = corpus(reference_tokenizer)
    text_of = dict(zip(bios["bio_id"].to_pylist(), bios["bio"].to_pylist(), strict=True))
    for row in built.to_pylist():
        others = [bio for bio in lines_of(row) if bio != text_of[row["bio_id"]]]
        assert [text_of[bio_id] for bio_id in row["filler_ids"]] == others


def test_splits_never_mix_and_hay_is_of_persons(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    bios, _ = corpus(reference_tokenizer)
    facts = {
        row["bio_id"]: row for row in bios.select(["bio_id", "split", "is_person"]).to_pylist()
    }
    for row in built.to_pylist():
        for bio_id in (row["bio_id"], *row["filler_ids"]):
            assert facts[bio_id]["split"] == row["split"]
            assert facts[bio_id]["is_person"]


def test_no_example_and_no_training_needle_occurs_twice(built: pa.Table) -> None:
    rows = built.to_pandas()
    assert rows["example_id"].is_unique
    contents = [row["messages"][1]["content"] for row in built.to_pylist()]
    assert len(set(contents)) == len(contents)
    assert not rows.query("split != 'test'").duplicated(["split", "bio_id"]).any()


@pytest.mark.parametrize("length", [640, 1024, 2048, 4096])
def test_validation_has_examples_at_every_length_and_nothing_of_training(
    reference_tokenizer: ReferenceTokenizer, length: int
) -> None:
    """Fault: validation file drawn from training needles; files for two lengths empty."""
    table = build(reference_tokenizer, length, short_share=0.25)
    used: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    needles: dict[str, list[str]] = {split: [] for split in used}
    for row in table.to_pylist():
        used[row["split"]].update(lines_of(row))
        needles[row["split"]].append(row["bio_id"])
    assert len(needles["validation"]) == len(set(needles["validation"])) == 4
    assert not used["validation"] & used["train"]
    assert not used["test"] & (used["train"] | used["validation"])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_a_needle_is_an_error_and_no_empty_file(
    reference_tokenizer: ReferenceTokenizer, split: str
) -> None:
    """Fault: validation files for two lengths empty."""
    bios, labels = corpus(reference_tokenizer)
    others = {
        bio_id
        for bio_id, side in zip(bios["bio_id"].to_pylist(), bios["split"].to_pylist(), strict=True)
        if side != split
    }
    without = labels.filter([bio_id in others for bio_id in labels["bio_id"].to_pylist()])

    def built(**changes: int) -> pa.Table:
        return build_haystacks(
            bios,
            without,
            design=design(1024, **changes),
            task=BIOGRAPHY_TASK,
            tokenizer=reference_tokenizer,
        )

    with pytest.raises(
        HaystackError, match=rf"split '{split}'.*no labelled bio.*NEEDLE_{split.upper()}_EXAMPLES=0"
    ):
        built()
    assert split not in built(**{f"{split}_examples": 0})["split"].to_pylist()


def test_a_declared_share_of_examples_is_shorter_and_no_test_is(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    table = build(reference_tokenizer, 4096, train_examples=32, short_share=0.25)
    lengths = Counter(zip(*(table[c].to_pylist() for c in ("split", "target_tokens")), strict=True))
    assert lengths == {
        ("train", 4096): 24,
        ("train", 2048): 4,
        ("train", 1024): 4,
        # Of four, one is short.
        ("validation", 4096): 3,
        ("validation", 2048): 1,
        ("test", 4096): 25,
    }
    assert set(table["context_length"].to_pylist()) == {4096}


def test_shorter_examples_change_no_test_row(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    mixed = build(reference_tokenizer, 2048, short_share=0.25)
    of_test = [table.filter(pc.field("split") == "test") for table in (built, mixed)]
    assert of_test[0].equals(of_test[1])


def test_short_examples_take_needles_that_leave_room_for_hay(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    # 512 - 160 - instructions and question leaves some 210 tokens, of which a bio takes half.
    table = build(reference_tokenizer, 1024, depths=1, train_examples=60, short_share=0.5)
    short = [row for row in table.to_pylist() if row["target_tokens"] == 512]
    assert len(short) == 30 + 2
    for row in short:
        assert reference_tokenizer.count([row["needle"]])[0] <= 107
        assert row["filler_ids"]


def share_of_longer_hay(rows: list[dict[str, Any]], tokens: dict[str, int]) -> float:
    """How often a bio of the hay is longer than its needle, the mean over rows."""
    shares = []
    for row in rows:
        needle = tokens[row["bio_id"]]
        hay = [tokens[bio_id] for bio_id in row["filler_ids"]]
        shares.append(sum((n > needle) + (n == needle) / 2 for n in hay) / len(hay))
    return sum(shares) / len(shares)


def test_a_needle_is_as_long_as_the_hay_around_it(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    people, _ = corpus(reference_tokenizer, 4000)
    tokens = dict(zip(people["bio_id"].to_pylist(), people["token_count"].to_pylist(), strict=True))
    table = build(reference_tokenizer, 2048, bios=4000, train_examples=600, short_share=0.5)
    rows = table.filter(pc.field("split") == "train").to_pylist()
    for target in (2048, 1024, 512):
        of_target = [row for row in rows if row["target_tokens"] == target]
        # A mean of 150 shares or more, whose standard deviation is 0.3 at most.
        assert share_of_longer_hay(of_target, tokens) == pytest.approx(0.5, abs=0.075), target


def test_short_examples_that_no_needle_fits_are_refused(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    bios, labels = corpus(reference_tokenizer)
    long_only = bios.filter(pc.field("token_count") > 107)
    assert long_only.num_rows > 20
    with pytest.raises(HaystackError, match="are to be of 512 tokens.*NEEDLE_SHORT_EXAMPLES"):
        build_haystacks(
            long_only,
            labels,
            design=design(1024, short_share=0.5, depths=1, draws=1, train_examples=4),
            task=BIOGRAPHY_TASK,
            tokenizer=reference_tokenizer,
        )


def test_any_number_of_workers_gives_the_same_bytes(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    def written(workers: int) -> bytes:
        sink = pa.BufferOutputStream()
        table = build(reference_tokenizer, 2048, workers=workers, short_share=0.25)
        pq.write_table(table, sink)
        return bytes(sink.getvalue())

    assert written(1) == written(2) == written(5)


def test_a_corpus_of_fifty_rows_gives_certified_haystacks_or_says_what_is_missing(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    people, labels = corpus(reference_tokenizer, 50)
    progress: list[tuple[int, int]] = []

    def build_fifty(**changes: int) -> pa.Table:
        return build_haystacks(
            people,
            labels,
            design=design(1024, short_share=0.25, **changes),
            task=BIOGRAPHY_TASK,
            tokenizer=reference_tokenizer,
            progress=lambda done, total: progress.append((done, total)),
        )

    with pytest.raises(
        HaystackError, match="1024 needs 726 tokens.*'train'.*has 693.*10 bios.*a shorter length"
    ):
        build_fifty()
    assert not progress
    table = build_fifty(train_examples=0, validation_examples=0, draws=2)
    assert table.num_rows == 10
    assert progress[-1] == (2, 2)
    assert certify(
        table,
        people,
        design=design(1024, short_share=0.25, draws=2),
        task=BIOGRAPHY_TASK,
        tokenizer=reference_tokenizer,
    ).passed


def test_bios_with_the_text_of_another_are_left_out(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    bios, labels = corpus(reference_tokenizer)
    texts = bios["bio"].to_pylist()
    # Four texts stand again in their own split, four more in another one.
    doubled = [texts[row - 8] if 8 <= row < 12 else text for row, text in enumerate(texts)]
    doubled[13:17] = texts[4:8]
    table = build_haystacks(
        bios.set_column(2, "bio", pa.array(doubled)),
        labels,
        design=design(2048),
        task=BIOGRAPHY_TASK,
        tokenizer=reference_tokenizer,
    )
    used = {line for row in table.to_pylist() for line in lines_of(row)}
    assert len(used) > 100
    assert not used & set(doubled[:8])


def test_a_bio_of_two_lines_is_refused(reference_tokenizer: ReferenceTokenizer) -> None:
    bios, labels = corpus(reference_tokenizer)
    broken = [text.replace(" ", "\n", 1) for text in bios["bio"].to_pylist()[:3]]
    texts = pa.array([*broken, *bios["bio"].to_pylist()[3:]])
    with pytest.raises(HaystackError, match="2 bios have line breaks.*anonymized_bios again"):
        build_haystacks(
            bios.set_column(2, "bio", texts),
            labels,
            design=design(2048),
            task=BIOGRAPHY_TASK,
            tokenizer=reference_tokenizer,
        )


def test_the_same_people_are_asked_about_at_every_length_they_fit(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    asked = [
        set(build(reference_tokenizer, length).to_pandas().query("split == 'test'")["bio_id"])
        for length in (2048, 4096)
    ]
    assert asked[0] == asked[1]


def test_same_seed_same_rows_other_seed_other_rows(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    assert build(reference_tokenizer, 2048).equals(built)
    assert not build(reference_tokenizer, 2048, seed=1).equals(built)


def test_the_order_of_the_corpus_does_not_choose_the_needles(
    built: pa.Table, reference_tokenizer: ReferenceTokenizer
) -> None:
    bios, labels = corpus(reference_tokenizer)
    backwards = bios.take(list(range(bios.num_rows))[::-1])
    other = build_haystacks(
        backwards, labels, design=design(2048), task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer
    )
    assert other["bio_id"].to_pylist() == built["bio_id"].to_pylist()


def test_lengths_hold_where_line_ends_merge_with_the_text_before_them() -> None:
    tokenizer = merging_tokenizer()
    assert tokenizer.count(["bern .\n"])[0] == tokenizer.count(["bern ."])[0]
    table = build(tokenizer, 4096)
    totals = tokenizer.prompt_tokens(table["messages"].to_pylist()) + 160
    assert totals.max() <= 4096
    assert totals.min() >= 0.99 * 4096


def test_a_corpus_too_small_for_a_length_says_how_much_it_has(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    bios, _ = corpus(reference_tokenizer)
    rows = bios.to_pandas().query("split == 'train' and is_person")
    has = int((rows["token_count"] + 1).sum())
    with pytest.raises(HaystackError, match=rf"65536 needs 65,\d+ tokens.*'train'.*has {has:,} "):
        build(reference_tokenizer, 65536)


def test_labels_of_other_people_are_refused(reference_tokenizer: ReferenceTokenizer) -> None:
    bios, labels = corpus(reference_tokenizer)
    others = pa.array([f"other{row}" for row in range(labels.num_rows)])
    with pytest.raises(HaystackError, match="labels are of other people.*needle_labels again"):
        build_haystacks(
            bios,
            labels.set_column(1, "name", others),
            design=design(1024),
            task=BIOGRAPHY_TASK,
            tokenizer=reference_tokenizer,
        )


def test_a_length_without_room_for_bios_says_where_it_goes(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(HaystackError, match="256 leaves no room for biographies: 160 tokens"):
        build(reference_tokenizer, 256)


def test_a_shorter_example_without_room_says_how_to_do_without() -> None:
    # With this tokenizer instructions and question take 435 tokens; 512 is a quarter of 2048.
    with pytest.raises(HaystackError, match="512 leaves no room.*NEEDLE_SHORT_EXAMPLES=0"):
        build(merging_tokenizer(), 2048, short_share=0.25)


def test_too_many_depths_for_a_short_length_name_the_limit(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(HaystackError, match="context length 512.*at most 10 tokens"):
        build(reference_tokenizer, 512, depths=20)
