import hashlib
import json
from typing import Any

import pyarrow as pa
import pytest

from needle_assets.finetune.dataset import build_dataset, validate_jsonl
from needle_assets.finetune.errors import FinetuneError
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.haystack.invented import build, corpus

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
            "example_id": [f"example-{number}" for number in range(4)],
            "split": ["train", "test", "train", "validation"],
            "needle": [f"josé {name} is a swiss rower ." for name in ("ann", "bob", "cia", "dov")],
            "messages": [prompt(name) for name in ("ann", "bob", "cia", "dov")],
            "label": [LABEL] * 4,
            "prompt_tokens": [100, 999, 120, 90],
        }
    )


def line(*messages: tuple[str, str]) -> bytes:
    listed = [{"role": role, "content": content} for role, content in messages]
    return json.dumps({"messages": listed}).encode()


OTHER = LABEL.replace("Swiss", "French")
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
    """Fault: training target written as Python `str(dict)`, key order varying."""
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
        # The same prompt with another answer teaches a contradiction.
        (line(("system", "s"), ("user", "u"), ("assistant", OTHER)), "repeats line 1"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, complaint: str) -> None:
    with pytest.raises(FinetuneError, match=f"line 2: .*{complaint}"):
        validate_jsonl(GOOD + b"\n" + bad + b"\n", task=BIOGRAPHY_TASK, name="train")


def test_a_prompt_without_its_whole_needle_is_refused(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    """Fault: needle cut or damaged in the training set (tokens subtracted as characters)."""
    whole = haystacks()
    longer = pa.array([f"{needle} he won ." for needle in whole["needle"].to_pylist()])
    cut = whole.set_column(whole.column_names.index("needle"), "needle", longer)
    with pytest.raises(FinetuneError, match="train dataset, example example-0: .* needle whole"):
        build_dataset(cut, "train", task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer)


@pytest.fixture(scope="module")
def files(reference_tokenizer: ReferenceTokenizer) -> dict[str, list[dict[str, Any]]]:
    """Training and validation files of 1024 tokens, with shorter examples among them."""
    table = build(
        reference_tokenizer, 1024, train_examples=70, validation_examples=30, short_share=0.25
    )
    return {
        split: [
            json.loads(row)
            for row in build_dataset(
                table, split, task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer
            ).content.splitlines()
        ]
        for split in ("train", "validation")
    }


def test_every_training_example_is_another_one(files: dict[str, list[dict[str, Any]]]) -> None:
    """Fault: training file of 4,940 rows holds 760 distinct examples."""
    for split, rows in (("train", 70), ("validation", 30)):
        prompts = [example["messages"][1]["content"] for example in files[split]]
        questions = {prompt.rsplit("\n", 1)[1] for prompt in prompts}
        assert len(prompts) == len(set(prompts)) == len(questions) == rows


def test_training_answers_have_one_key_order(files: dict[str, list[dict[str, Any]]]) -> None:
    """Fault: training target written as Python `str(dict)`, key order varying (5 orders)."""
    fields = ["nationality", "date_of_birth", "date_of_death", "sportsperson", "politician"]
    for example in files["train"]:
        answer = json.loads(example["messages"][2]["content"])
        assert list(answer) == fields
        assert all(list(answer[date]) == ["day", "month", "year"] for date in fields[1:3])


def test_validation_shares_no_biography_with_training(
    files: dict[str, list[dict[str, Any]]],
) -> None:
    """Fault: validation file drawn from training needles; files for two lengths empty."""
    used = {
        split: {
            bio
            for example in examples
            for bio in example["messages"][1]["content"].split("\n")[:-1]
        }
        for split, examples in files.items()
    }
    assert used["validation"]
    assert not used["validation"] & used["train"]


def test_training_needles_are_whole_biographies(
    files: dict[str, list[dict[str, Any]]], reference_tokenizer: ReferenceTokenizer
) -> None:
    """Fault: needle cut or damaged in the 4k training set (7.5 %)."""
    bios = corpus(reference_tokenizer)[0]
    text_of = dict(zip(bios["name"].to_pylist(), bios["bio"].to_pylist(), strict=True))
    for example in files["train"]:
        *lines, question = example["messages"][1]["content"].split("\n")
        name = question.removeprefix("Give the JSON for ").removesuffix(".")
        assert lines.count(text_of[name]) == 1
