"""Subscription events as orders: each holds the whole subscription after the event, which is what an order is.

``pause_collection`` only stops invoices and takes nothing away; the status ``paused`` does. Whether somebody who does
not pay still has access is decided by the plan's ladder, from payment facts: the status ``past_due`` or ``unpaid`` is
one, whether or not the change to it was heard. What was canceled ends for ever, whatever its lines say.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from licet.connectors.stripe.shapes import StripeEvent, StripeSubscription, SubscriptionItem, reference_id
from licet.connectors.stripe.state import states
from licet.connectors.stripe.told import Told, money_of, when
from licet.core.money import Money
from licet.core.orders import OrderDocument, OrderLine
from licet.core.terms import PaymentFact, TrialEnd
from licet.services.inbound import Ignored, Reading, Unreadable

_CREATED, _CHANGED, _ENDED = 1, 2, 3
"""Times are whole seconds; within one second a subscription begins, changes and ends in this order."""
_CHANGE: Final = "customer.subscription.updated"
"""Every change has one event of this type; the others tell of it besides."""
_NOT_YET: Final = ("incomplete", "incomplete_expired")
_UNPAID: Final = ("past_due", "unpaid")
_KNOWN: Final = ("trialing", "active", "paused", "canceled", *_UNPAID)
_TRIAL_END: Final[Mapping[str | None, TrialEnd]] = {"create_invoice": "convert", "pause": "pause", "cancel": "end"}
_PERIOD: Final[Mapping[str, str]] = {"day": "D", "week": "W", "month": "M", "year": "Y"}
_WHOLE: Final = ("id", "customer", "status", "items")
"""What an event must hold to be of a whole subscription."""


def read_subscription(told: Told) -> Reading:
    """Return the order that a subscription event tells; raises Unreadable."""
    event = told.event
    subscription = told.shaped(StripeSubscription)
    status = subscription.status
    if status in _NOT_YET:
        return Ignored(words=f"subscription {subscription.id} is {status}: its first payment is missing")
    ended = status == "canceled" or event.type == "customer.subscription.deleted"
    if status not in _KNOWN and not ended:
        known = ", ".join((*_KNOWN, *_NOT_YET))
        raise Unreadable(f"subscription {subscription.id} has the status {status!r}; known are {known}")
    if subscription.items.has_more and not ended:
        raise Unreadable(f"the message does not hold all items of subscription {subscription.id}")
    return told.checked(_order(told, subscription, ended=ended))


def read_pending_update(told: Told) -> Reading:
    """Return the order that an applied or expired change tells, where the event holds the whole subscription."""
    if any(name not in told.event.data.object for name in _WHOLE):
        return Ignored(words=f"{told.event.type} does not hold the whole subscription; its update tells the same")
    return read_subscription(told)


def _order(told: Told, subscription: StripeSubscription, *, ended: bool) -> OrderDocument:
    event, at = told.event, told.at
    whole = () if subscription.items.has_more else subscription.items.data
    first = event.type == "customer.subscription.created"
    after, before = (None, None) if ended else states(told, subscription)
    return OrderDocument(
        source=told.source,
        external_id=subscription.id,
        customer=told.customer(subscription.customer, subscription.metadata),
        occurred_at=at,
        sequence=_ENDED if ended else _CREATED if first else _CHANGED,
        message=event.id if event.type == _CHANGE else None,
        state=after,
        follows=before,
        lines=tuple(_line(item) for item in whole if item.quantity != 0),
        unplanned=subscription.schedule is None,
        starts_at=when(subscription.start_date or subscription.created),
        ends_at=min(when(subscription.ended_at) or at, at) if ended else _end(subscription),
        trial_start=when(subscription.trial_start),
        trial_end=when(subscription.trial_end),
        trial_end_behavior=_trial_end(subscription),
        period=_period(subscription.items.data),
        anchor=when(subscription.billing_cycle_anchor),
        paused=None if ended else _paused(event, subscription),
        payments=_status_payments(event, subscription, at),
        final=ended,
        paid_up=True if subscription.status == "active" and not ended else None,
    )


def _paused(event: StripeEvent, subscription: StripeSubscription) -> bool | None:
    """Return whether it is paused; None where the status says nothing about it.

    Stripe ends trials minutes late. Still ``trialing`` after the trial's end is no sign that it went on.
    """
    late = subscription.trial_end is not None and subscription.trial_end <= event.created
    if subscription.status == "trialing" and late:
        return None
    return subscription.status == "paused"


def _line(item: SubscriptionItem) -> OrderLine:
    quantity = 1 if item.quantity is None else item.quantity
    return OrderLine(line=item.id, price=item.price.id, quantity=quantity, money=_cost(item))


def _cost(item: SubscriptionItem) -> Money | None:
    """Return what an item costs a period; a metered one has no price before it is used."""
    if item.quantity is None or item.price.unit_amount is None:
        return None
    return money_of(item.price.unit_amount * item.quantity, item.price.currency)


def _end(subscription: StripeSubscription) -> datetime | None:
    """Return when a subscription will end: at a planned instant, or with the running period."""
    if subscription.cancel_at is not None:
        return when(subscription.cancel_at)
    if not subscription.cancel_at_period_end:
        return None
    ends = [item.current_period_end for item in subscription.items.data if item.current_period_end is not None]
    return when(max(ends, default=subscription.current_period_end))


def _trial_end(subscription: StripeSubscription) -> TrialEnd:
    """Return what the end of the trial brings if no payment method is there by then."""
    settings = subscription.trial_settings
    behavior = settings.end_behavior.missing_payment_method if settings and settings.end_behavior else None
    return _TRIAL_END.get(behavior, "convert")


def _period(items: list[SubscriptionItem]) -> str:
    """Return the billing period of the first item that recurs; a month where none says."""
    for item in items:
        recurring = item.price.recurring
        if recurring is not None and recurring.interval in _PERIOD:
            return f"P{recurring.interval_count}{_PERIOD[recurring.interval]}"
    return "P1M"


def _status_payments(event: StripeEvent, subscription: StripeSubscription, at: datetime) -> tuple[PaymentFact, ...]:
    """Return what the status says about the latest invoice, for accounts that send no invoice events.

    A status that is late counts each time it is told: the change to it may never be heard. Being ``active`` settles
    only what was late just before; where no invoice is named, the subscription's id stands for it.
    """
    invoice = reference_id(subscription.latest_invoice) or subscription.id
    before = (event.data.previous_attributes or {}).get("status")
    if subscription.status in _UNPAID:
        return (PaymentFact(kind="failed", at=at, invoice=invoice),)
    if subscription.status == "active" and before in _UNPAID:
        return (PaymentFact(kind="paid", at=at, invoice=invoice),)
    return ()
