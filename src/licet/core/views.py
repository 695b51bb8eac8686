"""The shapes of a decision outside: one flat document, the same at every door."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from licet.core.compiled import UNBOUNDED
from licet.core.offer import UNLIMITED
from licet.core.quantity import format_quantity

Number = int | str
"""An integer, or a decimal string where the scale has decimals."""


def wire_amount(minor: int, scale: int) -> Number:
    """Return minor units as an integer, or as a decimal string where the scale has decimals; or ``unlimited``."""
    if minor >= UNBOUNDED:
        return UNLIMITED
    return format_quantity(minor, scale) if scale else minor


class LimitView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The number that applies. ``used`` is None where nobody counted: the decision then took it for 0."""

    amount: Number
    """``"unlimited"`` or the merged amount of every source that permits; of a balance all that it holds."""
    used: Number | None
    remaining: Number
    """Of a balance it is negative by what was used beyond all there was."""
    per: str | None
    at_limit: Literal["block", "warn", "overage"]
    unit: str | None
    length: str | None = None
    """How long a window is, as an ISO 8601 duration, where ``per`` is ``rolling`` or ``session``."""
    overage_limit: Number | None = None
    """How much of a balance may be used beyond all it holds, where ``at_limit`` is ``overage`` and there is a bound."""
    spend_limit: Number | None = None
    """How much of that the customer itself allows, where it bounds it; the lower of both decides."""


class SourceView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source of a right, and why it does or does not permit."""

    kind: Literal["plan", "addon", "override"]
    id: str
    """Of the subscription or of the override."""
    item: str | None = None
    """The plan or add-on with its version, ``team@2026-01``."""
    standing: str | None = None
    since: str | None = None
    until: str | None = None
    permits: bool = False
    reasons: tuple[str, ...] = ()
    amount: Number | None = None
    value: str | None = None
    event: str | None = None
    line: str | None = None


class StepView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a remedy."""

    kind: str
    cost: int
    target: dict[str, str | int | bool | tuple[str, ...] | None]
    """What is changed to what: quantities and instants as everywhere outside; null takes a fact away."""
    words: str
    """For the customer."""
    support: str
    """For support: what to do here."""


class RemedyView(Struct, frozen=True, kw_only=True):
    """The cheapest known change that makes the same question permitted; proven by asking again."""

    kind: str
    cost: int
    words: str
    steps: tuple[StepView, ...]


class WarningView(Struct, frozen=True, kw_only=True):
    """What a policy that warns says to the customer."""

    policy: str | None
    """The policy's id; null for one that never leaves the server."""
    text: str


class DecisionView(Struct, frozen=True, kw_only=True):
    """The whole decision for the wire. Instants are RFC 3339 in UTC; quantities integers or decimal strings."""

    allowed: bool
    reason: str
    reasons: tuple[str, ...]
    would_deny: tuple[str, ...] | None
    """In observe mode: the reasons with which it would have been refused."""
    customer: str
    feature: str
    type: str | None
    mode: str | None
    value: bool | str | None
    limit: LimitView | None
    sources: tuple[SourceView, ...]
    message: str
    """In words for the customer, without internal rules."""
    remedy: RemedyView | None
    valid_until: str | None
    """The next instant at which the answer may change by itself."""
    missing: tuple[str, ...]
    """Facts that a condition asked for and the question did not give; ``user`` or ``team`` where each has a balance of
    its own that the use would touch, and none was named: that balance was not counted."""
    warnings: tuple[WarningView, ...] = ()
    """What policies warn of; they refuse nothing."""
    resets_at: str | UnsetType = UNSET
    """Where it is refused for want of what balances hold, and that is known: when more comes to them."""
    remedies: tuple[RemedyView, ...] | UnsetType = UNSET
    """There where waiting for that helps: the remedy, then waiting (of the kind ``wait``, with the instant)."""
    basis: str | None = None
    """The truth it rests on; filled in by whoever holds the truth."""
