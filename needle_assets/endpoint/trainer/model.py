"""The base with its positions stretched and LoRA adapters on its linear layers, and its loss.

What is learned when is `plan`'s and `train`'s affair.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from needle_assets.endpoint.config import TrainingConfig
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.trainer.examples import Example, shared_start

_CPU_MEMORY, _GPU_MEMORY = 0.25, 0.5
"""Share of the device's memory that activations may take."""
_CPU_TOKENS = 2048
"""Tokens computed at a time on a CPU: more are no faster."""

_SHARED_LEAST = 16
_SHARED_LONGEST = 4096
"""Longer examples gain little from a shared start, and would need a mask of tokens x tokens."""

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Linear layers of a llama block; peft's "all-linear" cannot be had for some blocks alone."""


def upper_layers(layers: int, share: float) -> list[int]:
    """Numbers of the blocks that get an adapter: the upper ``share``, at least one."""
    return list(range(layers - max(1, round(share * layers)), layers))


def rope_parameters(rope: Rope) -> dict[str, Any]:
    """The scaling as a transformers config says it: whole, since it replaces what stood there."""
    parameters: dict[str, Any] = {
        "rope_type": rope.kind,
        "rope_theta": rope.theta,
        "factor": rope.factor,
    }
    if rope.kind == "yarn":
        parameters["original_max_position_embeddings"] = rope.original_context
    return parameters


@dataclass(frozen=True)
class Budget:
    """What the device's memory allows."""

    tokens: int
    """Computed at a time."""
    checkpointing: bool
    """Whether activations are computed twice instead of kept."""


def budget(config: Any, *, longest: int, memory: int, on_cpu: bool) -> Budget:
    """How many tokens to compute at a time.

    Args:
        config: the base's, of transformers.
        longest: tokens of the longest example.
        memory: of the device, in bytes.
        on_cpu: float32 on a CPU, or else bfloat16 with some float32 on a GPU.
    """
    # Elements kept per token and layer, counted in LlamaDecoderLayer; SmolLM2-135M in float32
    # was seen to take 2.6 MB a token, 2.35 MB by this.
    kept = (18 * config.hidden_size + 6 * config.intermediate_size) * (4 if on_cpu else 3)
    allowed = memory * (_CPU_MEMORY if on_cpu else _GPU_MEMORY)
    tokens = int(allowed / (kept * config.num_hidden_layers))
    checkpointing = longest > tokens
    if checkpointing:
        # The input of every layer, and all of one layer.
        tokens = int(allowed / (config.hidden_size * 4 * config.num_hidden_layers + kept))
    return Budget(min(tokens, _CPU_TOKENS) if on_cpu else tokens, checkpointing)


def checkpoint_activations(model: Any) -> None:
    """Have the blocks compute their activations again for the gradient instead of keeping them."""
    # The reentrant kind would lose the gradients of blocks whose input needs none.
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})


def computes_bfloat16(device: Any) -> bool:
    """Whether matrices are multiplied in bfloat16 (adapter, norms and loss stay in float32).

    On a CPU where it has instructions for it: SmolLM2-135M then took 2.7 ms of one core's time a
    token instead of 5.7, with a loss of 178.0 over four examples instead of 177.2. Without
    them the processor would have to convert every number first.
    """
    import torch

    if device.type != "cpu":
        return bool(device.type == "cuda")
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def load_model(
    weights: Path, rope: Rope | None, training: TrainingConfig, *, device: Any, seed: int
) -> Any:
    """A peft model on ``device``: the base frozen, bfloat16 on a GPU; the adapter in float32."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(weights)
    if rope:
        # Before the model is made: afterwards it would change nothing.
        config.rope_parameters = rope_parameters(rope)
        config.max_position_embeddings = rope.context_window
    base = AutoModelForCausalLM.from_pretrained(
        weights,
        config=config,
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
        attn_implementation="sdpa",
    )
    torch.manual_seed(seed)
    lora = LoraConfig(
        r=training.lora_rank,
        lora_alpha=training.lora_alpha,
        lora_dropout=training.lora_dropout,
        target_modules=list(_LINEAR),
        layers_to_transform=upper_layers(config.num_hidden_layers, training.lora_layers),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, lora).to(device)
    # The cycles that loading leaves are not looked through again at every collection.
    gc.freeze()
    return model


def summed_loss(model: Any, part: Sequence[Example], *, device: Any, share: bool = True) -> Any:
    """Cross entropy summed over the learned tokens of ``part``, in nats, as a tensor.

    The head computes those positions alone. What all examples begin with, such as the system
    prompt, is computed once where that saves more than a tenth: the result is the same. ``share``
    forbids it, as activation checkpointing needs.
    """
    import torch
    from torch.nn.functional import cross_entropy

    base = model.get_base_model()
    decoder, head = base.get_decoder(), base.get_output_embeddings()
    start = _worth_sharing(part) if share else 0
    cache = None
    if start:
        first = torch.from_numpy(part[0].ids[None, :start].astype(np.int64)).to(device)
        cache = decoder(input_ids=first, use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(part))
    # The last token of an example is only ever predicted. Padding on the right needs no mask:
    # no token looks ahead.
    width = max(len(example) for example in part) - 1 - start
    ids = np.zeros((len(part), width), np.int64)
    targets = np.full((len(part), width), -1, np.int64)
    for row, example in enumerate(part):
        length = len(example) - 1 - start
        ids[row, :length] = example.ids[start:-1]
        targets[row, :length] = np.where(example.learned, example.ids, -1)[start + 1 :]
    hidden = decoder(
        input_ids=torch.from_numpy(ids).to(device),
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    learned = torch.from_numpy(np.flatnonzero(targets >= 0)).to(device)
    logits = head(hidden.flatten(0, 1)[learned])
    wanted = torch.from_numpy(targets[targets >= 0]).to(device)
    return cross_entropy(logits.float(), wanted, reduction="sum")


def _worth_sharing(part: Sequence[Example]) -> int:
    """Tokens at the start to compute once for all of ``part``; 0: none."""
    if len(part) < 2 or max(map(len, part)) > _SHARED_LONGEST:
        return 0
    start = shared_start(part)
    saved = start * (len(part) - 1)
    return start if start >= _SHARED_LEAST and saved * 10 >= sum(map(len, part)) else 0
