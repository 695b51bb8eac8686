"""Balances: what is left of dated amounts, as a fold over facts that are never changed.

A balance is nobody's to store: it follows from its grants, uses, refunds and resets, ordered by the instant at which
each takes effect, then by id. What is kept of it in between (:class:`Ledger`) is a cache: leaving it out, or making it
anew at any point, changes no answer.

At one instant, what time brings comes before what people do: expiries and voids, the end of the balance's period,
renewals, grants that begin; then uses, then refunds, each by id. So an amount is not usable at the instant at which it
expires, and a use exactly at a renewal sees the new amount.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from licet.core.instant import FOREVER, Instant

DEFAULT_PRIORITY: Final = 50


class Rollover(Struct, frozen=True, gc=False):
    """How much of what is left stays at a renewal: ``min(most, max(least, left))``. By default nothing does."""

    least: int = 0
    most: int = 0

    def of(self, left: int) -> int:
        """Return what stays of ``left``."""
        return min(self.most, max(self.least, left))


NOTHING: Final = Rollover()


class Mark(NamedTuple):
    """What becomes of a grant at an instant. ``amount`` is what it is worth from then on.

    ``renew``: it is whole again, plus what rolls over. ``fresh``: whole again, nothing rolls over. ``step``: it is worth
    another amount and charged with what was drawn since the last renewal; what is left is never negative.
    """

    at: Instant
    kind: Literal["renew", "step", "fresh"]
    amount: int
    rollover: Rollover | None = None
    """What rolls over at a renewal; the grant's own where None: versions and quantities change it with the amount."""


class Window(NamedTuple):
    """Use counts within windows instead of periods, and grants are a ceiling of each; ``length`` in microseconds.

    ``rolling``: the use of ``(now - length, now]`` counts. ``session``: a window opens at the first use that none
    covers, and is cut at the end of the balance's period.
    """

    kind: Literal["rolling", "session"]
    length: int


class Late(Exception):
    """A fact lies before others and may change what they came to: fold the balance anew from before ``at``."""

    def __init__(self, at: Instant) -> None:
        super().__init__(f"a fact of {at} lies before others and may change what they came to; fold anew")
        self.at = at


class Grant(Struct, frozen=True, kw_only=True, gc=False):
    """A dated amount put on a balance, in minor units, usable in ``[effective, expires)``.

    ``marks`` ascend and lie after ``effective``. At equal priority what is whole again (or ends) soonest burns first: so
    marks reach at least one renewal beyond the last instant that is asked about.
    """

    id: str
    effective: Instant
    amount: int
    priority: int = DEFAULT_PRIORITY
    """What has the lower one burns first."""
    expires: Instant = FOREVER
    voided: Instant = FOREVER
    """From then on it no longer counts; what was drawn from it stays drawn."""
    marks: tuple[Mark, ...] = ()
    rollover: Rollover = NOTHING

    @property
    def end(self) -> Instant:
        """The first instant at which it is not usable any more."""
        return min(self.expires, self.voided)


class Use(Struct, frozen=True, kw_only=True, gc=False):
    """Accepted use: an admission, decided beforehand, or a report, told afterwards. It is never judged again."""

    id: str
    effective: Instant
    amount: int
    rated: tuple[tuple[str, int], ...] = ()
    """``meter@rate`` → how much of the meter was burned at that rate: counted in running totals."""
    value: str = ""
    """What a ``unique`` meter counts."""


class Refund(Struct, frozen=True, kw_only=True, gc=False):
    """A part of a use that is given back, to the very grants it was drawn from, what was drawn last first.

    It counts from its own instant, and never before its use. What exceeds the use gives nothing back.
    """

    id: str
    effective: Instant
    use: str
    amount: int
    rated: tuple[tuple[str, int], ...] = ()
    """What it takes off running totals, as positive numbers."""


Fact = Use | Refund


class Draw(NamedTuple):
    """A part of a use taken from one grant; ``renewal`` counts how often the grant had renewed by then.

    Where ``grant`` is empty it is what no grant covered, and ``renewal`` the number of the balance's period.
    """

    grant: str
    renewal: int
    amount: int


class Drawn(Struct):
    """What became of one use: its draws in their order, what no grant covered, and the period that was in."""

    draws: list[Draw]
    uncovered: int


class Holding(Struct):
    """What is left of one grant. ``lefts`` holds what was left just before each renewal so far."""

    grant: Grant
    left: int
    lefts: list[int]


class Balance(Struct, frozen=True):
    """A balance at an instant. Amounts in minor units."""

    at: Instant
    remaining: int
    """What may still be drawn."""
    uncovered: int
    """Use of this period beyond all grants."""
    lefts: dict[str, int]
    """What is left of each grant that is usable, by id."""
    draws: dict[str, tuple[Draw, ...]]
    """What was drawn by each use and not given back, in the order of drawing."""


_ENDS, _RESETS, _RENEWS, _BEGINS = range(4)


class Change(NamedTuple):
    """What time brings; at one instant in the order of ``kind``."""

    at: Instant
    kind: int
    grant: str


class Ledger:
    """The fold, up to an instant. Facts come in order; :meth:`copy` is a checkpoint.

    ``resets`` are the ends of the balance's own periods, ascending: use that nothing covered is forgotten there,
    unless it is carried (``carry``).
    """

    def __init__(self, grants: Iterable[Grant], resets: Iterable[Instant] = (), *, carry: bool = False) -> None:
        self._grants = {grant.id: grant for grant in grants}
        self._carry = carry
        self._changes = sorted(_changes(self._grants.values(), resets))
        self._next = 0
        self._held: dict[str, Holding] = {}
        self._uses: dict[str, Drawn] = {}
        self._owing: dict[str, None] = {}
        """Uses that grants still to come may cover, the oldest first."""

    def copy(self) -> "Ledger":
        """Return a checkpoint: the same state, which goes on by itself."""
        twin = Ledger.__new__(Ledger)
        twin._grants, twin._carry, twin._changes = self._grants, self._carry, self._changes
        twin._next = self._next
        twin._held = {key: Holding(one.grant, one.left, [*one.lefts]) for key, one in self._held.items()}
        twin._uses = {key: Drawn([*one.draws], one.uncovered) for key, one in self._uses.items()}
        twin._owing = dict(self._owing)
        return twin

    def advance(self, at: Instant) -> None:
        """Let time pass until ``at``, inclusive: what it brings at that very instant has happened."""
        while self._next < len(self._changes) and self._changes[self._next].at <= at:
            now = self._changes[self._next].at
            while self._next < len(self._changes) and self._changes[self._next].at == now:
                self._pass(self._changes[self._next])
                self._next += 1
            self._cover()

    def take(self, fact: Fact) -> None:
        """Take a fact, no earlier than any before; raises KeyError for the refund of a use that is not known."""
        self.advance(fact.effective)
        if isinstance(fact, Use):
            self._uses[fact.id] = Drawn([], fact.amount)
            self._owing[fact.id] = None
        else:
            self._give_back(self._uses[fact.use], fact.amount)
        self._cover()

    def read(self, at: Instant) -> Balance:
        """Return the balance at an instant, no earlier than any fact taken."""
        self.advance(at)
        lefts = {key: one.left for key, one in self._held.items()}
        return Balance(
            at,
            sum(lefts.values()),
            sum(self._uses[key].uncovered for key in self._owing),
            lefts,
            {key: tuple(one.draws) for key, one in self._uses.items() if one.draws},
        )

    def _pass(self, change: Change) -> None:
        if change.kind == _RESETS:
            if not self._carry:
                self._owing.clear()
        elif change.kind == _BEGINS:
            grant = self._grants[change.grant]
            self._held[grant.id] = Holding(grant, grant.amount, [])
        elif change.kind == _ENDS:
            self._held.pop(change.grant, None)
        else:
            holding = self._held[change.grant]
            holding.lefts.append(holding.left)
            holding.left = holding.grant.amount + holding.grant.rollover.of(holding.left)

    def _cover(self) -> None:
        """Let what is left cover what is owed, the oldest first."""
        for key in [*self._owing]:
            use = self._uses[key]
            for holding in self._burning():
                part = min(use.uncovered, holding.left)
                if part:
                    holding.left -= part
                    use.uncovered -= part
                    use.draws.append(Draw(holding.grant.id, len(holding.lefts), part))
                if not use.uncovered:
                    break
            if use.uncovered:
                return
            del self._owing[key]

    def _burning(self) -> list[Holding]:
        return sorted((one for one in self._held.values() if one.left), key=_burn_order)

    def _give_back(self, use: Drawn, amount: int) -> None:
        """Give back what no grant covered first, for it came last; then draws, the last one first."""
        part = min(amount, use.uncovered)
        use.uncovered -= part
        amount -= part
        while amount and use.draws:
            draw = use.draws.pop()
            part = min(amount, draw.amount)
            if part < draw.amount:
                use.draws.append(draw._replace(amount=draw.amount - part))
            self._return(draw, part)
            amount -= part

    def _return(self, draw: Draw, amount: int) -> None:
        """Put a part back on its grant; of a period that has been reset, as much as would have rolled over."""
        holding = self._held.get(draw.grant)
        if holding is None:
            return
        rollover = holding.grant.rollover
        for place in range(draw.renewal, len(holding.lefts)):
            before = holding.lefts[place]
            holding.lefts[place] = before + amount
            amount = rollover.of(before + amount) - rollover.of(before)
        holding.left += amount


def in_order(facts: Iterable[Fact]) -> list[tuple[Instant, Fact]]:
    """Return facts in the order in which they count, each with the instant from which it does.

    Raises KeyError for a refund of a use that is not among them.
    """
    known = list(facts)
    uses = {fact.id: fact.effective for fact in known if isinstance(fact, Use)}
    placed = [
        (fact.effective, 0, fact) if isinstance(fact, Use) else (max(fact.effective, uses[fact.use]), 1, fact)
        for fact in known
    ]
    return [(at, fact) for at, _, fact in sorted(placed, key=lambda one: (one[0], one[1], one[2].id))]


def fold(
    grants: Iterable[Grant], facts: Iterable[Fact], at: Instant, resets: Iterable[Instant] = (), *, carry: bool = False
) -> Balance:
    """Return the balance at an instant, whatever the order in which facts are given; later ones do not count yet."""
    ledger = Ledger(grants, resets, carry=carry)
    for counts_from, fact in in_order(facts):
        if counts_from > at:
            break
        ledger.take(fact)
    return ledger.read(at)


def _changes(grants: Iterable[Grant], resets: Iterable[Instant]) -> Iterator[Change]:
    for at in resets:
        yield Change(at, _RESETS, "")
    for grant in grants:
        if grant.end > grant.effective:
            yield Change(grant.effective, _BEGINS, grant.id)
            yield from (
                Change(mark.at, _RENEWS, grant.id) for mark in grant.marks if grant.effective < mark.at < grant.end
            )
            if grant.end < FOREVER:
                yield Change(grant.end, _ENDS, grant.id)


def _burn_order(holding: Holding) -> tuple[int, Instant, Instant, str]:
    """Priority, then what expires first, then what began first, then creation: ids grow with time."""
    grant = holding.grant
    return grant.priority, grant.expires, grant.effective, grant.id
