"""Owned quota in an event loop: the same decisions as in threads, and nothing that waits in the loop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from licet import AsyncClient, NotEntitled, Unanswered
from tests.sdk.exchange import LIMIT, Exchange, open_exchange
from tests.sdk.office import soon
from tests.sdk.test_forks import forked


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A server of its own for one test."""
    with open_exchange() as opened:
        yield opened


def client_of(exchange: Exchange, cache: Path | bool = False) -> AsyncClient:
    """A client that gives back after a minute only."""
    return exchange.async_client(telemetry=False, quota_idle=3000.0, cache=cache)


@pytest.mark.parametrize("disk", [False, True])
async def test_everything_there_is_and_not_one_more(exchange: Exchange, tmp_path: Path, *, disk: bool) -> None:
    """Fifty tasks take until they are refused: as many are let in as the limit has, with a disk and without."""
    async with client_of(exchange, tmp_path if disk else False) as client:

        async def hammer() -> int:
            taken = 0
            while await client.consume("acme", "api", 7):
                taken += 7
            return taken

        taken = sum(await asyncio.gather(*(hammer() for _ in range(50))))
        assert client.quota.durable == disk
    assert taken == LIMIT - LIMIT % 7
    assert exchange.left() + taken == LIMIT
    assert exchange.used() == taken
    assert exchange.written_off() == 0
    assert len(exchange.calls) < taken / 10


async def test_semantics_are_those_of_the_client(exchange: Exchange) -> None:
    """What is certain, several at once, refusals, and what only the server can know are as in ``Client``."""
    async with client_of(exchange) as client:
        usage = await client.consume("acme", "api")
        assert (usage.decided, usage.id, usage.remaining) == ("local", None, LIMIT - 1)
        both = await client.consume("acme", "api", 2, also={"ai": "1.5"})
        assert both.decided == "local"
        assert (await client.consume("acme", "api", key="mine")).decided == "hub"
        refused = await client.consume("acme", "api", LIMIT)
        assert (refused.decided, bool(refused)) == ("hub", False)
    assert exchange.used() == 4
    assert exchange.used("ai") == 150


async def test_reservations(exchange: Exchange) -> None:
    """Blocks reserve, settle and release owned quota; figures of a model settle it too."""
    async with client_of(exchange) as client:
        async with client.reserve("acme", "api", 10) as held:
            assert held.usage.decided == "local"
            assert (await held.settle(4)).used == 4
        async with client.reserve("acme", "api", 10):
            pass
        async with client.ai_call("acme", "api", estimate=10) as call:
            call.used({"input_tokens": 3, "output_tokens": 4})
        with pytest.raises(NotEntitled):
            await client.reserve("acme", "api", LIMIT)
    assert exchange.used() == 11
    assert exchange.left() == LIMIT - 11


async def test_the_loop_goes_on_while_somebody_waits(exchange: Exchange) -> None:
    """While a slice is waited for the loop's other tasks have their turn, and one request serves all who wait."""
    async with client_of(exchange) as client:
        await client.consume("acme", "api")
        before = len(exchange.calls)
        exchange.before = lambda _: time.sleep(0.3)
        waiting = [asyncio.create_task(client.consume("tiny", "api")) for _ in range(5)]
        turns, began = 0, time.monotonic()
        while time.monotonic() - began < 0.2:
            await asyncio.sleep(0.005)
            turns += 1
        assert not any(one.done() for one in waiting)
        assert turns > 10
        assert all(usage.decided == "local" for usage in await asyncio.gather(*waiting))
        assert len(exchange.calls) - before <= 2
        exchange.before = None


async def test_the_loop_goes_on_while_a_disk_is_slow(exchange: Exchange) -> None:
    """Whoever has the lock of what is owned, as one does who waits for a disk, holds nobody up in the loop."""
    async with client_of(exchange) as client:
        usage = await client.consume("acme", "api")
        assert client._own is not None
        owning = client._own.opened()
        done = threading.Event()

        def slow() -> None:
            with owning.lock:
                done.wait(5)

        thread = threading.Thread(target=slow)
        thread.start()
        began = time.monotonic()
        waiting = [asyncio.create_task(client.consume(who, "api", 1)) for who in ("acme", "tiny")]
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert usage.certain is not None
        owning._look(owning.taps["acme", "api"])
        passed = time.monotonic() - began
        done.set()
        assert all(one.decided == "local" for one in await asyncio.gather(*waiting))
        await asyncio.to_thread(thread.join)
        assert passed < 2


async def test_a_cancelled_reservation_is_let_go(exchange: Exchange) -> None:
    """What is held for a task that was cancelled meanwhile is not held until its time is over."""
    async with client_of(exchange) as client:
        await client.consume("acme", "api")
        assert client._own is not None
        owning = client._own.opened()
        with owning.lock:
            reserving = asyncio.create_task(client.try_reserve("acme", "api", 5))
            await asyncio.sleep(0.05)
            reserving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reserving
        await asyncio.sleep(0.1)
        await soon(lambda: client.quota.held == 0)
        assert client.quota.spent == 1


async def test_the_server_is_away(exchange: Exchange) -> None:
    """What is owned goes on, then nobody can say; when the server is back, it is decided here again."""
    async with exchange.async_client(telemetry=False, quota_idle=3000.0, timeout=0.5) as client:
        await client.consume("acme", "api")
        exchange.down = True
        for _ in range(7):
            assert (await client.consume("acme", "api")).decided == "local"
        with pytest.raises(Unanswered):
            await client.consume("acme", "api")
        exchange.down = False
        async with asyncio.timeout(15):
            while True:
                try:
                    await client.consume("acme", "api")
                    break
                except Unanswered:
                    await asyncio.sleep(0.05)
        await soon(lambda: client.quota.last_error is None)
    assert exchange.left() + exchange.used() == LIMIT


def test_a_child_owns_nothing(exchange: Exchange) -> None:
    """A child of a process with an event loop begins with nothing, and asks for its own in a loop of its own."""

    async def begin() -> AsyncClient:
        client = client_of(exchange)
        await client.start()
        assert await client.consume("acme", "api")
        return client

    with asyncio.Runner() as runner:
        client = runner.run(begin())

        def child() -> int:  # pragma: no cover - runs in the child
            async def go() -> int:
                async with client:
                    return (await client.consume("acme", "api", 3)).decided == "local"

            return 0 if asyncio.new_event_loop().run_until_complete(go()) else 1

        assert forked(child) == 0
        runner.run(client.close())
    assert exchange.used() == 4
    assert exchange.left() == LIMIT - 4


async def test_leftovers_are_told(exchange: Exchange, tmp_path: Path) -> None:
    """What an earlier process could not tell in time is told when a client starts, without any use."""
    first = exchange.async_client(telemetry=False, cache=tmp_path, close_timeout=0.1)
    await first.start()
    await first.consume("acme", "api")
    exchange.down = True
    await first.close()
    assert exchange.left() < LIMIT - 1
    exchange.down = False
    async with client_of(exchange, tmp_path):
        await soon(lambda: exchange.left() == LIMIT - 1)
