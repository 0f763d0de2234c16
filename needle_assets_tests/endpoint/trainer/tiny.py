"""A tokenizer of bytes with a chat template, and the files of a job on a Llama of two layers."""

import json
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>"]
VOCABULARY = 256 + len(SPECIAL)


def byte_tokenizer() -> Any:
    """One token for a byte, one for each of the special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=TEMPLATE,
    )


def tokens_by_hand(system: str, user: str, answer: str) -> int:
    """Tokens of an example: bytes of the template's words and of the texts, specials as one."""
    system_turn = 1 + len("system\n") + len(system.encode()) + 1 + len("\n")
    user_turn = 1 + len("user\n") + len(user.encode()) + 1 + len("\n")
    return system_turn + user_turn + 1 + len("assistant\n") + len(answer.encode()) + 1


def conversation(system: str, user: str, answer: str) -> list[dict[str, str]]:
    """The messages of one example."""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": user},
        {"role": "assistant", "content": answer},
    ]


def write_jsonl(path: Path, examples: list[list[dict[str, str]]]) -> None:
    """As a client uploads it."""
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in examples))


def make_tiny_llama(folder: Path) -> None:
    """Write config, weights and tokenizer; runs where torch is."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rope_parameters={"rope_type": "default", "rope_theta": 50_000.0},
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
