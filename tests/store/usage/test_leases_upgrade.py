"""A database of before quota leases: its usage is read as before, its reservations end, and leases are kept in it."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from msgspec import structs

from licet.core.instant import HOUR, to_instant
from licet.core.usage.facts import AccountKey, Fact
from licet.services.rows import Page
from licet.services.usage.lease_ports import LeaseSum
from licet.services.usage.ports import Posted
from licet.store.audit import verify_log
from licet.store.migrate import migrate
from licet.store.postgres import PostgresStorage
from licet.store.roles import OWNER
from licet.store.setup import MIGRATIONS
from tests.store import rows
from tests.store.databases import Database
from tests.store.old_database import CUSTOMER, NEWEST_THEN, build_old_database
from tests.store.worlds import KEYRING, OPERATOR, World, access_to

BEFORE = 10
"""The newest migration of then."""
AT = to_instant(rows.DAY)
API = AccountKey(CUSTOMER, "api")
FACT = f'{{"asked":{{"api":1}},"burns":{{"api":1}},"metered":{{"api":1}},"until":{AT + HOUR}}}'
RESERVATION = (
    f'{{"fact":{{"id":"{1:032x}","kind":"reserve","effective":{AT},"customer":"{CUSTOMER}","asked":{{"api":1}},'
    f'"metered":{{"api":1}},"burns":{{"api":1}},"until":{AT + HOUR}}},"draws":{{"api":[["grt_1",0,1]]}},"rates":{{}},'
    '"closed":null,"closed_by":null}'
)


async def fill(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Write one reservation as it was written then: its fact, its row, its balance."""
    named, at, until = (1).to_bytes(16, "big"), rows.DAY, datetime(2026, 3, 1, 10, tzinfo=UTC)
    await conn.execute("INSERT INTO usage_tip VALUES ('live', 1, $1)", at)
    await conn.execute(
        "INSERT INTO usage_fact VALUES ('live', 1, $1, now(), $1, $2, 'reserve', $3, $4, '{}')",
        at, named, CUSTOMER, FACT,
    )  # fmt: skip
    await conn.execute("INSERT INTO usage_key VALUES ('live', $1, $2, 1, '')", named, bytes(16))
    await conn.execute("INSERT INTO balance VALUES ('live', $1, 'api', '', 's', 1, 1, 0, $2, 1)", CUSTOMER, at)
    await conn.execute(
        "INSERT INTO reservation VALUES ('live', $1, $2, $3, false, $4)", named, CUSTOMER, until, RESERVATION
    )


@pytest.fixture
async def storage(world: World, bare_database: Database, tmp_path: Path) -> AsyncIterator[PostgresStorage]:
    """An open storage on a database that was just migrated. ``world`` is the installation that made the roles."""
    await build_old_database(bare_database, tmp_path, OWNER)
    for number in range(NEWEST_THEN + 1, BEFORE + 1):
        for file in MIGRATIONS.glob(f"{number:04}_*.sql"):
            shutil.copy(file, tmp_path)
    conn = await bare_database.connect()
    await conn.execute(f"SET ROLE {OWNER}")
    assert len(await migrate(conn, tmp_path)) == BEFORE - NEWEST_THEN
    await conn.execute("RESET ROLE")
    await fill(conn)
    await conn.close()
    async with PostgresStorage(access_to(bare_database.dsn), KEYRING, size=2) as opened:
        yield opened


async def test_usage_of_before_goes_on_beside_leases(storage: PostgresStorage) -> None:
    """What was set aside then is read, ends and is sealed; a lease of the same balance stands beside it."""
    lease = rows.leased(2, customer=CUSTOMER)
    begun = Fact(
        id=f"{1:032x}", kind="reserve", effective=AT, customer=CUSTOMER, asked={"api": 1}, metered={"api": 1},
        burns={"api": 1}, until=AT + HOUR,
    )  # fmt: skip
    async with storage.post("live", OPERATOR) as post:
        assert set(await post.lock([API])) == {API}
        (due,) = await post.due([API], AT + HOUR)
        assert (due.fact, due.held, due.returns) == (begun, {}, 0)
        await post.post(rows.issued(lease, balances=[rows.account("api", AT, key=API)]))
        await post.post(Posted(reservations=[structs.replace(due, closed="released", closed_by=f"{9:032x}")]))
    while await storage.seal("live"):
        pass
    async with storage.read("live") as view:
        assert await view.lease(lease.lease.id) == lease
        assert await view.lease_sums(CUSTOMER, {}) == [LeaseSum(feature="api", leased=10, written_off=0)]
        assert await view.open_reservations(CUSTOMER, Page()) == []
        assert [one.kind for one in await view.facts_of(API)] == ["reserve", "lease"]
    report = await verify_log(storage, "live")
    assert report.ok, report.faults
