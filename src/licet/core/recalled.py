"""An account with its past at hand: a fact that lies before others is put in its place, and all of it folded anew."""

from collections.abc import Iterable, Mapping

from licet.core.account import Account, BalanceNumbers, Room
from licet.core.balance import Draw, Fact, Late, Refund, Use
from licet.core.course import Course
from licet.core.instant import Instant


class Recalled:
    """An account that knows all facts it holds, and so takes any other, however late."""

    def __init__(self, course: Course, facts: Iterable[Fact]) -> None:
        self._course = course
        self._facts = list(facts)
        self._crossed: tuple[int, ...] = ()
        self.draws: dict[str, tuple[Draw, ...]] = {}
        """What is left of the draws of each use."""
        self._account = self._fold()
        # What its past crossed was told when it did.
        self._account.crossings()

    @property
    def account(self) -> Account:
        """The account as it is now."""
        return self._account

    @property
    def course(self) -> Course:
        """What time and terms bring it."""
        return self._course

    @property
    def newest(self) -> Instant:
        """The instant of the newest fact it holds."""
        return self._account.newest

    @property
    def totals(self) -> Mapping[str, int]:
        """The running totals of rated use, by name."""
        return self._account.totals

    def room(self, now: Instant) -> Room:
        """Return how much there is."""
        return self._account.room(now)

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a ``unique`` meter has not counted this value in the period of ``now`` yet."""
        return self._account.counts(value, now)

    def standing(self, now: Instant) -> BalanceNumbers:
        """Return its numbers."""
        return self._account.standing(now)

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use, whenever it was; return what it drew."""
        self._facts.append(use)
        try:
            self.draws[use.id] = self._account.admit_use(use)
        except Late:
            self._again()
        return self.draws.get(use.id, ())

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part of a use back; return what is left of its draws."""
        self._facts.append(refund)
        try:
            self.draws[refund.use] = self._account.refund(refund, self.draws.get(refund.use, draws), since)
        except Late:
            self._again()
        return self.draws.get(refund.use, ())

    def crossings(self) -> tuple[int, ...]:
        """Return the thresholds crossed since last asked, ascending."""
        found = {*self._crossed, *self._account.crossings()}
        self._crossed = ()
        return tuple(sorted(found))

    def _again(self) -> None:
        """Fold anew; what it crosses by that and had not crossed before is told."""
        newest = self._account.newest
        before = set(self._account.standing(newest).crossed)
        pending = {*self._crossed, *self._account.crossings()}
        self._account = self._fold()
        self._account.crossings()
        after = set(self._account.standing(max(newest, self._account.newest)).crossed)
        self._crossed = tuple(sorted(pending | (after - before)))

    def _fold(self) -> Account:
        account = Account(self._course)
        self.draws = account.replay(self._facts)
        return account
