"""Checks of balances of which nothing was ever used: what is there already counts, not what the plan names in all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import pytest

from licet.core.question import Question
from licet.services.checks import check, check_batch
from licet.services.explanations import explain
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in

MARCH: Final = datetime(2027, 3, 1, tzinfo=UTC)
CATALOG: Final = b"""
version: 1
products: {p: {}}
meters: {calls: {event: api.call, aggregate: sum}}
features:
  calls: {type: metered, title: Calls, meter: calls, per: month, at_limit: block}
plans:
  parts:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: {amount: 1200, per: year, release: month}}}
  kept:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: {amount: 100, rollover: {max: 50}}}}
"""


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """The first of March 2027; acme has a year's amount in parts, globex a month's, of which 50 go on."""
    async with place_in(storage, CATALOG) as made:
        async with made.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=MARCH))
        await made.join("acme", "parts")
        await made.join("globex", "kept")
        yield made


async def fits(place: Place, customer: str, quantity: int) -> bool:
    """Whether a check permits so much, of which explain and a batch say the same."""
    question = Question(customer=customer, feature="calls", quantity=quantity)
    async with place.storage.read("test") as view:
        told = await check(view, question, place.snapshots)
        assert (await explain(view, question, place.snapshots)).decision == told
        assert await check_batch(view, [question], place.snapshots) == [told]
    return told.allowed


async def test_a_check_counts_what_has_been_released_and_rolled_over(place: Place) -> None:
    """Before anything was used: a twelfth of the year's amount, later three; a month's, later 50 more."""
    assert [await fits(place, "acme", one) for one in (100, 101)] == [True, False]
    assert [await fits(place, "globex", one) for one in (100, 101)] == [True, False]
    async with place.write() as tx:
        await move_clock(tx, MoveClock(advance="P2M"))
    assert [await fits(place, "acme", one) for one in (300, 301)] == [True, False]
    assert [await fits(place, "globex", one) for one in (150, 151)] == [True, False]
