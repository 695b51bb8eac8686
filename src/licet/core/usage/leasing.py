"""Slices of balances that one evaluator owns: what may be set aside, setting it aside, and what becomes of it.

A lease leaves every balance it touches in full when it is issued, rounded up by itself as a reservation is. What its
owner tells enters the running totals; what goes back goes back to the very grants it was drawn from.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import structs

from licet.core.instant import Instant
from licet.core.reason import Reason
from licet.core.usage.balance import Draw
from licet.core.usage.closing import at_rates, desks_of
from licet.core.usage.desk import Bench, Desk, Planned
from licet.core.usage.effects import returned
from licet.core.usage.facts import AccountKey, Fact, Reservation
from licet.core.usage.metering import GAUGES
from licet.core.usage.reach import Reach, Touch

MOST: Final = 2**53 - 1
"""Units of one lease, and of what is said to be left where nothing bounds it."""
NOT_LOCAL: Final = "decided_at_hub"
"""Nothing of it is owned by anybody: the catalog does not say ``decide: local``, or what it touches cannot be."""
_OF_NOBODY: Final = {Reason.UNKNOWN_CUSTOMER: "unknown_customer", Reason.UNKNOWN_FEATURE: "unknown_feature"}


class Leasable(NamedTuple):
    """What can be issued of one feature of one customer at an instant of business time."""

    left: int
    """In minor units of what is asked for; below 0 by what was issued or used beyond what there is."""
    ends: Instant
    """When the first of what would be drawn now ends, or its period does, or the rights do."""
    denied: str | None = None
    """Why nothing may be issued whatever is left."""


def leasable(bench: Bench, customer: str, feature: str) -> Leasable:
    """Return what can be issued now.

    Rights that depend on who asks, and for what, do not matter here: whoever owns a slice asks them each time.
    """
    reach = bench.reaches.of(customer, feature, bench.now)
    denied = _denied(bench, reach)
    if denied is not None:
        return Leasable(0, reach.good_until, denied)
    desks = _touched(bench, reach)
    at = bench.instant(desk for _, desk in desks)
    left, ends = MOST, reach.good_until
    for touch, desk in desks:
        if desk.account.course.window is not None:
            return Leasable(0, reach.good_until, NOT_LOCAL)
        ends = min(ends, desk.account.course.table.next_after(at))
        if touch.verdict.mode != "off":
            # Also of what is only observed: the hub notes each use that it would have refused.
            left = min(left, _left(Planned(desk, desk.account.room(at), apart=True), touch, bench))
    return Leasable(left, ends)


def issue(bench: Bench, lease: str, customer: str, feature: str, amount: int) -> tuple[Fact, Reservation]:
    """Set an amount aside, whatever is there; return what is recorded. Ask :func:`leasable` before.

    ``lease`` is the id of the fact. Raises ValueError where nothing can be set aside of the feature at all, Refold as
    admission does.
    """
    reach = bench.reaches.of(customer, feature, bench.now)
    if reach.snapshot is None or feature not in bench.metering.each_of:
        raise ValueError(f"nothing of {feature!r} can be set aside for {customer!r}")
    desks = _touched(bench, reach)
    at = bench.instant(desk for _, desk in desks)
    plans = [(touch, Planned(desk, desk.account.room(at), apart=True)) for touch, desk in desks]
    rates = {}
    ends = reach.good_until
    for touch, planned in plans:
        planned.add(touch.burning, amount, planned.cost(touch.burning, amount, bench.metering))
        ends = min(ends, planned.desk.account.course.table.next_after(at))
        if touch.burning.rate is not None:
            rates[touch.burning.named] = touch.burning.rate.text
    fact = Fact(
        id=lease,
        kind="lease",
        effective=at,
        customer=customer,
        asked={feature: amount},
        metered={} if reach.meter is None else {reach.meter.id: amount},
        burns={touch.burning.feature: planned.burn for touch, planned in plans},
        until=max(ends, at + 1),
        rates=rates,
    )
    draws = {planned.desk.key.feature: planned.take(lease, at, planned.burn, lease=True) for _, planned in plans}
    return fact, Reservation(fact=fact, draws=draws, rates=rates, held=dict(fact.burns))


def tell(bench: Bench, lease: Reservation, used: int, lost: int, *, closed: bool) -> tuple[list[Fact], Reservation]:
    """Record so much more as used of a lease, and give the rest back where that was its last word.

    ``lost`` of it stays drawn and is no use: what may have been spent, and nobody knows. Nothing is taken beyond what
    is held. Once what it drew of is over, its use is recorded in that period, and what goes back goes back now, as far
    as anything of that period is still there. Raises Refold as admission does.
    """
    begun = lease.fact
    desks = desks_of(bench, begun)
    at = bench.instant(desks.values())
    metered = dict.fromkeys(begun.metered, used) if used else {}
    asked = dict.fromkeys(begun.asked, used)
    burns, back = {}, {}
    for name, held in lease.held.items():
        desk = desks.get(name)
        if desk is None:
            burns[name] = 0
            continue
        burns[name] = min(held, max(0, _came_to(bench, desk, begun, asked, metered)))
        rest = held - burns[name]
        if closed and rest:
            back[name] = rest - min(rest, _kept(bench, begun, name, lost))
    fact = structs.replace(
        begun,
        id=_told_id(b"return", begun.id, lease.returns),
        kind="return",
        effective=at,
        of=begun.id,
        until=None,
        asked=asked if used else {},
        metered=metered,
        burns=burns,
        back={name: part for name, part in back.items() if part},
    )
    if begun.until is None or at < begun.until:
        return [fact], _returned(lease, fact, desks, closed=closed)
    recovery = structs.replace(fact, id=_told_id(b"recovery", begun.id, lease.returns), kind="recovery")
    use = structs.replace(fact, effective=begun.until - 1, burns={}, back={}, rates={})
    return [*([use] if used else []), recovery], _returned(lease, recovery, desks, closed=closed)


def _returned(lease: Reservation, fact: Fact, desks: Mapping[str, Desk], *, closed: bool) -> Reservation:
    """Let the balances have what goes back, and return the lease as it is then."""
    draws: dict[str, tuple[Draw, ...]] = dict(lease.draws)
    for name, desk in desks.items():
        refund = returned(fact, name)
        if refund.amount or refund.rated or refund.spent:
            draws[name] = desk.give_back(refund, draws.get(name, ()), lease.fact.effective)
    held = {name: rest - fact.burns[name] - fact.back.get(name, 0) for name, rest in lease.held.items()}
    return structs.replace(
        lease,
        draws=draws,
        held=held,
        returns=lease.returns + 1,
        closed="settled" if closed else lease.closed,
        closed_by=fact.id if closed else lease.closed_by,
    )


def _denied(bench: Bench, reach: Reach) -> str | None:
    """Why nothing may be owned, whatever is left."""
    first = reach.touches[0].verdict
    unknown = None if first.allowed else _OF_NOBODY.get(first.reason)
    if unknown is not None:
        return unknown
    feature = bench.reaches.catalog.features.get(reach.feature)
    if reach.snapshot is None or feature is None or not feature.local:
        return NOT_LOCAL
    if reach.meter is not None and (reach.meter.aggregate in GAUGES or reach.meter.aggregate == "unique"):
        return NOT_LOCAL
    # Whoever owns a slice asks the rights of its feature each time, and those of no other that the slice burns.
    if any(touch.key is None or (touch.asks and touch.burning.feature != reach.feature) for touch in reach.touches):
        return NOT_LOCAL
    against = [touch.verdict for touch in reach.touches if not (touch.verdict.allowed or touch.asks)]
    return against[0].reason.value if against else None


def _touched(bench: Bench, reach: Reach) -> list[tuple[Touch, Desk]]:
    return [(touch, bench.desk(AccountKey(reach.customer, touch.burning.feature))) for touch in reach.touches]


def _left(planned: Planned, touch: Touch, bench: Bench) -> int:
    """How much more fits into a balance; below 0 by what it lacks."""
    most = planned.most(touch, bench.metering)
    if most or touch.verdict.at_limit != "block":
        return min(MOST, most)
    over, rate = planned.room.overage, touch.burning.rate
    return -over if rate is None else -max(rate.most(0, over), min(1, over))


def _came_to(bench: Bench, desk: Desk, begun: Fact, asked: Mapping[str, int], metered: Mapping[str, int]) -> int:
    """What use comes to on a balance."""
    feature = desk.key.feature
    meter = bench.metering.meter_of.get(feature)
    if meter in begun.metered:
        return metered.get(meter, 0)
    return asked.get(feature, 0) + at_rates(bench, desk, begun, metered)


def _kept(bench: Bench, begun: Fact, feature: str, lost: int) -> int:
    """What of a balance stays drawn for what is lost: rounded up by itself, as all of it was."""
    if not lost:
        return 0
    meter = bench.metering.meter_of.get(feature)
    if meter in begun.metered or feature in begun.asked:
        return lost
    kept = 0
    for of in begun.metered:
        text = begun.rates.get(f"{feature}@{of}")
        rate = None if text is None else bench.metering.rate_of(feature, f"{of}@{text}")
        # A rate that the catalog no longer has: in doubt all of it stays.
        kept += begun.burns[feature] if rate is None else rate.of(lost)
    return kept


def _told_id(kind: bytes, lease: str, number: int) -> str:
    """Return the id of the fact that tells of a lease for the n-th time: the same whoever records it."""
    return hashlib.sha256(kind + bytes.fromhex(lease) + number.to_bytes(4, "big")).hexdigest()[:32]


__all__ = ["MOST", "NOT_LOCAL", "Leasable", "issue", "leasable", "tell"]
