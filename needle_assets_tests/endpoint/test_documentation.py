"""docs/endpoint.md names every field of the configuration, with its default."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from needle_assets.endpoint.config import (
    BaseModelConfig,
    EndpointConfig,
    LimitsConfig,
    ServingConfig,
    TrainingConfig,
    load_config,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "endpoint.md"
TABLES: dict[str, type[BaseModel]] = {
    "": EndpointConfig,
    "models": BaseModelConfig,
    "training": TrainingConfig,
    "serving": ServingConfig,
    "limits": LimitsConfig,
}


@pytest.fixture
def example() -> str:
    (block,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return block


def documented(example: str) -> Iterator[tuple[str, str]]:
    """Table and field, those that are commented out included."""
    table = ""
    for line in example.splitlines():
        if heading := re.match(r"\[(\w+)", line):
            table = heading[1]
        elif field := re.match(r"(?:# )?(\w+) = ", line):
            yield table, field[1]


def test_every_field_is_documented_once_and_in_its_table(example: str) -> None:
    fields = {(table, name) for table, part in TABLES.items() for name in part.model_fields}
    tables = {("", table) for table in TABLES}

    found = list(documented(example))

    assert set(found) == fields - tables
    assert len(found) == len(set(found))


def test_what_is_not_commented_out_are_the_defaults(example: str, tmp_path: Path) -> None:
    path = tmp_path / "endpoint.toml"
    path.write_text(example)

    config = load_config(path, api_key="key")

    assert config == EndpointConfig(api_key="key", models=config.models)  # type: ignore[arg-type]
    assert [base.weights for base in config.models.values()] == [None]
