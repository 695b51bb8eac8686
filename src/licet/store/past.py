"""What was stored at a sequence of the log: the newest revision by then of each document, and events by name.

Revisions and sequences have no gaps and grow together, so each is found by halving over a primary key: some twenty
look-ups in a log of a million events, in one statement, and no index that every write would have to pay for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from licet.core.terms import Attributes, Terms
from licet.services.rows import CatalogRow, TermsRow, UserThen
from licet.store.catalogs import catalog_of
from licet.store.log import event_of
from licet.store.session import Reading, as_struct
from licet.wire.event import Event

_EVENT: Final = (
    "seq, id, type, recorded_at, wall_at, effective_at, actor, note, cause, subject, revision, before, after, schema, "
    "documents, prev, hash"
)
# Every time lies between the recording times of its neighbors: the log's clock never goes back.
SEQ_AT: Final = """
    WITH RECURSIVE halving (low, high) AS (
        SELECT 0::bigint, (SELECT t.seq + 1 FROM log_tip t WHERE t.workspace_id = $1)
        UNION ALL
        SELECT CASE WHEN m.known THEN m.at ELSE h.low END, CASE WHEN m.known THEN h.high ELSE m.at END
        FROM halving h CROSS JOIN LATERAL (
            SELECT e.seq AS at, e.recorded_at <= $2 AS known FROM event e
            WHERE e.workspace_id = $1 AND e.seq = (h.low + h.high) / 2 LIMIT 1
        ) m WHERE h.high - h.low > 1
    )
    SELECT max(low) AS seq FROM halving
"""
TERMS_AT: Final = """
    WITH RECURSIVE halving (low, high) AS (
        SELECT 0::bigint, (SELECT max(n.revision) + 1 FROM terms n WHERE n.workspace_id = $1 AND n.customer = $2)
        UNION ALL
        SELECT CASE WHEN m.known THEN m.at ELSE h.low END, CASE WHEN m.known THEN h.high ELSE m.at END
        FROM halving h CROSS JOIN LATERAL (
            SELECT d.revision AS at, d.seq <= $3 AS known FROM terms d
            WHERE d.workspace_id = $1 AND d.customer = $2 AND d.revision = (h.low + h.high) / 2 LIMIT 1
        ) m WHERE h.high - h.low > 1
    )
    SELECT t.revision, t.seq, t.recorded_at, t.doc FROM terms t
    WHERE t.workspace_id = $1 AND t.customer = $2 AND t.revision = (SELECT max(low) FROM halving)
"""
USER_AT: Final = """
    WITH RECURSIVE halving (low, high) AS (
        SELECT 0::bigint, (
            SELECT max(n.revision) + 1 FROM user_revision n
            WHERE n.workspace_id = $1 AND n.customer = $2 AND n.id = $3
        )
        UNION ALL
        SELECT CASE WHEN m.known THEN m.at ELSE h.low END, CASE WHEN m.known THEN h.high ELSE m.at END
        FROM halving h CROSS JOIN LATERAL (
            SELECT d.revision AS at, d.seq <= $4 AS known FROM user_revision d
            WHERE d.workspace_id = $1 AND d.customer = $2 AND d.id = $3 AND d.revision = (h.low + h.high) / 2 LIMIT 1
        ) m WHERE h.high - h.low > 1
    )
    SELECT u.customer, u.id, u.revision, u.seq, u.roles, u.attributes, u.teams, u.active FROM user_revision u
    WHERE u.workspace_id = $1 AND u.customer = $2 AND u.id = $3 AND u.revision = (SELECT max(low) FROM halving)
"""
CATALOG_AT: Final = """
    SELECT revision, doc, hash, released_at, actor, note, seq FROM catalog
    WHERE workspace_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1
"""
FIRST_CATALOG: Final = "SELECT released_at FROM catalog WHERE workspace_id = $1 AND revision = 1"
NAMED: Final = f"SELECT {_EVENT} FROM event WHERE workspace_id = $1 AND id = ANY ($2::text[])"
ABOUT: Final = f"""
    SELECT found.* FROM unnest($2::text[]) AS given (name) CROSS JOIN LATERAL (
        SELECT {_EVENT} FROM event
        WHERE workspace_id = $1 AND subject = given.name AND seq > $3 AND seq < $4 ORDER BY seq DESC LIMIT $5
    ) found ORDER BY found.seq DESC LIMIT $5
"""


class PastReads(Reading):
    """Reading what was there at a sequence, and events by name or newest first. Sees what is committed only."""

    async def seq_at(self, at: datetime) -> int:
        """Return the sequence of the newest event recorded at or before an instant (0: nothing was)."""
        row = await self._row(SEQ_AT, at)
        return 0 if row is None or row["seq"] is None else int(row["seq"])

    async def catalog_at(self, seq: int) -> CatalogRow | None:
        """Return the newest catalog released by a sequence."""
        row = await self._row(CATALOG_AT, seq)
        return None if row is None else catalog_of(row)

    async def first_release(self) -> datetime | None:
        """Return when the first catalog was released."""
        row: asyncpg.Record | None = await self._row(FIRST_CATALOG)
        return None if row is None else msgspec.convert(row["released_at"], datetime)

    async def terms_at(self, customer: str, seq: int) -> TermsRow | None:
        """Return the newest terms of a customer that were recorded by a sequence."""
        row = await self._row(TERMS_AT, customer, seq)
        return (
            None
            if row is None
            else as_struct(
                {"revision": row["revision"], "seq": row["seq"], "recorded_at": row["recorded_at"]},
                TermsRow,
                terms=msgspec.json.decode(row["doc"], type=Terms),
            )
        )

    async def user_at(self, customer: str, user: str, seq: int) -> UserThen | None:
        """Return what was known of a user at a sequence, without anything personal."""
        row = await self._row(USER_AT, customer, user, seq)
        if row is None:
            return None
        return as_struct(row, UserThen, attributes=msgspec.json.decode(row["attributes"], type=Attributes))

    async def events_named(self, ids: Sequence[str]) -> Sequence[Event]:
        """Return the events with these ids, in no particular order; one that is not there is left out."""
        return [event_of(row) for row in await self._rows(NAMED, list(ids))] if ids else []

    async def events_about(
        self, subjects: Sequence[str], *, after: int = 0, before: int = 2**62, limit: int = 100
    ) -> Sequence[Event]:
        """Return the newest events about any of these subjects between two sequences (exclusive), newest first."""
        return [event_of(row) for row in await self._rows(ABOUT, list(subjects), after, before, limit)]
