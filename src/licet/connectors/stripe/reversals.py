"""Disputes and refunds: what becomes of a payment after it was made.

They name a payment intent and a charge, never an invoice: whose payment it was is known from the invoices. The payment
intent comes first: where there is one, it is what payments of invoices are named by.
"""

from typing import Final, Literal

from licet.connectors.stripe.shapes import StripeCharge, StripeDispute
from licet.connectors.stripe.told import Told, money_of, named
from licet.core.orders import Reversal
from licet.services.inbound import Ignored, Reading, Unreadable

_WON: Final = ("won", "warning_closed", "prevented")
_INQUIRY: Final = "warning_"


def read_dispute(told: Told) -> Reading:
    """Return that a payer took money back, or how the dispute ended; an inquiry moves nothing. Raises Unreadable.

    An inquiry that becomes a dispute is told by no event of that name: the withdrawal of the money tells it.
    """
    dispute = told.shaped(StripeDispute)
    closed = told.event.type == "charge.dispute.closed"
    if not closed and (dispute.status.startswith(_INQUIRY) or dispute.status == "prevented"):
        return Ignored(words=f"dispute {dispute.id} is {dispute.status}: no money was taken back")
    if not closed:
        return _reversal(told, dispute, "disputed")
    if dispute.status in _WON:
        return _reversal(told, dispute, "dispute_won")
    if dispute.status == "lost":
        return _reversal(told, dispute, "dispute_lost")
    raise Unreadable(f"dispute {dispute.id} closed with the status {dispute.status!r}; known are {_WON} and lost")


def read_refund(told: Told) -> Reading:
    """Return that a charge was given back, in whole or in part; raises Unreadable."""
    charge = told.shaped(StripeCharge)
    return told.checked(
        Reversal(
            source=told.source,
            kind="refunded",
            at=told.at,
            payments=named(charge.payment_intent, charge.id),
            money=money_of(charge.amount_refunded, charge.currency),
            whole=charge.refunded,
        )
    )


def _reversal(told: Told, dispute: StripeDispute, kind: Literal["disputed", "dispute_won", "dispute_lost"]) -> Reading:
    payments = named(dispute.payment_intent, dispute.charge)
    if not payments:
        return Ignored(words=f"dispute {dispute.id} names neither a charge nor a payment intent")
    money = money_of(dispute.amount, dispute.currency)
    return told.checked(Reversal(source=told.source, kind=kind, at=told.at, payments=payments, money=money))
