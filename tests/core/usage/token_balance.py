"""An independent, deliberately simple balance: single units, time instant by instant, and whatever depends on what was
given back worked out anew from the beginning of its grant."""

from collections.abc import Sequence
from typing import NamedTuple

from licet.core.instant import FOREVER, Instant
from licet.core.usage.balance import Fact, Grant, Mark, Refund, Use


class Unit(NamedTuple):
    """One minor unit that was used: of which grant in which of its cycles, or of which debt (no grant)."""

    grant: str
    cycle: int


class Cycle:
    """A grant from when it is whole until it is whole again."""

    def __init__(self, amount: int, bounds: tuple[int, int] | None) -> None:
        self.amount = amount
        self.bounds = bounds
        self.drawn = 0


class Purse:
    """A grant in force: all its cycles so far."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.cycles = [Cycle(grant.amount, None)]
        self.due = min([grant.expires, *(mark.at for mark in grant.marks if mark.kind != "step")])

    def mark(self, mark: Mark) -> None:
        """Let a mark happen."""
        if mark.kind == "step":
            self.cycles[-1].amount = mark.amount
            return
        rollover = mark.rollover or self.grant.rollover
        self.cycles.append(Cycle(mark.amount, (rollover.least, rollover.most) if mark.kind == "renew" else (0, 0)))
        later = (one.at for one in self.grant.marks if one.kind != "step" and one.at > mark.at)
        self.due = min([self.grant.expires, *later])

    @property
    def left(self) -> int:
        """What is left, from the first cycle on."""
        left = 0
        for cycle in self.cycles:
            least, most = cycle.bounds or (0, 0)
            left = max(0, cycle.amount + min(most, max(least, left)) - cycle.drawn)
        return left

    @property
    def rank(self) -> tuple[int, Instant, Instant, str]:
        """What burns first has the lowest."""
        return self.grant.priority, min(self.due, FOREVER), self.grant.effective, self.grant.id


class TokenBalance:
    """Everything up to an instant, worked out anew from the beginning."""

    def __init__(
        self, grants: Sequence[Grant], facts: Sequence[Fact], at: Instant, resets: Sequence[Instant], *, carry: bool
    ) -> None:
        self.purses: dict[str, Purse] = {}
        self.taken: dict[str, list[Unit]] = {}
        self.debts = [0]
        self.repaid: list[dict[Unit, int]] = [{}]
        self.used = 0
        self.period = min((grant.effective for grant in grants), default=0) - FOREVER
        uses = {fact.id: fact for fact in facts if isinstance(fact, Use)}
        instants = {fact.effective for fact in facts} | set(resets)
        for grant in grants:
            instants |= {grant.effective, grant.expires, grant.voided, *(mark.at for mark in grant.marks)}
        by_id = sorted(facts, key=lambda one: one.id)
        for now in sorted(one for one in instants if one <= at):
            self._time(grants, resets, now, carry=carry)
            for fact in by_id:
                if isinstance(fact, Use) and fact.effective == now:
                    self.used += fact.amount
                    self.taken[fact.id] = [self._draw() for _ in range(fact.amount)]
            for fact in by_id:
                if isinstance(fact, Refund) and max(fact.effective, uses[fact.use].effective) == now:
                    for _ in range(min(fact.amount, len(self.taken[fact.use]))):
                        self._back(self.taken[fact.use].pop())
                        if uses[fact.use].effective >= self.period:
                            self.used -= 1
                    self._repay()

    def _time(self, grants: Sequence[Grant], resets: Sequence[Instant], now: Instant, *, carry: bool) -> None:
        for grant in grants:
            if now in (grant.expires, grant.voided):
                self.purses.pop(grant.id, None)
        if now in resets:
            self.used, self.period = 0, now
            if not carry:
                self.debts.append(0)
                self.repaid.append({})
        for grant in grants:
            for mark in grant.marks:
                if mark.at == now and grant.id in self.purses:
                    self.purses[grant.id].mark(mark)
        for grant in grants:
            if now == grant.effective and now < grant.expires and now < grant.voided:
                self.purses[grant.id] = Purse(grant)
        self._repay()

    def _draw(self) -> Unit:
        unit = self._from_grants()
        if unit is None:
            self.debts[-1] += 1
            return Unit("", len(self.debts) - 1)
        return unit

    def _from_grants(self) -> Unit | None:
        filled = [purse for purse in self.purses.values() if purse.left]
        if not filled:
            return None
        purse = min(filled, key=lambda one: one.rank)
        purse.cycles[-1].drawn += 1
        return Unit(purse.grant.id, len(purse.cycles) - 1)

    def _repay(self) -> None:
        while self.debts[-1] and (unit := self._from_grants()):
            self.debts[-1] -= 1
            self.repaid[-1][unit] = self.repaid[-1].get(unit, 0) + 1

    def _back(self, unit: Unit) -> None:
        if unit.grant:
            if unit.grant in self.purses:
                self.purses[unit.grant].cycles[unit.cycle].drawn -= 1
        elif self.debts[unit.cycle]:
            self.debts[unit.cycle] -= 1
        else:
            repaid = self.repaid[unit.cycle]
            newest = list(repaid)[-1]
            repaid[newest] -= 1
            if not repaid[newest]:
                del repaid[newest]
            self._back(newest)

    @property
    def remaining(self) -> int:
        """What may still be drawn."""
        return sum(purse.left for purse in self.purses.values())

    @property
    def uncovered(self) -> int:
        """Use that nothing covers."""
        return self.debts[-1]
