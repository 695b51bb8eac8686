"""Making databases ready with every kind of login, and losing the connection."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from licet.services.errors import Unavailable
from licet.services.rows import Page
from licet.store.access import Access, Login
from licet.store.connections import connect, open_pool
from licet.store.postgres import PostgresStorage, PostgresTx, PostgresView
from licet.store.setup import ROLES, STATEMENTS, SetupError, create_workspaces, prepare
from tests.store import rows
from tests.store.databases import Database
from tests.store.worlds import KEYRING, OPERATOR, World


async def story(access: Access) -> None:
    """Write and read through every role once."""
    await create_workspaces(access, KEYRING, OPERATOR)
    async with PostgresStorage(access, KEYRING, size=1) as storage:
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer())
            await tx.put_key(rows.key(tx), bytes(32))
            await tx.record(rows.note())
        async with storage.read("test") as view:
            assert await view.customer("acme") is not None
        async with storage.read("live") as view:
            assert await view.customers(Page()) == []
        assert await storage.authenticate("k1") is not None
        assert [one.id for one in await storage.workspaces()] == ["live", "test"]


@asynccontextmanager
async def login(database: Database, powers: str) -> AsyncIterator[str]:
    """A login of a test's own that owns the database, with some powers; its roles' rights are taken back after."""
    name, password = f"user_{secrets.token_hex(6)}", secrets.token_hex(12)
    root = await database.connect()
    await root.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {powers}")
    await root.execute(f'ALTER DATABASE "{database.name}" OWNER TO {name}')
    place = database.dsn.replace(f"{database.endpoint.user}:{database.endpoint.password}@", f"{name}:{password}@")
    try:
        yield place
    finally:
        await root.execute(f'ALTER DATABASE "{database.name}" OWNER TO CURRENT_USER')
        await root.execute(f"DROP OWNED BY {name} CASCADE")
        await root.execute(f"DROP ROLE {name}")
        await root.close()


async def test_roles_with_passwords_of_their_own(bare_database: Database, tmp_path: Path) -> None:
    """Each role logs in by itself with SCRAM; the file is private; repeating changes nothing; logins show no secret."""
    kept = tmp_path / "roles.json"
    access = await prepare(bare_database.dsn, role_secrets=kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert access.warnings == ()
    assert [one.role for one in (access.owner, access.app, access.reader, access.keys)] == [None] * 4
    await story(access)
    assert await prepare(bare_database.dsn, role_secrets=kept) == access
    conn = await connect(access.app)
    assert await conn.fetchval("SELECT session_user") == "licet_app"
    await conn.close()
    root = await bare_database.connect()
    stored = await root.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = ANY ($1)", list(ROLES))
    await root.close()
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)
    assert kept.read_text().split('"')[3] not in repr(access)
    kept.chmod(0o644)
    with pytest.raises(SetupError, match="open to others"):
        await prepare(bare_database.dsn, role_secrets=kept)


async def test_a_superuser_takes_on_the_roles(bare_database: Database) -> None:
    """Without a file for passwords the one login becomes each role at connecting, and a superuser is warned about."""
    access = await prepare(bare_database.dsn)
    assert len(access.warnings) == 1
    assert "superuser" in access.warnings[0]
    await story(access)


async def test_a_login_that_may_create_roles(bare_database: Database) -> None:
    """An owner with CREATEROLE, as managed databases give, gets all four roles and no warning."""
    root = await bare_database.connect()
    version = root.get_server_version().major
    async with login(bare_database, "CREATEROLE") as dsn:
        if version >= 16:
            # From 16 on CREATEROLE rules only over roles it made or was given: those of this server exist already.
            await root.execute(f"GRANT {', '.join(ROLES)} TO {dsn.split('//')[1].split(':')[0]} WITH ADMIN OPTION")
        access = await prepare(dsn)
        assert access.warnings == ()
        await story(access)
    await root.close()


async def test_a_login_that_was_given_the_roles(bare_database: Database) -> None:
    """After an administrator's statements a plain login works with all four roles and no warning."""
    async with login(bare_database, "") as dsn:
        root = await bare_database.connect()
        for statement in STATEMENTS.strip().splitlines():
            if not statement.startswith("CREATE ROLE"):
                name = dsn.split("//")[1].split(":")[0]
                await root.execute(statement.replace("TO licet;", f"TO {name};"))
        await root.close()
        access = await prepare(dsn)
        assert access.warnings == ()
        assert access.app.role == "licet_app"
        await story(access)


async def test_one_login_for_everything_is_separated_and_warned_about(bare_database: Database) -> None:
    """A plain owner without roles works, workspaces stay apart, and the words say what is not guaranteed."""
    async with login(bare_database, "") as dsn:
        access = await prepare(dsn)
        assert "owns the tables" in access.warnings[0]
        assert access.app == access.reader == access.keys == Login(dsn=dsn)
        await story(access)
        assert await prepare(dsn) == access


async def test_a_login_that_bypasses_security_is_refused(bare_database: Database) -> None:
    """With BYPASSRLS and no way to narrower roles nothing would separate workspaces: refused, with what to do."""
    async with login(bare_database, "BYPASSRLS") as dsn:
        with pytest.raises(SetupError, match="NOBYPASSRLS") as refusal:
            await prepare(dsn)
        assert "CREATE ROLE licet_app" in str(refusal.value)
        conn = await asyncpg.connect(dsn)
        assert await conn.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
        await conn.close()


async def test_two_processes_may_prepare_at_once(bare_database: Database, tmp_path: Path) -> None:
    """Four at the same time agree on passwords and schema, and all of them work."""
    found = await asyncio.gather(*(prepare(bare_database.dsn, role_secrets=tmp_path / "roles.json") for _ in range(4)))
    assert all(access == found[0] for access in found)
    await story(found[0])


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    """Nothing listening, and a wrong password or database, say so as a service error that can be retried."""
    nowhere = Login(dsn="postgresql://x:y@127.0.0.1:1/z")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await connect(nowhere)
    with pytest.raises(Unavailable):
        await open_pool(nowhere, 1)
    with pytest.raises(Unavailable):
        await prepare(nowhere.dsn)


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
