"""One slice of owned quota, what a journal says of it, and how much of it is spent, held and told.

``now`` and deadlines are monotonic seconds of this process; quantities are whole minor units.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from licet.wire.quota import LeaseGiven

CHUNKS: Final = 8
"""A slice is burned ahead in so many parts: a crash of a process with a disk loses at most one of them."""


class Key(NamedTuple):
    """What a slice is of."""

    customer: str
    feature: str


class Kept(Struct, frozen=True, kw_only=True):
    """What a journal says of a lease: at least ``spent`` was spent of it, and at most ``burned``."""

    id: str
    customer: str
    feature: str
    spent: int
    burned: int
    epoch: int = 0
    """Under which it was given; 0 of what was never leased."""


class Journal(Protocol):
    """Writes down what may be spent, on a disk, before it is. Returns when it is durable; else raises OSError."""

    def write(self, kept: Kept) -> None:
        """Write what is from now on to be said of a lease; one that is closed has as much spent as burned."""
        ...

    def forget(self, leases: Sequence[str]) -> None:
        """Drop what has been settled."""
        ...

    def left(self) -> Sequence[Kept]:
        """Return what those before this process left behind, none of whom lives."""
        ...


class Slice:
    """One lease as its owner holds it."""

    __slots__ = (
        "acknowledged",
        "amount",
        "burned",
        "closed",
        "deadline",
        "epoch",
        "extended",
        "held",
        "id",
        "key",
        "noted",
        "seen",
        "spent",
        "touched",
    )

    def __init__(self, given: LeaseGiven, key: Key, deadline: float, now: float, *, on_disk: bool) -> None:
        self.id = given.id
        self.epoch = given.epoch
        self.key = key
        self.amount = given.amount
        self.spent = 0
        """What nobody else may spend any more: what was used, and what is held."""
        self.held = 0
        """Of what is spent: so much is under holds, and may come back."""
        self.burned = 0 if on_disk else given.amount
        """Up to here it may be spent: so much is written down, where there is a disk."""
        self.deadline = deadline
        self.closed = False
        self.noted = False
        """Whether it is written down that it is closed."""
        self.touched = now
        self.seen = 0
        """What was spent when somebody last looked whether it is idle."""
        self.acknowledged = 0
        """What the hub is known to have heard of as used."""
        self.extended = 0
        """What was spent when it was last made to last longer."""

    @property
    def left(self) -> int:
        """What may still be spent of it."""
        return 0 if self.closed else self.amount - self.spent

    @property
    def used(self) -> int:
        """What has certainly been used of it: this never becomes less."""
        return self.spent - self.held

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can be spent any more, by anybody, hold or no hold."""
        return not self.held and (self.closed or self.spent == self.amount)

    def kept(self, burned: int) -> Kept:
        """Return what a journal is to say of it, with at most so much ``burned``."""
        customer, feature = self.key
        return Kept(id=self.id, customer=customer, feature=feature, spent=self.used, burned=burned, epoch=self.epoch)
