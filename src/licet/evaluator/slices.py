"""Owned quota: what one process may spend by itself, of slices that nobody else can spend. No I/O, no clock.

``Owned`` is a stock of slices that asks its hub for more, tells it what became of them, and hears what it answers.
``now`` is monotonic seconds of this process: a wall clock that jumps moves no deadline. One thread at a time.
"""

from contextlib import suppress
from typing import Final

from licet.evaluator.certainty import Certainty, Counts, Pool
from licet.evaluator.holds import HOLD, Hold
from licet.evaluator.slice import CHUNKS, Journal, Kept, Key, Slice
from licet.evaluator.stock import Stock
from licet.evaluator.turns import Turns
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

HASTE: Final = 2.0
"""Slices hold what is spent in so many round trips, so that the next one is there in time."""
LONGER: Final = 20.0
"""So many seconds before a slice ends its owner asks for more time."""
AGAIN: Final = 5.0
"""What could not be made to last longer, at the end of a period, is asked for again after so many seconds."""
EVERY: Final = 10.0
"""While something is owned a call is made at least every so many seconds. What was asked back is learnt by calling
only, and what was used is known to others only then; two calls still fall into the ``LONGER`` before a slice ends, so
that one may be lost; and it is a tenth of a call per second and process, however much is spent."""
NOT_YOURS: Final = "lease_of_another"
"""A denial with this code says nothing of what there is."""
MOST_UNANSWERED: Final = 64
"""Calls whose answers are waited for; an answer to one before these changes nothing."""
MOST_POOLS: Final = 10_000
"""Balances of which the hub's word is kept; of more, the oldest words are dropped."""


class Owned(Stock):
    """Everything that one process owns. Nobody else spends it, and its children own nothing of it."""

    def __init__(self, owner: str, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.owner = owner
        self.epoch = 0
        """The newest that was heard of."""
        self.pools: dict[Key, Pool] = {}
        """What the hub had left, when it last said so."""
        self._asked: dict[str, LeaseAsk] = {}
        self._found: dict[str, Kept] = {kept.id: kept for kept in (journal.left() if journal is not None else ())}
        self._claims: dict[str, LeaseClaim] = {}
        self._unwritten: set[str] = set()
        """Claims that no disk took yet."""
        self._sent: dict[int, float] = {}
        self._number = 0
        self._called = float("-inf")
        self._more = False
        """Whether not all fitted into the newest call."""
        self._asks_turns, self._told_turns, self._claims_turns = Turns(), Turns(), Turns()
        self._taken_slices = self._taken = self._denied = self._recalled = self._claimed_times = self._claimed = 0
        self._lost = sum(kept.burned - kept.spent for kept in self._found.values())

    def ask(self, ask: LeaseAsk) -> None:
        """Ask for a slice, in every call from now on until it is answered."""
        self._asked.setdefault(ask.id, ask)

    def waits(self, key: Key) -> bool:
        """Return whether a slice of a feature was asked for and not answered yet."""
        return any((one.customer, one.feature) == key for one in self._asked.values())

    def claim(self, claim: str, key: Key, used: int) -> None:
        """Tell of use that has happened beyond what was owned, until it was heard.

        ``claim`` is a fresh id, 32 hexadecimal digits; the same one again changes nothing. It is written down where
        there is a journal, as soon as that takes it. Never raises.
        """
        if claim not in self._claims:
            self._claim(Kept(id=claim, customer=key.customer, feature=key.feature, spent=used, burned=used))
            self._unwritten.add(claim)
            self._write_claims()

    def hear_left(self, key: Key, left: int, sent: float) -> None:
        """Take the hub's word on what it has left, from another answer than to a call; ``sent``: when it was asked."""
        known = self.pools.pop(key, None)
        self.pools[key] = known if known is not None and known.heard > sent else Pool(left, sent)
        if len(self.pools) > MOST_POOLS:
            del self.pools[next(iter(self.pools))]

    def certain(self, key: Key, now: float) -> Certainty:
        """Return what is certain of a balance without asking anybody."""
        owned, pool = self.owned(key, now), self.pools.get(key)
        if pool is None:
            return Certainty(owned, None, None)
        return Certainty(owned, owned + max(0, pool.left), now - pool.heard)

    @property
    def counts(self) -> Counts:
        """What was done with slices so far. Summed up when it is read: spending counts nothing."""
        there = self._ids.values()
        return Counts(
            slices=self._taken_slices,
            taken=self._taken,
            spent=self._ended_used + sum(one.used for one in there),
            given_back=self._ended_back,
            held=sum(one.held for one in there),
            stranded=sum(one.amount - one.spent for one in there),
            lost=self._lost,
            denied=self._denied,
            recalled=self._recalled,
            claims=self._claimed_times,
            claimed=self._claimed,
        )

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be said: nothing is owned or held, and the last word on everything was heard."""
        return not (self._closed or self._found or self._claims or self._asked or self._ids)

    def next_call_at(self, now: float) -> float | None:
        """Return when there is something to be said: ``now`` or later; None while there is nothing at all.

        What waits for an answer is to be said at once: whoever calls paces what fails. Of what is said only to be
        known, what was used and what is used up, every ``EVERY`` seconds is enough.
        """
        if self._asked or self._claims or self._found or any(self._is_urgent(one) for one in self._closed.values()):
            return now
        if not (self._ids or self._closed):
            return None
        if self._more:
            return now
        due = self._called + EVERY
        for slices in self._slices.values():
            for one in slices:
                due = min(due, one.deadline)
                if _is_used(one):
                    due = min(due, max(one.deadline - LONGER, self._called + AGAIN))
        return max(now, due)

    def wants_call(self, now: float) -> bool:
        """Return whether a call is due."""
        due = self.next_call_at(now)
        return due is not None and due <= now

    def call(self, now: float) -> QuotaCall:
        """Return all that is to be said now, as much as fits; what was not answered is said again in a later one."""
        self._number += 1
        self._called = self._sent[self._number] = now
        while len(self._sent) > MOST_UNANSWERED:
            del self._sent[next(iter(self._sent))]
        self._mend()
        for key in list(self._slices):
            self.retire(key, now)
        self._write_claims()
        told = self._told(now)
        self._more = len(told) > MAX_TOLD
        return QuotaCall(
            owner=self.owner,
            number=self._number,
            epoch=self.epoch,
            asks=self._asks_turns.take(tuple(self._asked.values()), MAX_ASKS, self._number),
            told=self._told_turns.take(told, MAX_TOLD, self._number),
            claims=self._claims_turns.take(tuple(self._claims.values()), MAX_TOLD, self._number),
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
                self._denied += 1
                if denied.code != NOT_YOURS:
                    self.hear_left(Key(ask.customer, ask.feature), denied.left, sent)
        for lease in answer.recalled:
            one = self._ids.get(lease)
            if one is not None and not one.closed:
                self._recalled += 1
                self._close(one)

    def _told(self, now: float) -> list[LeaseTold]:
        """Last words, and of slices that have none yet what the hub does not know."""
        told = [LeaseTold(id=one.id, used=one.used, closed=True) for one in self._closed.values() if self._noted(one)]
        told.extend(
            LeaseTold(id=one.id, used=one.spent, closed=True, lost=one.burned - one.spent)
            for one in self._found.values()
        )
        for one in self._ids.values():
            longer = not one.closed and one.deadline - now <= LONGER and _is_used(one)
            if longer or one.used != one.acknowledged:
                told.append(LeaseTold(id=one.id, used=one.used, longer=longer))
        return told

    def _is_urgent(self, one: Slice) -> bool:
        """Whether others may have what is left of a closed slice, as soon as they hear of it."""
        return one.used < one.amount and (one.noted or self._journal is None)

    def _enter(self, epoch: int) -> None:
        """An older copy was restored: what is owned from before is closed, for others may have been given it."""
        self.epoch = epoch
        self.give_everything_back()

    def _take(self, given: LeaseGiven, sent: float, now: float) -> None:
        ask = self._asked.pop(given.id, None)
        if ask is None:
            return
        key = Key(ask.customer, ask.feature)
        self.hear_left(key, given.left, sent)
        one = Slice(given, key, sent + given.seconds, now, on_disk=self._journal is not None)
        self._taken_slices += 1
        self._taken += one.amount
        self._add(one)
        if given.epoch != self.epoch:
            self._close(one)
            return
        with suppress(OSError):  # then the first to be spent is written down when it is; so nobody has to wait for it
            self._burn(one, 1)

    def _settle(self, heard: LeaseHeard, sent: float) -> None:
        """Hear what became of a lease that was told of."""
        one = self._ids.get(heard.id)
        if one is not None:
            one.acknowledged = max(one.acknowledged, heard.used)
            if heard.state != "open" and not one.closed:
                self._close(one)
            elif heard.seconds and not one.closed:
                one.deadline, one.extended = max(one.deadline, sent + heard.seconds), one.spent
            if one.held:
                return
        unsaid = self._closed.get(heard.id)
        if heard.state in ("open", "escheated") or (unsaid is not None and not self._noted(unsaid)):
            return
        if heard.state == "unknown" and heard.id in self._claims:
            return
        closed, found = self._closed.pop(heard.id, None), self._found.pop(heard.id, None)
        self._claims.pop(heard.id, None)
        self._unwritten.discard(heard.id)
        if heard.state == "unknown" and closed is not None and closed.used:
            self._claim(closed.kept(closed.used))
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
            epoch=kept.epoch,
        )
        self._claimed_times += 1
        self._claimed += kept.burned

    def _write_claims(self) -> None:
        """Write down claims that are not yet; they are told in any case, for what they tell of has happened."""
        for claim in list(self._unwritten) if self._journal is not None else ():
            one = self._claims[claim]
            with suppress(OSError):
                self._journal.write(  # type: ignore[union-attr]
                    Kept(id=one.id, customer=one.customer, feature=one.feature, spent=one.used, burned=one.used)
                )
                self._unwritten.discard(claim)


def _is_used(one: Slice) -> bool:
    """Whether a slice is worth lasting longer: something was spent of it since it last was, or is held."""
    return one.held > 0 or one.spent != one.extended


def wanted(rate: float, round_trip: float) -> int:
    """Return how much to ask for: what is spent in a few round trips, and at least 1."""
    return max(1, int(rate * round_trip * HASTE))


__all__ = [
    "AGAIN",
    "CHUNKS",
    "EVERY",
    "HASTE",
    "HOLD",
    "LONGER",
    "MOST_POOLS",
    "Certainty",
    "Counts",
    "Hold",
    "Journal",
    "Kept",
    "Key",
    "Owned",
    "Pool",
    "Slice",
    "wanted",
]
