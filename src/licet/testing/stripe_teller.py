"""The clock, the ids and the envelope of a story: what every event of it needs."""

import hmac
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

from msgspec import Struct

from licet.testing.stripe_objects import Buyer, Ids, Interval, after_periods, invoice_object
from licet.testing.stripe_templates import API_VERSION, LEGACY_API_VERSION, Json

DAY: Final = 86_400
DEFAULT_METADATA_KEY: Final = "licet_customer"


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


class Teller:
    """Whom a story is about, what time it is there, and what Stripe knows of the subscription and its invoice.

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
        self._last = self.now
        self._secret = secret
        self._ids = Ids(seed)
        self._payment_ids = Ids(f"payments/{seed}")
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
        self._changed: Json = {}

    @property
    def subscription(self) -> str:
        """Stripe's id of the subscription; empty before ``subscribe``."""
        return str(self._subscription.get("id", ""))

    @property
    def time(self) -> datetime:
        """The story's clock."""
        return datetime.fromtimestamp(self.now, UTC)

    def wait(self, *, days: int = 0, hours: int = 0, until: datetime | None = None) -> Self:
        """Let time pass; never backwards."""
        reached = self.now + days * DAY + hours * 3600 if until is None else int(until.timestamp())
        self.now = max(self.now, reached)
        return self

    def together(self) -> Self:
        """Let the next event happen in the very second of the last one, whatever was waited since."""
        self.now = self._last
        return self

    def as_updated(self) -> SignedDelivery:
        """The ``updated`` that Stripe sends beside ``paused`` or ``resumed``, in the same second about the same."""
        return self.together()._event("customer.subscription.updated", self._subscription, self._changed)

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
        self._changed = {key: value for key, value in before.items() if self._told[key] != value}
        previous = self._changed if verb == "updated" else None
        return self._event(f"customer.subscription.{verb}", self._subscription, previous)

    def _event(self, kind: str, content: Json, previous: Json | None = None) -> SignedDelivery:
        """Sign an event about ``content`` and move the clock on by a second."""
        created = self._last = self.now
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
