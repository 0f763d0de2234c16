"""From raw biographies to labels and haystacks, through the functions that the assets call.

Timed for the audit. What an asset adds (storage, metadata, checks) does not belong here.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.audit.errors import AuditError
from needle_assets.batches import get_ready, map_batches
from needle_assets.corpus.anonymize import Anonymized, anonymize
from needle_assets.corpus.needles import filter_needles
from needle_assets.corpus.splits import assign_splits
from needle_assets.corpus.tables import column_of
from needle_assets.haystack.assembly import build_haystacks
from needle_assets.haystack.design import HaystackDesign
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.agreement import compared_rule_labels
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.labels.facts import known_facts
from needle_assets.settings import Settings

HAYSTACK_LENGTH = 2048
"""Context length of the haystacks that the audit builds: the shortest that is certified."""

EXAMPLES = 100
"""Training examples of that length."""

_DRAWS = 2
_VALIDATION_EXAMPLES = 8


@dataclass
class Stopwatch:
    """Wall-clock seconds of named steps, in the order in which they were first taken."""

    clock: Callable[[], float] = perf_counter
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block."""
        began = self.clock()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - began

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Built:
    """What the chain made of a corpus."""

    anonymized: Anonymized
    bios: pa.Table
    """``anonymized_bios``."""
    labels: pa.Table
    """``needle_labels``: of the biographies fit to be needles, by rules, compared."""


def build(
    raw: pa.Table,
    *,
    seed: int,
    workers: int,
    tokenizer: ReferenceTokenizer,
    stopwatch: Stopwatch | None = None,
) -> Built:
    """Anonymise, count tokens, split, pick needles, label and compare.

    Args:
        raw: a table of ``RAW_SCHEMA``.
        seed: the corpus's seed.
        workers: processes.
        tokenizer: counts.
        stopwatch: gets the seconds of each step.
    """
    watch = stopwatch or Stopwatch()
    with watch.step("anonymise"):
        get_ready(anonymize, known_facts, compared_rule_labels, table=raw, workers=workers)
        anonymized = anonymize(raw, seed=seed, workers=workers)
    bios = anonymized.table
    with watch.step("count tokens"):
        tokens = tokenizer.count(bios["bio"].to_pylist())
        bios = bios.append_column("token_count", pa.array(tokens))
    with watch.step("split"):
        titles = column_of(raw, "title", bios)
        bios = bios.append_column("split", assign_splits(bios, seed, persons=titles))
    with watch.step("pick needles"):
        known = map_batches(known_facts, bios.select(["bio_id", "name", "bio"]), workers=workers)
        needles = filter_needles(bios, known["facts"]).table
    with watch.step("label and compare"):
        labels = map_batches(
            compared_rule_labels,
            needles.select(["bio_id", "name", "bio"]).append_column(
                "infobox", column_of(raw, "infobox", needles)
            ),
            workers=workers,
        )
    return Built(anonymized, bios, labels)


def repeated(raw: pa.Table, rows: int) -> pa.Table:
    """A corpus again and again under fresh ids, until it has at least so many rows.

    Raises:
        AuditError: the corpus is empty.
    """
    if not raw.num_rows:
        raise AuditError("the corpus has no rows")
    copies = -(-rows // raw.num_rows)
    again = []
    for copy in range(copies):
        ids = pc.binary_join_element_wise(raw["bio_id"], str(copy), "~")
        again.append(raw.set_column(0, raw.schema.field("bio_id"), ids))
    return pa.concat_tables(again)


def build_some_haystacks(
    built: Built, *, settings: Settings, tokenizer: ReferenceTokenizer
) -> pa.Table:
    """A partition of `HAYSTACK_LENGTH` with `EXAMPLES` training examples, as its asset builds it.

    Raises:
        HaystackError: the corpus has too few tokens or needles.
    """
    design = HaystackDesign(
        context_length=HAYSTACK_LENGTH,
        answer_tokens=settings.answer_tokens,
        depths=settings.depths,
        draws=_DRAWS,
        train_examples=EXAMPLES,
        validation_examples=_VALIDATION_EXAMPLES,
        seed=settings.seed,
        short_share=settings.short_examples,
    )
    return build_haystacks(
        built.bios, built.labels, design=design, task=BIOGRAPHY_TASK, tokenizer=tokenizer
    )


@dataclass(frozen=True)
class Examples:
    """What was counted in haystacks."""

    training: int
    distinct: int
    """Of the training examples, how many differ in messages or label from all before them."""
    rows: int
    """Rows of all splits."""
    damaged: tuple[str, ...]
    """Ids of examples of any split that do not hold the needle whole, once, on its own line."""


def inspect_haystacks(haystacks: pa.Table, bios: pa.Table) -> Examples:
    """Read prompts as they would be sent, and look for the needle's biography in them.

    Args:
        haystacks: ``example_id``, ``split``, ``bio_id``, ``messages``, ``label``.
        bios: ``bio_id``, ``bio``: the texts that needles should have.
    """
    text_of = dict(zip(bios["bio_id"].to_pylist(), bios["bio"].to_pylist(), strict=True))
    columns = ("example_id", "split", "bio_id", "messages", "label")
    seen = set()
    training = 0
    damaged = []
    for example_id, split, bio_id, messages, label in zip(
        *(haystacks[name].to_pylist() for name in columns), strict=True
    ):
        if split == "train":
            training += 1
            seen.add((json.dumps(messages, sort_keys=True), label))
        said = [m["content"] for m in messages if m["role"] == "user"]
        lines = [line for content in said for line in content.split("\n")]
        if lines.count(text_of.get(bio_id, "\n")) != 1:
            damaged.append(example_id)
    return Examples(training, len(seen), haystacks.num_rows, tuple(damaged))
