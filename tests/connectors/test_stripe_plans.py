"""What Stripe's schedules, pending updates, ends, ties and beliefs mean here."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from licet.core.orders import EntitlementSummary, ScheduleNotice
from licet.services.inbound import CustomerHint, Ignored, Unreadable
from licet.testing.stripe import SignedDelivery
from tests.connectors.test_stripe_read import START, changed, order, read, tell

MARCH, APRIL = START + timedelta(days=30), START + timedelta(days=61)


def plan(delivery: SignedDelivery) -> ScheduleNotice:
    """The plan in a delivery."""
    reading = read(delivery)
    assert isinstance(reading, ScheduleNotice), reading
    return reading


def retyped(delivery: SignedDelivery, kind: str) -> SignedDelivery:
    """The delivery as an event of another type."""
    event = json.loads(delivery.body) | {"type": kind}
    return structs.replace(delivery, type=kind, body=json.dumps(event).encode())


def without_change(delivery: SignedDelivery, **previous: Any) -> SignedDelivery:
    """The delivery with other previous attributes, or without any."""
    event = json.loads(delivery.body)
    event["data"]["previous_attributes"] = previous or None
    return structs.replace(delivery, body=json.dumps(event).encode())


@pytest.mark.parametrize("legacy", [False, True])
def test_the_phases_to_come_are_what_is_planned(legacy: bool) -> None:
    """Each phase after the event's time has its instant, prices and quantities; the running one is left out."""
    told = tell(legacy=legacy)
    told.subscribe("price_team", 2, extra=[("price_boost", 1)])
    attached = plan(told.attach_schedule())
    assert (attached.external_id, attached.phases, attached.ends_at) == (told.subscription, (), None)
    made = plan(told.schedule((MARCH, "price_team", 5), (APRIL, "price_business", 5)))
    assert [(phase.effective_at, [(one.price, one.quantity) for one in phase.lines]) for phase in made.phases] == [
        (MARCH, [("price_team", 5), ("price_boost", 1)]),
        (APRIL, [("price_business", 5), ("price_boost", 1)]),
    ]
    assert (made.sequence, attached.sequence, made.ends_at) == (2, 1, None)
    assert made.customer.external_id == told.buyer.id
    begun = told.begin_phase()
    assert [line.price for line in order(begun).lines] == ["price_team", "price_boost"]
    assert order(begun).occurred_at == MARCH
    later = plan(told.schedule((APRIL, "price_business", 5)))
    assert [phase.effective_at for phase in later.phases] == [APRIL]


def test_a_schedule_that_cancels_plans_the_end() -> None:
    """With end_behavior cancel the subscription ends with the last phase; else it goes on."""
    told = tell()
    told.subscribe("price_team")
    made = told.schedule((MARCH, "price_team", 5), until=APRIL)
    assert plan(made).ends_at == APRIL
    assert plan(changed(made, end_behavior="release")).ends_at is None
    assert plan(retyped(made, "subscription_schedule.expiring")) == plan(made)


def test_a_schedule_that_is_over_plans_nothing() -> None:
    """Released, canceled, completed or aborted: no phases, no end, and newer than what was planned in that second."""
    for end in ("release_schedule", "cancel_schedule", "complete_schedule"):
        told = tell()
        told.subscribe("price_team")
        told.schedule((MARCH, "price_team", 5), until=APRIL)
        over = plan(getattr(told, end)())
        assert (over.external_id, over.phases, over.ends_at, over.sequence) == (told.subscription, (), None, 3), end
    told.schedule((MARCH + timedelta(days=90), "price_team", 5))
    aborted = retyped(told.cancel_schedule(), "subscription_schedule.aborted")
    assert (plan(aborted).phases, plan(aborted).sequence) == ((), 3)


def test_prices_of_phases_are_read_in_every_shape() -> None:
    """A price may stand there whole or under its older name; no quantity counts once, quantity 0 is not sold."""
    told = tell()
    told.subscribe("price_team")
    made = told.schedule((MARCH, "price_team", 5))
    phases = json.loads(made.body)["data"]["object"]["phases"]
    phases[1]["items"] = [
        {"price": {"id": "price_whole", "recurring": None}, "quantity": 2},
        {"plan": "price_old", "price": None},
        {"price": "price_none", "quantity": 0},
    ]
    (phase,) = plan(changed(made, phases=phases)).phases
    assert [(line.price, line.quantity) for line in phase.lines] == [("price_whole", 2), ("price_old", 1)]
    phases[1]["items"] = [{"quantity": 2}]
    with pytest.raises(Unreadable, match="without a price"):
        read(changed(made, phases=phases))


def test_schedules_that_cannot_be_placed_say_why() -> None:
    """Without a subscription nothing is planned for anybody; an unknown status is a dead letter."""
    told = tell()
    told.subscribe("price_team")
    made = told.schedule((MARCH, "price_team", 5))
    loose = read(changed(made, subscription=None, status="not_started"))
    assert isinstance(loose, Ignored)
    assert "no subscription yet" in loose.words
    with pytest.raises(Unreadable, match="dreaming"):
        read(changed(made, status="dreaming"))
    many = [{"start_date": 2_000_000_000 + day, "items": []} for day in range(60)]
    with pytest.raises(Unreadable, match="cannot be kept"):
        read(changed(made, phases=many))


def test_a_canceled_subscription_is_final_and_ranks_last() -> None:
    """Deleted, or of status canceled: final, and newer than any change of its second; nothing else is final."""
    told = tell()
    begun = order(told.subscribe("price_team"))
    change = order(told.change_quantity(2))
    gone = order(told.together().delete())
    assert (begun.final, change.final, gone.final) == (False, False, True)
    assert (begun.sequence, change.sequence, gone.sequence) == (1, 2, 3)
    late = order(told.updated())
    assert (late.final, late.sequence, late.ends_at) == (True, 3, gone.occurred_at)


@pytest.mark.parametrize("kind", ["pending_update_applied", "pending_update_expired"])
def test_a_pending_update_is_an_order_where_it_is_whole(kind: str) -> None:
    """With the whole subscription it reads as an update; with less it is passed over."""
    told = tell()
    told.subscribe("price_team", 3)
    whole = retyped(told.updated(), f"customer.subscription.{kind}")
    assert [(line.price, line.quantity) for line in order(whole).lines] == [("price_team", 3)]
    event = json.loads(whole.body)
    del event["data"]["object"]["items"]
    assert isinstance(read(structs.replace(whole, body=json.dumps(event).encode())), Ignored)


def test_lines_say_what_they_cost_a_period() -> None:
    """Unit amount times quantity; a metered or tiered price says nothing."""
    told = tell()
    delivery = told.subscribe("price_team", 3, extra=[("price_boost", 1), ("price_calls", 1)])
    items = json.loads(delivery.body)["data"]["object"]["items"]
    items["data"][1]["price"]["unit_amount"] = None
    items["data"][2]["quantity"] = None
    money = [line.money for line in order(changed(delivery, items=items)).lines]
    assert [one and (one.amount, one.currency) for one in money] == [(6000, "USD"), None, None]


@pytest.mark.parametrize("legacy", [False, True])
def test_each_update_follows_the_state_that_the_one_before_left(legacy: bool) -> None:
    """Put back, previous attributes are the state before: of all that decides, and in both shapes."""
    told = tell(legacy=legacy)
    told_orders = [
        order(told.subscribe("price_team", 2, trial_days=14)),
        order(told.change_quantity(3)),
        order(told.upgrade("price_business")),
        order(told.add_item("price_boost")),
        order(told.remove_item("price_boost")),
        order(told.cancel()),
        order(told.uncancel()),
        order(told.cancel(at=APRIL)),
        order(told.end_trial()),
        order(told.renew()),
    ]
    assert told_orders[0].follows is None
    for before, after in pairwise(told_orders):
        assert after.follows == before.state
    changing = told_orders[:-1]
    assert len({one.state for one in changing}) == len(changing) - 2, "uncancel and remove_item lead back"
    assert told_orders[-1].state == told_orders[-1].follows, "a renewal decides nothing"


def test_what_nobody_says_came_before_has_no_place_in_a_chain() -> None:
    """Without previous attributes, or with some that make no subscription, an update follows nothing and leads to none.

    The announcement of a trial's end changes nothing and says so.
    """
    told = tell()
    told.subscribe("price_team", 2, trial_days=14)
    change = told.change_quantity(3)
    for odd in (without_change(change), without_change(change, items={"data": [{"quantity": 2}]})):
        assert (order(odd).state, order(odd).follows) == (None, None)
    soon = order(told.trial_will_end())
    assert soon.state == soon.follows == order(change).state
    assert (order(told.pause()).state, order(told.delete()).state) == (None, None)


def test_nested_attributes_are_put_back_one_by_one() -> None:
    """Of a nested object only what is named was different; a list is replaced as a whole."""
    told = tell()
    first = order(told.subscribe("price_team", 2, trial_days=14))
    change = told.change_quantity(2)
    other = without_change(
        change, trial_settings={"end_behavior": {"missing_payment_method": "pause"}}, metadata={"a": None}
    )
    assert order(other).follows not in (None, first.state)
    same = without_change(change, metadata={"a": None}, default_payment_method="pm_1", items={"has_more": False})
    assert order(same).follows == order(same).state == first.state


def test_still_trialing_after_the_trial_is_no_resumption() -> None:
    """Stripe ends trials late: until it says what came of it, the message says nothing about pauses."""
    told = tell()
    told.subscribe("price_team", trial_days=7, missing_payment_method="pause")
    assert order(told.wait(days=6).updated()).paused is False
    assert order(told.wait(until=START + timedelta(days=7)).updated()).paused is None
    assert order(told.pause()).paused is True
    assert order(told.resume()).paused is False


def test_what_stripe_believes_is_read_whole_or_not_at_all() -> None:
    """The vendor's own names, sorted, each once; a list that is cut cannot be compared."""
    told = tell()
    summary = read(told.entitlement_summary("sso", "api", "sso"))
    assert isinstance(summary, EntitlementSummary)
    assert (summary.features, summary.at) == (("api", "sso"), START)
    assert summary.customer.external_id == told.buyer.id
    cut = read(told.entitlement_summary("sso", has_more=True))
    assert isinstance(cut, Ignored)
    assert "is cut" in cut.words


def test_a_checkout_that_was_paid_later_says_the_same() -> None:
    """Its second event is the same hint."""
    told = tell(customer=None)
    checkout = told.checkout("acme")
    later = read(retyped(checkout, "checkout.session.async_payment_succeeded"))
    assert isinstance(later, CustomerHint)
    assert later == read(checkout)


def test_a_subscription_without_a_schedule_says_that_nothing_is_planned() -> None:
    """Only where the message speaks of schedules: null means that none plans anything any more."""
    told = tell()
    first = told.subscribe("price_team", 2)
    told.schedule((MARCH, "price_team", 5))
    second = told.change_quantity(3)
    told.wait(days=1).release_schedule()
    third, silent = told.change_quantity(4), json.loads(told.change_quantity(5).body)
    del silent["data"]["object"]["schedule"]
    told_less = structs.replace(third, body=json.dumps(silent).encode())
    assert [order(one).unplanned for one in (first, second, third, told_less)] == [True, False, True, False]
