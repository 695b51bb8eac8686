"""Postings on the real database: idempotency, closings, events, corrections, errors, thresholds and top-ups."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from licet.services.errors import Invalid, KeyReused, NotFound, ReservationClosed, ReservationExpired
from licet.services.rows import Page
from licet.services.truth import Catalogs
from licet.services.usage.balances import When, list_balances
from licet.services.usage.funding import give_grant, rule_top_up
from licet.services.usage.funding_views import GiveGrant, RuleTopUp
from licet.services.usage.ports import UsageFilter
from licet.services.usage.postings import open_lanes
from licet.services.users import PutUser, put_user
from licet.store.postgres import PostgresStorage
from licet.wire.usage import (
    ClosingAnswer,
    ConsumeAsked,
    CorrectionAsked,
    EventName,
    ReserveAsked,
    SettleAsked,
    WantAsked,
)
from tests.services.usage.metered import CALLER, CATALOG, Place, consumed, place_in, told


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme has 500 calls a month and 1,000 tokens."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        yield made


async def test_a_repetition_is_answered_as_before_and_takes_nothing(place: Place) -> None:
    """The same key and body twice, one after the other and at once, counts once and is answered the same."""
    asked = ConsumeAsked(customer="acme", feature="calls", quantity=10)
    first = await place.lane.consume(CALLER, asked, "k")
    again = await asyncio.gather(*(place.lane.consume(CALLER, asked, "k") for _ in range(5)))
    assert {one.body for one in again} == {first.body}
    assert [one.repeated for one in again] == [True] * 5
    assert not first.repeated
    together = await asyncio.gather(*(place.lane.consume(CALLER, asked, "other") for _ in range(5)))
    assert len({one.body for one in together}) == 1
    assert (await place.balance()).used == 20


async def test_a_key_means_one_request(place: Place) -> None:
    """The same key with another body is an error; for another route it is another key."""
    asked = ConsumeAsked(customer="acme", feature="calls", quantity=10)
    await place.lane.consume(CALLER, asked, "k")
    with pytest.raises(KeyReused):
        await place.lane.consume(CALLER, msgspec.structs.replace(asked, quantity=11), "k")
    reserve = ReserveAsked(customer="acme", feature="calls", quantity=10)
    assert not (await place.lane.reserve(CALLER, reserve, "k")).repeated
    assert (await place.balance()).used == 20


async def test_a_refusal_is_recorded_once_a_key_and_decided_anew(place: Place) -> None:
    """A refused request leaves one record however often it comes, and is taken once there is room."""
    asked = ConsumeAsked(customer="acme", feature="calls", quantity=501)
    for _ in range(3):
        answer = consumed(await place.lane.consume(CALLER, asked, "k"))
        assert (answer.allowed, answer.reason) == (False, "limit_reached")
        assert answer.refusals[0].limit is not None
        assert answer.refusals[0].limit.remaining == 500
    async with place.storage.read("test") as view:
        assert [(one.feature, one.quantity) for one in await view.refused(UsageFilter(), Page())] == [("calls", 501)]
    async with place.write() as tx:
        await give_grant(tx, "acme", GiveGrant(feature="calls", amount=1), place.catalogs)
    assert consumed(await place.lane.consume(CALLER, asked, "k")).allowed
    assert (await place.balance()).remaining == 0


async def test_what_is_wrong_is_said_and_fails_nobody_else(place: Place) -> None:
    """Unknown names are refused as a check refuses them, what cannot be counted is an error, and the others go on."""
    good = [place.consume(quantity=1) for _ in range(5)]
    wrong = [
        place.consume(feature="sso"),
        place.consume(quantity=0),
        place.consume(quantity="1.5"),
        place.consume(feature="disk"),
        place.consume(feature="mine"),
    ]
    results = await asyncio.gather(*wrong[:2], *good, *wrong[2:4], return_exceptions=True)
    assert [type(one) for one in results[:2] + results[7:]] == [Invalid] * 4
    assert all(getattr(one, "allowed", False) for one in results[2:7])
    assert (await place.consume(feature="nothing")).reason == "unknown_feature"
    assert (await place.consume(customer="nobody")).reason == "unknown_customer"
    with pytest.raises(Invalid, match="user"):
        await wrong[4]
    assert (await place.balance()).used == 5


async def test_a_settle_gives_the_rest_back(place: Place) -> None:
    """What a reservation did not come to is there again; a release gives back all; each ends once."""
    made = await place.reserve(quantity=100)
    assert (await place.balance()).remaining == 400
    closed = await place.settle(made.id, 30, "s")
    assert (closed.closed, closed.used) == ("settled", 30)
    assert (await place.settle(made.id, 30, "s")) == closed
    with pytest.raises(ReservationClosed):
        await place.settle(made.id, 30)
    with pytest.raises(ReservationClosed):
        await place.release(made.id)
    assert (await place.balance()).used == 30
    other = await place.reserve(quantity=100)
    assert (await place.release(other.id)).closed == "released"
    assert (await place.balance()).used == 30
    with pytest.raises(NotFound):
        await place.settle("res_" + "0" * 32, 1)


async def test_of_closings_at_once_one_is_accepted(place: Place) -> None:
    """Of concurrent settles and releases exactly one wins."""
    made = await place.reserve(quantity=100)
    results = await asyncio.gather(
        *(place.settle(made.id, used) for used in range(1, 6)), place.release(made.id), return_exceptions=True
    )
    assert sum(not isinstance(one, Exception) for one in results) == 1
    assert sum(isinstance(one, ReservationClosed) for one in results) == 5


async def test_a_reservation_ends_by_itself(place: Place) -> None:
    """At its end all of it is there again, whether or not anybody notes it, and a settle comes too late."""
    made = await place.reserve(quantity=400, lasts="PT1M")
    await place.pass_time(timedelta(minutes=1))
    assert (await place.balance()).remaining == 500
    with pytest.raises(ReservationExpired):
        await place.settle(made.id, 30)
    assert (await place.consume(quantity=500)).allowed
    assert (await place.balance()).remaining == 0


async def test_more_than_was_reserved_is_taken_and_flagged(place: Place) -> None:
    """A settle beyond what was reserved takes the extra, and says where it exceeded what there was."""
    made = await place.reserve(quantity=400)
    assert not (await place.settle(made.id, 450)).exceeded
    other = await place.reserve(quantity=50)
    assert (await place.settle(other.id, 80)).exceeded
    balance = await place.balance()
    assert (balance.used, balance.remaining, balance.overage) == (530, -30, 30)


async def test_events_count_once(place: Place) -> None:
    """Events are recorded, told again they are duplicates; what no meter counts is ignored."""
    events = [told("acme", str(number), 3) for number in range(20)]
    first = await place.lane.report(CALLER, [*events, told("acme", "x", 1, kind="nothing")])
    assert (first.recorded, first.duplicates, first.ignored) == (20, 0, 1)
    again = await place.lane.report(CALLER, [*events[5:], told("acme", "new", 1)])
    assert (again.recorded, again.duplicates, again.ignored) == (1, 15, 0)
    with pytest.raises(KeyReused):
        await place.lane.report(CALLER, [told("acme", "0", 4)])
    with pytest.raises(Invalid, match="nobody"):
        await place.lane.report(CALLER, [told("acme", "more", 4), told("nobody", "y", 1)])
    assert (await place.balance()).used == 61


async def test_late_events_end_in_the_same_state(place: Place) -> None:
    """Events told in any order, also long after later ones, come to the same balances and draws."""
    now = await place.now()
    for customer in ("one", "two"):
        await place.join(customer, "team", starts_at=now - timedelta(days=40))
    events = [(str(number), number, now - timedelta(hours=7 * number)) for number in range(1, 61)]
    shuffled = random.Random(7).sample(events, len(events))
    for customer, order in (("one", events[::-1]), ("two", shuffled)):
        for start in range(0, 60, 7):
            batch = [told(customer, f"{customer}{name}", some, time=at) for name, some, at in order[start : start + 7]]
            await place.lane.report(CALLER, batch)
    one, two = await place.balance(customer="one"), await place.balance(customer="two")
    assert (one.used, one.remaining, one.overage) == (two.used, two.remaining, two.overage)
    assert [(grant.left, grant.drawn) for grant in one.grants] == [(grant.left, grant.drawn) for grant in two.grants]
    earlier = When(at=now - timedelta(days=10), known=await place.now())
    assert (await place.balance(customer="one", when=earlier)).used == (
        await place.balance(customer="two", when=earlier)
    ).used


async def test_a_correction_gives_back(place: Place) -> None:
    """A part of a consume or an event can be given back, once in all, and the statement of the balance says so."""
    made = await place.consume(quantity=100)
    reply = await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id, quantity=30), "c")
    assert consumed(reply).quantity == 30
    again = await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id, quantity=30), "c")
    assert again.repeated
    assert again.body == reply.body
    rest = await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id))
    assert consumed(rest).quantity == 70
    with pytest.raises(Invalid):
        await place.lane.correct(CALLER, CorrectionAsked(customer="acme", id=made.id))
    await place.lane.report(CALLER, [told("acme", "e", 40)])
    event = EventName(source="tests", id="e")
    await place.lane.correct(CALLER, CorrectionAsked(customer="acme", event=event, quantity=15))
    assert (await place.balance()).used == 25
    with pytest.raises(NotFound):
        await place.lane.correct(CALLER, CorrectionAsked(customer="other", id=made.id))


async def test_a_threshold_is_told_once(place: Place) -> None:
    """Crossing several thresholds at once leaves one event that names all; crossing none leaves nothing."""
    await place.consume(quantity=390)
    assert await place.events("balance.threshold_crossed") == []
    await place.consume(quantity=90)
    await place.consume(quantity=10)
    found = await place.events("balance.threshold_crossed")
    assert [one.after["percents"] for one in found] == [[80, 95]]
    assert (found[0].after["feature"], found[0].after["used"], found[0].actor) == ("calls", 480, "system:usage")


async def test_automatic_top_ups_have_a_ceiling(place: Place) -> None:
    """A rule tops up while a month's top-ups stay within its most, and never more than once at a time."""
    async with place.write() as tx:
        rule = RuleTopUp(feature="calls", below=100, amount=200, most=500, consented_by="ann@acme")
        await rule_top_up(tx, "acme", rule, place.catalogs)
    assert (await place.consume(quantity=450)).allowed
    assert (await place.balance()).remaining == 250
    await place.consume(quantity=200)
    assert (await place.balance()).remaining == 250
    await place.consume(quantity=250)
    assert (await place.balance()).remaining == 0
    assert (await place.consume()).reason == "limit_reached"
    assert len(await place.events("balance.topped_up")) == 2


async def test_with_nothing_left_a_rule_acts_at_once(place: Place) -> None:
    """What is refused for want of an amount is decided again after the top-up, together with all refused beside it."""
    await place.consume(quantity=500)
    assert not (await place.consume()).allowed
    async with place.write() as tx:
        rule = RuleTopUp(feature="calls", below=100, amount=200, most=500, consented_by="ann@acme")
        await rule_top_up(tx, "acme", rule, place.catalogs)
    told = await asyncio.gather(*(place.consume(quantity=60) for _ in range(3)))
    assert all(one.allowed for one in told)
    assert len(await place.events("balance.topped_up")) == 2
    assert (await place.balance()).remaining == 220


async def test_however_it_is_asked_a_month_has_its_ceiling(place: Place) -> None:
    """Random requests, refused and accepted: top-ups never exceed the most of a month, nor use what there is."""
    async with place.write() as tx:
        rule = RuleTopUp(feature="calls", below=150, amount=100, most=450, consented_by="ann@acme")
        await rule_top_up(tx, "acme", rule, place.catalogs)
    chance, taken = random.Random(20260807), 0
    for _ in range(12):
        wanted = [chance.choice([1, 40, 90, 250]) for _ in range(4)]
        told = await asyncio.gather(*(place.consume(quantity=one) for one in wanted))
        taken += sum(one for one, answer in zip(wanted, told, strict=True) if answer.allowed)
        given = 100 * len(await place.events("balance.topped_up"))
        assert given <= 400
        assert (await place.balance()).remaining == 500 + given - taken >= 0
    assert given == 400


async def test_several_features_are_taken_together_or_not_at_all(place: Place) -> None:
    """A request for several takes all or nothing; partly where that is asked; a settle goes by the first."""
    also = (WantAsked(feature="calls", quantity=20),)
    refused = await place.consume(feature="tokens", quantity=2_001, also=also)
    assert (refused.allowed, [one.feature for one in refused.refusals]) == (False, ["tokens"])
    assert (await place.balance()).used == 0
    partly = await place.consume(quantity=600, partial=True)
    assert (partly.allowed, partly.quantity) == (True, 500)
    async with place.write() as tx:
        await give_grant(tx, "acme", GiveGrant(feature="calls", amount=50), place.catalogs)
    made = await place.reserve(feature="tokens", quantity=100, also=also)
    lanes = open_lanes(place.storage, Catalogs())
    reply = await lanes.of("test").settle(CALLER, made.id or "", SettleAsked(used=40))
    await lanes.close()
    closed = msgspec.json.decode(reply.body, type=ClosingAnswer)
    assert closed.used == 40
    assert ((await place.balance("tokens")).used, (await place.balance()).used) == (40, 520)


async def test_each_user_has_a_balance_of_its_own(place: Place) -> None:
    """What one user takes leaves the others' alone, and the list names every holder."""
    await place.join("team", "each")
    for user, quantity in (("ann", 10), ("bob", 4)):
        assert (await place.consume("mine", quantity, customer="team", user=user)).allowed
    assert not (await place.consume("mine", 1, customer="team", user="ann")).allowed
    async with place.storage.read("test") as view:
        listed = await list_balances(view, "team", place.snapshots, Page())
    assert [(one.holder, one.used) for one in listed.balances] == [("user:ann", 10), ("user:bob", 4)]


async def test_numbers_have_an_end(place: Place) -> None:
    """What is more than is kept is an error of its own, whether it is asked for or told; nothing of it is written."""
    most = 2**63 - 1
    for quantity in (most + 1, "1e400", "NaN", "-1", " 7 ", "١"):
        with pytest.raises(Invalid):
            await place.consume(quantity=quantity)
    assert not (await place.consume(quantity=most)).allowed
    told_in_all = 0
    for number in range(6):
        try:
            await place.lane.report(CALLER, [told("acme", str(number), most, kind="llm.tokens")])
            told_in_all += most
        except Invalid:
            break
    assert 0 < told_in_all < 6 * most
    assert (await place.balance("tokens")).used == told_in_all


async def test_conditions_read_the_user_as_it_is_by_now(storage: PostgresStorage) -> None:
    """A condition on the user decides; a role that is given or taken counts for the very next request."""
    gated = CATALOG.replace(b"at_limit: block, warn_at", b"at_limit: block, when: '\"dev\" in user.roles', warn_at")
    async with place_in(storage, gated) as place:
        await place.join("acme", "team")
        seen = []
        for roles in ((), ("dev",), ()):
            async with place.write() as tx:
                await put_user(tx, "acme", "ann", PutUser(roles=roles))
            answer = await place.consume(user="ann")
            seen.append((answer.allowed, answer.reason))
        assert seen == [(False, "policy_denied"), (True, "within_limit"), (False, "policy_denied")]
        assert (await place.balance()).used == 1
