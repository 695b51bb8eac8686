"""Comparing what usage is summed up to with the single facts, as far as those are still there, and days with hours."""

from datetime import datetime
from typing import Final, Literal, NamedTuple

from licet.core.instant import Instant, to_instant
from licet.store.session import Reading

SumKind = Literal["hour", "day", "value", "hours"]
"""Sums by hour or day beside their facts, different values beside theirs, and days beside their hours."""

# Sums of what was dropped with its month have nothing to be compared with but each other. One customer at a time: so
# that what the database holds at once is bounded.
NEXT: Final = """
    SELECT least(
        (SELECT min(f.customer) FROM usage_fact f WHERE f.workspace_id = $1 AND f.customer > $2),
        (SELECT min(h.customer) FROM usage_hour h WHERE h.workspace_id = $1 AND h.customer > $2),
        (SELECT min(d.customer) FROM usage_day d WHERE d.workspace_id = $1 AND d.customer > $2),
        (SELECT min(v.customer) FROM usage_value v WHERE v.workspace_id = $1 AND v.customer > $2)
    ) AS customer
"""
# What was taken back as if it had never been told tells no level; of such a meter only how many and how much stay.
_FACTS: Final = """
    facts AS (
        SELECT f.id, f.kind, f.effective_at, f.doc FROM usage_fact f
        WHERE f.workspace_id = $1 AND f.customer = $2 AND f.serial <= $3
            AND f.kind IN ('consume', 'report', 'settle', 'return', 'refund')
    ), undone AS (
        SELECT f.doc ->> 'of' AS id, m.meter FROM facts f
            CROSS JOIN LATERAL jsonb_array_elements_text((f.doc -> 'undoes')::jsonb) AS m (meter)
        WHERE f.kind = 'refund' AND f.doc -> 'undoes' IS NOT NULL
    )"""
_TOLD: Final = "told.events, told.quantity, told.highest, told.latest, told.latest_at, told.latest_id"
_KEPT: Final = "kept.events, kept.quantity, kept.highest, kept.latest, kept.latest_at, kept.latest_id"
_ROW: Final = "u.events, u.quantity, u.highest, u.latest, u.latest_at, u.latest_id"
_DIFFERS: Final = f"""
    WITH {_FACTS}, told AS (
        SELECT m.key AS meter, date_trunc('{{unit}}', f.effective_at, 'UTC') AS begins,
            coalesce((f.doc -> 'dimensions')::jsonb, jsonb_build_object()) AS named, true AS fits,
            count(*) FILTER (WHERE f.kind <> 'refund') AS events,
            sum(CASE f.kind WHEN 'refund' THEN -m.value::numeric ELSE m.value::numeric END) AS quantity,
            max(m.value::bigint) FILTER (WHERE s.stands) AS highest,
            (array_agg(m.value::bigint ORDER BY f.effective_at DESC, f.id DESC) FILTER (WHERE s.stands))[1] AS latest,
            max(f.effective_at) FILTER (WHERE s.stands) AS latest_at,
            (array_agg(f.id ORDER BY f.effective_at DESC, f.id DESC) FILTER (WHERE s.stands))[1] AS latest_id
        FROM facts f CROSS JOIN LATERAL json_each_text(f.doc -> 'metered') AS m
            LEFT JOIN undone u ON u.id = encode(f.id, 'hex') AND u.meter = m.key
            CROSS JOIN LATERAL (SELECT f.kind <> 'refund' AND u.id IS NULL AS stands) s
        GROUP BY 1, 2, 3
    ), kept AS (
        SELECT u.meter, u.{{unit}} AS begins, u.dimensions::jsonb AS named,
            u.split = substring(sha256(convert_to(u.dimensions::text, 'UTF8')) for 16) AS fits,
            u.events, u.quantity, u.highest, u.latest, u.latest_at, nullif(u.latest_id, '') AS latest_id
        FROM usage_{{unit}} u WHERE u.workspace_id = $1 AND u.customer = $2
    )
    SELECT meter, begins FROM told FULL JOIN kept USING (meter, begins, named)
    WHERE ($4::timestamptz IS NULL OR begins > $4)
        AND (told.fits, {_TOLD})
            IS DISTINCT FROM (kept.fits, {_KEPT})
    ORDER BY begins, meter LIMIT 1
"""
_VALUES: Final = f"""
    WITH {_FACTS}, told AS (
        SELECT v.key AS meter, date_trunc('hour', f.effective_at, 'UTC') AS begins,
            substring(sha256(convert_to(v.value, 'UTF8')) for 16) AS value,
            min(f.effective_at) AS first_at, max(f.effective_at) AS last_at
        FROM facts f CROSS JOIN LATERAL json_each_text(f.doc -> 'values') AS v
            LEFT JOIN undone u ON u.id = encode(f.id, 'hex') AND u.meter = v.key
        WHERE f.kind <> 'refund' AND u.id IS NULL GROUP BY 1, 2, 3
    ), kept AS (
        SELECT u.meter, u.hour AS begins, u.value, u.first_at, u.last_at
        FROM usage_value u WHERE u.workspace_id = $1 AND u.customer = $2 AND u.last_at > '-infinity'
    )
    SELECT meter, begins FROM told FULL JOIN kept USING (meter, begins, value)
    WHERE ($4::timestamptz IS NULL OR begins > $4)
        AND (told.first_at, told.last_at) IS DISTINCT FROM (kept.first_at, kept.last_at)
    ORDER BY begins, meter LIMIT 1
"""
# Facts may be gone: days are beside their hours for ever.
_HOURS: Final = f"""
    WITH told AS (
        SELECT u.meter, date_trunc('day', u.hour, 'UTC') AS begins, u.split, sum(u.events)::bigint AS events,
            sum(u.quantity) AS quantity, max(u.highest) AS highest,
            (array_agg(u.latest ORDER BY u.latest_at DESC NULLS LAST, u.latest_id DESC))[1] AS latest,
            max(u.latest_at) AS latest_at,
            (array_agg(u.latest_id ORDER BY u.latest_at DESC NULLS LAST, u.latest_id DESC))[1] AS latest_id
        FROM usage_hour u WHERE u.workspace_id = $1 AND u.customer = $2 GROUP BY 1, 2, 3
    ), kept AS (
        SELECT u.meter, u.day AS begins, u.split, {_ROW}
        FROM usage_day u WHERE u.workspace_id = $1 AND u.customer = $2
    )
    SELECT meter, begins FROM told FULL JOIN kept USING (meter, begins, split)
    WHERE $3::bigint IS NOT NULL AND ($4::timestamptz IS NULL OR begins <= $4)
        AND ({_TOLD})
            IS DISTINCT FROM ({_KEPT})
    ORDER BY begins, meter LIMIT 1
"""
DIFFERS: Final[dict[SumKind, str]] = {
    "hour": _DIFFERS.format(unit="hour"),
    "day": _DIFFERS.format(unit="day"),
    "value": _VALUES,
    "hours": _HOURS,
}
# What is not sealed yet is promised by its numbers alone: they have no gaps.
STATE: Final = """
    SELECT coalesce(t.serial, 0) AS tip, coalesce(s.sealed, 0) AS sealed, coalesce(s.number, 0) AS number, s.root,
        coalesce(s.forgotten, 0) AS forgotten, coalesce(s.dropped, 0) AS dropped, s.dropped_until,
        f.first, f.wall_at, f.recorded_at,
        greatest(
            (SELECT max(k.serial) FROM usage_key k WHERE k.workspace_id = $1),
            (SELECT max(b.serial) FROM balance b WHERE b.workspace_id = $1),
            (SELECT max(n.serial) FROM usage_fact n WHERE n.workspace_id = $1),
            0
        ) AS known
    FROM (SELECT) one
        LEFT JOIN usage_tip t ON t.workspace_id = $1
        LEFT JOIN usage_seal s ON s.workspace_id = $1
        LEFT JOIN LATERAL (
            SELECT n.serial AS first, n.wall_at, n.recorded_at FROM usage_fact n
            WHERE n.workspace_id = $1 ORDER BY n.serial LIMIT 1
        ) f ON true
"""
GAP: Final = """
    SELECT min(missing) AS first FROM (
        SELECT n.serial + 1 AS missing FROM usage_fact n
        WHERE n.workspace_id = $1 AND n.serial > $2 AND n.serial < $3
            AND NOT EXISTS (SELECT FROM usage_fact o WHERE o.workspace_id = $1 AND o.serial = n.serial + 1)
        UNION ALL
        SELECT $2 + 1 WHERE $2 < $3
            AND NOT EXISTS (SELECT FROM usage_fact o WHERE o.workspace_id = $1 AND o.serial = $2 + 1)
    ) AS gaps
"""


class UsageState(NamedTuple):
    """Where a workspace's usage stands, as the database says."""

    tip: int
    sealed: int
    number: int
    root: bytes | None
    forgotten: int
    dropped: int
    """The last serial that was dropped with its month; 0: none."""
    dropped_until: Instant | None
    first: int | None
    """The first serial that is there."""
    first_wall: Instant | None
    first_recorded: Instant | None
    known: int
    """The last serial that facts, keys or balances know of."""


class SumReads(Reading):
    """Reading where usage stands, and what sums and facts differ in."""

    async def usage_state(self) -> UsageState:
        """Return where usage stands."""
        row = await self._row(STATE)
        if row is None:
            raise RuntimeError("one row is always there")
        at = {name: None if row[name] is None else to_instant(row[name]) for name in _TIMES}
        return UsageState(
            row["tip"],
            row["sealed"],
            row["number"],
            row["root"],
            row["forgotten"],
            row["dropped"],
            at["dropped_until"],
            row["first"],
            at["wall_at"],
            at["recorded_at"],
            row["known"],
        )

    async def first_missing(self, after: int, tip: int) -> int | None:
        """Return the first serial in ``(after, tip]`` of which there is no fact."""
        row = await self._row(GAP, after, tip)
        return None if row is None or row["first"] is None or row["first"] > tip else int(row["first"])

    async def sums_differ(self, kind: SumKind, sealed: int, border: datetime | None) -> tuple[str, str, Instant] | None:
        """Return customer, meter and begin of the first sum that is not what sealed facts (or hours) come to, if any.

        Facts of before ``border`` are not all there: what begins by then is left out, and of
        ``hours`` only that is looked at.
        """
        customer = ""
        while True:
            row = await self._row(NEXT, customer)
            if row is None or row["customer"] is None:
                return None
            customer = row["customer"]
            found = await self._row(DIFFERS[kind], customer, sealed, border)
            if found is not None:
                return customer, found["meter"], to_instant(found["begins"])


_TIMES: Final = ("dropped_until", "wall_at", "recorded_at")
