"""Where a dataset goes: an endpoint's ``/v1/files``, or the store when there is no endpoint.

What is in the dataset is checked by `preflight`; the job that trains on it lives in `job`.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from upath import UPath

from needle_assets.chat.clients import public_address
from needle_assets.chat.remote import UNREADABLE, asked_to_wait_s, may_pass
from needle_assets.finetune.dataset import Dataset
from needle_assets.finetune.endpoint_errors import endpoint_error
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.preflight import Preflight, Quote
from needle_assets.storage import write_atomic

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import FileObject

_MOST_LISTED = 100_000
"""Files looked through for one that is there already; past them it is sent again."""

_LONGEST_PAUSE_S = 120.0
"""As long as the SDK waits at most when a server says how long."""


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
    """base_url of the endpoint, without secrets, or the store's folder."""
    train: FileReceipt
    validation: FileReceipt | None
    tokens: int
    """Reference tokens of training and validation together."""
    estimated_cost_usd: float | None
    """Of the job that trains on it. None: no price is known. Never 0 in its place."""
    preflight: Preflight | None = None
    quote: Quote | None = None


def upload(
    datasets: Sequence[Dataset],
    *,
    context_length: int,
    client: "OpenAI | None",
    store: UPath,
    preflight: Preflight | None = None,
    quote: Quote | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> UploadReceipt:
    """Send the datasets to the client's endpoint or, without a client, to the store.

    A file that is there whole is not sent again. One whose upload broke off is looked for, since
    it may have arrived, and sent once more if it did not.

    Args:
        datasets: training first; one without examples is left out.
        context_length: tokens, for the receipt and the files' names.
        client: of the endpoint, or None.
        store: the folder that takes the files otherwise.
        preflight: for the receipt.
        quote: for the receipt.
        pause: waits so many seconds before another attempt.

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
    if client is None:
        files = {dataset.split: _to_store(dataset, store) for dataset in filled}
    else:
        sender = _Sender(client, context_length, pause)
        files = {dataset.split: sender.send(dataset) for dataset in filled}
    return UploadReceipt(
        context_length=context_length,
        destination=str(store) if client is None else public_address(str(client.base_url)),
        train=files["train"],
        validation=files.get("validation"),
        tokens=sum(dataset.tokens for dataset in filled),
        estimated_cost_usd=quote.usd if quote else None,
        preflight=preflight,
        quote=quote,
    )


def _to_store(dataset: Dataset, folder: UPath) -> FileReceipt:
    path = folder / f"{dataset.split}.jsonl"
    write_atomic(path, dataset.content)
    return _receipt(dataset, file_id=str(path), filename=path.name)


@dataclass(frozen=True)
class _Sender:
    client: "OpenAI"
    context_length: int
    pause: Callable[[float], None]

    def send(self, dataset: Dataset) -> FileReceipt:
        """Bring a dataset to the endpoint, unless it is there.

        Raises:
            FinetuneError: the endpoint cannot be reached or does not take it.
        """
        import openai

        filename = f"needle-{self.context_length}-{dataset.split}-{dataset.sha256[:16]}.jsonl"
        size = len(dataset.content)
        attempts = max(2, self.client.max_retries + 1)
        kept = 0
        try:
            for attempt in range(1, attempts + 1):
                # A run that died after the upload, or lost its answer, does not send it twice.
                if there := self._there(filename, size):
                    return _receipt(dataset, file_id=there.id, filename=filename)
                try:
                    sent = self._create(filename, dataset.content)
                except (openai.OpenAIError, *UNREADABLE) as error:
                    if attempt == attempts or not may_pass(error):
                        raise
                    self.pause(_seconds(error, attempt))
                    continue
                if sent.bytes == size:
                    return _receipt(dataset, file_id=sent.id, filename=filename)
                kept = sent.bytes
                self._discard(sent)
        except (openai.OpenAIError, *UNREADABLE) as error:
            raise endpoint_error(self.client, error, f"sent {filename}") from None
        raise FinetuneError(
            f"{public_address(str(self.client.base_url))} keeps only part of {filename}: {kept:,} "
            f"of {size:,} bytes arrived; look at the endpoint's log and disk, then run again"
        )

    def _create(self, filename: str, content: bytes) -> "FileObject":
        # The SDK would send it again by itself after an answer that was lost on the way.
        once = self.client.with_options(max_retries=0)
        file = once.files.create(file=(filename, content), purpose="fine-tune")
        # The SDK passes on what came, of whatever type.
        if not isinstance(file.id, str) or not isinstance(file.bytes, int):
            raise TypeError(f"a file without id or size: {file!r}")
        return file

    def _there(self, filename: str, size: int) -> "FileObject | None":
        """A whole file of that name, if the endpoint lists one."""
        seen: set[str] = set()
        files = iter(self.client.files.list(purpose="fine-tune"))
        for file in itertools.islice(files, _MOST_LISTED):
            # A server without paging sends the same page for ever.
            if file.id in seen:
                return None
            seen.add(file.id)
            if file.filename == filename and file.bytes == size and file.status != "error":
                return file
        return None

    def _discard(self, part: "FileObject") -> None:
        import openai

        try:
            self.client.files.delete(part.id)
        except openai.OpenAIError:
            # It does no harm where it lies: a file of another size is never taken.
            return


def _seconds(error: Exception, attempt: int) -> float:
    """How long to wait: as the server says, else longer each time."""
    asked = asked_to_wait_s(error)
    # Asked for no pause at all, some servers refuse every attempt within a second.
    if asked and asked <= _LONGEST_PAUSE_S:
        return asked
    return min(2.0 ** (attempt - 1) / 2, _LONGEST_PAUSE_S)


def _receipt(dataset: Dataset, *, file_id: str, filename: str) -> FileReceipt:
    return FileReceipt(
        file_id=file_id,
        filename=filename,
        sha256=dataset.sha256,
        bytes=len(dataset.content),
        examples=dataset.examples,
        tokens=dataset.tokens,
    )
