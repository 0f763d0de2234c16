"""What is asked of two files, their price and their base model before anything is sent.

Their lines are looked at in `examine`; facts about providers are `providers`', sums of money
`prices`'. Nothing here uploads.
"""

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from needle_assets.chat.remote import UNREADABLE
from needle_assets.finetune.dataset import Dataset
from needle_assets.finetune.endpoint_errors import endpoint_error
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.examine import examine
from needle_assets.finetune.prices import PriceTable
from needle_assets.finetune.providers import Capabilities
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.task import Task

if TYPE_CHECKING:
    from openai import OpenAI

_NAMED = 20
"""Problems named in a message at most; the others are counted."""

_NO_MODEL = "model_not_found"
"""OpenAI's code for a model that is not there; a server without the route has another, or none."""

_NEAR = 0.9
"""Share of a provider's limit from which on its own count may well be over it."""


class Preflight(BaseModel):
    """What was looked at and found in order."""

    model_config = ConfigDict(frozen=True)

    provider: str
    context_length: int
    tokenizer: str
    """Name of the reference tokenizer, which counted."""
    examples: int
    validation_examples: int
    tokens: int
    """Of the training file: prompts and answers, one epoch."""
    validation_tokens: int
    longest_example: int
    """Tokens of the longest example of either file."""
    bytes: int
    """Of both files."""
    checks: tuple[str, ...]
    """What was asked, in words."""
    warnings: tuple[str, ...]
    """What could not be asked, or is near a limit."""


class Quote(BaseModel):
    """What a fine-tuning job costs at most."""

    model_config = ConfigDict(frozen=True)

    what: str
    provider: str
    model: str
    tokens_per_epoch: int
    n_epochs: int | None
    """As asked for, or the most that "auto" may come to; None: unknown."""
    epochs: Literal["given", "at most", "unknown"]
    billed_tokens: int | None
    usd: float | None
    """None: unknown. Never 0 in its place."""
    usd_per_million_tokens: float | None
    price_as_of: datetime.date | None
    price_source: str
    unknown: str
    """Why no sum is known and what to do about it; empty where one is."""
    remarks: tuple[str, ...]


def preflight(
    train: Dataset,
    validation: Dataset | None,
    *,
    task: Task,
    tokenizer: ReferenceTokenizer,
    capabilities: Capabilities,
    context_length: int,
) -> Preflight:
    """Check the exact bytes of both files against the task and the provider's limits.

    Args:
        train: the training file.
        validation: the validation file; None or one without examples: there is none.
        task: what an answer must be.
        tokenizer: counts; a provider whose own tokenizer differs may come to another count.
        capabilities: of the provider that the files are for.
        context_length: tokens that no example may exceed.

    Raises:
        FinetuneError: naming all lines with a problem (of many the first ones).
    """
    validation = validation if validation and validation.examples else None
    found = examine(
        train,
        validation,
        task=task,
        tokenizer=tokenizer,
        capabilities=capabilities,
        context_length=context_length,
    )
    if found.problems:
        more = len(found.problems) - _NAMED
        raise FinetuneError(
            "; ".join(found.problems[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        )
    longest = max([*found.train, *found.validation], default=0)
    return Preflight(
        provider=capabilities.name,
        context_length=context_length,
        tokenizer=tokenizer.name,
        examples=len(found.train),
        validation_examples=len(found.validation),
        tokens=sum(found.train),
        validation_tokens=sum(found.validation),
        longest_example=longest,
        bytes=len(train.content) + (len(validation.content) if validation else 0),
        checks=_checks(train, validation, capabilities),
        warnings=_warnings(longest, tokenizer.name, capabilities),
    )


def _checks(
    train: Dataset, validation: Dataset | None, capabilities: Capabilities
) -> tuple[str, ...]:
    checks = [
        "UTF-8 JSON lines without byte order mark and CR LF",
        "roles system, user, assistant; no message empty",
        "answers are canonical JSON of the task",
        "no prompt twice",
        "no example over the context length",
        f"at least {capabilities.minimum_examples} training examples",
    ]
    if train.needles:
        checks.append("each prompt holds its needle whole and once")
    if validation is not None:
        checks.append("training and validation share no prompt and no question")
        if train.needles and validation.needles:
            checks.append("no needle of one file stands in the other")
    if capabilities.longest_training_example is not None:
        checks.append(f"examples of at most {capabilities.longest_training_example:,} tokens")
    if capabilities.file_bytes is not None:
        checks.append(f"files of at most {capabilities.file_bytes:,} bytes")
    return tuple(checks)


def _warnings(longest: int, tokenizer: str, capabilities: Capabilities) -> tuple[str, ...]:
    warnings = []
    name, limit = capabilities.name, capabilities.longest_training_example
    if not capabilities.reference_tokenizer:
        warnings.append(f"tokens are counted by {tokenizer}; {name} counts by its own tokenizer")
        if limit is not None and longest >= _NEAR * limit:
            warnings.append(
                f"the longest example has {longest:,} tokens; by {name}'s own count it may be over "
                f"its limit of {limit:,}"
            )
        if limit is None:
            warnings.append(f"the longest example that {name} takes is not known")
    if capabilities.file_bytes is None:
        warnings.append(f"the largest file that {name} takes is not known")
    return tuple(warnings)


def quote(
    preflight: Preflight,
    *,
    capabilities: Capabilities,
    model: str,
    n_epochs: int | Literal["auto"],
    prices: PriceTable,
) -> Quote:
    """What training ``model`` on the files costs at most: tokens x epochs x price.

    "auto" is quoted at the most epochs that the provider's choice is documented to come to; where
    that is not documented there is no sum. Validation tokens are counted in unless the provider is
    known not to bill them. No margin is added for the provider's own tokenizer: over 4,131
    biographies of wiki_bio the tokens by OpenAI's o200k_base were 0.88 of SmolLM2's, by
    cl100k_base 0.90, by DeepSeek's 0.91, so that the bill is below the quote.

    Raises:
        FinetuneError: ``n_epochs`` is neither "auto" nor at least 1.
    """
    if n_epochs != "auto" and (isinstance(n_epochs, bool) or n_epochs < 1):
        raise FinetuneError(f"n_epochs is {n_epochs!r}; expected 'auto' or at least 1")
    epochs = capabilities.most_epochs if n_epochs == "auto" else n_epochs
    remarks = []
    tokens = preflight.tokens
    if preflight.validation_tokens and capabilities.bills_validation is not False:
        tokens += preflight.validation_tokens
        remarks.append("validation tokens are counted in: whether they are billed is not known")
    if n_epochs == "auto" and epochs is not None:
        remarks.append(f"n_epochs is auto: quoted at {epochs} epochs, the most that it may come to")
    if not capabilities.reference_tokenizer:
        remarks.append(
            f"tokens are counted by {preflight.tokenizer}; the bill is by the provider's tokenizer"
        )
    price = prices.find(capabilities.name, model)
    per_million = price.usd_per_million_tokens if price else None
    billed = None if epochs is None else tokens * epochs
    usd = None
    unknown = ""
    if not model:
        unknown = "no base model is named; set NEEDLE_BASE_MODEL to the one that is to be trained"
    elif price is None:
        unknown = (
            f"no price of {model} at {capabilities.name} is in the table; add it to a table of "
            "your own"
        )
    elif per_million is None:
        unknown = f"{capabilities.name} bills by the hour, which is not known before"
    elif per_million == 0:
        usd = 0.0
    elif billed is None:
        unknown = f"how many epochs {capabilities.name}'s auto comes to is not known; set n_epochs"
    else:
        usd = billed * per_million / 1_000_000
    return Quote(
        what=f"training {model} at {capabilities.name}",
        provider=capabilities.name,
        model=model,
        tokens_per_epoch=tokens,
        n_epochs=epochs,
        epochs="unknown" if epochs is None else "at most" if n_epochs == "auto" else "given",
        billed_tokens=billed,
        usd=usd,
        usd_per_million_tokens=per_million,
        price_as_of=price.as_of if price else None,
        price_source=price.source if price else "",
        unknown=unknown,
        remarks=tuple(remarks),
    )


def check_not_retired(
    client: "OpenAI",
    model: str,
    *,
    horizon: datetime.timedelta = datetime.timedelta(days=30),
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> str:
    """Ask the provider whether a base model is there and stays.

    Reads OpenAI's ``shutdown_date`` and Azure's ``deprecation``.

    Returns:
        A warning if the model ends within ``horizon`` or its end cannot be read; empty if it
        stays, or the provider does not say.

    Raises:
        FinetuneError: there is no such model, it has ended, or the provider cannot be asked.
    """
    import openai

    try:
        found: Any = client.models.retrieve(model)
    except openai.NotFoundError as error:
        found = _listed_model(client, model, gone=error.code == _NO_MODEL)
    except (openai.OpenAIError, *UNREADABLE) as error:
        raise endpoint_error(client, error, f"asked about the model {model!r}") from None
    said = _end_of(found)
    if said is None:
        return ""
    end = _as_date(said)
    if end is None:
        return f"the model {model!r} has an end that cannot be read: {said!r}"
    today = clock().date()
    if end <= today:
        raise FinetuneError(
            f"the model {model!r} was shut down on {end}; choose another base model, nothing was "
            "sent"
        )
    return f"the model {model!r} will be shut down on {end}" if end <= today + horizon else ""


def _listed_model(client: "OpenAI", model: str, *, gone: bool) -> Any:
    """The model as the list has it: not all servers can be asked for one model alone.

    Raises:
        FinetuneError: it is not listed, or the server said that it is ``gone``.
    """
    import openai

    try:
        models = client.models.list().data
    except (openai.OpenAIError, *UNREADABLE):
        models = []
        if not gone:
            return None
    if not gone and (found := [entry for entry in models if entry.id == model]):
        return found[0]
    ids = ", ".join(sorted(entry.id for entry in models if entry.id != model)[:_NAMED])
    raise FinetuneError(
        f"there is no model {model!r} at the endpoint; it has {ids or 'no other'}. Set "
        "NEEDLE_BASE_MODEL to one that it trains"
    )


def _end_of(found: Any) -> object:
    deprecation = getattr(found, "deprecation", None)
    if isinstance(deprecation, dict):
        return deprecation.get("fine_tune") or deprecation.get("inference")
    return getattr(found, "shutdown_date", None)


def _as_date(said: object) -> datetime.date | None:
    try:
        if isinstance(said, int | float):
            return datetime.datetime.fromtimestamp(said, datetime.UTC).date()
        return datetime.date.fromisoformat(str(said)[:10])
    except (ValueError, OverflowError, OSError):
        return None
