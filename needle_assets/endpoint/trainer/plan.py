"""What is computed when: hyperparameters left to us, order of examples, learning rate, validation.

Pure functions of numbers, so that training resumes by step alone; no tensor, no file.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from needle_assets.endpoint.config import TrainingConfig
from needle_assets.endpoint.trainer.spec import Asked, TrainerError

_AUTO_EPOCHS = 8
_AUTO_BATCH = 64
"""Most that "auto" comes to."""

_WARM_UP = 0.05
_WARM_UP_STEPS = 100

_WINDOW = 8
"""Batches that are sorted by length together: enough for batches of nearly one length, few enough
to leave the order random."""

_VALIDATION_COST = 0.1
"""Share of the training's time that goes into validation. A forward pass costs a third of a
training step."""
_VALIDATIONS = 10


@dataclass(frozen=True)
class Values:
    """Hyperparameters, decided."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float

    def steps(self, examples: int) -> int:
        """Optimizer steps in all; the last batch of an epoch may be smaller."""
        return self.n_epochs * math.ceil(examples / self.batch_size)


def decide(asked: Asked, *, examples: int, largest_epochs: int, training: TrainingConfig) -> Values:
    """Numbers for what is "auto".

    Epochs: as few as show ``auto_examples``, 8 at most. Batch: a 256th of the examples, as a power
    of two from ``auto_batch`` to 64. Multiplier: 1.

    Raises:
        TrainerError: a number that was asked for is out of range.
    """
    if asked.n_epochs == "auto":
        epochs = math.ceil(training.auto_examples / examples)
        epochs = min(max(1, epochs), _AUTO_EPOCHS, largest_epochs)
    else:
        epochs = asked.n_epochs
    if not 1 <= epochs <= largest_epochs:
        raise TrainerError(
            "invalid_n_epochs", f"n_epochs is {epochs}; expected 1 to {largest_epochs}"
        )
    if asked.batch_size == "auto":
        batch = min(_AUTO_BATCH, 2 ** int(math.log2(max(1, examples // 256))))
        batch = max(training.auto_batch, batch)
        batch = min(batch, examples)
    else:
        batch = asked.batch_size
    if not 1 <= batch <= examples:
        raise TrainerError(
            "invalid_batch_size",
            f"batch_size is {batch}; expected 1 to the number of examples, {examples}",
        )
    asked_multiplier = asked.learning_rate_multiplier
    multiplier = 1.0 if asked_multiplier == "auto" else asked_multiplier
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise TrainerError(
            "invalid_learning_rate_multiplier",
            f"learning_rate_multiplier is {multiplier}; expected a number above 0",
        )
    return Values(epochs, batch, multiplier)


def epoch_batches(
    lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch, as indices into ``lengths``; every example once.

    Batches hold examples of nearly one length, so that little is computed on padding.
    """
    # A text seed is hashed by Python's own SHA-512, alike on every machine.
    dice = random.Random(f"{seed} {epoch}")
    order = list(range(len(lengths)))
    dice.shuffle(order)
    batches = []
    for start in range(0, len(order), _WINDOW * batch_size):
        # Sorting keeps the dice's order among equals.
        window = sorted(order[start : start + _WINDOW * batch_size], key=lengths.__getitem__)
        batches += [window[at : at + batch_size] for at in range(0, len(window), batch_size)]
    dice.shuffle(batches)
    return batches


def micro_batches(batch: Sequence[int], lengths: Sequence[int], *, tokens: int) -> list[list[int]]:
    """A batch in parts of at most ``tokens`` tokens with padding; a longer example is alone."""
    parts: list[list[int]] = []
    for index in sorted(batch, key=lengths.__getitem__, reverse=True):
        # The first of a part is its longest.
        if parts and lengths[parts[-1][0]] * (len(parts[-1]) + 1) <= tokens:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def learning_rate(step: int, *, total: int, peak: float) -> float:
    """The rate of the step numbered from 1: linear warm-up over a twentieth, then a cosine to 0."""
    warm = min(max(1, round(_WARM_UP * total)), _WARM_UP_STEPS)
    if step <= warm:
        return peak * step / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm + 1)))


def validation_steps(*, total: int, training_tokens: int, validation_tokens: int) -> frozenset[int]:
    """The steps that validation follows: evenly spread, the last one among them.

    Args:
        total: steps of the job.
        training_tokens: of the whole job.
        validation_tokens: of the validation file; 0: there is none.
    """
    if not validation_tokens:
        return frozenset()
    affordable = int(_VALIDATION_COST * training_tokens * 3 / validation_tokens)
    rounds = max(1, min(affordable, _VALIDATIONS, total))
    return frozenset(math.ceil(total * nth / rounds) for nth in range(1, rounds + 1))
