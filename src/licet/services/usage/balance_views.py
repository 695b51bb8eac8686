"""The shapes of balances outside: numbers at an instant, what is left of each grant, and a statement of every fact."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from licet.core.views import Number


class PartsView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an allowance is released that comes in parts."""

    released: Number
    """What has been released in this period."""
    whole: Number
    """What it comes to by the end of the period, by all that is known now."""
    next_at: datetime | None = None
    """When the next part is released; absent where all are."""
    next_amount: Number | None = None
    """How much that is."""


class GrantLeft(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One grant that counts at the instant asked about: an allowance of a subscription, or what was put on by hand."""

    id: str
    """``grt_…`` of what was put on; of an allowance the name of its line."""
    amount: Number
    left: Number
    priority: int
    effective_at: datetime
    expires_at: datetime | None = None
    drawn: Number = 0
    """What was drawn from it since it was last whole."""
    source: str = ""
    """In words: where it comes from."""
    parts: PartsView | None = None
    """Where it is released in parts."""


class BalanceView(Struct, frozen=True, kw_only=True):
    """How a balance stands at an instant. Quantities in major units of its meter or credit."""

    customer: str
    feature: str
    holder: str
    """Empty for the customer's own, else ``user:<id>`` or ``team:<id>``."""
    at: datetime
    used: Number
    """In the period that is in, with what is leased and written off; the level of a gauge."""
    granted: Number
    """All that counts in the period; ``unlimited`` without a bound."""
    remaining: Number
    """What may still be drawn; negative by what was used beyond everything."""
    overage: Number
    """What of the use no grant covered."""
    leased: Number | None = 0
    """Of what is used: slices that programs own and have not told of; no use yet. Null at a past instant."""
    written_off: Number | None = 0
    """Of what is used: slices whose programs went silent or crashed, as far as nobody told of them. Not known as use,
    and never billed. Null at a past instant."""
    deficit: Number = 0
    """What was used and leased beyond all that may be: after a limit was cut, or by reports."""
    per: str | None
    resets_at: datetime | None
    at_limit: Literal["block", "warn", "overage"]
    overage_limit: Number | None = None
    """How much may be used beyond all there is in a period, where ``at_limit`` is ``overage``; null: no bound."""
    spend_limit: Number | None = None
    """How much of that the customer itself allows in a period; null: it says nothing. The lower of both decides."""
    length: str | None = None
    """How long a window is, as an ISO 8601 duration; null where ``per`` is neither ``rolling`` nor ``session``."""
    unit: str | None
    grants: tuple[GrantLeft, ...]
    """In the order in which they burn."""
    crossed: tuple[int, ...] = ()
    """Thresholds that were crossed in this period, in percent."""
    basis: str | None = None
    precision: Literal["exact", "hour"] = "exact"
    """``hour`` where the single facts are not kept any more."""


class BalancesView(Struct, frozen=True, kw_only=True):
    """Every balance of a customer."""

    customer: str
    at: datetime
    balances: tuple[BalanceView, ...]


class DrawView(Struct, frozen=True, kw_only=True):
    """The part of a use that was taken from one grant and not given back."""

    grant: str
    amount: Number


EntryKind = Literal[
    "consume",
    "report",
    "reserve",
    "settle",
    "release",
    "refund",
    "lease",
    "return",
    "recovery",
    "leases",
    "allowance",
    "grant",
    "renew",
    "reset",
    "part",
    "change",
    "expire",
    "void",
    "end",
    "period",
    "window",
]
"""Facts first. ``lease``: a slice went to a program; ``return``: what it told of one, and what came back;
``recovery``: the same, after the period that it was drawn of; ``leases``: such leases and returns of an hour with
nothing between them, as one. ``allowance``: what a subscription or override includes began; ``end``: it is over.
``grant``: what was put on, by hand or by a rule, began; ``void`` and ``expire``: it is over. ``renew``: whole
again; ``reset``: by hand. ``part``: another part of an allowance is released. ``change``: an allowance is worth
another amount. ``period``: what was used beyond all there was, or a level, ends with the period. ``window``: use
left its window."""


class EntryView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that changed what remains: a fact, or what time or a command brought."""

    id: str
    """``use_…`` or ``res_…`` of a fact, of ``leases`` that of the last; ``grt_…`` or the name of a line of allowance;
    ``fnd_…`` of a reset."""
    kind: EntryKind
    at: datetime
    change: Number | None = None
    """What it did to what remains; null where that was or became unlimited. All of them add up, from opening to
    closing."""
    remaining: Number | None = None
    """What remains after it."""
    user: str | None = None
    amount: Number | None = None
    """Of a fact what it took from the balance, negative where it gave back. What ``change`` falls short of that
    came back to nothing: what it was drawn from is over. Of what time brings: what it is worth from then on."""
    of: str | None = None
    """The fact that it ends or gives back a part of; of a void or a reset the grant or the line."""
    draws: tuple[DrawView, ...] = ()
    issued: int | None = None
    """How many leases began with it."""
    leased: Number | None = None
    """Of leases: what went out with them."""
    returned: Number | None = None
    """Of leases: what came back."""
    used: Number | None = None
    """Of leases: what was told of as used, and came to so much of the balance; it stays taken."""
    metered: dict[str, Number] = {}
    """Of leases: the same by meter, as it was counted."""
    until: datetime | None = None
    """When a reservation ends by itself, or a grant expires."""
    exceeds: bool = False
    kept: Number | None = None
    """Of what is whole again: what rolled over."""
    forfeited: Number | None = None
    """What was left and does not count any more."""
    cause: str | None = None
    """Of a grant: ``manual``, ``purchase`` or ``top_up``."""
    source: str = ""
    """In words: where a grant or allowance comes from."""
    note: str = ""
    """Why, of a correction and of what commands said."""


class StatementView(Struct, frozen=True, kw_only=True):
    """All that changed a balance within ``[since, until)``, in the order in which it counts."""

    customer: str
    feature: str
    holder: str
    opening: BalanceView
    """Just before ``since``."""
    closing: BalanceView
    """Just before ``until``, or now."""
    entries: tuple[EntryView, ...]
    next: str | None = None
    """Where to go on: ``after`` of the next page."""


class ReservationView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reservation, as it stands."""

    id: str
    customer: str
    reserved_at: datetime
    expires_at: datetime
    state: Literal["open", "settled", "released"]
    user: str | None = None
    team: str | None = None
    quantities: dict[str, Number] = {}
    """By feature, as asked."""
    draws: dict[str, tuple[DrawView, ...]] = {}
