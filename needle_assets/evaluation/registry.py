"""Which models there are: from a slug to an address, a model id, a window, prices and origin.

Keys are not kept here, only the name of the environment variable that holds one. Asking is
`client`; the Dagster partition of a model is made under `defs`.
"""

import datetime
import hashlib
import json
import re
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from upath import UPath

from needle_assets.chat.problems import address_fault
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.storage import exclusive, write_json

if TYPE_CHECKING:
    import pandas as pd

_WAIT_S = 30.0
"""Two fine-tunes may end at the same time; each writes for milliseconds."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

Count = TypeVar("Count", float, "pd.Series[float]")
"""A number, or a column of them. Arrow's arrays do as well; they have no types."""


class Prices(BaseModel):
    """US dollars per million tokens, as published on a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    cached_input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    as_of: datetime.date

    def cost_usd(
        self, prompt_tokens: Count, cached_tokens: Count, completion_tokens: Count
    ) -> Count:
        """US dollars of so many tokens, those cached being among the prompt's.

        Of columns, row by row: unknown (null or NaN) where one of the counts is.
        """
        return (
            (prompt_tokens - cached_tokens) * self.input
            + cached_tokens * self.cached_input
            + completion_tokens * self.output
        ) / 1_000_000


class Training(BaseModel):
    """The fine-tune that a model came out of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(min_length=1)
    """Slug of the base model, or its id at its server where it is not registered."""
    context_length: int = Field(ge=1)
    """Tokens of the longest prompts that it was trained on: the partition's length."""
    job_id: str = Field(min_length=1)
    """The fine-tune job's id at its server."""
    fingerprint: str = Field(min_length=1)
    """Of what was paid for: dataset, base model, hyperparameters, attempt."""
    cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """None: unknown, which is not the same as free."""
    trained_tokens: int | None = Field(default=None, ge=0)
    """Over all epochs, as the server counted. None: it did not say."""
    examples: int | None = Field(default=None, ge=1)
    """Examples of the training file. None: registered before this was kept."""
    finetuned_at: AwareDatetime
    """When the job ended."""


class ModelEntry(BaseModel):
    """One model that can be asked.

    Raises:
        EvaluationError: a value cannot be used; nothing that might be a key is repeated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str
    """The model's name here, and its partition key."""
    base_url: str | None
    """Address of an OpenAI-compatible server, ending in /v1. None: the embedded one, which serves
    the built-in model and those that were tuned there."""
    model: str
    """The model's id at that server."""
    context_window: int
    """Tokens of prompt and answer together."""
    json_schema: bool = True
    """Whether the server takes a JSON schema in ``response_format``."""
    api_key_env: str | None = None
    """Environment variable that holds the key. None: the server asks for none."""
    prices: Prices | None = None
    """None: unknown, which is not the same as free."""
    concurrency: int | None = None
    """Requests in flight at most. None: the setting's."""
    tokens_per_minute: int | None = None
    """The server's limit on prompt and answer tokens. None: found out by its 429s."""
    prefix_cache: Literal["shared", "slots"] = "shared"
    """Where a computed prefix can be used again: by all requests (vLLM, hosted servers), or only in
    the slot that computed it (llama.cpp), where a draw's questions are asked one after another."""
    batch: bool = False
    """Whether sweeps go through the server's `/v1/batches`."""
    batch_share: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False)
    """What a batched answer costs, as a share of `prices`."""
    training: Training | None = None
    """None: it was not fine-tuned here."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        validate_slug(self.slug)
        if not self.model.strip():
            raise EvaluationError(f"the model {self.slug!r} needs the id it has at its server")
        if self.context_window < 1:
            raise EvaluationError(
                f"the model {self.slug!r} has a context window of {self.context_window}; "
                "at least 1 token was expected"
            )
        if self.concurrency is not None and self.concurrency < 1:
            raise EvaluationError(
                f"the model {self.slug!r} has a concurrency of {self.concurrency}; "
                "at least 1 was expected"
            )
        if self.batch and self.base_url is None:
            raise EvaluationError(
                f"the model {self.slug!r} is embedded, and the embedded endpoint has no batches; "
                "register it without --batch"
            )
        if self.tokens_per_minute is not None and self.tokens_per_minute < 1:
            raise EvaluationError(
                f"the model {self.slug!r} has a limit of {self.tokens_per_minute} tokens a minute; "
                "at least 1 was expected"
            )
        if self.base_url is not None:
            _check_base_url(self.slug, self.base_url)
        if self.api_key_env is not None and not _ENVIRONMENT_NAME.fullmatch(self.api_key_env):
            raise EvaluationError(
                f"the model {self.slug!r} needs the name of an environment variable for its key "
                "(upper-case letters, digits, '_'), such as OPENAI_API_KEY; never the key itself"
            )
        return self

    @property
    def identity(self) -> str:
        """Eight hex digits over all that decides what is asked and who answers.

        Prices, limits and the key's variable may change without the answers being others.
        """
        asked = self.model_dump_json(include={"base_url", "model", "json_schema", "training"})
        return hashlib.sha256(asked.encode()).hexdigest()[:8]


def validate_slug(slug: str) -> str:
    """The slug itself, if it can be a partition key and a file name.

    Raises:
        EvaluationError: it cannot.
    """
    if not _SLUG.fullmatch(slug):
        raise EvaluationError(
            f"{slug!r} cannot name a model: 1 to 64 lower-case letters, digits, '.', '-' or '_' "
            "were expected, the first a letter or digit"
        )
    return slug


def fits(entry: ModelEntry, context_length: int) -> bool:
    """Whether prompts of that length, their answers included, fit into the model's window.

    Where they do not, nothing is asked, and the cells are not applicable: not 0.
    """
    return context_length <= entry.context_window


def _check_base_url(slug: str, base_url: str) -> None:
    fault = address_fault(base_url)
    if fault == "no address":
        raise EvaluationError(
            f"the model {slug!r} needs a base_url such as https://host/v1, with http or https"
        )
    if fault:
        raise EvaluationError(
            f"the base_url of the model {slug!r} has more than host and path; keys belong into an "
            "environment variable, which api_key_env names"
        )


BUILT_IN = (
    ModelEntry(
        slug="smollm2-135m-instruct",
        base_url=None,
        model="SmolLM2-135M-Instruct",
        # What the model was trained with; llama.cpp's server gives it no more.
        context_window=8192,
        # It runs on the user's own machine: known to cost nothing, so no cost stays unknown.
        prices=Prices(input=0, cached_input=0, output=0, as_of=datetime.date(2026, 11, 22)),
        # The embedded server has one slot, whose cache holds one draw's prefix at a time.
        concurrency=1,
        prefix_cache="slots",
    ),
)
"""Models that need no registration: the embedded one, which the ``local`` extra brings."""


class ModelRegistry:
    """The registered models, one JSON document; the built-in ones are always among them."""

    def __init__(self, path: UPath) -> None:
        """Use the document at ``path``, which need not exist yet."""
        self.path = path

    def get(self, slug: str) -> ModelEntry:
        """The entry of a slug.

        Raises:
            EvaluationError: there is none, or the document cannot be read.
        """
        entries = self._entries()
        if slug not in entries:
            raise EvaluationError(
                f"no model {slug!r} is registered; there are {', '.join(sorted(entries))}. "
                "Add it by `needle models add SLUG --base-url URL --model ID --context-window N`"
            )
        return entries[slug]

    def add(self, entry: ModelEntry, *, replace: bool = False) -> None:
        """Register a model. Adding the same entry again changes nothing.

        An entry that is replaced by one of the same model at the same server remains what was
        fine-tuned here, if it was.

        Raises:
            EvaluationError: the slug stands for another entry (and ``replace`` is not set, or it
                is a built-in one), or the entry has no address and was not fine-tuned here.
            StorageError: the document cannot be written, or another process is writing it.
        """
        with exclusive(self.path, "the model registry", wait_s=_WAIT_S):
            entries = self._entries()
            known = entries.get(entry.slug)
            same = known is not None and (known.base_url, known.model) == (
                entry.base_url,
                entry.model,
            )
            if known is not None and same and entry.training is None:
                entry = entry.model_copy(update={"training": known.training})
            if known == entry:
                return
            if any(entry.slug == built_in.slug for built_in in BUILT_IN):
                raise EvaluationError(
                    f"the model {entry.slug!r} is built in and cannot be changed; "
                    "register yours under another slug"
                )
            if entry.base_url is None and entry.training is None:
                raise EvaluationError(
                    f"the model {entry.slug!r} needs a base_url; only the built-in one and those "
                    "that were fine-tuned here are embedded"
                )
            if known is not None and not replace:
                raise EvaluationError(
                    f"the model {entry.slug!r} is registered already, as {known.model!r} at "
                    f"{known.base_url or 'the embedded server'}: its results belong to that one. "
                    "Register the changed one under another slug, or use --replace"
                )
            entries[entry.slug] = entry
            self._write(entries)

    def tunings(self) -> dict[str, Training]:
        """The fine-tune behind each model that has one, by slug.

        A base that is named by its model id gets the slug under which it is registered at the same
        server; where there is none, it stays as it is.

        Raises:
            EvaluationError: the document cannot be read.
        """
        entries = self._entries()
        slugs = {(entry.base_url, entry.model): slug for slug, entry in sorted(entries.items())}
        found = {}
        for slug, entry in sorted(entries.items()):
            if (training := entry.training) is None:
                continue
            if training.base not in entries:
                base = slugs.get((entry.base_url, training.base), training.base)
                training = training.model_copy(update={"base": base})
            found[slug] = training
        return found

    def list(self) -> tuple[ModelEntry, ...]:
        """All entries, by slug.

        Raises:
            EvaluationError: the document cannot be read.
        """
        entries = self._entries()
        return tuple(entries[slug] for slug in sorted(entries))

    def _entries(self) -> dict[str, ModelEntry]:
        entries = {entry.slug: entry for entry in BUILT_IN}
        try:
            document = _Document.model_validate(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return entries
        except (ValueError, EvaluationError) as error:
            reason = (
                error.errors(include_url=False, include_input=False)[0]["msg"]
                if isinstance(error, ValidationError)
                else error
            )
            raise EvaluationError(
                f"{self.path} is not a model registry ({reason}); mend or remove it, then add the "
                "models again by `needle models add`"
            ) from None
        return {entry.slug: entry for entry in document.models} | entries

    def _write(self, entries: dict[str, ModelEntry]) -> None:
        built_in = {entry.slug for entry in BUILT_IN}
        document = _Document(
            models=[entry for slug, entry in sorted(entries.items()) if slug not in built_in]
        )
        write_json(self.path, document.model_dump(mode="json"))


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: list[ModelEntry]
