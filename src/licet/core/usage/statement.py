"""A balance's statement: everything that changed what remains of it, in the order in which it counts.

The rows add up: what remained before the first, and what each did, is what remains after the last. They say what the
fold does, step by step, and decide nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from licet.core.instant import BEGINNING, Instant
from licet.core.usage.account import Account, BalanceNumbers
from licet.core.usage.balance import Draw, Fact, Refund, Use, place_of
from licet.core.usage.course import Course
from licet.core.usage.grant import Kind
from licet.core.usage.ledger import Passed
from licet.core.usage.recalled import SLICE, Base

RowKind = Literal[Kind, "window", "use", "refund"]
"""What time brings to a grant or a period; ``window``: use left its rolling window, or its session ended."""


class Row(NamedTuple):
    """One change. Amounts in minor units."""

    at: Instant
    rank: int
    """At one instant: 0 what time brings, 1 uses, 2 refunds."""
    place: str
    """Its place among those of one instant and rank: they ascend."""
    kind: RowKind
    change: int
    """What it did to what remains."""
    remaining: int
    """After it."""
    fact: Fact | None = None
    grant: str = ""
    """What time brought something to."""
    amount: int = 0
    """What a grant is worth from then on."""
    before: int = 0
    """What was left of it."""
    after: int = 0


class Trace:
    """A fold that tells what each step did. First :meth:`until`, then :meth:`rows`; nothing is told twice."""

    def __init__(self, course: Course, effects: Iterable[Fact], base: Base | None = None) -> None:
        self._course = course
        self._account = Account(course) if base is None else Account.resumed(course, base.state)
        known = list(effects)
        held = {} if base is None else base.held(self._account)
        self._since = {use: one.since for use, one in held.items()}
        self._since |= {one.id: one.effective for one in known if isinstance(one, Use)}
        self.draws: dict[str, tuple[Draw, ...]] = {use: one.draws for use, one in held.items()}
        """What is left of the draws of each use so far."""
        placed = [(place_of(one, BEGINNING if isinstance(one, Use) else self._since[one.use]), one) for one in known]
        self._placed = sorted((one for one in placed if one[1].id not in held), key=lambda one: one[0])
        self._next = 0
        self._at = max(BEGINNING, self._account.newest)
        self._ledger = course.gauge is None and course.window is None
        self._used = 0
        self._remaining = 0
        self._worths: dict[str, int] = {}

    @property
    def end(self) -> Instant:
        """The first instant by which all of its facts count."""
        return max(self._at, self._placed[-1][0].at + 1 if self._placed else BEGINNING)

    def until(self, at: Instant) -> Iterator[None]:
        """Fold what counts before ``at``, pausing after every few facts."""
        while self._next < len(self._placed) and self._placed[self._next][0].at < at:
            if not self._next % SLICE:
                yield
            self._take(self._placed[self._next][1])
            self._next += 1
        self._at = max(self._at, at - 1)
        room = self._account.room(self._at)
        self._used, self._remaining = room.used, room.remaining - room.overage
        self._worths = self._course.table.worths(self._at)

    @property
    def account(self) -> Account:
        """The account where it stands."""
        return self._account

    def standing(self) -> BalanceNumbers:
        """Return the numbers where it stands."""
        return self._account.standing(max(self._at, self._account.newest))

    def rows(self, until: Instant) -> Iterator[Row]:
        """Yield what counts from where it stands, before ``until``."""
        while self._next < len(self._placed) and self._placed[self._next][0].at < until:
            place, fact = self._placed[self._next]
            self._next += 1
            yield from self._passing(place.at)
            self._take(fact)
            room = self._account.room(place.at)
            change = room.remaining - room.overage - self._remaining
            self._used, self._remaining = room.used, self._remaining + change
            kind: RowKind = "use" if isinstance(fact, Use) else "refund"
            yield Row(place.at, 1 + place.kind, place.id, kind, change, self._remaining, fact)
        yield from self._passing(until - 1)

    def _take(self, fact: Fact) -> None:
        if isinstance(fact, Refund):
            self.draws[fact.use] = self._account.refund(fact, self.draws[fact.use], self._since[fact.use])
        else:
            self.draws[fact.id] = self._account.admit_use(fact)

    def _passing(self, at: Instant) -> Iterator[Row]:
        """Yield what time brings by ``at``, inclusive."""
        if at <= self._at:
            return
        if self._ledger:
            for number, passed in enumerate(self._account.passing(at)):
                yield self._row(passed, number)
        else:
            yield from self._ceiling(at)
        self._at = at

    def _ceiling(self, at: Instant) -> Iterator[Row]:
        """Windows and gauges: grants are a ceiling, and what was used leaves by itself."""
        table = self._course.table
        for step in table.steps[table.place(self._at) : table.place(at)]:
            yield from self._leaving(step.at - 1 if step.at in self._course.resets else step.at)
            for number, change in enumerate(step.changes):
                if change.kind == "resets":
                    before, self._used = self._used, self._account.room(step.at).used
                    yield self._row(Passed(change, -before, -self._used), number)
                    continue
                worth = self._worths.get(change.grant, 0)
                self._worths[change.grant] = change.amount
                yield self._row(Passed(change, worth, change.amount), number)
        yield from self._leaving(at)

    def _leaving(self, at: Instant) -> Iterator[Row]:
        before, self._used = self._used, self._account.room(at).used
        if before != self._used:
            left = self._account.left_at(at)
            self._remaining += before - self._used
            yield Row(left, 0, "", "window", before - self._used, self._remaining)

    def _row(self, passed: Passed, number: int) -> Row:
        change = passed.change
        self._remaining += passed.after - passed.before
        return Row(
            change.at,
            0,
            f"{number:06}",
            change.kind,
            passed.after - passed.before,
            self._remaining,
            grant=change.grant,
            amount=change.amount,
            before=passed.before,
            after=passed.after,
        )
