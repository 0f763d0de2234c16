"""Which labeler the settings mean, and what it is compared with.

How it labels, and what agrees, is the labels room's affair.
"""

from collections import Counter
from typing import Literal

import pyarrow as pa

from needle_assets.batches import map_batches, worker_count
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Endpoint, Tokenizer
from needle_assets.finetune.prices import AnswersQuote, quote_answers, require_affordable
from needle_assets.labels.agreement import compare, compared_rule_labels
from needle_assets.labels.llm import LLMLabeler, resolve_labeler
from needle_assets.labels.rules import label_table
from needle_assets.labels.tables import Labeled, quarantine_table
from needle_assets.labels.task import LabelError
from needle_assets.settings import Settings


def resolved_labeler(settings: Settings) -> Literal["rules", "llm"]:
    """Which labeler the settings mean: an endpoint without a model that labels is for fine-tunes.

    Raises:
        LabelError: ``llm`` without an endpoint.
    """
    named = settings.labeler != "auto" or settings.labeler_model
    return resolve_labeler(settings.labeler, settings.endpoint_address if named else "")


def label_bios(
    bios: pa.Table,
    settings: Settings,
    endpoint: Endpoint,
    tokenizer: Tokenizer,
    progress: ProgressFactory,
) -> Labeled:
    """Label by rules, or by the model at the endpoint, and compare with the other sources.

    An ``infobox`` column is evidence for the rules; the model is not shown it.

    Raises:
        FinetuneError: it may cost more than NEEDLE_MAX_COST_USD; nothing is sent then.
        LabelError: a column is missing, or the endpoint does not answer as it should; what it
            answered is journaled.
        StorageError: the journal cannot be written.
        WorkerError: a worker process was killed.
    """
    workers = worker_count(settings.workers)
    if resolved_labeler(settings) == "rules":
        labels = map_batches(
            compared_rule_labels, bios, workers=workers, progress=progress("Labels by rules")
        )
        return Labeled(labels, quarantine_table(bios.slice(0, 0), []))
    labeler = LLMLabeler(
        base_url=endpoint.base_url,
        model=settings.labeler_model,
        journal_path=settings.scratch / "journals" / "labels" / "answers.jsonl",
        api_key=endpoint.api_key,
        use_json_schema=settings.labeler_json_schema,
        input_price=settings.labeler_input_price,
        output_price=settings.labeler_output_price,
        concurrency=settings.concurrency,
        timeout_s=settings.request_timeout_s,
        progress=progress("Labels by the model"),
    )
    require_affordable(quote_labels(labeler, bios, tokenizer), settings.max_cost_usd)
    labeled = labeler.label(bios)
    _require_answers(labeled, bios.num_rows)
    rules = map_batches(
        label_table, bios, workers=workers, progress=progress("Labels by rules, to compare")
    )
    compared = compare(labeled.labels, rules=rules, bios=bios)
    return Labeled(compared, labeled.quarantine)


def quote_labels(labeler: LLMLabeler, bios: pa.Table, tokenizer: Tokenizer) -> AnswersQuote:
    """What labelling costs at most: every biography asked twice, every answer at its limit.

    Raises:
        LabelError: a column is missing.
    """
    prompts = int(tokenizer.reference.count(labeler.prompts(bios)).sum())
    return quote_answers(
        f"labelling {bios.num_rows:,} biographies by {labeler.model}",
        requests=bios.num_rows,
        prompt_tokens=prompts + _TEMPLATE_TOKENS * bios.num_rows,
        answer_tokens=labeler.max_answer_tokens * bios.num_rows,
        input_price=labeler.input_price,
        output_price=labeler.output_price,
        attempts=2,
    )


_TEMPLATE_TOKENS = 20
"""Roles and marks that a chat template puts around two messages: those of SmolLM2 take 13."""

_LOST = 0.01
"""Share of needles whose requests may fail for good. More is a server that was down for a while:
labels made without them would count as up to date."""


def _require_answers(labeled: Labeled, asked: int) -> None:
    quarantine = labeled.quarantine
    outcomes = quarantine["outcome"].to_pylist()
    failed = outcomes.count("error")
    if failed > _LOST * asked:
        first = quarantine["reason"][outcomes.index("error")].as_py()
        raise LabelError(
            f"{failed:,} of {asked:,} requests to the labeler failed, the first with: {first}. "
            "Run again: the answers that came are kept, and only the others are asked for"
        )
    if not labeled.labels.num_rows:
        reasons = Counter(quarantine["reason"].to_pylist()).most_common(1)
        said = "".join(f": {reason} ({count:,} times)" for reason, count in reasons)
        raise LabelError(f"none of {asked:,} needles got a label{said}; try another labeler")
