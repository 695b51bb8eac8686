"""Secrets at rest: nothing of them in a dump, and a changed master key leaves every one of them readable."""

import secrets

import pytest

from licet.seal.apikey import make_api_key
from licet.seal.envelope import EnvelopeError, master_key_of
from licet.seal.keyring import KeyringError
from licet.services.errors import Conflict
from licet.store.audit import export_checkpoint
from licet.store.connections import Connection
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import KEYRING, OPERATOR, World


async def dump(conn: Connection) -> str:
    """Every column of every table as text, as a dump would have it, bytes also decoded."""
    names = await conn.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    parts = []
    for name in names:
        for row in await conn.fetch(f"SELECT * FROM {name['relname']}"):
            for value in row.values():
                parts.append(value.decode("latin-1") + value.hex() if isinstance(value, bytes) else str(value))
    return "\n".join(parts)


async def test_no_secret_stands_in_a_dump(storage: PostgresStorage, world: World) -> None:
    """Neither signing secrets, API keys, the log's signing key nor the master key are in any table, in any encoding."""
    secret = secrets.token_hex(16)
    async with storage.write("live", OPERATOR, note="a source") as tx:
        await tx.put_source(rows.source(), [secret.encode()])
        key = make_api_key("live")
        await tx.put_key(rows.key(tx, key.id), key.hash)
        await tx.record(rows.note())
    await export_checkpoint(storage, "live", OPERATOR)
    async with storage.read("live") as view:
        seed = (await view.secrets("log/checkpoint"))[0]
        assert await view.source_secrets("stripe") == [secret.encode()]
    conn = await world.database.connect()
    shown = await dump(conn)
    await conn.close()
    assert key.id in shown
    for hidden in (
        secret,
        secret.encode().hex(),
        key.token,
        key.token[-32:],
        seed.hex(),
        KEYRING.key(KEYRING.newest).hex(),
    ):
        assert hidden not in shown
    assert seed.decode("latin-1") not in shown


async def test_an_envelope_copied_to_another_workspace_does_not_open(storage: PostgresStorage, world: World) -> None:
    """Whoever can write rows cannot let one workspace use another's secret."""
    for workspace in ("live", "test"):
        async with storage.write(workspace, OPERATOR) as tx:
            await tx.put_source(rows.source(), [workspace.encode()])
            await tx.record(rows.note())
    conn = await world.database.connect()
    await conn.execute(
        "UPDATE secret SET envelope = (SELECT envelope FROM secret WHERE workspace_id = 'live') "
        "WHERE workspace_id = 'test'"
    )
    await conn.close()
    async with storage.read("test") as view:
        with pytest.raises(EnvelopeError):
            await view.source_secrets("stripe")


async def test_changing_the_master_key(storage: PostgresStorage, world: World) -> None:
    """Wrapped anew under a new key, all secrets open without the old one; before that they do not."""
    async with storage.write("live", OPERATOR) as tx:
        await tx.put_source(rows.source(), [b"new", b"old"])
        await tx.record(rows.note())
    both = KEYRING.with_new_key()
    alone = both.without(KEYRING.newest)
    async with PostgresStorage(world.access, alone, size=1) as only_new, only_new.read("live") as view:
        with pytest.raises(KeyringError):
            await view.source_secrets("stripe")
    async with PostgresStorage(world.access, both, size=1) as rotating:
        for expected in (2, 0):
            async with rotating.write("live", OPERATOR) as tx:
                assert await tx.rewrap_secrets() == expected
                await tx.record(rows.note())
    async with PostgresStorage(world.access, alone, size=1) as only_new, only_new.read("live") as view:
        assert await view.source_secrets("stripe") == [b"new", b"old"]
    conn = await world.database.connect()
    envelopes = await conn.fetch("SELECT envelope FROM secret")
    await conn.close()
    assert {master_key_of(row["envelope"]) for row in envelopes} == {both.newest}


async def test_a_kept_answer_is_sealed(storage: PostgresStorage, world: World) -> None:
    """An answer comes back as it was; a dump does not show it, and without its master key it is a refusal."""
    async with storage.write("live", OPERATOR) as tx:
        await tx.keep_answer("POST /v1/x", "k", bytes(32), 201, b'{"name":"canary"}')
    async with storage.write("live", OPERATOR) as tx:
        assert await tx.replay("POST /v1/x", "k", bytes(32)) == (201, b'{"name":"canary"}')
    conn = await world.database.connect()
    kept = await conn.fetchval("SELECT body FROM idempotency")
    await conn.close()
    assert b"canary" not in kept
    alone = KEYRING.with_new_key().without(KEYRING.newest)
    async with PostgresStorage(world.access, alone, size=1) as other, other.write("live", OPERATOR) as tx:
        with pytest.raises(Conflict, match="was carried out"):
            await tx.replay("POST /v1/x", "k", bytes(32))
