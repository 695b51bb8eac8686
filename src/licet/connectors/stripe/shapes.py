"""The fields of Stripe's objects that decide about rights, and no others: whatever else a message has is passed over.

Both shapes of the API are read: since 2025 the current period stands at the item and an invoice names its subscription
under ``parent``; before, at the subscription and at the invoice. Times are unix seconds.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

UnixSeconds = Annotated[int, Meta(ge=0, le=221_845_391_999)]
"""Until the year 9000."""
StripeId = Annotated[str, Meta(min_length=1, max_length=255)]


class Named(Struct, frozen=True):
    """An object that was expanded where usually only its id stands."""

    id: StripeId


Reference = StripeId | Named


class Recurring(Struct, frozen=True):
    """How often a price is charged."""

    interval: str
    interval_count: Annotated[int, Meta(ge=1, le=10_000)] = 1


class Price(Struct, frozen=True):
    """What an item costs; its id is what the catalog's ``orders`` explain."""

    id: StripeId
    recurring: Recurring | None = None


class SubscriptionItem(Struct, frozen=True):
    """One line of a subscription. A metered price has no quantity."""

    id: StripeId
    price: Price
    quantity: int | None = None
    current_period_end: UnixSeconds | None = None


class ItemList(Struct, frozen=True):
    """The lines; ``has_more`` if some are not in the message."""

    data: list[SubscriptionItem]
    has_more: bool = False


class EndBehavior(Struct, frozen=True):
    """What happens at the end of a trial without a payment method."""

    missing_payment_method: str | None = None


class TrialSettings(Struct, frozen=True):
    """How a trial ends."""

    end_behavior: EndBehavior | None = None


class StripeSubscription(Struct, frozen=True):
    """A subscription, as it is after the event."""

    id: StripeId
    customer: Reference
    status: str
    items: ItemList
    created: UnixSeconds | None = None
    start_date: UnixSeconds | None = None
    billing_cycle_anchor: UnixSeconds | None = None
    current_period_end: UnixSeconds | None = None
    """Where API versions before 2025 put it."""
    cancel_at: UnixSeconds | None = None
    cancel_at_period_end: bool = False
    ended_at: UnixSeconds | None = None
    trial_start: UnixSeconds | None = None
    trial_end: UnixSeconds | None = None
    trial_settings: TrialSettings | None = None
    latest_invoice: Reference | None = None
    metadata: dict[str, str] | None = None


class SubscriptionDetails(Struct, frozen=True):
    """Which subscription an invoice is for, and that one's metadata."""

    subscription: Reference | None = None
    metadata: dict[str, str] | None = None


class InvoiceParent(Struct, frozen=True):
    """What made an invoice (API versions since 2025)."""

    type: str | None = None
    subscription_details: SubscriptionDetails | None = None


class StripeInvoice(Struct, frozen=True):
    """An invoice; ``subscription`` and ``subscription_details`` are where older API versions put it."""

    id: StripeId
    customer: Reference | None = None
    parent: InvoiceParent | None = None
    subscription: Reference | None = None
    subscription_details: SubscriptionDetails | None = None


class StripeCheckout(Struct, frozen=True):
    """A finished checkout: it knows who the buyer is to the vendor."""

    id: StripeId
    customer: Reference | None = None
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None


class EventContent(Struct, frozen=True):
    """``object`` is the thing after the event; ``previous_attributes`` what an update changed."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class StripeEvent(Struct, frozen=True):
    """The envelope of every message."""

    id: StripeId
    type: Annotated[str, Meta(min_length=1, max_length=255)]
    created: UnixSeconds
    data: EventContent
    object: str = "event"


def reference_id(reference: Reference | None) -> str | None:
    """Return the id of an object, whether it was expanded or not."""
    return reference.id if isinstance(reference, Named) else reference
