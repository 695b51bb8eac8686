"""Fixtures of the use cases' tests: a real storage with the workspaces ``live`` and ``test`` and Meridian's catalog."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from licet.connectors.stripe import StripeConnector
from licet.services.deliveries import Inbox
from licet.services.truth import Catalogs
from licet.store.postgres import PostgresStorage
from tests.services.desk import Desk
from tests.store.databases import Server
from tests.store.worlds import Filling, World, fresh_world

MERIDIAN = Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml"


@pytest.fixture
def world(request: pytest.FixtureRequest, pg_server: Server) -> Iterator[World]:
    """A prepared database of this test's own; for the desk, one in which it was opened."""
    with fresh_world(pg_server, OPEN if "meridian_open" in request.fixturenames else None) as made:
        yield made


@pytest.fixture
async def storage(world: World) -> AsyncIterator[PostgresStorage]:
    """Its storage, open."""
    async with world.storage() as opened:
        yield opened


@pytest.fixture(scope="session")
def meridian() -> bytes:
    """The example vendor's catalog as text."""
    return MERIDIAN.read_bytes()


@pytest.fixture
def meridian_open() -> None:
    """The test workspace of this test's database has Meridian's catalog released and a Stripe source."""


@pytest.fixture
def desk(storage: PostgresStorage, meridian_open: None) -> Desk:
    """The test workspace with Meridian's catalog released and a Stripe source configured."""
    return _desk(storage)


def _desk(storage: PostgresStorage) -> Desk:
    return Desk(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))


async def _open(storage: PostgresStorage) -> None:
    await _desk(storage).open(MERIDIAN.read_bytes())


OPEN = Filling("desk", _open)
