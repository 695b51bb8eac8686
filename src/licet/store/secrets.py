"""Sealed secrets: what is written is an envelope; the master key that opens it is never in the database."""

from collections.abc import Sequence
from typing import Final

from licet.core.instant import to_datetime
from licet.seal.envelope import rewrap, seal, unseal
from licet.store.session import Reading, Writing

LIST: Final = "SELECT envelope FROM secret WHERE workspace_id = $1 AND purpose = $2 ORDER BY slot"
REMOVE: Final = "DELETE FROM secret WHERE workspace_id = $1 AND purpose = $2"
# Two first exports at once must not make two keys; nothing else waits for this lock.
CLAIM: Final = "SELECT pg_advisory_xact_lock(hashtextextended(format('secret/%s/%s', $1::text, $2::text), 0))"
INSERT: Final = """
    INSERT INTO secret (workspace_id, purpose, slot, envelope, created_at) VALUES ($1, $2, $3, $4, $5)
"""
ALL: Final = "SELECT purpose, slot, envelope FROM secret WHERE workspace_id = $1 ORDER BY purpose, slot FOR UPDATE"
REPLACE: Final = "UPDATE secret SET envelope = $4 WHERE workspace_id = $1 AND purpose = $2 AND slot = $3"


class SecretReads(Reading):
    """Opening secrets."""

    async def secrets(self, purpose: str) -> Sequence[bytes]:
        """Return the opened secrets of a purpose, newest first; raises EnvelopeError or KeyringError."""
        rows = await self._rows(LIST, purpose)
        return [unseal(self._keyring, self._ws, purpose, row["envelope"]) for row in rows]


class SecretWrites(SecretReads, Writing):
    """Sealing secrets."""

    async def claim(self, purpose: str) -> None:
        """Let only one transaction at a time decide about the secrets of a purpose."""
        await self._row(CLAIM, purpose)

    async def put_secrets(self, purpose: str, secrets: Sequence[bytes]) -> None:
        """Replace the secrets of a purpose, newest first."""
        self._write(f"secret/{purpose}")
        await self._execute(REMOVE, purpose)
        now = to_datetime(self.time.wall)
        for slot, secret in enumerate(secrets):
            await self._execute(INSERT, purpose, slot, seal(self._keyring, self._ws, purpose, secret), now)

    async def rewrap_secrets(self) -> int:
        """Wrap every secret of the workspace under the newest master key; returns how many were changed."""
        changed = 0
        for row in await self._rows(ALL):
            envelope = rewrap(self._keyring, self._ws, row["purpose"], row["envelope"])
            if envelope != row["envelope"]:
                self._write(f"secret/{row['purpose']}")
                changed += await self._execute(REPLACE, row["purpose"], row["slot"], envelope)
        return changed
