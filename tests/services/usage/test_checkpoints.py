"""Checkpoints on the real database: what is folded from one is what is folded from the first fact, then and now."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from licet.core.instant import DAY, to_datetime, to_instant
from licet.core.usage.facts import AccountKey
from licet.services.errors import Invalid, ServiceError
from licet.services.rows import Page
from licet.services.usage.balance_views import BalanceView, StatementView
from licet.services.usage.balances import When
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.services.usage.statements import get_statement
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CorrectionAsked
from tests.dose import dose
from tests.services.usage.metered import CALLER, Place, place_in, told
from tests.store.worlds import KEYRING, World


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place."""
    async with place_in(storage) as made:
        yield made


async def live(place: Place, chance: random.Random, steps: int) -> list[datetime]:
    """Let acme use things up over many days; return instants in between."""
    begun, held, moments = await place.now(), list[str](), list[datetime]()
    for number in range(steps):
        step = chance.choice(("consume", "reserve", "reserve", "settle", "report", "report", "wait", "wait"))
        if step == "consume":
            made = await place.consume("tokens", chance.randint(1, 30))
            if made.allowed and chance.random() < 0.3:
                await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id))
        elif step == "reserve":
            lasts = chance.choice(("PT5M", "PT10H", "PT20H"))
            held += [(await place.reserve("tokens", chance.randint(1, 60), lasts=lasts)).id or ""]
        elif step == "settle" and held:
            with suppress(ServiceError):
                await place.settle(held.pop(chance.randrange(len(held))), chance.randint(0, 70))
        elif step == "report":
            span = timedelta(hours=3) if chance.random() < 0.8 else await place.now() - begun
            late = await place.now() - span * chance.random()
            size = chance.randint(1, 9)
            await place.lane.report(CALLER, [told("acme", str(number), size, kind="llm.tokens", time=max(late, begun))])
        else:
            moments.append(await place.now())
            await place.pass_time(timedelta(minutes=chance.randint(1, 1_500)))
    return [*moments, await place.now()]


async def told_of(place: Place, moments: list[datetime]) -> list[BalanceView | StatementView]:
    """What is answered about the balances, now and of the past, and as it was known then."""
    found: list[BalanceView | StatementView] = []
    for feature in ("tokens", "ai"):
        found += [await place.balance(feature)]
        for at in moments:
            for known in (at, moments[-1]):
                found.append(await place.balance(feature, when=When(at=at, known=known)))
    for since in moments[::3]:
        async with place.storage.read(place.workspace) as view:
            key = AccountKey("acme", "tokens")
            found.append(await get_statement(view, key, place.snapshots, (since, moments[-1]), Page()))
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_removing_checkpoints_changes_no_answer(place: Place, world: World, seed: int) -> None:
    """With all checkpoints, some of them, and none at all: the same balances and statements at every instant."""
    chance = random.Random(f"checkpoints {seed}")
    await place.join("acme", "ai")
    moments = await live(place, chance, dose(45, full=600))
    connection = await asyncpg.connect(world.database.dsn)
    try:
        kept = await connection.fetchval("SELECT count(*) FROM balance_checkpoint")
        assert kept > 2
        answers = await told_of(place, moments)
        for half in ("hashtext(as_of::text) % 2 = 0", "true"):
            await connection.execute(f"DELETE FROM balance_checkpoint WHERE {half}")
            assert await told_of(place, moments) == answers
        # Not even what is kept of the balances themselves matters.
        await connection.execute("DELETE FROM balance")
        assert await told_of(place, moments) == answers
    finally:
        await connection.close()


async def test_a_grant_at_the_very_instant_of_a_use_is_folded_before_it(place: Place) -> None:
    """The kept state has another past then: it is folded anew from the last checkpoint, and all counts once."""
    await place.join("acme", "ai")
    for number in range(3):
        await place.pass_time(timedelta(days=1))
        await place.consume("tokens", 2_500)
        async with place.write() as tx:
            await give_grant(tx, "acme", GiveGrant(feature="ai", amount=7), place.catalogs)
        for _ in range(2):
            balance = await place.balance("ai")
            assert (str(balance.used), str(balance.remaining)) == (str(number + 1), str(500 + 6 * (number + 1)))
    assert (await place.consume("tokens", 2_500 * 518)).allowed
    assert not (await place.consume("tokens", 1)).allowed


async def test_dropped_months_lose_no_figure(world: World) -> None:
    """Facts that are dropped with their months stay in every balance: kept states gone, late facts coming, it is told
    the same; only of instants before the last checkpoint that holds them nothing can be told any more."""
    clock = [to_instant(datetime(2026, 1, 10, tzinfo=UTC))]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage, place_in(storage) as place:
        await place.join("acme", "ai")
        async with place.write() as tx:
            await give_grant(tx, "acme", GiveGrant(feature="ai", amount=900), place.catalogs)
        begun = await place.now()
        for day in range(95):
            if day % 30 < 12:
                await place.consume("tokens", 1_000 + day)
                made = await place.reserve("tokens", 500, lasts="PT20H")
                if day % 2:
                    await place.settle(made.id, 200)
            clock[0] += DAY
            await place.pass_time(timedelta(days=1))
        before = [await place.balance(feature) for feature in ("tokens", "ai")]
        then = await place.balance("ai", when=When(at=begun + timedelta(days=65)))
        assert before[1].used
        await retain(storage, clock, 40)
        async with storage.read("test") as view:
            facts = await view.facts_of(AccountKey("acme", "tokens"))
        assert min(one.effective for one in facts) > to_instant(begun + timedelta(days=40))
        connection = await asyncpg.connect(world.database.dsn)
        old = "SELECT count(*) FROM balance_checkpoint WHERE feature = 'ai' AND as_of < $1"
        assert await connection.fetchval(old, begun + timedelta(days=95 - 40)) == 1
        ended = "SELECT count(*) FROM reservation WHERE closed AND until < $1"
        assert await connection.fetchval(ended, begun + timedelta(days=95 - 36)) == 0
        await connection.execute("DELETE FROM balance")
        await connection.close()
        for one in before:
            found = await place.balance(one.feature)
            assert (found.used, found.remaining, found.grants) == (one.used, one.remaining, one.grants)
        assert await place.balance("ai", when=When(at=then.at)) == then
        with pytest.raises(Invalid, match="not all kept"):
            await place.balance("ai", when=When(at=begun + timedelta(days=5)))
        late = await place.now() - timedelta(days=2)
        await place.lane.report(CALLER, [told("acme", "late", 2_500, kind="llm.tokens", time=late)])
        after = await place.balance("ai")
        assert Decimal(str(after.remaining)) == Decimal(str(before[1].remaining)) - 1


async def retain(storage: PostgresStorage, clock: list[int], days: int) -> None:
    """Seal, forget and drop what is older than some days."""
    ends = to_datetime(clock[0])
    while await storage.seal("test"):
        pass
    for workspace in ("test", "live"):
        await storage.forget_usage(workspace, ends, ends, facts=to_datetime(clock[0] - days * DAY))
    dropped = await storage.keep_partitions(0, to_datetime(clock[0] - days * DAY))
    assert "usage_fact_202601" in dropped
