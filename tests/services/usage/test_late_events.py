"""Many late events at once: folded together, the loop free in between, and every figure as in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import perf_counter

import asyncpg
import pytest

from licet.core.usage.facts import AccountKey
from licet.core.usage.recalled import SLICE
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CALLER, Place, place_in, told
from tests.store.databases import Server
from tests.store.worlds import fresh_world

CATALOG = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum}
credits:
  ai: {scale: 2, burns: {calls: "0.03"}}
features:
  calls: {type: metered, meter: calls, per: month, at_limit: block}
  ai: {type: credits, credit: ai, per: month, at_limit: block, warn_at: [80%]}
plans:
  p:
    product: p
    versions:
      '1':
        available_from: 2020-01-01T00:00:00Z
        includes: {ai: {amount: 100, rollover: {max: 50}}, calls: unlimited}
"""
LATE = 3_000


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where unused credits are carried over."""
    async with place_in(storage, CATALOG) as made:
        yield made


async def turns(over: asyncio.Event) -> int:
    """How often others had their turn until something is over."""
    count = 0
    while not over.is_set():
        await asyncio.sleep(0.001)
        count += 1
    return count


async def test_thousands_of_late_events_are_folded_together(place: Place) -> None:
    """3,000 events of 150 days in any order come at once to what they come to in order; others go on meanwhile."""
    for customer in ("acme", "ordered"):
        await place.join(customer, "p", starts_at=datetime(2025, 1, 1, tzinfo=UTC))
    now, chance = await place.now(), random.Random("late")
    times = [now - timedelta(seconds=chance.randrange(60, 150 * 86_400)) for _ in range(LATE)]
    over, begun = asyncio.Event(), perf_counter()
    others = asyncio.create_task(turns(over))
    await place.lane.report(CALLER, [told("acme", f"late-{n}", 1, time=at) for n, at in enumerate(times)])
    # It takes a third of a second; folding anew for each event took most of a minute.
    assert perf_counter() - begun < 8
    over.set()
    assert await others > LATE // SLICE
    await place.lane.report(CALLER, [told("ordered", str(n), 1, time=at) for n, at in enumerate(sorted(times))])
    found, other = await place.balance("ai"), await place.balance("ai", "ordered")
    assert found.used == other.used != "0"
    assert (found.granted, found.remaining) == (other.granted, other.remaining)


async def test_an_old_event_is_known_when_its_key_is_forgotten(pg_server: Server) -> None:
    """Told again after its key is gone it is a duplicate, whatever is left of it, and changes no balance."""
    with fresh_world(pg_server) as world:
        async with world.storage() as storage, place_in(storage, CATALOG) as place:
            await place.join("acme", "p", starts_at=datetime(2025, 1, 1, tzinfo=UTC))
            at = await place.now() - timedelta(days=36)
            events = [told("acme", "old", 100, time=at), told("acme", "new", 1)]
            assert (await place.lane.report(CALLER, events)).recorded == 2
            before = await place.balance("ai")
            connection = await asyncpg.connect(world.database.dsn)
            await connection.execute("DELETE FROM usage_key")
            await connection.close()
            again = await place.lane.report(CALLER, [events[0], told("acme", "other", 1, time=at)])
            assert (again.recorded, again.duplicates) == (1, 1)
            after = await place.balance("ai")
            assert (after.used, after.granted) == (before.used, before.granted)
            async with storage.read("test") as view:
                assert len(await view.facts_of(AccountKey("acme", "ai"))) == 3
