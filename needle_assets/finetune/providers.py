"""What services that speak OpenAI's fine-tuning API take and do, as far as it is documented.

A table of facts: `preflight` and `job` decide what follows from them. None is unknown and never
read as yes. Where no source is named, the fact is a design decision of our own endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from needle_assets.finetune.errors import FinetuneError

Status = Literal[
    "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
]

_OWN_WORDS: dict[str, Status] = {status: status for status in get_args(Status)}

# Seen in an answer of Azure's: "pending" for a job just made (BerriAI/litellm pull request 24687,
# 2026-03), "pausing" and "resuming" (Azure/azure-dev pull request 6569, 2026-01). The others are
# the words of its API before 2024 (azure-rest-api-specs, from memory).
_AZURE_WORDS: dict[str, Status] = {
    "pending": "queued",
    "creating": "queued",
    "notRunning": "queued",
    "pausing": "running",
    "resuming": "paused",
    "canceled": "cancelled",
    "deleted": "cancelled",
}


@dataclass(frozen=True)
class Capabilities:
    """What one provider takes. None: unknown."""

    name: str
    hosts: tuple[str, ...] = ()
    """Its hosts; those that start with a dot stand for all below them."""
    metadata_filter: bool | None = None
    """Whether ``jobs.list(metadata=...)`` filters; one that does not may ignore it silently."""
    job_metadata: bool | None = None
    """Whether a job keeps the metadata that it was created with."""
    learning_rate: Literal["multiplier", "absolute"] | None = None
    """What stands in the hyperparameters: ``learning_rate_multiplier``, or ``learning_rate``."""
    statuses: Mapping[str, Status] = field(default_factory=lambda: _OWN_WORDS)
    """Its words for a job's state, in OpenAI's; read by `status`."""
    longest_training_example: int | None = None
    """Tokens of one example, its answer included, by the provider's own tokenizer."""
    file_bytes: int | None = None
    """Size of one uploaded file at most."""
    minimum_examples: int = 10
    """Of the training file. OpenAI's own (its fine-tuning guide); the others copy its API."""
    most_epochs: int | None = None
    """Epochs that ``n_epochs="auto"`` may come to, at most."""
    bills_validation: bool | None = None
    """Whether tokens of the validation file are paid for."""
    json_schema: bool | None = None
    """Whether its chat takes ``response_format`` of type json_schema."""
    job_control: bool | None = None
    """Whether jobs can be paused and resumed."""
    shutdown_dates: bool | None = None
    """Whether ``models.retrieve`` tells when a model will end."""
    serves_tuned: bool | None = None
    """Whether the tuned model answers at the same base_url as soon as its job has succeeded."""
    reference_tokenizer: bool = False
    """Whether it counts tokens as the reference tokenizer does."""

    def status(self, said: str) -> Status | None:
        """A job's status in OpenAI's words; None for a word that is not known."""
        return self.statuses.get(said)


EMBEDDED = Capabilities(
    name="embedded",
    metadata_filter=True,
    job_metadata=True,
    learning_rate="multiplier",
    # The window is stretched up to the server's own maximum, which it names when it refuses.
    longest_training_example=None,
    file_bytes=512 * 2**20,
    bills_validation=False,
    most_epochs=50,
    json_schema=True,
    job_control=True,
    shutdown_dates=False,
    serves_tuned=True,
    reference_tokenizer=True,
)
"""Our own endpoint with its default limits."""

OPENAI = Capabilities(
    name="openai",
    hosts=("api.openai.com", ".api.openai.com"),
    # Parameters and fields of the openai SDK 3.54, which is generated from OpenAI's specification.
    metadata_filter=True,
    job_metadata=True,
    learning_rate="multiplier",
    job_control=True,
    shutdown_dates=True,
    # "Training example context length: 65,536" of gpt-4o and gpt-4o-mini (MicrosoftDocs/
    # azure-ai-docs pull request 544, 2025-09); older and smaller models take less.
    longest_training_example=65_536,
    file_bytes=512 * 10**6,
    # MAX_DEFAULT_EPOCHS of OpenAI's cookbook (Chat_finetuning_data_prep), which estimates auto.
    most_epochs=25,
    # Training tokens x epochs (its fine-tuning guide's formula).
    bills_validation=False,
    json_schema=True,
    serves_tuned=True,
)

AZURE = Capabilities(
    name="azure",
    # learn.microsoft.com, fine-tuning guide of Azure OpenAI (2025-09), as are the facts below.
    hosts=(".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
    # Its v1 API takes the SDK's parameters; that it filters by them is documented nowhere.
    metadata_filter=None,
    job_metadata=None,
    # "The original learning rate used for pre-training, multiplied by this value."
    learning_rate="multiplier",
    statuses=_OWN_WORDS | _AZURE_WORDS,
    longest_training_example=65_536,
    # "Less than 512 MB". It also asks for a byte order mark, which its own tutorial does not
    # write and JSON forbids (RFC 8259, 8.1): files go without one.
    file_bytes=512 * 10**6 - 1,
    most_epochs=None,
    # "Charged based on the number of tokens in your training file, and the number of epochs"
    # (fine-tuning cost management).
    bills_validation=False,
    json_schema=True,
    job_control=True,
    # `deprecation` instead of `shutdown_date`; `check_not_retired` reads both.
    shutdown_dates=True,
    # A tuned model has to be deployed by the control plane first.
    serves_tuned=False,
)

NEBIUS = Capabilities(
    name="nebius",
    # docs.tokenfactory.nebius.com: api-reference/introduction and, with the name it had before,
    # docs.studio.nebius.com.
    hosts=("api.tokenfactory.nebius.com", "api.studio.nebius.com", "api.studio.nebius.ai"),
    # api-reference/fine-tuning/create-a-fine-tuning-job names `tags` and no metadata.
    metadata_filter=None,
    job_metadata=None,
    # There: "learning_rate": 0.00001 among the hyperparameters.
    learning_rate="absolute",
    # There: `context_length` is a hyperparameter, 8192 in the example; its maximum depends on the
    # model and is not said.
    longest_training_example=None,
    # post-training/datasets: "The size limit for dataset files is 50GB".
    file_bytes=50 * 10**9,
)

CRUSOE = Capabilities(
    name="crusoe",
    # docs.crusoecloud.com/serverless-fine-tuning/fine-tune-a-model, and Crusoe's own example on
    # GitHub, whose table of hyperparameters is derived from its gateway's schema (2026-07).
    hosts=(".crusoecloud.com",),
    metadata_filter=None,
    job_metadata=None,
    # Takes learning_rate as well.
    learning_rate="multiplier",
    # Longer rows make the job fail (`overlong_row_behavior`: error); the limit is not said.
    longest_training_example=None,
    # "3 GB or smaller".
    file_bytes=3 * 10**9,
    # n_epochs: 1 to 50 or auto.
    most_epochs=50,
    # It returns LoRA checkpoints "you can serve from your own inference stack".
    serves_tuned=False,
)

UNKNOWN = Capabilities(name="unknown")
"""Any other server: only what all clients of the API assume."""

_TABLE = {entry.name: entry for entry in (EMBEDDED, OPENAI, AZURE, NEBIUS, CRUSOE, UNKNOWN)}


def capabilities(name: str) -> Capabilities:
    """The entry of a provider by its name.

    Raises:
        FinetuneError: there is none.
    """
    if name not in _TABLE:
        raise FinetuneError(f"no provider is named {name!r}; there are {', '.join(_TABLE)}")
    return _TABLE[name]


def provider_of(base_url: str | None) -> Capabilities:
    """The entry of the provider at an address, by its host alone; None: the embedded endpoint.

    An address on this machine is `UNKNOWN` like any other: what listens there may be a gateway to
    a paid service.
    """
    if base_url is None:
        return EMBEDDED
    host = (urlsplit(base_url).hostname or "").lower()
    for entry in _TABLE.values():
        if any(
            host == known or (known[0] == "." and host.endswith(known)) for known in entry.hosts
        ):
            return entry
    return UNKNOWN
