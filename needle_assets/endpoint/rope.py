"""How a base model's positions are stretched to a longer context window: chosen by the trainer,
repeated by serving. No tensor is touched here.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RopeKind = Literal["linear", "yarn"]


class Rope(BaseModel):
    """Rotary position scaling, as ``rope_parameters`` of transformers and of llama.cpp say it.

    Linear divides positions by ``factor`` (Chen et al., Extending Context Window of Large Language
    Models via Positional Interpolation, 2023); yarn does so by frequency (Peng et al., YaRN, 2023).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RopeKind
    factor: float = Field(gt=1)
    theta: float = Field(gt=0)
    """The base's own rope base frequency, which scaling leaves as it is."""
    original_context: int = Field(ge=1)
    """Tokens that the base was trained with."""

    @property
    def context_window(self) -> int:
        """Tokens that the stretched model takes."""
        return int(self.original_context * self.factor)


def rope_for(
    tokens: int, *, window: int, theta: float, kind: RopeKind, largest: int
) -> Rope | None:
    """The least scaling under which ``tokens`` fit: None within the base's window.

    Factors are powers of two, so that models of one base tuned at many lengths share few server
    processes.

    Raises:
        ValueError: ``tokens`` exceed ``largest``; callers name the example.
    """
    if tokens > largest:
        raise ValueError(f"{tokens} tokens exceed the configured maximum of {largest}")
    if tokens <= window:
        return None
    factor = 2
    while window * factor < tokens:
        factor *= 2
    return Rope(kind=kind, factor=factor, theta=theta, original_context=window)
