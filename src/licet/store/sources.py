"""Configured foreign systems and the inbox of their messages."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.services.rows import DeliveryOutcome, DeliveryRow, Page, SourceRow
from licet.store.secrets import SecretReads, SecretWrites
from licet.store.session import as_struct, limit_of, text

_SOURCE: Final = "id, kind, settings, disabled, created_at"
_DELIVERY: Final = "source, id, type, fingerprint, created, received_at, body, outcome, words, awaits"
ONE: Final = f"SELECT {_SOURCE} FROM source WHERE workspace_id = $1 AND id = $2"
LIST: Final = f"SELECT {_SOURCE} FROM source WHERE workspace_id = $1 ORDER BY id"
PUT: Final = """
    INSERT INTO source (workspace_id, id, kind, settings, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (workspace_id, id) DO UPDATE
    SET kind = excluded.kind, settings = excluded.settings, disabled = excluded.disabled
"""
DELIVERY: Final = f"SELECT {_DELIVERY} FROM delivery WHERE workspace_id = $1 AND source = $2 AND id = $3"
LOCK_DELIVERY: Final = DELIVERY + " FOR UPDATE"
DELIVERIES: Final = f"""
    SELECT {_DELIVERY} FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND ($3 = '' OR (received_at, id) < (
        SELECT last.received_at, last.id FROM delivery last
        WHERE last.workspace_id = $1 AND last.source = $2 AND last.id = $3
    ))
    ORDER BY received_at DESC, id DESC LIMIT $4
"""
WAITING: Final = f"""
    SELECT {_DELIVERY} FROM delivery
    WHERE workspace_id = $1 AND source = $2 AND awaits = $3 AND outcome = 'waiting' ORDER BY created, id
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

    async def deliveries(self, source: str, page: Page) -> Sequence[DeliveryRow]:
        """List messages of a source, newest first; ``after`` is the id of the last one seen."""
        rows = await self._rows(DELIVERIES, source, page.after, limit_of(page))
        return [as_struct(row, DeliveryRow) for row in rows]

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
