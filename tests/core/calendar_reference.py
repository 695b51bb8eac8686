"""When billing periods begin, by a rule of its own: civil dates stepped one by one, clocks asked only what they show.

Nothing of ``licet.core.instant`` is used. A leap year, the length of a month and the next date are worked out here;
of a time zone only the forward direction is used (what the clock on the wall shows at an instant), never the way back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

MICRO: Final = 1_000_000
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FAR: Final = 26 * 3600
"""Seconds further than any two clocks in the world are apart."""


class Civil(NamedTuple):
    """A date on the wall."""

    year: int
    month: int
    day: int


class Rule(NamedTuple):
    """How far apart periods are: in months or in days, one of them 0."""

    months: int
    days: int


def month_length(year: int, month: int) -> int:
    """Return how many days a month has in the Gregorian calendar."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap and month == 2 else _LENGTHS[month - 1]


def shown(second: int, zone: tzinfo) -> int:
    """Return how many seconds the clock on the wall is ahead of UTC at an instant (unix seconds)."""
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    if offset is None:
        raise ValueError("the zone does not say what its clock shows")
    return offset // timedelta(seconds=1)


def wall_of(second: int, zone: tzinfo) -> tuple[Civil, int]:
    """Return the date on the wall at an instant and the seconds since its midnight."""
    wall = _EPOCH + timedelta(seconds=second + shown(second, zone))
    return Civil(wall.year, wall.month, wall.day), wall.hour * 3600 + wall.minute * 60 + wall.second


def instants_of(civil: Civil, seconds: int, zone: tzinfo) -> list[int]:
    """Return the unix seconds at which the wall shows a date and time: one, two where it occurs twice, or none."""
    wall = _days(civil) * 86_400 + seconds
    offsets = {shown(wall - _FAR, zone), shown(wall, zone), shown(wall + _FAR, zone)}
    return sorted(wall - offset for offset in offsets if shown(wall - offset, zone) == offset)


def begins(civil: Civil, seconds: int, zone: tzinfo) -> int:
    """Return when a period due at a date and time begins: the first such instant; in a gap, by the clock before it."""
    found = instants_of(civil, seconds, zone)
    if found:
        return found[0]
    wall = _days(civil) * 86_400 + seconds
    return wall - shown(wall - _FAR, zone)


def dates(anchor: Civil, rule: Rule) -> Iterator[Civil]:
    """Return the dates at which periods are due, the anchor's first."""
    return _monthly(anchor, rule.months) if rule.months else _daily(anchor, rule.days)


def period_starts(anchor: int, rule: Rule, zone: tzinfo, until_year: int) -> list[tuple[Civil, int]]:
    """Return due dates and the instants (microseconds) at which periods begin, from the anchor to the end of a year.

    The first period begins at the anchor itself. A date that the zone leaves out altogether (Apia, 30 December 2011)
    has no period of its own where the next one begins at the same instant.
    """
    second, micro = divmod(anchor, MICRO)
    first, seconds = wall_of(second, zone)
    found = [(first, anchor)]
    for civil in dates(first, rule):
        if civil == first:
            continue
        if civil.year > until_year:
            return found
        at = begins(civil, seconds, zone) * MICRO + micro
        if at == found[-1][1]:
            found.pop()
        found.append((civil, at))
    raise AssertionError("dates have no end")


def _monthly(anchor: Civil, months: int) -> Iterator[Civil]:
    """Every so many months the anchor's day, or the last day of a month that is too short."""
    year, month = anchor.year, anchor.month
    while True:
        yield Civil(year, month, min(anchor.day, month_length(year, month)))
        for _ in range(months):
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _daily(anchor: Civil, days: int) -> Iterator[Civil]:
    """Every so many days, counted one by one."""
    year, month, day = anchor
    while True:
        yield Civil(year, month, day)
        for _ in range(days):
            day += 1
            if day > month_length(year, month):
                year, month, day = (year + 1, 1, 1) if month == 12 else (year, month + 1, 1)


def _days(civil: Civil) -> int:
    """Days since 1970-01-01."""
    return datetime(*civil, tzinfo=UTC).toordinal() - _EPOCH.toordinal()
