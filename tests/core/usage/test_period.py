"""Periods of allowances: compared with a walk over the calendar, minute by minute and day by day."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import Recurrence
from licet.core.instant import DAY, FOREVER, HOUR, Duration, Instant, format_instant, parse_instant, to_instant
from licet.core.usage.period import SPANS, Cycle, Era, counted, cycle_of, first_of, starts_of
from tests.dose import dose

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
    "Africa/Casablanca",
)
"""With changes at midnight, at one past it, of half an hour, of a whole day, and with odd offsets."""
MINUTE = 60_000_000
WALKED: tuple[Recurrence, ...] = ("hour", "day", "week")
LONG: tuple[Recurrence, ...] = ("month", "quarter", "year")


def turns(name: str) -> list[Instant]:
    """Return days of a zone near which its clock changes, found by the offset of each noon; else some day."""
    zone = ZoneInfo(name)
    noons = [datetime(2005, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(0, 365 * 12, 1)]
    offsets = [noon.astimezone(zone).utcoffset() for noon in noons]
    found = [to_instant(noon) for noon, (was, now) in zip(noons, pairwise(offsets), strict=False) if was != now]
    return found or [to_instant(noons[100])]


TURNS = {name: turns(name) for name in ZONES}


def walk(per: Recurrence, zone: tzinfo, since: Instant, until: Instant) -> list[Instant]:
    """Return the starts of hours, days or weeks in ``[since, until)``, looking at the clock every minute."""
    found: list[Instant] = []
    latest: date | None = None
    before: datetime | None = None
    for at in range(since - 3 * DAY, until, MINUTE):
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(zone).replace(tzinfo=None)
        begins = latest is not None and local.date() > latest
        if per == "hour":
            full = before is not None and before.replace(minute=0) < local.replace(minute=0)
            begins = local.minute == 0 or full
        elif per == "week":
            skipped = range(1, (local.date() - latest).days + 1) if latest is not None else ()
            begins = any((local.date() - timedelta(days=back - 1)).weekday() == 0 for back in skipped)
        latest = local.date() if latest is None else max(latest, local.date())
        before = local
        if begins and at >= since:
            found.append(at)
    return found


@settings(max_examples=dose(40, full=2000), deadline=None)
@given(
    name=st.sampled_from(ZONES), per=st.sampled_from(WALKED), pick=st.integers(0, 10**6), shift=st.integers(-4000, 4000)
)
def test_hours_days_and_weeks_are_those_of_the_wall_clock(name: str, per: Recurrence, pick: int, shift: int) -> None:
    """Around clock changes of every kind, each hour, day and week begins where somebody who watches the clock says."""
    zone = ZoneInfo(name)
    since = TURNS[name][pick % len(TURNS[name])] + shift * MINUTE
    until = since + (8 * DAY if per == "week" else 2 * DAY)
    cycle = cycle_of(per, zone, 0)
    assert cycle is not None
    assert cycle.starts(since, until) == walk(per, zone, since, until)


def test_days_of_clock_changes_have_23_and_25_hours() -> None:
    """In Berlin the day on which summer begins is an hour shorter, the one on which it ends an hour longer."""
    cycle = cycle_of("day", ZoneInfo("Europe/Berlin"), 0)
    assert cycle is not None
    starts = cycle.starts(parse_instant("2026-03-28T23:00:00Z"), parse_instant("2026-10-27"))
    lengths = {(later - start) // HOUR for start, later in pairwise(starts)}
    assert lengths == {23, 24, 25}
    assert (starts[1] - starts[0]) // HOUR == 23


def test_hours_of_zones_with_odd_offsets_begin_at_their_full_hours() -> None:
    """In Kathmandu hours begin a quarter past those of UTC."""
    cycle = cycle_of("hour", ZoneInfo("Asia/Kathmandu"), 0)
    assert cycle is not None
    starts = cycle.starts(parse_instant("2026-03-01T10:00:00Z"), parse_instant("2026-03-01T12:00:00Z"))
    assert [format_instant(one) for one in starts] == ["2026-03-01T10:15:00Z", "2026-03-01T11:15:00Z"]


def by_days(start: datetime, months: int, zone: tzinfo, days: int) -> list[Instant]:
    """Return the starts of periods of so many months, walking from day to day with the wall time of the first."""
    found: set[Instant] = set()
    for number in range(days):
        day = start.date() + timedelta(days=number)
        passed = (day.year - start.year) * 12 + day.month - start.month
        is_last = (day + timedelta(days=1)).month != day.month
        due = day.day == start.day or (is_last and day.day < start.day)
        if passed % months == 0 and due:
            found.add(to_instant(datetime.combine(day, start.time(), zone)))
    return sorted(found)


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    name=st.sampled_from(ZONES),
    per=st.sampled_from(LONG),
    day=st.dates(date(1999, 1, 1), date(2030, 12, 31)),
    at=st.times(),
)
def test_months_quarters_and_years_are_counted_from_their_anchor(
    name: str, per: Recurrence, day: date, at: time
) -> None:
    """Over leap years and clock changes, periods begin on the anchor's day or the last of a shorter month."""
    zone = ZoneInfo(name)
    start = datetime.combine(day, at.replace(second=0, microsecond=0))
    anchor = to_instant(start.replace(tzinfo=zone))
    cycle = cycle_of(per, zone, anchor)
    assert cycle is not None
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=anchor)).astimezone(zone).replace(tzinfo=None)
    expected = by_days(local, SPANS[per].months, zone, 1500)
    found = cycle.starts(anchor, anchor + 1400 * DAY)
    assert found == [one for one in expected if one < anchor + 1400 * DAY]


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    name=st.sampled_from(ZONES),
    per=st.sampled_from((*WALKED, *LONG, "period")),
    pick=st.integers(0, 10**6),
    span=st.tuples(st.integers(0, 900 * DAY), st.integers(1, 80 * DAY), st.integers(1, 80 * DAY)),
    natural=st.booleans(),
)
def test_periods_leave_no_gap_wherever_they_are_cut(
    name: str, per: Recurrence, pick: int, span: tuple[int, int, int], natural: bool
) -> None:
    """What begins in two neighboring times is what begins in both together, ascending, and the first is the first."""
    zone, middle = ZoneInfo(name), TURNS[name][pick % len(TURNS[name])]
    back, before, after = span
    make = cycle_of if natural else counted
    cycle = make(per, zone, middle - back, Duration(days=11, micros=5 * HOUR))
    assert cycle is not None
    low, high = middle - before, middle + after
    whole = cycle.starts(low, high)
    assert cycle.starts(low, middle) + cycle.starts(middle, high) == whole
    assert all(one < later for one, later in pairwise(whole))
    first = cycle.first(low)
    assert first == whole[0] if whole else first >= high
    assert low <= first < FOREVER


def test_what_has_no_periods_has_none() -> None:
    """Lifetimes and rolling windows never begin again; sessions follow the billing period."""
    assert cycle_of("lifetime", UTC, 0) is None
    assert cycle_of("rolling", UTC, 0) is None
    session = cycle_of("session", UTC, 0, Duration(days=3))
    assert session is not None
    assert session.starts(0, 9 * DAY) == [0, 3 * DAY, 6 * DAY]


def test_eras_follow_one_another() -> None:
    """From an era's beginning on its own periods count, and a period begins with it."""
    week, later = Cycle(UTC, None, 0, Duration(days=7)), Cycle(UTC, None, 10 * DAY, Duration(days=2))
    eras = (Era(0, week), Era(10 * DAY, later))
    assert starts_of(eras, 1, 15 * DAY) == [7 * DAY, 10 * DAY, 12 * DAY, 14 * DAY]
    assert [first_of(eras, at * DAY) for at in (1, 8, 10, 11)] == [7 * DAY, 10 * DAY, 10 * DAY, 12 * DAY]
    assert first_of((Era(0, None),), 5) == FOREVER


@pytest.mark.parametrize("per", ["hour", "day", "week"])
def test_a_decade_of_periods_is_quick_to_list(per: Recurrence) -> None:
    """Ten years have as many hours, days and weeks as they should, a leap day or a week more or less."""
    cycle = cycle_of(per, ZoneInfo("Europe/Berlin"), 0)
    assert cycle is not None
    starts = cycle.starts(parse_instant("2020-01-01"), parse_instant("2030-01-01"))
    assert len(starts) == {"hour": 87_672, "day": 3653, "week": 522}[per]
