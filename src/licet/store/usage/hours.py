"""Reading summed-up usage: what is sealed from its roll-ups, what is not yet from the facts themselves."""

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.usage.facts import Fact
from licet.services.errors import Invalid, Unavailable
from licet.services.rows import Page
from licet.services.usage.ports import UsageFilter, UsageHour
from licet.store.session import limit_of
from licet.store.usage.rows import fact_of
from licet.store.usage.tally import (
    Place,
    Sum,
    Unit,
    begin_of,
    hour_of,
    merged,
    split_of,
    sums_of,
    value_hash,
    values_of,
)
from licet.store.usage.undoing import UndoneReads, undone_of

_SUM: Final = "dimensions, events, quantity, highest, latest, latest_at, latest_id"
HOURS: Final = f"""
    SELECT customer, meter, hour AS begins_at, split, {_SUM} FROM usage_hour
    WHERE workspace_id = $1 AND ($2::text IS NULL OR customer = $2) AND ($3::text IS NULL OR meter = $3)
        AND ($4::timestamptz IS NULL OR hour >= $4) AND ($5::timestamptz IS NULL OR hour < $5)
        AND ($6::text IS NULL OR (customer, meter, hour, split) > ($6, $7::text, $8::timestamptz, $9::bytea))
    ORDER BY customer, meter, hour, split LIMIT $10
"""
DAYS: Final = f"""
    SELECT customer, meter, day AS begins_at, split, {_SUM} FROM usage_day
    WHERE workspace_id = $1 AND ($2::text IS NULL OR customer = $2) AND ($3::text IS NULL OR meter = $3)
        AND ($4::timestamptz IS NULL OR day >= $4) AND ($5::timestamptz IS NULL OR day < $5)
        AND ($6::text IS NULL OR (customer, meter, day, split) > ($6, $7::text, $8::timestamptz, $9::bytea))
    ORDER BY customer, meter, day, split LIMIT $10
"""
TAIL: Final = """
    SELECT f.effective_at, f.id, f.kind, f.customer, f.doc FROM usage_fact f
    WHERE f.workspace_id = $1
        AND f.serial > coalesce((SELECT s.sealed FROM usage_seal s WHERE s.workspace_id = $1), 0)
        AND ($2::text IS NULL OR f.customer = $2) AND ($3::text IS NULL OR f.doc #> ARRAY['metered', $3] IS NOT NULL)
    LIMIT $4
"""
MAX_TAIL: Final = 50_000
"""Facts that are not sealed yet of which an answer is made; beyond, sealing is behind and has to catch up first."""
_AT_ONCE: Final = 500
# An hour in which a period begins or ends is told by the first and the last time of a value within it.
UNIQUE: Final = """
    SELECT count(*) AS found FROM (
        SELECT u.value FROM usage_value u
        WHERE u.workspace_id = $1 AND u.customer = $2 AND u.meter = $3 AND u.hour >= $4 AND u.hour < $6
            AND u.last_at >= $5 AND u.first_at < $6 AND u.value <> ALL ($8::bytea[])
        UNION SELECT given.value FROM unnest($7::bytea[]) AS given (value)
    ) AS counted
"""


class HourReads(UndoneReads):
    """Reading what usage sums up to."""

    async def usage_hours(self, only: UsageFilter, page: Page, *, days: bool = False) -> Sequence[UsageHour]:
        """List usage by hours (``days``: by days) that begin in the filter's time, by (customer, meter, hour, split).

        What is not sealed yet is included. ``after`` is the ``place`` of the row after which to go on.
        """
        limit, after = limit_of(page), _place_of(page.after)
        about = (only.customer, only.meter, only.since, only.until)
        place = (None,) * 4 if after is None else (after[0], after[1], to_datetime(after[2]), after[3])
        rows = await self._rows(DAYS if days else HOURS, *about, *place, limit)
        found = dict(_sum_of(row) for row in rows)
        last = max(found) if len(rows) == limit else None
        unit: Unit = "day" if days else "hour"
        facts = await self._tail(only.customer, only.meter)
        for where, tail in sums_of(facts, unit).items():
            if (after is not None and where <= after) or not _within(where, only):
                continue
            # One that lies behind a full page of sealed ones may have a sealed part there: it belongs to a later page.
            if where in found:
                found[where] = merged(found[where], tail)
            elif last is None or where < last:
                found[where] = tail
        for one in undone_of(facts):
            summed = found.get(one.place(unit))
            if summed is not None:
                rest = await self.rest_of(one, unit)
                summed.highest, summed.latest = rest.highest, rest.latest
                summed.latest_at, summed.latest_id = rest.latest_at, rest.latest_id
        return [hour_of(where, found[where]) for where in sorted(found)[:limit]]

    async def unique_values(self, customer: str, meter: str, since: Instant, until: Instant) -> int:
        """Return how many different values a meter counted in ``[since, until)``, sealed or not.

        Exact unless both ends lie in one hour of UTC.
        """
        tail = [one for one in await self._tail(customer, None) if since <= one.effective < until]
        gone: set[bytes] = set()
        for one in undone_of(tail):
            if one.meter == meter and one.value is not None and await self.value_within(one, since, until) is None:
                gone.add(value_hash(one.value))
        values = sorted({key[3] for key in values_of(tail) if key[1] == meter} - gone)
        first = to_datetime(begin_of(since, "hour"))
        row = await self._row(
            UNIQUE, customer, meter, first, to_datetime(since), to_datetime(until), values, sorted(gone)
        )
        return 0 if row is None else int(row["found"])

    async def _tail(self, customer: str | None, meter: str | None) -> list[Fact]:
        rows = await self._rows(TAIL, customer, meter, MAX_TAIL + 1)
        if len(rows) > MAX_TAIL:
            raise Unavailable(
                f"more than {MAX_TAIL} facts are not summed up yet",
                advice="ask again in some seconds, or of one customer or meter",
            )
        facts: list[Fact] = []
        for at in range(0, len(rows), _AT_ONCE):
            facts += map(fact_of, rows[at : at + _AT_ONCE])
            await asyncio.sleep(0)
        return facts


def _within(place: Place, only: UsageFilter) -> bool:
    """Whether an hour or day begins within a filter's time, and is about its meter."""
    if only.meter is not None and place[1] != only.meter:
        return False
    since = None if only.since is None else to_instant(only.since)
    until = None if only.until is None else to_instant(only.until)
    return (since is None or place[2] >= since) and (until is None or place[2] < until)


def _sum_of(row: asyncpg.Record) -> tuple[Place, Sum]:
    place = (row["customer"], row["meter"], to_instant(row["begins_at"]), row["split"])
    return place, Sum(
        dimensions=msgspec.json.decode(row["dimensions"]),
        events=row["events"],
        quantity=int(row["quantity"]),
        highest=row["highest"],
        latest=row["latest"],
        latest_at=None if row["latest_at"] is None else to_instant(row["latest_at"]),
        latest_id=row["latest_id"] or b"",
    )


def _place_of(text: str) -> Place | None:
    """Return where to go on; raises Invalid for what is no place of summed-up usage."""
    if not text:
        return None
    try:
        customer, meter, begins_at, dimensions = msgspec.json.decode(text, type=tuple[str, str, int, dict[str, str]])
        to_datetime(begins_at)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        raise Invalid(f"cursor {text!r} is not one of this list", advice="use the cursor of the page before") from None
    return customer, meter, begins_at, split_of(dimensions)
