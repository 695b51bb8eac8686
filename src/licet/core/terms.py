"""The terms document: everything one customer agreed on, dated. One append-only document per customer and revision.

``derive`` reads nothing else about a customer. Personal values never enter it. Datetimes are aware and in UTC.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from licet.core.catalog import Amount, Deployment, Id, Window
from licet.core.money import Money

MAX_SUBSCRIPTIONS = 200
MAX_OVERRIDES = 1000
MAX_PHASES = 500
MAX_PAYMENTS = 2000
MAX_PAUSES = 200
MAX_LENIENCIES = 500
MAX_LADDER_CHOICES = 200
MAX_MEMBERSHIPS = 500
MAX_MOVES = 500
MAX_RHYTHMS = 200

Attribute = bool | Annotated[int, Meta(ge=-(2**53) + 1, le=2**53 - 1)] | str | list[str]
Attributes = dict[Id, Attribute]


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What conditions and calendars may read of a customer; nothing personal."""

    region: Id | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    zone: Annotated[str, Meta(max_length=64)] | None = None
    """IANA time zone; the workspace's, else UTC, where absent."""
    attributes: Attributes = {}


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One bought thing, pinned to a version. ``quantity_of`` names the feature whose amount the quantity is."""

    kind: Literal["plan", "addon"]
    id: Id
    version: Id
    quantity: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    quantity_of: Id | None = None
    bundle: Id | None = None
    line: Annotated[str, Meta(max_length=255)] | None = None
    """The foreign order line it came from."""


class Phase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a subscription consists of from an instant until the next phase begins."""

    starts_at: datetime
    items: tuple[Item, ...]
    event: str | None = None
    """The command's or order's id that brought it."""


class Pause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time in which a subscription gives nothing; open-ended until resumed."""

    starts_at: datetime
    ends_at: datetime | None = None
    event: str | None = None


class PaymentFact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What billing said about one invoice at an instant. Facts of one invoice supersede earlier ones.

    ``due``: it must be paid by ``at``; from then on it is owed unless it was settled before. ``disputed``: the payer
    took the money back, it is owed again. Of several due dates of one invoice, the one stated last counts.
    """

    kind: Literal["due", "failed", "disputed", "uncollectible", "voided", "paid"]
    at: datetime
    invoice: Annotated[str, Meta(max_length=255)]
    stated_at: datetime | None = None
    """When a due date was stated; ``at`` where absent."""
    money: Money | None = None
    """What is or was owed, where billing says so."""
    event: str | None = None


class Rhythm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How periods are counted from ``starts_at`` on, until the next one begins: from ``anchor``, on a zone's clock.

    ``joins``: no period begins with it; the one that runs ends where the first one begins that is counted so.
    """

    starts_at: datetime
    anchor: datetime
    period: Annotated[str, Meta(max_length=40)] = "P1M"
    zone: Annotated[str, Meta(max_length=64)] | None = None
    joins: bool = False


TrialEnd = Literal["convert", "fall", "pause", "end"]


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a foreign system plans for a subscription apart from its orders: later phases, and perhaps an end.

    At an instant, of all phases of orders and schedule that have begun, the one that began last is in force.
    """

    phases: tuple[Phase, ...] = ()
    ends_at: datetime | None = None
    occurred_at: datetime
    """The newest statement's own time: an older one changes nothing."""
    sequence: int | None = None
    event: str | None = None


class Subscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The customer's dated terms from one seller. Standing is computed from it, never stored.

    ``phases`` are ordered by ``starts_at``; the first one's start is the subscription's. It renews by arithmetic
    from ``anchor`` every ``period`` until ``ends_at`` (exclusive).
    """

    id: str
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    ends_at: datetime | None = None
    end_event: str | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_end_behavior: TrialEnd = "convert"
    anchor: datetime | None = None
    period: Annotated[str, Meta(max_length=40)] = "P1M"
    zone: Annotated[str, Meta(max_length=64)] | None = None
    rhythms: Annotated[tuple[Rhythm, ...], Meta(max_length=MAX_RHYTHMS)] = ()
    """What periods were counted by over time, where that changed; the last is ``anchor``, ``period`` and ``zone``."""
    pauses: tuple[Pause, ...] = ()
    unpaused_at: datetime | None = None
    """The newest instant at which its seller said that it is not paused: a trial that ended by then pauses nothing."""
    payments: tuple[PaymentFact, ...] = ()
    schedule: Schedule | None = None
    source: Id | None = None
    external_id: Annotated[str, Meta(max_length=255)] | None = None
    occurred_at: datetime | None = None
    """The newest order's own time: an older order changes nothing."""
    sequence: int | None = None
    final: bool = False
    """Its seller never brings it back: no later order changes it."""
    event: str | None = None


class Override(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A dated exception for one customer: gives (``on``, ``amount``, ``value``) or denies one feature."""

    id: str
    feature: Id
    effect: Literal["give", "deny"] = "give"
    amount: Amount | None = None
    value: Annotated[str, Meta(max_length=200)] | None = None
    starts_at: datetime
    ends_at: datetime | None = None
    kind: Literal["exception", "promotion", "correction"] = "exception"
    when: Annotated[str, Meta(max_length=4096)] | None = None
    deployments: tuple[Deployment, ...] | None = None
    regions: tuple[Id, ...] | None = None
    window: Window | None = None
    note: Annotated[str, Meta(max_length=2000)] = ""
    event: str | None = None


class Suspension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time in which nothing at all is permitted to the customer, whatever was bought."""

    starts_at: datetime
    ends_at: datetime | None = None
    note: Annotated[str, Meta(max_length=2000)] = ""
    event: str | None = None


class Leniency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Patience with one subscription's non-payment, over ``[starts_at, ends_at)``.

    During a ``promise`` to pay, the ladder only warns; a promise that is not kept changes nothing afterwards: the
    ladder stands where it would stand without. During a ``pause`` the ladder's clock stands still: what it had reached
    stays, later stages come later by as much.
    """

    id: str
    kind: Literal["promise", "pause"]
    subscription: str
    starts_at: datetime
    ends_at: datetime | None = None
    """A promise always has one; a pause without one lasts until it is ended."""
    note: Annotated[str, Meta(max_length=2000)] = ""
    event: str | None = None


class LadderChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which ladder the customer's episodes of non-payment climb that begin in ``[starts_at, ends_at)``.

    It comes before the cohort's and the plan's. ``ladder`` None: none at all, non-payment has no consequences.
    """

    ladder: Id | None = None
    starts_at: datetime
    ends_at: datetime | None = None
    note: Annotated[str, Meta(max_length=2000)] = ""
    event: str | None = None


class Membership(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time in which the customer belongs to a cohort of the catalog."""

    cohort: Id
    starts_at: datetime
    ends_at: datetime | None = None
    event: str | None = None


class VersionMove(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """From ``starts_at`` on, one subscription's items of one version are read as those of another.

    It lies over the orders: an order that names the old version again changes nothing about it. Several moves apply in
    the order of (``starts_at``, ``id``), each to what those before it left.
    """

    id: str
    """The move that brought it (``mov_…``); one id may stand once for each subscription."""
    subscription: str
    kind: Literal["plan", "addon"] = "plan"
    item: Id
    from_version: Id
    to_version: Id
    starts_at: datetime
    ends_at: datetime | None = None
    """When it was taken back, exclusive; one that was taken back before it began is not kept."""
    event: str | None = None


class EarlyPayment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A payment fact whose subscription is not known yet: it arrived first."""

    source: Id
    external_id: Annotated[str, Meta(max_length=255)]
    fact: PaymentFact


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole document of one customer at one revision."""

    customer: Id
    profile: Profile = Profile()
    subscriptions: Annotated[tuple[Subscription, ...], Meta(max_length=MAX_SUBSCRIPTIONS)] = ()
    overrides: Annotated[tuple[Override, ...], Meta(max_length=MAX_OVERRIDES)] = ()
    suspensions: tuple[Suspension, ...] = ()
    early_payments: Annotated[tuple[EarlyPayment, ...], Meta(max_length=MAX_PAYMENTS)] = ()
    """They wait for their subscription and decide nothing."""
    leniencies: Annotated[tuple[Leniency, ...], Meta(max_length=MAX_LENIENCIES)] = ()
    ladders: Annotated[tuple[LadderChoice, ...], Meta(max_length=MAX_LADDER_CHOICES)] = ()
    cohorts: Annotated[tuple[Membership, ...], Meta(max_length=MAX_MEMBERSHIPS)] = ()
    moves: Annotated[tuple[VersionMove, ...], Meta(max_length=MAX_MOVES)] = ()
