"""Periods of allowances: when each begins, by the calendar of a zone or counted from an anchor.

Hours, days and weeks are those of the wall clock: an hour begins with its full hour, a day with its first instant, a
week with its Monday, whatever a clock change makes of their length. The others are counted from an anchor each time
(31 January, 28 February, 31 March), never from one to the next.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from licet.core.catalog import Recurrence
from licet.core.instant import (
    DAY,
    FOREVER,
    HOUR,
    SECOND,
    Duration,
    Instant,
    add_duration,
    to_datetime,
    wall_instant,
)

Natural = Literal["hour", "day", "week"]
SPANS: Final[dict[Recurrence, Duration]] = {
    "hour": Duration(micros=HOUR),
    "day": Duration(days=1),
    "week": Duration(days=7),
    "month": Duration(months=1),
    "quarter": Duration(months=3),
    "year": Duration(months=12),
}
"""How long the periods of a recurrence are that are counted from an anchor."""
_NATURAL: Final[dict[Recurrence, Natural]] = {"hour": "hour", "day": "day", "week": "week"}
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9998
_NONE: Final = timedelta()
_MICRO: Final = timedelta(microseconds=1)


class Cycle(Struct, frozen=True):
    """Periods one after another: ``natural`` ones of the zone's calendar, else ``span`` by span from ``anchor``."""

    zone: tzinfo
    natural: Natural | None = None
    anchor: Instant = 0
    span: Duration = Duration()

    @property
    def shortest(self) -> int:
        """How long a period lasts at least, in microseconds, clock changes left aside; never 0."""
        span = self.span if self.natural is None else SPANS[self.natural]
        return max(SECOND, span.months * 28 * DAY + span.days * DAY + span.micros)

    def starts(self, since: Instant, until: Instant) -> list[Instant]:
        """Return the starts of periods in ``[since, until)``, strictly ascending; none before an anchor."""
        if since >= until:
            return []
        if self.natural is not None:
            return self._natural_starts(since, until)
        found: list[Instant] = []
        times = self._number(since)
        while (start := add_duration(self.anchor, self.span, self.zone, times)) < until:
            # A zone that left a whole day out lets two begin at one instant.
            if not found or start > found[-1]:
                found.append(start)
            times += 1
        return found

    def first(self, since: Instant) -> Instant:
        """Return the first start of a period at or after ``since``; FOREVER where none comes."""
        if self.natural is None:
            return add_duration(self.anchor, self.span, self.zone, self._number(since))
        reach = self.shortest
        while since + reach < FOREVER:
            found = self.starts(since, since + reach)
            if found:
                return found[0]
            reach *= 2
        return next(iter(self.starts(since, FOREVER)), FOREVER)

    def _natural_starts(self, since: Instant, until: Instant) -> list[Instant]:
        years = range(_year_of(since - 2 * DAY), _year_of(until + 2 * DAY) + 1)
        listed = _hours if self.natural == "hour" else _days if self.natural == "day" else _weeks
        found: list[Instant] = []
        for year in years:
            part = _between(listed(self.zone, year), since, until)
            found.extend(part[1:] if found and part and part[0] <= found[-1] else part)
        return found

    def _number(self, since: Instant) -> int:
        """How many spans from the anchor the first start at or after ``since`` is."""
        if since <= self.anchor:
            return 0
        # Between what the longest and the shortest spans come to; clock changes move no start by two days.
        gone = since - self.anchor
        longest = self.span.months * 31 * DAY + self.span.days * DAY + self.span.micros
        low, high = max(0, (gone - 2 * DAY) // longest), (gone + 2 * DAY) // self.shortest + 1
        while low < high:
            middle = (low + high) // 2
            if add_duration(self.anchor, self.span, self.zone, middle) < since:
                low = middle + 1
            else:
                high = middle
        return low


class Era(Struct, frozen=True):
    """From ``since`` until the next era, periods follow this cycle; None: they do not end."""

    since: Instant
    cycle: Cycle | None
    joins: bool = False
    """Whether the period that runs goes on, until this cycle's next one begins."""


def cycle_of(per: Recurrence, zone: tzinfo, anchor: Instant, period: Duration | None = None) -> Cycle | None:
    """Return the periods of a recurrence; ``period`` is the billing period (a month where None).

    None for what has no periods. Sessions are cut at the ends of billing periods.
    """
    if per in _NATURAL:
        return Cycle(zone, _NATURAL[per])
    return counted(per, zone, anchor, period)


def counted(per: Recurrence, zone: tzinfo, anchor: Instant, period: Duration | None = None) -> Cycle | None:
    """Return the periods of a recurrence counted from an anchor, also where the calendar has its own."""
    if per in ("lifetime", "rolling"):
        return None
    span = SPANS.get(per) or period or SPANS["month"]
    moves = span.months > 0 or add_duration(anchor, span, zone) > anchor
    return Cycle(zone, None, anchor, span) if moves else None


def starts_of(eras: Sequence[Era], since: Instant, until: Instant) -> list[Instant]:
    """Return the starts of periods in ``[since, until)`` through eras, which are in order.

    Where an era begins, except the first one and those that join, a period begins too.
    """
    found: list[Instant] = []
    for place, era in enumerate(eras):
        end = eras[place + 1].since if place + 1 < len(eras) else FOREVER
        low, high = max(since, era.since), min(until, end)
        if low >= high:
            continue
        own = [] if era.cycle is None else era.cycle.starts(low, high)
        if place and not era.joins and low == era.since and own[:1] != [low]:
            found.append(low)
        found.extend(own)
    return found


def first_of(eras: Sequence[Era], since: Instant) -> Instant:
    """Return the first start of a period at or after ``since`` through eras; FOREVER where none comes."""
    place = max(0, bisect_right(eras, since, key=lambda one: one.since) - 1)
    for number in range(place, len(eras)):
        era = eras[number]
        end = eras[number + 1].since if number + 1 < len(eras) else FOREVER
        if number and not era.joins and since <= era.since:
            return era.since
        found = FOREVER if era.cycle is None else era.cycle.first(max(since, era.since))
        if found < end:
            return found
    return FOREVER


def _between(starts: Sequence[Instant], since: Instant, until: Instant) -> Sequence[Instant]:
    return starts[bisect_left(starts, since) : bisect_left(starts, until)]


@lru_cache(maxsize=256)
def _days(zone: tzinfo, year: int) -> tuple[Instant, ...]:
    """The first instants of the days of a local year; a day that a zone left out begins with the next one."""
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    return tuple(sorted({wall_instant(date.fromordinal(one), 0, zone) for one in range(first, last + 1)}))


@lru_cache(maxsize=256)
def _weeks(zone: tzinfo, year: int) -> tuple[Instant, ...]:
    """The first instants of the Mondays of a local year."""
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    monday = first + (7 - date(year, 1, 1).weekday()) % 7
    return tuple(wall_instant(date.fromordinal(one), 0, zone) for one in range(monday, last + 1, 7))


@lru_cache(maxsize=32)
def _hours(zone: tzinfo, year: int) -> tuple[Instant, ...]:
    """The instants of a UTC year at which a full hour begins on the wall clock.

    A clock change is one where it reaches or skips a full hour; one that goes back within an hour makes that longer.
    """
    low, high = _utc_year(year), _utc_year(year + 1)
    turns = [low, *_turns(zone, low, high), high]
    found: list[Instant] = []
    for since, until in pairwise(turns):
        offset = _offset(zone, since)
        if (since + offset) // HOUR > (since - 1 + _offset(zone, since - 1)) // HOUR:
            found.append(since)
        first = since + (-(since + offset)) % HOUR
        found.extend(at for at in range(first, until, HOUR) if not found or at > found[-1])
    return tuple(found)


def _year_of(at: Instant) -> int:
    return min(max(to_datetime(min(at, FOREVER - 1)).year, _FIRST_YEAR), _LAST_YEAR)


def _utc_year(year: int) -> Instant:
    return (date(year, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * DAY


def _turns(zone: tzinfo, low: Instant, high: Instant) -> list[Instant]:
    """The instants in ``(low, high)`` at which the offset changes, found day by day: no zone changes twice in one."""
    found: list[Instant] = []
    for start in range(low, high, DAY):
        before, after = _offset(zone, start), _offset(zone, start + DAY)
        if before == after:
            continue
        early, late = start, start + DAY
        while late - early > SECOND:
            middle = (early + late) // 2 // SECOND * SECOND
            early, late = (middle, late) if _offset(zone, middle) == before else (early, middle)
        if late < high:
            found.append(late)
    return found


def _offset(zone: tzinfo, at: Instant) -> int:
    """How far the wall clock is ahead of UTC, in microseconds."""
    return (to_datetime(at).astimezone(zone).utcoffset() or _NONE) // _MICRO
