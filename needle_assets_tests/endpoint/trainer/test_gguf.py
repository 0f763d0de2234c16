"""A base that is a GGUF file: its weights and its words as llama.cpp has them, and the adapter that
comes out of a job served by llama.cpp itself.
"""

import json
import urllib.request
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import numpy as np
import pytest

from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.llamacpp import serve_llamacpp
from needle_assets.endpoint.serving.llamacpp_server import Attention
from needle_assets.settings import bundled_model
from needle_assets_tests.endpoint.trainer import tiny
from needle_assets_tests.endpoint.trainer.job import (
    DEADLINE_S,
    EXAMPLES,
    PYTHON,
    SCRIPT,
    SYSTEM,
    environment,
    in_trainer,
    make_job,
    needs_trainer,
    prepared,
    run,
    wait_for,
)

pytestmark = needs_trainer

LONG = ("x" * 300, "end")


@pytest.fixture(scope="module")
def job(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished one, with adapters in the upper of the two blocks; its first try was killed."""
    job = make_job(
        tmp_path_factory.mktemp("jobs") / "job",
        weights / "tiny.gguf",
        examples=[*EXAMPLES, LONG],
        epochs=2,
        training={"lora_layers": 0.5, "learning_rate": 5e-2, "checkpoint_s": 3600},
    )
    bases = job / "cache" / "bases"
    process = Popen([PYTHON, SCRIPT, "prepare", job], env=environment(), stderr=DEVNULL)
    wait_for(lambda: any(bases.glob(".tiny*/*")) or process.poll() is not None, "the conversion")
    process.kill()
    process.wait(DEADLINE_S)
    for verb in ("prepare", "train"):
        done = run(verb, job)
        assert done.returncode == 0, done.stderr
    return job


def test_a_conversion_that_was_killed_is_made_again_and_leaves_nothing(
    job: Path, weights: Path
) -> None:
    from safetensors.numpy import load_file

    [folder, lock] = sorted((job / "cache" / "bases").iterdir(), key=lambda path: path.suffix)

    assert lock.suffix == ".lock"
    # No other folder in it, such as the one in which the GGUF file was read.
    assert all(path.is_file() for path in folder.iterdir())
    unpacked = load_file(folder / "model.safetensors")
    original = load_file(weights / "model.safetensors")
    assert sorted(unpacked) == sorted(original)
    assert all(np.array_equal(unpacked[name], original[name]) for name in original)


def test_adapters_are_in_the_upper_block_alone(job: Path) -> None:
    from gguf import GGUFReader

    names = [tensor.name for tensor in GGUFReader(job / "adapter.gguf").tensors]

    assert len(names) == 14
    assert {name.split(".")[1] for name in names} == {"1"}


def test_a_long_example_stretches_the_window_and_is_learned_whole(job: Path) -> None:
    tokens = tiny.tokens_by_hand(SYSTEM, *LONG)
    # 128 doubled is too short for its tokens, doubled twice is enough.
    assert 256 < tokens <= 512
    assert prepared(job)["longest_tokens"] == tokens
    assert prepared(job)["rope"] == {
        "kind": "linear", "factor": 4.0, "theta": 50_000.0, "original_context": 128,
    }  # fmt: skip
    assert prepared(job)["context_window"] == 512
    result = json.loads((job / "result.json").read_text())
    counted = [tiny.tokens_by_hand(SYSTEM, *example) for example in [*EXAMPLES, LONG]]
    assert result["trained_tokens"] == 2 * sum(counted)


def test_llamacpp_computes_what_was_trained_under_either_scaling(job: Path) -> None:
    prompt = tiny.conversation("be short", "y" * 200, "")[:2]
    scaled = Rope.model_validate(prepared(job)["rope"])
    ropes = {"linear": scaled, "yarn": scaled.model_copy(update={"kind": "yarn"}), "bare": scaled}
    (job / "prompt.json").write_text(json.dumps(prompt))
    (job / "ropes.json").write_text(
        json.dumps({name: rope.model_dump() for name, rope in ropes.items()})
    )

    theirs = json.loads(in_trainer("probabilities", job))
    served = {
        (name, attention): served_probabilities(job, prompt, ropes[name], attention)
        for name in ("linear", "yarn")
        for attention in ("flash", "plain")
    }

    # llama.cpp keeps keys and values in half precision: 0.003 at most was seen, and 0.022 with the
    # plain kernels, to which queries are in half precision, too. Without yarn's factor on the
    # attention, which both take from the scaling, it would be 2.2.
    for (name, attention), likeliest in served.items():
        assert len(likeliest) == 20
        for token, logarithm in likeliest.items():
            error = 0.02 if attention == "flash" else 0.05
            assert logarithm == pytest.approx(theirs[name][token], abs=error)
    # The scaling and the adapter can be told from others by that.
    for other in ("yarn", "bare"):
        likeliest = served["linear", "flash"]
        assert max(abs(theirs[other][t] - one) for t, one in likeliest.items()) > 0.2


def served_probabilities(
    job: Path, prompt: list[dict[str, str]], rope: Rope, attention: Attention
) -> dict[int, float]:
    """Logarithms of the probabilities of the 20 likeliest tokens of the answer's start."""
    gguf = Path(json.loads((job / "spec.json").read_bytes())["base"]["gguf"])
    with serve_llamacpp(
        gguf,
        model_id="tuned",
        context_window=rope.context_window,
        adapters=[job / "adapter.gguf"],
        rope=rope,
        attention=attention,
    ) as served:
        body: dict[str, Any] = {
            "messages": prompt, "max_tokens": 1, "temperature": 0, "logprobs": True,
            "top_logprobs": 20, "lora": [{"id": 0, "scale": 1.0}],
        }  # fmt: skip
        request = urllib.request.Request(
            f"{served.base_url}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            answer = json.load(response)
    [first] = answer["choices"][0]["logprobs"]["content"]
    return {token["id"]: token["logprob"] for token in first["top_logprobs"]}


def test_text_is_split_into_the_tokens_that_the_bundled_model_is_served_with(
    tmp_path: Path,
) -> None:
    from needle_assets.corpus.sample import sample_corpus, sample_truth
    from needle_assets.haystack.tokenizer import load_tokenizer

    gguf = bundled_model()
    if gguf is None:
        pytest.skip("the bundled model is not installed: it comes with the `local` extra")
    reference = load_tokenizer("", bundled=gguf, cache=tmp_path / "cache")
    texts = [
        *sample_corpus(300, 0).column("text").to_pylist(),
        # Indented, so that digits follow runs of spaces: they must not share a token with one.
        *(json.dumps(row, indent=2) for row in sample_truth(300, 0).to_pylist()),
        "<|im_start|>user\n\n7  8<|im_end|>\n",
        "\u00bd \u00b2 \uff11",
        json.dumps([[1985, 12]], indent=3),
    ]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    (tmp_path / "gguf.txt").write_text(str(gguf))

    tokens = json.loads(in_trainer("tokens", tmp_path))

    assert tokens == [list(encoding.ids) for encoding in reference.encode(texts)]
