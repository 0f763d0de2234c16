"""A world for each test of jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from needle_assets_tests.endpoint.jobs.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()
