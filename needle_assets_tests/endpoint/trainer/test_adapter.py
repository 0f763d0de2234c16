"""The GGUF adapter: names, shapes, and the order of rows that llama.cpp's rotation expects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from needle_assets.endpoint.trainer.adapter import export_gguf, permuted
from needle_assets.endpoint.trainer.spec import TrainerError

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def rotated_halves(x: npt.NDArray[np.float64], angles: Any) -> npt.NDArray[np.float64]:
    """transformers' rotation of one head: dimension i with dimension i + half."""
    half = len(x) // 2
    first, second = x[:half], x[half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin])


def rotated_neighbours(x: npt.NDArray[np.float64], angles: Any) -> npt.NDArray[np.float64]:
    """llama.cpp's rotation of one head: dimension 2i with dimension 2i + 1."""
    cos, sin = np.cos(angles), np.sin(angles)
    turned = np.empty_like(x)
    turned[0::2] = x[0::2] * cos - x[1::2] * sin
    turned[1::2] = x[1::2] * cos + x[0::2] * sin
    return turned


def test_rows_of_a_head_are_interleaved() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]  # two heads of four dimensions

    assert permuted(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_attention_scores_are_the_same_under_either_rotation() -> None:
    dice = np.random.default_rng(0)
    query, key = dice.normal(size=(2, 8))
    angles = [np.array([2.0, 0.2, 0.02, 0.002]) * place for place in (3, 11)]

    ours = rotated_halves(query, angles[0]) @ rotated_halves(key, angles[1])
    theirs = rotated_neighbours(permuted(query, 1), angles[0]) @ rotated_neighbours(
        permuted(key, 1), angles[1]
    )

    assert theirs == pytest.approx(ours)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    from safetensors.numpy import save_file

    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 6}))
    stem = "base_model.model.model.layers.0"
    rows = np.arange(32, dtype=np.float32).reshape(16, 2)
    save_file(
        {
            f"{stem}.self_attn.q_proj.lora_A.weight": np.ones((2, 16), np.float32),
            f"{stem}.self_attn.q_proj.lora_B.weight": rows,
            f"{stem}.self_attn.k_proj.lora_B.weight": rows[:8],
            f"{stem}.mlp.down_proj.lora_B.weight": rows,
        },
        folder / "adapter_model.safetensors",
    )
    return folder


def test_tensors_have_llamacpps_names_and_rows(adapter: Path, tmp_path: Path) -> None:
    from gguf import GGUFReader

    export_gguf(adapter, CONFIG, tmp_path / "adapter.gguf")

    reader = GGUFReader(tmp_path / "adapter.gguf")
    fields = {
        name: reader.fields[name].contents()
        for name in (
            "general.architecture", "general.type", "adapter.type", "adapter.lora.alpha",
        )
    }  # fmt: skip
    assert fields == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 6.0,
    }
    tensors = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    assert sorted(tensors) == [
        "blk.0.attn_k.weight.lora_b",
        "blk.0.attn_q.weight.lora_a",
        "blk.0.attn_q.weight.lora_b",
        "blk.0.ffn_down.weight.lora_b",
    ]
    assert tensors["blk.0.attn_q.weight.lora_a"].shape == (2, 16)
    # Four heads of the queries and two of the keys, four dimensions each; the rest as it was.
    first_column = [row * 2 for row in (0, 2, 1, 3, 4, 6, 5, 7)]
    assert tensors["blk.0.attn_k.weight.lora_b"][:, 0].tolist() == first_column
    assert tensors["blk.0.attn_q.weight.lora_b"][:8, 0].tolist() == first_column
    assert tensors["blk.0.ffn_down.weight.lora_b"][:, 0].tolist() == list(range(0, 32, 2))


def test_a_base_that_llamacpp_names_otherwise_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="adapters of gpt2 cannot be written"):
        export_gguf(adapter, {**CONFIG, "model_type": "gpt2"}, tmp_path / "adapter.gguf")

    assert not (tmp_path / "adapter.gguf").exists()
