"""The Llama of two layers that jobs of these tests train, made once."""

from pathlib import Path

import pytest

from needle_assets_tests.endpoint.trainer.job import in_trainer


@pytest.fixture(scope="package")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder, and the same as ``tiny.gguf`` in it."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    in_trainer("make", folder)
    return folder
