"""Consent to a move holds for as many as were agreed to, whoever comes to it later."""

import pytest
from msgspec import structs

from licet.services.cohorts import join_cohort
from licet.services.errors import BlastRadius, Invalid
from licet.services.move_views import MoveView
from licet.services.moves import advance_move, create_move
from licet.store.postgres import PostgresStorage
from tests.services.relocation import OLD_TO_NEW, Floor, open_floor

pytestmark = pytest.mark.postgres

PILOTS = structs.replace(OLD_TO_NEW, cohort="pilots")


@pytest.fixture
async def floor(storage: PostgresStorage) -> Floor:
    """The vendor, without customers."""
    return await open_floor(storage)


async def begun(floor: Floor) -> str:
    """A move of the pilots, of whom there are none yet, by which nobody may lose."""
    async with floor.write() as tx:
        return (await create_move(tx, PILOTS, floor.catalogs)).id


async def join(floor: Floor, *names: str) -> None:
    """Let new customers who have the old version become pilots."""
    await floor.settle(*names)
    async with floor.write() as tx:
        for name in names:
            await join_cohort(tx, name, "pilots", floor.catalogs)


async def allow(floor: Floor, move: str, max_losing: int, look: int = 5000) -> MoveView:
    """Do one batch and let so many lose by the move."""
    async with floor.write() as tx:
        return await advance_move(tx, move, floor.catalogs, look=look, max_losing=max_losing)


async def test_who_joins_later_is_judged_too(floor: Floor) -> None:
    """A batch that would take more than agreed is refused whole, names who and what, and goes on when more may."""
    move = await begun(floor)
    names = [f"c{number}" for number in range(7)]
    await join(floor, *names)
    with pytest.raises(BlastRadius) as refused:
        await floor.advance(move)
    assert refused.value.words == (
        "7 customers of the next batch would lose something (c0, c1, c2, c3, c4, …): 7 have less of Projects; "
        "at most 0 may by this move"
    )
    assert f"licet catalog move resume {move} --max-losing 7" in refused.value.advice
    assert refused.value.details["losing"] == 7
    assert [(await floor.terms(name)).moves for name in names] == [()] * 7
    assert await floor.told(move) == []
    part = await allow(floor, move, 4, look=4)
    assert (part.moved, part.losing, part.max_losing) == (4, 4, 4)
    with pytest.raises(BlastRadius, match=r"3 customers .* and 4 did before them; at most 4 may"):
        await floor.advance(move)
    with pytest.raises(BlastRadius, match="at most 6 may"):
        await allow(floor, move, 6)
    done = await allow(floor, move, 7)
    assert (done.state, done.moved, done.losing, done.max_losing) == ("moved", 7, 7, 7)
    allowed = await floor.events(type="move.allowed", subject=f"move/{move}")
    assert [(one.before["max_losing"], one.after["max_losing"]) for one in allowed] == [(0, 4), (4, 7)]


async def test_who_loses_nothing_is_not_counted(floor: Floor) -> None:
    """Whoever joins and only gains is moved under the same consent."""
    better = structs.replace(PILOTS, to_version="2026-03")
    async with floor.write() as tx:
        move = (await create_move(tx, better, floor.catalogs)).id
    await join(floor, "acme")
    done = await floor.finish(move)
    assert (done.moved, done.losing) == (1, 0)


async def test_what_may_lose_is_only_raised(floor: Floor) -> None:
    """Fewer than were allowed are refused with words, as is any number while the move goes back."""
    await join(floor, "acme", "beta")
    move = await floor.begin(PILOTS)
    with pytest.raises(Invalid, match="1 is less than the 2 that may lose"):
        await allow(floor, move, 1)
    await floor.advance(move, look=1)
    seen = await allow(floor, move, 2)
    assert (seen.state, seen.losing, seen.max_losing) == ("moved", 2, 2)
    assert await floor.events(type="move.allowed") == []
    assert (await allow(floor, move, 1)) == seen
