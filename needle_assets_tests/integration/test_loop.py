"""The loop on the real model that the `local` extra brings: haystacks, questions, report."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pytest

from needle_assets.defs.launch import register
from needle_assets.settings import bundled_model
from needle_assets_tests.defs.world import LENGTH, World, own_environment, world_in

MODEL = "smollm2-135m-instruct"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    if bundled_model() is None:
        pytest.skip("the bundled model is not installed: it comes with the `local` extra")
    with own_environment(), world_in(tmp_path) as made:
        monkeypatch.chdir(tmp_path)
        yield made


@pytest.mark.model
def test_a_real_model_is_asked_what_was_counted(world: World) -> None:
    register(world.instance, [], [MODEL])
    world.run("haystacks", partition=LENGTH, depths=2, draws=1)
    world.run("eval_results", partition=f"{LENGTH}|{MODEL}", depths=2, draws=1)
    world.run("leaderboard", depths=2, draws=1)

    asked = world.table("haystacks", LENGTH).filter(pc.field("split") == "test")
    results = world.table("eval_results", LENGTH, MODEL)
    assert dict(Counter(results["kind"].to_pylist())) == {
        "sweep": 2,
        "floor": 2,
        "ceiling": 2,
        "closed_book": 2,
    }
    results = results.filter(pc.field("kind") == "sweep")
    assert results["example_id"].to_pylist() == asked["example_id"].to_pylist()
    assert set(results["outcome"].to_pylist()) <= {"valid", "truncated"}
    # The server counts a prompt as the reference tokenizer does, to the token.
    assert results["prompt_tokens"].to_pylist() == asked["prompt_tokens"].to_pylist()
    # The second question shares all but the last line with the first: its haystack is not
    # computed again.
    first, second = results["cached_tokens"].to_pylist()
    assert first < second
    last_line = asked["prompt_tokens"].to_pylist()[1] - second
    assert 0 < last_line < 40
    # The model runs on this machine: known to cost nothing.
    assert results["cost_usd"].to_pylist() == [0.0, 0.0]
    board = world.table("leaderboard").to_pylist()
    assert [(line["model"], line["context_length"], line["n"]) for line in board] == [
        (MODEL, 512, 2)
    ]
    assert MODEL in (world.store / "report.html").read_text()
