"""The dated table of training prices, and what a job or a batch of answers will cost at most.

A price that is not known stays None, which no code may read as 0.
"""

import datetime
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Protocol, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from needle_assets.finetune.errors import FinetuneError

_MILLION = 1_000_000


class TrainingPrice(BaseModel):
    """What training one model costs at one provider, as published on a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str = Field(min_length=1)
    model: str = Field(min_length=1)
    """A model's id, or a pattern of ``*`` and ``?``; the case of letters does not matter."""
    usd_per_million_tokens: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Per million trained tokens: tokens of the file times epochs."""
    usd_per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """For providers that bill time; how long a job takes is not known before."""
    as_of: datetime.date
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.usd_per_million_tokens is None) == (self.usd_per_hour is None):
            raise ValueError("expected either usd_per_million_tokens or usd_per_hour")
        return self

    def cost_usd(self, trained_tokens: int | None) -> float | None:
        """What a job came to that trained so many tokens; None where that cannot be told."""
        if self.usd_per_million_tokens == 0:
            return 0.0
        if self.usd_per_million_tokens is None or trained_tokens is None:
            return None
        return trained_tokens * self.usd_per_million_tokens / _MILLION

    def is_for(self, provider: str, model: str) -> bool:
        """Whether this is the price of that model there."""
        return self.provider == provider and fnmatchcase(model.lower(), self.model.lower())


class PriceTable(BaseModel):
    """Prices; of several that match a model the first one counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: tuple[TrainingPrice, ...]

    def find(self, provider: str, model: str) -> TrainingPrice | None:
        """The price of training a model at a provider; None where none is known."""
        return next((price for price in self.training if price.is_for(provider, model)), None)


def load_prices(path: Path | None = None) -> PriceTable:
    """The built-in table, behind the entries of the user's own file where one is given.

    Raises:
        FinetuneError: the file is missing, is not YAML, or an entry of it cannot be used; the
            message names the entry.
    """
    resource = files("needle_assets.finetune") / "prices.yaml"
    built_in = _parse(resource.read_bytes(), "the built-in prices.yaml")
    if path is None:
        return built_in
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FinetuneError(
            f"the price table {path} cannot be read: {error.strerror or error}"
        ) from None
    return PriceTable(training=(*_parse(content, str(path)).training, *built_in.training))


def _parse(content: bytes, name: str) -> PriceTable:
    try:
        return PriceTable.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise FinetuneError(f"{name} is not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(
            f" entry {part + 1}" if isinstance(part, int) else f" {part}" for part in first["loc"]
        )
        raise FinetuneError(
            f"{name}{',' if where else ''}{where}: {first['msg']}; expected a list `training` of "
            "entries with provider, model, usd_per_million_tokens (or usd_per_hour), as_of, source"
        ) from None


class Priced(Protocol):
    """Something that is going to be paid for."""

    @property
    def what(self) -> str:
        """What it is, for a message: ``training gpt-4.1 at openai``."""

    @property
    def usd(self) -> float | None:
        """What it costs at most; None: unknown."""

    @property
    def unknown(self) -> str:
        """Why no sum is known and what to do about it; empty where one is."""


class AnswersQuote(BaseModel):
    """What a batch of chat answers costs at most, for example labels by a model."""

    model_config = ConfigDict(frozen=True)

    what: str
    requests: int
    prompt_tokens: int
    """Of all requests together."""
    answer_tokens: int
    """Of all answers together, if each uses up its limit."""
    usd: float | None
    unknown: str


def quote_answers(
    what: str,
    *,
    requests: int,
    prompt_tokens: int,
    answer_tokens: int,
    input_price: float | None,
    output_price: float | None,
    attempts: int = 1,
) -> AnswersQuote:
    """Quote chat answers by their tokens.

    Args:
        what: for messages, such as ``labelling 400 biographies``.
        requests: how many.
        prompt_tokens: of all requests together.
        answer_tokens: limit of all answers together.
        input_price: US dollars per million prompt tokens; None where unknown.
        output_price: US dollars per million answer tokens; None where unknown.
        attempts: how often each may be asked; the quote is for all attempts, each at full length.
    """
    usd = None
    if input_price is not None and output_price is not None:
        usd = attempts * (prompt_tokens * input_price + answer_tokens * output_price) / _MILLION
    return AnswersQuote(
        what=what,
        requests=requests * attempts,
        prompt_tokens=prompt_tokens * attempts,
        answer_tokens=answer_tokens * attempts,
        usd=usd,
        unknown="" if usd is not None else "its prices per million tokens are not set; set both",
    )


def require_affordable(quote: Priced, max_cost_usd: float | None) -> None:
    """Refuse what costs more than the cap, or may do so, before anything is sent.

    Without a cap everything passes, also what has no known price.

    Raises:
        FinetuneError: the quote is over ``max_cost_usd``, or has no sum.
    """
    if max_cost_usd is None:
        return
    if quote.usd is None:
        raise FinetuneError(
            f"{quote.what} has no known cost, and max_cost_usd is {max_cost_usd:g}: {quote.unknown}"
            ", or take the cap away; nothing was sent"
        )
    if quote.usd > max_cost_usd:
        raise FinetuneError(
            f"{quote.what} costs up to {quote.usd:.4f} USD, more than the {max_cost_usd:g} USD of "
            "max_cost_usd; raise it, or send less; nothing was sent"
        )
