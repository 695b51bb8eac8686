"""The generic order: the whole desired state of one foreign subscription, and the documents that placing it returns.

An order is never a delta. The newest ``occurred_at`` (then ``sequence``) wins, whatever the order of arrival; the rule
that places one is in ``placement``.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from licet.core.catalog import Id
from licet.core.money import Money
from licet.core.terms import MAX_PAUSES, Attributes, Pause, PaymentFact, Terms, TrialEnd

MAX_LINES = 200
MAX_SCHEDULED = 50

ForeignId = Annotated[str, Meta(min_length=1, max_length=255)]
Digest = Annotated[str, Meta(min_length=1, max_length=64)]
Aware = Annotated[datetime, Meta(tz=True)]
Severity = Literal["low", "medium", "high"]
Evidence = str | int | bool | None | list[str]


class CustomerReferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything an order says about who buys; who that is here is decided by the service.

    Tried in this order: ``id`` (the vendor's own), a known ``external_id``, ``metadata`` (the value under the key that
    the mapping names), ``client_reference``; else a customer is created with ``external_id``.
    """

    id: Id | None = None
    external_id: ForeignId | None = None
    metadata: Id | None = None
    client_reference: Id | None = None


class OrderLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One sold line: exactly one of ``price`` (a foreign id that the catalog's ``orders`` map), plan, addon, bundle."""

    line: ForeignId | None = None
    """The foreign order line's own id; shown as the origin of a right."""
    price: ForeignId | None = None
    plan: Id | None = None
    addon: Id | None = None
    bundle: Id | None = None
    version: Id | None = None
    """Pins a version; without it the version on sale when the item was bought."""
    quantity: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    quantity_of: Id | None = None
    """The feature whose amount the quantity is; the mapping's ``quantity`` where a price says so."""
    bought_at: Aware | None = None
    """When this item first was bought, where the seller knows; else ``occurred_at`` of the first order that has it."""
    money: Money | None = None
    """What the line costs a period, where the seller says so: what is at stake where it cannot be placed."""


class ScheduledLines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a subscription consists of from a later instant on: a ramp, or a change that is agreed already."""

    effective_at: Aware
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=MAX_LINES)]


class OrderDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole desired state of one foreign subscription at ``occurred_at``. What it leaves out is not wanted.

    Only three things are kept when not stated: past pauses, payment facts (they are merged) and the zone.
    """

    source: Id
    external_id: ForeignId
    """The foreign subscription's id; with ``source`` it names the subscription for ever."""
    customer: CustomerReferences
    occurred_at: Aware
    """When the seller decided so; at most one day ahead. Orders are ranked by it, whenever they arrive."""
    sequence: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    """Decides between orders of one instant; higher is newer."""
    message: ForeignId | None = None
    """The seller's own id of this change, if each has one: of one instant, the same id again is no news, and another
    id is another change, even if it says the same."""
    state: Digest | None = None
    """Any digest of the seller's state after this change. With ``follows`` it decides between orders of one rank."""
    follows: Digest | None = None
    """The digest of the seller's state before this change: newer than the order whose ``state`` it is. Absent where
    ``state`` is given: there was nothing before."""
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=MAX_LINES)]
    """What is sold. None at all: nothing is, from then on; of a subscription that has ended: it ends as it was."""
    effective_at: Aware | None = None
    """When the lines begin to be in force; ``occurred_at`` where absent (``starts_at`` for the first order)."""
    scheduled: Annotated[tuple[ScheduledLines, ...], Meta(max_length=MAX_SCHEDULED)] = ()
    """What follows later, each after the one before and after the lines; what an older order planned falls away."""
    unplanned: bool = False
    """True: nothing is planned for later but what this order schedules itself; older schedules of the seller end."""
    starts_at: Aware | None = None
    """When the subscription begins; where absent that of the first order, else ``effective_at`` or ``occurred_at``."""
    ends_at: Aware | None = None
    """Exclusive; a scheduled or past cancellation."""
    trial_start: Aware | None = None
    """When a trial begins; without it and without ``trial_end`` there is none."""
    trial_end: Aware | None = None
    """With ``trial_start`` alone, the trial lasts as long as the plan version says."""
    trial_end_behavior: TrialEnd | None = None
    """What follows the trial: ``convert`` (it is paid), ``fall`` (to the plan version's ``then``, else the end),
    ``pause`` or ``end``. Where absent, ``fall`` if the trial's length is the plan version's own or that version has a
    ``then``, else ``convert``."""
    period: Annotated[str, Meta(max_length=40)] = "P1M"
    """How long a billing period lasts, as an ISO 8601 duration; a month where absent."""
    anchor: Aware | None = None
    """The instant from which billing periods are counted; the subscription's start where absent."""
    zone: Annotated[str, Meta(max_length=64)] | None = None
    """IANA time zone of the calendar; that of earlier orders, else the customer's, the workspace's, UTC."""
    paused: bool | None = None
    """True opens a pause at ``occurred_at`` unless one is open; false ends an open one; None says nothing about it."""
    pauses: Annotated[tuple[Pause, ...], Meta(max_length=MAX_PAUSES)] | None = None
    """The whole list of pauses, where the seller knows it; ``paused`` is then ignored."""
    payments: Annotated[tuple[PaymentFact, ...], Meta(max_length=200)] = ()
    final: bool = False
    """True: the seller never brings it back. Whatever is dated later changes nothing but payment facts."""
    paid_up: bool | None = None
    """True: the seller says that nothing is owed. It decides nothing; where payment facts disagree, a finding tells."""
    region: Id | None = None
    """The customer's region, for a customer that this order creates; conditions read it."""
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    """The customer's country as two capital letters (ISO 3166), for a customer that this order creates."""
    attributes: Attributes = {}
    """What the seller knows of the customer's profile: for a customer that this order creates, never an update."""


class Resolved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One item as an order meant it when it arrived. It is kept, so that no later catalog changes what was bought."""

    kind: Literal["plan", "addon"]
    id: Id
    stated: Id | None = None
    """The version that the order itself or its mapping names."""
    sold: str
    """The version on sale when it was bought: that of an item that is new, and of which no version is stated."""
    revision: int
    """The catalog revision that says so."""
    quantity: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    quantity_of: Id | None = None
    bundle: Id | None = None
    line: ForeignId | None = None
    before_sale: bool = False
    """No version was on sale yet; ``sold`` is the first one."""
    after_sale: bool = False
    """The version that is stated was not sold any more; or else none was, and ``sold`` is the one last on sale."""
    from_: Aware | None = field(default=None, name="from")
    """The scheduled instant from which it is meant; None: it belongs to the order's own lines."""

    @property
    def name(self) -> tuple[str, str, str | None]:
        """What makes it the same item in another order."""
        return self.kind, self.id, self.bundle


class PaymentNotice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Payment facts about one foreign subscription without anything else (an invoice was paid, a payment failed)."""

    source: Id
    external_id: ForeignId
    customer: CustomerReferences
    payments: Annotated[tuple[PaymentFact, ...], Meta(min_length=1, max_length=200)]
    links: "Annotated[tuple[PaymentLink, ...], Meta(max_length=200)]" = ()
    """Which payments settled the invoices, where the message says so: later disputes and refunds name only these."""


class ScheduleNotice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a foreign system plans for one subscription, apart from its orders; the newest statement replaces older."""

    source: Id
    external_id: ForeignId
    """The foreign subscription's id."""
    customer: CustomerReferences
    occurred_at: Aware
    sequence: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    phases: Annotated[tuple[ScheduledLines, ...], Meta(max_length=MAX_SCHEDULED)] = ()
    """Only those that begin after ``occurred_at``; none: nothing is planned any more."""
    ends_at: Aware | None = None
    """The end of the subscription with its last phase, where that is planned."""


class Reversal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of a payment after it was made: the payer disputes it, the dispute ended, or it was refunded."""

    source: Id
    kind: Literal["disputed", "dispute_won", "dispute_lost", "refunded"]
    at: Aware
    payments: Annotated[tuple[ForeignId, ...], Meta(min_length=1, max_length=10)]
    """The foreign ids by which the payment may be known, such as those of a charge and of its payment intent."""
    money: Money | None = None
    """How much was taken back."""
    whole: bool = True
    """Whether a refund is of everything that was paid."""


class PaymentLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which payments settled an invoice, and whose invoice it is where that is said."""

    source: Id
    invoice: ForeignId
    payments: Annotated[tuple[ForeignId, ...], Meta(max_length=10)] = ()
    external_id: ForeignId | None = None
    """The foreign subscription."""


class EntitlementSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a foreign system believes that a customer may use. A hint: it changes nothing, a difference is a finding."""

    source: Id
    customer: CustomerReferences
    at: Aware
    features: Annotated[tuple[ForeignId, ...], Meta(max_length=1000)]
    """The vendor's own names of features there; the whole list."""


def name_parts(*parts: str) -> tuple[str, ...]:
    """Return names as parts of a subject that joins them with ``/`` or ``:``; two lists of names never join to one."""
    return tuple(part.replace("%", "%25").replace("/", "%2F").replace(":", "%3A") for part in parts)


def subject_of(noun: str, *names: str) -> str:
    """Return the subject of an event, such as ``customer/acme``: two lists of names never make one subject."""
    return "/".join((noun, *name_parts(*names)))


class FindingDraft(Struct, frozen=True, kw_only=True):
    """A discrepancy that a rule noticed; the service gives it an id and an owner.

    ``kind`` and ``subject`` identify it: the same pair again is the same finding, counted once more.
    """

    kind: str
    severity: Severity
    subject: str
    words: str
    evidence: dict[str, Evidence] = {}
    customer: str | None = None
    """Whom it is about, where that is known to the rule; else the service fills it in."""
    money: Money | None = None
    """What is at stake, where somebody said so."""


Outcome = Literal["applied", "stale", "duplicate", "conflict", "refused"]


class Placement(Struct, frozen=True, kw_only=True):
    """What became of an order.

    ``applied`` changed the terms; ``duplicate`` would change nothing; ``stale`` is older than what is known and
    ``conflict`` as old but different; ``refused`` had no line that means anything here, or would begin what ends
    before: all three leave only their payment facts behind; ``refused`` for want of room leaves nothing.
    ``subscription`` is our id of it, None where none exists. ``items`` is what the order meant.
    """

    terms: Terms
    outcome: Outcome
    subscription: str | None
    findings: tuple[FindingDraft, ...] = ()
    items: tuple[Resolved, ...] = ()
