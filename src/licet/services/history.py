"""The orders of one foreign subscription as the log holds them, and the terms that follow from all of them.

``place_order`` is a left fold: fed in the orders' own sequence it leaves the whole history, fed otherwise a late order
would leave a gap in the past. So a late order is put in its place and the subscription is made anew from all of them.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.orders import OrderDocument, Placement, name_parts
from licet.core.placement import find_subscription, merge_payments, place_order
from licet.core.terms import EarlyPayment, Terms
from licet.services.errors import Invalid
from licet.services.ports import View
from licet.services.rows import Page

MAX_ORDERS: Final = 5000
"""How many orders one foreign subscription may have; more are refused, so that making it anew stays bounded."""
_PAGE: Final = 500


class PlacedOrder(Struct, frozen=True):
    """An order and the event that holds it; ``refused`` if it meant nothing here when it arrived."""

    order: OrderDocument
    event: str
    refused: bool = False


def order_subject(source: str, external_id: str) -> str:
    """Return the subject under which the log holds all orders of one foreign subscription."""
    return "/".join(("order", *name_parts(source, external_id)))


async def load_orders(view: View, source: str, external_id: str) -> list[PlacedOrder]:
    """Return every order of a foreign subscription, oldest first (by its own time, sequence, then arrival)."""
    found: list[PlacedOrder] = []
    page = Page(limit=_PAGE)
    while True:
        events = await view.events(page, subject=order_subject(source, external_id))
        found += [
            PlacedOrder(_document(event.after), event.id, event.type == "order.refused")
            for event in events
            if _is_order(event.after)
        ]
        found = [one for one in found if (one.order.source, one.order.external_id) == (source, external_id)]
        if len(found) > MAX_ORDERS:
            raise Invalid(f"the subscription {external_id} of {source} has more than {MAX_ORDERS} orders")
        if len(events) < _PAGE:
            return sorted(found, key=lambda placed: rank(placed.order))
        page = Page(after=str(events[-1].seq), limit=_PAGE)


def rank(order: OrderDocument) -> tuple[datetime, int]:
    """Return how new an order is; one without a sequence is older than one with."""
    return order.occurred_at, -1 if order.sequence is None else order.sequence


def fold_orders(
    catalog: CompiledCatalog,
    terms: Terms,
    orders: list[PlacedOrder],
    newest: PlacedOrder,
    *,
    subscription_id: str,
    zone: str,
) -> Placement:
    """Return the terms after all ``orders`` and ``newest`` (the one that just arrived), each at its own time.

    The subscription keeps its id and payment facts. Findings are those of the order that arrived.
    """
    source, external_id = newest.order.source, newest.order.external_id
    before = find_subscription(terms, source, external_id)
    if not orders or rank(newest.order) >= rank(orders[-1].order):
        return _place(catalog, terms, newest, subscription_id, zone)
    current = _without(terms, source, external_id)
    outcome: Placement | None = None
    for placed in sorted([*orders, newest], key=lambda one: rank(one.order)):
        placement = _place(catalog, current, placed, subscription_id, zone)
        current = placement.terms
        outcome = placement if placed is newest else outcome
    if outcome is None:
        raise AssertionError("the order that arrived is among those folded")
    current = _with_payments(current, terms, source, external_id)
    if before is not None:
        current = _in_place(current, terms)
    same = current == terms
    kept = "refused" if outcome.outcome == "refused" else "stale" if same else "applied"
    return structs.replace(outcome, terms=current, outcome=kept)


def _place(catalog: CompiledCatalog, terms: Terms, placed: PlacedOrder, subscription_id: str, zone: str) -> Placement:
    """Place one order; a refused one leaves the terms exactly as they were."""
    placement = place_order(
        catalog, terms, placed.order, subscription_id=subscription_id, zone=zone, event=placed.event or None
    )
    return structs.replace(placement, terms=terms) if placement.outcome == "refused" else placement


def _without(terms: Terms, source: str, external_id: str) -> Terms:
    """Return the terms as if the subscription had never been ordered; its payment facts wait for it."""
    before = find_subscription(terms, source, external_id)
    if before is None:
        return terms
    early = tuple(EarlyPayment(source=source, external_id=external_id, fact=fact) for fact in before.payments)
    return structs.replace(
        terms,
        subscriptions=tuple(one for one in terms.subscriptions if one.id != before.id),
        early_payments=(*terms.early_payments, *early),
    )


def _with_payments(current: Terms, before: Terms, source: str, external_id: str) -> Terms:
    """Return the terms with every payment fact that the subscription had before."""
    made, had = (find_subscription(terms, source, external_id) for terms in (current, before))
    if made is None or had is None:
        return current
    merged = merge_payments(made, had.payments)
    kept = tuple(merged if one.id == made.id else one for one in current.subscriptions)
    return structs.replace(current, subscriptions=kept)


def _in_place(current: Terms, before: Terms) -> Terms:
    """Return the terms with the subscriptions in the order in which they stood before."""
    place = {one.id: index for index, one in enumerate(before.subscriptions)}
    ordered = tuple(sorted(current.subscriptions, key=lambda one: place.get(one.id, len(place))))
    return structs.replace(current, subscriptions=ordered)


def order_content(order: OrderDocument) -> dict[str, Any]:
    """Return an order as the log holds it."""
    shown: dict[str, Any] = to_builtins(order)
    return shown


def _is_order(after: Any) -> bool:
    return isinstance(after, dict) and "document" in after


def _document(after: Any) -> OrderDocument:
    return msgspec.convert(after["document"], OrderDocument)
