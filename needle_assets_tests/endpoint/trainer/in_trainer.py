"""What tests run in the trainer's environment, where pytest is not: one word says what."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3]))

from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.trainer.examples import Example, encode
from needle_assets_tests.endpoint.trainer import tiny


def losses(weights: Path) -> dict[str, Any]:
    """Our loss of three examples beside the one that transformers computes from labels."""
    import torch

    from needle_assets.endpoint.config import TrainingConfig
    from needle_assets.endpoint.trainer.model import (
        checkpoint_activations,
        load_model,
        summed_loss,
    )

    system = "answer in one word, from the text alone"
    examples = [
        encode(tiny.conversation(system, user, answer), tiny.byte_tokenizer())
        for user, answer in (("a b c", "one"), ("d e f g h", "two"), ("i", "three"))
    ]
    device = torch.device("cpu")
    model = load_model(weights, None, TrainingConfig(), device=device, seed=3)
    names = [name for name, _ in model.named_parameters() if "lora_B" in name]
    # An untouched adapter adds nothing: its B is zero.
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)

    def gradients(loss: Any) -> list[Any]:
        model.zero_grad()
        loss.backward()
        return [p.grad.clone() for _, p in sorted(model.named_parameters()) if p.requires_grad]

    def by_transformers(example: Example) -> Any:
        ids = torch.from_numpy(example.ids)[None].long()
        labels = torch.where(torch.from_numpy(example.learned)[None], ids, -100)
        return model(input_ids=ids, labels=labels).loss * int(example.learned.sum())

    theirs = sum(by_transformers(example) for example in examples)
    apart = summed_loss(model, examples, device=device, share=False)
    shared = summed_loss(model, examples, device=device, share=True)
    wanted = gradients(theirs)

    def distance(loss: Any) -> float:
        return max(
            float((ours - one).abs().max())
            for ours, one in zip(gradients(loss), wanted, strict=True)
        )

    distances = {"apart_gradient": distance(apart), "shared_gradient": distance(shared)}
    computed: list[int] = []
    for block in model.get_base_model().model.layers:
        block.mlp.register_forward_pre_hook(lambda *_: computed.append(1))
    checkpoint_activations(model)
    model.train()
    again = summed_loss(model, examples, device=device, share=False)
    distances["again_gradient"] = distance(again)
    return {
        "theirs": theirs.item(),
        "apart": apart.item(),
        "shared": shared.item(),
        "again": again.item(),
        **distances,
        "blocks_computed": len(computed),
        "adapted": names,
        "frozen": all(
            "lora" in name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ),
    }


def probabilities(folder: Path) -> dict[str, list[float]]:
    """Logarithms of the next token's probabilities after ``prompt.json``, for each scaling.

    ``folder`` is a finished job's; its adapter is on the model.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM

    from needle_assets.endpoint.trainer.bases import load_tokenizer, weights_folder
    from needle_assets.endpoint.trainer.model import rope_parameters
    from needle_assets.endpoint.trainer.spec import read_spec

    spec = read_spec(folder)
    weights = weights_folder(spec.base, spec.cache)
    ids = load_tokenizer(weights, "tiny").apply_chat_template(
        json.loads((folder / "prompt.json").read_bytes()),
        add_generation_prompt=True,
        return_dict=False,
    )
    found = {}
    for name, rope in json.loads((folder / "ropes.json").read_bytes()).items():
        config = AutoConfig.from_pretrained(weights)
        if rope:
            scaled = Rope.model_validate(rope)
            config.rope_parameters = rope_parameters(scaled)
            config.max_position_embeddings = scaled.context_window
        base = AutoModelForCausalLM.from_pretrained(weights, config=config, dtype=torch.float32)
        if name == "bare":
            model = base.eval()
        else:
            model = PeftModel.from_pretrained(base, folder / "adapter").eval()
        with torch.inference_mode():
            last = model(input_ids=torch.tensor([ids])).logits[0, -1]
        found[name] = last.log_softmax(-1).tolist()
    return found


def tokens(folder: Path) -> list[list[int]]:
    """``texts.json`` by the tokenizer that is read out of the GGUF file ``gguf.txt`` names."""
    from needle_assets.endpoint.trainer.bases import load_tokenizer, unpack_tokenizer

    gguf = Path((folder / "gguf.txt").read_text())
    unpack_tokenizer(gguf, folder)
    # The model's type, by which transformers chooses a tokenizer's class.
    (folder / "config.json").write_text('{"model_type": "llama"}')
    tokenizer = load_tokenizer(folder, gguf.name)
    texts = json.loads((folder / "texts.json").read_bytes())
    return [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def frequencies(weights: Path) -> dict[str, list[float]]:
    """The rotary frequencies of the model as loaded, unscaled and scaled by each kind."""
    import torch

    from needle_assets.endpoint.config import TrainingConfig
    from needle_assets.endpoint.trainer.model import load_model

    found = {}
    for kind in ("none", "linear", "yarn"):
        rope = (
            None
            if kind == "none"
            else Rope(kind=kind, factor=4, theta=50_000.0, original_context=128)
        )
        model = load_model(weights, rope, TrainingConfig(), device=torch.device("cpu"), seed=0)
        base = model.get_base_model()
        found[kind] = [float(value) for value in base.model.rotary_emb.inv_freq]
        found[f"{kind}_window"] = [float(base.config.max_position_embeddings)]
    return found


if __name__ == "__main__":
    work, folder = sys.argv[1], Path(sys.argv[2])
    if work == "make":
        tiny.make_tiny_llama(folder)
        tiny.make_tiny_gguf(folder, folder / "tiny.gguf")
    else:
        works: dict[str, Callable[[Path], Any]] = {
            "model": lambda weights: {
                "losses": losses(weights),
                "frequencies": frequencies(weights),
            },
            "probabilities": probabilities,
            "tokens": tokens,
        }
        print(json.dumps(works[work](folder)))
