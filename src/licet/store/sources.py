"""Configured foreign systems and the inbox of their messages."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.instant import SECOND, to_datetime
from licet.services.rows import DeliveryOutcome, DeliveryRow, Page, Reference, SourceRow, SourceStatus
from licet.store.secrets import SecretReads, SecretWrites
from licet.store.session import as_struct, limit_of, text

DAY_LONG: Final = 24 * 3600 * SECOND
_SOURCE: Final = "id, kind, settings, disabled, created_at"
_DELIVERY: Final = "source, id, type, fingerprint, created, received_at, body, outcome, words, awaits"
_KEPT: Final = f"{_DELIVERY}, erased_at"
ONE: Final = f"SELECT {_SOURCE} FROM source WHERE workspace_id = $1 AND id = $2"
LIST: Final = f"SELECT {_SOURCE} FROM source WHERE workspace_id = $1 ORDER BY id"
PUT: Final = """
    INSERT INTO source (workspace_id, id, kind, settings, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (workspace_id, id) DO UPDATE
    SET kind = excluded.kind, settings = excluded.settings, disabled = excluded.disabled
"""
DELIVERY: Final = f"SELECT {_KEPT} FROM delivery WHERE workspace_id = $1 AND source = $2 AND id = $3"
LOCK_DELIVERY: Final = DELIVERY + " FOR UPDATE"
DELIVERIES: Final = f"""
    SELECT {_KEPT} FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND ($3 = '' OR (received_at, id) < (
        SELECT last.received_at, last.id FROM delivery last
        WHERE last.workspace_id = $1 AND last.source = $2 AND last.id = $3
    )) AND ($5::text IS NULL OR outcome = $5)
    ORDER BY received_at DESC, id DESC LIMIT $4
"""
WAITING: Final = f"""
    SELECT {_KEPT} FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND awaits = $3 AND outcome = 'waiting' ORDER BY created, id
"""
UNDONE: Final = """
    SELECT id FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND outcome = ANY($3::text[]) AND outcome IN ('failed', 'waiting')
      AND ($5::text IS NULL OR (received_at, id) > (
        SELECT last.received_at, last.id FROM delivery last
        WHERE last.workspace_id = $1 AND last.source = $2 AND last.id = $5
    ))
    ORDER BY received_at, id LIMIT $4
"""
DAY: Final = """
    SELECT outcome, count(*) AS messages FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND received_at > $3 GROUP BY outcome ORDER BY outcome
"""
LAG: Final = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', received_at - created)) AS lag_median,
        max(date_part('epoch', received_at - created)) AS lag_max
    FROM delivery WHERE workspace_id = $1 AND source = $2 AND received_at > $3
"""
LAST: Final = """
    SELECT received_at, date_part('epoch', received_at - created) AS lag FROM delivery
    WHERE workspace_id = $1 AND source = $2 ORDER BY received_at DESC, id DESC LIMIT 1
"""
LEFT: Final = """
    SELECT outcome, count(*) AS messages, min(received_at) AS oldest FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND outcome IN ('failed', 'waiting') GROUP BY outcome
"""
REFERENCE: Final = """
    SELECT reference, invoice, external_id FROM payment_reference
    WHERE workspace_id = $1 AND source = $2 AND reference = $3
"""
PUT_REFERENCES: Final = """
    INSERT INTO payment_reference AS r (workspace_id, source, reference, invoice, external_id)
    SELECT $1, $2, new.reference, new.invoice, new.external_id
    FROM unnest($3::text[], $4::text[], $5::text[]) AS new (reference, invoice, external_id)
    ON CONFLICT (workspace_id, source, reference) DO UPDATE
    SET external_id = excluded.external_id WHERE r.external_id IS NULL AND r.invoice = excluded.invoice
"""
INSERT_DELIVERY: Final = f"""
    INSERT INTO delivery (workspace_id, {_DELIVERY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (workspace_id, source, id) DO NOTHING
"""
END_DELIVERY: Final = """
    UPDATE delivery SET outcome = $4, words = $5, awaits = $6 WHERE workspace_id = $1 AND source = $2 AND id = $3
"""


class SourceReads(SecretReads):
    """Reading sources and their inbox."""

    async def source(self, source: str) -> SourceRow | None:
        """Return a configured source."""
        row = await self._row(ONE, source)
        return None if row is None else _source(row)

    async def sources(self) -> Sequence[SourceRow]:
        """List configured sources by id."""
        return [_source(row) for row in await self._rows(LIST)]

    async def source_secrets(self, source: str) -> Sequence[bytes]:
        """Return the opened signing secrets of a source, newest first (two during a rotation)."""
        return await self.secrets(f"source/{source}")

    async def delivery(self, source: str, delivery: str) -> DeliveryRow | None:
        """Return one message of a foreign system."""
        row = await self._row(DELIVERY, source, delivery)
        return None if row is None else as_struct(row, DeliveryRow)

    async def deliveries(
        self, source: str, page: Page, outcome: DeliveryOutcome | None = None
    ) -> Sequence[DeliveryRow]:
        """List messages of a source, newest first; ``after`` is the id of the last one seen."""
        rows = await self._rows(DELIVERIES, source, page.after, limit_of(page), outcome)
        return [as_struct(row, DeliveryRow) for row in rows]

    async def undone(
        self, source: str, outcomes: Sequence[DeliveryOutcome], limit: int, *, after: str | None = None
    ) -> Sequence[str]:
        """List the ids of the messages of a source that failed or wait, oldest first."""
        return [row["id"] for row in await self._rows(UNDONE, source, list(outcomes), limit, after)]

    async def source_status(self, source: str) -> SourceStatus:
        """Return how a source fares; nothing but zeros and None for one that never sent."""
        since = to_datetime(self._wall() - DAY_LONG)
        day = {row["outcome"]: row["messages"] for row in await self._rows(DAY, source, since)}
        left = {row["outcome"]: row for row in await self._rows(LEFT, source)}
        lag, last = await self._row(LAG, source, since), await self._row(LAST, source)
        failed, waiting = left.get("failed"), left.get("waiting")
        return SourceStatus(
            source=source,
            last_day=day,
            failed=failed["messages"] if failed else 0,
            waiting=waiting["messages"] if waiting else 0,
            oldest_failed_at=failed["oldest"] if failed else None,
            oldest_waiting_at=waiting["oldest"] if waiting else None,
            last_received_at=last["received_at"] if last else None,
            lag_last=_seconds(last["lag"] if last else None),
            lag_median=_seconds(lag["lag_median"] if lag else None),
            lag_max=_seconds(lag["lag_max"] if lag else None),
        )

    async def reference(self, source: str, reference: str) -> Reference | None:
        """Return what a foreign invoice or payment belongs to."""
        row = await self._row(REFERENCE, source, reference)
        return None if row is None else as_struct(row, Reference)

    async def waiting(self, source: str, awaits: str) -> Sequence[DeliveryRow]:
        """List the deliveries of a source whose outcome is ``waiting`` for ``awaits``, by (created, id)."""
        return [as_struct(row, DeliveryRow) for row in await self._rows(WAITING, source, awaits)]


class SourceWrites(SourceReads, SecretWrites):
    """Configuring sources and keeping their inbox. The inbox is exempt from leaving events."""

    async def put_source(self, row: SourceRow, secrets: Sequence[bytes]) -> None:
        """Insert or replace a source; its secrets are sealed before they are written."""
        self._write(f"source/{row.id}")
        await self._execute(PUT, row.id, row.kind, text(row.settings), row.disabled, row.created_at)
        await self.put_secrets(f"source/{row.id}", secrets)

    async def put_references(self, source: str, rows: Sequence[Reference]) -> None:
        """Keep what foreign invoices and payments belong to; a known one is completed, never moved."""
        names = {row.reference: row for row in sorted(rows, key=lambda one: (one.reference, one.external_id or ""))}
        columns = [[getattr(row, name) for row in names.values()] for name in ("reference", "invoice", "external_id")]
        await self._execute(PUT_REFERENCES, source, *columns)

    async def put_delivery(self, row: DeliveryRow) -> DeliveryRow | None:
        """Insert a delivery (locked until commit); returns the earlier one, locked, if its id came before."""
        values = [getattr(row, name.strip()) for name in _DELIVERY.split(",")]
        if await self._execute(INSERT_DELIVERY, *values):
            return None
        earlier = await self._row(LOCK_DELIVERY, row.source, row.id)
        return None if earlier is None else as_struct(earlier, DeliveryRow)

    async def end_delivery(
        self, source: str, delivery: str, outcome: DeliveryOutcome, words: str, *, awaits: str | None = None
    ) -> None:
        """Say how a delivery ended; ``awaits`` is kept (or cleared) with it."""
        await self._execute(END_DELIVERY, source, delivery, outcome, words, awaits)


def _source(row: asyncpg.Record) -> SourceRow:
    return as_struct(row, SourceRow, settings=msgspec.json.decode(row["settings"]))


def _seconds(lag: object) -> float | None:
    """A lag as PostgreSQL gives it (numeric or double) in seconds, to the microsecond."""
    return None if lag is None else round(float(str(lag)), 6)
