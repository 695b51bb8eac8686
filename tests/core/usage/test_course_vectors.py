"""The language-neutral courses of balances: what catalog, terms and funding bring them, and when."""

from typing import Any

import msgspec
import pytest

from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant, parse_instant
from licet.core.terms import Terms
from licet.core.usage.course import Course, course_of
from licet.core.usage.facts import AccountKey, Funding
from licet.core.usage.grant import Grant
from tests.core.vectors import read_vectors

_INSTANTS = ("at", "effective", "expires", "consented_at")


def read_funding(given: dict[str, Any]) -> Funding:
    """Read one thing put on a balance; instants are written as times."""
    doc = {key: parse_instant(value) if key in _INSTANTS else value for key, value in given["doc"].items()}
    return msgspec.convert({**given, "doc": doc}, Funding)


def shown(instant: Instant) -> str | None:
    """Return an instant as vectors have it; null: never, or from the beginning."""
    return None if instant in (BEGINNING, FOREVER) else format_instant(instant)


def amount(value: int) -> int | str:
    """Return an amount in minor units as vectors have it."""
    return "unlimited" if value >= UNBOUNDED else value


def grant(one: Grant) -> dict[str, Any]:
    """Return a grant as vectors have it."""
    return {
        "id": one.id,
        "effective": shown(one.effective),
        "amount": amount(one.amount),
        "priority": one.priority,
        "expires": shown(one.expires),
        "voided": shown(one.voided),
        "rollover": [amount(one.rollover.least), amount(one.rollover.most)],
        "marks": [
            [shown(mark.at), mark.kind, amount(mark.amount)]
            + ([] if mark.rollover is None else [amount(mark.rollover.least), amount(mark.rollover.most)])
            for mark in one.marks
        ],
    }


def whole(course: Course) -> dict[str, Any]:
    """Return everything of a course as vectors have it."""
    window = course.window
    return {
        "opens": shown(course.opens),
        "grants": [grant(one) for one in course.grants],
        "resets": [shown(one) for one in course.resets],
        "next_reset": shown(course.next_reset),
        "bounds": [[shown(one.at), one.at_limit, one.overage_limit] for one in course.bounds],
        "window": None if window is None else [window.kind, window.length],
        "gauge": course.gauge,
        "carry": course.carry,
        "spend_limits": [[shown(at), limit] for at, limit in course.spend_limits],
        "top_ups": [[shown(one.at), one.rule, one.below, one.amount, one.most] for one in course.top_ups],
    }


def run(catalog: CompiledCatalog, case: dict[str, Any]) -> dict[str, Any]:
    """Return what a case comes to."""
    key = AccountKey("acme", case["feature"], case.get("holder", ""))
    funding = [read_funding(one) for one in case.get("funding", ())]
    terms = msgspec.convert(case["terms"], Terms)
    return whole(course_of(catalog, terms, funding, key, parse_instant(case["until"])))


def compare(catalog: CompiledCatalog, case: dict[str, Any]) -> None:
    """Compare what a case expects with what it comes to, and nothing else."""
    found, expected = run(catalog, case), case["expect"]
    assert {name: found[name] for name in expected} == expected


LINES, LINE_CASES = read_vectors("course/lines")
CALENDAR, CALENDAR_CASES = read_vectors("course/calendar")
FUNDED, FUNDED_CASES = read_vectors("course/funding")


@pytest.mark.parametrize("case", LINE_CASES)
def test_lines(case: dict[str, Any]) -> None:
    """What sources bring over time: changes of plan, version and quantity, trials, releases, limits."""
    compare(LINES, case)


@pytest.mark.parametrize("case", CALENDAR_CASES)
def test_calendar(case: dict[str, Any]) -> None:
    """When allowances are whole again: anchors, short months, clock changes, odd zones."""
    compare(CALENDAR, case)


@pytest.mark.parametrize("case", FUNDED_CASES)
def test_funding(case: dict[str, Any]) -> None:
    """What commands put on a balance, void, reset and bound."""
    compare(FUNDED, case)
