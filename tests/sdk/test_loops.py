"""An asynchronous client whose event loop ends: it says so, follows again in the next one, and closes in any."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.sdk.office import Office, open_office, soon


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of its own for one test."""
    with open_office() as opened:
        yield opened


def test_a_loop_for_each_task(office: Office) -> None:
    """With ``asyncio.run`` for each piece of work, start() in each follows there; news arrive, and counts are told."""
    client = office.async_client(telemetry=True)

    async def work(customer: str) -> None:
        await client.start()
        await client.wait_ready(5)
        await soon(lambda: client.freshness.connected)
        office.sold(customer)
        await soon(lambda: client.check(customer, "sso"))

    for customer in ("new", "newer", "newest"):
        asyncio.run(work(customer))
        assert not client.freshness.connected
        assert "start()" in str(client.freshness.last_error)
        assert client.check(customer, "sso")
    told = len(office.told)
    asyncio.run(client.close())
    assert sum(one["checks"] for upload in office.told for one in upload["counts"]) >= 6
    assert len(office.told) > told


def test_waiting_and_loading_in_another_loop(office: Office) -> None:
    """Whoever waits or loads in another loop than the one before is heard there, without start()."""
    office.sold("new")
    client = office.async_client(on_demand=True)
    asyncio.run(client.start())
    asyncio.run(client.wait_ready(5))
    asyncio.run(client.load("new"))
    assert client.check("new", "sso")
    asyncio.run(client.close())


def test_a_loop_that_was_put_aside(office: Office) -> None:
    """A loop that neither runs nor ended is left as it is: another one takes over, and closing says nothing."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    client = office.async_client()
    try:
        first.run_until_complete(client.start())
        second.run_until_complete(client.start())
        office.sold("new")
        second.run_until_complete(soon(lambda: client.check("new", "sso")))
        first.run_until_complete(asyncio.sleep(0.01))
        assert not asyncio.all_tasks(first)
        first.run_until_complete(client.close())
        second.run_until_complete(asyncio.sleep(0.01))
        assert not asyncio.all_tasks(second)
    finally:
        first.close()
        second.close()


async def test_a_loop_that_runs_elsewhere(office: Office) -> None:
    """While the loop of another thread follows, start() says so; checks are answered everywhere."""
    async with office.async_client() as client:
        refused: list[str] = []

        def elsewhere() -> None:
            try:
                asyncio.run(client.start())
            except RuntimeError as error:
                refused.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert "a client for each loop" in refused[0]
        assert client.freshness.connected
