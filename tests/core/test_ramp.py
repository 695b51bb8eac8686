"""What an order plans for later, what a foreign system plans apart from orders, and what is at stake in findings."""

from typing import Any

import msgspec
import pytest

from licet.core.money import Money
from licet.core.orders import OrderDocument, Placement
from licet.core.placement import record_payments
from licet.core.scheduling import record_schedule
from licet.core.terms import Subscription, Terms
from tests.core.test_placement import EMPTY, kinds, notice, only, order, place
from tests.core.worlds import COMPILED, day
from tests.services.arrivals import plan, step

TEAM: dict[str, Any] = {"price": "price_team", "quantity": 5, "line": "li_1"}
EURO = {"amount": 4900, "currency": "EUR"}


def contents(subscription: Subscription) -> list[tuple[object, list[tuple[str, str, int]]]]:
    """From when, which versions and quantities."""
    return [
        (phase.starts_at, [(item.id, item.version, item.quantity) for item in phase.items])
        for phase in subscription.phases
    ]


def planned(terms: Terms, *steps: dict[str, Any], when: float = 5, **more: Any) -> Placement:
    """Record a plan."""
    return record_schedule(COMPILED, terms, plan(when, *steps, **more), event="evt_plan")


def test_a_ramp_is_phases_in_versions_agreed_on_when_it_was_ordered() -> None:
    """Seats rise by the plan; what stays keeps its version, what comes was bought when agreed or when the line says."""
    ramp = [
        step(10, {**TEAM, "quantity": 9}, {"addon": "lab"}),
        step(20, {"plan": "free"}),
        step(30, {**TEAM, "bought_at": day(8)}, {"plan": "free"}),
        step(40),
    ]
    placed = place(EMPTY, order(1, TEAM, scheduled=ramp))
    assert contents(only(placed)) == [
        (day(1), [("team", "2026-01", 5)]),
        (day(10), [("team", "2026-01", 9), ("lab", "1", 1)]),
        (day(20), [("free", "2026-01", 1)]),
        (day(30), [("team", "2026-04", 5), ("free", "2026-01", 1)]),
        (day(40), []),
    ]


def test_a_step_that_sells_nothing_is_told() -> None:
    """Planned without lines, the subscription will give nothing: a finding, unless it has ended by then."""
    (found,) = place(EMPTY, order(1, TEAM, scheduled=[step(10)])).findings
    assert (found.kind, found.subject) == ("nothing_sold", f"shop:s1/{day(10).isoformat()}")
    assert place(EMPTY, order(1, TEAM, scheduled=[step(10)], ends_at=day(10))).findings == ()


def test_a_newer_order_replaces_what_was_planned_from_its_effect_on() -> None:
    """Steps before a newer order's effect stay, later ones fall away; what it plans again keeps the planned version."""
    first = place(EMPTY, order(1, {"plan": "free"}, scheduled=[step(10, TEAM), step(20, {**TEAM, "quantity": 9})]))
    between = place(first.terms, order(12, {**TEAM, "quantity": 6}))
    assert [starts for starts, _ in contents(only(between))] == [day(1), day(10), day(12)]
    again = place(first.terms, order(9, {"plan": "free"}, scheduled=[step(11, TEAM)]))
    assert contents(only(again))[1:] == [(day(11), [("team", "2026-01", 5)])]
    assert contents(only(place(first.terms, order(9, {"plan": "free"})))) == [(day(1), [("free", "2026-01", 1)])]


def test_a_step_without_meaning_changes_nothing() -> None:
    """An unknown price in a plan is a finding with its money, and what was in force goes on; so does a repetition."""
    steps = [step(10, {"price": "price_new", "money": EURO}), step(20, TEAM), step(30, {"plan": "business"})]
    placed = place(EMPTY, order(1, TEAM, scheduled=steps))
    assert [starts for starts, _ in contents(only(placed))] == [day(1), day(30)]
    (found,) = placed.findings
    assert (found.kind, found.customer, found.money) == ("unknown_price", "acme", Money(amount=4900, currency="EUR"))


def test_a_rule_that_a_step_breaks_is_told_once() -> None:
    """A combination that only the plan breaks is a finding of the order that plans it, not of the ones after it."""
    steps = [step(10, {"plan": "free"}, {"addon": "seats"}), step(20, TEAM, {"addon": "seats"})]
    placed = place(EMPTY, order(1, TEAM, {"addon": "seats"}, scheduled=steps))
    assert [one.subject for one in placed.findings] == ["shop:s1/excludes/seats"]
    assert kinds(place(placed.terms, order(2, TEAM, {"addon": "seats"}, scheduled=steps, region="eu"))) == []


def test_the_plan_of_a_trial_is_that_of_the_lines() -> None:
    """How long a trial lasts and what follows is said by what is sold now, not by what is planned for later."""
    placed = only(place(EMPTY, order(1, TEAM, trial_start=day(1), scheduled=[step(30, {"plan": "business"})])))
    assert (placed.trial_end, placed.trial_end_behavior) == (day(15), "fall")


def test_a_schedule_is_replaced_by_a_newer_one_only() -> None:
    """Newest statement wins; the same is a duplicate, an older one stale, a tie with other content a finding."""
    terms = place(EMPTY, order(1)).terms
    first = planned(terms, step(20, {**TEAM, "quantity": 9}))
    assert first.outcome == "applied"
    assert only(first).schedule is not None
    assert planned(first.terms, step(20, {**TEAM, "quantity": 9})).outcome == "duplicate"
    older = planned(first.terms, step(20, {"plan": "free"}), when=4)
    assert (older.outcome, older.terms) == ("stale", first.terms)
    tie = planned(first.terms, step(20, {"plan": "free"}))
    assert (tie.outcome, kinds(tie), tie.terms) == ("conflict", ["schedule_conflict"], first.terms)
    assert planned(first.terms, step(20, {"plan": "free"}), sequence=1).outcome == "applied"
    gone = only(planned(first.terms, when=6)).schedule
    assert gone is not None
    assert gone.phases == ()


def test_a_schedule_that_cannot_be_recorded_leaves_nothing() -> None:
    """Without its subscription, without any meaning, and after a final order a schedule changes nothing."""
    assert planned(EMPTY, step(20, TEAM)).outcome == "refused"
    terms = place(EMPTY, order(1)).terms
    unknown = planned(terms, step(20, {"price": "price_new"}))
    assert (unknown.outcome, kinds(unknown), unknown.terms) == ("refused", ["unknown_price"], terms)
    ended = place(terms, order(3, ends_at=day(3), final=True)).terms
    assert (planned(ended, step(20, TEAM)).outcome, planned(ended, step(20, TEAM)).terms) == ("stale", ended)


def test_a_refused_order_keeps_its_payments() -> None:
    """Facts of an order without meaning are merged, or wait for the subscription; nothing else of it stays."""
    paid = [{"kind": "paid", "at": day(2), "invoice": "in_1"}]
    unknown = order(2, {"price": "price_new"}, payments=paid)
    waiting = place(EMPTY, unknown)
    assert (waiting.outcome, len(waiting.terms.early_payments)) == ("refused", 1)
    known = place(place(EMPTY, order(1)).terms, unknown)
    assert (known.outcome, len(only(known).payments), len(only(known).phases)) == ("refused", 1, 1)
    stale = place(place(EMPTY, order(3)).terms, unknown)
    assert (stale.outcome, len(only(stale).payments)) == ("refused", 1)


@pytest.mark.parametrize("turned", [False, True])
def test_the_larger_amount_of_one_fact_is_kept(*, turned: bool) -> None:
    """Facts that differ in their amount alone are one fact; a due date that is stated again is another."""
    facts = [
        {"kind": "failed", "at": day(2), "invoice": "in_1"},
        {"kind": "failed", "at": day(2), "invoice": "in_1", "money": EURO},
        {"kind": "failed", "at": day(2), "invoice": "in_1", "money": {**EURO, "amount": 100}},
        {"kind": "due", "at": day(9), "invoice": "in_2", "stated_at": day(1)},
        {"kind": "due", "at": day(9), "invoice": "in_2", "stated_at": day(2)},
    ]
    terms = EMPTY
    for one in facts[::-1] if turned else facts:
        terms = place(terms, order(1, payments=[one])).terms
    assert [(one.kind, one.money) for one in terms.subscriptions[0].payments] == [
        ("failed", Money(amount=4900, currency="EUR")),
        ("due", None),
        ("due", None),
    ]


def test_what_is_owed_and_what_came_too_late_is_told_with_its_money() -> None:
    """A seller's word against its own facts tells the sum; a late payment is told once, with its own."""
    facts = [
        {"kind": "failed", "at": day(2), "invoice": "in_1", "money": EURO},
        {"kind": "due", "at": day(3), "invoice": "in_2", "stated_at": day(1), "money": {**EURO, "amount": 100}},
        {"kind": "due", "at": day(1), "invoice": "in_3", "stated_at": day(5), "money": EURO},
    ]
    terms = place(EMPTY, order(1, payments=facts)).terms
    (owed,) = place(terms, order(4, paid_up=True)).findings
    assert (owed.kind, owed.evidence["invoices"]) == ("payment_state_differs", ["in_1", "in_2"])
    assert owed.money == Money(amount=5000, currency="EUR")
    late = notice(("paid", 30, "in_1"))
    late = msgspec.structs.replace(late, payments=(msgspec.structs.replace(late.payments[0], money=owed.money),))
    told = record_payments(COMPILED, terms, late)
    assert [(one.kind, one.money) for one in told.findings] == [("paid_after_end", owed.money)]
    assert kinds(record_payments(COMPILED, told.terms, notice(("paid", 31, "in_2")))) == ["paid_after_end"]
    assert kinds(place(told.terms, order(5))) == []


def test_a_final_order_is_newer_than_any_other() -> None:
    """What is dated later is stale and brings its payments; another final one is ranked by time."""
    terms = place(EMPTY, order(5, ends_at=day(5), final=True)).terms
    later = place(terms, order(9, {"plan": "free"}, payments=[{"kind": "paid", "at": day(9), "invoice": "in_1"}]))
    assert (later.outcome, len(only(later).payments), only(later).phases) == ("stale", 1, terms.subscriptions[0].phases)
    assert place(terms, order(6, ends_at=day(6), final=True)).outcome == "applied"
    assert place(terms, order(4, ends_at=day(4), final=True)).outcome == "stale"


def test_core_takes_any_scheduled_lines() -> None:
    """Steps out of order, or before the start, are laid out all the same: what begins last is in force."""
    document: OrderDocument = order(1, TEAM, starts_at=day(9), scheduled=[step(12, TEAM), step(3, {"plan": "free"})])
    assert contents(only(place(EMPTY, document))) == [
        (day(9), [("free", "2026-01", 1)]),
        (day(12), [("team", "2026-01", 5)]),
    ]
