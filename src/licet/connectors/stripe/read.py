"""From a Stripe event to what it means here: an order, a plan, payment facts, who a customer is, or nothing."""

from collections.abc import Callable, Mapping
from typing import Final

from licet.connectors.stripe.invoices import read_invoice, read_invoice_payment
from licet.connectors.stripe.reversals import read_dispute, read_refund
from licet.connectors.stripe.schedules import read_schedule
from licet.connectors.stripe.shapes import StripeCheckout, StripeEntitlementSummary, StripeEvent, reference_id
from licet.connectors.stripe.subscriptions import read_pending_update, read_subscription
from licet.connectors.stripe.told import Told
from licet.core.orders import EntitlementSummary
from licet.services.inbound import CustomerHint, Ignored, Reading


def _checkout(told: Told) -> Reading:
    """Read a finished checkout as a hint who a foreign customer is."""
    checkout = told.shaped(StripeCheckout)
    if reference_id(checkout.customer) is None:
        return Ignored(words=f"checkout {checkout.id} was made by a guest: no customer to remember")
    references = told.customer(checkout.customer, checkout.metadata, checkout.client_reference_id)
    return told.checked(CustomerHint(customer=references))


def _entitlements(told: Told) -> Reading:
    """Read what Stripe believes a customer may use: a hint, and only if the list is whole."""
    summary = told.shaped(StripeEntitlementSummary)
    customer = told.customer(summary.customer, None)
    if summary.entitlements.has_more:
        return Ignored(words=f"the list of what {customer.external_id} may use is cut: it cannot be compared")
    features = tuple(sorted({one.lookup_key for one in summary.entitlements.data}))
    return told.checked(EntitlementSummary(source=told.source, customer=customer, at=told.at, features=features))


EVENTS: Final[Mapping[str, Callable[[Told], Reading]]] = {
    "customer.subscription.created": read_subscription,
    "customer.subscription.updated": read_subscription,
    "customer.subscription.deleted": read_subscription,
    "customer.subscription.paused": read_subscription,
    "customer.subscription.resumed": read_subscription,
    "customer.subscription.trial_will_end": read_subscription,
    "customer.subscription.pending_update_applied": read_pending_update,
    "customer.subscription.pending_update_expired": read_pending_update,
    "subscription_schedule.created": read_schedule,
    "subscription_schedule.updated": read_schedule,
    "subscription_schedule.expiring": read_schedule,
    "subscription_schedule.released": read_schedule,
    "subscription_schedule.canceled": read_schedule,
    "subscription_schedule.completed": read_schedule,
    "subscription_schedule.aborted": read_schedule,
    "invoice.finalized": read_invoice,
    "invoice.sent": read_invoice,
    "invoice.updated": read_invoice,
    "invoice.overdue": read_invoice,
    "invoice.paid": read_invoice,
    "invoice.payment_succeeded": read_invoice,
    "invoice.payment_failed": read_invoice,
    "invoice.payment_action_required": read_invoice,
    "invoice.marked_uncollectible": read_invoice,
    "invoice.voided": read_invoice,
    "invoice_payment.paid": read_invoice_payment,
    "charge.dispute.created": read_dispute,
    "charge.dispute.funds_withdrawn": read_dispute,
    "charge.dispute.closed": read_dispute,
    "charge.refunded": read_refund,
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "entitlements.active_entitlement_summary.updated": _entitlements,
}
"""Every type of event that means something here, and who reads it: those to which an endpoint subscribes."""
UNNEEDED: Final[Mapping[str, str]] = {
    "charge.dispute.updated": "what was written about a dispute moves no money",
    "charge.dispute.funds_reinstated": "charge.dispute.closed tells how a dispute ended",
    "refund.created": "charge.refunded tells how much of a payment was given back",
    "refund.updated": "charge.refunded tells how much of a payment was given back",
    "refund.failed": "a refund that failed gave nothing back; charge.refunded told what was meant to be",
}
"""Types that might seem to matter, and why they do not."""


def read_event(event: StripeEvent, source: str, settings: Mapping[str, str]) -> Reading:
    """Return what an event means for ``source``; raises Unreadable where it cannot be what its type says."""
    reader = EVENTS.get(event.type)
    if reader is not None:
        return reader(Told(event, source, settings))
    why = UNNEEDED.get(event.type)
    return Ignored(words=f"{event.type}: {why}" if why else f"{event.type} says nothing about rights")
