"""Placing orders: newest wins, whatever arrives when; payments are merged; what is odd becomes a finding."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.orders import OrderDocument, PaymentNotice, Placement
from licet.core.placement import place_order, record_payments
from licet.core.standing import standing_at
from licet.core.terms import MAX_PAYMENTS, Item, Subscription, Terms
from tests.core.worlds import COMPILED, at, day
from tests.dose import dose

EMPTY = Terms(customer="acme")


def order(when: float, *lines: dict[str, Any], **more: Any) -> OrderDocument:
    """An order of the shop for its subscription s1."""
    document = {
        "source": "shop",
        "external_id": "s1",
        "customer": {"external_id": "cus_1"},
        "occurred_at": day(when),
        "lines": list(lines) or [{"price": "price_team", "quantity": 5, "line": "li_1"}],
    }
    return msgspec.convert({**document, **more}, OrderDocument)


def place(terms: Terms, document: OrderDocument) -> Placement:
    """Place an order as the service does."""
    return place_order(COMPILED, terms, document, subscription_id="sub_1", event="ord_1")


def notice(*facts: tuple[str, float, str]) -> PaymentNotice:
    """Payment facts about s1."""
    payments = [{"kind": kind, "at": day(when), "invoice": invoice} for kind, when, invoice in facts]
    document = {"source": "shop", "external_id": "s1", "customer": {"external_id": "cus_1"}, "payments": payments}
    return msgspec.convert(document, PaymentNotice)


def only(placement: Placement) -> Subscription:
    """The one subscription after a placement."""
    assert len(placement.terms.subscriptions) == 1
    return placement.terms.subscriptions[0]


def kinds(placement: Placement) -> list[str]:
    """The kinds of the findings."""
    return [finding.kind for finding in placement.findings]


def test_a_first_order_begins_a_subscription() -> None:
    """The price is mapped, the quantity counts seats, the version is the one on sale at the order's own time."""
    placed = place(EMPTY, order(1))
    item = Item(kind="plan", id="team", version="2026-01", quantity=5, quantity_of="editor", line="li_1")
    assert placed.outcome == "applied"
    assert only(placed).phases[0].items == (item,)
    assert only(placed).phases[0].starts_at == day(1)
    assert place(EMPTY, order(10)).terms.subscriptions[0].phases[0].items[0].version == "2026-04"


def test_an_item_that_stays_keeps_its_version() -> None:
    """A later order with more seats and an add-on begins a phase; the plan stays on the version first bought."""
    first = place(EMPTY, order(1))
    lines = ({"price": "price_team", "quantity": 9, "line": "li_1"}, {"price": "price_boost", "line": "li_2"})
    second = place(first.terms, order(20, *lines))
    assert [phase.starts_at for phase in only(second).phases] == [day(1), day(20)]
    plan, boost = only(second).phases[1].items
    assert (plan.version, plan.quantity, boost.id) == ("2026-01", 9, "boost")


def test_the_same_order_again_changes_nothing() -> None:
    """A repeated order is a duplicate; an older one is stale; one as new that differs is a conflict with a finding."""
    placed = place(EMPTY, order(5, sequence=1))
    assert place(placed.terms, order(5, sequence=1)).outcome == "duplicate"
    assert place(placed.terms, order(5, sequence=1)).terms == placed.terms
    assert place(placed.terms, order(4)).outcome == "stale"
    assert place(placed.terms, order(4)).terms == placed.terms
    other = place(placed.terms, order(5, {"plan": "free"}, sequence=1))
    assert (other.outcome, kinds(other), other.terms) == ("conflict", ["order_conflict"], placed.terms)
    assert place(placed.terms, order(5, {"plan": "free"}, sequence=2)).outcome == "applied"


def test_a_stale_order_still_brings_its_payments() -> None:
    """Payment facts of an old order are merged; nothing else of it is."""
    placed = place(EMPTY, order(5))
    fact = {"kind": "failed", "at": day(2), "invoice": "in_1"}
    late = place(placed.terms, order(4, {"plan": "free"}, payments=[fact]))
    assert late.outcome == "stale"
    assert [one.invoice for one in only(late).payments] == ["in_1"]
    assert only(late).phases == only(placed).phases


def test_payments_may_come_first() -> None:
    """A fact that arrives before its subscription waits, decides nothing, and counts once the order is there."""
    waiting = record_payments(COMPILED, EMPTY, notice(("failed", 3, "in_1")))
    assert (waiting.outcome, waiting.subscription) == ("applied", None)
    assert record_payments(COMPILED, waiting.terms, notice(("failed", 3, "in_1"))).outcome == "duplicate"
    placed = place(waiting.terms, order(1))
    assert placed.terms.early_payments == ()
    assert standing_at(only(placed), COMPILED, at(4)).kind == "grace"


def test_a_payment_after_the_end_is_a_finding() -> None:
    """What non-payment ended stays ended; the payment that comes too late is told."""
    unpaid = place(EMPTY, order(1, payments=[{"kind": "failed", "at": day(2), "invoice": "in_1"}]))
    paid = record_payments(COMPILED, unpaid.terms, notice(("paid", 30, "in_1")))
    assert kinds(paid) == ["paid_after_end"]
    assert standing_at(only(paid), COMPILED, at(31)).kind == "ended"
    assert kinds(record_payments(COMPILED, unpaid.terms, notice(("paid", 3, "in_1")))) == []


def test_what_means_nothing_is_left_out() -> None:
    """An unknown price is a finding and left out; with no line left nothing is placed."""
    placed = place(EMPTY, order(1, {"price": "price_team"}, {"price": "price_new"}))
    assert (placed.outcome, kinds(placed), len(only(placed).phases[0].items)) == ("applied", ["unknown_price"], 1)
    refused = place(EMPTY, order(1, {"price": "price_new"}, {"plan": "gone"}, {"plan": "free", "addon": "lab"}))
    assert refused.outcome == "refused"
    assert refused.terms == EMPTY
    assert kinds(refused) == ["unknown_price", "unknown_item", "unclear_line"]


def test_bundles_are_their_parts() -> None:
    """A bundle becomes its plan and add-ons, each knowing the bundle and the line."""
    items = only(place(EMPTY, order(1, {"price": "price_suite", "line": "li_9"}))).phases[0].items
    assert [(item.kind, item.id, item.bundle, item.line) for item in items] == [
        ("plan", "business", "suite", "li_9"),
        ("addon", "lab", "suite", "li_9"),
    ]


def test_broken_combinations_are_accepted_and_told() -> None:
    """An add-on without what it requires is placed, with a finding; so is a purchase from before all sale."""
    placed = place(EMPTY, order(1, {"plan": "free"}, {"addon": "boost", "quantity": 6}))
    assert placed.outcome == "applied"
    assert [finding.subject for finding in placed.findings] == [
        "shop:s1/maximum/boost",
        "shop:s1/requires/boost",
    ]
    early = place(EMPTY, order(-400, {"plan": "team"}))
    assert kinds(early) == ["bought_before_sale"]
    assert only(early).phases[0].items[0].version == "2026-01"


def test_a_stated_or_dated_version_is_taken() -> None:
    """A line may pin a version, or say when it was bought; an unknown version is a finding."""
    pinned = place(EMPTY, order(1, {"plan": "team", "version": "2026-04"}))
    assert only(pinned).phases[0].items[0].version == "2026-04"
    dated = place(EMPTY, order(20, {"plan": "team", "bought_at": day(1)}))
    assert only(dated).phases[0].items[0].version == "2026-01"
    wrong = place(EMPTY, order(1, {"plan": "team", "version": "1999"}))
    assert (kinds(wrong), only(wrong).phases[0].items[0].version) == (["unknown_version"], "2026-01")


def test_trials_without_an_end_last_as_the_plan_says() -> None:
    """A trial that only has a start ends after the plan version's own length."""
    placed = only(place(EMPTY, order(1, trial_start=day(1), trial_end_behavior="fall")))
    assert placed.trial_end == day(15)
    assert standing_at(placed, COMPILED, at(14)).kind == "trialing"


def test_pausing_and_resuming() -> None:
    """An order that is paused opens a pause at its time, one that is not closes it; a trial's pause is resumed too."""
    paused = place(place(EMPTY, order(1)).terms, order(10, paused=True))
    resumed = place(paused.terms, order(15, paused=False))
    states = [standing_at(only(resumed), COMPILED, at(when)).kind for when in (9, 10, 14, 15)]
    assert states == ["active", "paused", "paused", "active"]
    trial = {"trial_end": day(5), "trial_end_behavior": "pause"}
    begun = place(EMPTY, order(1, **trial))
    for when in (8, 9):
        begun = place(begun.terms, order(when, paused=False, **trial))
    states = [standing_at(only(begun), COMPILED, at(when)).kind for when in (4, 5, 7, 8, 30)]
    assert states == ["trialing", "paused", "paused", "active", "active"]


def test_hostile_names_become_findings() -> None:
    """A zone or period that cannot be read is told and left out, so that the customer can still be asked about."""
    placed = place(EMPTY, order(1, zone="Mars/Olympus", period="now and then"))
    assert sorted(kinds(placed)) == ["unknown_period", "unknown_zone"]
    assert (only(placed).zone, only(placed).period) == (None, "P1M")


def test_terms_never_outgrow_their_document() -> None:
    """More payment facts than a document may hold are refused whole, with a finding."""
    terms = place(EMPTY, order(1)).terms
    for block in range(MAX_PAYMENTS // 200):
        facts = [("failed", 2 + block / 100, f"in_{block}_{number}") for number in range(200)]
        terms = record_payments(COMPILED, terms, notice(*facts)).terms
    full = record_payments(COMPILED, terms, notice(("failed", 3, "in_more")))
    assert (full.outcome, kinds(full), full.terms) == ("refused", ["terms_full"], terms)
    assert msgspec.json.decode(msgspec.json.encode(terms), type=Terms) == terms


@settings(max_examples=dose(100), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["free", "team", "business"]), st.integers(1, 3), st.booleans()),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[0],
    ),
    st.randoms(use_true_random=False),
)
def test_arrival_order_means_nothing(given_orders: list[tuple[int, str, int, bool]], random: Any) -> None:
    """Orders that say when an item was bought, arriving in any order and twice, lead to the same items and dates."""
    orders = [
        order(
            when,
            {"plan": plan, "quantity": quantity, "bought_at": day(0)},
            starts_at=day(0),
            ends_at=day(50) if ends else None,
            payments=[{"kind": "failed", "at": day(when), "invoice": f"in_{when}"}],
        )
        for when, plan, quantity, ends in given_orders
    ]
    sorted_out, shuffled = EMPTY, EMPTY
    for one in sorted(orders, key=lambda one: one.occurred_at):
        sorted_out = place(sorted_out, one).terms
    arrivals = orders * 2
    random.shuffle(arrivals)
    for one in arrivals:
        shuffled = place(shuffled, one).terms
    first, second = sorted_out.subscriptions[0], shuffled.subscriptions[0]
    assert second.phases[-1].items == first.phases[-1].items
    assert (second.ends_at, second.payments, second.occurred_at) == (first.ends_at, first.payments, first.occurred_at)
