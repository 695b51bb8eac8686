"""The lane: what gathers goes together, nobody crowds others out, and what is acknowledged is durable and exact."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme has 500 calls a month."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        yield made


async def test_what_fits_is_taken(place: Place) -> None:
    """A consume within the limit is allowed, says how the balance stands, and the balance reads the same."""
    answer = await place.consume(quantity=25)
    assert (answer.allowed, answer.reason, answer.quantity) == (True, "within_limit", 25)
    assert [(one.feature, one.taken, one.used, one.remaining) for one in answer.takes] == [("calls", 25, 25, 475)]
    balance = await place.balance()
    assert (balance.used, balance.granted, balance.remaining) == (25, 500, 475)


async def test_reservations_of_many_at_once_never_go_beyond(place: Place) -> None:
    """Of 20 concurrent reservations of 75 on 500 exactly 6 are allowed, however they meet."""
    answers = await asyncio.gather(*(place.reserve(quantity=75) for _ in range(20)))
    assert sum(one.allowed for one in answers) == 6
    assert {one.reason for one in answers if not one.allowed} == {"limit_reached"}
    assert (await place.balance()).remaining == 50
