"""Haystacks keep design.md's promises on invented bios of every length."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from needle_assets.haystack.assembly import HaystackDesign, build_haystacks
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.seeding import generator

WORDS = [
    "was",
    "a",
    "swiss",
    "rower",
    "who",
    "won",
    "the",
    "1960",
    "prize",
    ",",
    "then",
    "taught",
    "history",
    "in",
    "bern",
    ".",
]
LABEL = (
    '{"nationality":"Swiss","date_of_birth":{"day":0,"month":0,"year":0},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


def corpus(tokenizer: ReferenceTokenizer, bios: int = 400) -> tuple[pa.Table, pa.Table]:
    """Invented bios of 15 to 90 words, spread evenly over the splits; all persons but each 20th."""
    texts = []
    for row in range(bios):
        random = generator(7, "bio", row)
        words = random.choice(WORDS, size=int(random.integers(15, 90)))
        texts.append(f"person{row} of{row} {' '.join(words)} .")
    ids = [f"bio-{row}" for row in range(bios)]
    table = pa.table(
        {
            "bio_id": ids,
            "name": [f"person{row} of{row}" for row in range(bios)],
            "bio": texts,
            "token_count": tokenizer.count(texts),
            "is_person": [row % 20 != 0 for row in range(bios)],
            "split": [("train", "validation", "test", "test")[row % 4] for row in range(bios)],
        }
    )
    return table, pa.table({"bio_id": ids, "name": table["name"], "label": [LABEL] * bios})


def design(length: int, **changes: int) -> HaystackDesign:
    values: dict[str, int] = {
        "context_length": length,
        "answer_tokens": 160,
        "depths": 5,
        "draws": 5,
        "train_examples": 12,
        "validation_examples": 4,
        "seed": 0,
        **changes,
    }
    return HaystackDesign(**values)


def build(tokenizer: ReferenceTokenizer, length: int, **changes: int) -> pa.Table:
    bios, labels = corpus(tokenizer)
    return build_haystacks(
        bios, labels, design=design(length, **changes), task=BIOGRAPHY_TASK, tokenizer=tokenizer
    )


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
)
def test_no_bio_is_cut_and_no_prompt_is_too_long_or_too_short(
    reference_tokenizer: ReferenceTokenizer, length: int, depths: int, draws: int, seed: int
) -> None:
    bios, _ = corpus(reference_tokenizer)
    whole = set(bios["bio"].to_pylist())
    table = build(reference_tokenizer, length, depths=depths, draws=draws, seed=seed)
    for row in table.to_pylist():
        assert set(lines_of(row)) <= whole
        assert len(set(lines_of(row))) == len(lines_of(row))
        assert row["messages"][1]["content"].endswith(f"\n{BIOGRAPHY_TASK.question(row['name'])}")
    true_counts = reference_tokenizer.prompt_tokens(table["messages"].to_pylist()) + 160
    assert (true_counts == table["prompt_tokens"].to_numpy() + 160).all()
    assert true_counts.max() <= length
    if length >= 2048:
        assert true_counts.min() >= 0.99 * length


def test_a_draw_asks_one_question_per_depth_over_the_same_haystack(built: pa.Table) -> None:
    test = built.to_pandas().query("split == 'test'")
    assert len(test) == 25
    for _, draw in test.groupby("draw"):
        assert sorted(draw["depth"]) == [0, 25, 50, 75, 100]
        shared = {"\n".join(lines_of(row)) for row in draw.to_dict("records")}
        assert len(shared) == 1
    haystacks = {tuple(lines_of(row)) for row in test.to_dict("records")}
    assert len(haystacks) == 5


def test_realised_depth_is_first_and_last_exactly_and_near_in_between(built: pa.Table) -> None:
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


def merging_tokenizer() -> ReferenceTokenizer:
    """One whose line ends merge with the full stop before them, as GPT-4's do."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[^\s\w]+[\r\n]*|\d| ?\w+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([f"{' '.join(WORDS)} .\nx .\n"] * 20, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template="{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>"
        "{% endfor %}<assistant>",
    )
    return ReferenceTokenizer(wrapped, "merging")


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


def test_too_many_depths_for_a_short_length_name_the_limit(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(HaystackError, match="context length 512.*at most 10 tokens"):
        build(reference_tokenizer, 512, depths=20)
