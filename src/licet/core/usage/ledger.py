"""The fold of a balance step by step, with a compact state from which it goes on exactly as if it had never stopped."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.usage.drawing import Draw, Late, Place, Refund, Use, last
from licet.core.usage.grant import Change, Timetable

_AMOUNT: Final = attrgetter("amount")
KEPT: Final = 400
"""Of a grant so many renewals are remembered, of a balance so many debts: what was drawn before returns nothing."""


class Before(Struct, array_like=True, gc=False):
    """What was left of a grant just before a renewal (negative: charged beyond it), and the bounds of what stayed."""

    left: int
    least: int
    most: int

    def stays(self) -> int:
        """Return what stayed."""
        return min(self.most, max(self.least, self.left))


class Holding(Struct, array_like=True):
    """What is left of one grant. ``left`` is negative where a step charged it with more than it is worth."""

    grant: str
    left: int
    worth: int
    renewal: int = 0
    base: int = 0
    """Draws of renewals before this one return nothing."""
    befores: list[Before] = []
    """What was left before each renewal since ``base``."""


class Debt(Struct, array_like=True):
    """What no grant covered in one period, and which grants repaid of it, in the order in which they began to."""

    number: int
    owed: int = 0
    repaid: list[tuple[str, int, int]] = []


class LedgerState(Struct, array_like=True):
    """What is kept of a fold.

    A *stretch* is what came after ``since`` while every use drew wholly from one holding (``source``), or wholly from
    nothing (empty), ``lowest`` being the least that was left of it in between. A use that lies within it changes
    nothing but that one number, so long as ``lowest`` bears it; nor does what goes back to that very holding.
    ``source`` is None where none is known yet.
    """

    digest: bytes
    held: list[Holding]
    debt: Debt
    past: list[Debt]
    used: int
    period: Instant
    newest: Place
    since: Place
    source: str | None
    lowest: int


class Passed(NamedTuple):
    """One thing that time brought, and what was left of its grant before and after; of the end of a period, as a
    negative number, what was owed."""

    change: Change
    before: int
    after: int


_GONE: Final = -1
"""The number of a debt that never was: of what was taken when it did not matter any more."""
_FIRST: Final = Place(BEGINNING, -1, "")


class Ledger:
    """The fold, up to an instant. Facts come in order, or as :class:`Late` allows.

    It remembers no use: whoever may give one back keeps its draws.
    """

    __slots__ = ("_held", "_order", "_passed", "_state", "_table", "next_at", "puts")

    def __init__(self, table: Timetable, state: LedgerState | None = None) -> None:
        self._table = table
        self._state = state or LedgerState(b"", [], Debt(0), [], 0, BEGINNING, _FIRST, _FIRST, None, 0)
        self.puts = 0
        """How often something was put on it since it was loaded: a grant that began, renewed or stepped up."""
        self._resume()

    def _resume(self) -> None:
        self._passed = place = self._table.place(self._state.newest.at)
        steps = self._table.steps
        self.next_at: Instant = steps[place].at if place < len(steps) else FOREVER
        """When time brings something next."""
        self._arrange()

    def _arrange(self) -> None:
        held = self._state.held
        self._held = {one.grant: one for one in held}
        order = self._table.steps[self._passed - 1].order if len(held) > 1 else self._held
        self._order = [self._held[one] for one in order]

    @classmethod
    def resume(cls, table: Timetable, state: LedgerState) -> "Ledger | None":
        """Go on from a state (which becomes this ledger's own); None where the past of the timetable is another."""
        if state.digest != table.digest(table.place(state.newest.at)):
            return None
        return cls(table, state)

    @classmethod
    def load(cls, table: Timetable, state: bytes) -> "Ledger | None":
        """Go on from what :meth:`dump` gave; None where the past of the timetable is another, or it is unreadable."""
        try:
            return cls.resume(table, _DECODER.decode(state))
        except msgspec.DecodeError:
            return None

    @classmethod
    def carried(cls, table: Timetable, state: LedgerState) -> "Ledger":
        """Go on from a state of another past: what was drawn of a grant that is there still stays drawn.

        It is right where nothing else is known of that past, and from the next slate on in any case.
        """
        ledger = cls(table)
        ledger.advance(state.newest.at)
        mine, drawn = ledger._state, {one.grant: one.worth - one.left for one in state.held}
        for holding in mine.held:
            holding.left -= drawn.get(holding.grant, 0)
        mine.newest = mine.since = max(mine.newest, state.newest)
        mine.debt.owed = state.debt.owed
        if mine.period == state.period:
            mine.used = state.used
        ledger._cover()
        return ledger

    def redrawn(self, draws: Iterable[Draw], before: LedgerState) -> tuple[Draw, ...]:
        """Return draws of the state from which this was :meth:`carried`, as those of what is there now."""
        renewals = {one.grant: one.renewal for one in before.held} | {"": before.debt.number}
        mine = {one.grant: one.renewal for one in self._state.held} | {"": self._state.debt.number}
        return tuple(
            Draw(one.grant, mine[one.grant], one.amount)
            if one.grant in mine and renewals.get(one.grant) == one.renewal
            else Draw("", _GONE, one.amount)
            for one in draws
        )

    def matters(self, draws: Iterable[Draw], since: Instant) -> bool:
        """Whether anything of a use of ``since`` can still return, or be taken off what was used in this period."""
        state = self._state
        if since >= state.period:
            return True
        for draw in draws:
            if draw.grant:
                holding = self._held.get(draw.grant)
                if holding is not None and draw.renewal >= holding.base:
                    return True
            elif any(one.number == draw.renewal for one in (state.debt, *state.past)):
                return True
        return False

    def state(self) -> LedgerState:
        """Return the state, ready to be written: the ledger's own, not a copy."""
        self._state.digest = self._table.digest(self._passed)
        return self._state

    def dump(self) -> bytes:
        """Return the state, compact: with the digest of what time brought up to it."""
        return _ENCODER.encode(self.state())

    @property
    def newest(self) -> Place:
        """The place of the newest fact, or of what time brought since."""
        return self._state.newest

    @property
    def slate(self) -> Instant:
        """Facts before it change none of the numbers any more; what they drew cannot return."""
        return self._table.slate(self._passed)

    @property
    def period(self) -> Instant:
        """When the newest period began that it has seen begin; BEGINNING before any."""
        return self._state.period

    @property
    def used(self) -> int:
        """What was used in this period and not given back."""
        return self._state.used

    @property
    def owed(self) -> int:
        """What no grant covered and still is owed."""
        return self._state.debt.owed

    @property
    def remaining(self) -> int:
        """What may still be drawn."""
        return sum(one.left for one in self._state.held if one.left > 0)

    def lefts(self) -> dict[str, int]:
        """Return what is left of each grant that is usable, by id."""
        return {one.grant: max(0, one.left) for one in self._state.held}

    def advance(self, at: Instant, told: list[Passed] | None = None) -> None:
        """Let time pass until ``at``, inclusive: what it brings at that very instant has happened, and is ``told``."""
        state = self._state
        while self.next_at <= at:
            steps = self._table.steps
            step = steps[self._passed]
            self._passed += 1
            self.next_at = steps[self._passed].at if self._passed < len(steps) else FOREVER
            for change in step.changes:
                before = 0 if told is None else self._left(change)
                self._pass(change)
                if told is not None:
                    told.append(Passed(change, before, self._left(change)))
            self._arrange()
            self._cover()
            if state.debt.repaid:
                state.debt.repaid = self._alive(state.debt.repaid)
            state.newest = state.since = Place(step.at, -1, "")
            state.source = None
            if step.slate == step.at:
                state.past = []

    def take(self, use: Use) -> tuple[Draw, ...]:
        """Take a use and return its draws; raises Late where it would have to be taken before others."""
        state = self._state
        at = use.effective
        place = Place(at, 0, use.id)
        if place < state.newest:
            return self._take_late(use, place)
        if at >= self.next_at:
            self.advance(at)
        before, state.newest = state.newest, place
        amount = use.amount
        if not amount:
            return ()
        state.used += amount
        for holding in self._order:
            if holding.left > 0:
                break
        else:
            return self._owe(amount, before)
        if holding.left < amount:
            return self._split(amount, place)
        holding.left = left = holding.left - amount
        if state.source != holding.grant:
            self._begin(holding.grant, left, before)
        elif left < state.lowest:
            state.lowest = left
        return (Draw(holding.grant, holding.renewal, amount),)

    def take_all(self, uses: list[Use], total: int) -> bool:
        """Take uses in their order of time, ``total`` in all, where they draw wholly from one grant that bears it.

        Returns False, and takes nothing, where they do not, or time brings something in between: take them one by one.
        Those that come late are taken before the others.
        """
        state, first, last_one = self._state, uses[0], uses[-1]
        holding = next((one for one in self._order if one.left > 0), None)
        if last_one.effective >= self.next_at or holding is None or holding.left < total:
            return False
        if not all(map(_AMOUNT, uses)):
            return False
        late, place = 0, Place(first.effective, 0, first.id)
        if place < state.newest:
            if state.source != holding.grant or place < state.since or place.at < self.slate:
                return False
            late = sum([use.amount for use in uses if Place(use.effective, 0, use.id) < state.newest])
            if state.lowest < late:
                return False
            state.lowest -= late
        holding.left -= total
        state.used += total
        if late < total:
            before, state.newest = state.newest, Place(last_one.effective, 0, last_one.id)
            if state.source != holding.grant:
                self._begin(holding.grant, holding.left, before)
            elif holding.left < state.lowest:
                state.lowest = holding.left
        return True

    def give_back(self, refund: Refund, draws: Iterable[Draw], since: Instant) -> tuple[Draw, ...]:
        """Give back a part of a use of ``since``, by what is left of its draws; return what is left of them then.

        Raises Late where it would have to be taken before others.
        """
        state = self._state
        place = Place(max(refund.effective, since), 1, refund.id)
        kept = list(draws)
        backs = last(kept, refund.amount)
        given = sum(one.amount for one in backs)
        if place < state.newest:
            self._return_late(backs, place)
        else:
            if place.at >= self.next_at:
                self.advance(place.at)
            state.newest = place
            for draw in backs:
                if self._return(draw):
                    state.source, state.since = None, place
            self._cover()
        if since >= state.period:
            state.used -= given
        return tuple(kept)

    def _begin(self, source: str, lowest: int, before: Place) -> None:
        """Begin a stretch, or say what the one that time began draws from."""
        state = self._state
        if state.source is not None:
            state.since = before
        state.source, state.lowest = source, lowest

    def _owe(self, amount: int, before: Place) -> tuple[Draw, ...]:
        state = self._state
        if state.source != "":
            self._begin("", 0, before)
        state.debt.owed += amount
        return (Draw("", state.debt.number, amount),)

    def _split(self, amount: int, place: Place) -> tuple[Draw, ...]:
        """Take from several, the rest from nothing; a stretch begins with what it drew from last."""
        state = self._state
        draws = []
        for holding in self._order:
            part = min(amount, holding.left)
            if part > 0:
                holding.left -= part
                amount -= part
                draws.append(Draw(holding.grant, holding.renewal, part))
                state.source, state.lowest = holding.grant, holding.left
                if not amount:
                    break
        if amount:
            draws.append(Draw("", state.debt.number, amount))
            state.source, state.lowest = "", 0
            state.debt.owed += amount
        state.since = place
        return tuple(draws)

    def _take_late(self, use: Use, place: Place) -> tuple[Draw, ...]:
        state = self._state
        amount = use.amount
        if place.at < self.slate:
            return (Draw("", _GONE, amount),) if amount else ()
        if place < state.since or state.source is None:
            raise Late(place.at)
        if not amount:
            return ()
        if state.source == "":
            state.debt.owed += amount
            draw = Draw("", state.debt.number, amount)
        else:
            if state.lowest < amount:
                raise Late(place.at)
            holding = self._held[state.source]
            holding.left -= amount
            state.lowest -= amount
            draw = Draw(holding.grant, holding.renewal, amount)
        state.used += amount
        return (draw,)

    def _return_late(self, backs: list[Draw], place: Place) -> None:
        state = self._state
        if place.at < self.slate:
            return
        if place < state.since or not state.source:
            raise Late(place.at)
        holding = self._held[state.source]
        if any(one[:2] != (holding.grant, holding.renewal) for one in backs):
            raise Late(place.at)
        holding.left += sum(one.amount for one in backs)

    def _left(self, change: Change) -> int:
        """What is left of the grant that a change is about."""
        if change.kind == "resets":
            return -self._state.debt.owed
        holding = self._held.get(change.grant)
        return 0 if holding is None else max(0, holding.left)

    def _pass(self, change: Change) -> None:
        state = self._state
        if change.kind == "resets":
            self._end_period(change.at, carry=self._table.carry and not change.amount)
        elif change.kind == "begins":
            holding = self._held[change.grant] = Holding(change.grant, change.amount, change.amount)
            state.held.append(holding)
            self.puts += 1
        else:
            holding = self._held[change.grant]
            if change.kind == "ends":
                state.held.remove(self._held.pop(change.grant))
            elif change.kind == "step":
                self.puts += change.amount > holding.worth
                holding.left += change.amount - holding.worth
                holding.worth = change.amount
            else:
                self.puts += 1
                _renew(holding, change)

    def _end_period(self, at: Instant, *, carry: bool) -> None:
        state = self._state
        state.used, state.period = 0, at
        if carry:
            return
        if state.debt.repaid:
            state.past.append(state.debt)
        for debt in state.past:
            debt.repaid = self._alive(debt.repaid)
        state.past = [debt for debt in state.past if debt.repaid][-KEPT:]
        state.debt = Debt(state.debt.number + 1)

    def _alive(self, repaid: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Return what grants repaid, without naming those to which nothing can return."""
        bases = {one.grant: one.base for one in self._held.values()}
        kept: list[tuple[str, int, int]] = []
        for grant, renewal, amount in repaid:
            if renewal >= bases.get(grant, FOREVER):
                kept.append((grant, renewal, amount))
            elif kept and not kept[-1][0]:
                kept[-1] = ("", 0, kept[-1][2] + amount)
            elif kept:
                kept.append(("", 0, amount))
        return kept

    def _cover(self) -> None:
        """Let what is left repay what is owed."""
        debt = self._state.debt
        if not debt.owed:
            return
        for holding in self._order:
            part = min(debt.owed, holding.left)
            if part > 0:
                holding.left -= part
                debt.owed -= part
                for place, (grant, renewal, amount) in enumerate(debt.repaid):
                    if (grant, renewal) == (holding.grant, holding.renewal):
                        debt.repaid[place] = (grant, renewal, amount + part)
                        break
                else:
                    debt.repaid.append((holding.grant, holding.renewal, part))

    def _return(self, draw: Draw) -> bool:
        """Give back a part; return whether the stretch ends by that."""
        state = self._state
        if draw.grant:
            return not self._put_back(draw.grant, draw.renewal, draw.amount)
        debt = next((one for one in (state.debt, *state.past) if one.number == draw.renewal), None)
        if debt is None:
            return False
        part = min(draw.amount, debt.owed)
        debt.owed -= part
        repaid = [Draw(*one) for one in debt.repaid]
        backs = last(repaid, draw.amount - part)
        debt.repaid = [(one.grant, one.renewal, one.amount) for one in repaid]
        for back in backs:
            self._put_back(*back)
        # What went beyond what was owed would have found more, had more been used before: nothing may come before it.
        return part < draw.amount or state.source != ""

    def _put_back(self, grant: str, renewal: int, amount: int) -> bool:
        """Put a part back on its grant; of what has been renewed since, as much as would have rolled over.

        Return whether that touched nothing but the source of this stretch.
        """
        holding = self._held.get(grant)
        if holding is None or renewal < holding.base:
            return True
        for before in holding.befores[renewal - holding.base :]:
            stayed = before.stays()
            before.left += amount
            amount = before.stays() - stayed
        holding.left += amount
        return grant == self._state.source or not amount


def _renew(holding: Holding, change: Change) -> None:
    """Make a grant whole again; what is remembered of before is what may still return through what rolls over."""
    before = Before(holding.left, change.least, change.most)
    holding.renewal += 1
    holding.left = change.amount + before.stays()
    holding.worth = change.amount
    if before.left >= change.most or change.least >= change.most:
        holding.befores = []
        holding.base = holding.renewal
    else:
        holding.befores = [*holding.befores[1 - KEPT :], before]
        holding.base = holding.renewal - len(holding.befores)


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(LedgerState)
