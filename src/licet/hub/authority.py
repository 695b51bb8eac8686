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
    BOUNDLESS,
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


def answer(books: Books, call: QuotaCall, now: Instant, only: str | None = None) -> QuotaAnswer:
    """Return what is answered to a call at ``now``, in real time. What was told comes first: it makes room.

    ``only``: the customer that whoever calls is bound to; what is another's is as if it were not there, and is not
    touched. Raises Disagreement where an owner told what cannot be; then nothing of the call may be kept.
    """
    known = {told.id: _hear(books, told, now, only) for told in call.told}
    rooms = _rooms(books, known.values(), now)
    heard = [_heard(books, told, known[told.id], rooms, now) for told in call.told]
    heard.extend(_charge(books, call.owner, claim, now, only) for claim in call.claims)
    given: list[LeaseGiven] = []
    denied: list[LeaseDenied] = []
    for ask in call.asks:
        if only is not None and ask.customer != only:
            denied.append(LeaseDenied(id=ask.id, code=NOT_YOURS, left=0))
            continue
        lapse(books, books.open_of(ask.customer, ask.feature), now)
        result = _issue(books, call, ask, now)
        (given if isinstance(result, LeaseGiven) else denied).append(result)  # type: ignore[arg-type]
    return QuotaAnswer(
        number=call.number,
        epoch=books.epoch,
        given=tuple(given),
        denied=tuple(denied),
        heard=tuple(heard),
        recalled=tuple(one for one in books.recalled(call.owner) if only is None or _known(books, one, only)),
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


def _known(books: Books, lease: str, only: str | None) -> Lease | None:
    """Return a lease, unless it is of another customer than the only one that may be spoken of."""
    found = books.lease(lease)
    return None if found is None or only not in (None, found.customer) else found


def _hear(books: Books, told: LeaseTold, now: Instant, only: str | None) -> Lease | None:
    """Keep what was told of a lease, and return it as it is then; None where nothing is known of it."""
    lease = _known(books, told.id, only)
    if lease is None:
        return None
    if is_lost(lease, books.epoch, now):
        lease = escheat(lease)
        books.settle(lease, 0, 0, now)
    became = tell(lease, told.used, closed=told.closed, lost=told.lost)
    if became.lease is not lease:
        books.settle(became.lease, became.back, became.more, now)
    return became.lease


def _rooms(books: Books, told: Iterable[Lease | None], now: Instant) -> dict[tuple[str, str], Room]:
    """Return what there is of everything that was told of, once each; of what there is too little all is recalled.

    So a limit that was cut below what is out is noticed though nobody asks for more.
    """
    keys = {(lease.customer, lease.feature): None for lease in told if lease is not None}
    rooms = {key: books.room(*key, now) for key in keys}
    for key, room in rooms.items():
        if room.left < 0:
            recall(books, books.open_of(*key), now)
    return rooms


def _heard(
    books: Books, told: LeaseTold, lease: Lease | None, rooms: dict[tuple[str, str], Room], now: Instant
) -> LeaseHeard:
    """Return what is held of a lease that was told of, and let it last longer if that was asked and may be."""
    if lease is None:
        return LeaseHeard(id=told.id, state="unknown", used=told.used)
    seconds = 0.0
    if told.longer and lease.state == "open":
        lease = books.lease(told.id) or lease  # it may have been recalled just now
        if not lease.recalled:
            until = min(now + LIFE, rooms[lease.customer, lease.feature].ends)
            if until > lease.until:
                lease = structs.replace(lease, until=until)
                books.settle(lease, 0, 0, now)
            seconds = (lease.until - now) / SECOND
    return LeaseHeard(id=told.id, state=_state_of(lease), used=lease.used, seconds=seconds)


def _charge(books: Books, owner: str, claim: LeaseClaim, now: Instant, only: str | None) -> LeaseHeard:
    """Charge what was used of a lease that nobody here knows, once: it has happened, whatever is left.

    A lease of this very epoch was known: that it is not any more means that it was settled long ago.
    """
    lease = books.lease(claim.id)
    if only is not None and {claim.customer, only} != {only if lease is None else lease.customer}:
        return LeaseHeard(id=claim.id, state="unknown", used=claim.used)
    if lease is not None:
        return LeaseHeard(id=lease.id, state=_state_of(lease), used=lease.used)
    if claim.epoch != books.epoch and (claim.used or claim.lost):
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
    return _given(lease, room.left if room.left >= BOUNDLESS else room.left - amount, now)


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
