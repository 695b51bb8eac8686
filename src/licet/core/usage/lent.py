"""The leases that a state still knows: what may return of each, so that going on from it needs no fact of before.

A lease may be open for months, and one that nobody proves for ever. It is kept as long as anything of it can change a
number, and of many at once the newest: what an older one drew is found among the facts of before the state.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from licet.core.instant import BEGINNING, Instant
from licet.core.usage.drawing import Draw, Refund, Use

MOST: Final = 500
"""Leases of one balance that a state knows, about 90 bytes each."""


class Held(NamedTuple):
    """A use that a state holds already: what is left of its draws, and when it was."""

    draws: tuple[Draw, ...]
    since: Instant
    rest: int = 0
    """Of a lease: what is neither known as used nor given back."""


class Lent:
    """The leases of one account that may still change its numbers."""

    __slots__ = ("known", "leases")

    def __init__(self, leases: dict[str, Held], known: Instant) -> None:
        self.leases = leases
        """By the id of the use by which each was drawn."""
        self.known = known
        """Nothing can return any more of a lease from then on that is not among them; of earlier ones it may."""

    def take(self, use: Use, draws: tuple[Draw, ...]) -> None:
        """Note what a lease drew; where there are too many, the oldest is not known any more."""
        if not use.amount:
            return
        self.leases[use.id] = Held(draws, use.effective, use.amount)
        if len(self.leases) > MOST:
            oldest = min(self.leases, key=lambda one: (self.leases[one].since, one))
            self.known = max(self.known, self.leases.pop(oldest).since + 1)

    def tell(self, refund: Refund, held: Held, left: tuple[Draw, ...]) -> None:
        """Note what became of a lease: ``left`` of its draws; it is over once all of it is used or given back."""
        rest = held.rest - refund.amount - (refund.spent or 0)
        # Time that passed until then may have ended it.
        if self.leases.pop(refund.use, None) is not None and rest > 0:
            self.leases[refund.use] = Held(left, held.since, rest)

    def forget(self, matters: Callable[[Held], bool], slate: Instant) -> None:
        """Leave out those that do not matter any more; of before ``slate`` none does."""
        if self.leases:
            self.leases = {name: one for name, one in self.leases.items() if matters(one)}
        if self.known <= slate:
            self.known = BEGINNING


__all__ = ["MOST", "Held", "Lent"]
