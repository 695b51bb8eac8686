"""Exactness on the real database: caps, parallel settles, two lanes, replay, and caches that are only caches."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from licet.core.instant import BEGINNING
from licet.core.usage.account import Account
from licet.core.usage.course import course_of
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey
from licet.services.changes import ChangeSubscription, change
from licet.services.errors import ServiceError
from licet.services.subscription_views import list_subscriptions
from licet.services.truth import Catalogs
from licet.services.usage.balances import past, truth_of
from licet.services.usage.postings import open_lanes
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CorrectionAsked
from tests.dose import dose
from tests.services.usage.metered import CALLER, Place, place_in, told
from tests.store.worlds import World


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place."""
    async with place_in(storage) as made:
        yield made


async def test_caps_are_exact_round_after_round(place: Place) -> None:
    """20 concurrent reservations of 75 on 500: exactly 6, in every round."""
    for number in range(dose(8, full=1000)):
        customer = f"c{number}"
        await place.join(customer, "team")
        answers = await asyncio.gather(*(place.reserve(quantity=75, customer=customer) for _ in range(20)))
        assert sum(one.allowed for one in answers) == 6


async def test_two_lanes_never_go_beyond(place: Place, storage: PostgresStorage) -> None:
    """Two lanes that know nothing of each other, as in two processes, admit together what there is and no more."""
    await place.join("acme", "team")
    other = Place(storage, open_lanes(storage, Catalogs()))
    chance = random.Random(3)
    sizes = [chance.randint(1, 20) for _ in range(120)]
    answers = await asyncio.gather(
        *((place if number % 2 else other).consume(quantity=size) for number, size in enumerate(sizes))
    )
    await other.lanes.close()
    taken = sum(size for size, one in zip(sizes, answers, strict=True) if one.allowed)
    balance = await place.balance()
    assert (balance.used, balance.remaining) == (taken, 500 - taken)
    assert 480 < taken <= 500


async def test_random_settles_in_parallel_are_exact(place: Place) -> None:
    """Random reserve and settle pairs of credits in parallel come to what their tokens are worth, rounded up once."""
    await place.join("acme", "ai")
    chance = random.Random(11)
    spent = []

    async def pair() -> None:
        asked, used = chance.randint(1, 2_000), chance.randint(0, 2_500)
        made = await place.reserve(feature="tokens", quantity=asked)
        assert made.allowed
        if chance.random() < 0.2:
            await place.release(made.id)
            return
        await place.settle(made.id, used)
        spent.append(used)

    await asyncio.gather(*(pair() for _ in range(dose(100, full=500))))
    total = sum(spent)
    assert (await place.balance("tokens")).used == total
    assert Decimal(str((await place.balance("ai")).used)) * 100 == -(-total * 4 // 100)


async def test_facts_alone_give_the_same_numbers(place: Place) -> None:
    """Replaying the recorded facts one by one through a fresh fold gives what is kept, fact by fact and in the end."""
    await place.join("acme", "team")
    await _mixed(place)
    key = AccountKey("acme", "calls")
    async with place.storage.read("test") as view:
        row, terms = await view.balance(key), await view.terms("acme")
        facts = await view.facts_of(key)
        catalog = await place.catalogs.current(view)
        assert row is not None
        assert terms is not None
        course = course_of(catalog, terms.terms, await view.funding("acme"), key, view.time.business + 10**6)
        now = max(view.time.business, row.as_of)
    fresh = Account(course)
    fresh.replay(effects(facts, key, now, "calls"))
    kept = Account.load(course, row.state)
    assert kept is not None
    assert kept.standing(now) == fresh.standing(now)
    assert (row.used, row.remaining) == (fresh.standing(now).used, fresh.standing(now).remaining)


async def test_states_are_only_caches(place: Place, world: World) -> None:
    """Without any kept state or checkpoint every answer is the same, to a reader and to the next request."""
    await place.join("acme", "team")
    await _mixed(place)
    before = await place.balance()
    connection = await asyncpg.connect(world.database.dsn)
    try:
        await connection.execute("DELETE FROM balance")
        await connection.execute("DELETE FROM balance_checkpoint")
    finally:
        await connection.close()
    after = await place.balance()
    assert (after.used, after.remaining, after.grants) == (before.used, before.remaining, before.grants)
    assert isinstance(before.remaining, int)
    assert not (await place.consume(quantity=before.remaining + 1)).allowed
    assert (await place.consume(quantity=before.remaining)).allowed


async def test_a_plan_change_carries_what_was_used(place: Place) -> None:
    """In the middle of a period a larger plan leaves what it includes less what was used; a smaller one never owes."""
    await place.join("acme", "team")
    await place.consume(quantity=450)
    for plan, left in (("big", 450), ("team", 50)):
        async with place.write() as tx:
            found = await list_subscriptions(tx, "acme", place.catalogs)
            await change(tx, "acme", found.items[0].id, ChangeSubscription(plan=plan), place.catalogs)
        balance = await place.balance()
        assert (balance.used, balance.remaining) == (450, left)
    assert not (await place.consume(quantity=51)).allowed
    assert (await place.consume(quantity=50)).allowed


async def test_time_may_stand_still(place: Place) -> None:
    """With a frozen clock everything still counts in its order, and the newest numbers are told."""
    await place.join("acme", "team")
    await place.pass_time(timedelta(hours=1))
    for quantity in (100, 200, 150):
        await asyncio.gather(place.consume(quantity=quantity), place.reserve(quantity=10))
    assert (await place.balance()).used == 480
    assert not (await place.consume(quantity=21)).allowed


@pytest.mark.parametrize("seed", range(3))
async def test_random_histories_are_what_their_facts_come_to(place: Place, seed: int) -> None:
    """After any history (reservations that end by themselves, late events, corrections) kept numbers are the fold's."""
    chance = random.Random(seed)
    await place.join("acme", "team")
    begun = await place.now()
    held: list[str] = []
    for number in range(dose(25, full=400)):
        step = chance.choice(("consume", "reserve", "reserve", "settle", "report", "report", "wait"))
        if step == "consume":
            made = await place.consume(quantity=chance.randint(1, 30))
            if made.allowed and chance.random() < 0.3:
                await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id))
        elif step == "reserve":
            lasts = chance.choice(("PT1M", "PT5M", "PT30M"))
            held += [(await place.reserve(quantity=chance.randint(1, 60), lasts=lasts)).id or ""]
        elif step == "settle" and held:
            with suppress(ServiceError):
                await place.settle(held.pop(chance.randrange(len(held))), chance.randint(0, 70))
        elif step == "report":
            late = begun + (await place.now() - begun) * chance.random()
            await place.lane.report(CALLER, [told("acme", str(number), chance.randint(1, 9), time=late)])
        elif step == "wait":
            await place.pass_time(timedelta(seconds=chance.randint(1, 200)))
    await place.pass_time(timedelta(hours=1))
    kept = await place.balance()
    async with place.storage.read("test") as view:
        truth = await truth_of(view, "acme", place.snapshots)
        folded = (await past(view, truth, truth.course(AccountKey("acme", "calls")), BEGINNING)).account()
    fresh = folded.standing(truth.at)
    assert (kept.used, kept.remaining, kept.overage) == (fresh.used, fresh.remaining, fresh.overage)
    assert {one.id: one.left for one in kept.grants} == fresh.lefts


async def _mixed(place: Place) -> None:
    """Use of every kind, with late events and what was given back."""
    now = await place.now()
    for number in range(12):
        await place.consume(quantity=number + 1)
        made = await place.reserve(quantity=10 + number)
        if number % 3:
            await place.settle(made.id, number)
        elif number % 2:
            await place.release(made.id)
        late = told("acme", f"e{number}", 2, time=now - timedelta(minutes=number))
        await place.lane.report(CALLER, [late, told("acme", f"f{number}", 1)])
