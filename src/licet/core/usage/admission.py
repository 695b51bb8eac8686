"""The shapes of admission: what is to be decided together, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, final

from msgspec import Struct

from licet.core.decision import Decision
from licet.core.instant import Instant
from licet.core.question import UserFacts
from licet.core.reason import Reason
from licet.core.usage.balance import Draw
from licet.core.usage.facts import AccountKey, Closing, Fact, GrantGiven, Request, Reservation


@final
class Report(Struct, frozen=True, kw_only=True, gc=False):
    """Something that was used, told afterwards. ``fact`` as ``metering`` makes it: without burns, which are added."""

    fact: Fact


class Correction(Struct, frozen=True, kw_only=True, gc=False):
    """A part of a consume or report given back. ``of`` is what it corrects, ``back`` the refunds of it so far."""

    id: str
    of: Fact
    back: tuple[Fact, ...] = ()
    draws: Mapping[str, tuple[Draw, ...]] = {}
    """What is left of what ``of`` drew, by feature."""
    quantity: int | None = None
    """In minor units of the first feature asked, or of the first meter of a report; None: all that is left."""


class Aside(Protocol):
    """A step of somebody else's rules: it sets aside, and gives back, what they say (``leasing``)."""

    @property
    def id(self) -> str:
        """Its own."""
        ...

    def decide(self, bench: Any) -> "Outcome":
        """Decide on a :class:`~licet.core.usage.desk.Bench`; it may be asked again, from the beginning, on another.

        What it records is in ``asides`` of the outcome.
        """
        ...


Error = Literal["invalid", "unknown_reservation", "reservation_closed", "reservation_expired"]
Step = Request | Closing | Report | Correction | Aside


class Batch(Struct, frozen=True, kw_only=True):
    """What is to be decided at one instant, in the order of arrival."""

    steps: Sequence[Step]
    users: Mapping[tuple[str, str], UserFacts] = {}
    """What conditions may read of a user, by customer and user; where nothing is known, the id alone."""
    reservations: Mapping[str, Reservation] = {}
    """Those that closings name, closed or not, by id."""
    due: Sequence[Reservation] = ()
    """Those of the accounts at hand that ended by themselves and that nobody noted: released before all else."""


class Take(NamedTuple):
    """What was taken from one balance (negative: given back), and how it stands after that; in minor units."""

    key: AccountKey
    taken: int
    used: int
    granted: int
    remaining: int
    resets_at: Instant | None


class Crossing(NamedTuple):
    """Thresholds of one balance that were crossed at once, in percent of what counts in the period, ascending."""

    key: AccountKey
    at: Instant
    percents: tuple[int, ...]
    used: int
    granted: int


class ToppedUp(NamedTuple):
    """An automatic top-up: what is to be put on a balance, under an id yet to be given."""

    key: AccountKey
    rule: str
    """Id of the rule (its ``Funding``) that says so."""
    grant: GrantGiven


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """What came of one step.

    ``error`` where it could not be answered, with words in ``detail``; then nothing was done.
    """

    accepted: bool
    reason: Reason | None
    fact: Fact | None = None
    """What to record; none where it was refused."""
    takes: tuple[Take, ...] = ()
    refusals: tuple[Decision, ...] = ()
    """Why it was refused, for each feature that refuses: the asked ones first."""
    would_deny: tuple[Reason, ...] | None = None
    """In observe mode: with what it would have been refused."""
    reservation: Reservation | None = None
    """New, or as it ended."""
    asides: tuple[tuple[Fact, Reservation], ...] = ()
    """Facts of leases, each with the lease as it is then, in their order."""
    error: Error | None = None
    detail: str = ""
    """What was wrong, what is allowed, and what to do next."""


class Admitted(Struct, frozen=True, kw_only=True):
    """What came of a batch: an outcome for each step, in its order, and what happened besides."""

    outcomes: list[Outcome]
    released: list[tuple[Fact, Reservation]]
    """The releases of due reservations, effective at their own ends, to be recorded before the rest."""
    crossings: list[Crossing]
    top_ups: list[ToppedUp]
    changed: list[AccountKey]
    """The accounts that are not what they were."""
