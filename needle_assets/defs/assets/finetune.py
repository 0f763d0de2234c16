"""The finetune group: the dataset of each context length, uploaded."""

from typing import Any

import dagster as dg
import pyarrow as pa

from needle_assets.defs import metadata
from needle_assets.defs.failures import as_failure
from needle_assets.defs.partitions import context_lengths
from needle_assets.defs.resources import Endpoint, Tokenizer
from needle_assets.finetune.dataset import build_dataset
from needle_assets.finetune.upload import UploadReceipt, upload
from needle_assets.haystack.lengths import parse_length
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings


@dg.asset(
    group_name="finetune",
    partitions_def=context_lengths,
    kinds={"json"},
    io_manager_key="receipt_io_manager",
    pool="upload",
)
def finetune_upload(
    context: dg.AssetExecutionContext,
    haystacks: pa.Table,
    settings: dg.ResourceParam[Settings],
    tokenizer: dg.ResourceParam[Tokenizer],
    endpoint: dg.ResourceParam[Endpoint],
) -> dg.Output[dict[str, Any]]:
    """The receipt of the training and validation files, as OpenAI's chat JSONL."""
    with as_failure():
        datasets = [
            build_dataset(haystacks, split, task=BIOGRAPHY_TASK, tokenizer=tokenizer.reference)
            for split in ("train", "validation")
        ]
        receipt = upload(
            datasets,
            context_length=parse_length(context.partition_key),
            client=endpoint.client() if endpoint.base_url else None,
            store=settings.root / "finetune" / context.partition_key,
        )
    return _output(receipt)


def _output(receipt: UploadReceipt) -> dg.Output[dict[str, Any]]:
    files = [file for file in (receipt.train, receipt.validation) if file]
    return dg.Output(
        receipt.model_dump(),
        data_version=dg.DataVersion("-".join(file.sha256[:16] for file in files)),
        metadata={
            "destination": receipt.destination,
            "files": metadata.records(file.model_dump() for file in files),
            "tokens": receipt.tokens,
            "estimated_cost_usd": "no price known"
            if receipt.estimated_cost_usd is None
            else receipt.estimated_cost_usd,
        },
    )
