"""A check only reads: it runs under a role that cannot write, and leaves the write-ahead log where it was."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from licet.api.counting import Counting
from licet.core.question import Question
from licet.services.check_counts import CheckCounter
from licet.services.checks import check
from licet.store.postgres import PostgresStorage
from tests.api.house import House, Visitor, open_house, release_meridian
from tests.store.databases import Server, shared_server
from tests.store.worlds import World

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def pg_server(engine: str) -> Iterator[Server]:
    """A server of its own: where the write-ahead log ends says something only if nobody else writes.

    Without replication: for that the server itself would note now and then which transactions run.
    """
    with shared_server(engine, f"quiet-{uuid4().hex[:12]}", wal_level="minimal", max_wal_senders="0") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(world: World) -> AsyncIterator[House]:
    """A running server that writes its counts of checks when a test says so, not every second."""

    def held_back(storage: PostgresStorage) -> Counting:
        return Counting(storage, CheckCounter(storage, "held back"), every=3600)

    async with open_house(world, counting=held_back) as opened:
        yield opened


CHECKS = 10_000
WRITTEN = ("check_count", "check_flush")
ORDER = {
    "source": "crm",
    "external_id": "deal-1",
    "customer": {"id": "acme"},
    "occurred_at": "2026-03-01T09:00:00Z",
    "lines": [{"line": "1", "plan": "team", "quantity": 12, "quantity_of": "editor"}],
}


async def wal(admin: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return where the server's write-ahead log ends."""
    return str(await admin.fetchval("SELECT pg_current_wal_insert_lsn()"))


async def test_ten_thousand_checks_write_nothing(house: House, operator: Visitor, world: World) -> None:
    """10,000 checks, over HTTP in batches and one by one in process, leave the WAL position unchanged.

    Then one statement of one transaction writes how many there were.
    """
    await release_meridian(operator)
    await operator.told("POST", "/v1/orders", ORDER)
    features = ["projects", "editor", "sso", "no_such_feature"]
    questions = [{"customer": "acme", "feature": features[place % 4]} for place in range(500)]
    await operator.told("POST", "/v1/check/batch", {"questions": questions})
    admin = await world.database.connect()
    try:
        await admin.execute("CHECKPOINT")
        before = await wal(admin)
        asked = 0
        for _ in range(18):
            answers = await operator.told("POST", "/v1/check/batch", {"questions": questions})
            asked += len(answers["decisions"])
        for place in range(900):
            async with house.storage.read("test") as view:
                question = Question(customer="acme", feature=features[place % 4])
                await check(view, question, house.built.parts.snapshots)
                asked += 1
        for place in range(100):
            await operator.told("POST", "/v1/check", questions[place])
            asked += 1
        after = await wal(admin)
        await house.built.parts.counting.flush()
        marks = [(await admin.fetch(f"SELECT DISTINCT xmin::text, cmin::text FROM {name}")) for name in WRITTEN]
        counted = await admin.fetchval("SELECT sum(checks) FROM check_count")
    finally:
        await admin.close()
    assert asked == CHECKS
    assert after == before
    assert counted == 500 + 18 * 500 + 100
    assert marks[0] == marks[1]
    assert len(marks[0]) == 1


async def test_a_read_cannot_write(house: House) -> None:
    """What a check runs in refuses to write, by the transaction and by the role's rights."""
    async with house.storage.read("test") as view:
        with pytest.raises(asyncpg.PostgresError):
            await view._row("INSERT INTO customer (workspace_id, id) VALUES ($1, 'x') RETURNING id")
