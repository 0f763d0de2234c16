"""Where a dataset goes: an endpoint's ``/v1/files``, or the store when there is no endpoint.

What is in the dataset, and the job that would train on it, live elsewhere.
"""

import io
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from upath import UPath

from needle_assets.finetune.dataset import Dataset
from needle_assets.finetune.errors import FinetuneError
from needle_assets.storage import write_atomic

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import FileObject


class FileReceipt(BaseModel):
    """One dataset as it arrived."""

    model_config = ConfigDict(frozen=True)

    file_id: str
    """The endpoint's id, or the file's address in the store."""
    filename: str
    sha256: str
    bytes: int
    examples: int
    tokens: int


class UploadReceipt(BaseModel):
    """What `finetune_upload` leaves behind."""

    model_config = ConfigDict(frozen=True)

    context_length: int
    destination: str
    """base_url of the endpoint, or the store's folder."""
    train: FileReceipt
    validation: FileReceipt | None
    tokens: int
    """Reference tokens of training and validation together."""
    estimated_cost_usd: float | None
    """None: no price is known. Never 0 in its place."""


def upload(
    datasets: list[Dataset], *, context_length: int, client: "OpenAI | None", store: UPath
) -> UploadReceipt:
    """Send the datasets to the client's endpoint or, without a client, to the store.

    Args:
        datasets: training first; one without examples is left out.
        context_length: tokens, for the receipt and the files' names.
        client: of the endpoint, or None.
        store: the folder that takes the files otherwise.

    Raises:
        FinetuneError: there is nothing to train on, or the endpoint does not take it.
        StorageError: the store cannot be written.
    """
    filled = [dataset for dataset in datasets if dataset.examples]
    if not filled or filled[0].split != "train":
        raise FinetuneError(
            f"haystacks of {context_length} tokens have no training examples; set "
            "NEEDLE_TRAIN_EXAMPLES above 0 and materialize haystacks again"
        )
    files = (
        _to_store(filled, store) if client is None else _to_endpoint(filled, client, context_length)
    )
    return UploadReceipt(
        context_length=context_length,
        destination=str(store) if client is None else str(client.base_url),
        train=files["train"],
        validation=files.get("validation"),
        tokens=sum(dataset.tokens for dataset in filled),
        estimated_cost_usd=None,
    )


def _to_store(datasets: list[Dataset], folder: UPath) -> dict[str, FileReceipt]:
    receipts = {}
    for dataset in datasets:
        path = folder / f"{dataset.split}.jsonl"
        write_atomic(path, dataset.content)
        receipts[dataset.split] = _receipt(dataset, file_id=str(path), filename=path.name)
    return receipts


def _to_endpoint(
    datasets: list[Dataset], client: "OpenAI", context_length: int
) -> dict[str, FileReceipt]:
    import openai

    receipts = {}
    try:
        there = _uploaded(client)
        for dataset in datasets:
            filename = f"needle-{context_length}-{dataset.split}-{dataset.sha256[:16]}.jsonl"
            # A run that died after the upload does not send the file twice.
            file = there.get(filename)
            if file is None or file.bytes != len(dataset.content):
                file = client.files.create(
                    file=(filename, io.BytesIO(dataset.content)), purpose="fine-tune"
                )
            receipts[dataset.split] = _receipt(dataset, file_id=file.id, filename=filename)
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise FinetuneError(
            f"{client.base_url} refuses the key; check NEEDLE_ENDPOINT_API_KEY"
        ) from None
    except openai.APIConnectionError as error:
        raise FinetuneError(
            f"{client.base_url} cannot be reached; start the endpoint, correct "
            "NEEDLE_ENDPOINT_URL, or unset it to keep the files in the store"
        ) from error
    except openai.APIStatusError as error:
        # Some servers quote the key in what they say.
        said = error.message.replace(client.api_key, "[key]") if client.api_key else error.message
        raise FinetuneError(
            f"{client.base_url} does not take the file: {error.status_code} {said}"
        ) from None
    return receipts


def _uploaded(client: "OpenAI") -> dict[str, "FileObject"]:
    """The endpoint's fine-tuning files by name."""
    files: dict[str, FileObject] = {}
    seen: set[str] = set()
    for file in client.files.list(purpose="fine-tune"):
        # A server without paging sends the same page for ever.
        if file.id in seen:
            break
        seen.add(file.id)
        files.setdefault(file.filename, file)
    return files


def _receipt(dataset: Dataset, *, file_id: str, filename: str) -> FileReceipt:
    return FileReceipt(
        file_id=file_id,
        filename=filename,
        sha256=dataset.sha256,
        bytes=len(dataset.content),
        examples=dataset.examples,
        tokens=dataset.tokens,
    )
