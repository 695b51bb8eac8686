"""Use in a world: the product's own rules in memory, through the real client, with time that the test moves."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from licet import Invalid, NotEntitled, ReservationEnded, Unanswered
from licet.testing import NotInWorld, World, WorldError
from tests.dose import dose
from tests.tidy.source import ROOT

LIMITS = ROOT / "examples" / "limits" / "catalog.yaml"


@pytest.fixture
def world() -> World:
    """A customer for each kind of limit."""
    made = World(LIMITS, at="2030-01-10T12:00:00Z")
    for plan in ("capped", "credits", "studio", "group", "windows", "elastic", "prepaid"):
        made.subscribe(plan, plan)
    return made


def test_a_hard_cap(world: World) -> None:
    """As much as there is is taken and no more, until the period ends; the refusal carries its decision."""
    client = world.client()
    assert [bool(client.consume("capped", "requests")) for _ in range(7)] == [True] * 5 + [False] * 2
    refused = client.consume("capped", "requests")
    assert (refused.reason, refused.remaining) == ("limit_reached", 0)
    with pytest.raises(NotEntitled) as caught:
        refused.require()
    decision = caught.value.decision
    assert decision.limit is not None
    assert (decision.limit.used, decision.resets_at) == (5, datetime(2030, 2, 10, 12, tzinfo=UTC))
    assert decision.remedies[0] == decision.remedy
    assert decision.remedies[-1].steps[0].target == {"until": "2030-02-10T12:00:00Z"}
    assert client.check("capped", "requests").resets_at is None
    assert (world.used("capped", "requests"), world.remaining("capped", "requests")) == (5, 0)
    world.advance(days=31)
    assert client.consume("capped", "requests").remaining == 4


def test_credits_and_limits_inside_a_pool(world: World) -> None:
    """A metered action burns the pool at its rate, exactly; the pool refuses where it is empty."""
    client = world.client()
    usage = client.consume("credits", "tokens", 150)
    assert (usage.taken, usage.remaining) == (150, Decimal("Infinity"))
    assert world.remaining("credits", "ai") == Decimal("98.5")
    assert client.consume("credits", "tokens", 9_851).reason == "credit_exhausted"
    assert client.consume("studio", "images", 3)
    assert world.remaining("studio", "ai") == 85
    assert client.consume("studio", "images").reason == "limit_reached"
    assert world.remaining("studio", "ai") == 85


def test_reservations(world: World) -> None:
    """Set aside, settled, released, and ended by time alone."""
    client = world.client()
    with client.reserve("credits", "ai", 40) as held:
        assert world.remaining("credits", "ai") == 60
        assert held.settle("12.5").used == Decimal("12.5")
    with client.reserve("credits", "ai", 40):
        pass
    assert world.remaining("credits", "ai") == Decimal("87.5")
    held = client.reserve("credits", "ai", 40, lasts="PT10M")
    with pytest.raises(NotEntitled):
        client.reserve("credits", "ai", 48)
    world.advance(minutes=10)
    assert world.remaining("credits", "ai") == Decimal("87.5")
    with pytest.raises(ReservationEnded) as caught:
        held.settle(5)
    assert caught.value.code == "reservation_expired"
    assert client.reserve("credits", "ai", 48)


def test_settled_in_the_next_period(world: World) -> None:
    """What a reservation drew goes back to where it came from, as far as it rolls over; the extra burns what is new."""
    client = world.client()
    world.at("2030-02-10T11:55:00Z")
    held = client.reserve("credits", "ai", 40)
    world.advance(minutes=10)
    assert world.remaining("credits", "ai") == 150
    held.settle(0)
    assert world.remaining("credits", "ai") == 150
    with pytest.raises(ReservationEnded):
        held.settle(1)


def test_reports_are_never_refused(world: World) -> None:
    """Events are counted by the meters of their type, also beyond the cap, once for each id."""
    client = world.client()
    for _ in range(2):
        for number in range(8):
            assert client.report("capped", "api.request", id=str(number), source="gateway")
    assert client.flush()
    assert (world.used("capped", "requests"), world.remaining("capped", "requests")) == (8, -3)
    client.report("credits", "llm.tokens", data={"tokens": 250})
    assert world.remaining("credits", "ai") == Decimal("97.5")
    client.report("credits", "llm.tokens", data={"tokens": "many"})
    assert client.reports.refused == 1


def test_for_each_user(world: World) -> None:
    """Each user has a balance of its own; nobody named is an error that says so."""
    client = world.client()
    assert [bool(client.consume("group", "searches", user="ann")) for _ in range(3)] == [True, True, False]
    assert client.consume("group", "searches", user="bob").remaining == 1
    assert world.used("group", "searches", user="ann") == 2
    with pytest.raises(Invalid, match="name the user"):
        client.consume("group", "searches")


def test_windows(world: World) -> None:
    """A rolling window frees what is older; a session window opens with the first use."""
    client = world.client()
    assert client.consume("windows", "messages", 3)
    assert client.consume("windows", "lessons", 2)
    world.advance(minutes=59)
    assert not client.consume("windows", "messages")
    world.advance(minutes=2)
    assert client.consume("windows", "messages")
    assert not client.consume("windows", "lessons")
    world.advance(hours=4)
    assert client.consume("windows", "lessons")


def test_overage_and_top_ups(world: World) -> None:
    """Beyond what there is up to the overage limit; a grant repays what was uncovered and lasts until it expires."""
    client = world.client()
    assert client.consume("elastic", "sms", 7).reason == "overage"
    assert not client.consume("elastic", "sms")
    world.grant("elastic", "sms", 5, expires="2030-01-11T12:00:00Z")
    assert world.remaining("elastic", "sms") == 1
    assert client.consume("elastic", "sms", 10, partial=True).taken == 5
    world.grant("prepaid", "renders", 5)
    assert client.consume("prepaid", "renders", 15).remaining == 0


def test_keys_and_what_does_not_fit(world: World) -> None:
    """A key counts once and takes one request; mistakes are told as the server tells them, misspellings at once."""
    client = world.client()
    for _ in range(2):
        assert client.consume("capped", "requests", 2, key="job").remaining == 3
    with pytest.raises(Invalid, match="another request"):
        client.consume("capped", "requests", 3, key="job")
    with pytest.raises(Invalid, match="1 decimal;"):
        client.consume("capped", "requests", "1.5")
    with pytest.raises(Invalid, match="no reservation"):
        client.settle("res_1", 1)
    with pytest.raises(NotInWorld, match="requests"):
        client.consume("capped", "request")
    with pytest.raises(NotInWorld, match="capped"):
        client.consume("caped", "requests")
    bare = World()
    bare.allow("acme", "sso")
    with pytest.raises(WorldError, match="has no balance"):
        bare.grant("acme", "sso", 1)


def test_cut_off(world: World) -> None:
    """Cut off, nothing is consumed, and what is reported or settled arrives once the world is back."""
    client = world.client()
    held = client.reserve("credits", "ai", 40)
    world.offline()
    with pytest.raises(Unanswered) as caught:
        client.consume("capped", "requests")
    assert caught.value.key
    client.report("capped", "api.request")
    assert held.settle(10).later
    assert not client.flush()
    assert client.reports.waiting == 2
    world.online()
    assert client.flush()
    assert (world.used("capped", "requests"), world.remaining("credits", "ai")) == (1, 90)


async def test_the_async_client(world: World) -> None:
    """The asynchronous client counts in the same world."""
    client = world.async_client()
    assert await client.consume("capped", "requests", 4)
    async with client.reserve("credits", "ai", 40) as held:
        await held.settle(30)
    async with client.ai_call("credits", "tokens", 1_000) as call:
        call.used({"input_tokens": 100, "output_tokens": 50})
    assert await client.report("capped", "api.request")
    assert await client.flush()
    assert (world.remaining("capped", "requests"), world.remaining("credits", "ai")) == (0, Decimal("68.5"))


def test_conditions_of_users_count() -> None:
    """Who may not is refused whatever there is, by what the world knows of the user."""
    catalog: dict[str, Any] = {
        "version": 1,
        "products": {"m": {"name": "M"}},
        "meters": {"calls": {"event": "call"}},
        "features": {"calls": {"type": "metered", "meter": "calls", "when": '"admin" in user.roles'}},
        "plans": {"team": {"product": "m", "versions": {"2026-01": {"includes": {"calls": 5}}}}},
    }
    world = World(catalog)
    world.subscribe("acme", "team")
    world.user("acme", "ann", roles=["admin"])
    client = world.client()
    assert client.consume("acme", "calls", user="ann")
    assert client.consume("acme", "calls", user="bob").reason == "policy_denied"
    world.suspend("acme")
    assert client.consume("acme", "calls", user="ann").reason == "customer_suspended"


@pytest.mark.parametrize("seed", range(dose(2, full=40)))
def test_waiting_helps_to_the_microsecond(seed: int) -> None:
    """Whatever was used before: at the instant that a refusal says to wait for it fits, and just before it does not."""
    chance, world, waited = Random(seed), World(LIMITS, at="2030-01-10T12:00:00Z"), 0
    kinds = {"capped": "requests", "group": "searches", "windows": "messages", "elastic": "sms", "studio": "images"}
    for plan in kinds:
        world.subscribe(plan, plan)
    client = world.client()
    for _ in range(60):
        plan = chance.choice([*kinds])
        feature = "lessons" if plan == "windows" and chance.random() < 0.5 else kinds[plan]
        quantity, user = chance.randint(1, 4), "ann" if plan == "group" else None
        refused = client.consume(plan, feature, quantity, user=user).decision
        waits = [one.steps[0] for one in refused.remedies if one.kind == "wait"] if refused is not None else []
        for step in waits:
            until = datetime.fromisoformat(str(step.target["until"]))
            world.advance((until - world.now) - timedelta(microseconds=1))
            assert not client.consume(plan, feature, quantity, user=user)
            world.advance(timedelta(microseconds=1))
            assert client.consume(plan, feature, quantity, user=user)
            waited += 1
        world.advance(minutes=chance.choice([0, 7, 45, 300]))
    assert waited > 3
