"""Views: one consistent state, under a role that cannot write, without a byte of WAL."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

from licet.services.rows import Page
from licet.store.connections import Connection, connect
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.databases import Server, shared_server
from tests.store.worlds import OPERATOR, World

CHECKS = 2000


@pytest.fixture(scope="module")
def pg_server(engine: str) -> Iterator[Server]:
    """A server of its own: where the write-ahead log ends says something only if nobody else writes."""
    with shared_server(engine, f"quiet-{uuid4().hex[:12]}") as server:
        yield server


async def put(storage: PostgresStorage, revision: int) -> None:
    """Write a revision of acme."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer(revision=revision))
        await tx.record(rows.note())


async def test_a_view_is_one_state(storage: PostgresStorage) -> None:
    """What is committed while a view is open does not show in it, neither rows nor sequence."""
    await put(storage, 1)
    async with storage.read("test") as view:
        before = await view.customer("acme")
        await put(storage, 2)
        assert await view.customer("acme") == before
        assert await view.seq() == 2
        assert len(await view.terms_history("acme", Page())) == 1
    async with storage.read("test") as view:
        later = await view.customer("acme")
        assert later is not None
        assert later.revision == 2


async def test_checks_write_no_wal(storage: PostgresStorage, world: World) -> None:
    """2,000 reads of what a check needs leave the WAL position where it was."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.put_user(rows.user())
        await tx.record(rows.note())
    conn = await world.database.connect()
    # Hint bits of rows just written cost WAL at their first reading, whoever reads; a vacuum has read them all.
    await conn.execute("VACUUM (FREEZE, ANALYZE)")
    for _ in range(5):
        await conn.execute("CHECKPOINT")
        before = await settled(conn)
        for _ in range(CHECKS):
            async with storage.read("test") as view:
                assert (await view.standing_of("acme", "ann"))[1] is not None
        after = await conn.fetchval("SELECT pg_current_wal_insert_lsn()")
        if after == before:
            break
        # The server's own background work (another test's database, a snapshot record) may have written.
    await conn.close()
    assert after == before


async def settled(conn: Connection) -> object:
    """The WAL position once it stands still."""
    last = None
    while (now := await conn.fetchval("SELECT pg_current_wal_insert_lsn()")) != last:
        last = now
        await asyncio.sleep(0.05)
    return now


async def test_a_view_cannot_write(world: World) -> None:
    """Neither the role nor the transaction of a view lets anything through."""
    conn = await connect(world.access.reader)
    await conn.execute("BEGIN READ ONLY; SET LOCAL licet.workspace = 'test'")
    with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
        await conn.execute("UPDATE log_tip SET seq = 9")
    await conn.close()
