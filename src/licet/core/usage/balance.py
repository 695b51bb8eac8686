"""Balances: what is left of dated amounts, as a fold over facts that are never changed.

A balance is nobody's to store: it follows from its grants, uses, refunds and resets, ordered by the instant at which
each takes effect, then by id. What is kept of it in between (:class:`Ledger`) is a cache: leaving it out, or making it
anew at any point, changes no answer.

At one instant, what time brings comes before what people do: expiries and voids, the end of the balance's period,
renewals and steps, grants that begin; then uses, then refunds, each by id. So an amount is not usable at the instant at
which it expires, and a use exactly at a renewal sees the new amount.

What no grant covers is owed, all of a period together. A grant that comes repays it. A refund of it lowers what is
still owed first, then goes back to the grants that repaid, the one that began to repay last first.
"""

from collections.abc import Iterable

from msgspec import Struct

from licet.core.instant import Instant
from licet.core.usage.drawing import Draw, Fact, Late, Place, Refund, Use, in_order, place_of, standing
from licet.core.usage.grant import DEFAULT_PRIORITY, NOTHING, UNLIMITED, Grant, Mark, Rollover, Timetable
from licet.core.usage.ledger import Ledger, LedgerState

__all__ = [
    "DEFAULT_PRIORITY",
    "NOTHING",
    "UNLIMITED",
    "Balance",
    "Draw",
    "Fact",
    "Grant",
    "Late",
    "Ledger",
    "LedgerState",
    "Mark",
    "Place",
    "Refund",
    "Rollover",
    "Timetable",
    "Use",
    "fold",
    "in_order",
    "place_of",
    "standing",
]


class Balance(Struct, frozen=True):
    """A balance at an instant. Amounts in minor units."""

    at: Instant
    remaining: int
    """What may still be drawn."""
    uncovered: int
    """Use of this period beyond all grants, and where it is carried of earlier ones."""
    lefts: dict[str, int]
    """What is left of each grant that is usable, by id."""
    used: int
    """What was used in this period and not given back."""
    draws: dict[str, tuple[Draw, ...]]
    """What was drawn by each use and not given back, in the order of drawing."""


def fold(
    grants: Iterable[Grant], facts: Iterable[Fact], at: Instant, resets: Iterable[Instant] = (), *, carry: bool = False
) -> Balance:
    """Return the balance at an instant, whatever the order in which facts are given; later ones do not count yet."""
    ledger = Ledger(Timetable(grants, resets, carry=carry))
    draws: dict[str, tuple[Draw, ...]] = {}
    since: dict[str, Instant] = {}
    for place, fact in in_order(facts):
        if place.at > at:
            break
        if isinstance(fact, Use):
            draws[fact.id] = ledger.take(fact)
            since[fact.id] = fact.effective
        else:
            draws[fact.use] = ledger.give_back(fact, draws[fact.use], since[fact.use])
    ledger.advance(at)
    kept = {use: parts for use, parts in draws.items() if parts}
    return Balance(at, ledger.remaining, ledger.owed, ledger.lefts(), ledger.used, kept)
