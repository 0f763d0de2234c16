"""What may be asked of a new fine-tuning job, field by field, with OpenAI's names and bounds.

What depends on the server's files, models and limits is checked by the route.
"""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, model_validator

from needle_assets.endpoint.records import Hyperparameters

_SUFFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LARGEST_MULTIPLIER = 1000
_LARGEST_SEED = 2**31 - 1
METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512


def _count(value: object) -> object:
    # True is an int to Python.
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError('expected a whole number of at least 1, or "auto"')


def _multiplier(value: object) -> object:
    if value == "auto":
        return value
    if type(value) in (int, float):
        number = float(value) if abs(value) <= _LARGEST_MULTIPLIER else math.inf  # type: ignore[arg-type]
        if 0 < number <= _LARGEST_MULTIPLIER:
            return number
    raise ValueError(f'expected a number above 0 and up to {_LARGEST_MULTIPLIER}, or "auto"')


def _seed(value: object) -> object:
    if value is None or (type(value) is int and 0 <= value <= _LARGEST_SEED):
        return value
    raise ValueError(f"expected a whole number from 0 to {_LARGEST_SEED}")


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON can say it, and Python reads it; nothing can be written down of it.
        raise ValueError("holds half of a surrogate pair, which is no text") from None
    return value


def _suffix(value: str | None) -> str | None:
    if value is not None and not _SUFFIX.fullmatch(value):
        raise ValueError(
            "expected 1 to 64 letters, digits, dots, dashes and underscores, the first a letter "
            "or digit"
        )
    return value


def _metadata(value: dict[str, str] | None) -> dict[str, str] | None:
    pairs = value or {}
    if len(pairs) > METADATA_PAIRS:
        raise ValueError(f"expected at most {METADATA_PAIRS} pairs, found {len(pairs)}")
    for key, text in pairs.items():
        if not 1 <= len(key) <= _METADATA_KEY or len(text) > _METADATA_VALUE:
            raise ValueError(
                f"expected keys of 1 to {_METADATA_KEY} characters and values of at most "
                f"{_METADATA_VALUE}"
            )
        _text(key + text)
    return value


def _no_integrations(value: list[Any] | None) -> list[Any] | None:
    if value:
        raise ValueError("this endpoint has no integrations; leave them out")
    return value


def _supervised(value: str) -> str:
    if value != "supervised":
        raise ValueError("this endpoint trains by the method 'supervised' alone")
    return value


_Text = Annotated[str, AfterValidator(_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AskedHyperparameters(_Part):
    """Each a number or "auto"."""

    n_epochs: Annotated[int | Literal["auto"], PlainValidator(_count)] = "auto"
    batch_size: Annotated[int | Literal["auto"], PlainValidator(_count)] = "auto"
    learning_rate_multiplier: Annotated[float | Literal["auto"], PlainValidator(_multiplier)] = (
        "auto"
    )


class _Supervised(_Part):
    hyperparameters: AskedHyperparameters | None = None


class _Method(BaseModel):
    # What a refused method is told beside its type does not matter.
    model_config = ConfigDict(extra="ignore", strict=True)

    type: Annotated[str, AfterValidator(_supervised)]
    supervised: _Supervised | None = None


class CreateJob(_Part):
    """The body of a request for a new job."""

    model: _Text
    training_file: _Text
    validation_file: _Text | None = None
    hyperparameters: AskedHyperparameters | None = None
    """The older place; ``method`` is the newer one."""
    method: _Method | None = None
    suffix: Annotated[str | None, AfterValidator(_suffix)] = None
    seed: Annotated[int | None, PlainValidator(_seed)] = None
    metadata: Annotated[dict[str, str] | None, AfterValidator(_metadata)] = None
    integrations: Annotated[list[Any] | None, AfterValidator(_no_integrations)] = None

    @model_validator(mode="after")
    def _one_place(self) -> "CreateJob":
        if self.hyperparameters and self.method and self._in_method:
            raise ValueError("Hyperparameters are given twice; leave them in method alone")
        return self

    @property
    def _in_method(self) -> AskedHyperparameters | None:
        supervised = self.method.supervised if self.method else None
        return supervised.hyperparameters if supervised else None

    @property
    def hyperparameters_place(self) -> str:
        """The parameter that holds the hyperparameters."""
        return "method.supervised.hyperparameters" if self._in_method else "hyperparameters"

    @property
    def asked(self) -> Hyperparameters:
        """The hyperparameters from wherever they are."""
        given = self._in_method or self.hyperparameters or AskedHyperparameters()
        return Hyperparameters(
            n_epochs=given.n_epochs,
            batch_size=given.batch_size,
            learning_rate_multiplier=given.learning_rate_multiplier,
        )
