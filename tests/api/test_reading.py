"""A check only reads: it runs under a role that cannot write, and leaves the write-ahead log where it was."""

from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

from licet.core.question import Question
from licet.services.checks import check
from tests.api.house import House, Visitor, release_meridian
from tests.store.databases import Server, shared_server
from tests.store.worlds import World

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def pg_server(engine: str) -> Iterator[Server]:
    """A server of its own: where the write-ahead log ends says something only if nobody else writes."""
    with shared_server(engine, f"quiet-{uuid4().hex[:12]}") as server:
        yield server


CHECKS = 10_000
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
    """10,000 checks, over HTTP in batches and one by one in process, leave the WAL position unchanged."""
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
    finally:
        await admin.close()
    assert asked == CHECKS
    assert after == before


async def test_a_read_cannot_write(house: House) -> None:
    """What a check runs in refuses to write, by the transaction and by the role's rights."""
    async with house.storage.read("test") as view:
        with pytest.raises(asyncpg.PostgresError):
            await view._row("INSERT INTO customer (workspace_id, id) VALUES ($1, 'x') RETURNING id")
