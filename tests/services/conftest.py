"""Fixtures of the use cases' tests: a real storage with the workspaces ``live`` and ``test`` and Meridian's catalog."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from licet.connectors.stripe import StripeConnector
from licet.services.deliveries import Inbox
from licet.services.truth import Catalogs
from licet.store.postgres import PostgresStorage
from tests.services.desk import Desk
from tests.store.databases import Server
from tests.store.worlds import fresh_world

MERIDIAN = Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml"


@pytest.fixture
async def storage(pg_server: Server) -> AsyncIterator[PostgresStorage]:
    """An open storage on a database of this test's own."""
    with fresh_world(pg_server) as world:
        async with world.storage() as opened:
            yield opened


@pytest.fixture(scope="session")
def meridian() -> bytes:
    """The example vendor's catalog as text."""
    return MERIDIAN.read_bytes()


@pytest.fixture
async def desk(storage: PostgresStorage, meridian: bytes) -> Desk:
    """The test workspace with Meridian's catalog released and a Stripe source configured."""
    made = Desk(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))
    await made.open(meridian)
    return made
