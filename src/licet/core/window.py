"""Time windows: whether one is open at an instant, and between which instants that stays so."""

from datetime import date, tzinfo
from functools import lru_cache
from typing import Final

from msgspec import Struct

from licet.core.catalog import Window
from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime, to_instant, wall_instant

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_REACH: Final = 9
"""Days looked at on either side: more than the week after which every daily pattern repeats."""


class CompiledWindow(Struct, frozen=True):
    """A window with its parts parsed: instants, weekdays (Monday is 0), minutes of the local day."""

    start: Instant
    end: Instant
    weekdays: frozenset[int]
    from_minute: int
    until_minute: int

    @property
    def daily(self) -> bool:
        """Whether it opens and closes within its bounds."""
        return len(self.weekdays) < 7 or (self.until_minute - self.from_minute) % 1440 != 0


class Opening(Struct, frozen=True):
    """Whether a window is open, constant over ``[since, until)``."""

    open: bool
    since: Instant
    until: Instant


ALWAYS: Final = Opening(True, BEGINNING, FOREVER)
"""What holds where there is no window."""


@lru_cache(maxsize=1024)
def compile_window(window: Window) -> CompiledWindow:
    """Parse a window; raises ValueError for a naive time."""
    named = frozenset(_WEEKDAYS.index(day) for day in window.weekdays)
    return CompiledWindow(
        BEGINNING if window.start is None else to_instant(window.start),
        FOREVER if window.end is None else to_instant(window.end),
        named or frozenset(range(7)),
        _minute(window.from_hour, 0),
        _minute(window.until_hour, 1440),
    )


def opening_at(window: CompiledWindow, now: Instant, zone: tzinfo) -> Opening:
    """Return whether the window is open at ``now`` on the wall clock of ``zone``, and the span over which that holds.

    Half-open: open at its first instant, closed at its last. An hour that a DST change skips begins after the gap.
    """
    if now < window.start:
        return Opening(False, BEGINNING, window.start)
    if now >= window.end:
        return Opening(False, max(window.end, window.start), FOREVER)
    if not window.daily:
        return Opening(True, window.start, window.end)
    return _daily_at(window, now, zone)


def _daily_at(window: CompiledWindow, now: Instant, zone: tzinfo) -> Opening:
    """The span around ``now`` between the daily openings, cut at the window's own bounds."""
    closed_since = window.start
    for start, end in _spans(window, to_datetime(now).astimezone(zone).date(), zone):
        if now < start:
            return Opening(False, closed_since, min(start, window.end))
        if now < end:
            return Opening(True, max(start, window.start), min(end, window.end))
        closed_since = max(end, window.start)
    return Opening(False, closed_since, window.end)


@lru_cache(maxsize=1024)
def _spans(window: CompiledWindow, middle: date, zone: tzinfo) -> tuple[tuple[Instant, Instant], ...]:
    """The openings around a date in order, those that touch or overlap joined."""
    spans: list[tuple[Instant, Instant]] = []
    over_midnight = window.until_minute <= window.from_minute
    for ordinal in range(middle.toordinal() - _REACH, middle.toordinal() + _REACH + 1):
        if not 2 <= ordinal < date.max.toordinal() - 2:
            continue
        day = date.fromordinal(ordinal)
        if day.weekday() not in window.weekdays:
            continue
        start = wall_instant(day, window.from_minute, zone)
        end = wall_instant(day, window.until_minute + (1440 if over_midnight else 0), zone)
        if end <= start:
            continue
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)


def _minute(text: str | None, otherwise: int) -> int:
    """``HH:MM`` as minutes since midnight."""
    return otherwise if text is None else int(text[:2]) * 60 + int(text[3:])
