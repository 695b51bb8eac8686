"""The fields of Stripe's objects that decide about rights, and no others: whatever else a message has is passed over.

Both shapes of the API are read: since 2025 the current period stands at the item and an invoice names its subscription
under ``parent``; before, at the subscription and at the invoice. Times are unix seconds.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

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
    unit_amount: int | None = None
    """None where the price has tiers or fractions of a cent."""
    currency: str | None = None


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
    schedule: Reference | UnsetType | None = UNSET
    """What plans its later phases; None where nothing does any more."""
    metadata: dict[str, str] | None = None


class SubscriptionDetails(Struct, frozen=True):
    """Which subscription an invoice is for, and that one's metadata."""

    subscription: Reference | None = None
    metadata: dict[str, str] | None = None


class InvoiceParent(Struct, frozen=True):
    """What made an invoice (API versions since 2025)."""

    type: str | None = None
    subscription_details: SubscriptionDetails | None = None


class PaymentOf(Struct, frozen=True):
    """What paid an invoice: a payment intent, or a charge that has none."""

    payment_intent: Reference | None = None
    charge: Reference | None = None


class InvoicePayment(Struct, frozen=True):
    """One payment towards an invoice, as it stands in the invoice's own list."""

    payment: PaymentOf | None = None


class InvoicePayments(Struct, frozen=True):
    """The first payments of an invoice (API versions since 2025, where the message has them)."""

    data: list[InvoicePayment]


class StripeInvoice(Struct, frozen=True):
    """An invoice.

    ``subscription``, ``subscription_details``, ``charge`` and ``payment_intent`` are where older API versions put them.
    """

    id: StripeId
    customer: Reference | None = None
    status: str | None = None
    collection_method: str | None = None
    due_date: UnixSeconds | None = None
    amount_due: int | None = None
    amount_paid: int | None = None
    amount_remaining: int | None = None
    currency: str | None = None
    parent: InvoiceParent | None = None
    subscription: Reference | None = None
    subscription_details: SubscriptionDetails | None = None
    payments: InvoicePayments | None = None
    charge: Reference | None = None
    payment_intent: Reference | None = None


class StripeInvoicePayment(Struct, frozen=True):
    """A payment towards an invoice, told on its own (API versions since 2025)."""

    id: StripeId
    invoice: Reference
    payment: PaymentOf | None = None


class PhaseItem(Struct, frozen=True):
    """One line of a schedule's phase; ``plan`` is the older name of the price."""

    price: Reference | None = None
    plan: Reference | None = None
    quantity: int | None = None


class SchedulePhase(Struct, frozen=True):
    """What a subscription consists of over a span of time that is planned."""

    start_date: UnixSeconds
    items: list[PhaseItem]
    end_date: UnixSeconds | None = None


class StripeSchedule(Struct, frozen=True):
    """A plan for one subscription; once it is released, only ``released_subscription`` names that one."""

    id: StripeId
    status: str
    customer: Reference | None = None
    subscription: Reference | None = None
    released_subscription: Reference | None = None
    phases: list[SchedulePhase] = []
    end_behavior: str | None = None
    metadata: dict[str, str] | None = None


class StripeDispute(Struct, frozen=True):
    """A payer who questions a charge: an inquiry as long as the status begins with ``warning``."""

    id: StripeId
    status: str
    charge: Reference | None = None
    payment_intent: Reference | None = None
    amount: int | None = None
    currency: str | None = None


class StripeCharge(Struct, frozen=True):
    """A payment by card or bank; ``refunded`` only if all of it was given back."""

    id: StripeId
    payment_intent: Reference | None = None
    amount_refunded: int | None = None
    refunded: bool = False
    currency: str | None = None


class ActiveEntitlement(Struct, frozen=True):
    """One feature that Stripe believes in; ``lookup_key`` is the vendor's own name of it."""

    lookup_key: StripeId


class ActiveEntitlements(Struct, frozen=True):
    """The list; ``has_more`` if some are not in the message."""

    data: list[ActiveEntitlement]
    has_more: bool = False


class StripeEntitlementSummary(Struct, frozen=True):
    """Everything that Stripe believes a customer may use."""

    customer: Reference
    entitlements: ActiveEntitlements


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
