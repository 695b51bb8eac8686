"""A world without a database in which Stripe's deliveries about one subscription arrive as the inbox takes them.

Equal states are met only once, so that every order of arrival of six deliveries can be looked at.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from licet.connectors.stripe import StripeConnector
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.episode import open_invoices
from licet.core.instant import FOREVER
from licet.core.orders import (
    CustomerReferences,
    EntitlementSummary,
    OrderDocument,
    PaymentLink,
    PaymentNotice,
    Placement,
    Reversal,
    ScheduleNotice,
)
from licet.core.placement import record_payments
from licet.core.scheduling import record_schedule
from licet.core.terms import PaymentFact, Terms
from licet.services.history import PlacedOrder, PlacedSchedule, came_before, fold_orders, orders_say, ties_decided
from licet.services.inbound import CustomerHint, Ignored, Reading
from licet.services.normal import normal
from licet.services.references import references_in
from licet.testing.stripe import SignedDelivery
from licet.wire.catalog_text import read_catalog

CONNECTOR: Final = StripeConnector()
_FACTS: Final = {"disputed": "disputed", "dispute_won": "paid", "dispute_lost": "uncollectible"}
_LAST_WORD: Final = ("disputed", "uncollectible", "voided", "paid")


class State(NamedTuple):
    """What has arrived so far and what follows from it."""

    terms: Terms = Terms(customer="acme")
    orders: tuple[PlacedOrder, ...] = ()
    schedules: tuple[PlacedSchedule, ...] = ()
    waiting: tuple[tuple[int, Reading], ...] = ()
    references: tuple[tuple[str, str, str | None], ...] = ()
    findings: frozenset[tuple[str, str]] = frozenset()

    def key(self) -> tuple[object, ...]:
        """What makes two states the same."""
        return (
            msgspec.msgpack.encode(self.terms),
            tuple((one.event, one.refused) for one in self.orders),
            tuple((one.event, one.refused) for one in self.schedules),
            tuple(number for number, _ in self.waiting),
            self.references,
            self.findings,
        )


@cache
def catalog() -> CompiledCatalog:
    """The example vendor's catalog."""
    text = (Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml").read_bytes()
    return compile_catalog(read_catalog(text), 1, ZoneInfo, ZoneInfo("UTC"))


def read(history: Sequence[SignedDelivery]) -> list[Reading]:
    """What the connector makes of the deliveries."""
    readings = [CONNECTOR.read(delivery.body, "stripe", {}) for delivery in history]
    return [reading if isinstance(reading, Ignored) else normal(reading) for reading in readings]


def arrive(state: State, number: int, reading: Reading) -> State:
    """What is true after one more delivery, as the inbox and the use cases make it.

    That one event comes twice under one id is not looked at: each time is taken for an event of its own.
    """
    state = _learn(state, reading)
    state = _carry_out(state, number, reading)
    while state.waiting:
        tried = state._replace(waiting=())
        for waiting in state.waiting:
            tried = _carry_out(tried, *waiting)
        if tried.waiting == state.waiting:
            break
        state = tried
    return state


def _learn(state: State, reading: Reading) -> State:
    """Keep what a message says of invoices and payments; what is known is completed, never moved."""
    known = {name: (invoice, owner) for name, invoice, owner in state.references}
    for one in references_in(reading):
        invoice, owner = known.get(one.reference, (one.invoice, None))
        known[one.reference] = (invoice, owner or one.external_id)
    return state._replace(references=tuple(sorted((name, *belongs) for name, belongs in known.items())))


def _carry_out(state: State, number: int, reading: Reading) -> State:
    waits = state._replace(waiting=(*state.waiting, (number, reading)))
    match reading:
        case OrderDocument():
            return _place(state, number, reading)
        case PaymentNotice():
            return _pay(state, number, reading) if state.orders else waits
        case ScheduleNotice():
            return _plan(state, number, reading) if state.terms.subscriptions else waits
        case Reversal():
            return _reverse(state, number, reading) or waits
        case PaymentLink() | EntitlementSummary() | CustomerHint() | Ignored():
            return state


def _place(state: State, number: int, order: OrderDocument) -> State:
    if came_before(list(state.orders), order):
        return state
    newest = PlacedOrder(order, f"evt_{number}")
    planned = next((one.schedule.event for one in state.terms.subscriptions if one.schedule is not None), None)
    schedule = next((one for one in state.schedules if one.event == planned), None)
    placement = fold_orders(
        catalog(), state.terms, list(state.orders), newest, subscription_id="sub_1", zone="UTC", schedule=schedule
    )
    kept = PlacedOrder(order, newest.event, placement.outcome == "refused", placement.items)
    decided = ties_decided(list(state.orders), newest)
    state = _kept(state, placement)._replace(orders=(*state.orders, kept))
    return _without(state, "order_conflict") if decided else state


def _pay(state: State, number: int, notice: PaymentNotice) -> State:
    return _kept(state, record_payments(catalog(), state.terms, notice, event=f"evt_{number}"))


def _plan(state: State, number: int, notice: ScheduleNotice) -> State:
    if any(one.notice == notice and not one.refused for one in state.schedules):
        return state
    event = f"evt_{number}"
    said = orders_say(list(state.orders))
    placement = record_schedule(catalog(), state.terms, notice, event=event, said=said)
    if placement.outcome != "duplicate":
        placed = PlacedSchedule(notice, event, placement.items, placement.outcome == "refused")
        state = state._replace(schedules=(*state.schedules, placed))
    state = _kept(state, placement)
    return _without(state, "schedule_conflict") if placement.outcome == "applied" else state


def _reverse(state: State, number: int, reversal: Reversal) -> State | None:
    """What a dispute or refund makes of the state; None while nobody knows whose payment it is."""
    known = {name: (invoice, owner) for name, invoice, owner in state.references}
    invoice = next((known[name][0] for name in reversal.payments if name in known), None)
    if invoice is None or not state.terms.subscriptions:
        return None
    owner = known.get(invoice, (invoice, None))[1]
    if owner is None:
        return None
    about = f"stripe:{owner}/{reversal.payments[0]}"
    if reversal.kind == "refunded":
        return state._replace(findings=state.findings | {("payment_refunded", about)})
    fact = PaymentFact(kind=_FACTS[reversal.kind], at=reversal.at, invoice=invoice, money=reversal.money)  # type: ignore[arg-type]
    references = CustomerReferences()
    notice = PaymentNotice(source="stripe", external_id=owner, customer=references, payments=(fact,))
    placement = record_payments(catalog(), state.terms, notice, event=f"evt_{number}")
    if placement.outcome == "duplicate":
        return state
    state = _without(_kept(state, placement), "payment_disputed")
    return state if _newest(state, invoice) in ("paid", "voided") else _found(state, "payment_disputed", about)


def _newest(state: State, invoice: str) -> str:
    """The newest word about an invoice."""
    (one,) = state.terms.subscriptions
    spoken = [fact for fact in one.payments if fact.invoice == invoice and fact.kind in _LAST_WORD]
    key: list[tuple[datetime, int]] = [(fact.at, _LAST_WORD.index(fact.kind)) for fact in spoken]
    return spoken[key.index(max(key))].kind


def _kept(state: State, placement: Placement) -> State:
    """The state with the terms and findings of a placement."""
    told = frozenset((finding.kind, finding.subject) for finding in placement.findings)
    state = state._replace(terms=placement.terms, findings=state.findings | told)
    owed = any(open_invoices(one.payments, FOREVER) for one in state.terms.subscriptions)
    return state if owed else _without(state, "payment_state_differs")


def _found(state: State, kind: str, subject: str) -> State:
    return state._replace(findings=state.findings | {(kind, subject)})


def _without(state: State, kind: str) -> State:
    return state._replace(findings=frozenset(one for one in state.findings if one[0] != kind))


class Ending(NamedTuple):
    """A state in which all arrivals may end, in how many orders of them, and one of these."""

    state: State
    orders: int
    example: tuple[int, ...]


def endings(readings: Sequence[Reading], arrivals: Sequence[int]) -> Iterator[Ending]:
    """Every different state to which the orders lead in which ``arrivals`` (numbers, some perhaps twice) can come."""
    left = tuple(sorted(arrivals))
    level: dict[tuple[object, ...], tuple[tuple[int, ...], Ending]] = {
        (left, State().key()): (left, Ending(State(), 1, ()))
    }
    for _ in arrivals:
        after: dict[tuple[object, ...], tuple[tuple[int, ...], Ending]] = {}
        for still, ending in level.values():
            for number, _ in groupby(still):
                place = still.index(number)
                rest = still[:place] + still[place + 1 :]
                state = arrive(ending.state, number, readings[number])
                key = (rest, state.key())
                count = ending.orders + (after[key][1].orders if key in after else 0)
                after[key] = (rest, Ending(state, count, (*ending.example, number)))
        level = after
    for _, ending in level.values():
        yield ending


def told_in_order(readings: Sequence[Reading]) -> State:
    """What is true when every delivery comes once and in time."""
    state = State()
    for number, reading in enumerate(readings):
        state = arrive(state, number, reading)
    return state


def kinds(state: State) -> Counter[str]:
    """How many findings of each kind there are."""
    return Counter(kind for kind, _ in state.findings)
