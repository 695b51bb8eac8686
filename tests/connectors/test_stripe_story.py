"""The builder of Stripe stories: consistent, complete, deterministic and signed as Stripe signs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from licet.testing.stripe import DAY, SignedDelivery, StripeStory
from licet.testing.stripe_objects import after_periods

SECRET = "whsec_one_of_the_tests"
START = datetime(2027, 1, 31, 9, tzinfo=UTC)


def life(seed: int = 1, *, legacy: bool = False) -> list[SignedDelivery]:
    """A long life of one subscription."""
    told = StripeStory(SECRET, START, customer="acme", seed=seed, legacy=legacy)
    return [
        told.subscribe("price_team", 3, trial_days=14),
        told.checkout("acme"),
        told.trial_will_end(),
        told.end_trial(),
        told.pay(),
        told.wait(days=3).upgrade("price_business", 5),
        told.add_item("price_boost", 2),
        told.remove_item("price_boost"),
        told.renew(),
        told.fail_payment(),
        told.updated(),
        told.wait(days=2).pay(),
        told.updated(),
        told.pause_collection(),
        told.pause(),
        told.wait(days=9).resume(),
        told.customer_updated(),
        told.cancel(),
        told.uncancel(),
        told.cancel(),
        told.delete(),
    ]


def event_of(delivery: SignedDelivery) -> dict[str, Any]:
    """The event in a delivery."""
    read: dict[str, Any] = json.loads(delivery.body)
    return read


@pytest.mark.parametrize("legacy", [False, True])
def test_the_vendors_library_accepts_every_delivery(legacy: bool) -> None:
    """Signature and shape satisfy Stripe's own library, delivery by delivery."""
    for delivery in life(legacy=legacy):
        header = delivery.headers["Stripe-Signature"]
        event = stripe.Webhook.construct_event(delivery.body, header, SECRET, tolerance=10**10)
        assert (event.id, event.type, event.created) == (delivery.id, delivery.type, delivery.created)


def test_a_story_is_the_same_for_the_same_seed() -> None:
    """Bodies, ids and headers repeat for a seed and differ for another one."""
    assert life(7) == life(7)
    assert not {one.id for one in life(7)} & {one.id for one in life(8)}


def test_what_changed_is_what_previous_attributes_say() -> None:
    """Each update, with its previous attributes put back, is the subscription as the event before told it."""
    before: dict[str, Any] | None = None
    updates = 0
    for delivery in life():
        event = event_of(delivery)
        if not delivery.type.startswith("customer.subscription."):
            continue
        now, previous = event["data"]["object"], event["data"].get("previous_attributes")
        if previous is not None and before is not None:
            assert now | previous == before, delivery.type
            assert all(now[key] != value for key, value in previous.items())
            updates += 1
        if delivery.type != "customer.subscription.trial_will_end":
            before = now
    assert updates >= 9


def test_time_only_goes_on_and_periods_follow_the_calendar() -> None:
    """Events are in order of time, and a subscription of the 31st renews at the ends of months."""
    created = [delivery.created for delivery in life()]
    assert created == sorted(set(created))
    told = StripeStory(SECRET, START)
    told.subscribe("price_team")
    ends = []
    for _ in range(3):
        told.renew()
        ends.append(datetime.fromtimestamp(told.now, UTC).date().isoformat())
    assert ends == ["2027-02-28", "2027-03-31", "2027-04-30"]
    assert after_periods(int(START.timestamp()), "week", 2) - int(START.timestamp()) == 14 * DAY
    assert after_periods(int(START.timestamp()), "year", 1) == int(datetime(2028, 1, 31, 9, tzinfo=UTC).timestamp())


def test_the_old_shape_differs_where_the_api_did() -> None:
    """Until 2025 the period stood at the subscription and the subscription at the invoice."""
    new, old = life(), life(legacy=True)
    subscription, old_subscription = (event_of(told[0])["data"]["object"] for told in (new, old))
    assert "current_period_end" in subscription["items"]["data"][0]
    assert "current_period_end" not in subscription
    assert "current_period_end" in old_subscription
    assert "current_period_end" not in old_subscription["items"]["data"][0]
    invoice, old_invoice = (event_of(told[4])["data"]["object"] for told in (new, old))
    assert invoice["subscription"] is None
    assert invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    assert old_invoice["subscription"] == old_subscription["id"]
    assert "parent" not in old_invoice


@pytest.mark.parametrize(
    ("missing", "kind", "status"),
    [
        ("create_invoice", "customer.subscription.updated", "past_due"),
        ("pause", "customer.subscription.paused", "paused"),
        ("cancel", "customer.subscription.deleted", "canceled"),
    ],
)
def test_a_trial_without_payment_method_ends_as_it_was_set(missing: Any, kind: str, status: str) -> None:
    """Each of Stripe's three behaviors leads to its event and status, at the end of the trial."""
    told = StripeStory(SECRET, START)
    told.subscribe("price_team", trial_days=7, missing_payment_method=missing)
    ended = told.end_trial_without_payment_method()
    assert (ended.type, event_of(ended)["data"]["object"]["status"]) == (kind, status)
    assert datetime.fromtimestamp(ended.created, UTC) == START + timedelta(days=7)


def test_signing_anew_changes_the_header_only() -> None:
    """A later attempt has the same content under a signature of its own time."""
    told = StripeStory(SECRET, START, sign_at=lambda: 1_900_000_000)
    first = told.subscribe("price_team")
    assert first.headers["Stripe-Signature"].startswith("t=1900000000,")
    later = first.signed(SECRET, 2_000_000_000)
    assert (later.body, later.id) == (first.body, first.id)
    assert later.headers["Stripe-Signature"] != first.headers["Stripe-Signature"]
    again = told.again(first, at=2_000_000_000)
    assert event_of(again)["pending_webhooks"] == 2
    assert event_of(again)["data"] == event_of(first)["data"]


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda told: told.give_up("unpaid"), "unpaid"),
        (lambda told: told.give_up("canceled"), "canceled"),
        (lambda told: told.cancel(at_period_end=False), "canceled"),
        (lambda told: told.cancel(at=START + timedelta(days=3)), "active"),
    ],
)
def test_the_ends_of_a_subscription(act: Callable[[StripeStory], SignedDelivery], status: str) -> None:
    """Giving up and cancelling leave the status that Stripe would have."""
    told = StripeStory(SECRET, START)
    told.subscribe("price_team")
    content = event_of(act(told))["data"]["object"]
    assert content["status"] == status
    assert (content["ended_at"] is not None) == (status == "canceled")
