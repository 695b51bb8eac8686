"""What refused requests are told to wait for: what is known by now, and what helps against all that refuses."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec import UNSET

from licet.services.usage.funding import give_grant, void_grant
from licet.services.usage.funding_views import GiveGrant, VoidGrant
from licet.store.postgres import PostgresStorage
from licet.wire.usage import ConsumeAnswer
from tests.services.usage.metered import CALLER, Place, place_in, told


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place."""
    async with place_in(storage) as made:
        yield made


def waits(answer: ConsumeAnswer) -> list[str | None]:
    """Of each refusal until when it says to wait."""
    found = []
    for refusal in answer.refusals:
        assert refusal.remedies is not UNSET
        steps = [step for one in refusal.remedies if one.kind == "wait" for step in one.steps]
        found.append(str(steps[0].target["until"]) if steps else None)
    return found


async def test_what_is_put_on_for_later_is_known_at_once(place: Place) -> None:
    """A grant for tomorrow is what the next refusal names, though nothing was used since; a void takes it back."""
    await place.join("acme", "team")
    await place.consume(quantity=500)
    before = await place.consume()
    tomorrow = await place.now() + timedelta(days=1)
    async with place.write() as tx:
        given = await give_grant(
            tx, "acme", GiveGrant(feature="calls", amount=5, effective_at=tomorrow), place.catalogs
        )
    known = await place.consume()
    assert known.refusals[0].resets_at != before.refusals[0].resets_at
    assert waits(known) == [known.refusals[0].resets_at]
    async with place.write() as tx:
        await void_grant(tx, "acme", given.id, VoidGrant(), place.catalogs)
    after = await place.consume()
    assert (after.refusals[0].resets_at, waits(after)) == (before.refusals[0].resets_at, waits(before))


async def test_waiting_helps_against_all_that_refuses(place: Place) -> None:
    """Where a day's limit and a month's refuse, both say to wait for the month; each says when more comes to it."""
    await place.join("acme", "team", "each")
    await place.consume(quantity=10, user="ann")
    await place.lane.report(CALLER, [told("acme", "all", 490)])
    both = await place.consume(user="ann")
    assert len(both.refusals) == 2
    ends = [one.resets_at or "" for one in both.refusals]
    assert ends[0] != ends[1]
    assert waits(both) == [max(ends)] * 2
