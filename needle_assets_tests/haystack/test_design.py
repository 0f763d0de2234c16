from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.haystack.design import evaluation_draws, latin_square, nominal_depths
from needle_assets.haystack.errors import HaystackError


@given(st.integers(1, 12), st.integers(0, 100))
def test_every_symbol_stands_once_in_every_row_and_column(order: int, seed: int) -> None:
    square = latin_square(order, seed)
    symbols = set(range(order))
    assert all(set(row) == symbols for row in square)
    assert all(set(column) == symbols for column in zip(*square, strict=True))


def test_depths_run_from_first_to_last() -> None:
    assert nominal_depths(5) == (0.0, 25.0, 50.0, 75.0, 100.0)
    assert nominal_depths(1) == (50.0,)
    assert nominal_depths(10)[0] == 0.0
    assert nominal_depths(10)[-1] == 100.0


@given(st.integers(1, 6), st.integers(1, 4))
def test_a_balanced_design_takes_every_needle_to_every_depth_once(depths: int, blocks: int) -> None:
    needles = [f"bio-{number}" for number in range(40)]
    draws = evaluation_draws(needles, depths=depths, draws=depths * blocks, seed=3)
    visits = Counter((needle, depth) for draw in draws for depth, needle in enumerate(draw))
    assert set(visits.values()) == {1}
    assert len({needle for needle, _ in visits}) == depths * blocks


def test_an_unfinished_block_still_asks_about_different_people_in_a_draw() -> None:
    draws = evaluation_draws([f"bio-{n}" for n in range(20)], depths=5, draws=7, seed=0)
    assert len(draws) == 7
    assert all(len(set(draw)) == 5 for draw in draws)


def test_the_people_asked_about_do_not_depend_on_who_else_is_in_the_corpus_order() -> None:
    needles = [f"bio-{number}" for number in range(50)]
    forwards = evaluation_draws(needles, depths=5, draws=5, seed=1)
    backwards = evaluation_draws(needles[::-1], depths=5, draws=5, seed=1)
    assert forwards == backwards


def test_too_few_needles_are_said_with_both_numbers() -> None:
    with pytest.raises(HaystackError, match="ask about 10 people, but only 9 needles fit"):
        evaluation_draws([f"bio-{n}" for n in range(9)], depths=5, draws=6, seed=0)
