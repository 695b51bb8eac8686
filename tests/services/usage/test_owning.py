"""Quota leases on the real database: what is out, used, lost and left adds up to the limit, whoever asks how."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from licet.core.instant import BEGINNING, to_instant
from licet.core.usage.facts import AccountKey
from licet.evaluator.slices import Key, Owned
from licet.services.epochs import raise_epoch
from licet.services.errors import QuotaDisagreement
from licet.services.rows import Actor, Page
from licet.services.truth import Catalogs
from licet.services.usage.lease_ports import LeaseFilter
from licet.services.usage.ports import UsageFilter
from licet.services.usage.postings import open_lanes
from licet.store.postgres import PostgresStorage
from licet.wire.quota import LeaseAsk, LeaseClaim, LeaseTold, QuotaAnswer, QuotaCall
from tests.dose import dose
from tests.services.usage.metered import CALLER, Place, place_in
from tests.store.worlds import World

CATALOG = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum}
  tokens: {event: llm.tokens, aggregate: sum}
credits:
  ai: {scale: 2, burns: {tokens: "0.0004"}}
features:
  calls: {type: metered, meter: calls, per: month, at_limit: block, decide: local}
  tokens: {type: metered, meter: tokens, per: month, at_limit: block, decide: local}
  ai: {type: credits, credit: ai, decide: local}
plans:
  team:
    product: p
    versions:
      '1':
        available_from: 2020-01-01T00:00:00Z
        includes: {calls: 500, tokens: 1000000, ai: {amount: 500, per: month}}
"""
KEY = Key("acme", "calls")


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place whose features are decided locally."""
    async with place_in(storage, CATALOG) as made:
        await made.join("acme", "team")
        yield made


def fresh(chance: random.Random) -> str:
    """An id."""
    return f"{chance.getrandbits(128):032x}"


async def call(place: Place, asked: QuotaCall, actor: Actor = CALLER) -> QuotaAnswer:
    """What is answered to a call."""
    reply = await place.lane.quota(actor, asked)
    return msgspec.json.decode(reply.body, type=QuotaAnswer)


async def begin(place: Place, owner: str) -> int:
    """The epoch, as a first call learns it."""
    return (await call(place, QuotaCall(owner=owner, number=1))).epoch


async def test_a_lease_is_charged_once_and_the_rest_returns(place: Place) -> None:
    """The same ask is answered with the same lease; its last word gives back what was not used, once."""
    owner, lease = "1" * 32, "a" * 32
    epoch = await begin(place, owner)
    ask = LeaseAsk(id=lease, customer="acme", feature="calls", wanted=30)
    for number in (2, 3):
        answer = await call(place, QuotaCall(owner=owner, number=number, epoch=epoch, asks=(ask,)))
        assert [one.amount for one in answer.given] == [30]
        assert (await place.balance()).used == 30
    told = LeaseTold(id=lease, used=20, closed=True)
    for number in (4, 5):
        answer = await call(place, QuotaCall(owner=owner, number=number, epoch=epoch, told=(told,)))
        assert [(one.state, one.used) for one in answer.heard] == [("settled", 20)]
        assert (await place.balance()).used == 20
    async with place.storage.read("test") as view:
        row = await view.lease(lease)
        assert row is not None
        assert (row.lease.state, row.recorded, row.held) == ("settled", 20, False)


async def test_what_cannot_be_is_refused_whole(place: Place) -> None:
    """Where an owner tells of more than it owned nothing of its call is kept, and others of the posting are served."""
    owner, lease = "1" * 32, "a" * 32
    epoch = await begin(place, owner)
    ask = LeaseAsk(id=lease, customer="acme", feature="calls", wanted=30)
    await call(place, QuotaCall(owner=owner, number=2, epoch=epoch, asks=(ask,)))
    more = LeaseAsk(id="b" * 32, customer="acme", feature="calls", wanted=5)
    wrong = QuotaCall(
        owner=owner, number=3, epoch=epoch, asks=(more,), told=(LeaseTold(id=lease, used=31, closed=True),)
    )
    results = await asyncio.gather(call(place, wrong), place.consume(quantity=7), return_exceptions=True)
    assert isinstance(results[0], QuotaDisagreement)
    assert results[0].code == "quota_disagreement"
    assert (await place.balance()).used == 37


async def test_two_servers_answer_the_same_ask_with_one_lease(place: Place, storage: PostgresStorage) -> None:
    """Who repeats an ask at another server while the first is at it gets the same lease, charged once."""
    other = Place(storage, open_lanes(storage, Catalogs()))
    chance = random.Random(5)
    epoch = await begin(place, "1" * 32)
    for number in range(dose(10, full=200)):
        ask = LeaseAsk(id=fresh(chance), customer="acme", feature="calls", wanted=1)
        asked = QuotaCall(owner="1" * 32, number=number + 2, epoch=epoch, asks=(ask,))
        answers = await asyncio.gather(call(place, asked), call(other, asked))
        assert [[one.amount for one in answer.given] for answer in answers] == [[1], [1]]
    assert (await place.balance()).used == dose(10, full=200)
    await other.lanes.close()


async def test_a_bound_key_asks_for_its_own_customer_alone(place: Place) -> None:
    """A key of another customer gets nothing, hears nothing and changes nothing."""
    await place.join("zen", "team")
    owner, lease = "1" * 32, "a" * 32
    epoch = await begin(place, owner)
    ask = LeaseAsk(id=lease, customer="acme", feature="calls", wanted=30)
    await call(place, QuotaCall(owner=owner, number=2, epoch=epoch, asks=(ask,)))
    zen = Actor(id="key:zen", scopes=CALLER.scopes, customer="zen")
    asks = (LeaseAsk(id="b" * 32, customer="acme", feature="calls", wanted=1),)
    claims = (LeaseClaim(id="c" * 32, customer="acme", feature="calls", used=9),)
    told = (LeaseTold(id=lease, used=30, closed=True),)
    await call(place, QuotaCall(owner=owner, number=3, epoch=epoch, asks=asks, told=told, claims=claims), zen)
    assert (await place.balance()).used == 30
    async with place.storage.read("test") as view:
        row = await view.lease(lease)
        assert row is not None
        assert row.lease.state == "open"


async def test_an_unreported_lease_is_charged_in_full_until_its_late_word(place: Place) -> None:
    """After its end a lease stays charged and counts as lost; the late word gives back what was not spent."""
    owner, lease = "1" * 32, "a" * 32
    epoch = await begin(place, owner)
    ask = LeaseAsk(id=lease, customer="acme", feature="calls", wanted=30)
    await call(place, QuotaCall(owner=owner, number=2, epoch=epoch, asks=(ask,)))
    told = LeaseTold(id=lease, used=4)
    await call(place, QuotaCall(owner=owner, number=3, epoch=epoch, told=(told,)))
    await place.lane.lapse(CALLER, [lease])
    async with place.storage.read("test") as view:
        row = await view.lease(lease)
        assert row is not None
        assert row.lease.state == "open", "its time is not over"
    raised = await _raise_epoch(place)
    await place.lane.lapse(CALLER, [lease])
    async with place.storage.read("test") as view:
        row = await view.lease(lease)
        sums = await view.lease_sums("acme", {"calls": BEGINNING})
        assert row is not None
        assert (row.lease.state, row.recorded) == ("escheated", 4)
        assert [(one.feature, one.leased, one.written_off) for one in sums] == [("calls", 0, 26)]
    assert (await place.balance()).used == 30
    last = LeaseTold(id=lease, used=11, closed=True, lost=2)
    answer = await call(place, QuotaCall(owner=owner, number=4, epoch=raised, told=(last,)))
    assert [(one.state, one.used) for one in answer.heard] == [("settled", 11)]
    assert (await place.balance()).used == 13
    async with place.storage.read("test") as view:
        facts = await view.usage_facts(UsageFilter(), Page(limit=100))
        kinds = [(row.fact.kind, row.fact.metered.get("calls")) for row in facts]
        assert kinds == [("lease", 30), ("return", 4), ("return", 7)]


async def test_a_claim_of_what_is_unknown_is_charged_once(place: Place) -> None:
    """What was used of a lease that nobody here knows is charged, whatever is left, however often it is claimed."""
    owner = "1" * 32
    epoch = await begin(place, owner)
    claims = (LeaseClaim(id="c" * 32, customer="acme", feature="calls", used=480, lost=30),)
    for number in (2, 3):
        answer = await call(place, QuotaCall(owner=owner, number=number, epoch=epoch, claims=claims))
        assert [one.state for one in answer.heard] == ["settled"]
    balance = await place.balance()
    assert (balance.used, balance.remaining) == (510, -10)
    ask = LeaseAsk(id="d" * 32, customer="acme", feature="calls", wanted=1)
    answer = await call(place, QuotaCall(owner=owner, number=4, epoch=epoch, asks=(ask,)))
    assert [(one.code, one.left) for one in answer.denied] == [("limit_reached", -10)]


async def test_owners_together_never_go_beyond(place: Place, storage: PostgresStorage) -> None:
    """Owners at two servers, beside consumes and lost answers: every unit of the limit is admitted, left or lost."""
    other = Place(storage, open_lanes(storage, Catalogs()))
    chance = random.Random(7)
    admitted = await asyncio.gather(
        *(_own(chance, place if number % 2 else other, f"{number + 1:032x}") for number in range(6)),
        _consumes(place),
    )
    balance = await place.balance()
    assert balance.used == sum(admitted)
    assert sum(admitted) <= 500
    assert sum(admitted) >= 480
    async with place.storage.read("test") as view:
        assert not await view.lease_sums("acme", {"calls": BEGINNING})
        open_ = await view.leases(LeaseFilter(state="open"), Page(limit=100))
        assert not open_
    await other.lanes.close()


async def test_a_late_word_of_a_month_counts_in_that_month(place: Place) -> None:
    """What was used before a month ended and told after it is use of that month; the new one begins whole."""
    owner, lease = "1" * 32, "a" * 32
    epoch = await begin(place, owner)
    ask = LeaseAsk(id=lease, customer="acme", feature="calls", wanted=30)
    await call(place, QuotaCall(owner=owner, number=2, epoch=epoch, asks=(ask,)))
    ends = (await place.balance()).resets_at
    assert ends is not None
    await place.pass_time(timedelta(days=32))
    assert (await place.balance()).used == 0
    told = LeaseTold(id=lease, used=20, closed=True)
    await call(place, QuotaCall(owner=owner, number=3, epoch=epoch, told=(told,)))
    assert ((await place.balance()).used, (await place.balance()).remaining) == (0, 500)
    async with place.storage.read("test") as view:
        facts = await view.facts_of(AccountKey("acme", "calls"))
        assert [one.kind for one in facts] == ["lease", "recovery"]
        rows = [row.fact for row in await view.usage_facts(UsageFilter(), Page(limit=10))]
        told_fact = next(one for one in rows if one.kind == "return")
        assert (told_fact.metered, told_fact.burns) == ({"calls": 20}, {})
        assert told_fact.effective == to_instant(ends) - 1


async def test_without_states_the_numbers_are_the_same(place: Place, world: World) -> None:
    """Balances that leases moved are folded from their facts to the same numbers."""
    chance = random.Random(3)
    for number in range(3):
        await _own(chance, place, f"{number + 1:032x}", feature="tokens", most=200)
    before = [(await place.balance(one)).used for one in ("tokens", "ai")]
    connection = await asyncpg.connect(world.database.dsn)
    try:
        await connection.execute("DELETE FROM balance")
        await connection.execute("DELETE FROM balance_checkpoint")
    finally:
        await connection.close()
    assert [(await place.balance(one)).used for one in ("tokens", "ai")] == before
    assert before[0] != 0


async def _own(chance: random.Random, place: Place, owner: str, feature: str = "calls", most: int = 10**9) -> int:
    """Spend as one evaluator until nothing is given any more; return what was admitted."""
    owned, key, now, spent = Owned(owner), Key("acme", feature), 0.0, 0
    owned.hear(await call(place, owned.call(now)), now)
    while spent < most:
        now += 0.01
        size = chance.randint(1, 3)
        if owned.spend(key, size, now):
            spent += size
            continue
        owned.ask(LeaseAsk(id=fresh(chance), customer="acme", feature=feature, wanted=8, least=size))
        asked = owned.call(now)
        answer = await call(place, asked)
        if chance.random() < 0.2:
            # The answer was lost: the same is asked once more.
            answer = await call(place, owned.call(now))
        owned.hear(answer, now)
        if answer.denied:
            break
    owned.give_everything_back()
    while not owned.is_settled:
        owned.hear(await call(place, owned.call(now)), now)
    return spent


async def _consumes(place: Place) -> int:
    """Consume at the hub beside owners; return what was admitted."""
    spent = 0
    for _ in range(20):
        spent += int((await place.consume(quantity=2)).quantity)
    return spent


async def _raise_epoch(place: Place) -> int:
    """Raise the workspace's epoch, as after a restore."""
    async with place.write() as tx:
        return (await raise_epoch(tx)).epoch
