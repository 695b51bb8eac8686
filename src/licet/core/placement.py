"""Placing an order: a pure rule from the terms before to the terms after, with findings where something is odd."""

from licet.core.compiled import CompiledCatalog
from licet.core.orders import OrderDocument, PaymentNotice, Placement
from licet.core.terms import Terms


def place_order(
    catalog: CompiledCatalog,
    terms: Terms,
    order: OrderDocument,
    *,
    subscription_id: str,
    zone: str | None = None,
    event: str | None = None,
) -> Placement:
    """Return the terms after ``order``.

    ``subscription_id`` names the subscription if the order begins one; ``zone`` is pinned to it where neither the
    order nor the profile names one; ``event`` is recorded as the origin of what changed.
    """
    raise RuntimeError("to be written")


def record_payments(terms: Terms, notice: PaymentNotice, *, event: str | None = None) -> Placement:
    """Return the terms with the payment facts of ``notice`` merged in, also before their subscription is known."""
    raise RuntimeError("to be written")
