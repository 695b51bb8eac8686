"""API keys: kept as the hash of their secret, found across workspaces only through the narrow index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from licet.core.instant import to_datetime
from licet.services.errors import Conflict
from licet.services.rows import KeyRow, Page
from licet.store.connections import Connection
from licet.store.session import Reading, Writing, as_struct, limit_of

_COLUMNS: Final = "workspace_id AS workspace, id, kind, name, scopes, customer, created_at, expires_at, revoked_at"
LIST: Final = f"SELECT {_COLUMNS} FROM api_key WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3"
INDEX: Final = "INSERT INTO key_index (workspace_id, id) VALUES ($1, $2)"
INSERT: Final = """
    INSERT INTO api_key
        (workspace_id, id, kind, name, scopes, customer, secret_hash, created_at, expires_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
REVOKE: Final = f"""
    UPDATE api_key SET revoked_at = least(revoked_at, $3)
    WHERE workspace_id = $1 AND id = $2 RETURNING {_COLUMNS}
"""
# The one look-up that begins without a workspace: the function finds the key's own and sees no other.
BY_ID: Final = f"SELECT {_COLUMNS}, secret_hash FROM key_by_id($1)"


class KeyReads(Reading):
    """Reading keys, never their hashes."""

    async def keys(self, page: Page) -> Sequence[KeyRow]:
        """List API keys, by id."""
        return [as_struct(row, KeyRow) for row in await self._rows(LIST, page.after, limit_of(page))]


class KeyWrites(KeyReads, Writing):
    """Making and revoking keys. Their times are real time."""

    async def put_key(self, row: KeyRow, secret_hash: bytes) -> None:
        """Insert an API key; raises Conflict if its id is taken."""
        self._write(f"key/{row.id}")
        rights = (row.kind, row.name, sorted(row.scopes), row.customer, secret_hash)
        try:
            await self._execute(INDEX, row.id)
        except asyncpg.UniqueViolationError:
            raise Conflict(f"there is a key {row.id!r} already", advice="make the key again") from None
        await self._execute(INSERT, row.id, *rights, row.created_at, row.expires_at, row.revoked_at)

    async def revoke_key(self, key: str, at: datetime | None = None) -> KeyRow | None:
        """Set when a key stops working (real time; now by default, never later than set before).

        Returns the changed key, or None if there is none.
        """
        row = await self._row(REVOKE, key, to_datetime(self.time.wall) if at is None else at)
        if row is None:
            return None
        self._write(f"key/{key}")
        return as_struct(row, KeyRow)


async def find_key(conn: Connection, key_id: str, seconds: float | None = None) -> tuple[KeyRow, bytes] | None:
    """Return a key of any workspace and its secret's hash; needs the narrow role and no transaction."""
    row = await conn.fetchrow(BY_ID, key_id, timeout=seconds)
    return None if row is None else (as_struct(row, KeyRow), row["secret_hash"])
