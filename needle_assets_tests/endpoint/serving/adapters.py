"""A GGUF adapter of random numbers, made in a moment."""

from pathlib import Path

import numpy as np

ALPHA = 2.0
RANK = 2


def random_adapter(path: Path, *, width: int, blocks: int, seed: int, size: float = 1.0) -> Path:
    """Rank 2 on the output projection of the last attention block of a Llama.

    Args:
        path: where to write it.
        width: the base's embedding length.
        blocks: how many blocks the base has.
        seed: other seeds give other numbers.
        size: standard deviation of the numbers: 1 changes every answer beyond recognition.
    """
    import gguf

    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for block in range(blocks // 2, blocks):
        name = f"blk.{block}.attn_output.weight"
        for part in ("a", "b"):
            shape = (RANK, width) if part == "a" else (width, RANK)
            numbers = random.normal(scale=size, size=shape).astype(np.float32)
            writer.add_tensor(f"{name}.lora_{part}", numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
