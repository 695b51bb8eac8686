"""Remedies about allowances that are released in parts: what they promise is there on the course of the balance."""

from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.case import Ask, Case
from licet.core.catalog import Catalog
from licet.core.change import World
from licet.core.compiled import UNBOUNDED, compile_catalog
from licet.core.decision import Decision, decide
from licet.core.derive import derive
from licet.core.instalment import first_part
from licet.core.instant import DAY
from licet.core.remedy import apply_remedy
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.balance import Use
from licet.core.usage.course import course_of
from licet.core.usage.facts import AccountKey
from licet.core.usage.outlook import Asker, asked_of
from tests.core.usage.till import NOW, terms
from tests.dose import dose

SHOP = """
{"version": 1, "products": {"p": {}}, "meters": {"sms": {"event": "sms"}},
 "features": {"sms": {"type": "metered", "meter": "sms", "per": "month", "at_limit": "block"}},
 "plans": {
  "month": {"product": "p", "versions": {"2026-01": {"includes": {"sms": 100}}}},
  "year": {"product": "p", "versions": {"2026-01": {"includes": {
    "sms": {"amount": 1200, "per": "year", "release": "month"}}}}},
  "quarters": {"product": "p", "versions": {"2026-01": {"includes": {
    "sms": {"amount": 2000, "per": "year", "release": "quarter"}}}}}},
 "addons": {"more": {"requires": ["month", "year"], "includes": {
    "sms": {"amount": 600, "per": "year", "release": "month"}}}}}
"""
CATALOG = compile_catalog(msgspec.json.decode(SHOP, type=Catalog), 1, ZoneInfo, ZoneInfo("UTC"))


def spent(bought: Terms, used: int) -> Account:
    """The balance of who bought something, on its real course, with so much of it used the day before."""
    account = Account(course_of(CATALOG, bought, (), AccountKey("acme", "sms"), NOW + 400 * DAY))
    if used:
        account.admit_use(Use(id="1", effective=NOW - DAY, amount=used))
    return account


def asked(bought: Terms, used: int, quantity: int) -> tuple[Decision, Ask]:
    """The decision about so much more, by what the balance holds."""
    entitlements = derive(CATALOG, bought, NOW)
    span = entitlements.span("sms")
    ask = asked_of(spent(bought, used).room(NOW), quantity, None, None)
    return decide(Case(CATALOG, "acme", "sms", span.start, span.end, bought, entitlements), ask), ask


@pytest.mark.parametrize(
    ("plan", "used", "quantity", "steps"),
    [
        # One of four parts is there, 500: twice the amount of the year would bring 500 more, not 2,000.
        ("quarters", 500, 600, {"raise_quantity": 3}),
        # Two of twelve parts are there, 100 each: an add-on brings its first part, 50.
        ("year", 200, 1000, {"add_addon": 20}),
        ("year", 150, 60, {"lower_quantity": 50}),
        ("year", 200, 50, {"add_addon": 1}),
        ("month", 100, 60, {"add_addon": 2}),
    ],
)
def test_a_part_is_promised_not_the_whole(plan: str, used: int, quantity: int, steps: dict[str, int]) -> None:
    """A remedy counts on the part that is there at once."""
    remedy = asked(terms(plan), used, quantity)[0].remedy(NOW)
    assert remedy is not None
    assert {one.kind: one.get("quantity") for one in remedy.steps} == steps


@settings(max_examples=dose(60), deadline=None)
@given(st.sampled_from(["month", "year", "quarters"]), st.integers(0, 600), st.integers(1, 4000))
def test_remedies_hold_on_the_course(plan: str, used: int, quantity: int) -> None:
    """After a remedy the balance, counted anew on the course of what is held then, permits the question."""
    bought = terms(plan)
    decision, ask = asked(bought, used, quantity)
    remedy = decision.remedy(NOW)
    if remedy is None or remedy.kind in ("wait", "ask_override"):
        return
    after = apply_remedy(World(CATALOG, bought, "sms", ask, NOW), remedy)
    room = spent(after.terms, used).room(NOW)
    assert Asker(Snapshot(CATALOG, after.terms)).permits("sms", after.ask.quantity, room, NOW), remedy


def test_first_parts() -> None:
    """What is there at first is the amount over its parts; of a billing period nothing is promised."""
    assert first_part(1200, "year", "month") == 100
    assert first_part(1205, "year", "quarter") == 301
    assert first_part(1200, "year", None) == 1200
    assert first_part(UNBOUNDED, "year", "month") == UNBOUNDED
    assert first_part(1200, "period", "month") == 0


@pytest.mark.parametrize(("plans", "per"), [(("month",), "month"), (("year",), "year"), (("month", "year"), "month")])
def test_a_limit_says_how_often_it_is_whole(plans: tuple[str, ...], per: str) -> None:
    """A limit tells the period of what is held; where that is several, the feature's own."""
    limit = asked(terms(*plans), 0, 1)[0].limit
    assert limit is not None
    assert limit.per == per
