"""What meets in one posting: reservations of several balances that ended, corrections of one fact, one that fails."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from licet.services.errors import Conflict
from licet.store.postgres import PostgresStorage
from licet.wire.usage import ConsumeAsked, CorrectionAsked, ReserveAsked, WantAsked
from tests.services.usage.metered import CALLER, Place, consumed, place_in


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """A place where acme and tiny have 500 calls a month and 1,000 tokens each."""
    async with place_in(storage) as made:
        await made.join("acme", "team")
        await made.join("tiny", "team")
        yield made


@pytest.mark.parametrize("feature", ["calls", "tokens"])
async def test_what_ended_gives_back_to_all_its_balances_whichever_is_asked_for(place: Place, feature: str) -> None:
    """A reservation of two balances ends by itself; whoever uses one of them next sees both given back."""
    both = ReserveAsked(
        customer="acme", feature="calls", quantity=5, also=(WantAsked(feature="tokens", quantity=7),), lasts="PT1M"
    )
    assert consumed(await place.lane.reserve(CALLER, both)).allowed
    await place.pass_time(timedelta(minutes=2))
    answer = consumed(await place.lane.consume(CALLER, ConsumeAsked(customer="acme", feature=feature)))
    assert answer.allowed
    assert (await place.balance(feature="calls")).used == int(feature == "calls")
    assert (await place.balance(feature="tokens")).used == int(feature == "tokens")


async def test_corrections_of_one_fact_at_once_are_told_apart(place: Place) -> None:
    """Ten corrections of one use in one posting give back one after the other; nobody beside them fails."""
    used = consumed(await place.lane.consume(CALLER, ConsumeAsked(customer="acme", feature="calls", quantity=8)))
    asked = CorrectionAsked(customer="acme", id=used.id, quantity=1)
    corrections = [place.lane.correct(CALLER, asked, f"c{number}") for number in range(10)]
    beside = [place.lane.consume(CALLER, ConsumeAsked(customer="tiny", feature="calls")) for _ in range(10)]
    results = await asyncio.gather(*corrections, *beside, return_exceptions=True)
    assert sum(isinstance(one, Exception) for one in results[:10]) == 2, "there were eight to give back"
    assert not [one for one in results[10:] if isinstance(one, Exception)]
    assert (await place.balance(customer="acme")).used == 0
    assert (await place.balance(customer="tiny")).used == 10


async def test_corrections_have_an_end_that_is_said(place: Place) -> None:
    """The 65th correction is refused in words, again and again; a repetition of an earlier one is answered as then."""
    used = consumed(await place.lane.consume(CALLER, ConsumeAsked(customer="acme", feature="calls", quantity=100)))
    asked = CorrectionAsked(customer="acme", id=used.id, quantity=1)
    first = [await place.lane.correct(CALLER, asked, f"c{number}") for number in range(64)]
    for _ in range(3):
        with pytest.raises(Conflict, match="corrected 64 times"):
            await place.lane.correct(CALLER, asked, "one more")
    assert (await place.lane.correct(CALLER, asked, "c63")).body == first[63].body
    assert (await place.balance()).used == 36
