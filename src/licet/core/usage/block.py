"""Hours, days and months of UTC, by which usage is summed up."""

from datetime import UTC, datetime, timedelta
from typing import Literal

By = Literal["hour", "day", "month"]


def begin_of(at: datetime, by: By) -> datetime:
    """Return the first instant of the hour, day or month of UTC in which an instant lies."""
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if by == "hour":
        return at
    return at.replace(hour=0) if by == "day" else at.replace(day=1, hour=0)


def end_of(begin: datetime, by: By) -> datetime:
    """Return the first instant after an hour, day or month that begins so."""
    if by == "hour":
        return begin + timedelta(hours=1)
    return begin + timedelta(days=1) if by == "day" else (begin + timedelta(days=32)).replace(day=1)


def whole_until(at: datetime, by: By) -> datetime:
    """Return an instant, or the end of the hour, day or month that it lies within."""
    begin = begin_of(at, by)
    return begin if begin == at else end_of(begin, by)
