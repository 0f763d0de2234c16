"""The fine-tuning dataset: OpenAI's chat JSONL, written from haystacks and checked as bytes.

Where the file goes is decided in `upload`.
"""

import hashlib
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.finetune.errors import FinetuneError
from needle_assets.haystack.messages import bio_lines, training_messages
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import LabelError, Task
from needle_assets.seeding import digest

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Dataset:
    """One validated JSONL file, ready to be sent."""

    split: str
    content: bytes
    sha256: str
    examples: int
    tokens: int
    """Reference tokens of all prompts and answers."""
    longest_example: int
    """Reference tokens of the longest example, answer included."""


def build_dataset(
    haystacks: pa.Table, split: str, *, task: Task, tokenizer: ReferenceTokenizer
) -> Dataset:
    """The examples of one split as chat JSONL: system, user, assistant with canonical JSON.

    Raises:
        FinetuneError: a prompt does not hold its needle whole, or as `validate_jsonl`.
    """
    rows = haystacks.filter(pc.field("split") == split)
    _check_needles(rows, split)
    lines = [
        json.dumps({"messages": training_messages(messages, label)}, ensure_ascii=False)
        for messages, label in zip(
            rows["messages"].to_pylist(), rows["label"].to_pylist(), strict=True
        )
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    validate_jsonl(content, task=task, name=split)
    totals = rows["prompt_tokens"].to_numpy() + tokenizer.count(rows["label"].to_pylist())
    return Dataset(
        split=split,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=len(lines),
        tokens=int(totals.sum()),
        longest_example=int(totals.max(initial=0)),
    )


def validate_jsonl(content: bytes, *, task: Task, name: str) -> int:
    """Check the exact bytes that would be uploaded; returns the number of examples.

    Raises:
        FinetuneError: naming the file's line: not JSON, roles other than system, user, assistant,
            an empty message, an answer that is not the task's canonical JSON, or the prompt of an
            earlier line, with whatever answer.
    """
    seen: dict[bytes, int] = {}
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        place = f"{name} dataset, line {number}"
        try:
            messages = json.loads(line)["messages"]
            roles = tuple(message["role"] for message in messages)
            texts = [message["content"] for message in messages]
        except (ValueError, TypeError, KeyError) as error:
            raise FinetuneError(f"{place}: expected an object with messages ({error})") from error
        if roles != _ROLES:
            raise FinetuneError(f"{place}: expected roles {_ROLES}, found {roles}")
        if not all(isinstance(text, str) and text for text in texts):
            raise FinetuneError(f"{place}: a message is empty or not a text")
        _check_answer(texts[-1], task, place)
        if (earlier := seen.setdefault(digest(*texts[:-1]), number)) != number:
            raise FinetuneError(f"{place}: repeats line {earlier}")
    return len(lines)


def _check_needles(rows: pa.Table, split: str) -> None:
    columns = (rows[name].to_pylist() for name in ("example_id", "messages", "needle"))
    for example_id, messages, needle in zip(*columns, strict=True):
        if bio_lines(messages).count(needle) != 1:
            raise FinetuneError(
                f"{split} dataset, example {example_id}: the prompt does not hold the needle "
                f"whole and once ({needle[:80]!r}); materialize haystacks again"
            )


def _check_answer(answer: str, task: Task, place: str) -> None:
    try:
        canonical = task.canonical_json(task.parse(answer))
    except LabelError as error:
        raise FinetuneError(f"{place}: the answer is {error}") from error
    if answer != canonical:
        raise FinetuneError(f"{place}: the answer is not canonical JSON: {answer!r}")
