"""The certificate of a table of haystacks: every prompt counted again, every promise asked.

Works from the messages alone and trusts no column beside them: `builder` says what a row should
be, this says what it is. What a failed rule means for a run is decided by who asks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.haystack.certificate import (
    DEPTH_KEPT,
    DEPTHS_UNIFORM,
    DISTINCT,
    FILLERS,
    LABEL,
    LENGTH,
    LENGTHS_MIX,
    NEEDLE,
    NEEDLE_TOKENS,
    NEEDLES_ONCE,
    OWN_SPLIT,
    PROMPT,
    PROMPT_TOKENS,
    REALISED_DEPTH,
    RULES,
    TEST_DRAWS,
    WHOLE_BIOS,
    Certificate,
    RuleResult,
)
from needle_assets.haystack.design import HaystackDesign, nominal_depths, short_lengths
from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.lengths import CERTIFIED_FILL, CERTIFIED_FROM
from needle_assets.haystack.messages import Message, bio_lines
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import LabelError, Task
from needle_assets.seeding import digest

DEPTH_BINS = 10

DEPTH_ALPHA = 0.001
"""Level of the uniformity test. Small, because it is asked of every length and seed, and the
depths of a length that it refuses by chance would be refused at every rebuild. The faults it is
for, such as one fixed depth or the middle left out, have p-values many orders below."""

_LEAST_EXPECTED = 5
"""Examples expected in a bin from which the chi-square approximation is held to be good
(Cochran, 1954)."""

_EXAMPLES = 5
_BATCH_CHARACTERS = 2_000_000
"""Characters encoded at once: some 600,000 tokens, each of which takes about 200 bytes."""

_COLUMNS = (
    "example_id", "split", "context_length", "draw", "bio_id", "name", "depth", "realised_depth",
    "messages", "label", "prompt_tokens", "target_tokens", "needle", "needle_first_token",
    "needle_last_token", "filler_ids",
)  # fmt: skip


@dataclass
class _Finding:
    """Counts of one rule while rows are looked at."""

    checked: int = 0
    failed: int = 0
    examples: list[str] = field(default_factory=list)
    detail: str = ""

    def ask(self, right: bool, example_id: str, detail: str = "") -> None:
        self.checked += 1
        if not right:
            self.failed += 1
            self.examples.append(example_id)
            self.detail = self.detail or detail


_Findings = defaultdict[str, _Finding]


def certify(
    haystacks: pa.Table,
    bios: pa.Table,
    *,
    design: HaystackDesign,
    task: Task,
    tokenizer: ReferenceTokenizer,
) -> Certificate:
    """Ask every rule of `RULES` of every row.

    Args:
        haystacks: all rows of one context length, columns of ``HAYSTACK_SCHEMA``.
        bios: ``anonymized_bios`` that they were built from: bio_id, name, bio, token_count, split.
        design: what was to be built.
        task: what is asked.
        tokenizer: the reference tokenizer. The whole table is tokenized once.

    Raises:
        HaystackError: a column is missing.
    """
    if missing := [column for column in _COLUMNS if column not in haystacks.column_names]:
        raise HaystackError(
            f"the haystacks lack the columns {', '.join(missing)}; materialize haystacks again"
        )
    findings = _Findings(_Finding)
    rows = _Rows(_Corpus(bios), design, task, tokenizer, findings)
    light = haystacks.select([name for name in _COLUMNS if name != "messages"]).to_pylist()
    for start, end in _batches(haystacks["messages"]):
        messages = haystacks["messages"].slice(start, end - start).to_pylist()
        rows.look_at(light[start:end], messages)
    _lengths_mix(light, design, findings[LENGTHS_MIX])
    _test_draws(light, rows.haystack_of, design, findings[TEST_DRAWS])
    tested, statistic, p_value = _uniformity(light, findings[DEPTHS_UNIFORM])
    filled = [share for target, share in rows.filled if target >= CERTIFIED_FROM]
    return Certificate(
        rows=haystacks.num_rows,
        rules=tuple(
            RuleResult(
                rule,
                found.checked,
                found.failed,
                tuple(found.examples[:_EXAMPLES]),
                found.detail,
            )
            for rule in RULES
            for found in (findings[rule],)
        ),
        least_filled=min(filled, default=None),
        most_filled=max((share for _, share in rows.filled), default=None),
        depth_examples=tested,
        depth_chi_square=statistic,
        depth_p_value=p_value,
    )


def _batches(messages: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """Ranges of rows with at most `_BATCH_CHARACTERS` of text, or of one row."""
    sizes = [size for chunk in messages.chunks for size in _characters(chunk)]
    ends = np.cumsum([0, *sizes])
    start = 0
    while start < len(sizes):
        fits = int(np.searchsorted(ends, ends[start] + _BATCH_CHARACTERS, side="right")) - 1
        end = max(start + 1, fits)
        yield start, end
        start = end


def _characters(messages: pa.ListArray) -> list[int]:
    texts = pc.struct_field(messages.flatten(), "content")
    ends = np.cumsum([0, *pc.utf8_length(texts).fill_null(0).to_pylist()])
    rows = np.cumsum([0, *pc.list_value_length(messages).to_pylist()])
    return list(np.diff(ends[rows]))


class _Corpus:
    """The biographies by id and by text."""

    def __init__(self, bios: pa.Table) -> None:
        columns = [bios[name].to_pylist() for name in ("bio_id", "name", "bio", "split")]
        self.of_id = {
            bio_id: (name, bio, split) for bio_id, name, bio, split in zip(*columns, strict=True)
        }
        self.splits_of: dict[str, set[str]] = defaultdict(set)
        for _, bio, split in self.of_id.values():
            self.splits_of[bio].add(split)
        self.tokens_of = dict(zip(columns[2], bios["token_count"].to_pylist(), strict=True))


class _Rows:
    """Asks the rules that concern one row at a time."""

    def __init__(
        self,
        corpus: _Corpus,
        design: HaystackDesign,
        task: Task,
        tokenizer: ReferenceTokenizer,
        findings: _Findings,
    ) -> None:
        self._corpus = corpus
        self._design = design
        self._task = task
        self._tokenizer = tokenizer
        self._findings = findings
        self._seen_ids: set[str] = set()
        self._seen: dict[bytes, str] = {}
        self._needles: dict[str, str] = {}
        self.filled: list[tuple[int, float]] = []
        """Target and share of it that is filled, of each row."""
        self.haystack_of: dict[str, bytes] = {}
        """Digest of a row's bios, by example_id."""

    def look_at(self, rows: list[dict[str, Any]], prompts: list[list[Message]]) -> None:
        rendered = [self._tokenizer.render(messages) for messages in prompts]
        encodings = self._tokenizer.encode(rendered)
        for row, messages, text, tokens in zip(rows, prompts, rendered, encodings, strict=True):
            lines = bio_lines(messages)
            self._prompt(row, messages, text)
            self._length(row, len(tokens))
            self._bios(row, lines)
            self._places(row, messages, lines, text, tokens)
            self._once(row, messages)
            self.haystack_of[row["example_id"]] = digest(*lines)

    def _ask(self, rule: str, row: dict[str, Any], right: bool, detail: str = "") -> None:
        self._findings[rule].ask(right, row["example_id"], detail)

    def _prompt(self, row: dict[str, Any], messages: list[Message], rendered: str) -> None:
        question = self._task.question(row["name"])
        right = (
            [message["role"] for message in messages] == ["system", "user"]
            and messages[0]["content"] == self._task.system_prompt
            and messages[1]["content"].split("\n")[-1] == question
            and rendered.count(messages[1]["content"]) == 1
        )
        self._ask(PROMPT, row, right, f"the last line is not {question!r}, or the messages differ")
        try:
            canonical = self._task.canonical_json(self._task.parse(row["label"]))
        except LabelError as error:
            self._ask(LABEL, row, False, str(error))
        else:
            self._ask(LABEL, row, row["label"] == canonical, f"canonical is {canonical}")

    def _length(self, row: dict[str, Any], tokens: int) -> None:
        target, total = row["target_tokens"], tokens + self._design.answer_tokens
        least = CERTIFIED_FILL * target if target >= CERTIFIED_FROM else 0
        self.filled.append((target, total / target))
        self._ask(
            LENGTH, row, least <= total <= target, f"{total} tokens with the answer, of {target}"
        )
        self._ask(
            PROMPT_TOKENS,
            row,
            row["prompt_tokens"] == tokens,
            f"{row['prompt_tokens']} recorded, {tokens} counted",
        )

    def _bios(self, row: dict[str, Any], lines: list[str]) -> None:
        corpus = self._corpus
        cut = [line for line in lines if line not in corpus.splits_of]
        repeated = len(set(lines)) < len(lines)
        self._ask(
            WHOLE_BIOS,
            row,
            bool(lines) and not cut and not repeated,
            f"no biography of the corpus: {cut[0][:80]!r}" if cut else "a biography twice, or none",
        )
        foreign = [
            line for line in lines if row["split"] not in corpus.splits_of.get(line, {row["split"]})
        ]
        self._ask(
            OWN_SPLIT, row, not foreign, f"not of {row['split']}: {''.join(foreign[:1])[:80]!r}"
        )
        name, needle, _ = corpus.of_id.get(row["bio_id"], (None, None, None))
        self._ask(
            NEEDLE,
            row,
            name == row["name"] and needle == row["needle"] and lines.count(row["needle"]) == 1,
            f"in the prompt {lines.count(row['needle'])} times; the corpus has {needle!r:.80}",
        )
        others = [line for line in lines if line != row["needle"]]
        fillers = [corpus.of_id.get(bio_id, (None, None, None))[1] for bio_id in row["filler_ids"]]
        # A line that is no biography is another rule's affair.
        right = len(fillers) == len(others) and all(
            line == filler or line not in corpus.splits_of
            for line, filler in zip(others, fillers, strict=True)
        )
        self._ask(
            FILLERS, row, right, f"{len(fillers)} fillers recorded, {len(others)} other lines"
        )

    def _places(
        self,
        row: dict[str, Any],
        messages: list[Message],
        lines: list[str],
        rendered: str,
        tokens: Any,
    ) -> None:
        before = rendered.rfind(messages[-1]["content"])
        if before < 0 or lines.count(row["needle"]) != 1:
            # There is no place to look at; other rules have said so.
            return
        at = lines.index(row["needle"])
        begins = np.concatenate([[0], np.cumsum([len(line) + 1 for line in lines])])
        begins += before
        first, last = _span(tokens, begins[at], begins[at + 1] - 1)
        start, _ = _span(tokens, begins[0], begins[1] - 1)
        _, end = _span(tokens, begins[-2], begins[-1] - 1)
        self._ask(
            NEEDLE_TOKENS,
            row,
            (row["needle_first_token"], row["needle_last_token"]) == (first, last),
            f"tokens {row['needle_first_token']} to {row['needle_last_token']} recorded, "
            f"{first} to {last} found",
        )
        movable = (end - start) - (last - first)
        depth = 100 * (first - start) / movable if movable else 0.0
        self._ask(
            REALISED_DEPTH,
            row,
            abs(row["realised_depth"] - depth) < 1e-9,
            f"{row['realised_depth']} recorded, {depth} found",
        )
        if row["split"] == "test":
            # Needles of one draw stand in each other's way; the ends are nevertheless exact.
            kept = {0.0: at == 0, 100.0: at == len(lines) - 1}.get(row["depth"], True)
        else:
            # The nearest place between two bios is at most half a bio away; the builder estimates
            # what line ends cost, which may move it by less than as much again.
            longest = max((self._corpus.tokens_of.get(line, 0) for line in lines), default=0)
            kept = abs(depth - row["depth"]) / 100 * movable <= longest
        self._ask(DEPTH_KEPT, row, kept, f"depth {row['depth']} asked for, {depth} found")

    def _once(self, row: dict[str, Any], messages: list[Message]) -> None:
        example_id = row["example_id"]
        content = digest(*(message["content"] for message in messages), row["label"])
        earlier = self._seen.setdefault(content, example_id)
        new = earlier == example_id and example_id not in self._seen_ids
        self._seen_ids.add(example_id)
        self._ask(DISTINCT, row, new, f"the same as {earlier}")
        if row["split"] != "test" and new:
            user = self._needles.setdefault(row["bio_id"], example_id)
            self._ask(NEEDLES_ONCE, row, user == example_id, f"the needle of {user} too")


def _span(tokens: Any, begin: int, end: int) -> tuple[int, int]:
    """First and last token of the characters from ``begin`` up to ``end``, which is in the text."""
    first = tokens.char_to_token(int(begin))
    after = tokens.char_to_token(int(end))
    if first is None or after is None:
        return -1, -1
    # What stands behind the passage may share its last token (a merged newline).
    return first, after if tokens.token_to_chars(after)[0] < end else after - 1


def _lengths_mix(rows: Sequence[dict[str, Any]], design: HaystackDesign, found: _Finding) -> None:
    shorter = short_lengths(design.context_length)
    for split in ("train", "validation", "test"):
        of_split = [row for row in rows if row["split"] == split]
        share = design.short_share if shorter and split != "test" else 0.0
        short = int(len(of_split) * share + 0.5)
        declared = Counter({design.context_length: len(of_split) - short})
        for place, length in enumerate(shorter):
            declared[length] = (short + len(shorter) - 1 - place) // len(shorter)
        had = Counter[int]()
        for row in of_split:
            target = row["target_tokens"]
            had[target] += 1
            found.ask(
                row["context_length"] == design.context_length and had[target] <= declared[target],
                row["example_id"],
                f"{split}: {dict(declared)} examples by length are declared, this is number "
                f"{had[target]} of {target} tokens",
            )


def _test_draws(
    rows: Sequence[dict[str, Any]],
    haystack_of: dict[str, bytes],
    design: HaystackDesign,
    found: _Finding,
) -> None:
    draws: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["split"] == "test":
            draws[row["draw"]].append(row)
    if sorted(draws) != list(range(design.draws)):
        found.ask(False, "", f"draws {sorted(draws)}, but 0 to {design.draws - 1} are declared")
    depths = list(nominal_depths(design.depths))
    visited: set[tuple[str, float]] = set()
    used: dict[bytes, int] = {}
    for number, of_draw in draws.items():
        haystacks = {haystack_of[row["example_id"]] for row in of_draw}
        own = all(used.setdefault(haystack, number) == number for haystack in haystacks)
        whole = len(haystacks) == 1 and sorted(row["depth"] for row in of_draw) == depths
        downwards = [row["bio_id"] for row in sorted(of_draw, key=lambda row: row["depth"])]
        whole = whole and downwards == [
            row["bio_id"] for row in sorted(of_draw, key=lambda row: row["needle_first_token"])
        ]
        for row in of_draw:
            visit = (row["bio_id"], row["depth"])
            found.ask(
                own and whole and visit not in visited,
                row["example_id"],
                f"draw {number} is asked at depths {sorted(row['depth'] for row in of_draw)} over "
                f"{len(haystacks)} haystacks{'' if own else ' that an earlier draw has'}",
            )
            visited.add(visit)


def _uniformity(
    rows: Sequence[dict[str, Any]], found: _Finding
) -> tuple[int, float | None, float | None]:
    """Examples tested, chi-square statistic and p-value of the depths of training examples."""
    training = [row for row in rows if row["split"] == "train"]
    if len(training) < _LEAST_EXPECTED * DEPTH_BINS:
        return 0, None, None
    from scipy.stats import chisquare

    observed, _ = np.histogram(
        [row["depth"] for row in training], bins=DEPTH_BINS, range=(0.0, 100.0)
    )
    test = chisquare(observed)
    statistic, p_value = float(test.statistic), float(test.pvalue)
    found.checked = len(training)
    if p_value < DEPTH_ALPHA:
        found.failed = len(training)
        found.detail = f"examples by tenth of the depth: {observed.tolist()}, p = {p_value:.2g}"
    return len(training), statistic, p_value
