"""What a process tells of the quota that it owned: counts since it began."""

from msgspec import Struct


class Quota(Struct, frozen=True, kw_only=True):
    """What this process has done with owned quota since it began. Units are minor ones, of all features together."""

    slices: int = 0
    """Slices that it was given."""
    owned: int = 0
    """Units that it owns now and has not used: nobody else can use them until they go back."""
    held: int = 0
    """Units under reservations now."""
    spent: int = 0
    given_back: int = 0
    lost: int = 0
    """Units that processes before it left in doubt; charged, and never billed as use."""
    denied: int = 0
    """Slices that it was refused."""
    recalled: int = 0
    claimed: int = 0
    """Units that were used beyond what it owned, and told."""
    hub_decided: int = 0
    """Uses of features with ``decide: local`` that the server decided all the same."""
    refill_p99: float | None = None
    """Seconds from a need to its slice, of the last thousand: 99 of 100 were quicker. None before the first."""
    durable: bool = False
    """Whether what is spent is written down on a disk before."""
    unsaid: bool = False
    """Whether something is left to be told to the server."""
    last_error: str | None = None
    """Why the server could not be asked for quota the last time; None while that works."""
