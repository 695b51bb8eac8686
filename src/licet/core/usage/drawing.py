"""Facts of usage as a balance sees them, what they draw, and the order in which they count."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from licet.core.instant import BEGINNING, Instant


class Late(Exception):
    """A fact lies before others and may change what they came to: fold the balance anew from before ``at``."""

    def __init__(self, at: Instant) -> None:
        super().__init__(f"a fact of {at} lies before others and may change what they came to; fold anew")
        self.at = at


class Use(Struct, frozen=True, gc=False):
    """Accepted use: an admission, decided beforehand, or a report, told afterwards. It is never judged again."""

    id: str
    effective: Instant
    amount: int
    rated: tuple[tuple[str, int], ...] = ()
    """``meter@rate`` → how much of the meter was burned at that rate: counted in running totals."""
    value: str = ""
    """What a ``unique`` meter counts."""
    lease: bool = False
    """Whether it sets a slice aside, of which states know what may still return."""


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
    undoes: bool = False
    """Whether its use counts as if it had never been, which is how a level is corrected."""
    spent: int | None = None
    """Of what tells of a lease: how much more of it cannot return because it was used; None about other uses."""


Fact = Use | Refund


def standing(facts: Sequence[Fact]) -> Sequence[Fact]:
    """Return facts without the uses that were undone and without what undid them."""
    undone = {one.use for one in facts if isinstance(one, Refund) and one.undoes}
    if not undone:
        return facts
    return [one for one in facts if (one.use if isinstance(one, Refund) else one.id) not in undone]


class Draw(NamedTuple):
    """A part of a use taken from one grant; ``renewal`` counts how often the grant was whole again by then.

    Where ``grant`` is empty it is what no grant covered, and ``renewal`` the number of the debt it became part of.
    """

    grant: str
    renewal: int
    amount: int


class Place(NamedTuple):
    """Where a fact counts: by instant, uses before refunds, then by id."""

    at: Instant
    kind: int
    id: str


def place_of(fact: Fact, since: Instant = BEGINNING) -> Place:
    """Return where a fact counts; a refund never before its use (``since``)."""
    if isinstance(fact, Use):
        return Place(fact.effective, 0, fact.id)
    return Place(max(fact.effective, since), 1, fact.id)


def last(draws: list[Draw], amount: int) -> list[Draw]:
    """Take an amount off the end of draws and return it, what was drawn last first."""
    backs = []
    while amount and draws:
        draw = draws.pop()
        part = min(amount, draw.amount)
        if part < draw.amount:
            draws.append(Draw(draw.grant, draw.renewal, draw.amount - part))
        backs.append(Draw(draw.grant, draw.renewal, part))
        amount -= part
    return backs


def in_order(facts: Iterable[Fact]) -> list[tuple[Place, Fact]]:
    """Return facts in the order in which they count, each with its place.

    Raises KeyError for a refund of a use that is not among them.
    """
    known = list(facts)
    uses = {fact.id: fact.effective for fact in known if isinstance(fact, Use)}
    placed = [(place_of(fact, BEGINNING if isinstance(fact, Use) else uses[fact.use]), fact) for fact in known]
    return sorted(placed, key=lambda one: one[0])
