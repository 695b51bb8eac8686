"""Instants and calendar durations."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.core.instant import (
    FOREVER,
    Duration,
    add_duration,
    format_instant,
    parse_duration,
    parse_instant,
    to_datetime,
    to_instant,
)

BERLIN = ZoneInfo("Europe/Berlin")


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_datetime_and_back(value: datetime) -> None:
    """A datetime survives the way to an instant and back, also as text."""
    assert to_datetime(to_instant(value)) == value
    assert parse_instant(format_instant(to_instant(value))) == to_instant(value)


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01T09:00:00", "2026-13-01", ""])
def test_unclear_times_are_refused(text: str) -> None:
    """What is no time, or has no zone, is refused in words that name it."""
    with pytest.raises(ValueError, match="write it"):
        parse_instant(text)


def test_naive_datetime_is_refused() -> None:
    """A datetime without a zone is refused."""
    with pytest.raises(ValueError, match="no zone"):
        to_instant(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P14D", Duration(0, 14, 0)),
        ("P1M", Duration(1, 0, 0)),
        ("P1Y2M", Duration(14, 0, 0)),
        ("P2W", Duration(0, 14, 0)),
        ("PT36H", Duration(0, 0, 36 * 3600 * 10**6)),
        ("P1DT1S", Duration(0, 1, 10**6)),
    ],
)
def test_durations(text: str, expected: Duration) -> None:
    """ISO 8601 durations are read as months, days and microseconds."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["P", "PT", "P1DT", "14D", "-P1D", "P1.5D", "P１D", "P1S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Anything else is refused, other digits and signs included."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("start", "span", "times", "zone", "expected"),
    [
        ("2026-01-31T00:00:00Z", "P1M", 1, UTC, "2026-02-28T00:00:00Z"),
        ("2026-01-31T00:00:00Z", "P1M", 2, UTC, "2026-03-31T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "P1Y", 1, UTC, "2025-02-28T00:00:00Z"),
        ("2026-03-28T11:00:00Z", "P1D", 1, BERLIN, "2026-03-29T10:00:00Z"),
        ("2026-03-28T11:00:00Z", "PT24H", 1, BERLIN, "2026-03-29T11:00:00Z"),
        ("2026-03-28T01:30:00Z", "P1D", 1, BERLIN, "2026-03-29T01:30:00Z"),
        ("2026-10-24T00:30:00Z", "P1D", 1, BERLIN, "2026-10-25T00:30:00Z"),
    ],
)
def test_calendar_arithmetic(start: str, span: str, times: int, zone: tzinfo, expected: str) -> None:
    """Months clamp from the start, days keep the wall time over DST, gaps move on, of two wall times the first."""
    assert format_instant(add_duration(parse_instant(start), parse_duration(span), zone, times)) == expected


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 40))
def test_periods_never_run_backwards(minutes: int, months: int, times: int) -> None:
    """The n-th boundary from an anchor is never after the next one."""
    start = to_instant(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    span = Duration(months, 1, 0)
    assert add_duration(start, span, BERLIN, times) < add_duration(start, span, BERLIN, times + 1)


def test_beyond_the_calendar_is_forever() -> None:
    """What would lie beyond the year 9999 is FOREVER, not an error."""
    late = parse_instant("9999-12-30T00:00:00Z")
    assert add_duration(late, parse_duration("P1M"), UTC) == FOREVER
    assert add_duration(late, parse_duration("PT100H"), UTC) == FOREVER
