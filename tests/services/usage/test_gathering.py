"""Folding many balances together: the same as one by one, in as many statements for thirty as for two."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from licet.core.question import UserFacts
from licet.core.usage.facts import AccountKey
from licet.services.ports import View
from licet.services.usage.balances import truth_of
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.services.usage.gathering import Wanted, pasts_of
from licet.services.usage.grounds import UsageGrounds
from licet.services.usage.refolding import Past, Span, past_of
from licet.services.users import PutUser, put_user
from tests.services.usage.metered import CALLER, Place, place_in, told
from tests.store.worlds import World


@pytest.fixture
async def place(world: World) -> AsyncIterator[Place]:
    """A place."""
    async with world.storage() as storage, place_in(storage) as made:
        yield made


class Counted:
    """Reads, each kind of it counted."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.times = Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.times[name] += 1
        return getattr(self._view, name)


async def wanted_of(view: View, place: Place, customers: Sequence[str], back: timedelta) -> list[Wanted]:
    """The balances of customers, to be folded with everything of the last hours among the facts."""
    found = []
    for customer in customers:
        truth = await truth_of(view, customer, place.snapshots)
        for feature, meter in (("tokens", "tokens"), ("ai", None)):
            course = truth.course(AccountKey(customer, feature))
            found.append(Wanted(course, meter, truth.at - back // timedelta(microseconds=1)))
    return found


def standing(past: Past) -> tuple[bool, int, Any]:
    """What a past comes to, and whether it went on from a checkpoint."""
    account = past.account()
    return past.base is not None, len(past.facts), account.standing(max(account.newest, past.course.until - 1))


async def test_balances_folded_together_are_folded_as_each_alone(place: Place) -> None:
    """With checkpoints and without, untouched ones, open and ended reservations, late facts: the same numbers."""
    customers = [f"c{number}" for number in range(6)]
    for customer in customers:
        await place.join(customer, "ai")
    for day in range(4):
        for number, customer in enumerate(customers[: 3 + day // 2]):
            await place.consume("tokens", 10 + number, customer=customer)
            held = await place.reserve("tokens", 7, customer=customer, lasts="PT20H")
            if (day + number) % 2:
                await place.settle(held.id, number)
        await place.pass_time(timedelta(days=1))
    late = await place.now() - timedelta(days=2)
    await place.lane.report(CALLER, [told("c1", "late", 5, kind="llm.tokens", time=late)])
    for back in (timedelta(), timedelta(hours=30), timedelta(days=9)):
        async with place.storage.read(place.workspace) as view:
            wanted = await wanted_of(view, place, customers, back)
            span = Span(wanted[0].course.until)
            alone = [standing(await past_of(view, one.course, one.meter, one.before, span)) for one in wanted]
            together = [standing(one) for one in await pasts_of(view, wanted, span)]
        assert together == alone
        assert any(base for base, *_ in alone) == (back < timedelta(days=9))
        assert len({facts for _, facts, _ in alone}) > 1


async def test_many_balances_cost_as_many_statements_as_two(place: Place) -> None:
    """First touches of thirty balances read no more often than those of two."""
    customers = [f"c{number:02}" for number in range(15)]
    for customer in customers:
        await place.join(customer, "ai")
    await place.consume("tokens", 1, customer="c03")
    times = []
    for some in (customers[:1], customers):
        async with place.storage.read(place.workspace) as view:
            wanted = await wanted_of(view, place, some, timedelta())
            counted: Any = Counted(view)
            await pasts_of(counted, wanted, Span(wanted[0].course.until))
            times.append(counted.times)
    assert times[0] == times[1] == {"checkpoints": 1, "borders": 1, "facts_of_each": 1}


class Reading:
    """A storage whose views count what is read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.times = Counter[str]()

    @asynccontextmanager
    async def read(self, workspace: str) -> AsyncIterator[Any]:
        """A view that counts."""
        async with self._place.storage.read(workspace) as view:
            counted = Counted(view)
            yield counted
            self.times = counted.times


async def test_grounds_of_many_customers_cost_as_many_statements_as_of_one(place: Place) -> None:
    """Terms, funding and users of customers that were never looked at are read at once; unknown ones are none."""
    customers = [f"c{number:02}" for number in range(15)]
    for customer in customers:
        await place.join(customer, "ai")
        async with place.write() as tx:
            await give_grant(tx, customer, GiveGrant(feature="ai", amount=7), place.catalogs)
            await put_user(tx, customer, "ann", PutUser(roles=("admin",)))
    times = []
    for some in (customers[:1], customers):
        reading: Any = Reading(place)
        grounds = UsageGrounds(reading, place.workspace, place.catalogs)
        await grounds.verify(1, [*some, "nobody"], [(one, user) for one in some for user in ("ann", "bob")])
        times.append(reading.times)
        for customer in some:
            ground = grounds.ground(customer)
            assert ground.terms is not None
            assert ground.terms.terms.customer == customer
            assert [one.feature for one in ground.funding] == ["ai"]
            assert grounds.user(customer, "ann") == UserFacts(id="ann", roles=("admin",))
            assert grounds.user(customer, "bob") == "bob"
        assert grounds.ground("nobody").terms is None
    assert times[0] == times[1]


async def test_grounds_that_moved_are_read_again_and_no_others(place: Place) -> None:
    """After a grant and a sale what they changed is read anew; who did not change is not read."""
    for customer in ("one", "two"):
        await place.join(customer, "ai")
    reading: Any = Reading(place)
    grounds = UsageGrounds(reading, place.workspace, place.catalogs)
    await grounds.verify(1, ["one", "two"])
    before = grounds.ground("two")
    async with place.write() as tx:
        await give_grant(tx, "one", GiveGrant(feature="ai", amount=7), place.catalogs)
    await grounds.verify(2**40, ["one", "two"])
    assert [one.feature for one in grounds.ground("one").funding] == ["ai"]
    assert (grounds.ground("two").terms, grounds.ground("two").funding) == (before.terms, ())
    assert not reading.times["newest_terms"]
