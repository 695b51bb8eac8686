"""Periods that are restarted: what is to come is counted anew, no boundary that has passed is ever moved."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from licet.core.catalog import Recurrence
from licet.core.instant import Instant, parse_duration, to_datetime, to_instant
from licet.core.orders import OrderDocument
from licet.core.placement import place_order
from licet.core.rhythm import rhythms_of
from licet.core.terms import MAX_RHYTHMS, Subscription, Terms
from licet.core.upcoming import period_at
from licet.core.usage.allowance import allowances
from licet.core.usage.period import cycle_of, starts_of
from tests.core.usage.courses import VENDOR
from tests.dose import dose

START = datetime(2026, 1, 31, 10, tzinfo=UTC)
EMPTY = Terms(customer="acme")
BERLIN = "Europe/Berlin"
PERS: tuple[tuple[Recurrence, str], ...] = (("month", "api"), ("day", "daily"), ("week", "weekly"), ("period", "disk"))


def order(at: datetime, **more: Any) -> OrderDocument:
    """An order for one plan, stated ``at``."""
    document = {
        "source": "shop",
        "external_id": "s1",
        "customer": {"external_id": "cus_1"},
        "occurred_at": at,
        "starts_at": START,
        "lines": [{"plan": "team", "version": "2026-01"}],
    }
    return msgspec.convert({**document, **more}, OrderDocument)


def placed(terms: Terms, document: OrderDocument) -> Terms:
    """The terms after an order, which is taken."""
    found = place_order(VENDOR, terms, document, subscription_id="sub_1", event="ord_1")
    assert found.outcome in ("applied", "duplicate"), found.findings
    return found.terms


def boundaries(terms: Terms, feature: str, until: Instant) -> list[str]:
    """Where the periods of a feature's allowance begin, before an instant."""
    (line,) = allowances(VENDOR, terms, VENDOR.features[feature]).lines
    return [str(to_datetime(at)) for at in starts_of(line.eras, to_instant(START), until)]


def days(count: float) -> timedelta:
    """So many days."""
    return timedelta(days=count)


ANCHORS = st.sampled_from([None, -400.0, -40.0, -12.0, -3.0, -0.001, 0.0, 0.5, 12.0])
PERIODS = st.sampled_from(["P1M", "P1M", "P1W", "P1Y", "P1D"])
ZONES = st.sampled_from([BERLIN, "UTC", "Asia/Kathmandu"])
EFFECTIVE = st.sampled_from([0.0, 0.0, -20.0, 15.0])
RESTARTS = st.lists(st.tuples(st.floats(0.01, 90), ANCHORS, PERIODS, ZONES, EFFECTIVE), min_size=1, max_size=6)


@given(first=st.tuples(ANCHORS, PERIODS), restarts=RESTARTS)
@example(first=(None, "P1M"), restarts=[(8.0, None, "P1W", "UTC", 0.0)])
@example(first=(None, "P1M"), restarts=[(1.0, 12.0, "P1M", BERLIN, 0.0), (1.0, None, "P1M", BERLIN, 0.0)])
@settings(max_examples=dose(40, full=2_000), deadline=None)
def test_no_boundary_that_has_passed_is_moved(
    first: tuple[float | None, str], restarts: list[tuple[float, float | None, str, str, float]]
) -> None:
    """Orders that move anchor, period or zone at random instants leave every boundary up to then where it was.

    From when it takes effect, or from its anchor where that lies ahead, boundaries are those of the order alone. Dated
    back, it takes effect when it was stated.
    """
    terms, at = placed(EMPTY, told(START, first[0], period=first[1], zone="UTC")), START
    for later, anchor, period, zone, shift in restarts:
        at += days(later)
        takes = at + days(max(0, shift))
        before = {feature: boundaries(terms, feature, to_instant(takes)) for _, feature in PERS}
        terms = placed(terms, told(at, anchor, period=period, zone=zone, effective_at=at + days(shift)))
        begins = START if anchor is None else at + days(anchor)
        since, until = to_instant(max(begins, takes)), to_instant(max(begins, takes) + days(100))
        for per, feature in PERS:
            was, now = before[feature], boundaries(terms, feature, to_instant(takes))
            # What is told of an anchor shortly before begins there; no other boundary is lost, moved or added.
            assert [one for one in now if one != str(begins) or one in was] == was, feature
            cycle = cycle_of(per, ZoneInfo(zone), to_instant(begins), parse_duration(period))
            assert cycle is not None
            ahead = [one for one in boundaries(terms, feature, until) if one >= str(to_datetime(since))]
            assert ahead == [str(to_datetime(one)) for one in cycle.starts(since, until)], feature


def told(at: datetime, anchor: float | None, **more: Any) -> OrderDocument:
    """An order whose anchor lies so many days after it; None: it names none."""
    return order(at, **more) if anchor is None else order(at, anchor=at + days(anchor), **more)


def test_weeks_that_would_have_begun_are_not_begun_afterwards() -> None:
    """An order of 8 February bills by weeks counted from 31 January: the first one begins on the 14th, none before."""
    later = START + days(8)
    terms = placed(placed(EMPTY, order(START)), order(later, period="P1W"))
    assert days_of(terms, "disk", 25) == ["2026-01-31", "2026-02-14", "2026-02-21"]
    period = period_at(only(terms), to_instant(later), UTC)
    assert period is not None
    assert [str(to_datetime(one))[:10] for one in period] == ["2026-01-31", "2026-02-14"]


def test_months_that_would_have_begun_are_not_begun_afterwards() -> None:
    """An order of 29 March names an anchor just after 28 February: the month that runs began then and goes on."""
    february, march = datetime(2026, 2, 28, 11, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)
    terms = placed(placed(EMPTY, order(START)), order(march, anchor=february))
    assert days_of(terms, "api", 95) == ["2026-01-31", "2026-02-28", "2026-04-28"]


def test_days_of_a_zone_that_was_only_planned_are_not_begun_afterwards() -> None:
    """Berlin's clock was to count from an anchor ahead; told to count at once, the days that have passed stay UTC's."""
    planned = placed(
        placed(EMPTY, order(START, zone="UTC")), order(START + days(1), zone=BERLIN, anchor=START + days(9))
    )
    terms = placed(planned, order(START + days(2), zone=BERLIN))
    midnights = [at[8:16] for at in boundaries(terms, "daily", to_instant(START + days(4)))]
    assert midnights == ["01 00:00", "02 00:00", "02 23:00", "03 23:00"]


def test_an_order_that_is_dated_back_restarts_when_it_was_stated() -> None:
    """Stated in April to be in force since 5 February, also by its anchor: the months of February and March remain."""
    february, april = datetime(2026, 2, 5, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC)
    terms = placed(placed(EMPTY, order(START)), order(april, effective_at=february, anchor=february))
    assert days_of(terms, "api", 100) == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-05", "2026-05-05"]


def test_an_anchor_that_is_put_off_leaves_nothing_where_it_was() -> None:
    """A trial's end is put off by two weeks: its allowance is whole again at the new end, not at the one of before."""
    terms = placed(EMPTY, order(START, anchor=START + days(14)))
    terms = placed(terms, order(START + days(6), anchor=START + days(28)))
    assert days_of(terms, "api", 60) == ["2026-01-31", "2026-02-28", "2026-03-28"]


def days_of(terms: Terms, feature: str, count: float) -> list[str]:
    """The days on which periods begin, within so many days of the start."""
    return [at[:10] for at in boundaries(terms, feature, to_instant(START + days(count)))]


def test_a_second_restart_leaves_the_first_one() -> None:
    """After restarts in March and in May the boundaries are those of each time, and each remains one."""
    first = placed(EMPTY, order(START))
    march, may = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 5, 20, 12, tzinfo=UTC)
    second = placed(first, order(march, anchor=march))
    third = placed(second, order(may, anchor=may))
    assert [at[:10] for at in boundaries(third, "api", to_instant(datetime(2026, 7, 1, tzinfo=UTC)))] == [
        *("2026-01-31", "2026-02-28", "2026-03-10", "2026-04-10", "2026-05-10"),
        *("2026-05-20", "2026-06-20"),
    ]
    again = placed(third, order(may + days(1), anchor=may))
    assert rhythms_of(only(again)) == rhythms_of(only(third))


def only(terms: Terms) -> Subscription:
    """The one subscription."""
    (found,) = terms.subscriptions
    return found


def test_an_anchor_of_long_ago_shifts_what_is_to_come() -> None:
    """An order of April names the 15th: the period that runs ends on 15 April, and it is shown so."""
    april = datetime(2026, 4, 2, tzinfo=UTC)
    terms = placed(placed(EMPTY, order(START)), order(april, anchor=datetime(2026, 1, 15, tzinfo=UTC)))
    told = [at[:10] for at in boundaries(terms, "api", to_instant(datetime(2026, 6, 1, tzinfo=UTC)))]
    assert told == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-15", "2026-05-15"]
    period = period_at(only(terms), to_instant(april), UTC)
    assert period is not None
    assert [str(to_datetime(one))[:10] for one in period] == ["2026-03-31", "2026-04-15"]
    early = period_at(only(terms), to_instant(START) + 1, UTC)
    assert early is not None
    assert str(to_datetime(early[1]))[:10] == "2026-02-28"


def test_a_restart_that_was_planned_and_taken_back_leaves_nothing() -> None:
    """An anchor that lies ahead is no boundary any more once a later order names another one before it came."""
    terms = placed(placed(EMPTY, order(START)), order(START + days(5), anchor=START + days(20)))
    terms = placed(terms, order(START + days(6), anchor=START))
    assert [at[:10] for at in boundaries(terms, "api", to_instant(START + days(40)))] == ["2026-01-31", "2026-02-28"]


def test_the_oldest_ways_of_counting_are_forgotten_beyond_a_bound() -> None:
    """However often a period is restarted, the document stays bounded, and what was newest stays."""
    terms = placed(EMPTY, order(START))
    for number in range(1, MAX_RHYTHMS + 10):
        at = START + days(number)
        terms = placed(terms, order(at, anchor=at))
    assert len(only(terms).rhythms) == MAX_RHYTHMS
    assert boundaries(terms, "api", to_instant(at + days(1)))[-2:] == [str(at - days(1)), str(at)]
