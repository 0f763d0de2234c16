"""Which labeler the settings mean, and what it is compared with.

How it labels, and what agrees, is the labels room's affair.
"""

import pyarrow as pa

from needle_assets.batches import map_batches, worker_count
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Endpoint
from needle_assets.labels.agreement import compare, compared_rule_labels
from needle_assets.labels.llm import LLMLabeler, resolve_labeler
from needle_assets.labels.rules import label_table
from needle_assets.labels.tables import Labeled, quarantine_table
from needle_assets.settings import Settings


def label_bios(
    bios: pa.Table, settings: Settings, endpoint: Endpoint, progress: ProgressFactory
) -> Labeled:
    """Label by rules, or by the model at the endpoint, and compare with the other sources.

    An ``infobox`` column is evidence for the rules; the model is not shown it.

    Raises:
        LabelError: a column is missing, or the endpoint does not answer as it should; what it
            answered is journaled.
        StorageError: the journal cannot be written.
        WorkerError: a worker process was killed.
    """
    workers = worker_count(settings.workers)
    if resolve_labeler(settings.labeler, endpoint.base_url) == "rules":
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
    labeled = labeler.label(bios)
    rules = map_batches(
        label_table, bios, workers=workers, progress=progress("Labels by rules, to compare")
    )
    compared = compare(labeled.labels, rules=rules, bios=bios)
    return Labeled(compared, labeled.quarantine)
