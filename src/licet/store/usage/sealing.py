"""Sealing usage: the next facts become a segment of the Merkle chain, are summed up, and leave one event.

A leaf is the hash of a fact's row as it is stored, so that whoever has rows and events can check one by the other.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from licet.core.instant import BEGINNING, DAY, Instant, format_instant, to_datetime, to_instant
from licet.core.usage.facts import Fact
from licet.seal.chain import leaf_hash
from licet.seal.merkle import tree_root
from licet.services.rows import Draft
from licet.services.usage.ports import SegmentRow
from licet.store.usage.compare import SumReads
from licet.store.usage.leases import FORGET as FORGET_LEASES
from licet.store.usage.rows import fact_of
from licet.store.usage.tally import Place, Sum, columns_of, count_values, days_of, sum_up
from licet.store.usage.undoing import UndoneReads, UndoneWrites

KEPT_DAYS: Final = 35
"""For so long (real time) repetitions of requests and events are known at least."""
THINNED_DAYS: Final = 7
"""For so long after that checkpoints of a day are looked for of which one is enough."""
_AT_ONCE: Final = 250
"""Facts that are hashed or summed up before requests get their turn."""
_GENESIS: Final = b"licet.usage.v1\0"

LOCK: Final = """
    SELECT s.sealed, s.number, s.root, s.forgotten, s.dropped_until, t.serial
    FROM usage_seal s JOIN usage_tip t USING (workspace_id)
    WHERE s.workspace_id = $1 FOR NO KEY UPDATE OF s SKIP LOCKED
"""
# A lock writes to the log of the database: whoever finds nothing to do leaves none.
LOOK: Final = """
    SELECT t.serial - coalesce(s.sealed, 0) FROM usage_tip t LEFT JOIN usage_seal s USING (workspace_id)
    WHERE t.workspace_id = $1
"""
BEGIN: Final = "INSERT INTO usage_seal (workspace_id) VALUES ($1) ON CONFLICT (workspace_id) DO NOTHING"
ROWS: Final = """
    SELECT f.serial, f.recorded_at, f.wall_at, f.effective_at, f.id, f.kind, f.customer, f.doc, f.source
    FROM usage_fact f WHERE f.workspace_id = $1 AND f.serial > $2 AND f.serial <= $3 ORDER BY f.serial
"""
SEGMENT: Final = """
    WITH moved AS (
        UPDATE usage_seal SET sealed = $3::bigint + $4::bigint - 1, number = $2, root = $5 WHERE workspace_id = $1
    )
    INSERT INTO usage_segment (workspace_id, number, first, count, root, previous, sealed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
HOURS: Final = """
    INSERT INTO usage_hour AS u (workspace_id, customer, meter, hour, split, dimensions, events, quantity, highest,
        latest, latest_at, latest_id)
    SELECT $1, given.customer, given.meter, given.hour, given.split, given.dimensions, given.events,
        given.quantity::numeric, given.highest, given.latest, given.latest_at, given.latest_id
    FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::json[], $7::bigint[], $8::text[],
        $9::bigint[], $10::bigint[], $11::timestamptz[], $12::bytea[])
        AS given (customer, meter, hour, split, dimensions, events, quantity, highest, latest, latest_at, latest_id)
    ON CONFLICT (workspace_id, customer, meter, hour, split) DO UPDATE
    SET events = u.events + excluded.events, quantity = u.quantity + excluded.quantity,
        highest = greatest(u.highest, excluded.highest),
        latest = CASE WHEN u.latest_at IS NULL OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest ELSE u.latest END,
        latest_at = CASE WHEN u.latest_at IS NULL
            OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest_at ELSE u.latest_at END,
        latest_id = CASE WHEN u.latest_at IS NULL
            OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest_id ELSE u.latest_id END
"""
DAYS: Final = """
    INSERT INTO usage_day AS u (workspace_id, customer, meter, day, split, dimensions, events, quantity, highest,
        latest, latest_at, latest_id)
    SELECT $1, given.customer, given.meter, given.day, given.split, given.dimensions, given.events,
        given.quantity::numeric, given.highest, given.latest, given.latest_at, given.latest_id
    FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::json[], $7::bigint[], $8::text[],
        $9::bigint[], $10::bigint[], $11::timestamptz[], $12::bytea[])
        AS given (customer, meter, day, split, dimensions, events, quantity, highest, latest, latest_at, latest_id)
    ON CONFLICT (workspace_id, customer, meter, day, split) DO UPDATE
    SET events = u.events + excluded.events, quantity = u.quantity + excluded.quantity,
        highest = greatest(u.highest, excluded.highest),
        latest = CASE WHEN u.latest_at IS NULL OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest ELSE u.latest END,
        latest_at = CASE WHEN u.latest_at IS NULL
            OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest_at ELSE u.latest_at END,
        latest_id = CASE WHEN u.latest_at IS NULL
            OR (excluded.latest_at, excluded.latest_id) > (u.latest_at, u.latest_id)
            THEN excluded.latest_id ELSE u.latest_id END
"""
VALUES: Final = """
    INSERT INTO usage_value AS u (workspace_id, customer, meter, hour, value, first_at, last_at)
    SELECT $1, given.* FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::timestamptz[],
        $7::timestamptz[]) AS given
    ON CONFLICT (workspace_id, customer, meter, hour, value) DO UPDATE
    SET first_at = least(u.first_at, excluded.first_at), last_at = greatest(u.last_at, excluded.last_at)
"""
OLD: Final = """
    SELECT f.id, f.serial, f.wall_at FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.serial > $2 AND f.serial <= $3 ORDER BY f.serial LIMIT $4
"""
FORGET: Final = """
    WITH moved AS (UPDATE usage_seal SET forgotten = $3 WHERE workspace_id = $1)
    DELETE FROM usage_key k WHERE k.workspace_id = $1 AND k.id = ANY ($2::bytea[])
"""
FORGET_REFUSALS: Final = """
    DELETE FROM usage_refusal r WHERE r.workspace_id = $1 AND r.id IN (
        SELECT o.id FROM usage_refusal o WHERE o.workspace_id = $1 AND o.refused_at < $2 ORDER BY o.refused_at LIMIT $3
    )
"""


FORGET_RESERVATIONS: Final = """
    DELETE FROM reservation r WHERE r.workspace_id = $1 AND r.id IN (
        SELECT o.id FROM reservation o WHERE o.workspace_id = $1 AND o.closed AND o.until < $2
        ORDER BY o.until LIMIT $3
    )
"""
_ITS: Final = "n.workspace_id = $1 AND n.customer = o.customer AND n.feature = o.feature AND n.holder = o.holder"
# Of a day that is long over the last one stays.
THIN_CHECKPOINTS: Final = f"""
    DELETE FROM balance_checkpoint c WHERE c.workspace_id = $1 AND (c.customer, c.feature, c.holder, c.as_of) IN (
        SELECT o.customer, o.feature, o.holder, o.as_of FROM balance_checkpoint o
        WHERE o.workspace_id = $1 AND o.as_of >= $2 AND o.as_of < $3 AND EXISTS (
            SELECT FROM balance_checkpoint n WHERE {_ITS} AND n.as_of > o.as_of
                AND n.as_of < date_trunc('day', o.as_of, 'UTC') + interval '1 day'
        ) LIMIT $4
    )
"""
# The last one of before the border stays: what is gone by now is in it.
FORGET_CHECKPOINTS: Final = f"""
    DELETE FROM balance_checkpoint c WHERE c.workspace_id = $1 AND (c.customer, c.feature, c.holder, c.as_of) IN (
        SELECT o.customer, o.feature, o.holder, o.as_of FROM balance_checkpoint o
        WHERE o.workspace_id = $1 AND o.as_of < $2 AND EXISTS (
            SELECT FROM balance_checkpoint n WHERE {_ITS} AND n.as_of > o.as_of AND n.as_of <= $2
        ) LIMIT $3
    )
"""


class Leaf(Struct, frozen=True, kw_only=True):
    """A fact as it is hashed: every column of its row, in the order of canonical JSON. Texts are as they are stored."""

    customer: str
    doc: str
    effective_at: str
    id: str
    kind: str
    recorded_at: str
    serial: str
    source: str
    wall_at: str


@lru_cache(maxsize=64)
def _told(at: datetime) -> str:
    """Return a time as it is hashed: the facts of one posting have the same times."""
    return format_instant(to_instant(at))


def leaf_of(row: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of a fact's row (RFC 9162 section 2.1.1, over its canonical JSON)."""
    leaf = Leaf(
        customer=row["customer"],
        doc=row["doc"],
        effective_at=_told(row["effective_at"]),
        id=row["id"].hex(),
        kind=row["kind"],
        recorded_at=_told(row["recorded_at"]),
        serial=str(row["serial"]),
        source=row["source"],
        wall_at=_told(row["wall_at"]),
    )
    return leaf_hash(msgspec.json.encode(leaf))


def root_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the root over the leaves of rows, of which there must be one at least."""
    return tree_root([leaf_of(row) for row in rows])


def first_previous(workspace: str) -> bytes:
    """Return what stands as the root before a workspace's first segment."""
    return hashlib.sha256(_GENESIS + workspace.encode()).digest()


class SealingReads(SumReads, UndoneReads):
    """Reading facts as they are hashed."""

    async def sealed_rows(self, first: int, count: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of facts by serial, as far as they are there."""
        return await self._rows(ROWS, first - 1, first + count - 1)


class SealingWrites(SealingReads, UndoneWrites):
    """Sealing, and forgetting what is no longer needed."""

    async def seal_usage(self, most: int, least: int = 1) -> tuple[SegmentRow, Draft] | None:
        """Seal at most so many facts and sum them up; returns the segment and the event to record, if there is any.

        None also where another transaction seals just now. Serials up to the tip are all committed, because whoever
        takes one holds the tip until the commit.
        """
        waiting = await self._row(LOOK)
        if waiting is None or waiting[0] < least:
            return None
        state = await self._seal_state()
        if state is None or state["serial"] - state["sealed"] < least:
            return None
        first, count = state["sealed"] + 1, min(most, state["serial"] - state["sealed"])
        rows = await self.sealed_rows(first, count)
        if len(rows) != count:
            raise RuntimeError(f"facts {first} to {first + count - 1} of {self._ws!r} are not all there: {len(rows)}")
        leaves: list[bytes] = []
        for at in range(0, count, _AT_ONCE):
            leaves += map(leaf_of, rows[at : at + _AT_ONCE])
            await asyncio.sleep(0)
        segment = SegmentRow(
            number=state["number"] + 1,
            first=first,
            count=count,
            root=tree_root(leaves),
            previous=first_previous(self._ws) if state["root"] is None else state["root"],
            sealed_at=to_datetime(self.time.business),
        )
        self._write(f"usage_segment/{segment.number}")
        await self._execute(SEGMENT, segment.number, first, count, segment.root, segment.previous, segment.sealed_at)
        await self._sum_up(rows, first + count - 1, state["dropped_until"])
        return segment, sealed_event(segment)

    async def forget_usage(self, keys: datetime, refusals: datetime, most: int) -> int:
        """Delete keys of sealed facts recorded before a real time (35 days ago at least), and refusals before another.

        With keys of before a time go leases whose owners had the last word before, with what they drew; none of which
        anything is still held. Returns how many rows were deleted of the kind of which there were most.
        """
        keys = min(keys, to_datetime(self.time.wall) - timedelta(days=KEPT_DAYS))
        forgotten = 0
        state = await self._seal_state()
        if state is not None:
            old = []
            for row in await self._rows(OLD, state["forgotten"], state["sealed"], most):
                if row["wall_at"] >= keys:
                    break
                old.append(row)
            if old:
                forgotten = await self._execute(FORGET, [row["id"] for row in old], old[-1]["serial"])
                forgotten = max(forgotten, len(old))
        leases = await self._execute(FORGET_LEASES, keys, most)
        return max(forgotten, leases, await self._execute(FORGET_REFUSALS, refusals, most))

    async def forget_balances(self, most: int, facts: Instant | None) -> int:
        """Delete reservations that ended long ago and checkpoints that nobody needs: most of those of a day that is
        long over, and all but the last of before ``facts`` (real time; on the business clock as much earlier).

        Returns how many rows were deleted of the kind of which there were most.
        """
        end = self.time.business - KEPT_DAYS * DAY
        times = to_datetime(end - THINNED_DAYS * DAY), to_datetime(end)
        gone = [
            await self._execute(FORGET_RESERVATIONS, times[1], most),
            await self._execute(THIN_CHECKPOINTS, *times, most),
        ]
        if facts is not None:
            border = self.time.business - max(self.time.wall - facts, KEPT_DAYS * DAY)
            gone.append(await self._execute(FORGET_CHECKPOINTS, to_datetime(border), most))
        return max(gone)

    async def _seal_state(self) -> Mapping[str, Any] | None:
        state = await self._row(LOCK)
        if state is None and await self._execute(BEGIN):
            state = await self._row(LOCK)
        return state

    async def _sum_up(self, rows: Sequence[Mapping[str, Any]], last: int, dropped: datetime | None) -> None:
        hours: dict[Place, Sum] = {}
        counted: dict[Place, tuple[Instant, Instant]] = {}
        undoing: list[Fact] = []
        for at in range(0, len(rows), _AT_ONCE):
            facts = [fact_of(row) for row in rows[at : at + _AT_ONCE]]
            undoing += (one for one in facts if one.undoes)
            sum_up(hours, facts, "hour")
            count_values(counted, facts)
            await asyncio.sleep(0)
        if hours:
            await self._execute(HOURS, *columns_of(hours))
            await self._execute(DAYS, *columns_of(days_of(hours)))
        values = sorted(counted.items())
        if values:
            await self._execute(
                VALUES,
                [key[0] for key, _ in values],
                [key[1] for key, _ in values],
                [to_datetime(key[2]) for key, _ in values],
                [key[3] for key, _ in values],
                *_times([times for _, times in values]),
            )
        await self._undo(undoing, last, BEGINNING if dropped is None else to_instant(dropped))


def sealed_event(segment: SegmentRow) -> Draft:
    """Return the event that says what was sealed."""
    after = {
        "number": segment.number,
        "first": segment.first,
        "count": segment.count,
        "root": segment.root.hex(),
        "previous": segment.previous.hex(),
    }
    return Draft(type="usage.sealed", subject=f"usage/{segment.number}", after=after)


def _times(spans: Sequence[tuple[Instant, Instant]]) -> tuple[list[datetime], list[datetime]]:
    return [to_datetime(first) for first, _ in spans], [to_datetime(last) for _, last in spans]
