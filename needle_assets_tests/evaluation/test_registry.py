"""The registry: slugs that can be keys, entries that stay what they were, no key ever kept."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from upath import UPath

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.registry import (
    ModelEntry,
    ModelRegistry,
    Prices,
    Training,
    fits,
    validate_slug,
)
from needle_assets.storage import StorageError, exclusive


def entry(**changes: Any) -> ModelEntry:
    values: dict[str, Any] = {
        "slug": "big-model",
        "base_url": "https://models.example/v1",
        "model": "org/big-model",
        "context_window": 32_768,
    }
    return ModelEntry(**(values | changes))


def training(**changes: Any) -> Training:
    values: dict[str, Any] = {
        "base": "smollm2-135m-instruct",
        "context_length": 1024,
        "job_id": "ftjob-1",
        "fingerprint": "4f1d",
        "finetuned_at": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    }
    return Training(**(values | changes))


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(UPath(tmp_path / "home" / "models.json"))


def test_the_embedded_model_needs_no_registration(registry: ModelRegistry) -> None:
    embedded = registry.get("smollm2-135m-instruct")

    assert embedded.base_url is None
    assert embedded.context_window == 8192
    assert embedded.json_schema
    assert embedded.prices is not None
    assert (embedded.prices.input, embedded.prices.output) == (0, 0)
    assert registry.list() == (embedded,)


def test_tokens_cost_the_same_one_by_one_and_in_columns() -> None:
    prices = Prices(input=2.0, cached_input=0.5, output=8.0, as_of=date(2026, 11, 1))
    counts = {"prompt": [4000, None, 100], "cached": [3000, 0, 0], "completion": [40, 1, None]}

    arrow = prices.cost_usd(*(pa.array(column, pa.int64()) for column in counts.values()))
    pandas = prices.cost_usd(*(pd.Series(column, dtype=float) for column in counts.values()))

    # 1000 x 2 + 3000 x 0.5 + 40 x 8 millionths; a count that is not known makes no cost of 0.
    assert prices.cost_usd(4000, 3000, 40) == pytest.approx(3820e-6)
    assert arrow.to_pylist() == [pytest.approx(3820e-6), None, None]
    assert pandas.to_list() == pytest.approx([3820e-6, nan, nan], nan_ok=True)


def test_an_added_model_is_there_for_the_next_process(registry: ModelRegistry) -> None:
    priced = entry(prices=Prices(input=0.2, cached_input=0.02, output=0.8, as_of=date(2026, 11, 1)))

    registry.add(priced)

    again = ModelRegistry(registry.path)
    assert again.get("big-model") == priced
    assert [known.slug for known in again.list()] == ["big-model", "smollm2-135m-instruct"]


def test_an_unknown_price_is_not_zero(registry: ModelRegistry) -> None:
    registry.add(entry())

    assert registry.get("big-model").prices is None


def test_an_unknown_slug_names_the_known_ones_and_the_command(registry: ModelRegistry) -> None:
    registry.add(entry())

    with pytest.raises(EvaluationError) as error:
        registry.get("bigmodel")

    assert "'bigmodel'" in str(error.value)
    assert "big-model, smollm2-135m-instruct" in str(error.value)
    assert "needle models add" in str(error.value)


def test_adding_the_same_entry_again_changes_nothing(registry: ModelRegistry) -> None:
    registry.add(entry())
    before = registry.path.read_bytes()

    registry.add(entry())

    assert registry.path.read_bytes() == before


def test_a_new_price_leaves_a_tuned_model_its_fine_tune(registry: ModelRegistry) -> None:
    registry.add(entry(training=training()))
    prices = Prices(input=1, cached_input=1, output=2, as_of=date(2026, 11, 22))
    registry.add(entry(prices=prices), replace=True)
    assert registry.get(entry().slug) == entry(training=training(), prices=prices)


def test_another_model_under_a_slug_has_not_the_fine_tune_of_the_first(
    registry: ModelRegistry,
) -> None:
    registry.add(entry(training=training()))
    registry.add(entry(model="other"), replace=True)
    assert registry.get(entry().slug).training is None


def test_a_slug_keeps_its_meaning_unless_replaced(registry: ModelRegistry) -> None:
    registry.add(entry())
    before = registry.path.read_bytes()

    with pytest.raises(EvaluationError, match="registered already, as 'org/big-model' at https"):
        registry.add(entry(model="org/other"))

    assert registry.path.read_bytes() == before
    registry.add(entry(model="org/other"), replace=True)
    assert registry.get("big-model").model == "org/other"


@pytest.mark.parametrize("replace", [False, True])
def test_the_built_in_model_cannot_be_changed(registry: ModelRegistry, replace: bool) -> None:
    with pytest.raises(EvaluationError, match="built in and cannot be changed"):
        registry.add(entry(slug="smollm2-135m-instruct"), replace=replace)

    assert not registry.path.exists()


def test_a_model_without_an_address_cannot_be_added(registry: ModelRegistry) -> None:
    with pytest.raises(EvaluationError, match="needs a base_url"):
        registry.add(entry(base_url=None))


def test_a_model_tuned_on_the_embedded_endpoint_needs_no_address(registry: ModelRegistry) -> None:
    tuned = entry(slug="tuned", base_url=None, training=training(cost_usd=0.0, trained_tokens=9))

    registry.add(tuned)

    again = ModelRegistry(registry.path).get("tuned")
    assert again == tuned
    assert again.training is not None
    assert again.training.finetuned_at == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def test_an_unknown_cost_of_a_fine_tune_is_not_zero(registry: ModelRegistry) -> None:
    registry.add(entry(training=training()))

    (known,) = registry.tunings().values()
    assert (known.cost_usd, known.trained_tokens) == (None, None)


def test_a_registry_of_before_there_were_fine_tunes_can_be_read(registry: ModelRegistry) -> None:
    old = entry().model_dump(mode="json")
    del old["training"]
    registry.path.parent.mkdir()
    registry.path.write_text(json.dumps({"models": [old]}))

    assert registry.get("big-model") == entry()
    assert registry.tunings() == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"base": ""},
        {"job_id": ""},
        {"context_length": 0},
        {"cost_usd": -0.01},
        {"cost_usd": float("nan")},
        {"trained_tokens": -1},
        {"finetuned_at": datetime(2026, 11, 22, 9, 30)},
        {"price": 1},
    ],
)
def test_a_fine_tune_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        training(**changes)


def test_the_base_of_a_fine_tune_is_named_by_its_slug_where_it_has_one(
    registry: ModelRegistry,
) -> None:
    here, there = "https://models.example/v1", "https://elsewhere.example/v1"
    registry.add(entry(slug="big-model", base_url=here, model="org/big-model"))
    bases = {
        "by-slug": training(base="big-model"),
        "by-id": training(base="org/big-model"),
        "unregistered": training(base="org/huge-model"),
    }
    for slug, known in bases.items():
        registry.add(entry(slug=slug, base_url=here, model=f"ft:{slug}", training=known))
    registry.add(entry(slug="by-id-there", base_url=there, model="ft", training=bases["by-id"]))
    registry.add(
        entry(
            slug="embedded",
            base_url=None,
            model="ft:SmolLM2",
            training=training(base="SmolLM2-135M-Instruct"),
        )
    )

    assert {slug: known.base for slug, known in registry.tunings().items()} == {
        "by-slug": "big-model",
        "by-id": "big-model",
        "unregistered": "org/huge-model",
        # The same id at another server is another model.
        "by-id-there": "org/big-model",
        "embedded": "smollm2-135m-instruct",
    }


def test_two_writers_do_not_lose_each_others_entries(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("needle_assets.evaluation.registry._WAIT_S", 0.0)
    with (
        exclusive(registry.path, "the model registry"),
        pytest.raises(StorageError, match="another run is writing the model registry"),
    ):
        registry.add(entry())


def test_a_writer_waits_for_another_ones_moment(registry: ModelRegistry) -> None:
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with exclusive(registry.path, "the model registry"):
            held.set()
            done.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(other)
        assert held.wait(10)
        registry.add(entry())
        writing.result()
    assert registry.get(entry().slug) == entry()


@pytest.mark.parametrize(
    "slug",
    ["", "Big", "a|b", "a/b", "a,b", "a b", ".a", "-a", "_a", "a" * 65, "é", "a\n", "..", "１"],
)
def test_a_slug_that_cannot_be_a_key_is_refused(slug: str) -> None:
    with pytest.raises(EvaluationError, match="cannot name a model"):
        validate_slug(slug)
    with pytest.raises(EvaluationError, match="cannot name a model"):
        entry(slug=slug)


@pytest.mark.parametrize("slug", ["a", "7b", "gpt-4.1_mini", "a" * 64])
def test_a_slug_that_can_be_a_key_is_itself(slug: str) -> None:
    assert validate_slug(slug) == slug


@given(st.text(max_size=80))
def test_no_accepted_slug_has_a_character_that_dagster_or_a_path_trips_over(slug: str) -> None:
    try:
        validate_slug(slug)
    except EvaluationError:
        return
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_")
    assert slug[0].isalnum()
    assert len(slug) <= 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": " "}, "needs the id"),
        ({"context_window": 0}, "context window of 0; at least 1"),
        ({"concurrency": 0}, "concurrency of 0; at least 1"),
        ({"base_url": "models.example/v1"}, "base_url such as https://host/v1"),
        ({"base_url": "ftp://models.example"}, "base_url such as https://host/v1"),
        ({"base_url": "http://[::1"}, "base_url such as https://host/v1"),
        ({"base_url": ""}, "base_url such as https://host/v1"),
    ],
)
def test_an_entry_that_cannot_be_asked_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=re.escape(message)):
        entry(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key_env": "sk-s3cret"},
        {"api_key_env": "s3cret"},
        {"base_url": "https://user:s3cret@models.example/v1"},
        {"base_url": "https://models.example/v1?key=s3cret"},
    ],
)
def test_a_key_given_where_none_belongs_is_refused_unrepeated(changes: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError) as error:
        entry(**changes)

    assert "environment variable" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"models": [{"slug": "a"}]}',
        '{"models": [], "version": 2}',
        json.dumps({"models": [entry().model_dump(mode="json") | {"slug": "A B"}]}),
        json.dumps({"models": [entry().model_dump(mode="json") | {"price": 1}]}),
    ],
)
def test_a_damaged_registry_is_named_and_left_alone(registry: ModelRegistry, content: str) -> None:
    registry.path.parent.mkdir()
    registry.path.write_text(content)

    for use in (lambda: registry.get("a"), registry.list, lambda: registry.add(entry())):
        with pytest.raises(EvaluationError, match=r"models\.json is not a model registry"):
            use()

    assert registry.path.read_text() == content


def test_a_context_length_up_to_the_window_fits() -> None:
    assert fits(entry(context_window=4096), 4096)


def test_a_context_length_over_the_window_does_not_fit() -> None:
    assert not fits(entry(context_window=4096), 4097)
