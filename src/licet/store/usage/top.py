"""Reading what is used most just now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from licet.services.usage.top_ports import RefusedRow, UsedRow
from licet.store.session import Reading, as_struct

# Only the newest facts are looked at, by their serials, so that it takes no longer where more was used. What is owned
# counts when it is told of, and as one request each time.
USED: Final = """
    SELECT f.customer, b.key AS feature, count(*) AS requests, sum(b.value::numeric) AS quantity,
        sum(count(*) FILTER (WHERE b.place = 1)) OVER () AS total
    FROM usage_fact f CROSS JOIN LATERAL json_each_text(f.doc -> 'burns') WITH ORDINALITY AS b (key, value, place)
    WHERE f.workspace_id = $1 AND f.wall_at >= $3 AND ($2::text IS NULL OR f.customer = $2)
        AND f.serial > coalesce((SELECT u.serial FROM usage_tip u WHERE u.workspace_id = $1), 0) - $5::bigint
        AND (f.kind IN ('consume', 'reserve', 'report') OR (f.kind = 'return' AND f.doc -> 'asked' IS NOT NULL))
    GROUP BY f.customer, b.key ORDER BY requests DESC, f.customer, b.key LIMIT $4
"""
REFUSED: Final = """
    SELECT r.customer, r.feature, count(*) AS refused FROM usage_refusal r
    WHERE r.workspace_id = $1 AND r.refused_at >= $3 AND ($2::text IS NULL OR r.customer = $2)
    GROUP BY r.customer, r.feature ORDER BY refused DESC, r.customer, r.feature LIMIT $4
"""


class TopReads(Reading):
    """Reading what happened just now."""

    async def used_most(self, customer: str | None, since: datetime, limit: int, newest: int) -> Sequence[UsedRow]:
        """Return what was recorded from a real time on, of the ``newest`` facts, by customer and feature."""
        rows = await self._rows(USED, customer, since, limit, newest)
        return [as_struct(row, UsedRow, quantity=int(row["quantity"]), total=int(row["total"])) for row in rows]

    async def refused_most(self, customer: str | None, since: datetime, limit: int) -> Sequence[RefusedRow]:
        """Return what was refused from a business time on, by customer and feature, most first."""
        return [as_struct(row, RefusedRow) for row in await self._rows(REFUSED, customer, since, limit)]
