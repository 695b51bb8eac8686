"""Fixtures of the API's tests: one server per module, so that narrow tests stay quick."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import structlog

from tests.api.house import ALL, House, Visitor, open_house
from tests.store.databases import Server
from tests.store.worlds import World, fresh_world


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """Let only warnings through: thousands of access lines would take longer than what they are about."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture(scope="module")
def world(pg_server: Server) -> Iterator[World]:
    """A prepared database for one module."""
    with fresh_world(pg_server) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(world: World) -> AsyncIterator[House]:
    """A running server for one module."""
    async with open_house(world) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(house: House) -> Visitor:
    """Somebody with every scope in the workspace ``test``."""
    return await house.holder(*ALL)
