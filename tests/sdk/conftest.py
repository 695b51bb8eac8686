"""Fixtures of the client's tests: one server per module."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import structlog

from tests.api.house import ALL, House, Visitor, open_house, release_meridian
from tests.store.databases import Server
from tests.store.worlds import World, fresh_world


@pytest.fixture(scope="module")
def world(pg_server: Server) -> Iterator[World]:
    """A prepared database for one module."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with fresh_world(pg_server) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(world: World) -> AsyncIterator[House]:
    """A running server with the example vendor's catalog."""
    async with open_house(world) as opened:
        await release_meridian(await opened.holder(*ALL))
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(house: House) -> Visitor:
    """Somebody with every scope in the workspace ``test``."""
    return await house.holder(*ALL)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(house: House) -> str:
    """A key that may check."""
    return (await house.key("check"))[1]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """What clients warn of is heard, whatever a server that ran in this process before has set its log to."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.WARNING)
    yield
    root.setLevel(before)
