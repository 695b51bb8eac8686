"""An independent, deliberately simple balance: every minor unit is a token, and time goes instant by instant."""

from collections.abc import Sequence

from licet.core.balance import Fact, Grant, Refund, Use
from licet.core.instant import FOREVER, Instant


class Token:
    """One minor unit of a grant; ``age`` is how often the grant had renewed when it was taken."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.age = 0


class TokenBalance:
    """Everything up to an instant, worked out anew from the beginning."""

    def __init__(
        self, grants: Sequence[Grant], facts: Sequence[Fact], at: Instant, resets: Sequence[Instant], *, carry: bool
    ) -> None:
        self.purses: dict[str, list[Token]] = {}
        self.before: dict[str, list[int]] = {}
        self.taken: dict[str, list[Token]] = {}
        self.debts: dict[str, int] = {}
        self.forgotten: dict[str, int] = {}
        uses = {fact.id: fact for fact in facts if isinstance(fact, Use)}
        instants = {fact.effective for fact in facts} | set(resets)
        for grant in grants:
            instants |= {grant.effective, grant.expires, grant.voided, *(mark.at for mark in grant.marks)}
        for now in sorted(one for one in instants if one <= at):
            self._time(grants, resets, now, carry=carry)
            for fact in sorted(facts, key=lambda one: one.id):
                if isinstance(fact, Use) and fact.effective == now:
                    self.taken[fact.id] = []
                    self.debts[fact.id] = fact.amount
                    self._pay()
            for fact in sorted(facts, key=lambda one: one.id):
                if isinstance(fact, Refund) and max(fact.effective, uses[fact.use].effective) == now:
                    for _ in range(fact.amount):
                        self._unit_back(fact.use)
                    self._pay()

    def _time(self, grants: Sequence[Grant], resets: Sequence[Instant], now: Instant, *, carry: bool) -> None:
        for grant in grants:
            if now in (grant.expires, grant.voided):
                self.purses.pop(grant.id, None)
        if now in resets and not carry:
            for use, debt in self.debts.items():
                self.forgotten[use] = self.forgotten.get(use, 0) + debt
            self.debts = dict.fromkeys(self.debts, 0)
        for grant in grants:
            if now in [mark.at for mark in grant.marks] and grant.id in self.purses:
                left = len(self.purses[grant.id])
                self.before[grant.id].append(left)
                stays = min(grant.rollover.most, max(grant.rollover.least, left))
                self.purses[grant.id] = [Token(grant) for _ in range(grant.amount + stays)]
            if now == grant.effective and now < grant.expires and now < grant.voided:
                self.purses[grant.id] = [Token(grant) for _ in range(grant.amount)]
                self.before[grant.id] = []
        self._pay()

    def _pay(self) -> None:
        for use in self.debts:
            while self.debts[use]:
                purses = [tokens for tokens in self.purses.values() if tokens]
                if not purses:
                    return
                purse = min(purses, key=lambda one: _rank(one[0].grant))
                token = purse.pop()
                token.age = len(self.before[token.grant.id])
                self.taken[use].append(token)
                self.debts[use] -= 1

    def _unit_back(self, use: str) -> None:
        if self.debts[use]:
            self.debts[use] -= 1
        elif self.forgotten.get(use, 0):
            self.forgotten[use] -= 1
        elif self.taken[use]:
            token = self.taken[use].pop()
            if token.grant.id not in self.purses:
                return
            before, rollover = self.before[token.grant.id], token.grant.rollover
            for place in range(token.age, len(before)):
                before[place] += 1
                if not rollover.least < before[place] <= rollover.most:
                    return  # this unit would not have rolled over
            self.purses[token.grant.id].append(Token(token.grant))

    @property
    def remaining(self) -> int:
        """What may still be drawn."""
        return sum(map(len, self.purses.values()))

    @property
    def uncovered(self) -> int:
        """Use that nothing covers, in this period."""
        return sum(self.debts.values())


def _rank(grant: Grant) -> tuple[int, Instant, Instant, str]:
    return grant.priority, min(grant.expires, FOREVER), grant.effective, grant.id
