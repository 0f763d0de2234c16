"""Invented biographies and small designs for tests of haystacks."""

from functools import cache

import pyarrow as pa
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from needle_assets.haystack.assembly import build_haystacks
from needle_assets.haystack.design import HaystackDesign
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.seeding import generator

SENTENCE = "was a swiss rower who won the 1960 prize , then taught history in bern ."
LABEL = (
    '{"nationality":"Swiss","date_of_birth":{"day":0,"month":0,"year":0},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


def corpus(tokenizer: ReferenceTokenizer, bios: int = 400) -> tuple[pa.Table, pa.Table]:
    """Invented bios of 15 to 90 words, spread evenly over the splits; all persons but each 20th."""
    texts = []
    for row in range(bios):
        random = generator(7, "bio", row)
        words = random.choice(SENTENCE.split(), size=int(random.integers(15, 90)))
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


def design(length: int, *, short_share: float = 0.0, **changes: int) -> HaystackDesign:
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
    return HaystackDesign(**values, short_share=short_share)


def build(
    tokenizer: ReferenceTokenizer,
    length: int,
    *,
    bios: int = 400,
    workers: int = 1,
    short_share: float = 0.0,
    **changes: int,
) -> pa.Table:
    people, labels = corpus(tokenizer, bios)
    return build_haystacks(
        people,
        labels,
        design=design(length, short_share=short_share, **changes),
        task=BIOGRAPHY_TASK,
        tokenizer=tokenizer,
        workers=workers,
    )


@cache
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
    backend.train_from_iterator([f"{SENTENCE} .\nx .\n"] * 20, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template="{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>"
        "{% endfor %}<assistant>",
    )
    return ReferenceTokenizer(wrapped, "merging")
