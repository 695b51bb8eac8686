"""Previews of changes on live customers: written piece by piece while the work goes on, forgotten after some days."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from licet.core.impact import Exceeded, Impact
from licet.services.errors import Conflict
from licet.services.preview_ports import (
    GroupRow,
    ImpactGroup,
    PreviewRow,
    PreviewSummary,
    TouchedCustomer,
    TouchedRow,
)
from licet.services.rows import Page, TermsRow
from licet.store.session import Reading, Writing, as_struct, limit_of
from licet.store.terms import terms_of

COUNT: Final = "SELECT count(*) AS customers FROM customer WHERE workspace_id = $1"
ANY: Final = "SELECT EXISTS (SELECT FROM customer WHERE workspace_id = $1) AS any"
TERMS_PAGE: Final = """
    SELECT t.revision, t.seq, t.recorded_at, t.doc
    FROM (SELECT id FROM customer WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3) c
    CROSS JOIN LATERAL (
        SELECT revision, seq, recorded_at, doc FROM terms
        WHERE workspace_id = $1 AND customer = c.id ORDER BY revision DESC LIMIT 1
    ) t
    ORDER BY c.id
"""
TERMS_SINCE: Final = """
    SELECT t.revision, t.seq, t.recorded_at, t.doc
    FROM (SELECT DISTINCT customer FROM terms WHERE workspace_id = $1 AND seq > $2 ORDER BY customer LIMIT $3) c
    CROSS JOIN LATERAL (
        SELECT revision, seq, recorded_at, doc FROM terms
        WHERE workspace_id = $1 AND customer = c.customer ORDER BY revision DESC LIMIT 1
    ) t
    ORDER BY c.customer
"""
# Where customers were loaded a moment ago nothing is known of how many there are, and each page would sort them all.
IN_ORDER: Final = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
_COLUMNS: Final = """
    id, kind, base, subject_hash, subject, at, what_if, seq, begun_at, finished_at, actor, done, total, summary
"""
ONE: Final = f"SELECT {_COLUMNS} FROM catalog_preview WHERE workspace_id = $1 AND id = $2"
GROUPS: Final = """
    SELECT g.number, g.impact, n.customers, e.examples
    FROM (
        SELECT number, count(*) AS customers FROM catalog_preview_customer
        WHERE workspace_id = $1 AND preview = $2 GROUP BY number ORDER BY customers DESC, number LIMIT $3
    ) n
    JOIN catalog_preview_group g ON g.workspace_id = $1 AND g.preview = $2 AND g.number = n.number
    CROSS JOIN LATERAL (
        SELECT array_agg(customer) AS examples FROM (
            SELECT customer FROM catalog_preview_customer
            WHERE workspace_id = $1 AND preview = $2 AND number = n.number ORDER BY customer LIMIT 3
        ) first
    ) e
    ORDER BY n.customers DESC, n.number
"""
CUSTOMERS: Final = """
    SELECT c.customer, c.exceeded, g.impact
    FROM catalog_preview_customer c
    JOIN catalog_preview_group g ON g.workspace_id = $1 AND g.preview = $2 AND g.number = c.number
    WHERE c.workspace_id = $1 AND c.preview = $2 AND c.customer > $3 AND ($5::text IS NULL OR $5 = ANY (g.marks))
    ORDER BY c.customer LIMIT $4
"""
IMPACTS: Final = """
    SELECT c.customer, c.exceeded, g.impact
    FROM catalog_preview_customer c
    JOIN catalog_preview_group g ON g.workspace_id = $1 AND g.preview = $2 AND g.number = c.number
    WHERE c.workspace_id = $1 AND c.preview = $2 AND c.customer = ANY ($3::text[])
"""
# Whose said use stands on the other side of a lowered limit than when they were judged.
USES_CROSSING: Final = """
    SELECT DISTINCT c.customer
    FROM catalog_preview_group g
    CROSS JOIN LATERAL json_array_elements(g.impact -> 'limits') AS lower (pair)
    JOIN catalog_preview_customer c ON c.workspace_id = $1 AND c.preview = $2 AND c.number = g.number
    JOIN said_use s ON s.workspace_id = $1 AND s.customer = c.customer AND s.feature = lower.pair ->> 0
    WHERE g.workspace_id = $1 AND g.preview = $2
      AND (s.used > (lower.pair ->> 1)::numeric)
        <> coalesce(jsonb_exists((g.impact -> 'exceeding')::jsonb, lower.pair ->> 0), false)
    ORDER BY c.customer LIMIT $3
"""
BEGIN: Final = f"""
    INSERT INTO catalog_preview (workspace_id, {_COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, $11, 0, $12, NULL)
"""
WENT_ON: Final = """
    UPDATE catalog_preview SET done = $3 WHERE workspace_id = $1 AND id = $2 AND finished_at IS NULL
"""
ADD_GROUPS: Final = """
    INSERT INTO catalog_preview_group (workspace_id, preview, number, impact, marks)
    SELECT $1, $2, given.number, given.impact, ARRAY(SELECT json_array_elements_text(given.marks))
    FROM unnest($3::integer[], $4::json[], $5::json[]) AS given (number, impact, marks)
"""
ADD_CUSTOMERS: Final = """
    INSERT INTO catalog_preview_customer (workspace_id, preview, customer, number, exceeded)
    SELECT $1, $2, given.customer, given.number, given.exceeded
    FROM unnest($3::text[], $4::integer[], $5::json[]) AS given (customer, number, exceeded)
"""
FINISH: Final = """
    UPDATE catalog_preview SET finished_at = $3, summary = $4, done = total
    WHERE workspace_id = $1 AND id = $2 AND finished_at IS NULL
"""
FORGET: Final = """
    DELETE FROM catalog_preview WHERE workspace_id = $1 AND (
        begun_at < $2 OR id NOT IN (SELECT id FROM catalog_preview WHERE workspace_id = $1 ORDER BY id DESC LIMIT $3)
    )
"""


class PreviewReads(Reading):
    """Reading previews, and the terms of many customers at once."""

    async def has_customers(self) -> bool:
        """Return whether there is any customer."""
        row = await self._row(ANY)
        return row is not None and bool(row["any"])

    async def count_customers(self) -> int:
        """Return how many customers there are."""
        row = await self._row(COUNT)
        return 0 if row is None else int(row["customers"])

    async def terms_page(self, page: Page) -> Sequence[TermsRow]:
        """List the newest committed terms of customers, by customer."""
        if not page.after:
            await self._conn.execute(IN_ORDER)
        return [terms_of(row) for row in await self._rows(TERMS_PAGE, page.after, limit_of(page))]

    async def terms_since(self, seq: int, limit: int) -> Sequence[TermsRow]:
        """List the newest committed terms of customers whose terms changed after a sequence, by customer."""
        return [terms_of(row) for row in await self._rows(TERMS_SINCE, seq, limit)]

    async def preview(self, preview: str) -> PreviewRow | None:
        """Return one preview."""
        row = await self._row(ONE, preview)
        return None if row is None else _preview(row)

    async def preview_groups(self, preview: str, limit: int) -> Sequence[ImpactGroup]:
        """Return the largest groups of a preview, the largest first."""
        return [_group(row) for row in await self._rows(GROUPS, preview, limit)]

    async def preview_customers(self, preview: str, mark: str | None, page: Page) -> Sequence[TouchedCustomer]:
        """List to whom something happens, by customer."""
        return [_touched(row) for row in await self._rows(CUSTOMERS, preview, page.after, limit_of(page), mark)]

    async def uses_crossing(self, preview: str, limit: int) -> Sequence[str]:
        """List at most ``limit`` customers whose said use crossed a lowered limit since they were judged."""
        return [row["customer"] for row in await self._rows(USES_CROSSING, preview, limit)]

    async def preview_impacts(self, preview: str, customers: Sequence[str]) -> Mapping[str, TouchedCustomer]:
        """Return what happens to some customers; those to whom nothing does are left out."""
        return {row["customer"]: _touched(row) for row in await self._rows(IMPACTS, preview, [*customers])}


class PreviewWrites(PreviewReads, Writing):
    """Writing previews, which are exempt from leaving events."""

    async def begin_preview(self, row: PreviewRow) -> None:
        """Insert a preview that is not finished."""
        subject = _json(row.subject)
        await self._execute(
            BEGIN,
            row.id,
            row.kind,
            row.base,
            row.subject_hash,
            subject,
            row.at,
            row.what_if,
            row.seq,
            row.begun_at,
            row.actor,
            row.total,
        )

    async def keep_preview(
        self, preview: str, done: int, groups: Sequence[GroupRow], touched: Sequence[TouchedRow]
    ) -> None:
        """Add what was found; raises Conflict where the preview was forgotten meanwhile."""
        if not await self._execute(WENT_ON, preview, done):
            raise _forgotten(preview)
        if groups:
            numbers, impacts = [one.number for one in groups], [_json(one.impact) for one in groups]
            await self._execute(ADD_GROUPS, preview, numbers, impacts, [_json(one.marks) for one in groups])
        if touched:
            exceeded = [_json(one.exceeded) if one.exceeded else None for one in touched]
            customers, numbers = [one.customer for one in touched], [one.number for one in touched]
            await self._execute(ADD_CUSTOMERS, preview, customers, numbers, exceeded)

    async def finish_preview(self, preview: str, summary: PreviewSummary, finished_at: datetime) -> None:
        """Say that a preview is whole; raises Conflict where it was forgotten meanwhile."""
        if not await self._execute(FINISH, preview, finished_at, _json(summary)):
            raise _forgotten(preview)

    async def forget_previews(self, before: datetime, keep: int) -> int:
        """Delete previews begun before a real instant, and all but the newest ``keep``; return how many."""
        return await self._execute(FORGET, before, keep)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _preview(row: asyncpg.Record) -> PreviewRow:
    summary = None if row["summary"] is None else msgspec.json.decode(row["summary"], type=PreviewSummary)
    return as_struct(row, PreviewRow, summary=summary, subject=msgspec.json.decode(row["subject"]))


def _group(row: asyncpg.Record) -> ImpactGroup:
    impact = msgspec.json.decode(row["impact"], type=Impact)
    return ImpactGroup(
        number=row["number"],
        customers=row["customers"],
        changes=impact.changes,
        exceeding=impact.exceeding,
        breaking=impact.breaking,
        narrowed=impact.narrowed,
        later=impact.later,
        examples=tuple(row["examples"]),
    )


def _touched(row: asyncpg.Record) -> TouchedCustomer:
    exceeded = () if row["exceeded"] is None else msgspec.json.decode(row["exceeded"], type=tuple[Exceeded, ...])
    return TouchedCustomer(
        customer=row["customer"], impact=msgspec.json.decode(row["impact"], type=Impact), exceeded=exceeded
    )


def _forgotten(preview: str) -> Conflict:
    return Conflict(
        f"the preview {preview} was forgotten while it was made: newer ones took its place",
        advice="make it again, and not so many at once",
    )
