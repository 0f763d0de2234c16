import hashlib
import json

import pyarrow as pa
import pytest

from needle_assets.finetune.dataset import build_dataset, validate_jsonl
from needle_assets.finetune.errors import FinetuneError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK

LABEL = (
    '{"nationality":"Swiss","date_of_birth":{"day":1,"month":3,"year":1950},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


def haystacks() -> pa.Table:
    def prompt(name: str) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": "extract"},
            {"role": "user", "content": f"josé {name} is a swiss rower .\nwho is {name} ?"},
        ]

    return pa.table(
        {
            "split": ["train", "test", "train", "validation"],
            "messages": [prompt(name) for name in ("ann", "bob", "cia", "dov")],
            "label": [LABEL] * 4,
            "prompt_tokens": [100, 999, 120, 90],
        }
    )


def line(*messages: tuple[str, str]) -> bytes:
    listed = [{"role": role, "content": content} for role, content in messages]
    return json.dumps({"messages": listed}).encode()


GOOD = line(("system", "s"), ("user", "u"), ("assistant", LABEL))


def test_examples_of_the_split_alone_are_written_in_order(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    dataset = build_dataset(
        haystacks(), "train", task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer
    )
    examples = [json.loads(row)["messages"] for row in dataset.content.splitlines()]
    assert [messages[1]["content"].split()[1] for messages in examples] == ["ann", "cia"]
    assert [[m["role"] for m in messages] for messages in examples] == [
        ["system", "user", "assistant"]
    ] * 2
    assert all(messages[-1]["content"] == LABEL for messages in examples)
    assert dataset.content.endswith(b"\n")
    assert "josé".encode() in dataset.content


def test_counts_and_hash_are_those_of_the_bytes(reference_tokenizer: ReferenceTokenizer) -> None:
    dataset = build_dataset(
        haystacks(), "train", task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer
    )
    answer = int(reference_tokenizer.count([LABEL])[0])
    assert dataset.examples == 2
    assert dataset.tokens == 100 + 120 + 2 * answer
    assert dataset.longest_example == 120 + answer
    assert dataset.sha256 == hashlib.sha256(dataset.content).hexdigest()


def test_a_split_without_rows_is_an_empty_file(reference_tokenizer: ReferenceTokenizer) -> None:
    none = haystacks().slice(1, 1)
    dataset = build_dataset(none, "train", task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer)
    assert (dataset.content, dataset.examples, dataset.longest_example) == (b"", 0, 0)


def test_the_answer_is_canonical_json_not_a_python_dict() -> None:
    as_python = str(json.loads(LABEL))
    reordered = json.dumps(dict(reversed(json.loads(LABEL).items())), separators=(",", ":"))
    for answer, complaint in ((as_python, "not a biography label"), (reordered, "not canonical")):
        bad = line(("system", "s"), ("user", "u"), ("assistant", answer))
        with pytest.raises(FinetuneError, match=f"train dataset, line 2: .*{complaint}"):
            validate_jsonl(GOOD + b"\n" + bad, task=BIOGRAPHY_TASK, name="train")


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"{", "expected an object with messages"),
        (b"[1]", "expected an object with messages"),
        (b'{"messages": 3}', "expected an object with messages"),
        (line(("user", "u"), ("assistant", LABEL)), "expected roles"),
        (line(("system", "s"), ("assistant", LABEL), ("user", "u")), "expected roles"),
        (line(("system", "s"), ("user", ""), ("assistant", LABEL)), "empty"),
        (GOOD, "repeats line 1"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, complaint: str) -> None:
    with pytest.raises(FinetuneError, match=f"line 2: .*{complaint}"):
        validate_jsonl(GOOD + b"\n" + bad + b"\n", task=BIOGRAPHY_TASK, name="train")
