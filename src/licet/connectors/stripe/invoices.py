"""Invoice events as payment facts about a subscription, with the payments by which later disputes name them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from licet.connectors.stripe.shapes import PaymentOf, StripeInvoice, StripeInvoicePayment, SubscriptionDetails
from licet.connectors.stripe.told import Told, moment, money_of, named
from licet.core.money import Money
from licet.core.orders import PaymentLink, PaymentNotice
from licet.core.terms import PaymentFact
from licet.services.inbound import Ignored, Reading

MAX_LINKED: Final = 10
"""How many payments of one invoice are remembered: the first ones."""
_Kind = Literal["failed", "paid", "uncollectible", "voided"]
_SAYS: Final[Mapping[str, _Kind]] = {
    "invoice.paid": "paid",
    "invoice.payment_succeeded": "paid",
    "invoice.payment_failed": "failed",
    "invoice.payment_action_required": "failed",
    "invoice.marked_uncollectible": "uncollectible",
    "invoice.voided": "voided",
}
"""An attempt that waits for the payer's authentication has not paid: Stripe leaves the invoice open and makes the
subscription ``past_due`` until the payer acts, which may be never. If that is at once, ``paid`` follows at once."""


def read_invoice(told: Told) -> Reading:
    """Return what an invoice event says about payment; raises Unreadable."""
    invoice = told.shaped(StripeInvoice)
    kind = _SAYS.get(told.event.type)
    fact = _due(told, invoice) if kind is None else _fact(told, invoice, kind)
    if isinstance(fact, Ignored):
        return fact
    details = invoice.parent.subscription_details if invoice.parent else None
    details = details or invoice.subscription_details or SubscriptionDetails()
    subscription = named(details.subscription, invoice.subscription)
    if not subscription:
        return Ignored(words=f"invoice {invoice.id} is not about a subscription")
    return told.checked(
        PaymentNotice(
            source=told.source,
            external_id=subscription[0],
            customer=told.customer(invoice.customer, details.metadata),
            payments=(fact,),
            links=_links(told, invoice, subscription[0]),
        )
    )


def read_invoice_payment(told: Told) -> Reading:
    """Return which payment settled an invoice; raises Unreadable."""
    paid = told.shaped(StripeInvoicePayment)
    payments = _payments(paid.payment)
    if not payments:
        return Ignored(words=f"payment {paid.id} names neither a charge nor a payment intent")
    return told.checked(PaymentLink(source=told.source, invoice=named(paid.invoice)[0], payments=payments))


def _fact(told: Told, invoice: StripeInvoice, kind: _Kind) -> PaymentFact | Ignored:
    """Return a payment fact that happened with the event; an invoice of nothing is never owed."""
    if kind == "paid":
        return PaymentFact(kind=kind, at=told.at, invoice=invoice.id, money=_money(invoice, invoice.amount_paid))
    if kind != "voided" and _owed(invoice) == 0:
        return _nothing_owed(invoice)
    return PaymentFact(kind=kind, at=told.at, invoice=invoice.id, money=_money(invoice, _owed(invoice)))


def _due(told: Told, invoice: StripeInvoice) -> PaymentFact | Ignored:
    """Return when an open invoice must be paid, for invoices that are sent; others are charged or tell nothing."""
    if invoice.status != "open":
        return Ignored(words=f"invoice {invoice.id} is {invoice.status}: it is not due")
    overdue = told.event.type == "invoice.overdue"
    if not overdue and (invoice.collection_method != "send_invoice" or invoice.due_date is None):
        return Ignored(words=f"invoice {invoice.id} is charged automatically: the attempts to charge it tell the rest")
    if _owed(invoice) == 0:
        return _nothing_owed(invoice)
    due: datetime = told.at if invoice.due_date is None else moment(invoice.due_date)
    money = _money(invoice, _owed(invoice))
    return PaymentFact(kind="due", at=due, invoice=invoice.id, stated_at=told.at, money=money)


def _nothing_owed(invoice: StripeInvoice) -> Ignored:
    return Ignored(words=f"nothing is owed on invoice {invoice.id}")


def _owed(invoice: StripeInvoice) -> int | None:
    """Return what is still to be paid; None where the message does not say."""
    return invoice.amount_due if invoice.amount_remaining is None else invoice.amount_remaining


def _money(invoice: StripeInvoice, amount: int | None) -> Money | None:
    return money_of(amount, invoice.currency)


def _links(told: Told, invoice: StripeInvoice, subscription: str) -> tuple[PaymentLink, ...]:
    """Return the link to the payments that the invoice names, where it names any."""
    parts = [one.payment for one in invoice.payments.data] if invoice.payments else []
    parts.append(PaymentOf(payment_intent=invoice.payment_intent, charge=invoice.charge))
    payments = _payments(*parts)
    if not payments:
        return ()
    return (PaymentLink(source=told.source, invoice=invoice.id, payments=payments, external_id=subscription),)


def _payments(*parts: PaymentOf | None) -> tuple[str, ...]:
    """Return the ids by which payments are known."""
    references = [one for part in parts if part is not None for one in (part.charge, part.payment_intent)]
    return named(*references)[:MAX_LINKED]
