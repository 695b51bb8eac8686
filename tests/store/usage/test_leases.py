"""Quota leases on the real database: written with their facts or not at all, locked, listed, summed up, forgotten."""

import asyncio
import random
from datetime import UTC, datetime

import pytest
from msgspec import structs

from licet.core.instant import DAY, HOUR, to_datetime, to_instant
from licet.core.usage.facts import AccountKey
from licet.services.rows import Page
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.lease_ports import LeaseFilter, LeaseRow, LeaseSum
from licet.services.usage.ports import Collided, Posted, UsageFilter
from licet.store.postgres import PostgresStorage
from tests.dose import dose
from tests.store import rows
from tests.store.rows import drawn, ended, issued, leased
from tests.store.worlds import KEYRING, OPERATOR, World

API = AccountKey("acme", "api")
T0 = to_instant(rows.DAY)


async def post(storage: PostgresStorage, posted: Posted) -> None:
    """Lock the balance and post."""
    async with storage.post("test", OPERATOR) as tx:
        await tx.lock([API])
        await tx.post(posted)


def changed(*given: LeaseRow) -> Posted:
    """Leases that there are, as they are now, with nothing of them held where they ended with nothing lost."""
    held = [({"api": 0} if not row.held else {"api": row.lease.lost or row.lease.amount}) for row in given]
    reservations = [drawn(structs.replace(row), held=part) for row, part in zip(given, held, strict=True)]
    return Posted(leases=given, reservations=reservations)


async def test_leases_are_read_as_they_were_written(storage: PostgresStorage) -> None:
    """A lease is read by its id and in lists, with the fact by which it was drawn."""
    given = [leased(number) for number in (1, 2)]
    other = leased(3, customer="zeta", feature="ai")
    await post(storage, issued(*given, other))
    async with storage.read("test") as view:
        assert await view.lease(given[0].lease.id) == given[0]
        assert await view.lease(f"{9:032x}") is None
        assert await view.leases(LeaseFilter(), Page()) == [*given, other]
        assert await view.leases(LeaseFilter(), Page(limit=1, after=given[0].lease.id)) == [given[1]]
        assert await view.leases(LeaseFilter(customer="zeta"), Page()) == [other]
        assert await view.leases(LeaseFilter(feature="ai"), Page()) == [other]
        assert await view.leases(LeaseFilter(state="settled"), Page()) == []
        assert await view.lease_facts([other.lease.id, f"{9:032x}"]) == {other.lease.id: drawn(other).fact}
        assert await view.reservation(lease_fact_id(other.lease.id)) == drawn(other)


async def test_a_lease_changes_and_its_reservation_with_it(storage: PostgresStorage) -> None:
    """What is told replaces what was there: state, end, recall, and what is held."""
    one = leased(1)
    await post(storage, issued(one))
    longer = LeaseRow(lease=structs.replace(one.lease, until=T0 + 2 * HOUR, recalled=True, used=3))
    await post(storage, Posted(leases=[longer]))
    async with storage.read("test") as view:
        assert await view.lease(one.lease.id) == longer
        assert await view.leases(LeaseFilter(state="open"), Page()) == [longer]
        assert await view.lost_leases(1, T0 + HOUR, 10) == []
    over = ended(one, "settled", used=4)
    await post(storage, changed(over))
    async with storage.read("test") as view:
        assert await view.lease(one.lease.id) == over
        assert await view.leases(LeaseFilter(state="open"), Page()) == []
        assert await view.reservation(lease_fact_id(one.lease.id)) == drawn(one, held={"api": 0})


async def test_the_same_lease_issued_twice_collides(storage: PostgresStorage) -> None:
    """Of two postings that issue a lease with one id the second writes nothing at all."""
    await post(storage, issued(leased(1)))
    again = structs.replace(issued(leased(1, amount=5)), facts=[rows.used(1, T0)])
    with pytest.raises(Collided):
        await post(storage, again)
    async with storage.read("test") as view:
        assert await view.lease(f"{1:032x}") == leased(1)
        assert len(await view.usage_facts(UsageFilter(), Page())) == 1


async def test_a_lease_that_is_not_there_cannot_change(storage: PostgresStorage) -> None:
    """Whoever changes a lease that was never issued has made a mistake, and nothing of it is written."""
    await post(storage, issued(leased(1)))
    with pytest.raises(RuntimeError, match="not there"):
        await post(storage, Posted(facts=[rows.used(1, T0)], leases=[leased(1), leased(2)]))
    async with storage.read("test") as view:
        assert len(await view.usage_facts(UsageFilter(), Page())) == 1


async def test_a_lease_that_draws_nothing_is_kept(storage: PostgresStorage) -> None:
    """What was used of something that is not there any more is known, though no balance is."""
    await post(storage, Posted(leases=[ended(leased(1), "proven", used=4)], issued=frozenset({f"{1:032x}"})))
    async with storage.read("test") as view:
        assert await view.lease(f"{1:032x}") == ended(leased(1), "proven", used=4)
        assert await view.lease_facts([f"{1:032x}"]) == {}
        assert await view.lease_sums("acme", {"api": T0}) == []


async def test_leases_are_no_reservations_to_others(storage: PostgresStorage) -> None:
    """No list of reservations names a lease, and none of them is ever due."""
    await post(storage, issued(leased(1)))
    async with storage.post("test", OPERATOR) as tx:
        await tx.lock([API])
        assert await tx.due([API], T0 + 9_999 * DAY) == []
        assert await tx.reservations([lease_fact_id(f"{1:032x}")]) == {lease_fact_id(f"{1:032x}"): drawn(leased(1))}
    async with storage.read("test") as view:
        assert await view.open_reservations("acme", Page()) == []


async def test_locked_leases_are_waited_for(world: World) -> None:
    """Who holds a lease keeps others from it, by its id or by its feature; who waited sees what became of it."""
    one, two = leased(1), leased(2)
    async with world.storage() as storage:
        await post(storage, issued(one, two, leased(3, feature="ai")))
        async with storage.post("test", OPERATOR) as first:
            assert await first.leases_of([two.lease.id, one.lease.id, f"{9:032x}"]) == {
                one.lease.id: one,
                two.lease.id: two,
            }

            async def later() -> tuple[dict[str, LeaseRow], list[LeaseRow]]:
                async with storage.post("test", OPERATOR) as second:
                    return await second.leases_of([two.lease.id]), []

            async def open_of() -> tuple[dict[str, LeaseRow], list[LeaseRow]]:
                async with storage.post("test", OPERATOR) as second:
                    return {}, list(await second.open_leases([("acme", "api"), ("acme", "none"), ("acme", "api")]))

            waiting = [asyncio.create_task(later()), asyncio.create_task(open_of())]
            done, _ = await asyncio.wait(waiting, timeout=0.2)
            assert not done
            await first.lock([API])
            await first.post(changed(ended(two, "settled", used=2)))
        assert await waiting[0] == ({two.lease.id: ended(two, "settled", used=2)}, [])
        assert await waiting[1] == ({}, [one])


async def test_leases_locked_in_any_order_never_collide(world: World) -> None:
    """Many postings over the same leases, named in any order, by ids and by features: none meets another crosswise."""
    chance = random.Random(11)
    given = [leased(number, feature=f"f{number % 3}") for number in range(1, 13)]
    async with world.storage(size=8) as storage:
        await post(storage, issued(*given))

        async def go(number: int) -> int:
            named = [one.lease.id for one in chance.sample(given, 8)]
            async with storage.post("test", OPERATOR) as tx:
                if number % 2:
                    return len(await tx.leases_of(named))
                pairs = [("acme", f"f{one}") for one in chance.sample(range(3), 3)]
                return len(await tx.open_leases(pairs))

        async with asyncio.timeout(30):
            found = await asyncio.gather(*(go(number) for number in range(dose(40))))
    assert set(found) == {8, 12}


async def test_recalled_leases_are_found_by_their_owner(storage: PostgresStorage) -> None:
    """An owner hears of its open recalled leases alone."""
    mine, other = leased(1, recalled=True), leased(2, recalled=True, owner=f"{8:032x}")
    gone = ended(leased(3, recalled=True), "settled")
    await post(storage, issued(mine, other, leased(4), gone))
    async with storage.post("test", OPERATOR) as tx:
        assert await tx.recalled_leases([mine.lease.owner]) == [mine]
        assert await tx.recalled_leases([other.lease.owner, mine.lease.owner]) == [mine, other]
        assert await tx.recalled_leases([]) == []


async def test_lost_leases_are_those_whose_time_or_epoch_is_over(storage: PostgresStorage) -> None:
    """The end counts, and any other epoch; what ended already does not; those that end first come first."""
    ends = {1: T0 + 3 * HOUR, 2: T0 + HOUR, 3: T0 + 2 * HOUR}
    given = [leased(number, until=at) for number, at in ends.items()]
    over = ended(leased(4, until=T0), "settled")
    others = [leased(5, epoch=0, until=T0 + 4 * HOUR), leased(6, epoch=2, until=T0 + 5 * HOUR)]
    await post(storage, issued(*given, over, *others))
    async with storage.read("test") as view:
        found = await view.lost_leases(1, T0 + 2 * HOUR, 10)
        assert found == [f"{number:032x}" for number in (2, 3, 5, 6)]
        assert await view.lost_leases(1, T0 + 2 * HOUR - 1, 2) == [f"{number:032x}" for number in (2, 5)]
        assert await view.lost_leases(2, T0, 10) == [f"{number:032x}" for number in (2, 3, 1, 5)]


async def test_what_leases_hold_is_summed_up_by_feature(storage: PostgresStorage) -> None:
    """What is held counts from a begin on: of open ones as leased, of those that ended as written off."""
    before = [leased(number, issued=T0 - DAY) for number in (1, 2)]
    given = [leased(number) for number in (3, 4, 5, 6)]
    await post(storage, issued(*before, *given, leased(7, feature="ai"), leased(8, customer="zeta")))
    await post(
        storage,
        changed(
            ended(before[1], "escheated"),
            ended(given[1], "escheated", used=2),
            ended(given[2], "settled", used=3, lost=4),
            ended(given[3], "proven", used=10),
        ),
    )
    async with storage.read("test") as view:
        ai, api = LeaseSum(feature="ai", leased=10, written_off=0), LeaseSum(feature="api", leased=10, written_off=14)
        assert await view.lease_sums("acme", {"api": T0, "ai": T0}) == [ai, api]
        assert await view.lease_sums("acme", {"api": T0 - DAY}) == [ai, structs.replace(api, leased=20, written_off=24)]
        later = await view.lease_sums("acme", {"api": T0 + 1, "ai": T0})
        assert later == [ai, structs.replace(api, leased=0, written_off=0)]
        assert await view.lease_sums("acme", {}) == [ai, structs.replace(api, leased=20, written_off=0)]
        assert await view.lease_sums("nobody", {"api": T0}) == []


async def test_what_ended_is_forgotten_after_35_days_and_nothing_that_is_held(world: World) -> None:
    """Ended leases go with their reservations, some at a time; open, escheated and partly lost ones stay for ever."""
    clock = [to_instant(datetime(2026, 1, 15, tzinfo=UTC))]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage:
        given = [leased(number) for number in range(1, 7)]
        await post(storage, issued(*given))
        over = [ended(given[0], "settled", used=1), ended(given[1], "proven", used=2), ended(given[2], "settled")]
        await post(storage, changed(*over[:2], ended(given[3], "escheated"), ended(given[4], "settled", lost=1)))
        clock[0] += DAY
        await post(storage, changed(over[2]))
        # Told once more it has not ended later.
        await post(storage, changed(over[0]))
        clock[0] += 34 * DAY
        now = to_datetime(clock[0])
        assert await storage.forget_usage("test", now, now, 1) == 0
        clock[0] += 1
        now = to_datetime(clock[0])
        assert await storage.forget_usage("test", now, now, 1) == 1
        assert await storage.forget_usage("test", now, now, 10) == 1
        assert await storage.forget_usage("test", now, now, 10) == 0
        async with storage.read("test") as view:
            assert [row.lease.id for row in await view.leases(LeaseFilter(), Page())] == [
                one.lease.id for one in given[2:]
            ]
            assert set(await view.lease_facts([one.lease.id for one in given])) == {one.lease.id for one in given[2:]}
        clock[0] += DAY
        now = to_datetime(clock[0])
        assert await storage.forget_usage("test", now, now) == 1
        clock[0] += 999 * DAY
        now = to_datetime(clock[0])
        assert await storage.forget_usage("test", now, now) == 0
        async with storage.read("test") as view:
            assert len(await view.lease_facts([one.lease.id for one in given])) == 3
