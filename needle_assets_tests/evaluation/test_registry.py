"""The registry: slugs that can be keys, entries that stay what they were, no key ever kept."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.registry import (
    ModelEntry,
    ModelRegistry,
    Prices,
    check_window,
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


def test_two_writers_do_not_lose_each_others_entries(registry: ModelRegistry) -> None:
    with (
        exclusive(registry.path, "the model registry"),
        pytest.raises(StorageError, match="another run is writing the model registry"),
    ):
        registry.add(entry())


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
    check_window(entry(context_window=4096), 4096)


def test_a_context_length_over_the_window_is_an_error_with_both_numbers() -> None:
    with pytest.raises(EvaluationError, match=r"'big-model'.* 4096 tokens.* 4097 needs more"):
        check_window(entry(context_window=4096), 4097)
