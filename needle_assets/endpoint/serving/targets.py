"""Which engine a model's name leads to. No engine is started here."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from needle_assets.endpoint.config import EndpointConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.records import ModelRecord
from needle_assets.endpoint.rope import Rope
from needle_assets.endpoint.serving.engine import EngineSpec


class UnknownModel(EndpointError):  # noqa: N818
    """No model has that name."""


@dataclass(frozen=True)
class EngineKey:
    """One engine serves all models that share these."""

    base: str
    rope: Rope | None

    @property
    def slug(self) -> str:
        """A file name that says which engine it is."""
        base = re.sub(r"[^A-Za-z0-9_.-]", "-", self.base)
        rope = f"-{self.rope.kind}-{self.rope.factor:g}x" if self.rope else ""
        return f"{base.lstrip('.')[:80]}{rope}"


@dataclass(frozen=True)
class Target:
    """Where requests for one model go."""

    key: EngineKey
    adapter: Path | None
    """None: the base itself."""


class Targets:
    """All models at one moment.

    Args:
        config: base models, and how they are served.
        records: tuned models.
    """

    def __init__(self, config: EndpointConfig, records: Iterable[ModelRecord]) -> None:
        self._config = config
        self._by_name = {name: Target(EngineKey(name, None), None) for name in config.models}
        # Oldest first: an adapter keeps its place when newer ones come.
        for record in sorted(records, key=lambda record: (record.created_at, record.id)):
            if record.base in config.models:
                key = EngineKey(record.base, record.rope)
                self._by_name[record.id] = Target(key, record.adapter)

    def target(self, model: str) -> Target:
        """Where a model's requests go.

        Raises:
            UnknownModel: there is none of that name, or its base is no longer configured.
        """
        try:
            return self._by_name[model]
        except KeyError:
            raise UnknownModel(f"there is no model {model!r}") from None

    def adapters(self, key: EngineKey) -> tuple[Path, ...]:
        """All adapters that share an engine."""
        targets = self._by_name.values()
        return tuple(target.adapter for target in targets if target.key == key and target.adapter)

    def spec(self, key: EngineKey, broken: Collection[Path | None]) -> EngineSpec:
        """What the engine is started with now.

        Args:
            key: which engine.
            broken: adapters that it cannot be started with.

        Raises:
            EndpointError: the base has no GGUF file.
        """
        base, serving = self._config.models[key.base], self._config.serving
        if base.gguf is None:
            raise EndpointError(
                f"the base model {key.base} has no gguf file to serve: name one in the "
                "configuration, or an upstream server"
            )
        window = key.rope.context_window if key.rope else serving.window
        if key.rope is None and base.context_window:
            window = min(window, base.context_window)
        return EngineSpec(
            base=key.base,
            gguf=base.gguf,
            adapters=tuple(path for path in self.adapters(key) if path not in broken),
            rope=key.rope,
            context_window=window,
            parallel=serving.parallel,
            threads=serving.threads,
            startup_timeout_s=serving.startup_timeout_s,
            log_path=self._config.home / "logs" / f"llamacpp-{key.slug}.log",
            prefix_cache=serving.prefix_cache,
            attention=serving.attention,
        )
