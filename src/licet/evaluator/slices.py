"""Owned quota: what one process may spend by itself, of slices that nobody else can spend. No I/O, no clock.

``now`` is monotonic seconds of this process: a wall clock that jumps moves no deadline. One thread at a time.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from licet.wire.quota import (
    MAX_ASKS,
    MAX_TOLD,
    LeaseAsk,
    LeaseClaim,
    LeaseGiven,
    LeaseHeard,
    LeaseTold,
    QuotaAnswer,
    QuotaCall,
)

CHUNKS: Final = 8
"""A slice is burned ahead in so many parts: a crash of a process with a disk loses at most one of them."""
HASTE: Final = 2.0
"""Slices hold what is spent in so many round trips, so that the next one is there in time."""
LONGER: Final = 20.0
"""So many seconds before a slice ends its owner asks for more time."""
MOST_UNANSWERED: Final = 64
"""Calls whose answers are waited for; an answer to one before these changes nothing."""


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

    __slots__ = ("amount", "burned", "closed", "deadline", "id", "key", "noted", "seen", "spent", "touched")

    def __init__(self, given: LeaseGiven, key: Key, deadline: float, now: float, *, on_disk: bool) -> None:
        self.id = given.id
        self.key = key
        self.amount = given.amount
        self.spent = 0
        self.burned = 0 if on_disk else given.amount
        """Up to here it may be spent: so much is written down, where there is a disk."""
        self.deadline = deadline
        self.closed = False
        self.noted = False
        """Whether it is written down that it is closed."""
        self.touched = now
        self.seen = 0
        """What was spent when somebody last looked whether it is idle."""

    @property
    def left(self) -> int:
        """What may still be spent of it."""
        return 0 if self.closed else self.amount - self.spent


class Owned:
    """Everything that one process owns. Nobody else spends it, and its children own nothing of it."""

    def __init__(self, owner: str, journal: Journal | None = None) -> None:
        self.owner = owner
        self.epoch = 0
        """The newest that was heard of."""
        self.pools: dict[Key, int] = {}
        """What the hub had left, when it last said so."""
        self._journal = journal
        self._slices: dict[Key, list[Slice]] = {}
        self._front: dict[Key, Slice] = {}
        self._asked: dict[str, LeaseAsk] = {}
        self._closed: dict[str, Slice] = {}
        self._found: dict[str, Kept] = {kept.id: kept for kept in (journal.left() if journal is not None else ())}
        self._claims: dict[str, LeaseClaim] = {}
        self._sent: dict[int, float] = {}
        self._number = 0

    def spend(self, key: Key, quantity: int, now: float) -> bool:
        """Spend of one feature, if it is owned; False changes nothing."""
        front = self._front.get(key)
        if front is not None and front.spent + quantity <= front.burned and now < front.deadline:
            front.spent += quantity
            return True
        return self.spend_all(((key, quantity),), now)

    def spend_all(self, wants: Sequence[tuple[Key, int]], now: float) -> bool:
        """Spend of several features at once, all or nothing; raises OSError, with nothing spent, as a journal does."""
        wanted: dict[Key, int] = {}
        for key, quantity in wants:
            wanted[key] = wanted.get(key, 0) + quantity
        plan: list[tuple[Slice, int]] = []
        for key, quantity in wanted.items():
            self.retire(key, now)
            rest = quantity
            for one in self._slices.get(key, ()):
                part = min(rest, one.left)
                if part:
                    plan.append((one, part))
                    rest -= part
            if rest:
                return False
        for one, part in plan:
            self._burn(one, one.spent + part)
        for one, part in plan:
            one.spent += part
            self._front[one.key] = one
        return True

    def owned(self, key: Key, now: float) -> int:
        """Return what may be spent of a feature without asking anybody."""
        return sum(one.left for one in self._slices.get(key, ()) if now < one.deadline)

    def ask(self, ask: LeaseAsk) -> None:
        """Ask for a slice, in every call from now on until it is answered."""
        self._asked.setdefault(ask.id, ask)

    def waits(self, key: Key) -> bool:
        """Return whether a slice of a feature was asked for and not answered yet."""
        return any((one.customer, one.feature) == key for one in self._asked.values())

    def retire(self, key: Key, now: float) -> None:
        """Close slices whose time is over, or that are spent."""
        for one in [one for one in self._slices.get(key, ()) if now >= one.deadline or not one.left]:
            self._close(one)

    def give_back(self, key: Key) -> None:
        """Close all that is owned of a feature: what was not spent goes back."""
        for one in list(self._slices.get(key, ())):
            self._close(one)

    def idle(self, now: float, patience: float) -> None:
        """Close what nothing was spent of for so many seconds, as far as these looks can tell."""
        for one in [one for slices in self._slices.values() for one in slices]:
            if one.spent != one.seen:
                one.seen, one.touched = one.spent, now
            elif now - one.touched >= patience:
                self._close(one)

    def give_everything_back(self) -> None:
        """Close all that is owned."""
        for key in list(self._slices):
            self.give_back(key)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be said: nothing is owned, and the last word on everything was heard."""
        return not (self._closed or self._found or self._claims or self._asked or any(self._slices.values()))

    def call(self, now: float) -> QuotaCall:
        """Return all that is to be said now; what was not answered is said again in the next."""
        self._number += 1
        self._sent[self._number] = now
        while len(self._sent) > MOST_UNANSWERED:
            del self._sent[next(iter(self._sent))]
        told = [LeaseTold(id=one.id, used=one.spent, closed=True) for one in self._closed.values() if self._noted(one)]
        told.extend(
            LeaseTold(id=one.id, used=one.spent, closed=True, lost=one.burned - one.spent)
            for one in self._found.values()
        )
        for slices in self._slices.values():
            told.extend(LeaseTold(id=one.id, used=one.spent, longer=one.deadline - now < LONGER) for one in slices)
        return QuotaCall(
            owner=self.owner,
            number=self._number,
            epoch=self.epoch,
            asks=tuple(self._asked.values())[:MAX_ASKS],
            told=tuple(told[:MAX_TOLD]),
            claims=tuple(self._claims.values())[:MAX_TOLD],
        )

    def hear(self, answer: QuotaAnswer, now: float) -> None:
        """Take an answer. One that came before, or of an older epoch, changes nothing."""
        if answer.epoch > self.epoch:
            self._enter(answer.epoch)
        sent = self._sent.pop(answer.number, None)
        if sent is None or answer.epoch < self.epoch:
            return
        for heard in answer.heard:
            self._settle(heard, sent)
        for given in answer.given:
            self._take(given, sent, now)
        for denied in answer.denied:
            ask = self._asked.pop(denied.id, None)
            if ask is not None:
                self.pools[Key(ask.customer, ask.feature)] = denied.left
        recalled = set(answer.recalled)
        for slices in list(self._slices.values()) if recalled else ():
            for one in [one for one in slices if one.id in recalled]:
                self._close(one)

    def _enter(self, epoch: int) -> None:
        """An older copy was restored: what is owned from before is closed, for others may have been given it."""
        self.epoch = epoch
        self.give_everything_back()

    def _take(self, given: LeaseGiven, sent: float, now: float) -> None:
        ask = self._asked.pop(given.id, None)
        if ask is None:
            return
        key = Key(ask.customer, ask.feature)
        self.pools[key] = given.left
        one = Slice(given, key, sent + given.seconds, now, on_disk=self._journal is not None)
        self._slices.setdefault(key, []).append(one)
        if given.epoch != self.epoch:
            self._close(one)

    def _settle(self, heard: LeaseHeard, sent: float) -> None:
        """Hear what became of a lease that was told of."""
        if heard.state == "open":
            for one in self._open(heard.id):
                if heard.seconds:
                    one.deadline = max(one.deadline, sent + heard.seconds)
            return
        for one in self._open(heard.id):
            self._close(one)
        unsaid = self._closed.get(heard.id)
        if heard.state == "escheated" or (unsaid is not None and not self._noted(unsaid)):
            return
        closed, found = self._closed.pop(heard.id, None), self._found.pop(heard.id, None)
        self._claims.pop(heard.id, None)
        if heard.state == "unknown" and closed is not None and closed.spent:
            self._claim(_kept(closed, closed.spent))
        elif heard.state == "unknown" and found is not None and found.burned:
            self._claim(found)
        elif self._journal is not None:
            with suppress(OSError):  # what stays there is told once more by a later process, and changes nothing
                self._journal.forget((heard.id,))

    def _claim(self, kept: Kept) -> None:
        self._claims[kept.id] = LeaseClaim(
            id=kept.id,
            customer=kept.customer,
            feature=kept.feature,
            used=kept.spent,
            lost=kept.burned - kept.spent,
        )

    def _open(self, lease: str) -> list[Slice]:
        return [one for slices in self._slices.values() for one in slices if one.id == lease]

    def _burn(self, one: Slice, upto: int) -> None:
        """Write down what is about to be spent, and a part more, so that the next few cost nothing."""
        if upto > one.burned and self._journal is not None:
            ahead = min(one.amount, max(upto, one.burned + -(-one.amount // CHUNKS)))
            self._journal.write(_kept(one, ahead))
            one.burned = ahead

    def _close(self, one: Slice) -> None:
        """Spend nothing more of it: written down first, told afterwards."""
        one.closed = True
        self._slices[one.key].remove(one)
        if self._front.get(one.key) is one:
            del self._front[one.key]
        self._closed[one.id] = one
        self._noted(one)

    def _noted(self, one: Slice) -> bool:
        """Write down that a slice is closed, if that is not written; whether it is."""
        if self._journal is None or one.noted:
            return True
        try:
            self._journal.write(_kept(one, one.spent))
        except OSError:
            # Nothing is said of it before: a process after this one might say something else.
            return False
        one.noted = True
        return True


def _kept(one: Slice, burned: int) -> Kept:
    return Kept(id=one.id, customer=one.key.customer, feature=one.key.feature, spent=one.spent, burned=burned)


def wanted(rate: float, round_trip: float) -> int:
    """Return how much to ask for: what is spent in a few round trips, and at least 1."""
    return max(1, int(rate * round_trip * HASTE))
