"""Losing the connection, the pool or the race: what a caller is told, and that nothing stays broken."""

import asyncio
import struct

import pytest

from licet.services.errors import Conflict, Invalid, Unavailable
from licet.store.access import Login
from licet.store.connections import connect, open_pool
from licet.store.migrate import create_database
from licet.store.postgres import PostgresStorage, PostgresTx, PostgresView
from licet.store.setup import prepare
from tests.store import rows
from tests.store.worlds import KEYRING, OPERATOR, World


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    """Nothing listening, and a wrong password or database, say so as a service error that can be retried."""
    nowhere = Login(dsn="postgresql://x:y@127.0.0.1:1/z")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await connect(nowhere)
    with pytest.raises(Unavailable):
        await open_pool(nowhere, 1)
    with pytest.raises(Unavailable):
        await prepare(nowhere.dsn)


async def test_a_database_that_is_starting_is_unavailable() -> None:
    """A server that answers "starting up" is told as one that is not there yet, wherever a connection is opened."""

    async def starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = struct.unpack(">I", await reader.readexactly(4))[0]
        if (await reader.readexactly(size - 4))[:4] == struct.pack(">I", 80877103):  # asks for TLS first
            writer.write(b"N")
            size = struct.unpack(">I", await reader.readexactly(4))[0]
            await reader.readexactly(size - 4)
        told = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
        writer.write(b"E" + struct.pack(">I", len(told) + 4) + told)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(starting, "127.0.0.1", 0)
    login = Login(dsn=f"postgresql://x:y@127.0.0.1:{server.sockets[0].getsockname()[1]}/z")
    attempts = [connect(login), open_pool(login, 1), prepare(login.dsn), create_database(login.dsn, "z")]
    for attempt in attempts:
        with pytest.raises(Unavailable, match="starting up"):
            await attempt
    server.close()


async def test_a_schema_changed_under_a_running_server_costs_one_repeat(world: World) -> None:
    """A statement prepared for the schema of before is told as unavailable, nothing written; the next try works."""
    async with world.storage(size=1) as storage:
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer("a"))
            await tx.record(rows.note())
            assert await tx.customer("a") is not None
        conn = await world.database.connect()
        await conn.execute("ALTER TABLE customer ALTER COLUMN name TYPE varchar(1000)")
        await conn.close()
        told = []
        for _ in range(3):
            try:
                async with storage.write("test", OPERATOR) as tx:
                    assert await tx.customer("a") is not None
                told.append("well")
            except Unavailable as error:
                told.append(error.words)
    assert told == ["the database's schema was changed just now; nothing was written", "well", "well"]


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(world: World) -> None:
    """Killed in a transaction, in a view and while idle: Unavailable where work was lost, and nothing stays broken."""
    root = await world.database.connect()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    async with world.storage(size=2) as storage:

        async def lose(tx: PostgresTx) -> None:
            await tx.put_customer(rows.customer())
            await root.execute(kill, world.database.name)
            await tx.record(rows.note())

        async def lose_view(view: PostgresView) -> None:
            await root.execute(kill, world.database.name)
            await view.customer("acme")

        with pytest.raises(Unavailable, match="cannot be reached"):
            async with storage.write("test", OPERATOR) as tx:
                await lose(tx)
        with pytest.raises(Unavailable, match="cannot be reached"):
            async with storage.read("test") as view:
                await lose_view(view)
        await root.execute(kill, world.database.name)
        await asyncio.sleep(0.2)
        async with storage.read("test") as view:
            assert await view.customer("acme") is None
            assert await view.seq() == 1
    await root.close()


async def test_an_exhausted_pool_does_not_wait_for_ever(world: World) -> None:
    """With every connection held the next caller is told so after the wait it was given."""
    async with PostgresStorage(world.access, KEYRING, size=1, wait=0.2) as storage, storage.read("test"):
        with pytest.raises(Unavailable):
            async with storage.read("test"):
                pass


async def test_a_connection_left_in_a_transaction_is_not_handed_on(world: World) -> None:
    """A task cancelled in the middle of a write leaves nothing behind, neither rows nor a lock."""
    async with world.storage(size=1) as storage:
        inside = asyncio.Event()

        async def stuck() -> None:
            async with storage.write("test", OPERATOR) as tx:
                await tx.put_customer(rows.customer())
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(stuck())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with storage.write("test", OPERATOR) as tx:
            assert await tx.customer("acme") is None
            await tx.record(rows.note())


async def test_a_deadlock_is_said_to_be_repeatable(world: World) -> None:
    """Two writers that lock two customers crosswise: one goes through, the other is told to repeat."""
    async with world.storage(size=2) as storage:
        for name in ("a", "b"):
            async with storage.write("test", OPERATOR) as tx:
                await tx.put_customer(rows.customer(name))
                await tx.record(rows.note())
        both = asyncio.Barrier(2)

        async def cross(first: str, second: str) -> str:
            try:
                async with storage.write("test", OPERATOR) as tx:
                    await tx.lock_customer(first)
                    await both.wait()
                    await tx.lock_customer(second)
            except Unavailable as error:
                return error.words
            return "done"

        ends = await asyncio.gather(cross("a", "b"), cross("b", "a"))
    assert sorted(ends) == ["done", "the transaction collided with another one; nothing was written"]


@pytest.mark.parametrize("name", ["with\x00NUL", "with \ud800 surrogate", "x" * 1001])
async def test_what_the_database_cannot_hold_is_invalid(storage: PostgresStorage, name: str) -> None:
    """NUL, lone surrogates and over-long values that got past a door are refused as the caller's, and not written."""
    with pytest.raises(Invalid, match="the database"):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer(name=name))
    async with storage.read("test") as view:
        assert await view.customer("acme") is None


async def test_one_release_for_each_transaction(storage: PostgresStorage) -> None:
    """A second release in one transaction is a conflict: each revision has its own events."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_catalog(b"{}", 0, "")
        with pytest.raises(Conflict, match="released already"):
            await tx.put_catalog(b"{}", 1, "")
        await tx.record(rows.note())
