"""Usage as facts, what is put on balances, and what is asked of them: shapes alone, in minor units.

A fact never changes. What a balance comes to follows from its facts and from what was put on it (``account``).
"""

from typing import Literal, NamedTuple

from msgspec import Struct

from licet.core.catalog import Id
from licet.core.instant import Instant
from licet.core.question import Context
from licet.core.usage.balance import DEFAULT_PRIORITY, Draw

FactKind = Literal["consume", "report", "reserve", "settle", "release", "refund", "lease", "return", "recovery"]
"""``consume`` and ``reserve`` were admitted; a ``report`` was told afterwards; ``settle`` and ``release`` end a
reservation; a ``refund`` gives a part of a consume or a report back: that is how either is corrected downwards.
A ``lease`` sets a slice aside for one evaluator; each ``return`` tells what was used of it since the one before, and
what went back. Told after the period that it drew of, these are two: the ``return`` is use of that period and burns
nothing, the ``recovery`` is what becomes of the balances now."""


class AccountKey(NamedTuple):
    """Whose balance of what. ``holder`` is empty for the customer's own, else ``user:<id>`` or ``team:<id>``."""

    customer: str
    feature: str
    holder: str = ""


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fact of usage. ``asked`` and ``burns`` are by feature, ``metered`` by meter.

    ``burns`` is what it takes from (or, for a refund, gives back to) each balance: fixed when it was recorded, by the
    rates of that instant. For a ``settle`` all three say what the reservation came to in the end.
    """

    id: str
    """32 hex digits, made of its source and its id there, or of its idempotency key: a repetition has the same."""
    kind: FactKind
    effective: Instant
    customer: str
    user: str | None = None
    team: str | None = None
    asked: dict[str, int] = {}
    metered: dict[str, int] = {}
    burns: dict[str, int] = {}
    of: str | None = None
    """The fact that a settle, release or refund is about."""
    until: Instant | None = None
    """When a reservation ends by itself, exclusive; then all of it goes back."""
    rates: dict[str, str] = {}
    """``feature@meter`` → credits per unit of the meter, as decimal text: the rates by which it burned credits."""
    values: dict[str, str] = {}
    """By meter, the value that a ``unique`` meter counts."""
    dimensions: dict[str, str] = {}
    undoes: tuple[str, ...] = ()
    """The meters of levels and of different values for which a refund takes back what it is about, as if it had never
    been told: it is effective when that was."""
    exceeds: bool = False
    """Whether a settle came to more than was reserved and than there was."""
    back: dict[str, int] = {}
    """Of a return or recovery, by feature: what went back to each balance. Its ``burns`` are what its use came to, of
    the slice."""


class GrantGiven(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="grant", tag_field="kind"):
    """An amount put on a balance: a top-up, a gift, a purchase. Recurring ones are whole again every ``every``."""

    amount: int
    effective: Instant
    priority: int = DEFAULT_PRIORITY
    expires: Instant | None = None
    every: str | None = None
    """An ISO 8601 duration on the customer's wall clock, from ``effective``."""
    rollover_min: int = 0
    rollover_max: int = 0
    cause: Literal["manual", "purchase", "top_up"] = "manual"
    note: str = ""


class GrantVoided(Struct, frozen=True, kw_only=True, tag="void", tag_field="kind"):
    """From ``at`` on a grant counts no longer; what was drawn stays drawn."""

    grant: str
    at: Instant
    note: str = ""


class BalanceReset(Struct, frozen=True, kw_only=True, tag="reset", tag_field="kind"):
    """Allowances are whole again at ``at``. ``move``: their periods run from then on."""

    at: Instant
    anchor: Literal["keep", "move"] = "keep"
    note: str = ""


class SpendLimit(Struct, frozen=True, kw_only=True, tag="spend_limit", tag_field="kind"):
    """From ``at`` on at most so much may be used beyond what there is, per period; None takes the limit away."""

    at: Instant
    amount: int | None
    note: str = ""


class TopUpRule(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="top_up", tag_field="kind"):
    """From ``at`` on: as soon as less than ``below`` is left, grant ``amount``, at most ``most`` per calendar month.

    ``consented_by`` agreed to it. ``amount`` 0 ends the rule.
    """

    at: Instant
    below: int
    amount: int
    most: int
    consented_by: str
    consented_at: Instant
    expires_after: str | None = None
    """How long what it grants lasts, as an ISO 8601 duration; for ever where absent."""
    note: str = ""


FundingDoc = GrantGiven | GrantVoided | BalanceReset | SpendLimit | TopUpRule


class Funding(Struct, frozen=True, kw_only=True):
    """One thing that a command put on, or said about, one balance. Ids (``grt_…``, ``fnd_…``) grow with time."""

    id: str
    feature: str
    holder: str = ""
    seq: int = 0
    """That of the event that recorded it."""
    doc: FundingDoc


class Want(NamedTuple):
    """So much of a feature, in minor units of its meter or credit."""

    feature: str
    quantity: int


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """Something to be decided and recorded at once: all wants or none, unless ``partial``."""

    id: str
    """That of the fact it becomes."""
    kind: Literal["consume", "reserve"]
    customer: Id
    wants: tuple[Want, ...]
    user: str | None = None
    team: str | None = None
    context: Context = Context()
    partial: bool = False
    """Take what there is of each want, if anything."""
    until: Instant | None = None
    """When a reservation ends by itself."""
    dimensions: dict[str, str] = {}


class Closing(Struct, frozen=True, kw_only=True, gc=False):
    """The end of a reservation. ``used`` is what it came to by feature as asked; None (a release): nothing."""

    id: str
    reservation: str
    used: dict[str, int] | None


class Reservation(Struct, frozen=True, kw_only=True):
    """A quantity set aside: the fact that did, what it drew from which grants by feature, and how it ended.

    Open until it was closed; from ``fact.until`` on it counts as released, whether or not anybody noted that. A lease
    never ends by itself: its ``fact.until`` says from when on what it drew is another period's, or over.
    """

    fact: Fact
    draws: dict[str, tuple[Draw, ...]]
    rates: dict[str, str] = {}
    """``meter`` → by ``feature`` the rate at which it was burned, as ``feature@meter`` → decimal text."""
    closed: Literal["settled", "released"] | None = None
    closed_by: str | None = None
    held: dict[str, int] = {}
    """Of a lease, by feature: what is neither known as used nor given back. What stays when it has ended is written
    off."""
    returns: int = 0
    """Of a lease: how many facts have told of it."""
