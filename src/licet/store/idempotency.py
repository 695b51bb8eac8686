"""Idempotency keys: one request at a time under a key, and its answer for whoever repeats it."""

from typing import Final

from licet.core.instant import to_datetime
from licet.services.errors import KeyBusy, KeyReused
from licet.store.session import Writing

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

        Raises KeyReused (same key, other body) or KeyBusy (the first request is still under way).
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
        if row["body_hash"] != body_hash:
            raise KeyReused(
                f"idempotency key {key!r} came before with another body",
                advice="use a new key for a new request, and the same body with the same key",
            )
        return row["status"], row["body"]

    async def keep_answer(self, route: str, key: str, body_hash: bytes, status: int, body: bytes) -> None:
        """Keep the answer of this transaction under an idempotency key (≥ 35 days)."""
        await self._execute(KEEP, route, key, body_hash, status, body, to_datetime(self.time.wall))
