"""Fixtures for tests of the Dagster layer."""

import errno
import os
from collections.abc import Callable, Iterator

import pytest

from needle_assets_tests.defs.world import (
    World,
    finished_folder,
    new_folder,
    own_environment,
    world_in,
)


@pytest.fixture(scope="package", autouse=True)
def _own_environment() -> Iterator[None]:
    with own_environment():
        yield


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project in which every asset was materialized once, to look at only."""
    with world_in(tmp_path_factory.mktemp("finished")) as made:
        yield made


@pytest.fixture(scope="package")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def world(_site: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, to do anything with; we are in its folder."""
    _site.reset(finished_folder())
    monkeypatch.chdir(_site.folder)
    return _site


@pytest.fixture
def new_world(_site: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project in which nothing happened yet; we are in its folder."""
    _site.reset(new_folder())
    monkeypatch.chdir(_site.folder)
    return _site


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on nothing more can be written whole."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "fsync", full)
