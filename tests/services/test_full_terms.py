"""Terms as large as they may be: what ends a subscription and what settles an invoice always has room."""

from datetime import timedelta

import pytest
from msgspec import structs

from licet.core.orders import OrderDocument, OrderLine
from licet.core.placement import record_payments
from licet.core.terms import MAX_PAYMENTS, MAX_PHASES, PaymentFact
from licet.services import history
from licet.services.errors import Invalid
from licet.services.history import PlacedOrder, check_room, fold_orders
from tests.core.worlds import COMPILED, day
from tests.services.arrivals import TEAM, World, fact, notice, order, told

SECOND = timedelta(seconds=1)


def full() -> World:
    """A subscription whose quantity changed as often as phases are kept."""
    world = told([order(0)])
    first = world.terms.subscriptions[0]
    (item,) = first.phases[0].items
    phases = tuple(
        structs.replace(
            first.phases[0],
            starts_at=day(0) + place * SECOND,
            items=(structs.replace(item, quantity=1 + place % 2),),
        )
        for place in range(MAX_PHASES)
    )
    subscription = structs.replace(first, phases=phases, occurred_at=phases[-1].starts_at)
    world.terms = structs.replace(world.terms, subscriptions=(subscription,))
    return world


def test_a_subscription_full_of_phases_can_be_ended_and_brought_back() -> None:
    """An order that ends it counts even if its lines are new, with a finding; one that only ends has none."""
    world = full()
    world.arrive(order(2, {**TEAM, "quantity": 9}))
    assert world.last is not None
    assert (world.last.outcome, world.findings) == ("refused", {("terms_full", "shop:s1")})
    before = world.terms.subscriptions[0].phases
    world.arrive(order(3, {**TEAM, "quantity": 9}, ends_at=day(3)))
    (ended,) = world.terms.subscriptions
    assert (world.last.outcome, ended.ends_at, ended.phases) == ("applied", day(3), before)
    world.arrive(order(4, {**TEAM, "quantity": 2}))
    (back,) = world.terms.subscriptions
    assert (world.last.outcome, back.ends_at, back.phases) == ("applied", None, before)
    world.arrive(order(5, {**TEAM, "quantity": 3}, ends_at=day(5), final=True))
    (gone,) = world.terms.subscriptions
    assert (gone.final, gone.ends_at, gone.phases) == (True, day(5), before)


def test_an_invoice_can_always_be_settled() -> None:
    """Two thousand invoices are owed; one more has no room, but each can be paid, also in a message with both."""
    terms = told([order(0)]).terms
    for block in range(MAX_PAYMENTS // 200):
        facts = [fact("failed", 2, f"in_{block * 200 + number}") for number in range(200)]
        terms = record_payments(COMPILED, terms, notice(*facts)).terms
    assert record_payments(COMPILED, terms, notice(fact("failed", 3, "more"))).outcome == "refused"
    for number in range(0, MAX_PAYMENTS, 199):
        paid = notice(*(fact("paid", 4, f"in_{place}") for place in range(number, min(number + 199, MAX_PAYMENTS))))
        placed = record_payments(COMPILED, terms, paid)
        assert (placed.outcome, placed.findings) == ("applied", ())
        terms = placed.terms
    both = record_payments(COMPILED, terms, notice(fact("failed", 5, "more"), fact("voided", 5, "in_1")))
    assert (both.outcome, [one.kind for one in both.findings]) == ("applied", ["terms_full"])
    assert len(both.terms.subscriptions[0].payments) == 2 * MAX_PAYMENTS + 1


def test_the_same_said_again_and_again_takes_no_room() -> None:
    """Beyond the bound only the first and the last of what an attempt after another says are kept."""
    world = told([order(0)])
    again = tuple(
        PaymentFact(kind="failed", at=day(1) + place * SECOND, invoice="in_1") for place in range(MAX_PAYMENTS)
    )
    (subscription,) = world.terms.subscriptions
    terms = structs.replace(world.terms, subscriptions=(structs.replace(subscription, payments=again),))
    placed = record_payments(COMPILED, terms, notice(fact("failed", 3, "in_1")))
    (subscription,) = placed.terms.subscriptions
    assert (placed.outcome, placed.findings) == ("applied", ())
    assert [(one.kind, one.at) for one in subscription.payments] == [("failed", day(1)), ("failed", day(3))]
    paid = record_payments(COMPILED, placed.terms, notice(fact("paid", 4, "in_1"))).terms
    assert paid.subscriptions[0].payments[-1].kind == "paid"


def test_what_was_paid_and_never_owed_goes_first() -> None:
    """Beyond the bound the oldest invoices fall away of which nothing was ever owed; what is owed stays."""
    terms = told([order(0), notice(fact("failed", 1, "in_owed"))]).terms
    facts = tuple(
        PaymentFact(kind="paid", at=day(2) + place * SECOND, invoice=f"in_{place}") for place in range(MAX_PAYMENTS - 1)
    )
    (subscription,) = terms.subscriptions
    kept = structs.replace(subscription, payments=(*subscription.payments, *facts))
    placed = record_payments(COMPILED, structs.replace(terms, subscriptions=(kept,)), notice(fact("paid", 9, "in_new")))
    invoices = [one.invoice for one in placed.terms.subscriptions[0].payments]
    assert (placed.outcome, len(invoices)) == ("applied", MAX_PAYMENTS)
    assert (invoices[0], invoices[1], invoices[-1]) == ("in_owed", "in_1", "in_new")


def test_an_order_is_placed_whose_payments_find_no_room() -> None:
    """Its lines and its end count; what it says is owed is left out with a finding."""
    world = told([order(0)])
    facts = tuple(PaymentFact(kind="failed", at=day(1), invoice=f"in_{place}") for place in range(MAX_PAYMENTS))
    (subscription,) = world.terms.subscriptions
    terms = structs.replace(world.terms, subscriptions=(structs.replace(subscription, payments=facts),))
    newest = PlacedOrder(order(2, {**TEAM, "quantity": 9}, payments=[fact("failed", 2, "in_more")]), "evt_9")
    placed = fold_orders(COMPILED, terms, world.orders, newest, subscription_id="sub_1", zone="UTC")
    assert (placed.outcome, [one.kind for one in placed.findings]) == ("applied", ["terms_full"])
    assert placed.terms.subscriptions[0].phases[-1].items[0].quantity == 9
    assert placed.terms.subscriptions[0].payments == facts


def counted(orders: list[PlacedOrder], one: OrderDocument) -> bool:
    """Whether there is room for one more order."""
    try:
        check_room(orders, one)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize(
    ("count", "refused", "room"),
    [
        (history.MAX_ORDERS - 1, 9, (True, True, True)),
        (history.MAX_ORDERS, 0, (False, True, True)),
        (history.MAX_ORDERS + history.MAX_ENDS, 0, (False, False, True)),
    ],
)
def test_of_many_orders_the_last_ones_may_end_it(count: int, refused: int, room: tuple[bool, ...]) -> None:
    """At the bound only what ends is taken, in the end only what ends for good; refused orders do not count."""
    one = structs.replace(order(1), lines=(OrderLine(plan="team"),))
    orders = [PlacedOrder(one, "evt_1")] * count + [PlacedOrder(one, "evt_2", refused=True)] * refused
    ends = structs.replace(one, ends_at=day(1))
    assert tuple(counted(orders, each) for each in (one, ends, structs.replace(ends, final=True))) == room
