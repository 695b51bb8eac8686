"""Comparing what usage is summed up to with the single facts, as far as those are still there."""

from typing import Final, Literal

from licet.core.instant import Instant, to_instant
from licet.store.session import Reading

# Sums of what was dropped with its month have nothing to be compared with. One customer at a time: so that what the
# database holds at once is bounded.
NEXT: Final = """
    SELECT least(
        (SELECT min(f.customer) FROM usage_fact f WHERE f.workspace_id = $1 AND f.customer > $2),
        (SELECT min(h.customer) FROM usage_hour h WHERE h.workspace_id = $1 AND h.customer > $2),
        (SELECT min(d.customer) FROM usage_day d WHERE d.workspace_id = $1 AND d.customer > $2)
    ) AS customer
"""
_DIFFERS: Final = """
    WITH seal AS (
        SELECT s.sealed, s.dropped_until FROM usage_seal s WHERE s.workspace_id = $1
    ), told AS (
        SELECT m.key AS meter, date_trunc('{unit}', f.effective_at, 'UTC') AS begins,
            count(*) FILTER (WHERE f.kind <> 'refund') AS events,
            sum(CASE f.kind WHEN 'refund' THEN -m.value::numeric ELSE m.value::numeric END) AS quantity,
            max(m.value::numeric) FILTER (WHERE f.kind <> 'refund') AS highest
        FROM usage_fact f CROSS JOIN seal CROSS JOIN LATERAL json_each_text(f.doc -> 'metered') AS m
        WHERE f.workspace_id = $1 AND f.customer = $2 AND f.serial <= seal.sealed
            AND f.kind IN ('consume', 'report', 'settle', 'refund')
        GROUP BY 1, 2
    ), kept AS (
        SELECT u.meter, u.{unit} AS begins, sum(u.events) AS events, sum(u.quantity) AS quantity,
            max(u.highest) AS highest
        FROM usage_{unit} u WHERE u.workspace_id = $1 AND u.customer = $2 GROUP BY 1, 2
    )
    SELECT meter, begins FROM told FULL JOIN kept USING (meter, begins), seal
    WHERE (seal.dropped_until IS NULL OR begins > seal.dropped_until)
        AND (told.events, told.quantity, told.highest) IS DISTINCT FROM (kept.events, kept.quantity, kept.highest)
    ORDER BY begins, meter LIMIT 1
"""
DIFFERS: Final = {unit: _DIFFERS.format(unit=unit) for unit in ("hour", "day")}


class SumReads(Reading):
    """Reading what sums and facts differ in."""

    async def sums_differ(self, unit: Literal["hour", "day"]) -> tuple[str, str, Instant] | None:
        """Return customer, meter and begin of the first sum by hours or days that its facts do not come to, if any."""
        customer = ""
        while True:
            row = await self._row(NEXT, customer)
            if row is None or row["customer"] is None:
                return None
            customer = row["customer"]
            found = await self._row(DIFFERS[unit], customer)
            if found is not None:
                return customer, found["meter"], to_instant(found["begins"])
