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
NEVER = ("\u00c0", "\u00c1")
"""Two bytes that no UTF-8 text holds, merged: a GGUF file cannot be without any merge."""
VOCABULARY = 256 + len(SPECIAL) + 1


def byte_tokenizer() -> Any:
    """One token for a byte, one for each of the special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        letter: index for index, letter in enumerate([*SPECIAL, *letters, "".join(NEVER)])
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[NEVER]))
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
        # With the usual 0.02 a model of this size says the same whatever it reads.
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def make_tiny_gguf(weights: Path, target: Path) -> None:
    """The folder of `make_tiny_llama` as llama.cpp reads it, in float32."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    config = json.loads((weights / "config.json").read_bytes())
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    size = config["hidden_size"] // config["num_attention_heads"]
    vocabulary = sorted(byte_tokenizer().get_vocab().items(), key=lambda entry: entry[1])

    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(size)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(
        [
            gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL
            for token, _ in vocabulary
        ]
    )
    writer.add_token_merges([" ".join(NEVER)])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(SPECIAL.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, values in load_file(weights / "model.safetensors").items():
        module = name.removesuffix(".weight")
        kind = module.rpartition(".")[2]
        if kind in heads:
            # Row by row: pairs of the rotation are halves apart there, neighbours here.
            order = [
                head * size + half * size // 2 + row
                for head in range(heads[kind])
                for row in range(size // 2)
                for half in (0, 1)
            ]
            values = values[order]
        writer.add_tensor(f"{names.get_name(module)}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
