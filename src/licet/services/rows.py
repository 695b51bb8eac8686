"""What storage keeps and use cases read: rows as values. Datetimes are aware and in UTC."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from licet.core.instant import Instant
from licet.core.money import Money
from licet.core.orders import Severity
from licet.core.question import Question
from licet.core.tally import CheckKey, Outcome, SaidUse, UseKey
from licet.core.terms import Attributes, Profile, Terms

Scope = Literal["check", "usage", "orders", "catalog:read", "catalog:write", "admin"]
KeyKind = Literal["server", "site", "install"]


class Workspace(Struct, frozen=True, kw_only=True):
    """An isolated world. A ``test`` one has a business clock that a command may only move forward."""

    id: str
    kind: Literal["live", "test"]
    zone: str = "UTC"
    clock_offset: int = 0
    """Microseconds added to real time (test workspaces)."""
    clock_frozen_at: datetime | None = None
    """The business clock stands here (test workspaces)."""
    epoch: int = 1


class Actor(Struct, frozen=True, kw_only=True):
    """Who acts: ``key:<id>``, ``local:<os user>``, ``source:<id>`` or ``system:<part>``, and what they may do."""

    id: str
    scopes: frozenset[Scope] = frozenset()
    customer: str | None = None
    """Set where the key is bound to one customer."""


class CatalogRow(Struct, frozen=True, kw_only=True):
    """One released catalog document, as canonical JSON."""

    revision: int
    doc: bytes
    hash: str
    released_at: datetime
    actor: str
    note: str = ""
    seq: int = 0
    """The sequence of the event that released it; 0 within the transaction that does."""


class CustomerRow(Struct, frozen=True, kw_only=True):
    """An organization that buys. ``name`` and ``email`` are personal: erasable, committed to in the log."""

    id: str
    revision: int
    name: str | None = None
    email: str | None = None
    external_ids: dict[str, str] = {}
    """Source id → that system's id of this customer."""
    profile: Profile = Profile()
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = None
    """When personal values were last erased; a name set again since then stands above."""


class UserRow(Struct, frozen=True, kw_only=True):
    """A person in a customer. ``name`` and ``email`` are personal."""

    customer: str
    id: str
    revision: int
    name: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()
    attributes: Attributes = {}
    teams: tuple[str, ...] = ()
    active: bool = True
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = None
    """When personal values were last erased."""


class UserThen(Struct, frozen=True, kw_only=True):
    """What was known of a user at a sequence of the log; nothing personal, which is kept nowhere but beside the log."""

    customer: str
    id: str
    revision: int
    seq: int
    roles: tuple[str, ...]
    attributes: Attributes
    teams: tuple[str, ...]
    active: bool


class TeamRow(Struct, frozen=True, kw_only=True):
    """A named group of users in one customer."""

    customer: str
    id: str
    revision: int
    title: str = ""
    created_at: datetime


class TermsRow(Struct, frozen=True, kw_only=True):
    """The terms document of a customer at a revision."""

    revision: int
    seq: int
    recorded_at: datetime
    terms: Terms


class SourceRow(Struct, frozen=True, kw_only=True):
    """A configured foreign system. Its secret is kept envelope-encrypted and read only by ``source_secrets``."""

    id: str
    kind: Literal["stripe", "generic"]
    settings: dict[str, str] = {}
    created_at: datetime
    disabled: bool = False


DeliveryOutcome = Literal[
    "received", "applied", "stale", "duplicate", "ignored", "finding", "failed", "waiting", "discarded"
]


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """One message of a foreign system, as it came. ``fingerprint`` covers type, created and data only."""

    source: str
    id: str
    type: str
    fingerprint: str
    created: datetime
    received_at: datetime
    body: bytes
    outcome: DeliveryOutcome = "received"
    words: str = ""
    awaits: str | None = None
    """What a ``waiting`` delivery waits for, such as a subscription's foreign id that has not arrived yet."""
    erased_at: datetime | None = None
    """When the body was erased with somebody's personal values; it cannot be tried again."""


class SourceStatus(Struct, frozen=True, kw_only=True):
    """How a source fares. Lag is the time from a message's creation there to its receipt here."""

    source: str
    last_day: dict[str, int]
    """Messages received in the last 24 hours (real time), by outcome."""
    failed: int
    """Dead letters: messages that could not be applied, of any age."""
    waiting: int
    """Messages that wait for another, of any age."""
    oldest_failed_at: datetime | None
    oldest_waiting_at: datetime | None
    last_received_at: datetime | None
    lag_last: float | None
    """Seconds, of the last message."""
    lag_median: float | None
    """Seconds, of those received in the last 24 hours."""
    lag_max: float | None
    """Seconds, of those received in the last 24 hours."""


class Reference(Struct, frozen=True, kw_only=True):
    """What a foreign invoice or payment belongs to."""

    reference: str
    """The foreign id: of an invoice, a charge or a payment intent."""
    invoice: str
    external_id: str | None = None
    """The foreign subscription, where known."""


FindingState = Literal["open", "resolved", "dismissed"]


class FindingRow(Struct, frozen=True, kw_only=True):
    """A discrepancy with an owner, a date by which it is to be settled, and a proposal how."""

    id: str
    kind: str
    severity: Severity
    subject: str
    words: str
    evidence: dict[str, Any]
    state: FindingState = "open"
    seen: int = 1
    first_seen: datetime
    last_seen: datetime
    customer: str | None = None
    money: Money | None = None
    """What is at stake."""
    owner: str = ""
    """Who settles it: a role (from its kind) until somebody is named."""
    due_at: datetime | None = None
    repair: str = ""
    """A command that would settle it."""
    note: str = ""
    """What was said when its state or owner last changed."""
    settled_at: datetime | None = None
    """When it was resolved or dismissed."""


class FindingFilter(Struct, frozen=True, kw_only=True):
    """Which findings; what is None does not matter. ``overdue_at`` keeps those due at or before an instant."""

    state: FindingState | None = None
    kind: str | None = None
    severity: Severity | None = None
    customer: str | None = None
    owner: str | None = None
    overdue_at: datetime | None = None


class CheckRecordRow(Struct, frozen=True, kw_only=True):
    """One check of a feature that is recorded check by check. ``asked_at`` is business time."""

    id: str
    asked_at: datetime
    customer: str
    user: str | None
    feature: str
    reason: str
    """The first reason; in observe mode the first with which it would have been refused."""
    outcome: Outcome
    mode: str | None
    basis: str
    """The truth that the answer rested on."""
    question: Question
    left_out: tuple[str, ...] = ()
    """Attributes of the context that no condition read and that were not kept."""


class CheckBatch(Struct, frozen=True, kw_only=True):
    """What one process has counted and not yet written. Each ``number`` of a ``counter`` is written once, in order."""

    counter: str
    number: int
    counts: dict[CheckKey, int]
    records: tuple[CheckRecordRow, ...] = ()
    said: dict[UseKey, SaidUse] = {}
    """The newest use that callers said of limits; an older one never replaces what is stored."""
    lost_checks: int = 0
    lost_records: int = 0


class CheckFilter(Struct, frozen=True, kw_only=True):
    """Which checks; what is None does not matter. ``since`` is inclusive, ``until`` exclusive."""

    customer: str | None = None
    user: str | None = None
    feature: str | None = None
    reason: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


CheckPart = Literal["hour", "day", "customer", "user", "feature", "reason", "mode"]
"""What counts are told apart by; a day is one of UTC."""


class CheckGroups(Struct, frozen=True, kw_only=True):
    """How counts are summed up: one row for each combination of ``by``, the most checks first where ``by_size``."""

    by: frozenset[CheckPart] = frozenset()
    by_size: bool = False


class CheckCountRow(Struct, frozen=True, kw_only=True):
    """How many checks there were of one combination. What is not told apart is None, and so is a user not named."""

    begins_at: datetime | None
    """The hour's or day's first instant."""
    customer: str | None
    user: str | None
    feature: str | None
    reason: str | None
    mode: str | None
    others: Literal["user", "customer", "feature"] | None
    """What gave way for want of room, with what comes before it here: the row stands for several of them."""
    allowed: int
    denied: int
    would_deny: int
    """Allowed by observe mode, else refused; not among ``allowed``."""
    place: str
    """Its place in the list, for going on after it."""

    @property
    def checks(self) -> int:
        """All of them."""
        return self.allowed + self.denied + self.would_deny


class ChecksLost(Struct, frozen=True, kw_only=True):
    """What could not be counted or recorded, because storage was away for long or the room was used up."""

    checks: int
    records: int


class KeyRow(Struct, frozen=True, kw_only=True):
    """An API key without its secret; only a SHA-256 of the secret is kept."""

    id: str
    workspace: str
    kind: KeyKind
    name: str
    scopes: frozenset[Scope]
    customer: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """An event before it is in the log. ``private`` fields enter the log only as salted commitments."""

    type: str
    """``noun.verb`` in the past tense, such as ``customer.created`` or ``order.applied``."""
    subject: str
    """``customer/acme``, ``catalog``, ``key/…``: what it is about."""
    before: Any = None
    after: Any = None
    effective_at: datetime | None = None
    """When it counts from; the business time of recording where absent."""
    revision: int | None = None
    private: dict[str, str] = {}
    """Personal values by field. ``after`` must be an object (or None) and gets their commitments as ``private``."""
    schema: int = 1


class Page(Struct, frozen=True, kw_only=True):
    """Which slice of a list: at most ``limit`` rows (1 to 500) after the cursor's key."""

    after: str = ""
    limit: int = 100


class Instants(Struct, frozen=True, kw_only=True):
    """The two clocks of one transaction: business time (may be moved in test workspaces) and real time."""

    business: Instant
    wall: Instant
