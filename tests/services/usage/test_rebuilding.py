"""A stream of late facts: checkpoints that it takes are made anew, so that folds read what came since, not all."""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from licet.core.usage.facts import AccountKey
from licet.core.usage.recalled import EVERY
from licet.services.truth import Catalogs
from licet.services.usage.balances import When, get_balance
from licet.services.usage.postings import open_lanes
from licet.services.usage.rebuilding import Rebuilding
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CALLER, Place, place_in, told
from tests.store.databases import Server
from tests.store.worlds import World, fresh_world

TOKENS = AccountKey("acme", "tokens")
DAYS = 4


def _raised(error: Exception) -> None:
    raise error


@pytest.fixture
def world(pg_server: Server) -> Iterator[World]:
    """A database of this test's own."""
    with fresh_world(pg_server) as made:
        yield made


@pytest.fixture
async def storage(world: World) -> AsyncIterator[PostgresStorage]:
    """Its storage."""
    async with world.storage() as opened:
        yield opened


@pytest.fixture
def rebuilding(storage: PostgresStorage) -> Rebuilding:
    """What makes checkpoints anew; here only when it is told to."""
    return Rebuilding(storage, Catalogs(), _raised)


@pytest.fixture
async def place(storage: PostgresStorage, rebuilding: Rebuilding) -> AsyncIterator[Place]:
    """A place whose postings tell of taken checkpoints, with some thousand facts of some days."""
    async with place_in(storage) as made:
        lanes = open_lanes(storage, made.catalogs, thinned=rebuilding.note)
        place = Place(storage, lanes, made.workspace)
        await place.join("acme", "team")
        for day in range(DAYS):
            await place.pass_time(timedelta(days=1))
            at = await place.now() - timedelta(days=1)
            times = [at + timedelta(seconds=20 * number) for number in range(EVERY)]
            await report(place, f"day{day}", times)
        yield place
        await lanes.close()


async def report(place: Place, name: str, times: Sequence[datetime]) -> None:
    """Tell of a token at each time."""
    told_of = [told("acme", f"{name}-{place}", 1, kind="llm.tokens", time=at) for place, at in enumerate(times)]
    await place.lane.report(CALLER, told_of)


class Read:
    """A view that counts the facts it reads."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self.facts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    async def facts_of(self, *asked: Any, **more: Any) -> Any:
        """The facts of a balance."""
        found = await self._view.facts_of(*asked, **more)
        self.facts += len(found)
        return found


async def read_for(place: Place, at: datetime) -> tuple[int, str]:
    """How many facts are read to tell a balance of the past, and what is told."""
    known = await place.now()
    async with place.storage.read(place.workspace) as view:
        counted: Any = Read(view)
        told_of = await get_balance(counted, TOKENS, place.snapshots, When(at=at, known=known))
        return counted.facts, str(told_of.used)


async def test_after_a_late_fact_the_past_is_folded_from_checkpoints_again(
    place: Place, rebuilding: Rebuilding
) -> None:
    """A late fact takes all checkpoints after it, and looks at the past read everything; then they are made anew."""
    begun = await place.now() - timedelta(days=DAYS)
    then = begun + timedelta(days=DAYS - 1, seconds=20 * EVERY - 30)
    told_of = []
    for number in range(4):
        await report(place, f"late{number}", [begun + timedelta(hours=random.Random(number).randint(1, 9))])
        before = await read_for(place, then)
        told_of.append(before[0])
        await rebuilding.round()
        assert rebuilding.waiting == 0
        after = await read_for(place, then)
        assert after[0] < 2 * EVERY
        assert after[1] == before[1] == str(DAYS * EVERY + number)
    # Without checkpoints every look would read as much as the first one.
    assert max(told_of) > (DAYS - 1) * EVERY


async def test_checkpoints_made_anew_are_right_whatever_comes_meanwhile(
    place: Place, rebuilding: Rebuilding, world: World, storage: PostgresStorage
) -> None:
    """Facts that come between folding and writing, late ones among them: no checkpoint holds less than it should."""
    begun = await place.now() - timedelta(days=DAYS)
    late = [begun + timedelta(hours=hours) for hours in (3, 30, 60)]
    await report(place, "late0", late[:1])

    class Between:
        """The storage; before a checkpoint is written another late fact comes."""

        read = storage.read

        @asynccontextmanager
        async def post(self, workspace: str, actor: Any) -> AsyncIterator[Any]:
            """A posting."""
            await report(place, "late1", late[1:])
            async with storage.post(workspace, actor) as tx:
                yield tx

    meanwhile = Rebuilding(Between(), Catalogs(), _raised)  # type: ignore[arg-type]
    meanwhile.note(place.workspace, {TOKENS: int(begun.timestamp()) * 1_000_000})
    await meanwhile.round()
    connection = await asyncpg.connect(world.database.dsn)
    try:
        border = late[1]
        made = "SELECT count(*) FROM balance_checkpoint WHERE feature = 'tokens' AND as_of >= $1"
        assert not await connection.fetchval(made, border)
        assert await rebuilding.round() >= 1
        kept = await connection.fetchval("SELECT count(*) FROM balance_checkpoint")
        assert kept >= 2
        moments = [begun + timedelta(hours=hours) for hours in range(5, 24 * DAYS, 13)]
        answers = [await read_for(place, at) for at in moments]
        await connection.execute("DELETE FROM balance_checkpoint")
        folded = [await read_for(place, at) for at in moments]
        assert [used for _, used in folded] == [used for _, used in answers]
        assert sum(read for read, _ in folded) > sum(read for read, _ in answers)
    finally:
        await connection.close()
