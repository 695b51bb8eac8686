"""Stories as Stripe tells them: consistent events of one customer's subscription, each freshly signed.

Ids, times, statuses and ``previous_attributes`` fit together; all of it is deterministic from a seed. A story has its
own clock: every event is one second after the one before, and ``wait`` moves on. No network, no Stripe account.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal

from msgspec import Struct

from licet.testing.stripe_objects import (
    Buyer,
    Ids,
    Interval,
    after_periods,
    checkout_object,
    customer_object,
    invoice_object,
    item_object,
    set_price,
)
from licet.testing.stripe_templates import API_VERSION, LEGACY_API_VERSION, SUBSCRIPTION, Json

DAY: Final = 86_400
DEFAULT_METADATA_KEY: Final = "licet_customer"
MissingPaymentMethod = Literal["create_invoice", "pause", "cancel"]


class SignedDelivery(Struct, frozen=True, kw_only=True):
    """One HTTP request that Stripe would make. ``created`` is the event's time in unix seconds."""

    id: str
    type: str
    created: int
    body: bytes
    headers: dict[str, str]

    def signed(self, secret: str, at: int) -> "SignedDelivery":
        """Return the same message signed anew at ``at`` (unix seconds), as a later attempt is."""
        return SignedDelivery(
            id=self.id, type=self.type, created=self.created, body=self.body, headers=_headers(self.body, secret, at)
        )


class StripeStory:
    """One customer of Stripe and what becomes of its subscription.

    ``customer`` is the vendor's own id of it, written into the metadata of what it buys (None: Stripe knows nothing of
    it). ``sign_at`` gives the unix seconds at which messages are signed; by default the event's own time.
    """

    def __init__(
        self,
        secret: str,
        start: datetime,
        *,
        customer: str | None = None,
        seed: int = 1,
        name: str = "Acme Inc.",
        email: str = "billing@acme.example",
        metadata_key: str = DEFAULT_METADATA_KEY,
        legacy: bool = False,
        sign_at: Callable[[], int] | None = None,
    ) -> None:
        self.now = int(start.timestamp())
        """The story's clock, in unix seconds."""
        self._secret = secret
        self._ids = Ids(seed)
        metadata = {} if customer is None else {metadata_key: customer}
        self.buyer = Buyer(self._ids.new("cus", 14), name, email, metadata)
        self._legacy = legacy
        self._sign_at = sign_at
        self._interval: Interval = "month"
        self._periods = 0
        self._invoices = 0
        self._subscription: Json = {}
        self._invoice: Json = {}
        self._told: Json = {}

    @property
    def subscription(self) -> str:
        """Stripe's id of the subscription; empty before ``subscribe``."""
        return str(self._subscription.get("id", ""))

    @property
    def time(self) -> datetime:
        """The story's clock."""
        return datetime.fromtimestamp(self.now, UTC)

    def wait(self, *, days: int = 0, hours: int = 0, until: datetime | None = None) -> "StripeStory":
        """Let time pass; never backwards."""
        reached = self.now + days * DAY + hours * 3600 if until is None else int(until.timestamp())
        self.now = max(self.now, reached)
        return self

    def checkout(self, reference: str | None = None) -> SignedDelivery:
        """The checkout is finished; ``reference`` is the ``client_reference_id`` that the vendor gave it."""
        subscription = self._subscription or None
        return self._event(
            "checkout.session.completed", checkout_object(self._ids, self.buyer, self.now, reference, subscription)
        )

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
    ) -> SignedDelivery:
        """A subscription begins, with a trial or at once; ``incomplete`` if its first payment is still missing."""
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

    def end_trial(self) -> SignedDelivery:
        """The trial ends with a payment method in place: the subscription is active."""
        self.now = max(self.now, self._subscription["trial_end"])
        self._begin_period(self._subscription["trial_end"])
        self._subscription["status"] = "active"
        return self.updated()

    def end_trial_without_payment_method(self) -> SignedDelivery:
        """The trial ends without one: what happens is what ``missing_payment_method`` says."""
        self.now = max(self.now, self._subscription["trial_end"])
        behavior = self._subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if behavior == "pause":
            return self.pause()
        if behavior == "cancel":
            return self.delete()
        self._begin_period(self._subscription["trial_end"])
        self._subscription["status"] = "past_due"
        return self.updated()

    def renew(self) -> SignedDelivery:
        """The next period begins, with a new invoice."""
        _, end = self._period()
        self.now = max(self.now, end)
        self._begin_period(end)
        return self.updated()

    def pay(self) -> SignedDelivery:
        """The latest invoice is paid. A subscription that was behind is active again: ``updated`` tells it."""
        total = self._invoice["amount_due"]
        self._invoice |= {"status": "paid", "amount_paid": total, "amount_remaining": 0, "attempted": True}
        self._invoice["status_transitions"]["paid_at"] = self.now
        self._invoice |= {"attempt_count": self._invoice["attempt_count"] + 1, "next_payment_attempt": None}
        if self._subscription["status"] in ("incomplete", "past_due", "unpaid"):
            self._subscription["status"] = "active"
        return self._event("invoice.paid", self._invoice)

    def fail_payment(self) -> SignedDelivery:
        """A payment of the latest invoice fails. The subscription is past due: ``updated`` tells it."""
        retry = {"attempted": True, "attempt_count": self._invoice["attempt_count"] + 1}
        self._invoice |= retry | {"next_payment_attempt": self.now + 3 * DAY}
        if self._subscription["status"] == "active":
            self._subscription["status"] = "past_due"
        return self._event("invoice.payment_failed", self._invoice)

    def give_up(self, status: Literal["unpaid", "canceled"] = "unpaid") -> SignedDelivery:
        """Stripe's retries are exhausted."""
        if status == "canceled":
            return self.delete("payment_failed")
        self._subscription["status"] = "unpaid"
        return self.updated()

    def write_off(self) -> SignedDelivery:
        """The latest invoice is given up as uncollectible."""
        self._invoice["status"] = "uncollectible"
        self._invoice["status_transitions"]["marked_uncollectible_at"] = self.now
        return self._event("invoice.marked_uncollectible", self._invoice)

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

    def again(self, delivery: SignedDelivery, *, at: int | None = None) -> SignedDelivery:
        """Return the next attempt to deliver an event: other counters in the envelope, signed anew."""
        event = json.loads(delivery.body)
        event["pending_webhooks"] += 1
        body = _encode(event)
        signed_at = at if at is not None else self._signed_at(delivery.created)
        return SignedDelivery(
            id=delivery.id,
            type=delivery.type,
            created=delivery.created,
            body=body,
            headers=_headers(body, self._secret, signed_at),
        )

    def _begin_period(self, start: int) -> None:
        """Begin the next billing period and invoice it."""
        anchor = self._subscription["billing_cycle_anchor"]
        self._periods = 0
        while after_periods(anchor, self._interval, self._periods + 1) <= start:
            self._periods += 1
        self._set_period(start, after_periods(anchor, self._interval, self._periods + 1))
        self._new_invoice()

    def _period(self) -> tuple[int, int]:
        holder = self._subscription if self._legacy else self._subscription["items"]["data"][0]
        return holder["current_period_start"], holder["current_period_end"]

    def _set_period(self, start: int, end: int) -> None:
        """Set the running period where this API version puts it."""
        holders = [self._subscription] if self._legacy else self._subscription["items"]["data"]
        for holder in holders:
            holder |= {"current_period_start": start, "current_period_end": end}

    def _new_invoice(self) -> None:
        """Make the invoice of the running period."""
        self._invoices += 1
        self._invoice = invoice_object(
            self._ids, self.buyer, self._subscription, self.now, self._invoices, legacy=self._legacy
        )
        self._subscription["latest_invoice"] = self._invoice["id"]

    def _tell(self, verb: str) -> SignedDelivery:
        """Send a subscription event, with what changed since the last one."""
        before, self._told = self._told, deepcopy(self._subscription)
        changed = {key: value for key, value in before.items() if self._told[key] != value}
        previous = changed if verb == "updated" else None
        return self._event(f"customer.subscription.{verb}", self._subscription, previous)

    def _event(self, kind: str, content: Json, previous: Json | None = None) -> SignedDelivery:
        """Sign an event about ``content`` and move the clock on by a second."""
        created = self.now
        self.now = created + 1
        told = {"object": content} | ({} if previous is None else {"previous_attributes": previous})
        event = {
            "id": self._ids.new("evt"),
            "object": "event",
            "api_version": LEGACY_API_VERSION if self._legacy else API_VERSION,
            "created": created,
            "data": told,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        body = _encode(event)
        headers = _headers(body, self._secret, self._signed_at(created))
        return SignedDelivery(id=str(event["id"]), type=kind, created=created, body=body, headers=headers)

    def _signed_at(self, created: int) -> int:
        return created if self._sign_at is None else self._sign_at()


def _encode(event: Json) -> bytes:
    """Return an event as Stripe writes it: indented by two spaces."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def _headers(body: bytes, secret: str, at: int) -> dict[str, str]:
    """Return the headers of a delivery signed at ``at``."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": f"t={at},v1={signature}",
    }
