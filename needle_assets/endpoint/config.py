"""What an endpoint is told: its home, key, limits, base models, how it trains and serves.

Read from a TOML file or built by a caller; nothing here reads an environment variable.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.rope import RopeKind
from needle_assets.endpoint.serving.llamacpp_server import Attention

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseModelConfig(_Part):
    """One base model: what is served, and what is trained on."""

    gguf: Path | None = None
    """Weights that llama.cpp serves; also trained on where ``weights`` is None."""
    weights: Path | None = None
    """A transformers folder (config, safetensors, tokenizer) to train on."""
    context_window: int | None = Field(default=None, ge=1)
    """Tokens of prompt and answer together; None: what the weights' own metadata says."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.gguf is None and self.weights is None:
            raise ValueError("a base model needs a gguf file, a weights folder, or both")
        return self


class TrainingConfig(_Part):
    """How jobs train, where OpenAI's API does not say."""

    python: Path = Path(".venv-train/bin/python")
    """Interpreter of the trainer's own environment (``make trainer``)."""
    launch: tuple[str, ...] = ()
    """Words that go between the interpreter and the script, such as
    ``-m accelerate.commands.launch --num_processes 4``; none: plain Python."""
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_layers: float = Field(default=1.0, gt=0, le=1)
    """Share of the layers that get an adapter, from the top: below them nothing is computed
    backwards."""
    auto_examples: int = Field(default=512, ge=1)
    """Examples that n_epochs "auto" shows at least, over all epochs. 480 took SmolLM2's held-out
    score from under 0.4 to 0.81 at 400 tokens."""
    auto_batch: int = Field(default=4, ge=1)
    """Least batch size that "auto" comes to."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """What a learning_rate_multiplier of 1 means."""
    rope_scaling: RopeKind = "linear"
    max_context: int = Field(default=131_072, ge=1)
    """Longest example, in tokens, that the window is extended to."""
    checkpoint_s: float = Field(default=60.0, ge=0)
    """Seconds of training between checkpoints; one is written after every epoch in any case."""
    threads: int | None = Field(default=None, ge=1)
    """Computing threads; None: PyTorch's own choice."""


class ServingConfig(_Part):
    """How models answer."""

    upstream: str | None = None
    """base_url of a vLLM server that has base and adapters by name; None: llama.cpp here."""
    upstream_api_key: SecretStr = SecretStr("")
    parallel: int = Field(default=1, ge=1)
    """Requests that one llama.cpp process computes at a time."""
    queue: int = Field(default=64, ge=0)
    """Requests that wait for one model; the next one is answered 503 with Retry-After."""
    window: int = Field(default=8192, ge=1)
    """Tokens of prompt and answer served at most for a model that is not extended: the KV cache is
    allocated at once."""
    memory_mib: int = Field(default=8192, ge=1)
    """Resident memory of all llama.cpp processes; over it the one idle longest is ended."""
    idle_s: float = Field(default=600.0, gt=0)
    """A process without requests for so long is ended."""
    threads: int | None = Field(default=None, ge=1)
    prefix_cache: bool = True
    """Whether a prompt is computed from where it differs from the last one; off only to measure."""
    attention: Attention = "auto"
    """llama.cpp's kernels. Flash computes new prompts faster, holds less memory and is a little
    more exact; on a processor plain answers several questions about one prompt faster, and auto
    takes it up to 8,192 tokens."""
    startup_timeout_s: float = Field(default=120.0, gt=0)


class LimitsConfig(_Part):
    """What one client may ask for at most."""

    file_bytes: int = Field(default=512 * 2**20, ge=1)
    line_bytes: int = Field(default=8 * 2**20, ge=1)
    """One line of a training file."""
    chat_bytes: int = Field(default=16 * 2**20, ge=1)
    """Body of any request but an upload."""
    upload_stall_s: float = Field(default=60.0, gt=0)
    """A request of whose body nothing arrives for so long is given up, an upload above all."""
    files: int = Field(default=10_000, ge=1)
    waiting_jobs: int = Field(default=100, ge=1)
    epochs: int = Field(default=50, ge=1)


class EndpointConfig(_Part):
    """All of it."""

    home: Path = Path(".needle/endpoint")
    host: str = "127.0.0.1"
    port: int = Field(default=8600, ge=0, le=65_535)
    """0: a free one."""
    api_key: SecretStr = SecretStr("")
    auth: Literal["key", "off"] = "key"
    """``off`` is possible on loopback alone."""
    models: dict[str, BaseModelConfig] = Field(default_factory=dict)
    """Base models by the name they are asked for."""
    training: TrainingConfig = TrainingConfig()
    serving: ServingConfig = ServingConfig()
    limits: LimitsConfig = LimitsConfig()

    @field_validator("models")
    @classmethod
    def _named(cls, models: dict[str, BaseModelConfig]) -> dict[str, BaseModelConfig]:
        for name in models:
            if not _MODEL_NAME.fullmatch(name) or name.startswith("ft:"):
                raise ValueError(
                    f"the base model's name {name!r} cannot be used: expected letters, digits and "
                    "._:/- with a letter or digit first, and no beginning with ft:, which is the "
                    "tuned models'"
                )
        return models

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, key: SecretStr) -> SecretStr:
        # What is wrong with it is said without it.
        if not all("!" <= letter <= "~" for letter in key.get_secret_value()):
            raise ValueError(
                "the key has spaces, line ends or letters that no HTTP header can carry: use "
                "printable ASCII alone"
            )
        return key

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        loopback = self.host in ("127.0.0.1", "::1", "localhost")
        if self.auth == "off" and not loopback:
            raise ValueError(
                f"auth may be off on loopback alone, not on {self.host}: set a key in "
                "NEEDLE_ENDPOINT_API_KEY"
            )
        if self.auth == "key" and not self.api_key.get_secret_value():
            raise ValueError(
                "no key is set: put one into NEEDLE_ENDPOINT_API_KEY or, on loopback, switch "
                "authentication off with --no-auth"
            )
        return self


def load_config(
    path: Path | None, defaults: Mapping[str, object] | None = None, **changes: object
) -> EndpointConfig:
    """The configuration of a TOML file: before ``defaults``, and behind ``changes``.

    A table of the file, such as ``[training]``, takes the place of the whole default table.

    Raises:
        EndpointError: the file is missing or is not TOML, or a value cannot be used.
    """
    try:
        document = tomllib.loads(path.read_text()) if path else {}
        return EndpointConfig.model_validate({**(defaults or {}), **document, **changes})
    except FileNotFoundError:
        raise EndpointError(f"the configuration {path} does not exist") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        # What the file does not hold came from an option or a variable.
        in_file = bool(first["loc"]) and first["loc"][0] in document
        source = f"the configuration {path}: " if in_file else ""
        raise EndpointError(f"{source}{where + ': ' if where else ''}{said}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EndpointError(f"the configuration {path} cannot be read: {error}") from None
