"""What one process owns of quota and does with it by itself: spending, holding, closing. No I/O, no clock.

``now`` is monotonic seconds of this process: a wall clock that jumps moves no deadline. One thread at a time.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from licet.evaluator.holds import HOLD, Hold
from licet.evaluator.slice import CHUNKS, Journal, Key, Slice

MOST_IDLE: Final = 64
"""Idle slices that are closed at once."""


class Stock:
    """Slices by key, and the holds on them."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._slices: dict[Key, list[Slice]] = {}
        """Open ones."""
        self._front: dict[Key, Slice] = {}
        """By key the slice that was spent of last."""
        self._holding: dict[str, Slice] = {}
        """Closed, and not to be told as such before the holds on them are settled."""
        self._closed: dict[str, Slice] = {}
        """Closed for good, and not known to be heard."""
        self._ids: dict[str, Slice] = {}
        """Those that are open, or closed with holds on them."""
        self._holds: dict[int, Hold] = {}
        self._ended_used = 0
        self._ended_back = 0

    def spend(self, key: Key, quantity: int, now: float) -> bool:
        """Spend of one feature, if it is owned; False changes nothing. Raises OSError as ``spend_all`` does."""
        front = self._front.get(key)
        if front is not None and front.spent + quantity <= front.burned and now < front.deadline:
            front.spent += quantity
            return True
        return self.spend_all(((key, quantity),), now)

    def spend_all(self, wants: Sequence[tuple[Key, int]], now: float) -> bool:
        """Spend of several features at once, all or nothing; raises OSError, with nothing spent, as a journal does."""
        return self._take_all(_summed(wants), now) is not None

    def hold(self, key: Key, quantity: int, now: float, seconds: float = HOLD) -> Hold | None:
        """Reserve units of one feature, if they are owned; None changes nothing. See ``hold_all``."""
        return self.hold_all(((key, quantity),), now, seconds)

    def hold_all(self, wants: Sequence[tuple[Key, int]], now: float, seconds: float = HOLD) -> Hold | None:
        """Reserve units of several features at once, all or nothing, for so many seconds.

        They count as burned and are spendable by nobody else until ``settle_hold`` or ``release_overdue``. A slice
        that closes meanwhile is not told as closed before. Raises OSError, with nothing held, as a journal does.
        """
        wanted = _summed(wants)
        parts = self._take_all(wanted, now)
        if parts is None:
            return None
        # Kept first: what is interrupted from here on is still let go when it is overdue.
        hold = Hold(wanted, now + seconds, parts)
        self._holds[id(hold)] = hold
        for one, part in parts:
            one.held += part
        return hold

    def settle_hold(self, hold: Hold, used: Mapping[Key, int], now: float) -> dict[Key, int]:
        """End a hold with what was used by key; return what could not be covered by key, empty where all was.

        Less than was held gives the rest back: it can be spent again where its slice is still open. More is taken of
        what is owned besides, as far as that goes; what is returned has been used and is for ``Owned.claim``. Of a
        hold that was released everything is taken so. A hold that is settled already changes nothing. Never raises.
        """
        if hold.state == "settled":
            return {}
        beyond = self._let_go(hold, used, now)
        hold.state = "settled"
        return {key: rest for key, units in beyond.items() if (rest := units - self._cover(key, units, now))}

    def release_overdue(self, now: float) -> list[Hold]:
        """Give back what is held by holds whose end has come, and return these; they may still be settled."""
        overdue = [hold for hold in self._holds.values() if now >= hold.ends]
        for hold in overdue:
            self._let_go(hold, {}, now)
            hold.state = "released"
        return overdue

    def owned(self, key: Key, now: float) -> int:
        """Return what may be spent of a feature without asking anybody; any thread may look."""
        return sum(one.left for one in tuple(self._slices.get(key, ())) if now < one.deadline)

    def retire(self, key: Key, now: float) -> None:
        """Close slices whose time is over, or that are used up."""
        for one in [one for one in self._slices.get(key, ()) if now >= one.deadline or one.is_over]:
            self._close(one)

    def give_back(self, key: Key) -> None:
        """Close all that is owned of a feature: what was not spent goes back, of a slice with holds after they end."""
        for one in list(self._slices.get(key, ())):
            self._close(one)

    def give_everything_back(self) -> None:
        """Close all that is owned."""
        for key in list(self._slices):
            self.give_back(key)

    def idle(self, now: float, patience: float) -> bool:
        """Close what nothing was spent of for so many seconds, as far as these looks can tell; not what is held of.

        At most ``MOST_IDLE`` at once, for each may cost a forced write; whether there is more.
        """
        closed = 0
        for one in [one for slices in self._slices.values() for one in slices]:
            if one.spent != one.seen or one.held:
                one.seen, one.touched = one.spent, now
            elif now - one.touched >= patience:
                if closed == MOST_IDLE:
                    return True
                closed += 1
                self._close(one)
        return False

    def _add(self, one: Slice) -> None:
        self._slices.setdefault(one.key, []).append(one)
        self._ids[one.id] = one

    def _plan(self, key: Key, quantity: int, now: float) -> tuple[list[tuple[Slice, int]], int]:
        """Return of which slices so much is to be taken, and how much is not there."""
        self.retire(key, now)
        plan: list[tuple[Slice, int]] = []
        rest = quantity
        for one in self._slices.get(key, ()):
            part = min(rest, one.left)
            if part:
                plan.append((one, part))
                rest -= part
        return plan, rest

    def _take_all(self, wanted: Mapping[Key, int], now: float) -> list[tuple[Slice, int]] | None:
        plan: list[tuple[Slice, int]] = []
        for key, quantity in wanted.items():
            parts, rest = self._plan(key, quantity, now)
            if rest:
                return None
            plan += parts
        for one, part in plan:
            self._burn(one, one.spent + part)
        for one, part in plan:
            one.spent += part
            self._front[one.key] = one
        return plan

    def _cover(self, key: Key, quantity: int, now: float) -> int:
        """Spend as much of it as is owned, and return that."""
        covered = 0
        for one, part in self._plan(key, quantity, now)[0]:
            try:
                self._burn(one, one.spent + part)
            except OSError:
                break
            one.spent += part
            covered += part
        return covered

    def _let_go(self, hold: Hold, used: Mapping[Key, int], now: float) -> dict[Key, int]:
        self._holds.pop(id(hold), None)
        beyond, slices = hold.use(used, now)
        for one in slices:
            if one.closed and not one.held and one.id in self._holding:
                del self._holding[one.id]
                self._end(one)
        return beyond

    def _burn(self, one: Slice, upto: int) -> None:
        """Write down what is about to be spent, and a part more, so that the next few cost nothing."""
        if upto > one.burned and self._journal is not None:
            ahead = min(one.amount, max(upto, one.burned + -(-one.amount // CHUNKS)))
            self._journal.write(one.kept(ahead))
            one.burned = ahead

    def _close(self, one: Slice) -> None:
        """Spend nothing more of it: written down first, told afterwards, and after its holds are settled.

        Begun again where it was interrupted, it ends as it should.
        """
        one.closed = True
        there = self._slices.get(one.key, [])
        if one in there:
            there.remove(one)
        if not there:
            self._slices.pop(one.key, None)
        if self._front.get(one.key) is one:
            del self._front[one.key]
        if not one.held:
            self._end(one)
            return
        self._holding[one.id] = one
        if self._journal is not None and one.spent < one.burned:
            with suppress(OSError):  # only what is held is in doubt from here on, if this can be written
                self._journal.write(one.kept(one.spent))

    def _end(self, one: Slice) -> None:
        """Nothing of it can be spent any more: what was used is its last word."""
        self._closed[one.id] = one
        if self._ids.pop(one.id, None) is not None:
            self._ended_used += one.used
            self._ended_back += one.amount - one.used
        self._noted(one)

    def _mend(self) -> None:
        """Finish what an exception out of a signal handler left half done: else it would never have a last word."""
        held: dict[str, int] = {}
        for hold in self._holds.values():
            for one, part in hold.parts:
                held[one.id] = held.get(one.id, 0) + part
        for one in list(self._ids.values()):
            one.held = held.get(one.id, 0)
            if one.closed and not (one.held and one.id in self._holding):
                self._holding.pop(one.id, None)
                self._close(one)

    def _noted(self, one: Slice) -> bool:
        """Write down that a slice is closed, if that is not written; whether it is."""
        if self._journal is None or one.noted:
            return True
        try:
            self._journal.write(one.kept(one.used))
        except OSError:
            # Nothing is said of it before: a process after this one might say something else.
            return False
        one.noted = True
        return True


def _summed(wants: Sequence[tuple[Key, int]]) -> dict[Key, int]:
    wanted: dict[Key, int] = {}
    for key, quantity in wants:
        wanted[key] = wanted.get(key, 0) + quantity
    return wanted
