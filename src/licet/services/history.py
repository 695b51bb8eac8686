"""The orders of one foreign subscription as the log holds them, and the terms that follow from all of them.

``place_order`` is a left fold: fed in the orders' own sequence it leaves the whole history, fed otherwise a late order
would leave a gap in the past. So a late order is put in its place and the subscription is made anew from all of them.

What was bought stays bought: an order is read once, by the catalog in force when it arrives, and the log holds what it
meant then. Only that is folded, and never an order that was refused.
"""

from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from licet.core.chain import read_chain
from licet.core.compiled import CompiledCatalog
from licet.core.contradiction import note_late_payments
from licet.core.orderlines import Drafting, Sellers, read_lines
from licet.core.orders import (
    OrderDocument,
    Outcome,
    PaymentNotice,
    Placement,
    Resolved,
    ScheduleNotice,
    subject_of,
)
from licet.core.payments import merge_early, merge_payments
from licet.core.placement import find_subscription, means_nothing, place_order, put_subscription, rank, record_payments
from licet.core.scheduling import Said, Spoken, read_statements, renew_schedule
from licet.core.succession import has_ended
from licet.core.terms import Terms
from licet.services.errors import Invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.wire.event import Event

MAX_ORDERS: Final = 5000
"""How many orders one foreign subscription may have; more are refused, so that making it anew stays bounded."""
MAX_ENDS: Final = 500
"""How many more there is room for where they end the subscription; one that ends it for good always has room."""
_PAGE: Final = 500
_WAITING: Final = frozenset({"ends_before_start", "nothing_sold"})
"""Findings of orders that are refused only for as long as their subscription is not known."""


class PlacedOrder(Struct, frozen=True):
    """An order and the event that holds it; ``refused`` if it meant nothing here when it arrived."""

    order: OrderDocument
    event: str
    refused: bool = False
    items: tuple[Resolved, ...] | None = None
    """What its lines meant when it arrived; None: what they mean now."""
    zone: str | None = None
    """The zone pinned to its subscription where no order names one."""


class PlacedSchedule(Struct, frozen=True):
    """What a foreign system plans, the event that holds it, and what it meant when it arrived."""

    notice: ScheduleNotice
    event: str
    items: tuple[Resolved, ...] = ()
    refused: bool = False


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
    return subject_of("order", source, external_id)


class ScheduleRecord(Struct, frozen=True, kw_only=True):
    """What the log holds of a schedule."""

    notice: ScheduleNotice
    customer: str
    subscription: str | None = None
    findings: tuple[str, ...] = ()
    items: tuple[Resolved, ...] = ()


def schedule_subject(source: str, external_id: str) -> str:
    """Return the subject under which the log holds what a foreign system planned for one subscription."""
    return subject_of("schedule", source, external_id)


async def load_orders(view: View, source: str, external_id: str) -> list[PlacedOrder]:
    """Return every order of a foreign subscription, oldest first (by ``rank``, then arrival)."""
    events = await _load(view, order_subject(source, external_id))
    found = [placed for event in events if (placed := _placed(event)) is not None]
    return sorted(found, key=lambda placed: rank(placed.order))


async def load_schedules(view: View, source: str, external_id: str) -> list[PlacedSchedule]:
    """Return everything that was planned for a foreign subscription apart from its orders, as it arrived."""
    events = await _load(view, schedule_subject(source, external_id))
    records = [(event, msgspec.convert(event.after, ScheduleRecord)) for event in events]
    return [
        PlacedSchedule(record.notice, event.id, record.items, event.type == "schedule.refused")
        for event, record in records
    ]


async def _load(view: View, subject: str) -> list[Event]:
    """Return the events of a subject, as they arrived."""
    found: list[Event] = []
    page = Page(limit=_PAGE)
    while True:
        events = await view.events(page, subject=subject)
        found += events
        if len(events) < _PAGE:
            return found
        page = Page(after=str(events[-1].seq), limit=_PAGE)


def check_room(orders: list[PlacedOrder], order: OrderDocument) -> None:
    """Raise Invalid if a subscription has so many orders that no more are taken, but for those that end it."""
    room = MAX_ORDERS + (MAX_ENDS if has_ended(order) else 0)
    if len(accepted(orders)) >= room and not order.final:
        raise Invalid(
            f"the subscription {order.external_id} has {room} orders; no more are taken",
            advice="end it, and sell what follows as a new subscription",
        )


def check_plans(plans: list[PlacedSchedule], notice: ScheduleNotice) -> None:
    """Raise Invalid if a subscription has so many plans that no more are taken, but for those that plan nothing."""
    room = MAX_ORDERS + (0 if notice.phases or notice.ends_at else MAX_ENDS)
    if len(plans) >= room:
        raise Invalid(f"the subscription {notice.external_id} has {room} plans; no more are taken")


def base_zone(orders: list[PlacedOrder], otherwise: str) -> str:
    """Return the zone of a subscription whose orders name none: the one pinned when the first of them arrived."""
    return next((placed.zone for placed in accepted(orders) if placed.zone is not None), otherwise)


def accepted(orders: list[PlacedOrder]) -> list[PlacedOrder]:
    """Return the orders that count."""
    return [placed for placed in orders if not placed.refused]


def came_before(orders: list[PlacedOrder], order: OrderDocument) -> bool:
    """Return whether an order is no news: it counts already, by its message's own id where it has one."""
    known = [placed.order for placed in accepted(orders) if rank(placed.order) == rank(order)]
    if order.message is not None:
        return any(one.message == order.message for one in known)
    return any(structs.replace(one, message=None) == order for one in known)


class Turn(NamedTuple):
    """One order in its place among all. ``sure``: it is newer than what is before; else a tie that nothing decides.

    ``idle``: a final order came before, so that only its payment facts count.
    """

    placed: PlacedOrder
    sure: bool = True
    idle: bool = False


def arrange(orders: list[PlacedOrder]) -> list[Turn]:
    """Return accepted orders (of one rank as they arrived) in the sequence in which they are folded, oldest first.

    Orders of one rank follow one another as their states say.
    """
    finals = [rank(placed.order)[1:] for placed in orders if placed.order.final]
    first_final = min(finals, default=None)
    turns: list[Turn] = []
    idle: list[Turn] = []
    state: str | None = None
    for (final, *when), group in groupby(sorted(orders, key=lambda one: rank(one.order)), lambda one: rank(one.order)):
        equals = list(group)
        if not final and first_final is not None and tuple(when) > first_final:
            idle += [Turn(placed, idle=True) for placed in equals]
            continue
        chain = read_chain([placed.order for placed in equals], state)
        turns += [Turn(equals[place]) for place in chain.sure]
        turns += [Turn(equals[place], sure=False) for place in chain.torn]
        state = equals[chain.sure[-1]].order.state
    return [*turns, *idle]


def orders_say(orders: list[PlacedOrder]) -> Said:
    """Return what the orders of a subscription say that bears on what is planned apart from them."""
    spoken: list[Spoken] = []
    for turn in arrange(accepted(orders)):
        order, items = turn.placed.order, turn.placed.items
        if turn.sure and not turn.idle:
            spoken.append(Spoken(order, bool(order.lines if items is None else items), turn.placed.event or None))
    return read_statements(spoken)


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
    schedule: PlacedSchedule | None = None,
) -> Placement:
    """Return the terms after all ``orders`` and ``newest`` (the one that just arrived).

    ``newest`` is read by ``catalog``, items that ``sellers`` name by those; the others mean what they meant. The
    subscription keeps its id, its payment facts and its ``schedule``. Findings are those of the order that arrived.
    """
    source, external_id = newest.order.source, newest.order.external_id
    drafting = Drafting(source, external_id, customer=terms.customer)
    items = read_lines(catalog, newest.order, drafting, sellers) if newest.items is None else newest.items
    newest = structs.replace(newest, items=items)
    fold = _Fold(catalog, subscription_id, zone)
    orders = accepted(orders)
    turns = arrange([*orders, newest])
    if means_nothing(newest.order, items) or _comes_last(turns, newest, orders):
        outcome = fold.place(terms, next(turn for turn in turns if turn.placed is newest))
    else:
        outcome = _put_in_place(fold, terms, turns, newest)
    if schedule is not None:
        said = orders_say(orders if outcome.outcome == "refused" else [*orders, newest])
        notice, planned = schedule.notice, schedule.items
        renewed = renew_schedule(catalog, outcome.terms, notice, planned, said, event=schedule.event)
        outcome = structs.replace(outcome, terms=renewed)
    return structs.replace(outcome, items=items, findings=(*drafting.findings, *outcome.findings))


def ties_decided(orders: list[PlacedOrder], newest: PlacedOrder) -> bool:
    """Return whether there are orders of one rank, and with ``newest`` all of them are in sequence.

    An order of another rank may decide them: it says with which state they began.
    """
    turns = arrange([*accepted(orders), newest])
    ranks = {rank(turn.placed.order) for turn in turns}
    return len(ranks) < len(turns) and all(turn.sure for turn in turns)


class _Fold(NamedTuple):
    """What is the same for all orders of one fold."""

    catalog: CompiledCatalog
    subscription_id: str
    zone: str

    def place(self, terms: Terms, turn: Turn, *, silent: bool = False) -> Placement:
        """Place one order; one that is idle leaves only its payment facts."""
        placed = turn.placed
        if turn.idle:
            return self._idle(terms, placed, silent=silent)
        return place_order(
            self.catalog,
            terms,
            placed.order,
            subscription_id=self.subscription_id,
            zone=self.zone,
            event=placed.event or None,
            items=placed.items,
            silent=silent,
            newer=turn.sure,
        )

    def _idle(self, terms: Terms, placed: PlacedOrder, *, silent: bool) -> Placement:
        """Keep the payment facts of an order that comes after a final one."""
        order = placed.order
        known = find_subscription(terms, order.source, order.external_id)
        kept = Placement(terms=terms, outcome="stale", subscription=known.id if known else None)
        if order.payments:
            notice = PaymentNotice(
                source=order.source, external_id=order.external_id, customer=order.customer, payments=order.payments
            )
            kept = record_payments(self.catalog, terms, notice, event=placed.event or None, silent=silent)
        return structs.replace(kept, outcome="refused" if kept.outcome == "refused" else "stale")


def _comes_last(turns: list[Turn], newest: PlacedOrder, orders: list[PlacedOrder]) -> bool:
    """Whether an order is placed upon the terms as they are: then nothing of the past has to be told anew."""
    last = turns[-1].placed is newest
    return (turns[-1].idle and last) or (last and all(rank(one.order) < rank(newest.order) for one in orders))


def _put_in_place(fold: _Fold, terms: Terms, turns: list[Turn], newest: PlacedOrder) -> Placement:
    """Put a late order in its place among the others; refused if one of these would have no room any more."""
    source, external_id = newest.order.source, newest.order.external_id
    current = _without(terms, source, external_id)
    outcome: Placement | None = None
    full: Placement | None = None
    for turn in turns:
        placement = fold.place(current, turn, silent=turn.placed is not newest)
        current = placement.terms
        outcome = placement if turn.placed is newest else outcome
        full = placement if _found_no_room(placement) else full
    if outcome is None:
        raise AssertionError("the order that arrived is among those folded")
    before = find_subscription(terms, source, external_id)
    if full is not None:
        return structs.replace(full, outcome="refused", terms=terms, subscription=before.id if before else None)
    current = _in_place(_carried(current, terms, source, external_id), terms)
    settled = find_subscription(current, source, external_id)
    drafting = Drafting(source, external_id, customer=terms.customer)
    if settled is not None:
        note_late_payments(fold.catalog, terms, current, settled.id, drafting)
    return structs.replace(
        outcome,
        terms=current,
        outcome=_outcome(outcome, changed=current != terms),
        subscription=settled.id if settled else None,
        findings=(*(one for one in outcome.findings if one.kind != "paid_after_end"), *drafting.findings),
    )


def _found_no_room(placed: Placement) -> bool:
    """Whether an order was refused because the terms have no room for it."""
    return placed.outcome == "refused" and any(one.kind == "terms_full" for one in placed.findings)


def _outcome(placed: Placement, *, changed: bool) -> Outcome:
    """What became of a late order: what was said in its place, unless it was applied there and is overtaken since."""
    if placed.outcome in ("applied", "duplicate"):
        return "applied" if changed else "stale" if placed.outcome == "applied" else "duplicate"
    return placed.outcome


def _without(terms: Terms, source: str, external_id: str) -> Terms:
    """Return the terms as if the subscription had never been ordered; its payment facts wait for it."""
    before = find_subscription(terms, source, external_id)
    if before is None:
        return terms
    rest = tuple(one for one in terms.subscriptions if one.id != before.id)
    return merge_early(structs.replace(terms, subscriptions=rest), source, external_id, before.payments)


def _carried(current: Terms, before: Terms, source: str, external_id: str) -> Terms:
    """Return the terms with every payment fact that the subscription had before, and with its schedule."""
    made, had = (find_subscription(terms, source, external_id) for terms in (current, before))
    if made is None or had is None:
        return current
    merged = merge_payments(made, had.payments)
    return put_subscription(current, structs.replace(merged, schedule=None if made.final else had.schedule))


def _in_place(current: Terms, before: Terms) -> Terms:
    """Return the terms with the subscriptions in the order in which they stood before."""
    place = {one.id: index for index, one in enumerate(before.subscriptions)}
    ordered = tuple(sorted(current.subscriptions, key=lambda one: place.get(one.id, len(place))))
    return structs.replace(current, subscriptions=ordered)


def _placed(event: Event) -> PlacedOrder | None:
    """Return the order that an event holds, None if it holds none.

    One that was refused because its subscription would have ended before it began, or had no lines, may find it known
    later.
    """
    if not isinstance(event.after, dict) or "document" not in event.after:
        return None
    record = msgspec.convert(event.after, OrderRecord)
    waits = not _WAITING.isdisjoint(record.findings) and "terms_full" not in record.findings
    refused = event.type == "order.refused" and not waits
    return PlacedOrder(record.document, event.id, refused, record.items, record.zone)
