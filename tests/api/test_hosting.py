"""The truths that a process holds: when they may be used, what they hold, and how they follow the log."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from licet.api import hosting as room
from licet.api.hosting import Hosted, Hosting, Step
from licet.core.instant import to_instant
from licet.services.catalogs import apply_catalog
from licet.services.feed_ports import Rows
from licet.services.rows import CustomerRow, Draft, Instants, Workspace
from licet.services.truth import Catalogs
from licet.settings import Settings
from licet.store.postgres import PostgresStorage
from licet.wire.feed import Cursor
from tests.api.house import ALL, MERIDIAN, House, open_house
from tests.core import worlds
from tests.door.wire import CHECK, hot_count, open_shop, request, warm, wire
from tests.store.worlds import OPERATOR, World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def storage(world: World) -> AsyncIterator[PostgresStorage]:
    """An open storage."""
    async with world.storage() as made:
        yield made


async def shop(storage: PostgresStorage, name: str) -> str:
    """A workspace whose clock stands at noon, with a catalog and two customers."""
    await storage.create_workspace(Workspace(id=name, kind="test", clock_frozen_at=NOON), OPERATOR)
    async with storage.write(name, OPERATOR) as tx:
        await apply_catalog(tx, MERIDIAN.read_bytes(), 0)
    for customer in ("acme", "beta"):
        await put(storage, name, customer)
    return name


async def put(storage: PostgresStorage, workspace: str, customer: str) -> None:
    """Make a customer."""
    async with storage.write(workspace, OPERATOR) as tx:
        row = CustomerRow(id=customer, revision=1, created_at=NOON, updated_at=NOON)
        await tx.put_customer(row)
        await tx.record(Draft(type="customer.created", subject=f"customer/{customer}"))


async def usable(hosting: Hosting, workspace: str) -> Hosted:
    """Ask until the truth of a workspace may be used."""
    async with asyncio.timeout(5):
        while (found := hosting.of(workspace, time.monotonic())) is None:  # noqa: ASYNC110 asking is what wakes it
            await asyncio.sleep(0.005)
    return found


async def holding(hosted: Hosted, customer: str, user: str | None = None) -> None:
    """Ask about a customer (and user) until it is held."""
    async with asyncio.timeout(5):
        while not hosted.holds(customer, user):  # noqa: ASYNC110 asking is what wakes it
            await asyncio.sleep(0.005)


async def test_a_truth_may_be_used_while_it_is_fresh(storage: PostgresStorage) -> None:
    """It may not before the second question, nor two seconds after the database confirmed it, nor before an own commit
    is in it."""
    name = await shop(storage, "fresh")
    hosting = Hosting(storage, Catalogs())
    assert hosting.of(name, time.monotonic()) is None, "nobody follows yet"
    async with hosting.follow():
        assert hosting.of(name, time.monotonic()) is None
        hosted = await usable(hosting, name)
        assert hosting.of(name, time.monotonic()) is hosted
        assert hosting.of(name, hosted.confirmed + room.STALE_SECONDS) is None
        before = hosted.truth.seq
        await put(storage, name, "gamma")
        assert hosting.of(name, time.monotonic()) is None, "an own commit is not in it"
        assert (await usable(hosting, name)).truth.seq == before + 1
    assert hosting.of(name, time.monotonic()) is None


async def test_who_changes_is_another_and_who_does_not_stays(storage: PostgresStorage) -> None:
    """What is held moves with the log: only answers about those who changed are made anew; a user that is taken in
    makes none another; who is unknown is so until there is such a customer or user."""
    name = await shop(storage, "drops")
    hosting = Hosting(storage, Catalogs())
    now = to_instant(NOON)
    async with hosting.follow():
        hosting.of(name, time.monotonic())
        hosted = await usable(hosting, name)
        for customer in ("acme", "beta", "nobody"):
            await holding(hosted, customer)
        truth = hosted.truth
        acme, beta = truth.prepared("acme", "sso", now), truth.prepared("beta", "sso", now)
        assert truth.check("nobody", "sso", now).reason == "unknown_customer"
        await holding(hosted, "acme", "ann")
        assert truth.facts("acme", "ann") == "ann"
        assert truth.prepared("acme", "sso", now) is acme
        async with storage.write(name, OPERATOR) as tx:
            terms = await tx.lock_customer("acme")
            assert terms is not None
            await tx.put_terms("acme", terms.terms)
            await tx.record(Draft(type="terms.changed", subject="customer/acme"))
        await put(storage, name, "nobody")
        await usable(hosting, name)
        assert truth.prepared("beta", "sso", now) is beta
        assert truth.prepared("acme", "sso", now) is not acme
        assert truth.check("nobody", "sso", now).reason != "unknown_customer"


async def test_what_is_too_much_is_dropped_and_comes_back(storage: PostgresStorage) -> None:
    """After more changes than a step takes in nothing is held any more, and what is asked again comes back as it is."""
    name = await shop(storage, "many")
    hosting = Hosting(storage, Catalogs())
    async with hosting.follow():
        hosting.of(name, time.monotonic())
        hosted = await usable(hosting, name)
        await holding(hosted, "acme")
        async with storage.write(name, OPERATOR) as tx:
            for number in range(room.MOST_CHANGED + 1):
                row = CustomerRow(id=f"c{number}", revision=1, created_at=NOON, updated_at=NOON)
                await tx.put_customer(row)
                await tx.record(Draft(type="customer.created", subject=f"customer/c{number}"))
        hosted = await usable(hosting, name)
        assert not hosted.truth.known("acme")
        await holding(hosted, "acme")
        await holding(hosted, f"c{room.MOST_CHANGED}")


async def test_the_business_clock_is_that_of_the_workspace(storage: PostgresStorage) -> None:
    """A frozen clock stands, a moved one is beside real time, and none is before what is recorded."""
    name = await shop(storage, "clocks")
    hosting = Hosting(storage, Catalogs())
    async with hosting.follow():
        hosting.of(name, time.monotonic())
        for offset, frozen in ((0, NOON + timedelta(days=1)), (10**15, None)):
            async with storage.write(name, OPERATOR) as tx:
                await tx.set_clock(offset, None if frozen is None else to_instant(frozen))
                await tx.record(Draft(type="clock.moved", subject="clock"))
            hosted = await usable(hosting, name)
            wall = storage.wall()
            async with storage.read(name) as view:
                expected = view.time.business - view.time.wall if frozen is None else view.time.business
            told = hosted.now(wall)
            assert (told - wall if frozen is None else told) == expected


def test_users_are_bounded() -> None:
    """Beyond the bound of customers and users all are dropped with the next step, at once, but who is wanted then."""
    hosted = Hosted("one", time.monotonic)
    step = Step(
        workspace=hosted.workspace,
        time=Instants(business=0, wall=0),
        cursor=Cursor(1, 1),
        catalog=worlds.policed(frozenset()),
        changed=None,
        wanted=[("acme", f"u{number}") for number in range(room.MOST_ROWS)],
        found=Rows(),
    )
    hosted.move(step)
    assert len(hosted.truth) == room.MOST_ROWS + 1
    assert hosted.holds("acme", "u9")
    hosted.move(structs.replace(step, cursor=Cursor(1, 2), changed=Rows(), wanted=[("beta", "u1")]))
    assert len(hosted.truth) == 2
    assert (hosted.holds("acme"), hosted.holds("beta", "u1"), hosted.basis) == (False, True, b'"1:2"}')


async def test_memory_is_bounded(storage: PostgresStorage) -> None:
    """Beyond their bound customers that came first are dropped, and workspaces that nobody asked for longest."""
    hosted = Hosted("one", time.monotonic)
    for number in range(room.MOST_WANTED + 10):
        hosted.holds(f"c{number}")
    assert len(hosted.wanted) == room.MOST_WANTED
    hosting, dropped = Hosting(storage, Catalogs()), list[str]()
    hosting.on_drop = dropped.append
    async with hosting.follow():
        for number in range(room.MOST_WORKSPACES + 5):
            for _ in range(2):
                hosting.of(f"w{number}", float(number))
        assert len(hosting.held) == room.MOST_WORKSPACES
        assert f"w{room.MOST_WORKSPACES + 4}" in hosting.held
        assert dropped == [f"w{number}" for number in range(5)]


async def test_a_rate_is_one_for_both_ways(world: World) -> None:
    """Hot and cold answers take from the same bucket; beyond it both are refused, by the same words."""
    async with open_house(world, Settings(rate_per_second=1, rate_burst=40)) as house:
        operator = await house.holder(*ALL)
        await open_shop(house, operator)
        secret = (await house.key("check"))[1]
        await warm(house, secret)
        statuses = await drained(house, secret)
    assert statuses[-1] == 429
    assert 20 <= statuses.count(200) <= 40


async def drained(house: House, secret: str) -> list[int]:
    """Ask by turns hot and cold, until refused."""
    statuses: list[int] = []
    async with wire(house.url) as line:
        while 429 not in statuses:
            path = CHECK if len(statuses) % 2 else f"{CHECK}?at_least=0"
            statuses.append((await line.ask(request(secret, path=path))).status)
        before = hot_count(house)
        assert (await line.ask(request(secret))).status == 429
        assert hot_count(house) == before
    return statuses
