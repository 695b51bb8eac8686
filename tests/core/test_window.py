"""Time windows against a minute-by-minute reading of the wall clock."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import Weekday, Window
from licet.core.instant import FOREVER, SECOND, Instant, to_datetime, to_instant
from licet.core.window import compile_window, opening_at
from tests.dose import dose

DAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ORIGIN: Final = datetime(2026, 5, 1, tzinfo=UTC)
HOURS = st.sampled_from(["00:00", "02:30", "09:00", "17:30", "22:00"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"])


def hourly(window: Window, now: Instant, zone: ZoneInfo) -> bool:
    """Whether the window is open by its plain meaning, away from clock changes."""
    moment = to_datetime(now)
    if (window.start and moment < window.start) or (window.end and moment >= window.end):
        return False
    local = moment.astimezone(zone)
    minute = local.hour * 60 + local.minute
    first = _minutes(window.from_hour, 0)
    last = _minutes(window.until_hour, 1440)
    days = set(window.weekdays) or set(DAYS)
    today, yesterday = DAYS[local.weekday()] in days, DAYS[local.weekday() - 1] in days
    if last > first:
        return today and first <= minute < last
    return (today and minute >= first) or (yesterday and minute < last)


def _minutes(text: str | None, otherwise: int) -> int:
    return otherwise if text is None else int(text[:2]) * 60 + int(text[3:])


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any window in the weeks after the origin."""
    ends = [draw(st.none() | st.integers(0, 60)) for _ in range(2)]
    start, end = (None if day is None else ORIGIN + timedelta(days=day) for day in ends)
    weekdays = tuple(draw(st.lists(st.sampled_from(DAYS), max_size=4, unique=True)))
    return Window(
        weekdays=weekdays,
        from_hour=draw(st.none() | HOURS),
        until_hour=draw(st.none() | HOURS),
        start=start,
        end=end,
    )


@settings(max_examples=dose(300), deadline=None)
@given(windows(), st.integers(0, 60 * 24 * 60), ZONES)
def test_windows_mean_the_wall_clock(window: Window, minute: int, zone: str) -> None:
    """Open or closed as the wall clock says, and so over the whole span that is given, ends excluded."""
    place = ZoneInfo(zone)
    now = to_instant(ORIGIN + timedelta(minutes=minute))
    found = opening_at(compile_window(window), now, place)
    assert found.open is hourly(window, now, place)
    assert found.since <= now < found.until
    if found.until < FOREVER:
        assert opening_at(compile_window(window), found.until - 1, place) == found
        assert opening_at(compile_window(window), found.until, place).since == found.until


def test_an_hour_that_is_skipped_opens_after_the_gap() -> None:
    """02:30 to 03:30 on the night clocks go forward in Berlin is the half hour that exists."""
    window = compile_window(Window(from_hour="02:30", until_hour="03:30"))
    place = ZoneInfo("Europe/Berlin")
    night = to_instant(datetime(2026, 3, 29, 1, 10, tzinfo=UTC))
    assert [opening_at(window, night + shift * 60 * SECOND, place).open for shift in (0, 19, 20, 50)] == [
        True, True, False, False
    ]  # fmt: skip
