"""Row-level security and rights: what another workspace, nobody's role, and the server itself cannot do."""

import secrets

import asyncpg
import pytest

from licet.core.usage.facts import AccountKey
from licet.seal.chain import HASH_BYTES
from licet.seal.tile import TILE_HASHES, TileName
from licet.services.rows import Reference
from licet.store.connections import Connection, connect
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import OPERATOR, World

OUTSIDE = {"workspace_index", "key_index", "schema_migration"}
"""Tables without row-level security: the two indexes of the narrow role, and the schema's own history."""
APPEND_ONLY = ("event", "terms", "catalog", "user_revision", "keyset", "usage_fact", "funding", "usage_segment")


async def fill(storage: PostgresStorage, workspace: str, canary: str) -> None:
    """Put a row with a canary into every table of a workspace."""
    async with storage.write(workspace, OPERATOR, note=canary) as tx:
        await tx.put_customer(rows.customer(canary, name=canary, external_ids={"crm": canary}))
        await tx.put_customer(rows.customer(name=canary))
        await tx.put_terms("acme", rows.terms("acme", canary))
        await tx.put_team(rows.team(canary))
        await tx.put_user(rows.user(canary))
        await tx.put_catalog(f'{{"canary":"{canary}"}}'.encode(), 0, canary)
        await tx.put_source(rows.source(canary), [canary.encode()])
        await tx.put_delivery(rows.delivery(canary, source=canary))
        await tx.put_references(canary, [Reference(reference=canary, invoice=canary, external_id=canary)])
        await tx.put_finding(rows.finding(canary))
        await tx.keep_checks(rows.checks(canary))
        await tx.begin_preview(rows.preview(actor=canary))
        group, touched = rows.touched(canary)
        await tx.keep_preview(rows.PREVIEW, 1, [group], [touched])
        await tx.put_move(rows.move(actor=canary))
        await tx.put_moved([rows.moved(subscription=canary)])
        await tx.keep_tiles({TileName(0, 0): canary.encode().ljust(TILE_HASHES * HASH_BYTES)})
        await tx.put_keyset(rows.keyset(token=canary))
        await tx.put_key(rows.key(tx, canary), bytes(32))
        await tx.record(rows.note(canary, private={"name": canary}))
        await tx.keep_answer("POST /v1/x", canary, bytes(32), 200, canary.encode())
        await tx.put_funding(canary, rows.funding(feature=canary))
    async with storage.post(workspace, OPERATOR) as post:
        await post.lock([AccountKey("acme", canary)])
        await post.post(rows.posted(canary, post.time.business))
        await post.post(rows.issued(rows.leased(1, feature=canary)))
    await storage.seal(workspace)


async def tables(conn: Connection) -> list[str]:
    """All tables of the schema; parts of a divided one are no tables of their own."""
    found = await conn.fetch(
        "SELECT relname FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    return sorted(row["relname"] for row in found)


async def run_in(conn: Connection, workspace: str, statement: str) -> None:
    """Run one statement in a transaction for a workspace."""
    async with conn.transaction():
        await conn.execute("SELECT set_config('licet.workspace', $1, true)", workspace)
        await conn.execute(statement)


async def visible(conn: Connection, workspace: str, names: list[str]) -> dict[str, list[str]]:
    """The rows of each table, as text, that a connection sees with a workspace set."""
    seen = {}
    for name in names:
        async with conn.transaction():
            await conn.execute("SELECT set_config('licet.workspace', $1, true)", workspace)
            columns = "id || name" if name == "api_key" else "x::text"
            found = await conn.fetch(f"SELECT {columns} AS shown FROM {name} AS x")
        seen[name] = [row["shown"] for row in found]
    return seen


def holds(row: str, canary: str) -> bool:
    """Whether a row's text holds a canary, as it is or as bytes are written."""
    return canary in row or canary.encode().hex() in row


async def test_every_table_forces_row_level_security(world: World) -> None:
    """Security is enabled and forced, with the one policy, on every table but those listed."""
    conn = await world.database.connect()
    found = await conn.fetch(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced, p.qual, p.cmd, p.roles::text AS roles "
        "FROM pg_class c LEFT JOIN pg_policies p ON p.tablename = c.relname "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    )
    await conn.close()
    inside = [row for row in found if row["relname"] not in OUTSIDE]
    assert len(inside) >= 18
    assert all(row["forced"] for row in inside)
    assert {row["qual"] for row in inside} == {
        "(workspace_id = NULLIF(current_setting('licet.workspace'::text, true), ''::text))"
    }
    assert {(row["cmd"], row["roles"]) for row in inside} == {("ALL", "{public}")}


async def test_another_workspaces_rows_are_invisible_in_every_table(storage: PostgresStorage, world: World) -> None:
    """With canaries in every table of two workspaces, each sees its own only; without a workspace, none."""
    mine, other = f"mine{secrets.token_hex(6)}", f"other{secrets.token_hex(6)}"
    await fill(storage, "live", mine)
    await fill(storage, "test", other)
    for login in (world.access.app, world.access.reader):
        conn = await connect(login)
        names = [name for name in await tables(conn) if name not in OUTSIDE]
        if login is world.access.reader:
            names.remove("idempotency")
        own, foreign, none = [await visible(conn, workspace, names) for workspace in ("live", "test", "")]
        await conn.close()
        assert [name for name in names if not own[name]] == []
        without_canary = {"workspace", "log_tip", "secret", "usage_tip", "usage_seal", "usage_segment"}
        assert {name for name in names if not any(holds(row, mine) for row in own[name])} <= without_canary
        assert not any(holds(row, other) for found in own.values() for row in found)
        assert not any(holds(row, mine) for found in foreign.values() for row in found)
        assert {name: found for name, found in none.items() if found} == {}


async def test_a_workspace_cannot_be_written_from_another(world: World) -> None:
    """A row that names another workspace than the transaction's is refused, also through an update."""
    conn = await connect(world.access.app)
    for statement in (
        "INSERT INTO customer VALUES ('test', 'x', 1, NULL, NULL, '{}', now(), now())",
        "UPDATE workspace SET workspace_id = 'test'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await run_in(conn, "live", statement)
    async with conn.transaction():
        await conn.execute("SELECT set_config('licet.workspace', 'live', true)")
        assert await conn.execute("UPDATE log_tip SET seq = 0 WHERE workspace_id = 'test'") == "UPDATE 0"
    await conn.close()


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_what_is_append_only_refuses_the_server_and_its_owner(
    storage: PostgresStorage, world: World, table: str
) -> None:
    """The server has no right to change it; the schema's owner and even a superuser are stopped by the trigger."""
    await fill(storage, "live", "canary")
    app, owner, root = (
        await connect(world.access.app),
        await connect(world.access.owner),
        await world.database.connect(),
    )
    statements = (
        f"UPDATE {table} SET workspace_id = workspace_id",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    )
    for statement in statements:
        for conn, error in (
            (app, asyncpg.InsufficientPrivilegeError),
            (owner, asyncpg.RestrictViolationError),
            (root, asyncpg.RestrictViolationError),
        ):
            with pytest.raises(error):
                await run_in(conn, "live", statement)
    for conn in (app, owner, root):
        await conn.close()


async def test_personal_values_can_be_erased_but_not_edited(storage: PostgresStorage, world: World) -> None:
    """The server may delete a personal value; nobody changes one."""
    await fill(storage, "live", "canary")
    conn = await connect(world.access.app)
    async with conn.transaction():
        await conn.execute("SELECT set_config('licet.workspace', 'live', true)")
        assert await conn.execute("DELETE FROM event_private WHERE workspace_id = 'live'") == "DELETE 1"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("UPDATE event_private SET value = 'x'")
    await conn.close()


async def test_the_reader_cannot_write_and_the_narrow_role_sees_little(world: World) -> None:
    """The reader inserts nothing and sees no hash of a key; the narrow role sees no customer, event or secret."""
    reader, keys = await connect(world.access.reader), await connect(world.access.keys)
    for statement in (
        "INSERT INTO workspace_index VALUES ('x')",
        "SELECT secret_hash FROM api_key",
        "DELETE FROM finding",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    for table in ("customer", "event", "event_private", "secret", "terms", "catalog"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await keys.execute(f"SELECT 1 FROM {table}")
    for conn in (reader, await connect(world.access.app)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("SELECT * FROM key_by_id('k')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("SELECT * FROM key_index")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("CREATE TABLE mine (x int)")
        await conn.close()
    await keys.close()


async def test_roles_own_nothing_and_bypass_nothing(world: World) -> None:
    """The roles of the running server own no table, are no superusers and bypass no policy."""
    conn = await world.database.connect()
    owners = await conn.fetch(
        "SELECT DISTINCT pg_get_userbyid(relowner) AS name FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relname <> 'schema_migration'"
    )
    powers = await conn.fetchval(
        "SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) FROM pg_roles "
        "WHERE rolname ~ '^licet_'"
    )
    await conn.close()
    assert {row["name"] for row in owners} == {"licet_owner"}
    assert powers is False


async def test_keys_lead_with_the_workspace_and_compare_bytes(world: World) -> None:
    """Every index begins with workspace_id except the index of keys; every text key column compares by bytes."""
    conn = await world.database.connect()
    found = await conn.fetch(
        "SELECT i.indexrelid::regclass::text AS index, i.indrelid::regclass::text AS tab, a.attname, i.indisunique "
        "FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
    )
    loose = await conn.fetch(
        "SELECT i.indexrelid::regclass::text AS index FROM pg_index i, unnest(i.indcollation) AS c (oid) "
        "WHERE i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) "
        "AND c.oid <> 0 AND c.oid <> '\"C\"'::regcollation"
    )
    await conn.close()
    others = {row["tab"] for row in found if row["attname"] != "workspace_id"}
    assert others == {"key_index", "schema_migration"}
    assert loose == []
