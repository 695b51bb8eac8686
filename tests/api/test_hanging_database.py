"""A database that takes what is sent and says nothing: who asks is told so within seconds, and all goes on after it."""

import asyncio
import json
import time

import httpx
import pytest

from licet.services.errors import Unavailable
from licet.store.postgres import PostgresStorage
from licet.store.setup import prepare
from tests.api.house import ALL, Line, open_house, problem
from tests.store.worlds import KEYRING, OPERATOR, World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

QUESTION = {"customer": "acme", "feature": "sso"}
WAIT = 1.0
"""Within which a transaction must have begun; a server's own is ``BEGIN_SECONDS``."""
GRACE = 1.5
"""Seconds that a busy machine may add."""


async def lined(world: World) -> tuple[Line, World]:
    """Return a line to a database, and the same world at its other end."""
    endpoint = world.database.endpoint
    line = Line(endpoint.host, endpoint.port)
    await line.mend()
    dsn = world.database.dsn.partition("@")[0] + f"@127.0.0.1:{line.port}/{world.database.name}"
    return line, World(world.database, await prepare(dsn), WAIT)


async def test_requests_are_told_that_it_hangs_and_go_on_after_it(world: World) -> None:
    """Checks, reads and writes get 503 with a time to come again within seconds; when it goes on, so do they."""
    line, beyond = await lined(world)
    async with open_house(beyond) as house:
        visitor = await house.holder(*ALL)
        await visitor.told("GET", "/v1/clock")
        line.hold()
        asked: list[tuple[str, str, object]] = [("POST", "/v1/check", QUESTION)] * 12  # more than there are connections
        asked += [("GET", "/v1/customers", None), ("POST", "/v1/customers", {"id": "late"})]
        began = time.monotonic()

        async def told(method: str, path: str, value: object) -> tuple[httpx.Response, float]:
            return await visitor.ask(method, path, value), time.monotonic() - began

        answers = await asyncio.gather(*(told(*one) for one in asked), told("GET", "/readyz", None))
        for answer, seconds in answers[:-1]:
            assert problem(answer, 503, "unavailable")["advice"]
            assert answer.headers["retry-after"] == "1"
            assert seconds < WAIT + 1 + GRACE
        ready, seconds = answers[-1]
        assert (ready.status_code, json.loads(ready.content)["ready"]) == (503, False)
        assert seconds < 2 + 1 + GRACE
        line.go_on()
        async with asyncio.timeout(5):
            while (await visitor.ask("GET", "/v1/customers")).status_code != 200:  # noqa: ASYNC110 it is on its way
                await asyncio.sleep(0.05)
        assert (await visitor.ask("POST", "/v1/customers", {"id": "late"})).status_code == 201
    await line.cut()


async def test_what_is_under_way_is_cut_off(world: World) -> None:
    """A statement that is not answered in time ends its transaction as unavailable; one that is abandoned in the
    middle gives its connection up; and the next ones work."""
    line, beyond = await lined(world)
    async with PostgresStorage(beyond.access, KEYRING, size=1, wait=WAIT, statement=0.5) as storage:

        async def read() -> None:
            async with storage.read("test") as view:
                line.hold()
                await view.customer("nobody")

        with pytest.raises(Unavailable, match="did not answer"):
            await read()
        line.go_on()
        await asyncio.sleep(0.1)
        abandoned = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        abandoned.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
        assert time.monotonic() - began < 2 + GRACE
        line.go_on()
        async with storage.write("test", OPERATOR) as tx:
            assert await tx.customer("nobody") is None
    await line.cut()
