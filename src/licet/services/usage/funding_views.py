"""What commands say of balances, and how it is shown: shapes alone."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, to_builtins

from licet.core.catalog import Amount, DurationText, Id
from licet.core.instant import to_datetime
from licet.core.usage.facts import BalanceReset, Funding, GrantGiven, GrantVoided, SpendLimit
from licet.core.views import Number, wire_amount

Note = Annotated[str, Meta(max_length=2000)]


class RolloverAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of it goes on where it is whole again: ``min(max, max(min, left))``."""

    min: Amount = 0
    max: Amount = 0


class GiveGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Put an amount on a balance, from ``effective_at`` (now by default; never before) until ``expires_at``."""

    feature: Id
    amount: Amount
    user: Id | None = None
    team: Id | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    expires_after: DurationText | None = None
    """Instead of ``expires_at``: so long after it begins, on the customer's wall clock."""
    every: DurationText | None = None
    """It is whole again so often; once only where absent."""
    rollover: RolloverAsked | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] = 50
    """What has the lower one burns first."""
    cause: Literal["manual", "purchase"] = "manual"
    note: Note = ""


class VoidGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Let a grant count no longer from ``at`` on (now by default); what was drawn stays drawn."""

    at: datetime | None = None
    note: Note = ""


class ResetBalance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Make allowances whole again at ``at`` (now by default), within the period that is in."""

    feature: Id
    user: Id | None = None
    team: Id | None = None
    at: datetime | None = None
    anchor: Literal["keep", "move"] = "keep"
    """``move``: periods run from then on."""
    note: Note = ""


class LimitSpend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """From now on at most ``amount`` may be used beyond what there is, per period; null takes the limit away."""

    feature: Id
    amount: Amount | None
    user: Id | None = None
    team: Id | None = None
    note: Note = ""


class RuleTopUp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """From now on: where less than ``below`` is left, grant ``amount``, at most ``most`` in a calendar month.

    ``amount`` 0 ends the rule.
    """

    feature: Id
    below: Amount
    amount: Amount
    most: Amount
    consented_by: Annotated[str, Meta(min_length=1, max_length=200)]
    """Who of the customer agreed that it may be charged for."""
    consented_at: datetime | None = None
    user: Id | None = None
    team: Id | None = None
    expires_after: DurationText | None = None
    note: Note = ""


class FundingView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was put on a balance, or said about it."""

    id: str
    kind: Literal["grant", "void", "reset", "spend_limit", "top_up"]
    customer: str
    feature: str
    holder: str
    effective_at: datetime
    amount: Number | None = None
    expires_at: datetime | None = None
    every: str | None = None
    rollover_min: Number | None = None
    rollover_max: Number | None = None
    priority: int | None = None
    cause: str | None = None
    grant: str | None = None
    """The grant that a void is about."""
    voided_at: datetime | None = None
    anchor: str | None = None
    below: Number | None = None
    most: Number | None = None
    consented_by: str | None = None
    consented_at: datetime | None = None
    expires_after: str | None = None
    note: str = ""


def funding_view(customer: str, funding: Funding, scale: int) -> FundingView:
    """Return one thing as it is shown, quantities in major units."""
    doc = funding.doc
    base: dict[str, Any] = {
        "id": funding.id,
        "customer": customer,
        "feature": funding.feature,
        "holder": funding.holder,
    }

    def units(minor: int | None) -> Number | None:
        return None if minor is None else wire_amount(minor, scale)

    if isinstance(doc, GrantGiven):
        rolls = doc.every is not None
        return FundingView(
            **base,
            kind="grant",
            effective_at=to_datetime(doc.effective),
            amount=units(doc.amount),
            expires_at=None if doc.expires is None else to_datetime(doc.expires),
            every=doc.every,
            rollover_min=units(doc.rollover_min) if rolls else None,
            rollover_max=units(doc.rollover_max) if rolls else None,
            priority=doc.priority,
            cause=doc.cause,
            note=doc.note,
        )
    at = to_datetime(doc.at)
    if isinstance(doc, GrantVoided):
        return FundingView(**base, kind="void", effective_at=at, grant=doc.grant, note=doc.note)
    if isinstance(doc, BalanceReset):
        return FundingView(**base, kind="reset", effective_at=at, anchor=doc.anchor, note=doc.note)
    if isinstance(doc, SpendLimit):
        return FundingView(**base, kind="spend_limit", effective_at=at, amount=units(doc.amount), note=doc.note)
    return FundingView(
        **base,
        kind="top_up",
        effective_at=at,
        amount=units(doc.amount),
        below=units(doc.below),
        most=units(doc.most),
        consented_by=doc.consented_by,
        consented_at=to_datetime(doc.consented_at),
        expires_after=doc.expires_after,
        note=doc.note,
    )


def recorded(customer: str, funding: Funding, scale: int) -> Any:
    """Return what the log holds of it."""
    shown = to_builtins(funding_view(customer, funding, scale))
    return {name: value for name, value in shown.items() if value is not None}
