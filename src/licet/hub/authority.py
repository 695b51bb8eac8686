"""The authority over quota: answers evaluators' calls, within one transaction of whoever keeps the books.

It decides and writes down; the caller commits, and only then may the answer go out. A call that is repeated, late or
out of order changes nothing that it has changed before.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import Struct, structs

from licet.core.instant import Instant
from licet.hub.lease import Disagreement, Lease, escheat, is_lost, slice_of, tell
from licet.wire.quota import (
    LeaseAsk,
    LeaseClaim,
    LeaseDenied,
    LeaseGiven,
    LeaseHeard,
    LeaseState,
    LeaseTold,
    QuotaAnswer,
    QuotaCall,
)

SECOND: Final = 1_000_000
LIFE: Final = 120 * SECOND
"""How long a lease lasts where nothing ends before, in microseconds of real time."""
PART: Final = 16
"""A slice is at most this part of its owner's even share of what is left."""
CLOSED: Final = "lease_closed"
EPOCH_OVER: Final = "epoch_over"
"""Asked under another epoch than this: it may have been answered before, by what was lost with a restored copy."""
NOT_YOURS: Final = "lease_of_another"


class Room(Struct, frozen=True, gc=False):
    """What can be issued of one feature of one customer."""

    left: int
    """Below 0 where more was issued or reported than there is by now: a deficit."""
    ends: Instant
    """In real time: when the first of what would be drawn now ends, or its period does."""
    denied: str | None = None
    """Why nothing may be issued whatever is left: the reason of the decision."""


class Books(Protocol):
    """What the authority reads and writes within one transaction; changes are seen by later reads of it."""

    @property
    def epoch(self) -> int:
        """The workspace's number, raised whenever an older copy was restored."""
        ...

    def lease(self, lease: str) -> Lease | None:
        """Return a lease by its id."""
        ...

    def open_of(self, customer: str, feature: str) -> Iterable[Lease]:
        """Return the open leases of a feature of a customer."""
        ...

    def recalled(self, owner: str) -> Iterable[str]:
        """Return the ids of an owner's open leases that were recalled."""
        ...

    def room(self, customer: str, feature: str, now: Instant) -> Room:
        """Return what can be issued now."""
        ...

    def issue(self, lease: Lease, now: Instant) -> None:
        """Take a new lease's amount from where it is drawn, whatever is there, and keep the lease."""
        ...

    def settle(self, lease: Lease, back: int, more: int, now: Instant) -> None:
        """Keep a lease as it has become; ``back`` returns to where it was drawn from, ``more`` was used besides."""
        ...


def answer(books: Books, call: QuotaCall, now: Instant) -> QuotaAnswer:
    """Return what is answered to a call at ``now``, in real time. What was told comes first: it makes room.

    Raises Disagreement where an owner told what cannot be; then nothing of the call may be kept.
    """
    heard = [_hear(books, told, now) for told in call.told]
    heard.extend(_charge(books, call.owner, claim, now) for claim in call.claims)
    given: list[LeaseGiven] = []
    denied: list[LeaseDenied] = []
    for ask in call.asks:
        lapse(books, books.open_of(ask.customer, ask.feature), now)
        result = _issue(books, call, ask, now)
        (given if isinstance(result, LeaseGiven) else denied).append(result)  # type: ignore[arg-type]
    return QuotaAnswer(
        number=call.number,
        epoch=books.epoch,
        given=tuple(given),
        denied=tuple(denied),
        heard=tuple(heard),
        recalled=tuple(books.recalled(call.owner)),
    )


def lapse(books: Books, leases: Iterable[Lease], now: Instant) -> list[Lease]:
    """Charge in full those of these leases that are lost; return them as they are then."""
    lost = [escheat(lease) for lease in leases if is_lost(lease, books.epoch, now)]
    for lease in lost:
        books.settle(lease, 0, 0, now)
    return lost


def recall(books: Books, leases: Iterable[Lease], now: Instant) -> None:
    """Ask for open leases back: their owners hear of it when they call next; until then they are theirs."""
    for lease in list(leases):
        if lease.state == "open" and not lease.recalled:
            books.settle(structs.replace(lease, recalled=True), 0, 0, now)


def _hear(books: Books, told: LeaseTold, now: Instant) -> LeaseHeard:
    lease = books.lease(told.id)
    if lease is None:
        return LeaseHeard(id=told.id, state="unknown", used=told.used)
    if is_lost(lease, books.epoch, now):
        lease = escheat(lease)
        books.settle(lease, 0, 0, now)
    became = tell(lease, told.used, closed=told.closed, lost=told.lost)
    kept, seconds = became.lease, 0.0
    if told.longer and kept.state == "open" and not kept.recalled:
        until = min(now + LIFE, books.room(kept.customer, kept.feature, now).ends)
        if until > kept.until:
            kept = structs.replace(kept, until=until)
        seconds = (kept.until - now) / SECOND
    if kept is not lease:
        books.settle(kept, became.back, became.more, now)
    return LeaseHeard(id=told.id, state=_state_of(kept), used=kept.used, seconds=seconds)


def _charge(books: Books, owner: str, claim: LeaseClaim, now: Instant) -> LeaseHeard:
    """Charge what was used of a lease that nobody here knows, once: it has happened, whatever is left."""
    lease = books.lease(claim.id)
    if lease is not None:
        return LeaseHeard(id=lease.id, state=_state_of(lease), used=lease.used)
    if claim.used or claim.lost:
        told = Lease(
            id=claim.id,
            owner=owner,
            epoch=books.epoch,
            customer=claim.customer,
            feature=claim.feature,
            amount=claim.used + claim.lost,
            issued=now,
            until=now,
            state="proven",
            used=claim.used,
            lost=claim.lost,
        )
        books.issue(told, now)
    return LeaseHeard(id=claim.id, state="settled", used=claim.used)


def _state_of(lease: Lease) -> LeaseState:
    return "settled" if lease.state == "proven" else lease.state


def _issue(books: Books, call: QuotaCall, ask: LeaseAsk, now: Instant) -> LeaseGiven | LeaseDenied:
    owner = call.owner
    room = books.room(ask.customer, ask.feature, now)
    before = books.lease(ask.id)
    if before is not None:
        return _again(before, owner, ask, room, now)
    if call.epoch != books.epoch:
        return LeaseDenied(id=ask.id, code=EPOCH_OVER, left=room.left)
    if room.denied is not None:
        return LeaseDenied(id=ask.id, code=room.denied, left=room.left)
    others = list(books.open_of(ask.customer, ask.feature))
    if room.left < 0:
        recall(books, others, now)
    amount = slice_of(ask.wanted, ask.least, room.left, len({owner, *(one.owner for one in others)}), PART)
    until = min(now + LIFE, room.ends)
    if not amount or until <= now:
        return LeaseDenied(id=ask.id, code="limit_reached", left=room.left)
    lease = Lease(
        id=ask.id,
        owner=owner,
        epoch=books.epoch,
        customer=ask.customer,
        feature=ask.feature,
        amount=amount,
        issued=now,
        until=until,
    )
    books.issue(lease, now)
    return _given(lease, room.left - amount, now)


def _again(before: Lease, owner: str, ask: LeaseAsk, room: Room, now: Instant) -> LeaseGiven | LeaseDenied:
    """What is answered to a request that was answered before: the same lease, unless it has ended."""
    same = before.owner == owner and (before.customer, before.feature) == (ask.customer, ask.feature)
    if not same:
        return LeaseDenied(id=ask.id, code=NOT_YOURS, left=room.left)
    if before.state in ("settled", "proven"):
        return LeaseDenied(id=ask.id, code=CLOSED, left=room.left)
    return _given(before, room.left, now)


def _given(lease: Lease, left: int, now: Instant) -> LeaseGiven:
    seconds = max(0, lease.until - now) / SECOND
    return LeaseGiven(id=lease.id, epoch=lease.epoch, amount=lease.amount, seconds=seconds, left=left)


__all__ = ["LIFE", "PART", "Books", "Disagreement", "Room", "answer", "lapse", "recall"]
