"""Hyperparameters left to us, order of examples, learning rate, validation: by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.endpoint.config import TrainingConfig
from needle_assets.endpoint.trainer.model import upper_layers
from needle_assets.endpoint.trainer.plan import (
    Values,
    decide,
    epoch_batches,
    learning_rate,
    micro_batches,
    validation_steps,
)
from needle_assets.endpoint.trainer.spec import Asked, TrainerError


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        (10, Values(8, 4, 1.0)),  # 8 epochs at most
        (100, Values(6, 4, 1.0)),  # 600 is the first multiple of 100 over 512
        (512, Values(1, 4, 1.0)),
        (3000, Values(1, 8, 1.0)),  # 3000 / 256 is 11, the power of two below it 8
        (100_000, Values(1, 64, 1.0)),
    ],
)
def test_auto_shows_512_examples_in_batches_of_a_256th(examples: int, expected: Values) -> None:
    values = decide(Asked(), examples=examples, largest_epochs=50, training=TrainingConfig())

    assert values == expected


def test_auto_can_be_made_smaller_by_configuration() -> None:
    laptop = TrainingConfig(auto_examples=180, auto_batch=2)

    assert decide(Asked(), examples=180, largest_epochs=50, training=laptop) == Values(1, 2, 1.0)
    assert decide(Asked(), examples=100, largest_epochs=50, training=laptop) == Values(2, 2, 1.0)


def test_adapters_go_into_the_upper_blocks() -> None:
    assert upper_layers(30, 0.6) == list(range(12, 30))
    assert upper_layers(4, 1.0) == [0, 1, 2, 3]
    assert upper_layers(4, 0.01) == [3]


def test_numbers_are_taken_as_they_are() -> None:
    asked = Asked(n_epochs=3, batch_size=7, learning_rate_multiplier=0.5)

    values = decide(asked, examples=20, largest_epochs=50, training=TrainingConfig())

    assert values == Values(3, 7, 0.5)
    assert values.steps(20) == 9  # 7, 7 and 6 examples, three times


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked(n_epochs=0), "invalid_n_epochs"),
        (Asked(n_epochs=51), "invalid_n_epochs"),
        (Asked(batch_size=0), "invalid_batch_size"),
        (Asked(batch_size=21), "invalid_batch_size"),
        (Asked(learning_rate_multiplier=0.0), "invalid_learning_rate_multiplier"),
        (Asked(learning_rate_multiplier=float("nan")), "invalid_learning_rate_multiplier"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(asked: Asked, code: str) -> None:
    with pytest.raises(TrainerError) as refused:
        decide(asked, examples=20, largest_epochs=50, training=TrainingConfig())

    assert refused.value.code == code


@given(
    lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=200),
    batch_size=st.integers(1, 16),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 5),
)
def test_an_epoch_shows_every_example_once_in_full_batches(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == Values(1, batch_size, 1.0).steps(len(lengths))
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)
    assert batches == epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch)


def test_epochs_and_seeds_differ_in_order() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return epoch_batches([1] * 64, batch_size=4, seed=seed, epoch=epoch)

    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_batches_hold_examples_of_nearly_one_length() -> None:
    lengths = [100, 200, 300, 400, 500, 600, 700, 800]

    batches = epoch_batches(lengths, batch_size=2, seed=0, epoch=0)

    assert sorted(sorted(lengths[index] for index in batch) for batch in batches) == [
        [100, 200], [300, 400], [500, 600], [700, 800],
    ]  # fmt: skip


def test_parts_fit_the_budget_with_their_padding_and_long_examples_are_alone() -> None:
    lengths = [300, 1000, 290, 5000, 310]

    parts = micro_batches(range(5), lengths, tokens=1000)

    assert parts == [[3], [1], [4, 0, 2]]


def test_the_rate_warms_up_over_a_twentieth_and_falls_to_nearly_nothing() -> None:
    rates = [learning_rate(step, total=40, peak=1.0) for step in range(1, 41)]

    assert rates[:2] == [0.5, 1.0]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    # Half a cosine over 39 steps from the second: the middle lies between its 21st and 22nd.
    assert (rates[20] + rates[21]) / 2 == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.002


def test_validation_costs_a_tenth_of_training_and_comes_last() -> None:
    # A tenth of 10,000 tokens pays for 3,000 forward ones: 6 times 500.
    assert validation_steps(total=60, training_tokens=10_000, validation_tokens=500) == {
        10, 20, 30, 40, 50, 60,
    }  # fmt: skip
    assert validation_steps(total=7, training_tokens=100, validation_tokens=500) == {7}
    assert validation_steps(total=7, training_tokens=100, validation_tokens=0) == frozenset()
