"""Months of facts: made before they are needed, dropped as a whole once all in them is sealed and old enough."""

from datetime import UTC, date, datetime
from typing import Final

import asyncpg

from licet.core.instant import Instant, to_datetime
from licet.store.connections import Connection

MAKE: Final = "SELECT make_usage_month($1)"
DROP: Final = "SELECT drop_usage_month($1)"
MONTHS: Final = "SELECT month FROM usage_months()"
KEPT_DAYS: Final = 35
"""For so long after its end a month is kept at least: repetitions are known for as long."""


def month_of(wall: Instant) -> date:
    """Return the first day of the month of an instant, in UTC."""
    return to_datetime(wall).date().replace(day=1)


def month_after(month: date, count: int = 1) -> date:
    """Return the first day of a month some months later."""
    months = month.year * 12 + month.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)


async def make_month(conn: Connection, month: date) -> str | None:
    """Make the place for a month's facts, outside of any transaction; returns its name, None where it was there."""
    made: str | None = await conn.fetchval(MAKE, month)
    return made


async def drop_months(conn: Connection, before: datetime, wall: Instant) -> list[str]:
    """Drop what ended before two instants, of which one is 35 days ago, and is wholly sealed; returns their names.

    A month that cannot be had just now, because somebody reads it, is left for the next time.
    """
    dropped = []
    for row in await conn.fetch(MONTHS):
        month: date = row["month"]
        end = datetime(*month_after(month).timetuple()[:3], tzinfo=UTC)
        if end > before or (to_datetime(wall) - end).days < KEPT_DAYS + 1:
            continue
        try:
            async with conn.transaction():
                # Whoever posts waits behind this one while it waits for whoever reads: so it does not wait.
                await conn.execute("SET LOCAL lock_timeout = '200ms'")
                name = await conn.fetchval(DROP, month)
        except asyncpg.LockNotAvailableError:
            continue
        if name is not None:
            dropped.append(str(name))
    return dropped
