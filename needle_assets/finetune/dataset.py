"""The fine-tuning dataset: OpenAI's chat JSONL, written from haystacks and checked as bytes.

Where the file goes is decided in `upload`.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.finetune.errors import FinetuneError
from needle_assets.haystack.messages import Message, bio_lines, training_messages
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import LabelError, Task, unique_keys
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
    needles: tuple[str, ...] = field(default=(), repr=False)
    """The needle of each line, in the file's order; empty where they are not known."""


@dataclass(frozen=True)
class Line:
    """One line of a dataset: an example, or what is wrong with it."""

    number: int
    """From 1."""
    messages: list[Message]
    """Of role and content each; empty where there is a problem."""
    problem: str = ""


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
        needles=tuple(rows["needle"].to_pylist()),
    )


def validate_jsonl(content: bytes, *, task: Task, name: str) -> int:
    """Check the exact bytes that would be uploaded; returns the number of examples.

    Raises:
        FinetuneError: naming the file's first bad line and its problem, as `read_jsonl` finds it.
    """
    count = 0
    for line in read_jsonl(content, task=task):
        if line.problem:
            raise FinetuneError(f"{name} dataset, line {line.number}: {line.problem}")
        count += 1
    return count


def read_jsonl(content: bytes, *, task: Task) -> Iterator[Line]:
    """The lines of a dataset, each looked at by itself and beside those before it.

    Problems: a byte order mark, CR LF, an empty line, no UTF-8, not JSON, roles other than system,
    user, assistant, an empty message, an answer that is not the task's canonical JSON, and the
    prompt of an earlier line, with whatever answer.
    """
    seen: dict[bytes, int] = {}
    for number, raw in enumerate(io.BytesIO(content), start=1):
        try:
            messages = _example(raw.removesuffix(b"\n"), task)
            prompt = digest(*(message["content"] for message in messages[:-1]))
            if (earlier := seen.setdefault(prompt, number)) != number:
                raise _LineError(f"repeats line {earlier}")
        except _LineError as error:
            yield Line(number, [], str(error))
        else:
            yield Line(number, messages)


class _LineError(Exception):
    pass


def _example(raw: bytes, task: Task) -> list[Message]:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _LineError("starts with a byte order mark, which JSON does not allow")
    if raw.endswith(b"\r"):
        raise _LineError("ends in CR LF, expected LF alone")
    if not raw.strip():
        raise _LineError("is empty")
    try:
        messages = json.loads(raw.decode(), object_pairs_hook=unique_keys)["messages"]
        roles = tuple(message["role"] for message in messages)
        texts = [message["content"] for message in messages]
    except (ValueError, TypeError, KeyError) as error:
        raise _LineError(f"expected an object with messages ({error})") from error
    if roles != _ROLES:
        raise _LineError(f"expected roles {_ROLES}, found {roles}")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise _LineError("a message is empty or not a text")
    if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
        raise _LineError("a message holds half a character (a lone surrogate)")
    try:
        canonical = task.canonical_json(task.parse(texts[-1]))
    except LabelError as error:
        raise _LineError(f"the answer is {error}") from error
    if texts[-1] != canonical:
        raise _LineError(f"the answer is not canonical JSON: {texts[-1]!r}")
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


def _check_needles(rows: pa.Table, split: str) -> None:
    columns = (rows[name].to_pylist() for name in ("example_id", "messages", "needle"))
    for example_id, messages, needle in zip(*columns, strict=True):
        if bio_lines(messages).count(needle) != 1:
            raise FinetuneError(
                f"{split} dataset, example {example_id}: the prompt does not hold the needle "
                f"whole and once ({needle[:80]!r}); materialize haystacks again"
            )
