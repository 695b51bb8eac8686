"""An account with its past at hand: a fact that lies before others is put in its place, and all of it folded anew."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from licet.core.instant import BEGINNING, SECOND, Instant
from licet.core.usage.account import Account, BalanceNumbers, Room
from licet.core.usage.balance import Draw, Fact, Late, Refund, Use, place_of, standing
from licet.core.usage.course import Course
from licet.core.usage.lent import Held

SLICE: Final = 500
"""Facts that are folded before whoever folds many may let others have their turn."""
EVERY: Final = 2_000
"""After so many facts a balance is due for another checkpoint."""


class Base(NamedTuple):
    """The checkpoint from which an account is folded: all of its facts are later ones."""

    state: bytes
    gone: frozenset[str]
    """Uses before it that later facts are about, of which nothing can return any more."""

    def held(self, account: Account) -> dict[str, Held]:
        """Return what is left of uses before it, with the leases that its account knows."""
        return {one: Held((), BEGINNING) for one in self.gone} | account.lent.leases


class Recalled:
    """An account that knows all facts it holds (since ``base``), and so takes any other, however late.

    Late ones wait until something is asked: then all of them are put in their places at once. Whoever runs through
    :meth:`settling` before asking can pause in between.
    """

    def __init__(self, course: Course, facts: Iterable[Fact], base: Base | None = None) -> None:
        self._course = course
        self._base = base
        self._facts = list(facts)
        self._crossed: tuple[int, ...] = ()
        self._totals: dict[str, int] | None = None
        """Running totals while late facts wait."""
        self._draws: dict[str, tuple[Draw, ...]] = {}
        self._folded: Account | None = None

    @property
    def _account(self) -> Account:
        """The account, late facts that wait left out."""
        if self._folded is None:
            _run(self._first())
        if self._folded is None:
            raise RuntimeError("nothing was folded")
        return self._folded

    @property
    def account(self) -> Account:
        """The account as it is now."""
        self._settle()
        return self._account

    @property
    def draws(self) -> dict[str, tuple[Draw, ...]]:
        """What is left of the draws of each use."""
        self._settle()
        return self._draws

    def holds(self, use: str) -> bool:
        """Return whether a use is among its facts; else, if it counted, it is only in what was there before them."""
        return any(one.id == use for one in self._facts if isinstance(one, Use))

    @property
    def course(self) -> Course:
        """What time and terms bring it."""
        return self._course

    @property
    def newest(self) -> Instant:
        """The instant of the newest fact it holds."""
        return self.account.newest

    @property
    def totals(self) -> Mapping[str, int]:
        """The running totals of rated use, by name."""
        return self._account.totals if self._totals is None else self._totals

    def room(self, now: Instant) -> Room:
        """Return how much there is."""
        return self.account.room(now)

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a ``unique`` meter has not counted this value in the period of ``now`` yet."""
        return self.account.counts(value, now)

    def standing(self, now: Instant) -> BalanceNumbers:
        """Return its numbers."""
        return self.account.standing(now)

    def resets_at(self, now: Instant) -> Instant | None:
        """Return when it is whole again."""
        return self.account.resets_at(now)

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use, whenever it was; return what it drew, nothing where that is not known yet."""
        account = self._account
        self._facts.append(use)
        if self._totals is None:
            try:
                drawn = self._draws[use.id] = account.admit_use(use)
            except Late:
                self._wait()
            else:
                return drawn
        self._add(use.rated, 1)
        return ()

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part of a use back; return what is left of its draws."""
        account = self._account
        self._facts.append(refund)
        if self._totals is None:
            try:
                left = self._draws[refund.use] = account.refund(refund, self._draws.get(refund.use, draws), since)
            except Late:
                self._wait()
            else:
                return left
        self._add(refund.rated, -1)
        # Where all of it goes back it does not matter from where.
        return () if refund.amount >= sum(one.amount for one in draws) else self.draws.get(refund.use, ())

    def crossings(self) -> tuple[int, ...]:
        """Return the thresholds crossed since last asked, ascending."""
        found = {*self.account.crossings(), *self._crossed}
        self._crossed = ()
        return tuple(sorted(found))

    def checkpoints(self, every: int = EVERY) -> Iterator[Account]:
        """Yield the account as it was after every so many facts, so that none of one instant comes after it.

        The newest facts are left out: others may come between them. It is folded once more, up to each of them.
        """
        if len(self._facts) < every + every // 2:
            return
        self._settle()
        account, draws = self._begin(), dict[str, tuple[Draw, ...]]()
        low, since = self._low(account), self._since(self._held(account))
        placed = [(place_of(one, _since_of(one, since)), one) for one in self._standing()]
        placed.sort(key=lambda one: one[0])
        for number, (place, fact) in enumerate(placed):
            if account.taken >= every and place.at > account.newest and len(placed) - number >= every // 2:
                account.taken = 0
                self._account.taken = len(placed) - number
                yield account
            _take(account, fact, draws, since, low)

    def rebased(self) -> Account | None:
        """Return its base with the facts that come before it, which nobody finds after it; None where none do.

        There are such where facts of before the base are not kept any more. They count just after it.
        """
        account = self._begin()
        low = self._low(account)
        if all(one.effective > low for one in self._facts if isinstance(one, Use)):
            return None
        draws, since = dict[str, tuple[Draw, ...]](), self._since(self._held(account))
        placed = [(place_of(one, _since_of(one, since)), one) for one in self._standing()]
        for place, fact in sorted(placed, key=lambda one: one[0]):
            if place.at <= max(low + 1, account.newest):
                _take(account, fact, draws, since, low)
        return account

    def _low(self, account: Account) -> Instant:
        """The instant by which the base holds all that is kept."""
        return BEGINNING if self._base is None else account.newest

    def _wait(self) -> None:
        self._totals = dict(self._account.totals)

    def _add(self, rated: Iterable[tuple[str, int]], sign: int) -> None:
        if self._totals is not None:
            for name, amount in rated:
                self._totals[name] = self._totals.get(name, 0) + sign * amount

    def _settle(self) -> None:
        _run(self.settling())

    def settling(self) -> Iterator[None]:
        """Fold anew where late facts wait, pausing after every few; nothing may be asked of it meanwhile.

        What is crossed by that and had not been crossed before is told.
        """
        if self._folded is None:
            yield from self._first()
        if self._totals is None:
            return
        before = self._account
        pending = {*self._crossed, *before.crossings()}
        newest = before.newest
        crossed = set(before.standing(newest).crossed)
        folded = yield from self._fold()
        self._folded, self._totals = folded, None
        after = set(folded.standing(max(newest, folded.newest)).crossed)
        self._crossed = tuple(sorted(pending | (after - crossed)))

    def _first(self) -> Iterator[None]:
        """Fold what it knew when it was made."""
        self._folded = yield from self._fold()

    def _standing(self) -> Sequence[Fact]:
        """The facts that count: of a level, those that were not taken back."""
        return self._facts if self._course.gauge is None else standing(self._facts)

    def _begin(self) -> Account:
        return Account(self._course) if self._base is None else Account.resumed(self._course, self._base.state)

    def _held(self, account: Account) -> dict[str, Held]:
        """What is left of uses that its base holds, by the account at its beginning."""
        return {} if self._base is None else self._base.held(account)

    def _since(self, held: Mapping[str, Held]) -> dict[str, Instant]:
        """When each use was that its facts are, or are about."""
        found = {use: one.since for use, one in held.items()}
        return found | {one.id: one.effective for one in self._facts if isinstance(one, Use)}

    def _fold(self) -> Generator[None, None, Account]:
        account, facts = self._begin(), self._standing()
        held, low = self._held(account), self._low(account)
        since = self._since(held)
        places = []
        for number, one in enumerate(facts):
            if not number % SLICE:
                yield
            places.append((place_of(one, _since_of(one, since)), number))
        places.sort()
        draws: dict[str, tuple[Draw, ...]] = {use: one.draws for use, one in held.items()}
        for taken, (_, number) in enumerate(places):
            if not taken % SLICE:
                yield
            fact = facts[number]
            if isinstance(fact, Refund) or fact.id not in held:
                _take(account, fact, draws, since, low)
        self._draws = draws
        # What its past crossed was told when it did.
        account.crossings()
        return account


def _run(slices: Iterator[None]) -> None:
    for _ in slices:
        pass


def _take(
    account: Account,
    fact: Fact,
    draws: dict[str, tuple[Draw, ...]],
    since: Mapping[str, Instant],
    low: Instant,
) -> None:
    """Take a fact; one of before ``low`` counts just after it where it cannot count in its place any more.

    Several do one after the other, and so may what really happened just then.
    """
    if isinstance(fact, Use):
        try:
            draws[fact.id] = account.admit_use(fact)
        except Late:
            if fact.effective > low + SECOND:
                raise
            draws[fact.id] = account.admit_use(structs.replace(fact, effective=account.newest + 1))
        return
    begun, had = _since_of(fact, since), draws.get(fact.use, ())
    try:
        draws[fact.use] = account.refund(fact, had, begun)
    except Late:
        if max(fact.effective, begun) > low + SECOND:
            raise
        draws[fact.use] = account.refund(structs.replace(fact, effective=account.newest + 1), had, begun)


def _since_of(fact: Fact, since: Mapping[str, Instant]) -> Instant:
    return BEGINNING if isinstance(fact, Use) else since.get(fact.use, BEGINNING)
