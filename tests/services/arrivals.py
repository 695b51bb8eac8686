"""A world without a database in which messages of one subscription arrive as the use cases take them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from licet.core.orders import OrderDocument, PaymentNotice, Placement, ScheduleNotice
from licet.core.placement import find_subscription, rank, record_payments
from licet.core.scheduling import record_schedule
from licet.core.terms import Terms
from licet.services.history import PlacedOrder, PlacedSchedule, came_before, fold_orders, orders_say, ties_decided
from tests.core.worlds import COMPILED, day

Message = OrderDocument | PaymentNotice | ScheduleNotice
NAMES: dict[str, Any] = {"source": "shop", "external_id": "s1", "customer": {"external_id": "cus_1"}}
TEAM: dict[str, Any] = {"price": "price_team", "quantity": 5, "line": "li_1"}


def order(when: float, *lines: dict[str, Any], **more: Any) -> OrderDocument:
    """An order of the shop for its subscription s1, of Team where nothing else is said."""
    stated = {"occurred_at": day(when), "lines": list(lines) or [TEAM]}
    return msgspec.convert({**NAMES, **stated, **more}, OrderDocument)


def step(when: float, *lines: dict[str, Any]) -> dict[str, Any]:
    """What is planned for a day."""
    return {"effective_at": day(when), "lines": list(lines)}


def plan(when: float, *steps: dict[str, Any], **more: Any) -> ScheduleNotice:
    """What the shop plans apart from its orders."""
    return msgspec.convert({**NAMES, "occurred_at": day(when), "phases": list(steps), **more}, ScheduleNotice)


def notice(*facts: dict[str, Any]) -> PaymentNotice:
    """Payment facts about s1."""
    return msgspec.convert({**NAMES, "payments": list(facts)}, PaymentNotice)


def fact(kind: str, when: float, invoice: str = "in_1", **more: Any) -> dict[str, Any]:
    """One payment fact."""
    return {"kind": kind, "at": day(when), "invoice": invoice, **more}


class World:
    """What one order of arrival leads to."""

    def __init__(self) -> None:
        self.terms = Terms(customer="acme")
        self.orders: list[PlacedOrder] = []
        self.schedules: list[PlacedSchedule] = []
        self.waiting: list[ScheduleNotice] = []
        self.findings: set[tuple[str, str]] = set()
        self.last: Placement | None = None
        self.count = 0

    def arrive(self, message: Message) -> None:
        """Take one message; the same again is passed over, a schedule waits for its subscription."""
        self.count += 1
        match message:
            case OrderDocument():
                self._order(message)
                while self.waiting and self._known():
                    self._schedule(self.waiting.pop(0))
            case PaymentNotice():
                self._keep(record_payments(COMPILED, self.terms, message, event=f"evt_{self.count}"))
            case ScheduleNotice() if self._known():
                self._schedule(message)
            case ScheduleNotice():
                self.waiting.append(message)

    def _known(self) -> bool:
        return find_subscription(self.terms, "shop", "s1") is not None

    def _order(self, message: OrderDocument) -> None:
        if came_before(self.orders, message):
            return
        known = find_subscription(self.terms, "shop", "s1")
        planned = None if known is None or known.schedule is None else known.schedule.event
        schedule = next((one for one in self.schedules if one.event == planned), None)
        newest = PlacedOrder(message, f"evt_{self.count}")
        placement = fold_orders(
            COMPILED, self.terms, self.orders, newest, subscription_id="sub_1", zone="UTC", schedule=schedule
        )
        self._keep(placement)
        if ties_decided(self.orders, newest):
            self.findings = {one for one in self.findings if one[0] != "order_conflict"}
        kinds = {one.kind for one in placement.findings}
        refused = placement.outcome == "refused" and kinds.isdisjoint(("ends_before_start", "nothing_sold"))
        kept = PlacedOrder(message, newest.event, refused, placement.items)
        self.orders = sorted([*self.orders, kept], key=lambda placed: rank(placed.order))

    def _schedule(self, message: ScheduleNotice) -> None:
        event = f"evt_{self.count}_{len(self.schedules)}"
        placement = record_schedule(COMPILED, self.terms, message, event=event, said=orders_say(self.orders))
        if placement.outcome != "duplicate":
            self.schedules.append(PlacedSchedule(message, event, placement.items))
        self._keep(placement)

    def _keep(self, placement: Placement) -> None:
        self.terms, self.last = placement.terms, placement
        self.findings |= {(one.kind, one.subject) for one in placement.findings}


def told(messages: Sequence[Message]) -> World:
    """The world after these messages in this order."""
    world = World()
    for message in messages:
        world.arrive(message)
    return world


def plain(value: Any) -> Any:
    """Terms as plain values without the events that brought what is in them: they tell who came first."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in ("event", "end_event")}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, datetime) else plain(msgspec.to_builtins(value)) if _is(value) else value


def _is(value: Any) -> bool:
    return isinstance(value, msgspec.Struct)
