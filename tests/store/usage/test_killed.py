"""PostgreSQL is killed while usage is posted: what was acknowledged is there once, and nothing else is half there."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from licet.core.instant import to_instant
from licet.core.usage.facts import Fact
from licet.services.errors import Unavailable
from licet.services.rows import Page
from licet.services.usage.ports import UsageFilter
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from tests.dose import dose
from tests.store import rows
from tests.store.bundled.lives import postmaster_of
from tests.store.databases import scratch, shared_server
from tests.store.usage.load import report
from tests.store.worlds import fresh_world

KILLS = dose(2, full=25)
CALLERS = 4
T0 = to_instant(rows.DAY)


class Callers:
    """Callers that post until they are told to stop, and repeat what was not acknowledged, as callers do."""

    def __init__(self, storage: PostgresStorage) -> None:
        self.storage = storage
        self.acknowledged: list[Fact] = []
        self.failed = 0
        self.stopping = False
        self.progress = asyncio.Event()

    async def call(self, number: int) -> None:
        """Post a batch after the other, with ids of this caller's own."""
        chance, batch = random.Random(number), 0
        while not self.stopping:
            batch += 1
            begin = (number * 100_000 + batch) * 10
            facts = [
                rows.used(begin + at, T0 + batch, chance.choice(("api", "ai")), kind="report")
                for at in range(chance.randint(1, 9))
            ]
            await self._repeat(facts)
            self.acknowledged += facts
            self.progress.set()

    async def _repeat(self, facts: list[Fact]) -> None:
        while True:
            try:
                await report(self.storage, facts)
            except Unavailable:
                self.failed += 1
                await asyncio.sleep(0.02)
            else:
                return

    async def more(self, count: int) -> None:
        """Wait until so many more facts were acknowledged."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await self.progress.wait()
                self.progress.clear()


@pytest.mark.postgres
async def test_nothing_acknowledged_is_lost_or_counted_twice(engine: str) -> None:
    """The postmaster is killed -9 under load, more than once: every acknowledged fact is there, each id once."""
    run = f"killed{os.getpid()}"
    home = Path(scratch()) / f"licet-tests-{run}-{os.geteuid()}" / "home"
    with shared_server(engine, run) as server, fresh_world(server) as world:
        async with world.storage(size=CALLERS) as storage:
            callers = Callers(storage)
            tasks = [asyncio.create_task(callers.call(number)) for number in range(1, CALLERS + 1)]
            for _ in range(KILLS):
                await callers.more(60)
                await storage.seal("test", 50)
                os.kill(postmaster_of(home), signal.SIGKILL)
                await callers.more(60)
            callers.stopping = True
            await asyncio.gather(*tasks)
            found = [row async for page in storage.export_usage("test", UsageFilter()) for row in page]
            async with storage.read("test") as view:
                balances = await view.balances("acme", Page())
            assert (await verify_log(storage, "test")).ok
    assert callers.failed >= KILLS
    assert [row.serial for row in found] == list(range(1, len(found) + 1))
    assert sorted(row.fact.id for row in found) == sorted(one.id for one in callers.acknowledged)
    assert sum(one.used for one in balances) == len(found)
