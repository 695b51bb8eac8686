"""Digests of a subscription before and after an event: they tell which of two changes of one second came first.

An update says what was there before it (``previous_attributes``). Put back over the object after it, this is the object
before it, which is what the update before left behind. Only what decides about rights counts: what else changed, or
how an API version writes it, makes no difference.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from licet.connectors.stripe.shapes import StripeSubscription
from licet.connectors.stripe.told import Told

_UNCHANGED: Final = ("customer.subscription.trial_will_end", "customer.subscription.pending_update_expired")
"""They announce something and change nothing."""


def states(told: Told, subscription: StripeSubscription) -> tuple[str | None, str | None]:
    """Return the digests after and before an event; only the first for what begins, none where nobody can know."""
    after = _digest(subscription)
    if told.event.type == "customer.subscription.created":
        return after, None
    if told.event.type in _UNCHANGED:
        return after, after
    previous = told.event.data.previous_attributes
    if previous is None:
        return None, None
    # Keys of metadata that are new were null before, which no metadata is; they decide nothing.
    earlier = overlaid(told.event.data.object, previous) | {"metadata": None}
    try:
        before = msgspec.convert(earlier, StripeSubscription)
    except msgspec.ValidationError:
        return None, None
    return after, _digest(before)


def overlaid(content: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with earlier values put back: nested objects are merged, lists and all else replaced."""
    merged = dict(content)
    for name, value in previous.items():
        now = merged.get(name)
        nested = isinstance(value, Mapping) and isinstance(now, Mapping)
        merged[name] = overlaid(now or {}, value) if nested else value
    return merged


def _digest(subscription: StripeSubscription) -> str:
    """Return a digest of what decides: the status, the items, the trial, the end and the billing period."""
    trial = subscription.trial_settings
    with_period = subscription.cancel_at is None and subscription.cancel_at_period_end
    items = sorted(
        repr((item.id, item.price.id, item.quantity, item.price.recurring, with_period and item.current_period_end))
        for item in subscription.items.data
    )
    decides = (
        subscription.status,
        items,
        subscription.start_date or subscription.created,
        subscription.trial_start,
        subscription.trial_end,
        trial and trial.end_behavior and trial.end_behavior.missing_payment_method,
        subscription.cancel_at,
        with_period,
        with_period and subscription.current_period_end,
        subscription.ended_at,
        subscription.billing_cycle_anchor,
    )
    return sha256(msgspec.json.encode(decides)).hexdigest()[:32]
