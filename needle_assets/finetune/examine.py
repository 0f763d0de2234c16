"""All problems of a training and a validation file, found in their exact bytes, line by line.

What a line must be by itself is `dataset`'s; what follows from a problem is `preflight`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from needle_assets.finetune.dataset import Dataset, Line, read_jsonl
from needle_assets.finetune.providers import Capabilities
from needle_assets.haystack.messages import bio_lines
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import Task
from needle_assets.seeding import digest

_BATCH_CHARACTERS = 2_000_000
"""Characters tokenized at once: some 600,000 tokens."""


@dataclass(frozen=True)
class Examined:
    """What was found."""

    problems: list[str]
    """Each names its file and, where it is one line's, the line."""
    train: list[int]
    """Tokens of each good line, answer included."""
    validation: list[int]


def examine(
    train: Dataset,
    validation: Dataset | None,
    *,
    task: Task,
    tokenizer: ReferenceTokenizer,
    capabilities: Capabilities,
    context_length: int,
) -> Examined:
    """Look at every line of both files, by itself and beside the other file.

    Args:
        train: the training file.
        validation: the validation file, if there is one.
        task: what an answer must be.
        tokenizer: counts.
        capabilities: the provider's limits.
        context_length: tokens that no example may exceed.
    """
    examination = _Examination(task, tokenizer, capabilities, context_length)
    of_train = examination.look_at(train, validation)
    of_validation = examination.look_at(validation, train) if validation else []
    if len(of_train) < capabilities.minimum_examples:
        examination.problems.append(
            f"train dataset: {len(of_train)} examples, expected at least "
            f"{capabilities.minimum_examples}; set NEEDLE_TRAIN_EXAMPLES higher"
        )
    return Examined(examination.problems, of_train, of_validation)


@dataclass
class _Examination:
    """Both files, one after the other."""

    task: Task
    tokenizer: ReferenceTokenizer
    capabilities: Capabilities
    context_length: int
    problems: list[str] = field(default_factory=list)
    _first: dict[bytes, int] = field(default_factory=dict)
    """Line of each prompt and question of the file looked at first."""

    def look_at(self, dataset: Dataset, other: Dataset | None) -> list[int]:
        """Collect a file's problems; returns the tokens of its good lines."""
        name = f"{dataset.split} dataset"
        most = self.capabilities.file_bytes
        if most is not None and len(dataset.content) > most:
            self.problems.append(
                f"{name}: {len(dataset.content):,} bytes, {self.capabilities.name} takes at most "
                f"{most:,}; train on fewer or shorter examples"
            )
        beside = _Beside(
            other.split if other else "",
            lines=self._first,
            needles={digest(needle) for needle in other.needles} if other else set(),
        )
        self._first = {}
        tokens: list[int] = []
        for batch in _batches(read_jsonl(dataset.content, task=self.task)):
            counts = self._count([line for line in batch if not line.problem])
            tokens += counts.values()
            for line in batch:
                needle = next(iter(dataset.needles[line.number - 1 : line.number]), None)
                found = (
                    line.problem
                    or self._too_long(counts[line.number])
                    or _damaged(line, needle)
                    or beside.shared(line)
                )
                if found:
                    self.problems.append(f"{name}, line {line.number}: {found}")
                if not line.problem:
                    for key in _keys(line).values():
                        self._first.setdefault(key, line.number)
        return tokens

    def _count(self, lines: Sequence[Line]) -> dict[int, int]:
        prompts = self.tokenizer.prompt_tokens([line.messages[:-1] for line in lines])
        answers = self.tokenizer.count([line.messages[-1]["content"] for line in lines])
        totals = (prompts + answers).tolist()
        return {line.number: total for line, total in zip(lines, totals, strict=True)}

    def _too_long(self, tokens: int) -> str:
        limit = self.capabilities.longest_training_example
        if limit is not None and tokens > limit:
            return (
                f"{tokens:,} tokens by {self.tokenizer.name}, {self.capabilities.name} trains on "
                f"at most {limit:,}; choose a shorter context length"
            )
        if tokens > self.context_length:
            return (
                f"{tokens:,} tokens, more than the context length {self.context_length:,}; "
                "materialize haystacks again"
            )
        return ""


@dataclass(frozen=True)
class _Beside:
    """The other file, as far as it has been looked at."""

    split: str
    lines: dict[bytes, int]
    needles: set[bytes]

    def shared(self, line: Line) -> str:
        """What a line has in common with the other file; empty if nothing."""
        for what, key in _keys(line).items():
            if key in self.lines:
                return f"shares {what} with line {self.lines[key]} of the {self.split} dataset"
        if self.needles:
            for bio in bio_lines(line.messages[:-1]):
                if digest(bio) in self.needles:
                    return f"holds a needle of the {self.split} dataset ({bio[:80]!r})"
        return ""


def _damaged(line: Line, needle: str | None) -> str:
    if needle is not None and bio_lines(line.messages[:-1]).count(needle) != 1:
        return f"the prompt does not hold the needle whole and once ({needle[:80]!r})"
    return ""


def _keys(line: Line) -> dict[str, bytes]:
    """What no two lines of both files may share: a prompt, and a question, which names a person."""
    prompt = [message["content"] for message in line.messages[:-1]]
    question = prompt[-1].rsplit("\n", 1)[-1]
    return {"the prompt": digest("prompt", *prompt), "the question": digest("question", question)}


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Lines with at most `_BATCH_CHARACTERS` of text together, or one line."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        length = sum(len(message["content"]) for message in line.messages)
        if batch and size + length > _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += length
    if batch:
        yield batch
