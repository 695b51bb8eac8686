"""Months of facts that are dropped, and what is told of the time before: nothing that was billed is lost by it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from licet.core.instant import DAY, to_instant
from licet.services.errors import Conflict
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CorrectionAsked, EventName
from tests.services.usage.metered import CALLER, Place, consumed, place_in, told
from tests.services.usage.test_checkpoints import retain
from tests.store.worlds import KEYRING, World


async def live(place: Place, clock: list[int], *, late: bool) -> None:
    """Acme uses things up on 36 of 95 days, told at once or a day late, of a grant that lasts."""
    await place.join("acme", "ai")
    async with place.write() as tx:
        await give_grant(tx, "acme", GiveGrant(feature="ai", amount=900), place.catalogs)
    for day in range(95):
        if day % 30 < 12:
            at = await place.now() - timedelta(hours=20 if late and day else 0)
            await place.lane.report(CALLER, [told("acme", str(day), 100_000 + day, kind="llm.tokens", time=at)])
        clock[0] += DAY
        await place.pass_time(timedelta(days=1))


async def left(place: Place, feature: str) -> Decimal:
    """What remains, folded from what is kept for that, then from checkpoint and facts."""
    return Decimal(str((await place.balance(feature)).remaining))


@pytest.mark.parametrize("back", [2, 50, 70, 90])
@pytest.mark.parametrize("late", [False, True])
async def test_a_report_of_long_ago_takes_nothing_from_what_was_billed(world: World, back: int, late: bool) -> None:
    """After months were dropped, a report of before them counts, and all that was used before it still does."""
    clock = [to_instant(datetime(2026, 1, 10, tzinfo=UTC))]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage, place_in(storage) as place:
        await live(place, clock, late=late)
        before = await left(place, "ai")
        await retain(storage, clock, 40)
        for number in range(3):
            at = await place.now() - timedelta(days=back, hours=number)
            await place.lane.report(CALLER, [told("acme", f"late {number}", 2_500, kind="llm.tokens", time=at)])
            told_of = await left(place, "ai")
            # 1 credit each, unless its month's allowance, which is over, covered it.
            assert before - number - 1 <= told_of <= before, (back, number)
        connection = await asyncpg.connect(world.database.dsn)
        await connection.execute("DELETE FROM balance")
        await connection.close()
        assert await left(place, "ai") == told_of
        while await storage.seal("test"):
            pass
        report = await verify_log(storage, "test")
        assert report.ok, report.faults


LASTING = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum}
features:
  calls: {type: metered, meter: calls, at_limit: block}
plans:
  p:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: {amount: 900, per: lifetime}}}
"""


@pytest.mark.parametrize("back", [50, 94])
async def test_a_late_report_leaves_a_lasting_balance_what_was_dropped(world: World, back: int) -> None:
    """Of one amount for all times, too, no late report takes the last checkpoint that holds what was dropped."""
    clock = [to_instant(datetime(2026, 1, 10, tzinfo=UTC))]
    storage = PostgresStorage(world.access, KEYRING, wall=lambda: clock[0])
    async with storage, place_in(storage, LASTING) as place:
        await place.join("acme", "p")
        for day in range(0, 95, 5):
            await place.lane.report(CALLER, [told("acme", str(day), 1, time=await place.now())])
            clock[0] += 5 * DAY
            await place.pass_time(timedelta(days=5))
        await retain(storage, clock, 40)
        at = await place.now() - timedelta(days=back)
        await place.lane.report(CALLER, [told("acme", "late", 1, time=at)])
        await forget_balances(world)
        assert await left(place, "calls") == 900 - 20
        # What it drew is not known apart any more: nothing can be given back, which is said, not passed over.
        with pytest.raises(Conflict, match="before the facts"):
            await correct(place, "late")
        await correct(place, "90")
        assert await left(place, "calls") == 900 - 19
        await forget_balances(world)
        assert await left(place, "calls") == 900 - 19


async def forget_balances(world: World) -> None:
    """Remove what is kept of all balances."""
    connection = await asyncpg.connect(world.database.dsn)
    await connection.execute("DELETE FROM balance")
    await connection.close()


async def correct(place: Place, event: str) -> None:
    """Give back what an event took."""
    named = EventName(source="tests", id=event)
    assert consumed(await place.lane.correct(CALLER, CorrectionAsked(customer="acme", event=named))).allowed
