"""Making databases ready with every kind of login, on servers where Licet's roles are new and where they are not."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from licet.services.errors import Unavailable
from licet.services.rows import Page
from licet.store.access import Access, Login
from licet.store.connections import connect
from licet.store.postgres import PostgresStorage
from licet.store.setup import ROLES, STATEMENTS, SetupError, create_workspaces, prepare
from tests.store import rows
from tests.store.databases import Database, Server, shared_server
from tests.store.worlds import KEYRING, OPERATOR


@pytest.fixture
def own_server(engine: str) -> Iterator[Server]:
    """A server of this test's own: roles belong to a whole server, and here none of ours exists yet."""
    with shared_server(engine, f"own{secrets.token_hex(4)}") as server:
        yield server


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
    """A login of a test's own that owns the database, with some powers; gone at the end."""
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


def name_in(dsn: str) -> str:
    """The login's name in a connection string."""
    return dsn.partition("//")[2].partition(":")[0]


async def test_roles_with_passwords_of_their_own(own_server: Server, tmp_path: Path) -> None:
    """Each role logs in by itself with SCRAM; the file is private; repeating changes nothing; logins show no secret."""
    database, kept = own_server.create(migrated=False), tmp_path / "roles.json"
    access = await prepare(database.dsn, role_secrets=kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert access.warnings == ()
    assert [one.role for one in (access.owner, access.app, access.reader, access.keys)] == [None] * 4
    await story(access)
    assert await prepare(database.dsn, role_secrets=kept) == access
    conn = await connect(access.app)
    assert await conn.fetchval("SELECT session_user") == "licet_app"
    await conn.close()
    root = await database.connect()
    stored = await root.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = ANY ($1)", list(ROLES))
    await root.close()
    assert [row["rolpassword"][:14] for row in stored] == ["SCRAM-SHA-256$"] * 4
    assert kept.read_text().split('"')[3] not in repr(access)
    for damage, words in (
        (lambda: kept.write_text("{"), "does not hold"),
        (lambda: kept.chmod(0o644), "open to others"),
    ):
        damage()
        with pytest.raises(SetupError, match=words):
            await prepare(database.dsn, role_secrets=kept)


async def test_another_installations_passwords_are_left_alone(own_server: Server, tmp_path: Path) -> None:
    """A second installation on the same server works by taking the roles on; the first goes on logging in."""
    first, second = own_server.create(migrated=False), own_server.create(migrated=False)
    access = await prepare(first.dsn, role_secrets=tmp_path / "first.json")
    other = await prepare(second.dsn, role_secrets=tmp_path / "second.json")
    assert "another installation" in other.warnings[0]
    assert other.app == Login(dsn=second.dsn, role="licet_app")
    await story(other)
    await story(access)


async def test_four_processes_may_prepare_at_once(own_server: Server, tmp_path: Path) -> None:
    """Four at the same time agree on roles, passwords and schema, and what they agree on works."""
    database = own_server.create(migrated=False)
    found = await asyncio.gather(*(prepare(database.dsn, role_secrets=tmp_path / "roles.json") for _ in range(4)))
    assert all(access == found[0] for access in found)
    assert found[0].warnings == ()
    await story(found[0])


async def test_a_login_that_may_create_roles_creates_them(own_server: Server, tmp_path: Path) -> None:
    """An owner with CREATEROLE, as managed databases give, makes the roles and works with and without passwords."""
    database = own_server.create(migrated=False)
    async with login(database, "CREATEROLE") as dsn:
        by_taking_on = await prepare(dsn)
        assert by_taking_on.warnings == ()
        assert by_taking_on.app == Login(dsn=dsn, role="licet_app")
        await story(by_taking_on)
        by_password = await prepare(dsn, role_secrets=tmp_path / "roles.json")
        assert by_password.warnings == ()
        assert by_password.app.role is None
        async with PostgresStorage(by_password, KEYRING, size=1) as storage, storage.read("test") as view:
            assert await view.customer("acme") is not None
        root = await database.connect()
        await root.execute(f"DROP OWNED BY {', '.join(ROLES)} CASCADE")
        await root.execute(f"DROP ROLE {', '.join(ROLES)}")
        await root.close()


async def test_a_superuser_takes_on_the_roles(bare_database: Database) -> None:
    """Without a file for passwords the one login becomes each role at connecting, and a superuser is warned about."""
    access = await prepare(bare_database.dsn)
    assert len(access.warnings) == 1
    assert "superuser" in access.warnings[0]
    await story(access)


async def test_a_login_that_was_given_the_roles(bare_database: Database) -> None:
    """After an administrator's statements a plain login works with all four roles and no warning."""
    await prepare(bare_database.dsn)
    async with login(bare_database, "") as dsn:
        root = await bare_database.connect()
        for statement in STATEMENTS.strip().splitlines():
            if not statement.startswith("CREATE ROLE"):
                await root.execute(statement.replace("TO licet;", f"TO {name_in(dsn)};"))
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


async def test_a_database_that_is_not_there_is_unavailable(bare_database: Database) -> None:
    """Nothing listening and a wrong password say so as errors that can be retried, without the password in them."""
    wrong = bare_database.dsn.replace(bare_database.endpoint.password, "guessed")
    for dsn in ("postgresql://x:guessed@127.0.0.1:1/z", wrong):
        with pytest.raises(Unavailable, match="cannot be reached") as refusal:
            await prepare(dsn)
        assert "guessed" not in str(refusal.value)
