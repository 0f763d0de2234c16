"""Fixtures that every room's tests may use."""

from pathlib import Path

import pytest

from needle_assets.haystack.tokenizer import ReferenceTokenizer, load_tokenizer
from needle_assets.settings import bundled_model


@pytest.fixture(scope="session")
def reference_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ReferenceTokenizer:
    """SmolLM2's tokenizer, read out of the bundled model."""
    return load_tokenizer("", bundled=bundled_model(), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real biographies beside the checkout; tests that need them skip where they are absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: real biographies are not part of the project")
    return folder
