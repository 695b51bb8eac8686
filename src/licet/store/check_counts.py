"""Counts of checks, single checks where a feature says so, uses that callers said: added in batches, read on demand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from licet.core.instant import to_datetime, to_instant
from licet.core.question import Question
from licet.core.tally import FOLDED
from licet.services.errors import Invalid
from licet.services.rows import (
    CheckBatch,
    CheckCountRow,
    CheckFilter,
    CheckGroups,
    CheckRecordRow,
    ChecksLost,
    Page,
)
from licet.store.session import Reading, Writing, as_struct, limit_of

OTHERS: Final = "(others)"
"""What stands for a user, customer or feature that gave way; ``others`` of the row tells it from a thing so called."""
FORGOTTEN_DAYS: Final = 35
"""After how many days without a batch (real time) a process is forgotten that counted."""

_COUNT: Final = "hour, customer, user_id, feature, reason, outcome, mode, folded"
_RECORD: Final = "id, asked_at, customer, user_id, feature, reason, outcome, mode, basis, question, left_out"
# The first part lets a batch in once: whoever repeats one after a lost connection finds its number taken.
KEEP: Final = f"""
    WITH turn AS (
        INSERT INTO check_flush AS f (workspace_id, counter, number, lost_checks, lost_records, flushed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (workspace_id, counter) DO UPDATE
        SET number = excluded.number, flushed_at = excluded.flushed_at,
            lost_checks = f.lost_checks + excluded.lost_checks, lost_records = f.lost_records + excluded.lost_records
        WHERE f.number < excluded.number
        RETURNING number
    ), said AS (
        INSERT INTO said_use AS s (workspace_id, customer, feature, used, said_at)
        SELECT $1, given.* FROM unnest($27::text[], $28::text[], $29::bigint[], $30::timestamptz[])
            AS given (customer, feature, used, said_at), turn
        ON CONFLICT (workspace_id, customer, feature) DO UPDATE
        SET used = excluded.used, said_at = excluded.said_at WHERE s.said_at <= excluded.said_at
    ), recorded AS (
        INSERT INTO check_record (workspace_id, {_RECORD})
        SELECT $1, given.id, given.asked_at, given.customer, given.user_id, given.feature, given.reason, given.outcome,
            given.mode, given.basis, given.question,
            ARRAY(SELECT json_array_elements_text(given.left_out))
        FROM unnest(
            $16::text[], $17::timestamptz[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
            $23::text[], $24::text[], $25::json[], $26::json[]
        ) AS given ({_RECORD}), turn
    )
    INSERT INTO check_count AS c (workspace_id, {_COUNT}, checks)
    SELECT $1, given.* FROM unnest(
        $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::smallint[],
        $15::bigint[]
    ) AS given ({_COUNT}, checks), turn
    ON CONFLICT (workspace_id, {_COUNT}) DO UPDATE
    SET checks = c.checks + excluded.checks
"""
COUNTS: Final = """
    SELECT * FROM (
        SELECT CASE WHEN $10 THEN -sum(checks) ELSE 0 END::bigint AS size, period, customer, user_id, feature, reason,
            mode, folded,
            coalesce(sum(checks) FILTER (WHERE outcome = 'allowed'), 0)::bigint AS allowed,
            coalesce(sum(checks) FILTER (WHERE outcome = 'denied'), 0)::bigint AS denied,
            coalesce(sum(checks) FILTER (WHERE outcome = 'would_deny'), 0)::bigint AS would_deny
        FROM (
            SELECT checks, outcome,
                CASE WHEN 'hour' = ANY($2::text[]) THEN hour
                    WHEN 'day' = ANY($2::text[]) THEN date_trunc('day', hour, 'UTC') ELSE 'epoch' END AS period,
                CASE WHEN 'customer' = ANY($2::text[]) THEN customer ELSE '' END AS customer,
                CASE WHEN 'user' = ANY($2::text[]) THEN user_id ELSE '' END AS user_id,
                CASE WHEN 'feature' = ANY($2::text[]) THEN feature ELSE '' END AS feature,
                CASE WHEN 'reason' = ANY($2::text[]) THEN reason ELSE '' END AS reason,
                CASE WHEN 'mode' = ANY($2::text[]) THEN mode ELSE '' END AS mode,
                CASE WHEN folded = 3 AND 'feature' = ANY($2::text[]) THEN 3
                    WHEN folded >= 2 AND 'customer' = ANY($2::text[]) THEN 2
                    WHEN folded >= 1 AND 'user' = ANY($2::text[]) THEN 1 ELSE 0 END AS folded
            FROM check_count
            WHERE workspace_id = $1
              AND ($3::text IS NULL OR customer = $3) AND ($4::text IS NULL OR user_id = $4)
              AND ($5::text IS NULL OR feature = $5) AND ($6::text IS NULL OR reason = $6)
              AND ($7::text IS NULL OR outcome = $7)
              AND ($8::timestamptz IS NULL OR hour >= $8) AND ($9::timestamptz IS NULL OR hour < $9)
        ) AS asked
        GROUP BY period, customer, user_id, feature, reason, mode, folded
    ) AS summed
    WHERE $12::bigint IS NULL OR (size, period, customer, user_id, feature, reason, mode, folded)
        > ($12, $13::timestamptz, $14::text, $15::text, $16::text, $17::text, $18::text, $19::integer)
    ORDER BY size, period, customer, user_id, feature, reason, mode, folded LIMIT $11
"""
RECORDS: Final = f"""
    SELECT {_RECORD} FROM check_record
    WHERE workspace_id = $1 AND ($2 = '' OR id < $2)
      AND ($4::text IS NULL OR customer = $4) AND ($5::text IS NULL OR user_id = $5)
      AND ($6::text IS NULL OR feature = $6) AND ($7::text IS NULL OR reason = $7)
      AND ($8::text IS NULL OR outcome = $8)
      AND ($9::timestamptz IS NULL OR asked_at >= $9) AND ($10::timestamptz IS NULL OR asked_at < $10)
    ORDER BY id DESC LIMIT $3
"""
LOST: Final = """
    SELECT coalesce(sum(lost_checks), 0)::bigint AS checks, coalesce(sum(lost_records), 0)::bigint AS records
    FROM check_flush WHERE workspace_id = $1
"""
FORGET_COUNTS: Final = """
    DELETE FROM check_count WHERE workspace_id = $1 AND hour < $2 AND ctid = ANY(ARRAY(
        SELECT ctid FROM check_count WHERE workspace_id = $1 AND hour < $2 ORDER BY hour LIMIT $3
    ))
"""
FORGET_RECORDS: Final = """
    DELETE FROM check_record WHERE workspace_id = $1 AND asked_at < $2 AND ctid = ANY(ARRAY(
        SELECT ctid FROM check_record WHERE workspace_id = $1 AND asked_at < $2 ORDER BY asked_at LIMIT $3
    ))
"""
FORGET_SAID: Final = """
    DELETE FROM said_use WHERE workspace_id = $1 AND said_at < $2 AND ctid = ANY(ARRAY(
        SELECT ctid FROM said_use WHERE workspace_id = $1 AND said_at < $2 LIMIT $3
    ))
"""
SAID: Final = "SELECT customer, feature, used FROM said_use WHERE workspace_id = $1 AND customer = ANY($2::text[])"
FORGET_COUNTERS: Final = """
    DELETE FROM check_flush WHERE workspace_id = $1 AND flushed_at < $2::timestamptz - make_interval(days => $3)
"""
_KEY: Final = ("customer", "user", "feature", "reason", "outcome", "mode", "folded")
_PLACES: Final = ("customer", "user_id", "feature", "reason", "mode")
_OTHERS: Final[dict[str, Any]] = {name: name for name in FOLDED if name}


class CheckReads(Reading):
    """Reading counts and records of checks."""

    async def check_counts(self, only: CheckFilter, groups: CheckGroups, page: Page) -> Sequence[CheckCountRow]:
        """Sum up the hours that begin within the filter's time, by its parts."""
        after = (None,) * 8 if not page.after else _place_of(page.after)
        rows = await self._rows(COUNTS, sorted(groups.by), *_values(only), groups.by_size, limit_of(page), *after)
        return [_count(row, groups) for row in rows]

    async def check_records(self, only: CheckFilter, page: Page) -> Sequence[CheckRecordRow]:
        """List recorded checks, newest first."""
        return [record_of(row) for row in await self._rows(RECORDS, page.after, limit_of(page), *_values(only))]

    async def checks_lost(self) -> ChecksLost:
        """Return what could not be counted or recorded."""
        row = await self._row(LOST)
        return ChecksLost(checks=0, records=0) if row is None else as_struct(row, ChecksLost)

    async def uses_said(self, customers: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return by customer and feature how much of a limit is used, as a check last said."""
        found: dict[str, dict[str, int]] = {}
        for row in await self._rows(SAID, list(customers)):
            found.setdefault(row["customer"], {})[row["feature"]] = row["used"]
        return found


class CheckWrites(CheckReads, Writing):
    """Adding counts and records, which are exempt from leaving events."""

    async def keep_checks(self, batch: CheckBatch) -> None:
        """Add a batch in one statement, unless its number came before.

        Counts and uses are added in the order of their keys, so that processes with the same never wait in a circle.
        """
        counts = sorted(batch.counts.items())
        keys = [key for key, _ in counts]
        columns = [[to_datetime(key.hour) for key in keys]]
        named = [[getattr(key, name) for key in keys] for name in _KEY]
        records = [[_column(row, name) for row in batch.records] for name in _RECORD.split(", ")]
        said = [(*key, one.used, to_datetime(one.said_at)) for key, one in sorted(batch.said.items())]
        await self._execute(
            KEEP,
            batch.counter,
            batch.number,
            batch.lost_checks,
            batch.lost_records,
            to_datetime(self.time.wall),
            *columns,
            *named,
            [times for _, times in counts],
            *records,
            *([one[place] for one in said] for place in range(4)),
        )

    async def forget_checks(self, counts_before: datetime, records_before: datetime, limit: int) -> int:
        """Delete some of what is older than two business instants, and processes that are long gone."""
        counts = await self._execute(FORGET_COUNTS, counts_before, limit)
        records = await self._execute(FORGET_RECORDS, records_before, limit)
        said = await self._execute(FORGET_SAID, counts_before, limit)
        await self._execute(FORGET_COUNTERS, to_datetime(self.time.wall), FORGOTTEN_DAYS)
        return max(counts, records, said)


def _values(only: CheckFilter) -> tuple[object, ...]:
    return only.customer, only.user, only.feature, only.reason, only.outcome, only.since, only.until


def _column(row: CheckRecordRow, name: str) -> Any:
    if name in ("question", "left_out"):
        return msgspec.json.encode(getattr(row, name)).decode()
    return row.user if name == "user_id" else getattr(row, name)


def record_of(row: asyncpg.Record) -> CheckRecordRow:
    """Return a check on record as it was kept."""
    parts = dict(row)
    user, question = parts.pop("user_id"), msgspec.json.decode(parts.pop("question"), type=Question)
    return as_struct(parts, CheckRecordRow, user=user, question=question)


def _count(row: asyncpg.Record, groups: CheckGroups) -> CheckCountRow:
    """Return a row as it is told: what is not told apart as None, what gave way under one name."""
    folded = int(row["folded"])
    shown = {
        name: OTHERS if folded >= level else row[column] or None
        for level, name, column in ((1, "user", "user_id"), (2, "customer", "customer"), (3, "feature", "feature"))
    }
    place = (row["size"], to_instant(row["period"]), *(row[name] for name in _PLACES), folded)
    return CheckCountRow(
        begins_at=row["period"] if groups.by & {"hour", "day"} else None,
        customer=shown["customer"] if "customer" in groups.by else None,
        user=shown["user"] if "user" in groups.by else None,
        feature=shown["feature"] if "feature" in groups.by else None,
        reason=row["reason"] or None,
        mode=row["mode"] or None,
        others=_OTHERS.get(FOLDED[folded]),
        allowed=row["allowed"],
        denied=row["denied"],
        would_deny=row["would_deny"],
        place=msgspec.json.encode(place).decode(),
    )


def _place_of(text: str) -> tuple[object, ...]:
    """Return where to go on; raises Invalid for what is no place of a count."""
    try:
        size, period, *names, folded = msgspec.json.decode(text, type=tuple[int, int, str, str, str, str, str, int])
        return size, to_datetime(period), *names, folded
    except (msgspec.MsgspecError, ValueError, OverflowError):
        raise Invalid(f"cursor {text!r} is not one of this list", advice="use the cursor of the page before") from None
