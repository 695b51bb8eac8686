"""The orders of one foreign subscription as the log holds them, and the terms that follow from all of them.

``place_order`` is a left fold: fed in the orders' own sequence it leaves the whole history, fed otherwise a late order
would leave a gap in the past. So a late order is put in its place and the subscription is made anew from all of them.

What was bought stays bought: an order is read once, by the catalog in force when it arrives, and the log holds what it
meant then. Only that is folded, and never an order that was refused.
"""

from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog
from licet.core.orderlines import Drafting, Sellers, read_lines
from licet.core.orders import OrderDocument, Placement, Resolved, name_parts
from licet.core.placement import find_subscription, merge_payments, place_order, rank
from licet.core.terms import EarlyPayment, Terms
from licet.services.errors import Invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.wire.event import Event

MAX_ORDERS: Final = 5000
"""How many orders one foreign subscription may have; more are refused, so that making it anew stays bounded."""
_PAGE: Final = 500


class PlacedOrder(Struct, frozen=True):
    """An order and the event that holds it; ``refused`` if it meant nothing here when it arrived."""

    order: OrderDocument
    event: str
    refused: bool = False
    items: tuple[Resolved, ...] | None = None
    """What its lines meant when it arrived; None: what they mean now."""
    zone: str | None = None
    """The zone pinned to its subscription where no order names one."""


class OrderRecord(Struct, frozen=True, kw_only=True):
    """What the log holds of an order."""

    document: OrderDocument
    customer: str
    subscription: str | None = None
    findings: tuple[str, ...] = ()
    items: tuple[Resolved, ...] | None = None
    zone: str | None = None


def order_subject(source: str, external_id: str) -> str:
    """Return the subject under which the log holds all orders of one foreign subscription."""
    return "/".join(("order", *name_parts(source, external_id)))


async def load_orders(view: View, source: str, external_id: str) -> list[PlacedOrder]:
    """Return every order of a foreign subscription, oldest first (by its own time, sequence, then arrival)."""
    found: list[PlacedOrder] = []
    page = Page(limit=_PAGE)
    while True:
        events = await view.events(page, subject=order_subject(source, external_id))
        found += [placed for event in events if (placed := _placed(event)) is not None]
        found = [one for one in found if (one.order.source, one.order.external_id) == (source, external_id)]
        if len(found) > MAX_ORDERS:
            raise Invalid(f"the subscription {external_id} of {source} has more than {MAX_ORDERS} orders")
        if len(events) < _PAGE:
            return sorted(found, key=lambda placed: rank(placed.order))
        page = Page(after=str(events[-1].seq), limit=_PAGE)


def base_zone(orders: list[PlacedOrder], otherwise: str) -> str:
    """Return the zone of a subscription whose orders name none: the one pinned when the first of them arrived."""
    return next((placed.zone for placed in accepted(orders) if placed.zone is not None), otherwise)


def accepted(orders: list[PlacedOrder]) -> list[PlacedOrder]:
    """Return the orders that count."""
    return [placed for placed in orders if not placed.refused]


def earlier_offers(orders: list[PlacedOrder], order: OrderDocument) -> dict[tuple[str, str, str | None], int]:
    """Return, by the name of an item, the catalog revision that says which version of it a late order bought.

    Where a newer order has the item already, the late one only tells that it was bought earlier: which version that
    was is said by the offers known then, as if it had come in time, and not by what was released since.
    """
    found: dict[tuple[str, str, str | None], int] = {}
    for placed in accepted(orders):
        if rank(placed.order) > rank(order):
            for item in placed.items or ():
                found.setdefault(item.name, item.revision)
    return found


def fold_orders(
    catalog: CompiledCatalog,
    terms: Terms,
    orders: list[PlacedOrder],
    newest: PlacedOrder,
    *,
    subscription_id: str,
    zone: str,
    sellers: Sellers | None = None,
) -> Placement:
    """Return the terms after all ``orders`` (oldest first) and ``newest`` (the one that just arrived).

    ``newest`` is read by ``catalog``, items that ``sellers`` name by those; the others mean what they meant. The
    subscription keeps its id and payment facts. Findings are those of the order that arrived.
    """
    source, external_id = newest.order.source, newest.order.external_id
    drafting = Drafting(source, external_id)
    items = read_lines(catalog, newest.order, drafting, sellers) if newest.items is None else newest.items
    newest = structs.replace(newest, items=items)
    fold = _Fold(catalog, subscription_id, zone)
    orders = accepted(orders)
    if not orders or rank(newest.order) >= rank(orders[-1].order):
        outcome = fold.place(terms, newest)
    else:
        outcome = _put_in_place(fold, terms, orders, newest)
    return structs.replace(outcome, findings=(*drafting.findings, *outcome.findings))


class _Fold(NamedTuple):
    """What is the same for all orders of one fold."""

    catalog: CompiledCatalog
    subscription_id: str
    zone: str

    def place(self, terms: Terms, placed: PlacedOrder, *, silent: bool = False) -> Placement:
        """Place one order; a refused one leaves the terms exactly as they were."""
        return place_order(
            self.catalog,
            terms,
            placed.order,
            subscription_id=self.subscription_id,
            zone=self.zone,
            event=placed.event or None,
            items=placed.items,
            silent=silent,
        )


def _put_in_place(fold: _Fold, terms: Terms, orders: list[PlacedOrder], newest: PlacedOrder) -> Placement:
    """Put a late order in its place among the others; refused if one of these would have no room any more."""
    source, external_id = newest.order.source, newest.order.external_id
    current = _without(terms, source, external_id)
    outcome: Placement | None = None
    full: Placement | None = None
    for placed in sorted([*orders, newest], key=lambda one: rank(one.order)):
        placement = fold.place(current, placed, silent=placed is not newest)
        current = placement.terms
        outcome = placement if placed is newest else outcome
        full = placement if placement.outcome == "refused" else full
    if outcome is None:
        raise AssertionError("the order that arrived is among those folded")
    if full is not None:
        before = find_subscription(terms, source, external_id)
        kept = before.id if before else None
        return structs.replace(full, terms=terms, subscription=kept, items=newest.items or ())
    current = _in_place(_with_payments(current, terms, source, external_id), terms)
    settled = find_subscription(current, source, external_id)
    return structs.replace(
        outcome,
        terms=current,
        outcome="stale" if current == terms else "applied",
        subscription=settled.id if settled else None,
    )


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


def _placed(event: Event) -> PlacedOrder | None:
    """Return the order that an event holds, None if it holds none."""
    if not isinstance(event.after, dict) or "document" not in event.after:
        return None
    record = msgspec.convert(event.after, OrderRecord)
    return PlacedOrder(record.document, event.id, event.type == "order.refused", record.items, record.zone)
