"""Instants and calendar durations: UTC microseconds inside, RFC 3339 and ISO 8601 outside.

An :data:`Instant` is an ``int``: microseconds since 1970-01-01T00:00:00Z. Documents (catalog, terms, wire) carry
aware ``datetime`` values; rules compute with instants. Periods are half-open, ``[start, end)``.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import msgspec

Instant = int

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
FOREVER: Final[Instant] = 253_402_300_800 * SECOND
"""The first instant of the year 10000: later than anything; never written into a document."""
BEGINNING: Final[Instant] = -62_135_596_800 * SECOND
"""The first instant of the year 1: earlier than anything; never written into a document."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_DURATION: Final = re.compile(
    r"P(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?",
    re.ASCII,
)


def to_instant(value: datetime) -> Instant:
    """Return the instant of an aware datetime; raises ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError(f"the time {value.isoformat()} has no zone; write it with Z or an offset")
    return (value - _EPOCH) // _MICRO


def to_datetime(value: Instant) -> datetime:
    """Return the aware UTC datetime of an instant; raises OverflowError beyond the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=value)


def format_instant(value: Instant) -> str:
    """Return an instant as RFC 3339 in UTC with ``Z``; fractions only where there are any."""
    return to_datetime(value).isoformat().replace("+00:00", "Z")


def instant_words(value: datetime) -> str:
    """Return an aware datetime as people are told it: RFC 3339 in UTC with ``Z``, like ``format_instant``."""
    return format_instant(to_instant(value))


def parse_instant(text: str) -> Instant:
    """Read RFC 3339 (a date alone means midnight UTC); raises ValueError with what is allowed."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it as 2026-03-01T09:00:00Z or 2026-03-01") from None
    if value.tzinfo is None:
        if len(text) != len("2026-03-01"):
            raise ValueError(f"the time {text!r} has no zone; write it with Z or an offset such as +01:00")
        value = value.replace(tzinfo=UTC)
    return to_instant(value)


class Duration(msgspec.Struct, frozen=True):
    """A calendar duration: months and days move the wall clock, micros move the instant."""

    months: int = 0
    days: int = 0
    micros: int = 0


def parse_duration(text: str) -> Duration:
    """Read an ISO 8601 duration (``P14D``, ``P1M``, ``PT12H``, ``P1Y``); raises ValueError with what is allowed."""
    found = _DURATION.fullmatch(text)
    if found is None or text in ("P", "PT") or text.endswith("T"):
        raise ValueError(f"{text!r} is not a duration; write it as P14D, P1M, P1Y or PT12H")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return Duration(12 * years + months, 7 * weeks + days, hours * HOUR + minutes * 60 * SECOND + seconds * SECOND)


def add_duration(start: Instant, span: Duration, zone: tzinfo, times: int = 1) -> Instant:
    """Move ``start`` by ``times`` spans on the wall clock of ``zone``.

    Months clamp to the last day of a shorter month, always counted from ``start`` (31 Jan + 2 × P1M = 31 Mar).
    A wall time that a DST change skips means the instant after the gap by the earlier offset (PEP 495, fold 0);
    of a wall time that occurs twice the first is meant, but no span at all from ``start`` is ``start``. What would
    lie beyond the year 9999 is :data:`FOREVER`.
    """
    if not times or (not span.months and not span.days):
        return min(start + times * span.micros, FOREVER)
    try:
        local = to_datetime(start).astimezone(zone)
        year, month0 = divmod(local.year * 12 + local.month - 1 + times * span.months, 12)
        day = min(local.day, monthrange(year, month0 + 1)[1])
        wall = local.replace(year=year, month=month0 + 1, day=day, tzinfo=None, fold=0)
        moved = (wall + timedelta(days=times * span.days)).replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError):
        return FOREVER
    return min(to_instant(moved) + times * span.micros, FOREVER)


def wall_instant(day: date, minute: int, zone: tzinfo) -> Instant:
    """Return the instant of a wall time, ``minute`` minutes into a day.

    The first of two, and the end of the gap where a clock change skips it.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=UTC) == wall:
        return to_instant(found)
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    early, late = to_instant(before), to_instant(found)
    offset = to_datetime(late).astimezone(zone).utcoffset()
    while late - early > SECOND:
        middle = (early + late) // 2 // SECOND * SECOND
        if to_datetime(middle).astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late
