"""What one haystack for many questions saves on llama.cpp, with the bundled model.

`make bench-eval` runs it. The real assets build haystacks of 2,048 tokens with ten needles each,
and the real client asks them of the embedded endpoint: draw by draw with its prefix cache, and, of
another one whose cache is off, the same questions in shuffled order. The two take turns in one
run. A cell's share is what one of its questions takes; with --strict a missed target is an error.
--length and --attention say what the choice of kernels costs and brings at other lengths.
"""

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from needle_assets.definitions import build_defs
from needle_assets.defs.launch import Launcher
from needle_assets.defs.resources import EmbeddedEndpoint
from needle_assets.endpoint.embedded import RunningEndpoint, embedded_endpoint
from needle_assets.endpoint.serving.llamacpp_server import Attention
from needle_assets.evaluation.client import ask_all
from needle_assets.evaluation.journal import Answer, open_journal
from needle_assets.evaluation.registry import BUILT_IN
from needle_assets.evaluation.requests import Question
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings
from needle_assets.storage import read_table

DEPTHS, DRAWS = 10, 2
MOST_COMPUTED = 1.15
"""Prompt tokens computed for a question, as a multiple of length / depths."""
LEAST_SPEEDUP = 5.0


def questions(settings: Settings, length: int) -> list[list[Question]]:
    """Those of each draw."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("context_length", [str(length)])
        launcher = Launcher(build_defs(settings), instance, settings)
        for asset in ("raw_wiki_bio", "anonymized_bios", "filtered_needles", "needle_labels"):
            launcher.bring_up_to_date(asset)
        launcher.bring_up_to_date("haystacks", str(length))
    built = read_table(settings.root / "assets" / "haystacks" / f"{length}.parquet")
    test: pa.Table = built.filter(pc.field("split") == "test")
    rows = test.select(["example_id", "draw", "messages"]).to_pylist()
    return [[Question(**row) for row in rows if row["draw"] == draw] for draw in range(DRAWS)]


@contextlib.contextmanager
def endpoint(
    settings: Settings, *, prefix_cache: bool, attention: str
) -> Iterator[RunningEndpoint]:
    """The embedded endpoint in a home of its own."""
    config = EmbeddedEndpoint(settings).config(port=0, api_key="made-at-the-start")
    changes = {"prefix_cache": prefix_cache, "attention": attention}
    serving = config.serving.model_copy(update=changes)
    home = config.home / ("cached" if prefix_cache else "computed")
    config = config.model_copy(update={"home": home, "serving": serving})
    with embedded_endpoint(config, linger_s=1.0) as running:
        yield running


def asked(
    questions: Sequence[Question], running: RunningEndpoint, folder: Path, settings: Settings
) -> tuple[float, list[Answer]]:
    """Wall seconds and answers of questions in their order, draw by draw."""
    started = time.perf_counter()
    with open_journal(folder, f"{time.time_ns()}") as journal:
        answers = ask_all(
            questions,
            entry=BUILT_IN[0],
            base_url=running.base_url,
            api_key=running.api_key,
            task=BIOGRAPHY_TASK,
            journal=journal,
            max_completion_tokens=settings.answer_tokens,
            concurrency=1,
            timeout_s=settings.request_timeout_s,
            seed=settings.seed,
        )
    return time.perf_counter() - started, answers


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where a target is missed"
    )
    parser.add_argument("--length", type=int, default=2048, help="context length in tokens")
    parser.add_argument("--attention", choices=get_args(Attention), default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        settings = Settings(
            home=folder, depths=DEPTHS, draws=DRAWS, train_examples=0, validation_examples=0
        )
        draws = questions(settings, options.length)
        cached = stack.enter_context(
            endpoint(settings, prefix_cache=True, attention=options.attention)
        )
        computed = stack.enter_context(
            endpoint(settings, prefix_cache=False, attention=options.attention)
        )
        # Models are loaded by their first question.
        for running in (cached, computed):
            asked([Question("warm-up", 0, [{"role": "user", "content": "Hi"}])], running,
                  Path(folder), settings)  # fmt: skip
        shuffled = random.Random(0).sample([one for draw in draws for one in draw], k=DEPTHS)
        shared_s = whole_s = 0.0
        shared: list[Answer] = []
        whole: list[Answer] = []
        for at, draw in enumerate(draws):
            seconds, answers = asked(draw, cached, Path(folder), settings)
            shared_s, shared = shared_s + seconds, shared + answers
            part = shuffled[at * DEPTHS // DRAWS : (at + 1) * DEPTHS // DRAWS]
            # Each a draw of its own, so that they are sent in this order.
            alone = [Question(one.example_id, n, one.messages) for n, one in enumerate(part)]
            seconds, answers = asked(alone, computed, Path(folder), settings)
            whole_s, whole = whole_s + seconds, whole + answers
    reached = report(shared_s, shared, whole_s, whole, options.length)
    return 1 if options.strict and not reached else 0


def report(
    shared_s: float,
    shared: Sequence[Answer],
    whole_s: float,
    whole: Sequence[Answer],
    length: int,
) -> bool:
    """Print what was seen; whether the targets were reached."""
    ideal = length / DEPTHS
    of_shared, of_whole = per_question(shared), per_question(whole)
    speedup = (whole_s / len(whole)) / (shared_s / len(shared))
    table = Table("per question", "shared, draw by draw", "shuffled, no cache", "ratio", "target")
    table.add_row(
        "prompt tokens computed", f"{of_shared[0]:,.0f}", f"{of_whole[0]:,.0f}",
        f"{of_shared[0] / ideal:.3f} x L / D", f"<= {MOST_COMPUTED} x L / D",
    )  # fmt: skip
    table.add_row("answer tokens", f"{of_shared[1]:.0f}", f"{of_whole[1]:.0f}", "", "")
    table.add_row(
        "wall seconds", f"{shared_s / len(shared):.2f}", f"{whole_s / len(whole):.2f}",
        f"{speedup:.2f} times shorter", f">= {LEAST_SPEEDUP:g}",
    )  # fmt: skip
    first = statistics.fmean(one.latency_s for one in shared[::DEPTHS])
    others = (shared_s - DRAWS * first) / (len(shared) - DRAWS)
    table.add_row("  of a draw's first", f"{first:.2f}", "", "", "")
    table.add_row("  of each after it", f"{others:.2f}", "", "", "")
    table.add_row("questions", str(len(shared)), str(len(whole)), "", "")
    Console(width=110).print(table)
    return of_shared[0] <= MOST_COMPUTED * ideal and speedup >= LEAST_SPEEDUP


def per_question(answers: Sequence[Answer]) -> tuple[float, float]:
    """Mean tokens of the prompt that were computed, and of the answer."""
    counts = [
        ((one.prompt_tokens or 0) - (one.cached_tokens or 0), one.completion_tokens or 0)
        for one in answers
    ]
    prompts, completions = zip(*counts, strict=True)
    return sum(prompts) / len(answers), sum(completions) / len(answers)


if __name__ == "__main__":
    sys.exit(main())
