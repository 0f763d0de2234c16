"""Files as tokens: the server's prompt to the letter, and which tokens are learned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from needle_assets.endpoint.trainer.examples import (
    beginning,
    encode,
    encode_file,
    load,
    render,
    save,
    shared_start,
)
from needle_assets.endpoint.trainer.spec import TrainerError
from needle_assets_tests.endpoint.trainer import tiny


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny.byte_tokenizer()


def learned_text(example: Any, tokenizer: Any) -> str:
    return str(tokenizer.decode(example.ids[example.learned]))


def test_prompt_is_the_templates_and_the_answer_with_its_end_is_learned(tokenizer: Any) -> None:
    messages = tiny.conversation("be short", "who?\nmé", '{"a":1}')

    example = encode(messages, tokenizer)

    prompt = tokenizer.decode(example.ids[~example.learned])
    assert prompt == (
        "<|im_start|>system\nbe short<|im_end|>\n<|im_start|>user\nwho?\nmé<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert learned_text(example, tokenizer) == '{"a":1}<|im_end|>'
    assert len(example) == tiny.tokens_by_hand("be short", "who?\nmé", '{"a":1}')


def test_every_answer_of_a_conversation_is_learned_but_those_of_weight_0(tokenizer: Any) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "2"},
        {"role": "assistant", "content": "two", "weight": 0},
        {"role": "user", "content": "3"},
        {"role": "assistant", "content": "three"},
    ]

    example = encode(messages, tokenizer)

    assert learned_text(example, tokenizer) == "one<|im_end|>three<|im_end|>"
    assert tokenizer.decode(example.ids) == (
        "<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\none<|im_end|>\n"
        "<|im_start|>user\n2<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
        "<|im_start|>user\n3<|im_end|>\n<|im_start|>assistant\nthree<|im_end|>"
    )


def test_prompts_begin_as_llamacpp_begins_them() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny.byte_tokenizer()
    messages = tiny.conversation("be short", "say a", "aa")
    assert beginning(tokenizer) == ""
    plain = encode(messages, tokenizer, begin=beginning(tokenizer))

    # One that puts a token before every text, where the template does not.
    tokenizer.bos_token = "<|im_end|>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_end|> $A", special_tokens=[("<|im_end|>", tokenizer.bos_token_id)]
    )
    begun = encode(messages, tokenizer, begin=beginning(tokenizer))

    assert list(begun.ids) == [tokenizer.bos_token_id, *plain.ids]
    assert list(begun.learned) == [False, *plain.learned]
    # Where the template begins with it, it is not there twice.
    rendered = render(messages[:2], tokenizer)
    assert render(messages[:2], tokenizer, begin="<|im_start|>") == rendered


def test_a_line_that_is_no_chat_is_named(tmp_path: Path, tokenizer: Any) -> None:
    path = tmp_path / "training.jsonl"
    tiny.write_jsonl(path, [tiny.conversation("s", "u", "a")])
    with path.open("a") as file:
        file.write('{"messages": [{"role": "user", "content": "no answer"}]}\n')

    with pytest.raises(TrainerError, match="Line 2 of the training file") as refused:
        encode_file(path, tokenizer, "training_file")

    assert refused.value.line == 2


def test_kept_tokens_come_back(tmp_path: Path, tokenizer: Any) -> None:
    examples = [encode(tiny.conversation("s", word, word), tokenizer) for word in ("a", "bcd")]

    save(tmp_path / "tokens.npz", examples)
    save(tmp_path / "none.npz", [])

    back = load(tmp_path / "tokens.npz")
    assert [list(example.ids) for example in back] == [list(example.ids) for example in examples]
    assert [list(one.learned) for one in back] == [list(one.learned) for one in examples]
    assert load(tmp_path / "none.npz") == []


def test_examples_share_what_they_begin_with_up_to_the_first_answer(tokenizer: Any) -> None:
    examples = [encode(tiny.conversation("be short", u, "x"), tokenizer) for u in ("ab", "ac")]

    start = shared_start(examples)

    shared = "<|im_start|>system\nbe short<|im_end|>\n<|im_start|>user\na"
    assert tokenizer.decode(examples[0].ids[:start]) == shared
    # Alike to the end: the token that predicts the first learned one is not shared.
    alike = shared_start([examples[0], examples[0]])
    assert alike == int(np.flatnonzero(examples[0].learned)[0]) - 1
