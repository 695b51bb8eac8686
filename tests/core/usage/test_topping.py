"""Automatic top-ups come where little is left, once for each batch, within their ceiling of the month."""

from zoneinfo import ZoneInfo

import pytest

from licet.core.instant import BEGINNING, Duration, Instant, parse_duration, parse_instant
from licet.core.usage.course import TopUp
from licet.core.usage.facts import Funding, GrantGiven
from licet.core.usage.topping import month_start
from tests.core.usage.till import Shop, want

BERLIN = ZoneInfo("Europe/Berlin")


def shop(used: int, *, most: int = 1000, lasts: Duration | None = None, at: Instant = BEGINNING) -> Shop:
    """A customer with a rule for calls: below 100, put 300 on it."""
    found = Shop(calls=500)
    found.rules["calls"] = TopUp(at, "fnd_1", 100, 300, most, lasts)
    found.till("calls").used = used
    return found


def given(
    amount: int, effective: Instant, *, cause: str = "top_up", feature: str = "calls", holder: str = ""
) -> Funding:
    """Something put on a balance before."""
    doc = GrantGiven(amount=amount, effective=effective, cause=cause)  # type: ignore[arg-type]
    return Funding(id="grt_1", feature=feature, holder=holder, doc=doc)


def test_little_left_is_topped_up() -> None:
    """Once less than the bound is left one top-up comes, after everything decided; at the bound none does."""
    little = shop(390)
    assert little.admit(want("calls", 10)).top_ups == []
    told = little.admit(want("calls", 1), want("calls", 98)).top_ups
    assert [(one.key.feature, one.rule, one.grant.amount, one.grant.cause) for one in told] == [
        ("calls", "fnd_1", 300, "top_up")
    ]
    assert told[0].grant.effective > max(one.effective for one in little.till("calls").taken)
    assert told[0].grant.expires is None


def test_a_refusal_for_want_of_an_amount_tops_up() -> None:
    """What is refused because little is left is followed by a top-up; where enough is left, or no right, by none."""
    assert [one.grant.amount for one in shop(500).admit(want("calls", 1)).top_ups] == [300]
    assert len(shop(450).admit(want("calls", 51), want("calls", 60)).top_ups) == 1
    assert shop(400).admit(want("calls", 101)).top_ups == []
    assert shop(500).admit(want("calls", 1, ("extra", 1))).top_ups == []


@pytest.mark.parametrize(("spent", "comes"), [(0, True), (700, True), (701, False)])
def test_the_ceiling_of_a_month(spent: int, *, comes: bool) -> None:
    """The top-ups of a calendar month never exceed what was agreed to; other grants and other months do not count."""
    low = shop(450)
    low.funding = [
        given(spent, parse_instant("2026-08-02T00:00:00Z")),
        given(900, parse_instant("2026-07-31T21:59:59Z")),
        given(900, parse_instant("2026-08-02T00:00:00Z"), cause="manual"),
        given(900, parse_instant("2026-08-02T00:00:00Z"), feature="soft"),
        given(900, parse_instant("2026-08-02T00:00:00Z"), holder="user:ann"),
    ]
    assert bool(low.admit(want("calls", 1)).top_ups) is comes


def test_a_rule_that_ended() -> None:
    """A rule of 0 is none, nor is one that has not begun; what is unlimited needs none."""
    over = shop(450)
    over.rules["calls"] = TopUp(BEGINNING, "fnd_2", 100, 0, 0)
    over.tills.clear()
    over.till("calls").used = 450
    assert over.admit(want("calls", 1)).top_ups == []
    assert shop(450, at=parse_instant("2027-01-01T00:00:00Z")).admit(want("calls", 1)).top_ups == []
    boundless = Shop(calls=-1)
    boundless.rules["calls"] = TopUp(BEGINNING, "fnd_1", 100, 300, 1000)
    assert boundless.admit(want("calls", 1)).top_ups == []


def test_what_it_grants_may_end() -> None:
    """What a rule grants lasts as long as the rule says, on the customer's wall clock."""
    told = shop(450, lasts=parse_duration("P1M")).admit(want("calls", 1)).top_ups[0].grant
    assert told.expires is not None
    assert told.expires - told.effective == 31 * 24 * 3600 * 1_000_000


def test_a_month_begins_on_the_wall_clock() -> None:
    """A calendar month begins at midnight of its first day in the customer's zone."""
    at = parse_instant("2026-07-31T22:00:00Z")
    assert month_start(at, BERLIN) == at
    assert month_start(at - 1, BERLIN) == parse_instant("2026-06-30T22:00:00Z")
