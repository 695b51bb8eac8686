"""Idempotency keys: one request at a time under a key, and its answer for whoever repeats it.

Answers hold names and emails, and outlive a change that removes these from the record; so they are kept sealed. A
retired master key stays in the key file for as long as answers are kept.
"""

from typing import Final

from licet.core.instant import to_datetime
from licet.seal.envelope import EnvelopeError, seal, unseal
from licet.seal.keyring import KeyringError
from licet.services.errors import Conflict, KeyBusy, KeyReused
from licet.store.session import Writing

ERASED: Final = b"\xff" * 32
"""Stands instead of the hash of a request whose answer was erased with personal values."""
KEPT_DAYS: Final = 35
"""Answers are kept at least this long."""

# Held until the transaction ends, also if its process dies. A collision of hashes is a needless "busy", no more.
CLAIM: Final = """
    SELECT pg_try_advisory_xact_lock(hashtextextended(format('%s/%s/%s', $1::text, $2::text, $3::text), 0)) AS claimed
"""
FIND: Final = "SELECT body_hash, status, body FROM idempotency WHERE workspace_id = $1 AND route = $2 AND key = $3"
KEEP: Final = """
    INSERT INTO idempotency (workspace_id, route, key, body_hash, status, body, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class IdempotencyWrites(Writing):
    """Claiming keys and keeping answers; exempt from leaving events."""

    async def replay(self, route: str, key: str, body_hash: bytes) -> tuple[int, bytes] | None:
        """Claim an idempotency key until commit; returns the stored answer of an earlier, equal request.

        Raises KeyReused (same key, other body), KeyBusy (the first request is still under way), or Conflict if the
        answer was erased or the master key that sealed it is gone: what was done once must not be done again.
        """
        claimed = await self._row(CLAIM, route, key)
        if claimed is None or not claimed["claimed"]:
            raise KeyBusy(
                f"the first request with idempotency key {key!r} is still under way",
                advice="wait a moment and repeat: the answer will be the first one's",
            )
        # A statement of its own: its snapshot is taken after the claim, so an answer just committed is seen.
        row = await self._row(FIND, route, key)
        if row is None:
            return None
        if row["body_hash"] == ERASED:
            raise Conflict(
                f"the request with idempotency key {key!r} was carried out; its answer was erased with personal values",
                advice="read what it changed; a new request takes a new key",
            )
        if row["body_hash"] != body_hash:
            raise KeyReused(
                f"idempotency key {key!r} came before with another body",
                advice="use a new key for a new request, and the same body with the same key",
            )
        try:
            return row["status"], unseal(self._keyring, self._ws, purpose_of(route, key), row["body"])
        except (EnvelopeError, KeyringError) as error:
            raise Conflict(
                f"the request with idempotency key {key!r} was carried out, but its answer cannot be opened: {error}",
                advice="read what it changed; a new request takes a new key",
            ) from None

    async def keep_answer(self, route: str, key: str, body_hash: bytes, status: int, body: bytes) -> None:
        """Keep the answer of this transaction, sealed, under an idempotency key (≥ 35 days)."""
        sealed = seal(self._keyring, self._ws, purpose_of(route, key), body)
        await self._execute(KEEP, route, key, body_hash, status, sealed, to_datetime(self.time.wall))


def purpose_of(route: str, key: str) -> str:
    """Return what an answer is sealed for: it opens under its own route and key alone."""
    return f"answer/{key}/{route}"
