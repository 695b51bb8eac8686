"""What is certain of a balance in a process that owns slices of it, and what it counts of them."""

from typing import NamedTuple


class Pool(NamedTuple):
    """What the hub had left besides all slices, when it last said so."""

    left: int
    """Below 0 is a deficit."""
    heard: float
    """Monotonic seconds: the word is from then or later (when the call was sent that brought it)."""


class Certainty(NamedTuple):
    """What can be said of a balance without asking anybody."""

    at_least: int
    """Units owned here: exactly so many can be spent without asking, and nobody else can spend them."""
    at_most: int | None
    """With what the hub had left besides, when it last said so; None where it never did."""
    age: float | None
    """How old that word is at most, in seconds; None where there is none."""

    @property
    def is_known(self) -> bool:
        """Whether the hub has said anything of it."""
        return self.at_most is not None


class Counts(NamedTuple):
    """What one process has done with its slices since it began. ``taken = spent + given_back + held + stranded``."""

    slices: int
    """Slices taken."""
    taken: int
    """Their units."""
    spent: int
    """Units used of them."""
    given_back: int
    """Units of closed slices that were not used."""
    held: int
    """Units under holds now."""
    stranded: int
    """Units owned and neither spent nor held now."""
    lost: int
    """Units that processes before this one left in doubt."""
    denied: int
    """Requests for slices that were denied."""
    recalled: int
    """Slices that were asked back."""
    claims: int
    """Claims made: use beyond what was owned, or of leases that the hub does not know."""
    claimed: int
    """Their units."""
