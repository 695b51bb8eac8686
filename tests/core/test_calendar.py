"""Billing periods against an independent rule: one renewal a period for 400 years, whatever calendar and clocks do."""

import sys
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.instant import FOREVER, format_instant, parse_instant
from licet.core.terms import Subscription, Terms
from licet.core.upcoming import recurrences, upcoming
from tests.core.calendar_reference import Civil, Rule, instants_of, period_starts, wall_of
from tests.core.worlds import COMPILED
from tests.dose import DOSE, dose

YEARS: Final = 400
PERIODS: Final = {
    "P1M": Rule(1, 0),
    "P3M": Rule(3, 0),
    "P1Y": Rule(12, 0),
    "P1W": Rule(0, 7),
    "P1D": Rule(0, 1),
}
ZONES: Final = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
    "Asia/Kathmandu",
)
ANCHORS: Final = (
    "2000-02-29T00:00:00",
    "2011-12-30T09:00:00",
    "2023-12-31T23:59:59.999999",
    "2024-02-29T12:34:56",
    "2025-10-05T02:15:00",
    "2026-01-30T01:30:00",
    "2026-03-28T01:30:00",
    "2026-10-31T01:30:00",
)
"""Instants in UTC and at the same time wall clock times: each anchor is tried as both."""
LONG: Final = ("P1M", "P3M", "P1Y")
SHORT: Final = (
    ("P1W", "Europe/London", "2026-03-28T01:30:00"),
    ("P1W", "Pacific/Apia", "2011-12-23T09:00:00"),
    ("P1W", "Australia/Lord_Howe", "2025-10-05T02:15:00"),
    ("P1D", "America/New_York", "2024-02-29T01:30:00"),
    ("P1D", "Pacific/Apia", "2011-12-28T09:00:00"),
)


def subscription(anchor: str | datetime, period: str, zone: str = "UTC", **more: Any) -> Subscription:
    """A subscription that renews from an anchor."""
    phase = {"starts_at": anchor, "items": [{"kind": "plan", "id": "solo", "version": "2026-01"}]}
    document = {"id": "sub_1", "phases": [phase], "anchor": anchor, "period": period, "zone": zone, **more}
    return msgspec.convert(document, Subscription)


def anchor_on_wall(wall: str, zone: tzinfo) -> int:
    """The first instant at which a clock shows ``wall``, or the same in UTC where it never does."""
    read = datetime.fromisoformat(f"{wall}+00:00")
    seconds = read.hour * 3600 + read.minute * 60 + read.second
    found = instants_of(Civil(read.year, read.month, read.day), seconds, zone)
    return found[0] * 1_000_000 + read.microsecond if found else parse_instant(f"{wall}Z")


def check_course(anchor: int, period: str, zone_name: str) -> int:
    """Compare all periods of 400 years with the reference; return how many there were."""
    zone = ZoneInfo(zone_name)
    start = wall_of(anchor // 1_000_000, zone)[0].year
    due = period_starts(anchor, PERIODS[period], zone, start + YEARS)
    one = subscription(format_instant(anchor), period, zone_name)
    found = recurrences(one, anchor - 1, zone, len(due))
    assert found == [at for _, at in due], (period, zone_name, format_instant(anchor))
    assert all(earlier < later for earlier, later in pairwise(found))
    return len(found)


def test_long_periods_of_400_years_follow_the_independent_rule() -> None:
    """Monthly, quarterly and yearly: exactly one renewal for every due date, at the reference's instant, no drift."""
    count = 0
    for place, zone in enumerate(ZONES):
        # By turns: each anchor meets every second zone, each zone every second anchor.
        for wall in ANCHORS if DOSE == "full" else ANCHORS[place % 2 :: 2]:
            for anchor in {anchor_on_wall(wall, ZoneInfo(zone)), parse_instant(f"{wall}Z")}:
                for period in LONG:
                    count += check_course(anchor, period, zone)
    sys.stdout.write(f"{count} long periods agree\n")
    assert count > 250_000


def test_short_periods_of_400_years_follow_the_independent_rule() -> None:
    """Weekly and daily, through every change of clocks and a date that never was."""
    courses: tuple[tuple[str, str, str], ...] = SHORT
    if DOSE == "full":
        courses = tuple((period, zone, wall) for period in ("P1W", "P1D") for zone in ZONES for wall in ANCHORS)
    count = sum(check_course(anchor_on_wall(wall, ZoneInfo(zone)), period, zone) for period, zone, wall in courses)
    sys.stdout.write(f"{count} short periods agree\n")
    assert count > 300_000


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("day", [28, 29, 30, 31])
def test_every_month_has_exactly_one_renewal(zone_name: str, day: int) -> None:
    """Seen from the wall, not from the rule: each month of 400 years has one, on the anchor's day or the last one."""
    zone = ZoneInfo(zone_name)
    anchor = anchor_on_wall(f"2025-01-{day}T00:15:00", zone)
    found = recurrences(subscription(format_instant(anchor), "P1M", zone_name), anchor - 1, zone, YEARS * 12)
    walls = [wall_of(at // 1_000_000, zone)[0] for at in found]
    assert [(one.year, one.month) for one in walls] == [
        (2025 + number // 12, number % 12 + 1) for number in range(YEARS * 12)
    ]
    last = {1: 31, 2: 28, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
    for one in walls:
        leap = one.month == 2 and one.day == 29
        assert one.day == min(day, 29 if leap else last[one.month])


@pytest.mark.parametrize(
    ("zone", "period", "anchor", "expected"),
    [
        ("UTC", "P1Y", "2024-02-29", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("UTC", "P1M", "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("UTC", "P1M", "2096-01-29", ["2096-01-29", "2096-02-29"]),
        ("UTC", "P1Y", "2096-02-29", ["2096-02-29", "2097-02-28", "2098-02-28", "2099-02-28", "2100-02-28"]),
        (
            "Europe/London",
            "P1D",
            "2026-03-28T01:30:00Z",
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "America/New_York",
            "P1D",
            "2026-10-31T05:30:00Z",
            ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        (
            "America/New_York",
            "P1D",
            "2026-11-01T06:30:00Z",
            ["2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z", "2026-11-03T06:30:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "P1D",
            "2026-10-02T15:45:00Z",
            ["2026-10-02T15:45:00Z", "2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"],
        ),
        (
            "Pacific/Apia",
            "P1D",
            "2011-12-28T19:00:00Z",
            ["2011-12-28T19:00:00Z", "2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"],
        ),
        (
            "Pacific/Apia",
            "P1M",
            "2011-11-30T19:00:00Z",
            ["2011-11-30T19:00:00Z", "2011-12-30T19:00:00Z", "2012-01-29T19:00:00Z"],
        ),
    ],
)
def test_the_days_that_are_known_to_be_hard(zone: str, period: str, anchor: str, expected: list[str]) -> None:
    """29 February, the 31st, London's gap, New York's fold (either half), Lord Howe's half hour, Apia's lost day."""
    first = parse_instant(anchor)
    one = subscription(format_instant(first), period, zone)
    found = recurrences(one, first - 1, ZoneInfo(zone), len(expected))
    assert [format_instant(at) for at in found] == [format_instant(parse_instant(one)) for one in expected]


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    st.sampled_from(sorted(PERIODS)),
    st.sampled_from(ZONES),
    st.sampled_from(ANCHORS),
    st.integers(0, 12_000),
    st.integers(-2, 2),
)
def test_upcoming_gives_the_same_instants(period: str, zone_name: str, wall: str, steps: int, near: int) -> None:
    """From any instant, also a microsecond before, at and after a renewal: exactly those still ahead, half-open."""
    zone = ZoneInfo(zone_name)
    anchor = anchor_on_wall(wall, zone)
    starts = [at for _, at in period_starts(anchor, PERIODS[period], zone, 2060)]
    now = starts[steps % (len(starts) - 30)] + near
    terms = Terms(customer="acme", subscriptions=(subscription(format_instant(anchor), period, zone_name),))
    listed = upcoming(COMPILED, terms, now)
    found = [one.at for one in listed if one.kind == "period"]
    assert found == [at for at in starts if at > now][: len(found)]
    assert len(listed) >= 24
    assert len(found) >= 23


def test_an_end_is_no_renewal_and_the_instant_before_is() -> None:
    """Half-open: what ends at a renewal does not renew then; what ends a microsecond later does."""
    renewal = parse_instant("2026-02-28")
    for later, expected in ((0, []), (1, [renewal])):
        ending = subscription("2026-01-31T00:00:00Z", "P1M", ends_at=format_instant(renewal + later))
        terms = Terms(customer="acme", subscriptions=(ending,))
        listed = upcoming(COMPILED, terms, parse_instant("2026-02-01"))
        assert [one.at for one in listed if one.kind == "period"] == expected


@pytest.mark.parametrize("period", ["PT1S", "PT1M", "PT1H", "P1D", "P1M"])
def test_a_far_now_lists_only_what_is_ahead(period: str) -> None:
    """However short the period and however long ago the anchor: nothing of the past, and nothing left out."""
    now = parse_instant("9990-06-15T12:00:00Z")
    found = recurrences(subscription("0030-01-01T00:00:00Z", period), now, ZoneInfo("UTC"), 3)
    assert len(found) == 3
    assert all(now < at < FOREVER for at in found)
    before = recurrences(subscription("0030-01-01T00:00:00Z", period), found[0] - 1, ZoneInfo("UTC"), 3)
    assert before == found
    assert found[0] - now <= 31 * 86_400 * 1_000_000
