"""Stories as Stripe tells them: consistent events of one customer's subscription, each freshly signed.

Ids, times, statuses and ``previous_attributes`` fit together; all of it is deterministic from a seed. A story has its
own clock: every event is one second after the one before, and ``wait`` moves on. No network, no Stripe account.
"""

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from typing import Literal

from licet.testing.stripe_invoices import InvoiceTeller
from licet.testing.stripe_objects import (
    Interval,
    after_periods,
    checkout_object,
    customer_object,
    item_object,
    sent,
    set_price,
)
from licet.testing.stripe_payments import summary_object
from licet.testing.stripe_schedules import ScheduleTeller
from licet.testing.stripe_teller import DAY, SignedDelivery
from licet.testing.stripe_templates import SUBSCRIPTION

__all__ = ["DAY", "MissingPaymentMethod", "SignedDelivery", "StripeStory"]

MissingPaymentMethod = Literal["create_invoice", "pause", "cancel"]


class StripeStory(InvoiceTeller, ScheduleTeller):
    """One customer of Stripe and what becomes of its subscription.

    ``customer`` is the vendor's own id of it, written into the metadata of what it buys (None: Stripe knows nothing of
    it). ``sign_at`` gives the unix seconds at which messages are signed; by default the event's own time.
    """

    def checkout(self, reference: str | None = None) -> SignedDelivery:
        """The checkout is finished; ``reference`` is the ``client_reference_id`` that the vendor gave it."""
        subscription = self._subscription or None
        return self._event(
            "checkout.session.completed", checkout_object(self._ids, self.buyer, self.now, reference, subscription)
        )

    def entitlement_summary(self, *lookup_keys: str, has_more: bool = False) -> SignedDelivery:
        """What Stripe believes the customer may use, by the vendor's names; ``has_more``: some are left out."""
        summary = summary_object(self._payment_ids, self.buyer, lookup_keys, has_more=has_more)
        return self._event("entitlements.active_entitlement_summary.updated", summary)

    def customer_updated(self) -> SignedDelivery:
        """Something about the customer changed that says nothing about rights."""
        return self._event("customer.updated", customer_object(self.buyer, self.now), {"name": "Acme"})

    def subscribe(
        self,
        price: str,
        quantity: int = 1,
        *,
        extra: Sequence[tuple[str, int]] = (),
        trial_days: int = 0,
        missing_payment_method: MissingPaymentMethod = "create_invoice",
        interval: Interval = "month",
        incomplete: bool = False,
        days_until_due: int | None = None,
    ) -> SignedDelivery:
        """A subscription begins, with a trial or at once; ``incomplete`` if its first payment is still missing.

        With ``days_until_due`` its invoices are sent to be paid within so many days, else a card is charged.
        """
        self._interval, self._periods = interval, 0
        subscription_id, trial_end = self._ids.new("sub"), self.now + trial_days * DAY
        items = [
            item_object(self._ids, subscription_id, line, self.now, interval) for line in [(price, quantity), *extra]
        ]
        trial = {"trial_start": self.now, "trial_end": trial_end} if trial_days else {}
        self._subscription = deepcopy(SUBSCRIPTION) | {
            "id": subscription_id,
            "customer": self.buyer.id,
            "created": self.now,
            "start_date": self.now,
            "billing_cycle_anchor": trial_end,
            "items": {
                "object": "list",
                "data": items,
                "has_more": False,
                "url": f"/v1/subscription_items?subscription={subscription_id}",
            },
            "metadata": dict(self.buyer.metadata),
            "status": "trialing" if trial_days else "incomplete" if incomplete else "active",
            "trial_settings": {"end_behavior": {"missing_payment_method": missing_payment_method}},
            **trial,
            **({} if days_until_due is None else sent(days_until_due)),
        }
        self._set_period(self.now, trial_end if trial_days else after_periods(self.now, interval, 1))
        self._new_invoice()
        self._told = {}
        return self._tell("created")

    def updated(self) -> SignedDelivery:
        """``customer.subscription.updated`` with everything that changed since the last such event."""
        return self._tell("updated")

    def upgrade(self, price: str, quantity: int | None = None) -> SignedDelivery:
        """The first item gets another price, and another quantity if one is given."""
        items = self._subscription["items"]["data"]
        items[0] = set_price(items[0], price, quantity or items[0]["quantity"], self._interval)
        return self.updated()

    def change_quantity(self, quantity: int) -> SignedDelivery:
        """The first item gets another quantity."""
        self._subscription["items"]["data"][0]["quantity"] = quantity
        return self.updated()

    def add_item(self, price: str, quantity: int = 1) -> SignedDelivery:
        """One more thing is bought."""
        items = self._subscription["items"]["data"]
        added = item_object(self._ids, self.subscription, (price, quantity), self.now, self._interval)
        items.append(added | {key: items[0][key] for key in items[0] if key.startswith("current_period")})
        return self.updated()

    def remove_item(self, price: str) -> SignedDelivery:
        """One thing is no longer bought."""
        listed = self._subscription["items"]
        listed["data"] = [item for item in listed["data"] if item["price"]["id"] != price]
        return self.updated()

    def trial_will_end(self) -> SignedDelivery:
        """Three days before the trial ends (or now, if that has passed) Stripe says so."""
        self.now = max(self.now, self._subscription["trial_end"] - 3 * DAY)
        return self._event("customer.subscription.trial_will_end", self._subscription)

    def extend_trial(self, *, days: int) -> SignedDelivery:
        """The trial lasts so many days longer."""
        end = self._subscription["trial_end"] + days * DAY
        self._subscription |= {"trial_end": end, "billing_cycle_anchor": end}
        self._set_period(self._period()[0], end)
        return self.updated()

    def end_trial(self) -> SignedDelivery:
        """The trial ends with a payment method in place: the subscription is active."""
        self.now = max(self.now, self._subscription["trial_end"])
        self._subscription["status"] = "active"
        self._begin_period(self._subscription["trial_end"])
        return self.updated()

    def end_trial_without_payment_method(self) -> SignedDelivery:
        """The trial ends without one: what happens is what ``missing_payment_method`` says."""
        self.now = max(self.now, self._subscription["trial_end"])
        behavior = self._subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if behavior == "pause":
            return self.pause()
        if behavior == "cancel":
            return self.delete()
        self._subscription["status"] = "past_due"
        self._begin_period(self._subscription["trial_end"])
        return self.updated()

    def renew(self) -> SignedDelivery:
        """The next period begins, with a new invoice."""
        _, end = self._period()
        self.now = max(self.now, end)
        self._begin_period(end)
        return self.updated()

    def give_up(self, status: Literal["unpaid", "canceled"] = "unpaid") -> SignedDelivery:
        """Stripe's retries are exhausted."""
        if status == "canceled":
            return self.delete("payment_failed")
        self._subscription["status"] = "unpaid"
        return self.updated()

    def pause_collection(self) -> SignedDelivery:
        """Invoices are paused; access is not."""
        self._subscription["pause_collection"] = {"behavior": "void", "resumes_at": None}
        return self.updated()

    def pause(self) -> SignedDelivery:
        """The subscription is paused, status and all."""
        self._subscription["status"] = "paused"
        return self._tell("paused")

    def resume(self) -> SignedDelivery:
        """The subscription goes on."""
        self._subscription["status"] = "active"
        self._begin_period(self.now)
        return self._tell("resumed")

    def cancel(self, *, at_period_end: bool = True, at: datetime | None = None) -> SignedDelivery:
        """The subscription will end with its period or at an instant; ``at_period_end=False``: it ends now."""
        if not at_period_end and at is None:
            return self.delete()
        end = self._period()[1] if at is None else int(at.timestamp())
        self._subscription |= {"cancel_at": end, "canceled_at": self.now, "cancel_at_period_end": at is None}
        self._subscription["cancellation_details"]["reason"] = "cancellation_requested"
        return self.updated()

    def uncancel(self) -> SignedDelivery:
        """A planned end is taken back."""
        self._subscription |= {"cancel_at": None, "canceled_at": None, "cancel_at_period_end": False}
        self._subscription["cancellation_details"]["reason"] = None
        return self.updated()

    def delete(self, reason: str = "cancellation_requested") -> SignedDelivery:
        """The subscription has ended: now, or at its planned end if that is still ahead."""
        self.now = max(self.now, self._subscription["cancel_at"] or 0)
        ended = {"status": "canceled", "ended_at": self.now}
        self._subscription |= ended | {"canceled_at": self._subscription["canceled_at"] or self.now}
        self._subscription["cancellation_details"]["reason"] = reason
        return self._tell("deleted")
