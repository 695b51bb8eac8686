"""Findings: discrepancies with an owner. One that is seen again while open, or dismissed, is counted up."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.money import Money
from licet.services.errors import Conflict
from licet.services.rows import FindingFilter, FindingRow, Page
from licet.store.session import Reading, Writing, as_struct, limit_of, text

_COLUMNS: Final = (
    "id, kind, severity, subject, words, evidence, state, seen, first_seen, last_seen, "
    "customer, money_amount, money_currency, owner, due_at, repair, note, settled_at"
)
LIST: Final = f"""
    SELECT {_COLUMNS} FROM finding
    WHERE workspace_id = $1 AND id > $2
      AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR kind = $5)
      AND ($6::text IS NULL OR severity = $6) AND ($7::text IS NULL OR customer = $7)
      AND ($8::text IS NULL OR owner = $8) AND ($9::timestamptz IS NULL OR due_at <= $9)
    ORDER BY id LIMIT $3
"""
ONE: Final = f"SELECT {_COLUMNS} FROM finding WHERE workspace_id = $1 AND id = $2"
OPEN: Final = f"""
    SELECT {_COLUMNS} FROM finding WHERE workspace_id = $1 AND kind = $2 AND subject = $3 AND state = 'open'
"""
LOCK: Final = f"{ONE} FOR UPDATE"
LOCK_OPEN: Final = f"{OPEN} FOR UPDATE"
AGAIN: Final = """
    UPDATE finding SET seen = seen + 1, last_seen = greatest(last_seen, $7)
    WHERE workspace_id = $1 AND id = (
        SELECT id FROM finding
        WHERE workspace_id = $1 AND state = 'dismissed' AND kind = $2 AND subject = $3 AND severity = $4
          AND words = $5 AND evidence::text = $6 AND length(evidence::text) > 2
          AND money_amount IS NOT DISTINCT FROM $8::bigint AND money_currency IS NOT DISTINCT FROM $9::text
          AND NOT EXISTS (
              SELECT FROM finding WHERE workspace_id = $1 AND kind = $2 AND subject = $3 AND state = 'open'
          )
        ORDER BY id DESC LIMIT 1
    )
"""
ABOUT: Final = f"""
    SELECT {_COLUMNS} FROM finding
    WHERE workspace_id = $1 AND kind = ANY ($2::text[]) AND subject >= $3 AND subject < $3 || '0'
      AND (subject = $3 OR starts_with(subject, $3 || '/')) AND state = 'open'
    ORDER BY id LIMIT 500
"""
PUT: Final = f"""
    INSERT INTO finding AS f (workspace_id, {_COLUMNS}) VALUES (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
    )
    ON CONFLICT (workspace_id, kind, subject) WHERE state = 'open' DO UPDATE
    SET seen = f.seen + 1, last_seen = greatest(f.last_seen, excluded.last_seen), words = excluded.words,
        evidence = excluded.evidence, severity = excluded.severity, repair = excluded.repair,
        money_amount = coalesce(excluded.money_amount, f.money_amount),
        money_currency = coalesce(excluded.money_currency, f.money_currency)
    RETURNING seen
"""
CHANGE: Final = """
    UPDATE finding SET state = $3, owner = $4, due_at = $5, note = $6, settled_at = $7
    WHERE workspace_id = $1 AND id = $2
"""


class FindingReads(Reading):
    """Reading findings."""

    async def findings(self, only: FindingFilter, page: Page) -> Sequence[FindingRow]:
        """List the findings that a filter keeps, by id."""
        rows = await self._rows(
            LIST,
            page.after,
            limit_of(page),
            only.state,
            only.kind,
            only.severity,
            only.customer,
            only.owner,
            only.overdue_at,
        )
        return [finding_of(row) for row in rows]

    async def finding(self, finding: str) -> FindingRow | None:
        """Return one finding."""
        row = await self._row(ONE, finding)
        return None if row is None else finding_of(row)

    async def open_finding(self, kind: str, subject: str) -> FindingRow | None:
        """Return the open finding of a kind about a subject; there is at most one."""
        row = await self._row(OPEN, kind, subject)
        return None if row is None else finding_of(row)

    async def open_findings_about(self, kinds: Sequence[str], subject: str) -> Sequence[FindingRow]:
        """List the open findings of some kinds about a subject or its parts (``subject/…``), 500 at most."""
        return [finding_of(row) for row in await self._rows(ABOUT, list(kinds), subject)]


class FindingWrites(FindingReads, Writing):
    """Keeping findings. Their counters are exempt from leaving events.

    One that is read in a writing transaction is locked until commit, so that no change is lost to another one's.
    """

    async def finding(self, finding: str) -> FindingRow | None:
        """Lock and return one finding."""
        row = await self._row(LOCK, finding)
        return None if row is None else finding_of(row)

    async def open_finding(self, kind: str, subject: str) -> FindingRow | None:
        """Lock and return the open finding of a kind about a subject."""
        row = await self._row(LOCK_OPEN, kind, subject)
        return None if row is None else finding_of(row)

    async def put_finding(self, row: FindingRow) -> bool:
        """Insert a finding; one that is open with the same kind and subject is counted up with the newest words.

        So is one that was dismissed and says the very same again; one without evidence cannot. Returns whether it
        is new.
        """
        evidence = text(row.evidence)
        amount, currency = (None, None) if row.money is None else (row.money.amount, row.money.currency)
        same = (row.kind, row.subject, row.severity, row.words, evidence)
        if await self._execute(AGAIN, *same, row.last_seen, amount, currency):
            return False
        parts = {"evidence": evidence, "money_amount": amount, "money_currency": currency}
        names = [name.strip() for name in _COLUMNS.split(",")]
        values = [parts[name] if name in parts else getattr(row, name) for name in names]
        seen = await self._row(PUT, *values)
        return seen is not None and seen["seen"] == row.seen

    async def change_finding(self, row: FindingRow) -> None:
        """Replace state, owner, due date, note and ``settled_at``; raises Conflict beside another open one."""
        try:
            await self._execute(CHANGE, row.id, row.state, row.owner, row.due_at, row.note, row.settled_at)
        except asyncpg.UniqueViolationError:
            raise Conflict(
                f"another finding of kind {row.kind} about the same subject is open", advice="settle that one instead"
            ) from None


def finding_of(row: asyncpg.Record) -> FindingRow:
    """Return a row with a finding's columns as a struct."""
    parts = dict(row)
    amount, currency = parts.pop("money_amount"), parts.pop("money_currency")
    parts["money"] = None if amount is None else Money(amount=amount, currency=currency)
    return as_struct(parts, FindingRow, evidence=msgspec.json.decode(row["evidence"]))
