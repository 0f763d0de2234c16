"""The process that holds llama.cpp's HTTP server; `llamacpp` starts it and watches over it.

It reads its options as one JSON line from stdin, answers with one JSON line on stdout, and serves
until stdin ends. Nothing here may import more than the server needs.
"""

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from typing import Any, Literal

Attention = Literal["auto", "plain", "flash"]

_PLAIN_UP_TO = 8192
"""Largest window of which a processor reads the cache with the plain kernels.

Flash attention takes queries one by one unless there are 64 at once, so that each token of an
answer reads the whole cache for itself. What `benchmarks/prefix_sharing.py --attention` measured on
2 cores with SmolLM2-135M, in seconds:

    context length   first question of a haystack   each further one   ten, on average
             1,024      plain 2.9, flash 2.5            0.61, 0.75         0.84, 0.93
             2,048            6.8, 5.9                  0.69, 1.06         1.30, 1.54
             4,096           17.5, 14.1                 0.80, 1.51         2.47, 2.78

At 7,100 tokens ten questions took as long with either. Queries meet the plain kernels in half
precision: with unquantised weights log probabilities erred by up to 0.022, and by 0.003 with flash
attention (`trainer/test_gguf.py`). The scores of all queries of a batch against the whole cache
have to be in memory at once, 16 MB a head at this window: larger ones are left to flash attention.
"""


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """What the server is started with. They go through a pipe: a command line shows keys."""

    model_path: str
    model_id: str
    context_window: int
    """Tokens of prompt and answer together, for each of the parallel requests."""
    parallel: int
    threads: int | None
    """None: as many as there are physical cores."""
    api_key: str | None
    adapters: list[str] = dataclasses.field(default_factory=list)
    """GGUF adapters: loaded, applied to the requests that ask for them by their place here."""
    rope: dict[str, Any] | None = None
    """The fields of a `Rope`: kind, factor, theta, original_context."""
    prefix_cache: bool = True
    attention: Attention = "auto"


def llama_parameters(options: ServerOptions) -> Any:
    """The options as llama.cpp's own ``CommonParams``."""
    from xllamacpp import CommonAdapterLoraInfo, CommonParams

    parameters = CommonParams()
    parameters.model.path = options.model_path
    parameters.model_alias = {options.model_id}
    # Port 0: the system gives a free one, which no other process can take in between.
    parameters.port = 0
    parameters.api_keys = [options.api_key] if options.api_key else []
    parameters.ui = False
    # llama.cpp divides the context among the slots.
    parameters.n_ctx = options.context_window * options.parallel
    parameters.n_parallel = options.parallel
    # It may shrink the context to what memory holds; better to fail than to serve less.
    parameters.fit_params = False
    # A prompt that is too long must be an error, not be cut in silence.
    parameters.ctx_shift = False
    parameters.cache_prompt = options.prefix_cache
    # Slots keep their prefix. A second store of prompts that left their slot would grow by the
    # KV cache of each haystack (188 MB at 8,192 tokens) and none of them comes back.
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    parameters.sampling.seed = 0
    _attend(parameters, options)
    _decode_fast(parameters)
    if options.threads:
        parameters.cpuparams.n_threads = options.threads
        parameters.cpuparams_batch.n_threads = options.threads
    # Scale 0: unlisted means not applied.
    parameters.lora_init_without_apply = True
    parameters.lora_adapters = [CommonAdapterLoraInfo(path, 0.0) for path in options.adapters]
    if options.rope:
        _stretch(parameters, **options.rope)
    return parameters


def _attend(parameters: Any, options: ServerOptions) -> None:
    """Choose the attention kernels: on a processor, those that read a long prompt's cache fast."""
    from xllamacpp import get_device_info, ggml_backend_dev_type, llama_flash_attn_type

    processor = ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    on_processor = all(device["type"] == processor for device in get_device_info())
    plain = on_processor and options.context_window <= _PLAIN_UP_TO
    types = llama_flash_attn_type
    parameters.flash_attn_type = {
        "auto": types.LLAMA_FLASH_ATTN_TYPE_DISABLED if plain else parameters.flash_attn_type,
        "plain": types.LLAMA_FLASH_ATTN_TYPE_DISABLED,
        "flash": types.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    }[options.attention]


def _decode_fast(parameters: Any) -> None:
    """Guess what comes next: decoding is most of the time of a sweep."""
    from xllamacpp import common_speculative_type

    # Of an answer in JSON most tokens are its keys, which stand in the instructions: a guess from
    # the prompt itself, checked in one go. Of 61 tokens of an answer 60 were guessed and 40 of
    # those were right, with SmolLM2-135M behind 1,870 tokens. The kinds that keep a map of
    # n-grams do as well in a fresh slot, but guessed 18 and were right 10 times once the slot had
    # answered another prompt; this one looks at the prompt alone.
    parameters.speculative.types = [common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    guess = parameters.speculative.ngram_simple
    guess.size_n, guess.size_m, guess.min_hits = 2, 6, 1


def _stretch(
    parameters: Any, kind: str, factor: float, theta: float, original_context: int
) -> None:
    from xllamacpp import llama_rope_scaling_type

    # A slot gets no more context than the model was trained with, unless the type is yarn. Linear
    # scaling is yarn whose share of extrapolation is 0: every frequency is divided by the factor,
    # attention keeps its temperature. (That both give the same logits is a test.)
    parameters.rope_scaling_type = llama_rope_scaling_type.LLAMA_ROPE_SCALING_TYPE_YARN
    parameters.yarn_ext_factor = 1.0 if kind == "yarn" else 0.0
    parameters.rope_freq_scale = 1 / factor
    parameters.rope_freq_base = theta
    parameters.yarn_orig_ctx = original_context


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    # At once, in the middle of a prompt too: nobody is left to read the answer.
    os._exit(0)


def main() -> None:
    """Serve until whoever started this process closes its stdin, or is gone."""
    parent = os.getppid()
    # Ctrl-C reaches the whole process group; when to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # llama.cpp may print; stdout is for the one line that the parent waits for.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Computing threads wait for each other by spinning, so long that they starve one another when
    # the machine has other work. Measured on 2 cores, tokens decoded per second: 100 on the idle
    # machine and 2 beside two busy processes by libgomp's own count, 98 and 13 by this one.
    os.putenv("GOMP_SPINCOUNT", "1000")

    options = ServerOptions(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        from xllamacpp import Server

        server = Server(llama_parameters(options))
    except (ImportError, RuntimeError) as error:
        print(json.dumps({"error": str(error)}), file=report, flush=True)
        # xllamacpp's threads may still run; what they hold is worth nothing.
        os._exit(1)
    print(json.dumps({"address": server.listening_address}), file=report, flush=True)
    report.close()
    # A process that the parent forked may hold our stdin open after the parent was killed.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
