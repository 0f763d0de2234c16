"""Whether a tuned model answers alike served by llama.cpp and computed by transformers.

    .venv/bin/python benchmarks/adapter_agreement.py JOB_FOLDER HAYSTACKS.parquet...

asks both the same test questions, without a grammar and greedily, and compares their mean field
scores. JOB_FOLDER is one of the endpoint's, with its ``spec.json``, ``adapter`` and
``adapter.gguf``; the transformers half runs in the trainer's environment, as this same file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ANSWER_TOKENS = 120
BATCH = 8
WINDOW = 8192
"""Tokens served at most: the KV cache is allocated at once."""
WITHIN = 0.05


def answers_of_transformers(folder: Path, prompts: Sequence[list[dict[str, str]]]) -> list[str]:
    """Greedy answers of the base's weights with the peft adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM

    from needle_assets.endpoint.trainer.bases import load_tokenizer, weights_folder
    from needle_assets.endpoint.trainer.examples import beginning, render
    from needle_assets.endpoint.trainer.model import rope_parameters
    from needle_assets.endpoint.trainer.spec import read_prepared, read_spec

    spec, prepared = read_spec(folder), read_prepared(folder)
    weights = weights_folder(spec.base, spec.cache)
    tokenizer = load_tokenizer(weights, spec.base.name)
    config = AutoConfig.from_pretrained(weights)
    if prepared.rope:
        config.rope_parameters = rope_parameters(prepared.rope)
        config.max_position_embeddings = prepared.rope.context_window
    base = AutoModelForCausalLM.from_pretrained(weights, config=config, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    tokenizer.padding_side = "left"
    begin = beginning(tokenizer)
    answers = []
    for start in range(0, len(prompts), BATCH):
        texts = [
            render(prompt, tokenizer, begin=begin) for prompt in prompts[start : start + BATCH]
        ]
        given = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            made = model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )
        new = made[:, given["input_ids"].shape[1] :]
        answers += tokenizer.batch_decode(new, skip_special_tokens=True)
    return answers


def answers_of_llamacpp(folder: Path, prompts: Sequence[list[dict[str, str]]]) -> list[str]:
    """Greedy answers of the base's GGUF file with the GGUF adapter."""
    from openai import OpenAI

    from needle_assets.endpoint.rope import Rope
    from needle_assets.endpoint.serving.llamacpp import serve_llamacpp

    spec = json.loads((folder / "spec.json").read_bytes())
    prepared = json.loads((folder / "prepared.json").read_bytes())
    if prepared["rope"]:
        prepared["rope"] = Rope.model_validate(prepared["rope"])
    answers = []
    with serve_llamacpp(
        Path(spec["base"]["gguf"]),
        model_id="tuned",
        context_window=min(prepared["context_window"], WINDOW),
        adapters=[folder / "adapter.gguf"],
        rope=prepared["rope"],
    ) as served:
        client = OpenAI(base_url=served.base_url, api_key="none", timeout=600)
        for prompt in prompts:
            messages: Any = prompt
            reply = client.chat.completions.create(
                model=served.model_id,
                messages=messages,
                temperature=0,
                seed=0,
                max_tokens=ANSWER_TOKENS,
                extra_body={"lora": [{"id": 0, "scale": 1.0}]},
            )
            answers.append(reply.choices[0].message.content or "")
    return answers


def main() -> int:
    """Ask both, print the scores; exit status 1 where they differ by more than 0.05."""
    root = Path(__file__).resolve().parents[1]
    if sys.argv[1:2] == ["--transformers"]:
        sys.path.append(str(root))
        prompts = json.loads(Path(sys.argv[3]).read_text())
        Path(sys.argv[4]).write_text(
            json.dumps(answers_of_transformers(Path(sys.argv[2]), prompts))
        )
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("haystacks", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--python", type=Path, default=root / ".venv-train" / "bin" / "python")
    asked = parser.parse_args()

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from needle_assets.evaluation.scoring import score_answer
    from needle_assets.labels.biography import BIOGRAPHY_TASK

    tables = [
        pq.read_table(path, columns=["split", "messages", "label"]) for path in asked.haystacks
    ]
    rows = pa.concat_tables(tables).filter(pc.field("split") == "test").slice(0, asked.questions)
    if len(rows) < asked.questions:
        parser.error(f"{asked.questions} questions were asked for, there are {len(rows)}")
    prompts, labels = rows["messages"].to_pylist(), rows["label"].to_pylist()

    def mean(answers: Sequence[str]) -> float:
        scores = [
            score_answer(BIOGRAPHY_TASK, label, answer).score
            for label, answer in zip(labels, answers, strict=True)
        ]
        return sum(scores) / len(scores)

    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch, "prompts.json"), Path(scratch, "answers.json")
        given.write_text(json.dumps(prompts))
        words = [asked.python, __file__, "--transformers", asked.job, given, found]
        subprocess.run(words, check=True)
        theirs = json.loads(found.read_text())
    served = answers_of_llamacpp(asked.job, prompts)
    same = sum(one.strip() == two.strip() for one, two in zip(served, theirs, strict=True))
    difference = mean(served) - mean(theirs)
    print(
        f"{len(labels)} questions: llama.cpp {mean(served):.3f}, transformers {mean(theirs):.3f}, "
        f"difference {difference:+.3f}; {same} answers alike to the letter"
    )
    return 0 if abs(difference) <= WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
