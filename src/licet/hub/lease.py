"""A quota lease at its hub, as a state machine: values in, values out.

``open`` → ``settled`` by its owner's last word, or → ``escheated`` where that does not come; an escheated lease is
charged in full until its owner's late word (``proven``). Nothing is ever taken back from an owner by time.
"""

from typing import Literal

from msgspec import Struct, structs

from licet.core.instant import Instant

State = Literal["open", "settled", "escheated", "proven"]


class Lease(Struct, frozen=True, kw_only=True, gc=False):
    """A slice that one evaluator owns. Instants are real time: a workspace's own clock has no say in who owns what."""

    id: str
    owner: str
    epoch: int
    customer: str
    feature: str
    amount: int
    issued: Instant
    until: Instant
    """From when it counts as lost unless its owner has told of it; its owner stops before."""
    state: State = "open"
    used: int = 0
    """The most that its owner has told of."""
    lost: int = 0
    """What may have been spent besides: known to nobody since its owner crashed."""
    recalled: bool = False

    @property
    def charged(self) -> int:
        """What is not there for others because of it: all of it, until its owner has had the last word."""
        return self.used + self.lost if self.state in ("settled", "proven") else self.amount

    @property
    def outstanding(self) -> int:
        """What its owner may still spend, as far as anybody here knows."""
        return self.amount if self.state == "open" else 0

    @property
    def written_off(self) -> int:
        """What is charged and nobody has told of as used: not use, and never billed as such."""
        return 0 if self.state == "open" else self.charged - self.used


class Told(Struct, frozen=True, gc=False):
    """What telling of a lease changes: the lease as it is then, and what goes back to where it was drawn from."""

    lease: Lease
    back: int = 0
    more: int = 0
    """Use that was not known before."""


class Disagreement(Exception):
    """An owner told what cannot be: more than it owned, or two last words."""


def tell(lease: Lease, used: int, *, closed: bool, lost: int = 0) -> Told:
    """Return what a lease becomes by its owner's word; repeated and late words change nothing.

    Raises Disagreement where more was spent than was owned, or where a last word differs from the one before.
    """
    most = used + lost
    if most > lease.amount:
        raise Disagreement(f"{most} of {lease.amount} cannot have been spent of lease {lease.id}")
    if lease.state in ("settled", "proven"):
        if closed and most != lease.charged:
            raise Disagreement(f"lease {lease.id} was closed with {lease.charged} spent, and now with {most}")
        return Told(lease)
    told = max(used, lease.used)
    more = told - lease.used
    if not closed:
        return Told(structs.replace(lease, used=told) if more else lease, more=more)
    if most < lease.used:
        raise Disagreement(f"lease {lease.id} had {lease.used} used before, and was closed with {most}")
    ended: State = "settled" if lease.state == "open" else "proven"
    return Told(structs.replace(lease, state=ended, used=told, lost=most - told), back=lease.amount - most, more=more)


def is_lost(lease: Lease, epoch: int, now: Instant) -> bool:
    """Return whether an open lease is to be charged in full: its time is over, or its epoch is."""
    return lease.state == "open" and (lease.epoch != epoch or now >= lease.until)


def escheat(lease: Lease) -> Lease:
    """Return an open lease as charged in full: nothing goes back before its owner has told what was used."""
    return structs.replace(lease, state="escheated")


def slice_of(wanted: int, least: int, left: int, owners: int, part: int) -> int:
    """Return how much to issue of what is left: what is wanted, within its part; 0 where ``least`` is not there.

    Each of ``owners`` may hold one ``part``-th of its even share of what is left: so slices shrink with it, and
    together never hold more than about one ``part``-th of it unspent. The last units are issued as they are needed.
    """
    if left < least:
        return 0
    return max(least, min(wanted, left // (owners * part)))
