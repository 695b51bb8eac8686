"""A check says what a consume would be told: every balance that the use touches is counted, not the asked one alone."""

from collections.abc import AsyncIterator
from random import Random

import pytest

from licet.core.question import Question
from licet.core.views import DecisionView
from licet.services.checks import check, check_batch, entitlements
from licet.services.explanations import explain
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A customer with 500 calls, each of them 0.01 of 500 credits, too; another with 10 a day for each user."""
    async with place_in(storage) as made:
        await made.join("acme", "team", "ai")
        await made.join("many", "team", "ai", "each")
        yield made


async def ask(
    place: Place, feature: str, quantity: int = 1, customer: str = "acme", user: str | None = None
) -> DecisionView:
    """One check."""
    async with place.storage.read("test") as view:
        question = Question(customer=customer, feature=feature, quantity=quantity, user=user)
        return await check(view, question, place.snapshots)


async def test_an_empty_pool_refuses_what_its_meter_counts(place: Place) -> None:
    """The limit of the asked feature has room and the pool none: refused with the pool's reason, words and remedy."""
    await place.consume("ai", "499.98")
    fits, more = await ask(place, "calls", 2), await ask(place, "calls", 3)
    assert (fits.allowed, fits.reasons) == (True, ("within_limit",))
    assert (more.allowed, more.reason, more.reasons) == (False, "credit_exhausted", ("credit_exhausted",))
    assert more.limit is not None
    assert (more.limit.amount, more.limit.remaining) == (500, 500)
    told = (await place.consume(quantity=3)).refusals
    assert [(one.feature, one.message) for one in told] == [("ai", more.message)]
    assert "Asked for: 3" in more.message


async def test_all_reasons_are_said(place: Place) -> None:
    """What is against it is said at once: the asked limit's reason and the pool's, each with its sentence."""
    await place.consume("calls", 499)
    await place.consume("ai", "494.99")
    own = await ask(place, "calls", 2)
    assert own.reasons == ("limit_reached",)
    await place.consume("ai", "0.02")
    both = await ask(place, "calls", 2)
    assert sorted(both.reasons) == ["credit_exhausted", "limit_reached"]
    assert own.message.partition(" Resets")[0] in both.message
    assert both.message.endswith((await place.consume(quantity=2)).refusals[1].message)


async def test_every_way_of_asking_says_the_same(place: Place) -> None:
    """A batch, explain and entitlements count as a check does; with ``used`` said nothing is counted."""
    await place.consume("ai", 500)
    question = Question(customer="acme", feature="calls")
    async with place.storage.read("test") as view:
        told = await check(view, question, place.snapshots)
        batch = await check_batch(view, [question, Question(customer="acme", feature="calls", used=0)], place.snapshots)
        why = await explain(view, question, place.snapshots)
        listed = await entitlements(view, "acme", place.snapshots)
    assert [one.reason for one in batch] == ["credit_exhausted", "within_limit"]
    assert (why.decision, told.allowed) == (told, False)
    pool = next(one for one in why.tree.children if one.kind == "companion")
    assert (pool.ok, pool.text) == (False, "ai is used with it: against (credit_exhausted)")
    assert pool.children[0].kind == "balance"
    assert {one.feature: one.limit.remaining for one in listed.entitlements if one.limit}["ai"] == "0"


async def test_a_check_is_what_a_consume_is_told(place: Place) -> None:
    """Whatever was used before, a check permits what the next consume is given, with the same reasons against."""
    chance = Random(20260805)
    seen = set()
    await place.consume("ai", "499.7", customer="many")
    for _ in range(40):
        feature, user = chance.choice(["calls", "mine", "ai"]), chance.choice(["ann", "bob"])
        quantity = chance.choice([1, 2, 5, 200])
        told = await ask(place, feature, quantity, customer="many", user=user)
        done = await place.consume(feature, quantity, customer="many", user=user)
        against = {reason for one in done.refusals for reason in one.reasons}
        assert (told.allowed, set() if told.allowed else set(told.reasons)) == (done.allowed, against)
        seen.add(told.reasons)
    assert len(seen) >= 3
