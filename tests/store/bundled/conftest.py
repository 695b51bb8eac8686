"""Fixtures for the bundled server's own tests: homes that any account can reach, programs of the chosen engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from licet.store.bundled import Bundled
from tests.store.bundled.lives import copy_home, open_folder, reachable_binaries
from tests.store.engines import engine_binaries


@pytest.fixture(scope="session")
def binaries(engine: str) -> Iterator[Path]:
    """The programs of the chosen engine, reachable for every user."""
    with open_folder() as folder:
        yield reachable_binaries(folder, engine_binaries(engine))


@pytest.fixture
def place() -> Iterator[Path]:
    """A short temporary folder open to all users, removed afterwards."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def new_home(place: Path) -> Path:
    """A home that does not exist yet."""
    return place / "home"


@pytest.fixture(scope="session")
def made_home(binaries: Path) -> Iterator[Path]:
    """A stopped home with an empty data directory, to be copied."""
    with open_folder() as folder:
        with Bundled(folder / "home", binaries=binaries):
            pass
        yield folder / "home"


@pytest.fixture
def home(place: Path, made_home: Path) -> Path:
    """A home of the test's own with an empty data directory in it."""
    return copy_home(made_home, place / "home")
