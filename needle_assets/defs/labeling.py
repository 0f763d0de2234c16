"""Which labeler the settings mean. How it labels is the labels room's affair."""

import pyarrow as pa

from needle_assets.defs.progress import ProgressCallback
from needle_assets.defs.resources import Endpoint
from needle_assets.labels.llm import LLMLabeler, resolve_labeler
from needle_assets.labels.rules import label_table
from needle_assets.labels.tables import Labeled, rejected_table
from needle_assets.settings import Settings


def label_bios(
    bios: pa.Table, settings: Settings, endpoint: Endpoint, progress: ProgressCallback
) -> Labeled:
    """Label by rules, or by the model at the endpoint.

    Raises:
        LabelError: the endpoint does not answer as it should; what it answered is journaled.
    """
    if resolve_labeler(settings.labeler, endpoint.base_url) == "rules":
        return Labeled(label_table(bios), rejected_table(bios.slice(0, 0), [], []))
    labeler = LLMLabeler(
        base_url=endpoint.base_url,
        model=settings.labeler_model,
        journal_path=settings.scratch / "journals" / "labels.jsonl",
        api_key=endpoint.api_key,
        concurrency=settings.concurrency,
        timeout_s=settings.request_timeout_s,
        progress=progress,
    )
    return labeler.label(bios)
