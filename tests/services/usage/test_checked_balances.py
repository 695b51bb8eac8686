"""What a check says of balances: whose are asked, when more comes, what waits, and what decides beyond the limit."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from msgspec import UNSET

from licet.core.explain import Node
from licet.core.question import Question
from licet.core.views import DecisionView
from licet.services.checks import check, check_batch, entitlements
from licet.services.explanations import explain
from licet.services.suspensions import Suspend, suspend
from licet.services.usage.funding import give_grant, limit_spend
from licet.services.usage.funding_views import GiveGrant, LimitSpend
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in

MARCH: Final = datetime(2027, 3, 1, tzinfo=UTC)
CATALOG: Final = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum}
  texts: {event: text, aggregate: sum}
  bursts: {event: burst, aggregate: sum}
  sittings: {event: sitting, aggregate: sum}
features:
  mine: {type: metered, title: Searches, meter: calls, per: day, each: user, at_limit: block}
  ours: {type: metered, title: Exports, meter: calls, per: day, each: team, at_limit: block}
  calls: {type: metered, title: Calls, meter: calls, per: month, at_limit: block}
  owed: {type: metered, title: Texts, meter: texts, per: month, at_limit: overage, overage_limit: 4}
  burst: {type: metered, title: Bursts, meter: bursts, per: rolling, length: PT24H, at_limit: block}
  sitting: {type: metered, title: Sittings, meter: sittings, per: session, length: PT5H, at_limit: block}
plans:
  each:
    product: p
    versions: {'1': {available_from: 2020-01-01T00:00:00Z, includes: {mine: 10, ours: 12}}}
  calls:
    product: p
    versions: {'1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: 100, owed: 50, burst: 3, sitting: 2}}}
"""


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """The first of March 2027; acme has limits for each user and each team."""
    async with place_in(storage, CATALOG) as made:
        async with made.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=MARCH))
        await made.join("acme", "each")
        yield made


async def ask(place: Place, feature: str, quantity: int = 1, **who: Any) -> DecisionView:
    """One check of acme, of which explain says the same."""
    question = Question(**{"customer": "acme", "feature": feature, "quantity": quantity, **who})
    async with place.storage.read("test") as view:
        told = await check(view, question, place.snapshots)
        assert (await explain(view, question, place.snapshots)).decision == told
        assert await check_batch(view, [question], place.snapshots) == [told]
    return told


async def tree(place: Place, feature: str, **who: Any) -> Node:
    """The explanation of one check of acme."""
    question = Question(**{"customer": "acme", "feature": feature, **who})
    async with place.storage.read("test") as view:
        return (await explain(view, question, place.snapshots)).tree


async def test_a_check_names_the_team(place: Place) -> None:
    """A team's balance is counted where the question names the team, also one that nobody entered: as consume does."""
    assert (await place.consume("ours", 10, user="ann", team="red")).allowed
    red = await ask(place, "ours", 3, user="ben", team="red")
    assert red.limit is not None
    assert (red.allowed, red.reason, red.limit.used, red.limit.remaining) == (False, "limit_reached", 10, 2)
    assert not (await place.consume("ours", 3, user="ben", team="red")).allowed
    blue = await ask(place, "ours", 3, user="ben", team="blue")
    assert (blue.allowed, blue.missing) == (True, ())
    assert (await place.consume("ours", 3, user="ben", team="blue")).allowed
    # What the user has is used up, and the team's own feature needs it too: both count on one meter.
    other = await ask(place, "ours", 1, user="ann", team="blue")
    assert (other.allowed, other.reason) == (False, "limit_reached")


async def test_a_check_says_whom_to_name(place: Place) -> None:
    """Where each user or team has a balance that the use would touch, an answer says who has to be named."""
    told = await ask(place, "mine")
    assert (told.allowed, told.missing) == (True, ("team", "user"))
    assert told.message == (
        "Searches: 10 included. Name the team: each team has a balance of its own."
        " Name the user: each user has a balance of its own."
    )
    told = await ask(place, "ours", user="ann")
    assert told.missing == ("team",)
    assert [one.text for one in (await tree(place, "ours", user="ann")).children if one.kind == "unnamed"] == [
        "Name the team: each team has a balance of its own."
    ]
    await place.consume("mine", 10, user="ann", team="red")
    against = await ask(place, "ours", user="ann")
    assert (against.allowed, against.missing) == (False, ("team",))
    assert against.message.endswith("Name the team: each team has a balance of its own.")
    assert (await ask(place, "ours", user="ann", used=0)).missing == ()
    async with place.storage.read("test") as view:
        listed = await entitlements(view, "acme", place.snapshots)
    assert {one.missing for one in listed.entitlements} == {()}


async def test_bounds_beyond_the_limit_are_told(place: Place) -> None:
    """What bounds overage, the vendor's and the customer's, is in the limit of a decision and on lines of explain."""
    await place.join("bolt", "calls")
    # Nothing was used yet: the bound counts all the same, as for a consume.
    fresh = await ask(place, "owed", 55, customer="bolt")
    assert fresh.limit is not None
    assert (fresh.allowed, fresh.reason, fresh.limit.overage_limit) == (False, "limit_reached", 4)
    assert (await ask(place, "owed", 54, customer="bolt")).reason == "overage"
    assert not (await place.consume("owed", 55, customer="bolt")).allowed
    assert (await place.consume("owed", 51, customer="bolt")).allowed
    async with place.write() as tx:
        await limit_spend(tx, "bolt", LimitSpend(feature="owed", amount=2), place.catalogs)
    told = await ask(place, "owed", 2, customer="bolt")
    assert told.limit is not None
    assert (told.reason, told.limit.overage_limit, told.limit.spend_limit) == ("spend_limit_reached", 4, 2)
    lines = [one for one in (await tree(place, "owed", quantity=2, customer="bolt")).children if one.kind == "bound"]
    assert [(one.text, one.ok) for one in lines] == [
        ("overage limit: 4 beyond what there is; this takes 3 beyond", True),
        ("spend limit of the customer: 2 beyond what there is; this takes 3 beyond", False),
    ]
    (refused,) = (await place.consume("owed", 2, customer="bolt")).refusals
    assert (refused.limit, refused.reasons) == (told.limit, told.reasons)


async def test_windows_are_told_with_their_length(place: Place) -> None:
    """The limit of a decision says how long its window is, and explain does in words."""
    await place.join("bolt", "calls")
    for feature, length, words in (("burst", "PT24H", "rolling 24 h"), ("sitting", "PT5H", "session 5 h")):
        told = await ask(place, feature, customer="bolt")
        assert told.limit is not None
        assert told.limit.length == length
        limit = next(one for one in (await tree(place, feature, customer="bolt")).children if one.kind == "limit")
        assert f"({words}, block)" in limit.text
        await place.consume(feature, customer="bolt")
        limit = next(one for one in (await tree(place, feature, customer="bolt")).children if one.kind == "limit")
        assert f" in the {words} window, " in limit.children[0].text
    assert b"length" not in msgspec.json.encode((await ask(place, "calls", customer="bolt")).limit)


async def at(place: Place, instant: datetime) -> None:
    """Let the clock stand at an instant."""
    async with place.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=instant))


async def refused(place: Place, feature: str, quantity: int = 1, **who: Any) -> DecisionView:
    """A refusal of a consume, of which a check says the same."""
    told = await ask(place, feature, quantity, **who)
    (one,) = (await place.consume(feature, quantity, **who)).refusals
    assert (one.resets_at, one.message) == (told.resets_at, told.message)
    return one


def waits(told: DecisionView) -> list[object]:
    """The instants that the remedies of a refusal say to wait for."""
    found = [] if told.remedies is UNSET else told.remedies
    return [step.target["until"] for one in found if one.kind == "wait" for step in one.steps]


@pytest.mark.parametrize(
    ("feature", "whole", "then"),
    [
        ("calls", 100, MARCH.replace(month=4)),
        ("owed", 54, MARCH.replace(month=4)),
        ("sitting", 2, MARCH.replace(hour=5)),
        ("burst", 3, MARCH.replace(day=2)),
    ],
)
async def test_a_refusal_says_when_more_comes(place: Place, feature: str, whole: int, then: datetime) -> None:
    """At the end of the period, session or window more comes: it is said, waiting is a remedy, and then it fits."""
    await place.join("bolt", "calls")
    assert (await place.consume(feature, whole, customer="bolt")).allowed
    words = then.isoformat().replace("+00:00", "Z")
    told = await refused(place, feature, 2, customer="bolt")
    assert (told.resets_at, waits(told)) == (words, [words])
    assert told.remedy is not None
    assert told.remedies is not UNSET
    assert [one.kind for one in told.remedies] == [told.remedy.kind, "wait"]
    assert told.message.endswith(f" Resets {then:%-d %B %Y %H:%M} UTC.")
    found = (await tree(place, feature, quantity=2, customer="bolt")).children
    assert [one.text for one in found if one.kind == "resets"] == [f"more comes at {words}"]
    # More than there ever is will not fit then: that more comes is said all the same.
    much = await refused(place, feature, 2 * whole, customer="bolt")
    assert (much.resets_at, waits(much)) == (words, [])
    await at(place, then - timedelta(microseconds=1))
    assert not (await place.consume(feature, 2, customer="bolt")).allowed
    await at(place, then)
    assert (await place.consume(feature, 2, customer="bolt")).allowed


async def test_a_window_gives_back_piece_by_piece(place: Place) -> None:
    """Of a rolling window it is said when the first piece comes back, and for how long to wait until all that fits."""
    await place.join("bolt", "calls")
    for hour in range(3):
        await at(place, MARCH + timedelta(hours=hour))
        assert (await place.consume("burst", customer="bolt")).allowed
    told = await refused(place, "burst", 2, customer="bolt")
    assert (told.resets_at, waits(told)) == ("2027-03-02T00:00:00Z", ["2027-03-02T01:00:00Z"])
    # The same numbers later, from other pieces: nothing of before is said again.
    await at(place, MARCH + timedelta(hours=24))
    assert (await place.consume("burst", customer="bolt")).allowed
    told = await refused(place, "burst", 2, customer="bolt")
    assert (told.resets_at, waits(told)) == ("2027-03-02T01:00:00Z", ["2027-03-02T02:00:00Z"])


async def test_what_is_put_on_it_for_later_is_known(place: Place) -> None:
    """A grant that begins before the period ends is when more comes; a void or nothing to come says nothing."""
    await place.join("bolt", "calls")
    await place.consume("calls", 100, customer="bolt")
    async with place.write() as tx:
        given = GiveGrant(feature="calls", amount=5, effective_at=MARCH.replace(day=9))
        await give_grant(tx, "bolt", given, place.catalogs)
    told = await refused(place, "calls", 5, customer="bolt")
    assert (told.resets_at, waits(told)) == ("2027-03-09T00:00:00Z", ["2027-03-09T00:00:00Z"])
    told = await refused(place, "calls", 6, customer="bolt")
    assert (told.resets_at, waits(told)) == ("2027-03-09T00:00:00Z", ["2027-04-01T00:00:00Z"])


async def test_all_that_is_touched_has_to_fit_then(place: Place) -> None:
    """Where two balances are against it, it resets when more has come to both, and waiting for that is the remedy."""
    await place.consume("ours", 10, user="ann", team="red")
    await at(place, MARCH.replace(hour=1))
    told = await ask(place, "ours", 3, user="ann", team="red")
    assert (told.reasons, told.resets_at, waits(told)) == (
        ("limit_reached",),
        "2027-03-02T00:00:00Z",
        ["2027-03-02T00:00:00Z"],
    )
    assert told.remedy is not None
    assert (told.remedy.kind, told.message.count("Resets")) == ("wait", 1)
    refusals = (await place.consume("ours", 3, user="ann", team="red")).refusals
    assert [one.resets_at for one in refusals] == ["2027-03-02T00:00:00Z"] * 2


async def test_only_amounts_come_back(place: Place) -> None:
    """What is permitted, or refused for other reasons than an amount, says nothing of coming back."""
    await place.join("bolt", "calls")
    await place.consume("calls", 100, customer="bolt")
    fits = await ask(place, "sitting", customer="bolt")
    async with place.write() as tx:
        await suspend(tx, "bolt", Suspend(note="asked for"))
    shut = await ask(place, "sitting", customer="bolt")
    barred = await ask(place, "calls", customer="bolt")
    assert [(one.allowed, one.resets_at, waits(one)) for one in (fits, shut)] == [(True, UNSET, []), (False, UNSET, [])]
    assert (barred.reasons, waits(barred)) == (("customer_suspended", "limit_reached"), [])
