"""Fixtures of the store's tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from licet.store.postgres import PostgresStorage
from tests.store.databases import Server
from tests.store.worlds import World, fresh_world


@pytest.fixture
def world(pg_server: Server) -> Iterator[World]:
    """A prepared database of this test's own."""
    with fresh_world(pg_server) as made:
        yield made


@pytest.fixture
async def storage(world: World) -> AsyncIterator[PostgresStorage]:
    """An open storage on a prepared database of this test's own."""
    async with world.storage() as opened:
        yield opened
