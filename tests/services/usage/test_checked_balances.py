"""What a check says of balances: whose are asked, when more comes, what waits, and what decides beyond the limit."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from licet.core.explain import Node
from licet.core.question import Question
from licet.core.views import DecisionView
from licet.services.checks import check, check_batch, entitlements
from licet.services.explanations import explain
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in

MARCH: Final = datetime(2027, 3, 1, tzinfo=UTC)
CATALOG: Final = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum}
features:
  mine: {type: metered, title: Searches, meter: calls, per: day, each: user, at_limit: block}
  ours: {type: metered, title: Exports, meter: calls, per: day, each: team, at_limit: block}
  calls: {type: metered, title: Calls, meter: calls, per: month, at_limit: block}
plans:
  each:
    product: p
    versions: {'1': {available_from: 2020-01-01T00:00:00Z, includes: {mine: 10, ours: 12}}}
  calls:
    product: p
    versions: {'1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: 100}}}
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
