"""Periods that are restarted: what is to come is counted anew, no boundary that has passed is ever moved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import Recurrence
from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.orders import OrderDocument
from licet.core.placement import place_order
from licet.core.rhythm import rhythms_of
from licet.core.terms import MAX_RHYTHMS, Subscription, Terms
from licet.core.upcoming import period_at
from licet.core.usage.allowance import allowances
from licet.core.usage.period import starts_of
from tests.core.usage.courses import VENDOR
from tests.dose import dose

START = datetime(2026, 1, 31, 10, tzinfo=UTC)
EMPTY = Terms(customer="acme")
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


RESTARTS = st.lists(
    st.tuples(
        st.floats(0.01, 90),
        st.sampled_from([None, -400.0, -40.0, -3.0, -0.001, 0.0, 0.5, 12.0]),
        st.sampled_from(["P1M", "P1M", "P1W", "P1Y"]),
        st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"]),
    ),
    min_size=1,
    max_size=6,
)


@given(restarts=RESTARTS)
@settings(max_examples=dose(40, full=2_000), deadline=None)
def test_no_boundary_that_has_passed_is_moved(restarts: list[tuple[float, float | None, str, str]]) -> None:
    """Orders that move anchor, period or zone at random instants leave every boundary up to then where it was."""
    terms, at = placed(EMPTY, order(START, zone="UTC")), START
    for later, anchor, period, zone in restarts:
        at += days(later)
        before = {feature: boundaries(terms, feature, to_instant(at)) for _, feature in PERS}
        more = {} if anchor is None else {"anchor": at + days(anchor)}
        terms = placed(terms, order(at, period=period, zone=zone, **more))
        for feature, was in before.items():
            now = boundaries(terms, feature, to_instant(at))
            # What is told of an anchor shortly before begins there; no boundary is lost or moved by it.
            added = [one for one in now if one not in was]
            assert [one for one in now if one in was] == was, feature
            assert len(added) <= (1 if anchor is not None and anchor < 0 else 0), (feature, added)


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
