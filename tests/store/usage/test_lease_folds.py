"""Leases in what balances are folded from: kept states and checkpoints gone, months dropped, the same is told."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from licet.core.instant import DAY, to_instant
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey
from licet.core.usage.recalled import Recalled
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.usage.balances import When, meter_of, past, truth_of
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.services.usage.gathering import Wanted, pasts_of
from licet.services.usage.lease_ports import LeaseFilter
from licet.services.usage.ports import UsageFilter
from licet.services.usage.refolding import Span
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from licet.wire.quota import LeaseAsk, LeaseTold, QuotaAnswer, QuotaCall
from tests.dose import dose
from tests.services.usage.metered import CALLER, Place, place_in
from tests.services.usage.test_checkpoints import retain, told_of
from tests.services.usage.test_dropped import forget_balances
from tests.store import rows
from tests.store.worlds import KEYRING, World

CATALOG = b"""
version: 1
products: {p: {}}
meters:
  tokens: {event: llm.tokens, aggregate: sum}
credits:
  ai: {scale: 2, burns: {tokens: "0.0004"}}
features:
  tokens: {type: metered, meter: tokens, per: month, at_limit: block, decide: local}
  ai: {type: credits, credit: ai, decide: local}
plans:
  ai:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {tokens: 50000, ai: {amount: 5, per: month}}}
"""
OWNER = f"{1:032x}"
SECOND = 1_000_000
CONSUMED = 17
"""Tokens of each consume."""


class Owner:
    """Who leases tokens of acme in a place, tells of them, and knows what it used."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._epoch = 0
        self._number = 0
        self.open: dict[str, int] = {}
        """What each lease was issued with."""
        self.used: dict[str, int] = {}

    async def call(self, **said: object) -> QuotaAnswer:
        """Call the hub."""
        self._number += 1
        made = QuotaCall(**{"owner": OWNER, "number": self._number, "epoch": self._epoch, **said})  # type: ignore[arg-type]
        reply = await self._place.lane.quota(CALLER, made)
        answer = msgspec.json.decode(reply.body, type=QuotaAnswer)
        self._epoch = answer.epoch
        return answer

    async def ask(self, wanted: int) -> None:
        """Ask for a slice; of another epoch than the one that was known once more."""
        name = f"{self._number + 1:032x}"
        ask = LeaseAsk(id=name, customer="acme", feature="tokens", wanted=wanted)
        answer = await self.call(asks=(ask,))
        if answer.denied and answer.denied[0].code == "epoch_over":
            answer = await self.call(asks=(ask,))
        for given in answer.given:
            self.open[name], self.used[name] = given.amount, 0

    async def tell(self, lease: str, used: int, *, closed: bool = False, lost: int = 0) -> str:
        """Tell that so much was used of a lease by now; returns what the hub holds of it."""
        self.used[lease] = used
        heard = await self.call(told=(LeaseTold(id=lease, used=used, closed=closed, lost=lost),))
        if closed:
            del self.open[lease]
        return heard.heard[0].state


async def live(place: Place, owner: Owner, clock: list[int], chance: random.Random, steps: int) -> list[datetime]:
    """Let acme use tokens up at the hub and out of leases over some months; return instants in between."""
    moments = list[datetime]()
    for _ in range(steps):
        step = chance.choice(("consume", "ask", "ask", "tell", "close", "close", "lose", "wait", "escheat"))
        name = chance.choice([*owner.open, ""])
        if step == "consume":
            await place.consume("tokens", CONSUMED)
        elif step == "ask":
            await owner.ask(chance.randint(1, 900))
        elif step == "tell" and name:
            await owner.tell(name, chance.randint(owner.used[name], owner.open[name]))
        elif step == "close" and name:
            await owner.tell(name, chance.randint(owner.used[name], owner.open[name]), closed=True)
        elif step == "lose" and name:
            used = owner.used[name]
            await owner.tell(name, used, closed=True, lost=chance.randint(0, owner.open[name] - used))
        elif step == "escheat":
            clock[0] += chance.randint(60, 200) * SECOND
        elif step == "wait":
            moments.append(await place.now())
            await place.pass_time(timedelta(hours=chance.choice((1, 5, 30, 200))))
    return [*moments, await place.now()]


@pytest.fixture
async def clock() -> list[int]:
    """Real time, as the storage reads it."""
    return [to_instant(datetime(2026, 1, 10, tzinfo=UTC))]


@pytest.fixture
async def place(world: World, clock: list[int]) -> AsyncIterator[Place]:
    """A place in which acme may use tokens up."""
    storage = PostgresStorage(world.access, KEYRING, wall=lambda: clock[0])
    async with storage, place_in(storage, CATALOG) as made:
        await made.join("acme", "ai")
        async with made.write() as tx:
            await give_grant(tx, "acme", GiveGrant(feature="ai", amount=900), made.catalogs)
        yield made


@pytest.mark.parametrize("seed", range(3))
async def test_leases_are_folded_as_they_were_posted(place: Place, world: World, clock: list[int], seed: int) -> None:
    """With all checkpoints, half of them and none, and no balance kept: the same balances and statements then and now,
    and the log with its sums verifies."""
    chance = random.Random(f"leases {seed}")
    owner = Owner(place)
    moments = await live(place, owner, clock, chance, dose(70, full=300))
    connection = await asyncpg.connect(world.database.dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM usage_fact WHERE kind = 'return'") > 9
        assert await connection.fetchval("SELECT count(DISTINCT state) FROM quota_lease") > 1
        answers = await told_of(place, moments)
        for half in ("hashtext(as_of::text) % 2 = 0", "true"):
            await connection.execute(f"DELETE FROM balance_checkpoint WHERE {half}")
            assert await told_of(place, moments) == answers
        await connection.execute("DELETE FROM balance")
        assert await told_of(place, moments) == answers
    finally:
        await connection.close()
    await counted(place)


async def counted(place: Place) -> None:
    """Expect sums of what was consumed and of what is known of leases: before and after sealing, and the log's own."""
    async with place.storage.read("test") as view:
        facts = [row.fact for row in await view.usage_facts(UsageFilter(), Page(limit=500))]
        rows = await view.leases(LeaseFilter(), Page(limit=500))
        unsealed = await view.usage_hours(UsageFilter(), Page(limit=500))
    told = {row.lease.used == row.recorded for row in rows if row.lease.state != "open"}
    assert told == {True}
    known = sum(row.recorded for row in rows) + CONSUMED * sum(one.kind == "consume" for one in facts)
    assert sum(one.quantity for one in unsealed) == known
    while await place.storage.seal("test", 40):
        pass
    async with place.storage.read("test") as view:
        assert await view.usage_hours(UsageFilter(), Page(limit=500)) == unsealed
    report = await verify_log(place.storage, "test")
    assert report.ok, report.faults


async def test_a_lease_outlives_the_month_of_its_fact(place: Place, world: World, clock: list[int]) -> None:
    """What was leased in a month that was dropped stays drawn, and is known; after its owner's last word, months later,
    and before it the same is told whether or not balances are kept."""
    owner = Owner(place)
    # All that the month includes: what is leased comes from what lasts.
    assert (await place.consume("tokens", 12_500)).allowed
    await owner.ask(2_500)
    ((old, amount),) = owner.open.items()
    assert amount > 2_000
    for day in range(95):
        if day % 3 == 0:
            await owner.ask(2_500)
        for name in list(owner.open)[1:]:
            await owner.tell(name, owner.open[name] // 3 + 1, closed=True)
        clock[0] += DAY
        await place.pass_time(timedelta(days=1))
    before = await figures(place)
    await retain(place.storage, clock, 40)
    async with place.storage.read("test") as view:
        assert [row.lease.id for row in await view.leases(LeaseFilter(state="escheated"), Page())] == [old]
        assert old in await view.lease_facts([old])
    assert await figures(place) == before
    await forget_balances(world)
    assert await figures(place) == before
    assert await owner.tell(old, 1_000, closed=True) == "settled"
    after = await figures(place)
    await forget_balances(world)
    assert await figures(place) == after
    while await place.storage.seal("test"):
        pass
    report = await verify_log(place.storage, "test")
    assert report.ok, report.faults


async def test_what_is_told_of_leases_is_what_is_used_most(place: Place) -> None:
    """Each word of an owner that tells of use counts as one request of so much; leases and words of none do not."""
    owner = Owner(place)
    for used in (5, 0, 7):
        await owner.ask(100)
        (name,) = owner.open
        await owner.tell(name, used, closed=True)
    async with place.storage.read("test") as view:
        found = await view.used_most(None, rows.DAY - timedelta(days=365), 10, 1_000)
    assert {(row.feature, row.requests, row.quantity, row.total) for row in found} == {
        ("tokens", 2, 12, 2), ("ai", 2, 1, 2),
    }  # fmt: skip


async def figures(place: Place) -> list[tuple[object, ...]]:
    """What is told of both balances."""
    found = [await place.balance(feature) for feature in ("tokens", "ai")]
    return [(one.used, one.remaining, one.leased, one.written_off, one.grants) for one in found]


@pytest.mark.parametrize("used", [0, 1_000])
async def test_what_a_dropped_month_leased_is_given_back(
    place: Place, world: World, clock: list[int], used: int
) -> None:
    """Nothing came after a lease, its fact is gone, and no balance is kept: its owner's late word gives back what was
    not used, as it does where the balances are kept, because the checkpoint knows what the lease drew."""
    owner = Owner(place)
    assert (await place.consume("tokens", 12_500)).allowed
    whole = await place.balance("ai")
    await owner.ask(2_500)
    ((old, amount),) = owner.open.items()
    for _ in range(95):
        clock[0] += DAY
        await place.pass_time(timedelta(days=1))
    await place.lane.lapse(CALLER, [old])
    before = await figures(place)
    await retain(place.storage, clock, 40)
    async with place.storage.read("test") as view:
        assert not await view.facts_of(AccountKey("acme", "ai"))
    assert await figures(place) == before
    await forget_balances(world)
    assert await figures(place) == before
    assert await owner.tell(old, used, closed=True) == "settled"
    after = await figures(place)
    gift = max(Decimal(str(one.left)) for one in (await place.balance("ai")).grants)
    assert gift == 900 - Decimal(used) * 4 / 10_000
    assert (amount > 2_000, whole.remaining) == (True, "900")
    await forget_balances(world)
    assert await figures(place) == after


class Counting:
    """A view of the storage that counts the facts that are read through it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.facts = 0

    def __getattr__(self, name: str) -> Any:
        """What the view offers."""
        return getattr(self._view, name)

    async def facts_of(self, *about: Any, **rest: Any) -> Any:
        """The facts of one balance."""
        found = await self._view.facts_of(*about, **rest)
        self.facts += len(found)
        return found

    async def facts_of_each(self, *about: Any, **rest: Any) -> Any:
        """The facts of many balances."""
        found = await self._view.facts_of_each(*about, **rest)
        self.facts += sum(len(one) for one in found)
        return found


async def test_a_balance_of_the_past_beside_leases_reads_the_facts_of_a_day(place: Place, clock: list[int]) -> None:
    """Leases are open whenever somebody looks, one of them always: a balance of any instant is folded from the
    checkpoint before it, whether alone or with others."""
    owner = Owner(place)
    await owner.ask(500)
    moments = list[datetime]()
    for day in range(30):
        await owner.ask(100)
        for name in list(owner.open)[1 if day % 7 else 2 : -1]:
            await owner.tell(name, 30, closed=True)
        for _ in range(3):
            await place.consume("tokens", CONSUMED)
            await place.pass_time(timedelta(hours=4))
        moments.append(await place.now())
        clock[0] += SECOND
        await place.pass_time(timedelta(hours=12))
    async with place.storage.read("test") as view:
        facts = len(await view.facts_of(AccountKey("acme", "ai")))
        assert facts > 140
        for moment in moments[2::3]:
            for feature in ("tokens", "ai"):
                counting: Any = Counting(view)
                truth = await truth_of(view, "acme", place.snapshots, When(at=moment))
                course = truth.course(AccountKey("acme", feature))
                found = await past(counting, truth, course)
                assert counting.facts <= 12, (moment, feature)
                wanted = Wanted(course, meter_of(truth.catalog, feature), truth.at + 1)
                counting.facts = 0
                (many,) = await pasts_of(counting, [wanted], Span(truth.at, truth.at + 1, truth.recorded))
                assert counting.facts <= 12, (moment, feature)
                assert (many.base, many.effects) == (found.base, found.effects)
                whole = effects(await view.facts_of(course.key), course.key, truth.at, wanted.meter)
                assert found.account().standing(truth.at) == Recalled(course, whole).standing(truth.at)
