"""From a Stripe event to what it means here: an order, payment facts, who a customer is, or nothing.

A subscription event holds the whole subscription after the event, which is what an order is. ``pause_collection`` only
stops invoices and takes nothing away; the status ``paused`` does. Whether somebody who does not pay still has access
is decided by the plan's ladder, from payment facts: the status ``past_due`` or ``unpaid`` is one, whether or not the
change to it was heard. What was canceled ends, whatever its lines say.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct, to_builtins

from licet.connectors.stripe.shapes import (
    StripeCheckout,
    StripeEvent,
    StripeInvoice,
    StripeSubscription,
    SubscriptionDetails,
    SubscriptionItem,
    reference_id,
)
from licet.core.instant import SECOND, to_datetime
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine, PaymentNotice
from licet.core.terms import PaymentFact, TrialEnd
from licet.services.inbound import DEFAULT_METADATA_KEY, CustomerHint, Ignored, Reading, Unreadable

_SEQUENCE: Final[Mapping[str, int]] = {
    "customer.subscription.created": 1,
    "customer.subscription.updated": 2,
    "customer.subscription.paused": 2,
    "customer.subscription.resumed": 2,
    "customer.subscription.trial_will_end": 2,
    "customer.subscription.deleted": 3,
}
"""Times are whole seconds; within one second these happen in this order."""
_PAYMENTS: Final[Mapping[str, Literal["failed", "paid", "uncollectible", "voided"]]] = {
    "invoice.paid": "paid",
    "invoice.payment_failed": "failed",
    "invoice.marked_uncollectible": "uncollectible",
    "invoice.voided": "voided",
}
_NOT_YET: Final = ("incomplete", "incomplete_expired")
_UNPAID: Final = ("past_due", "unpaid")
_KNOWN: Final = ("trialing", "active", "paused", "canceled", *_UNPAID)
_TRIAL_END: Final[Mapping[str | None, TrialEnd]] = {"create_invoice": "convert", "pause": "pause", "cancel": "end"}
_PERIOD: Final[Mapping[str, str]] = {"day": "D", "week": "W", "month": "M", "year": "Y"}

T = TypeVar("T", bound=Struct)


def read_event(event: StripeEvent, source: str, settings: Mapping[str, str]) -> Reading:
    """Return what an event means for ``source``; raises Unreadable where it cannot be what its type says."""
    content = event.data.object
    if event.type in _SEQUENCE:
        return _subscription(event, _shaped(event, content, StripeSubscription), source, settings)
    if event.type in _PAYMENTS:
        return _payment(event, _shaped(event, content, StripeInvoice), source, settings)
    if event.type == "checkout.session.completed":
        return _checkout(event, _shaped(event, content, StripeCheckout), settings)
    return Ignored(words=f"{event.type} says nothing about rights")


def _subscription(
    event: StripeEvent, subscription: StripeSubscription, source: str, settings: Mapping[str, str]
) -> Reading:
    """Read a subscription as an order."""
    status = subscription.status
    if status in _NOT_YET:
        return Ignored(words=f"subscription {subscription.id} is {status}: its first payment is missing")
    ended = status == "canceled" or event.type == "customer.subscription.deleted"
    if status not in _KNOWN and not ended:
        raise Unreadable(f"subscription {subscription.id} has the status {status!r}; known are {', '.join(_KNOWN)}")
    if subscription.items.has_more and not ended:
        raise Unreadable(f"the message does not hold all items of subscription {subscription.id}")
    whole = () if subscription.items.has_more else subscription.items.data
    occurred_at = _time(event.created)
    return _checked(
        event,
        OrderDocument(
            source=source,
            external_id=subscription.id,
            customer=_references(reference_id(subscription.customer), subscription.metadata, settings),
            occurred_at=occurred_at,
            sequence=_SEQUENCE[event.type],
            lines=tuple(_line(item) for item in whole if item.quantity != 0),
            starts_at=_moment(subscription.start_date or subscription.created),
            ends_at=min(_moment(subscription.ended_at) or occurred_at, occurred_at) if ended else _end(subscription),
            trial_start=_moment(subscription.trial_start),
            trial_end=_moment(subscription.trial_end),
            trial_end_behavior=_trial_end(subscription),
            period=_period(subscription.items.data),
            anchor=_moment(subscription.billing_cycle_anchor),
            paused=None if ended else status == "paused",
            payments=_status_payments(event, subscription, occurred_at),
            paid_up=True if status == "active" and not ended else None,
        ),
    )


def _line(item: SubscriptionItem) -> OrderLine:
    return OrderLine(line=item.id, price=item.price.id, quantity=1 if item.quantity is None else item.quantity)


def _end(subscription: StripeSubscription) -> datetime | None:
    """Return when a subscription will end: at a planned instant, or with the running period."""
    if subscription.cancel_at is not None:
        return _moment(subscription.cancel_at)
    if not subscription.cancel_at_period_end:
        return None
    ends = [item.current_period_end for item in subscription.items.data if item.current_period_end is not None]
    return _moment(max(ends, default=subscription.current_period_end))


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


def _status_payments(
    event: StripeEvent, subscription: StripeSubscription, occurred_at: datetime
) -> tuple[PaymentFact, ...]:
    """Return what the status says about the latest invoice, for accounts that send no invoice events.

    A status that is late counts each time it is told: the change to it may never be heard. Being ``active`` settles
    only what was late just before; where no invoice is named, the subscription's id stands for it.
    """
    invoice = reference_id(subscription.latest_invoice) or subscription.id
    before = (event.data.previous_attributes or {}).get("status")
    if subscription.status in _UNPAID:
        return (PaymentFact(kind="failed", at=occurred_at, invoice=invoice),)
    if subscription.status == "active" and before in _UNPAID:
        return (PaymentFact(kind="paid", at=occurred_at, invoice=invoice),)
    return ()


def _payment(event: StripeEvent, invoice: StripeInvoice, source: str, settings: Mapping[str, str]) -> Reading:
    """Read an invoice event as a payment fact about its subscription."""
    details = invoice.parent.subscription_details if invoice.parent else None
    details = details or invoice.subscription_details or SubscriptionDetails()
    subscription = reference_id(details.subscription) or reference_id(invoice.subscription)
    if subscription is None:
        return Ignored(words=f"invoice {invoice.id} is not about a subscription")
    fact = PaymentFact(kind=_PAYMENTS[event.type], at=_time(event.created), invoice=invoice.id)
    return _checked(
        event,
        PaymentNotice(
            source=source,
            external_id=subscription,
            customer=_references(reference_id(invoice.customer), details.metadata, settings),
            payments=(fact,),
        ),
    )


def _checkout(event: StripeEvent, checkout: StripeCheckout, settings: Mapping[str, str]) -> Reading:
    """Read a finished checkout as a hint who a foreign customer is."""
    foreign = reference_id(checkout.customer)
    if foreign is None:
        return Ignored(words=f"checkout {checkout.id} was made by a guest: no customer to remember")
    references = _references(foreign, checkout.metadata, settings, checkout.client_reference_id)
    return _checked(event, CustomerHint(customer=references))


def _references(
    external_id: str | None,
    metadata: Mapping[str, str] | None,
    settings: Mapping[str, str],
    client_reference: str | None = None,
) -> CustomerReferences:
    """Return everything that is said about the customer; empty values say nothing."""
    said = (metadata or {}).get(settings.get("customer_metadata", DEFAULT_METADATA_KEY))
    return CustomerReferences(external_id=external_id, metadata=said or None, client_reference=client_reference or None)


def _shaped(event: StripeEvent, content: Mapping[str, Any], shape: type[T]) -> T:
    """Return an event's object as the struct its type promises."""
    try:
        return msgspec.convert(content, shape)
    except msgspec.ValidationError as wrong:
        raise Unreadable(f"{event.type} {event.id} has not the expected shape: {wrong}") from None


def _checked(event: StripeEvent, reading: T) -> T:
    """Return what was read after its bounds were checked like those of a request."""
    try:
        return msgspec.convert(to_builtins(reading), type(reading))
    except msgspec.ValidationError as wrong:
        raise Unreadable(f"{event.type} {event.id} says what cannot be kept: {wrong}") from None


def _time(seconds: int) -> datetime:
    return to_datetime(seconds * SECOND)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
