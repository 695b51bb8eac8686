"""Findings: discrepancies with an owner. One that is seen again while open is counted up, not repeated."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.services.rows import FindingRow, Page
from licet.store.session import Reading, Writing, as_struct, limit_of, text

_COLUMNS: Final = "id, kind, severity, subject, words, evidence, state, seen, first_seen, last_seen"
LIST: Final = f"""
    SELECT {_COLUMNS} FROM finding
    WHERE workspace_id = $1 AND ($2::text IS NULL OR state = $2) AND id > $3 ORDER BY id LIMIT $4
"""
PUT: Final = f"""
    INSERT INTO finding AS f (workspace_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (workspace_id, kind, subject) WHERE state = 'open' DO UPDATE
    SET seen = f.seen + 1, last_seen = greatest(f.last_seen, excluded.last_seen), words = excluded.words,
        evidence = excluded.evidence, severity = excluded.severity
"""


class FindingReads(Reading):
    """Reading findings."""

    async def findings(self, state: str | None, page: Page) -> Sequence[FindingRow]:
        """List findings of a state, or all, by id."""
        return [_finding(row) for row in await self._rows(LIST, state, page.after, limit_of(page))]


class FindingWrites(FindingReads, Writing):
    """Keeping findings. Their counters are exempt from leaving events."""

    async def put_finding(self, row: FindingRow) -> None:
        """Insert a finding; one that is open with the same kind and subject is counted up with the newest words."""
        values = [getattr(row, name.strip()) for name in _COLUMNS.split(",")]
        values[5] = text(row.evidence)
        await self._execute(PUT, *values)


def _finding(row: asyncpg.Record) -> FindingRow:
    return as_struct(row, FindingRow, evidence=msgspec.json.decode(row["evidence"]))
