"""What happens to a story's invoices and payments: paid, failed, sent, overdue, voided, disputed, given back."""

from copy import deepcopy
from typing import Literal

from licet.testing.stripe_objects import send_within
from licet.testing.stripe_payments import charge_object, dispute_object, invoice_payment_object
from licet.testing.stripe_teller import DAY, SignedDelivery, Teller
from licet.testing.stripe_templates import Json

_BEHIND = ("incomplete", "past_due", "unpaid")


class InvoiceTeller(Teller):
    """The part of a story that tells of money."""

    _charge: Json | None = None
    _dispute: Json | None = None

    def pay(self) -> SignedDelivery:
        """The latest invoice is paid. A subscription that was behind is active again: ``updated`` tells it."""
        total = self._invoice["amount_due"]
        self._charge = charge_object(self._payment_ids, self.buyer, total, self.now)
        self._dispute = None
        self._invoice |= {"status": "paid", "amount_paid": total, "amount_remaining": 0, "attempted": True}
        self._invoice["status_transitions"]["paid_at"] = self.now
        self._invoice |= {"attempt_count": self._invoice["attempt_count"] + 1, "next_payment_attempt": None}
        if self._legacy:
            self._invoice |= {"charge": self._charge["id"], "payment_intent": self._charge["payment_intent"]}
        if self._subscription["status"] in _BEHIND:
            self._subscription["status"] = "active"
        return self._event("invoice.paid", self._invoice)

    def payment_succeeded(self) -> SignedDelivery:
        """The older event that says the same as ``pay`` once more."""
        return self._event("invoice.payment_succeeded", self._invoice)

    def payment_made(self) -> SignedDelivery:
        """Which payment settled the latest invoice; since 2025 invoices do not say it themselves."""
        payment = invoice_payment_object(self._payment_ids, self._invoice, self._paid(), self.now)
        return self._event("invoice_payment.paid", payment)

    def fail_payment(self) -> SignedDelivery:
        """A payment of the latest invoice fails. The subscription is past due: ``updated`` tells it."""
        return self._attempt("invoice.payment_failed")

    def ask_authentication(self) -> SignedDelivery:
        """The bank wants the payer to confirm a payment of the latest invoice. The subscription is past due."""
        return self._attempt("invoice.payment_action_required")

    def finalize_invoice(self, days_until_due: int | None = None) -> SignedDelivery:
        """The latest invoice is final; with ``days_until_due`` it is sent to be paid by then, not charged."""
        if days_until_due is not None:
            self._invoice |= send_within(days_until_due, self.now)
        return self._event("invoice.finalized", self._invoice)

    def postpone(self, days: int) -> SignedDelivery:
        """The latest invoice is due so many days later than it was."""
        before = self._invoice["due_date"]
        self._invoice["due_date"] = before + days * DAY
        return self._event("invoice.updated", self._invoice, {"due_date": before})

    def overdue(self) -> SignedDelivery:
        """The latest invoice should have been paid by now."""
        self.now = max(self.now, self._invoice["due_date"] or 0)
        return self._event("invoice.overdue", self._invoice)

    def write_off(self) -> SignedDelivery:
        """The latest invoice is given up as uncollectible."""
        return self._close("uncollectible", "marked_uncollectible")

    def void(self) -> SignedDelivery:
        """The latest invoice is declared void: it never had to be paid."""
        return self._close("void", "voided")

    def dispute(self, *, inquiry: bool = False) -> SignedDelivery:
        """The payer takes the last payment back, or (``inquiry``) first only asks about it."""
        status = "warning_needs_response" if inquiry else "needs_response"
        self._dispute = dispute_object(self._payment_ids, self._paid(), status, self.now)
        self._paid()["disputed"] = True
        return self._event("charge.dispute.created", self._dispute)

    def withdraw_funds(self) -> SignedDelivery:
        """The disputed money is gone; an inquiry has become a dispute."""
        return self._disputed("funds_withdrawn", "needs_response")

    def win_dispute(self) -> SignedDelivery:
        """The dispute ends for the seller; an inquiry is closed."""
        inquiry = (self._dispute or {}).get("status", "").startswith("warning")
        return self._disputed("closed", "warning_closed" if inquiry else "won")

    def lose_dispute(self) -> SignedDelivery:
        """The dispute ends for the payer."""
        return self._disputed("closed", "lost")

    def refund(self, amount: int | None = None) -> SignedDelivery:
        """The last payment is given back, in cents; the whole of it where no amount is named."""
        charge = self._paid()
        before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
        given = charge["amount"] if amount is None else charge["amount_refunded"] + amount
        charge |= {"amount_refunded": given, "refunded": given == charge["amount"]}
        return self._event("charge.refunded", charge, {key: old for key, old in before.items() if charge[key] != old})

    def _attempt(self, kind: str) -> SignedDelivery:
        """Tell an attempt to collect the latest invoice that brought no money."""
        retry = {"attempted": True, "attempt_count": self._invoice["attempt_count"] + 1}
        self._invoice |= retry | {"next_payment_attempt": self.now + 3 * DAY}
        if self._subscription["status"] == "active":
            self._subscription["status"] = "past_due"
        return self._event(kind, self._invoice)

    def _close(self, status: Literal["uncollectible", "void"], verb: str) -> SignedDelivery:
        """Tell that the latest invoice will not be paid."""
        self._invoice["status"] = status
        self._invoice["status_transitions"][f"{verb}_at"] = self.now
        return self._event(f"invoice.{verb}", self._invoice)

    def _disputed(self, verb: str, status: str) -> SignedDelivery:
        """Tell how a dispute goes on."""
        if self._dispute is None:
            raise ValueError("no payment of this story is disputed; call dispute() first")
        self._dispute = deepcopy(self._dispute) | {"status": status, "is_charge_refundable": status.startswith("warn")}
        return self._event(f"charge.dispute.{verb}", self._dispute)

    def _paid(self) -> Json:
        """Return the last payment."""
        if self._charge is None:
            raise ValueError("nothing was paid in this story yet; call pay() first")
        return self._charge
