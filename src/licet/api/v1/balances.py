"""Balances over HTTP: how they stand and stood, every fact on them, and what commands say about one."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from licet.api.call import Call
from licet.api.contract import AtLeast, Paging, operation
from licet.api.cursors import cursor_of
from licet.api.v1.customers import ACME
from licet.api.v1.grants import TAG as COMMANDS
from licet.core.catalog import Amount, DurationText, Id
from licet.core.usage.facts import AccountKey
from licet.services.normal import clean_id
from licet.services.usage import balances as use
from licet.services.usage import funding, statements
from licet.services.usage.balance_views import BalanceView, StatementView
from licet.services.usage.balances import When
from licet.services.usage.funding_views import FundingView, LimitSpend, Note, ResetBalance, RuleTopUp

TAG: Final = "Balances"
PATH: Final = "/v1/customers/{customer}/balances"
ONE: Final = ACME | {"feature": "ai"}
FUNDING: Final = "fnd_0198f3a2c4d27c3e9a51b2c3d4e5f611"
BALANCE: Final = {
    "customer": "acme",
    "feature": "ai",
    "holder": "",
    "at": "2026-03-15T12:00:00Z",
    "used": "120.5",
    "granted": "750",
    "remaining": "629.5",
    "overage": "0",
    "per": "month",
    "resets_at": "2026-04-01T00:00:00Z",
    "at_limit": "block",
    "overage_limit": None,
    "spend_limit": None,
    "length": None,
    "unit": "credits",
    "grants": [
        {
            "id": "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608/month/50",
            "amount": "500",
            "left": "379.5",
            "priority": 50,
            "effective_at": "2026-03-01T00:00:00Z",
            "expires_at": "2026-04-01T00:00:00Z",
            "drawn": "120.5",
            "source": "subscription sub_0198f3a2c4d27c3e9a51b2c3d4e5f608, per month",
        }
    ],
    "crossed": [],
    "basis": "1:42",
    "precision": "exact",
}
SAID: Final = {
    "id": FUNDING,
    "kind": "reset",
    "customer": "acme",
    "feature": "ai",
    "holder": "",
    "effective_at": "2026-03-15T12:00:00Z",
    "anchor": "keep",
    "note": "as agreed",
}
COMMANDED: Final = ("conflict", "no_catalog")
Instant = Annotated[datetime, Meta(tz=True)]
Holder = Annotated[str, Meta(max_length=140, pattern="^(user|team):.")]


class BalancesQuery(Paging, frozen=True, kw_only=True):
    """When to look, and which page."""

    at: Instant | None = None
    """An instant of business time; now where absent. A past one is answered by what was known then."""
    known_at: Instant | None = None
    """Whose knowledge counts: what was recorded by then, inclusive. The earlier of ``at`` and now where absent."""


class BalanceQuery(AtLeast, frozen=True, kw_only=True):
    """Whose balance, and when to look."""

    holder: Holder | None = None
    """`user:ann` or `team:design`, where each user or team has one."""
    at: Instant | None = None
    """An instant of business time; now where absent. A past one is answered by what was known then."""
    known_at: Instant | None = None
    """Whose knowledge counts: what was recorded by then, inclusive. The earlier of ``at`` and now where absent."""
    basis: Annotated[str, Meta(max_length=40)] | None = None
    """The ``basis`` of a decision: exactly the truth that it rested on; beats ``known_at``."""


class StatementQuery(Paging, frozen=True, kw_only=True):
    """Whose balance, and the facts of which time."""

    holder: Holder | None = None
    """`user:ann` or `team:design`, where each user or team has one."""
    since: Instant | None = None
    """From this instant of business time on; from the beginning of the period that is in where absent."""
    until: Instant | None = None
    """Before this instant; until now where absent."""


class BalancePage(Struct, frozen=True, kw_only=True):
    """Balances of a customer; ``next`` is the cursor of the following page, null at the end."""

    customer: str
    at: datetime
    balances: tuple[BalanceView, ...]
    next: str | None


class ResetAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make allowances whole again at ``at`` (now by default), within the period that is in."""

    at: Instant | None = None
    anchor: Annotated[str, Meta(pattern="^(keep|move)$")] = "keep"
    """``move``: periods run from then on."""
    user: Id | None = None
    team: Id | None = None
    note: Note = ""


class SpendLimitAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From now on at most ``amount`` may be used beyond what there is, per period; null takes the limit away."""

    amount: Amount | None
    user: Id | None = None
    team: Id | None = None
    note: Note = ""


class TopUpAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From now on: where less than ``below`` is left, grant ``amount``, at most ``most`` in a calendar month."""

    below: Amount
    amount: Amount
    """0 ends the rule."""
    most: Amount
    consented_by: Annotated[str, Meta(min_length=1, max_length=200)]
    """Who of the customer agreed that it may be charged for."""
    consented_at: Instant | None = None
    """When; now where absent."""
    expires_after: DurationText | None = None
    """How long what it grants lasts; for ever where absent."""
    user: Id | None = None
    team: Id | None = None
    note: Note = ""


@operation(
    "GET",
    PATH,
    tag=TAG,
    scopes=("check", "usage"),
    binding="path",
    example_path=ACME,
    answer={"customer": "acme", "at": "2026-03-15T12:00:00Z", "balances": [BALANCE], "next": None},
    problems=("no_catalog", "no_catalog_then"),
)
async def list_balances(call: Call, customer: str, query: BalancesQuery) -> BalancePage:
    """List a customer's balances: of everything that is counted and that it has an allowance, a grant or use of.

    Now, or at a past instant by what was known then; `known_at` asks what was known at another time, such as after
    usage that was reported late.
    """
    page = query.page
    async with call.read() as view:
        found = await use.list_balances(
            view, customer, call.parts.snapshots, page, When(at=query.at, known=query.known_at)
        )
    rows = found.balances
    after = cursor_of(f"{rows[-1].feature}/{rows[-1].holder}") if len(rows) == page.limit else None
    return BalancePage(customer=found.customer, at=found.at, balances=rows, next=after)


@operation(
    "GET",
    f"{PATH}/{{feature}}",
    tag=TAG,
    scopes=("check", "usage"),
    binding="path",
    example_path=ONE,
    example_query={"at": "2026-03-15T12:00:00Z"},
    answer=BALANCE,
    problems=("no_catalog", "no_catalog_then"),
)
async def get_balance(call: Call, customer: str, feature: str, query: BalanceQuery) -> BalanceView:
    """Return one balance: what was granted, used and is left, when it is whole again, and each grant as it burns."""
    key = _key(customer, feature, query.holder)
    async with call.read() as view:
        when = When(at=query.at, known=query.known_at, basis=query.basis)
        return await use.get_balance(view, key, call.parts.snapshots, when)


@operation(
    "GET",
    f"{PATH}/{{feature}}/statement",
    tag=TAG,
    scopes=("usage",),
    binding="path",
    example_path=ONE,
    example_query={"since": "2026-03-01", "until": "2026-04-01"},
    answer={
        "customer": "acme",
        "feature": "ai",
        "holder": "",
        "opening": BALANCE | {"at": "2026-02-28T23:59:59.999999Z", "used": "700", "remaining": "50"},
        "closing": BALANCE | {"at": "2026-03-31T23:59:59.999999Z", "remaining": "379.5"},
        "entries": [
            {
                "id": "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608/month/50",
                "kind": "renew",
                "at": "2026-03-01T00:00:00Z",
                "change": "450",
                "remaining": "500",
                "amount": "500",
                "forfeited": "50",
                "source": "subscription sub_0198f3a2c4d27c3e9a51b2c3d4e5f608, per month",
            },
            {
                "id": "use_5f1d3c0a9be84a7c8f2e6d7b1a0c9e8d",
                "kind": "consume",
                "at": "2026-03-03T10:00:00Z",
                "change": "-120.5",
                "remaining": "379.5",
                "user": "ann",
                "amount": "120.5",
                "draws": [{"grant": "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608/month/50", "amount": "120.5"}],
            },
        ],
    },
    problems=("no_catalog",),
    sensitive=True,
)
async def get_statement(call: Call, customer: str, feature: str, query: StatementQuery) -> StatementView:
    """List all that changed a balance, oldest first: use with the grants it drew from, what time and commands did.

    Grants that begin, expire or are voided, renewals, resets, parts that are released: each entry has its `change` of
    what remains. They add up, from `opening` (just before `since`) to `closing` (just before `until`, or now).
    """
    key = _key(customer, feature, query.holder)
    async with call.read() as view:
        told = await statements.get_statement(view, key, call.parts.snapshots, (query.since, query.until), query.page)
    return told if told.next is None else structs.replace(told, next=cursor_of(told.next))


@operation(
    "POST",
    f"{PATH}/{{feature}}/reset",
    tag=COMMANDS,
    scopes=("admin",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"anchor": "keep", "note": "as agreed"},
    answer=SAID,
    problems=COMMANDED,
)
async def reset_balance(call: Call, customer: str, feature: str, body: ResetAsked) -> FundingView:
    """Make allowances whole again before their time, now or at a past instant of the period that is in.

    Grants that were given once stay as they are. With `anchor: move` periods run from then on. Refused in the future,
    before the period that is in, before there is anything on the balance, and twice at one instant.
    """
    command = ResetBalance(
        feature=clean_id(feature, "feature"),
        user=body.user,
        team=body.team,
        at=body.at,
        anchor="move" if body.anchor == "move" else "keep",
        note=body.note,
    )
    return await funding.reset_balance(call.tx, customer, command, call.parts.snapshots.catalogs)


@operation(
    "PUT",
    f"{PATH}/{{feature}}/spend-limit",
    tag=COMMANDS,
    scopes=("admin",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"amount": "1000", "note": "agreed with finance"},
    answer=SAID | {"kind": "spend_limit", "anchor": None, "amount": "1000", "note": "agreed with finance"},
    problems=COMMANDED,
)
async def limit_spend(call: Call, customer: str, feature: str, body: SpendLimitAsked) -> FundingView:
    """Bound what may be used beyond what there is, in each period, from now on; null takes the bound away.

    It counts where the feature is `at_limit: overage`; 0 means: nothing beyond.
    """
    command = LimitSpend(
        feature=clean_id(feature, "feature"), amount=body.amount, user=body.user, team=body.team, note=body.note
    )
    return await funding.limit_spend(call.tx, customer, command, call.parts.snapshots.catalogs)


@operation(
    "PUT",
    f"{PATH}/{{feature}}/top-up",
    tag=COMMANDS,
    scopes=("admin",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"below": "50", "amount": "500", "most": "2000", "consented_by": "ann@acme.example"},
    answer=SAID
    | {
        "kind": "top_up",
        "anchor": None,
        "amount": "500",
        "below": "50",
        "most": "2000",
        "consented_by": "ann@acme.example",
        "consented_at": "2026-03-15T12:00:00Z",
        "note": "",
    },
    problems=COMMANDED,
)
async def rule_top_up(call: Call, customer: str, feature: str, body: TopUpAsked) -> FundingView:
    """Let a balance be topped up by itself from now on, where less than `below` is left; `amount` 0 ends it.

    Somebody of the customer agreed to it. Once per posting and balance at most, and never beyond `most` in a calendar
    month of the customer's.
    """
    command = RuleTopUp(
        feature=clean_id(feature, "feature"),
        below=body.below,
        amount=body.amount,
        most=body.most,
        consented_by=body.consented_by,
        consented_at=body.consented_at,
        expires_after=body.expires_after,
        user=body.user,
        team=body.team,
        note=body.note,
    )
    return await funding.rule_top_up(call.tx, customer, command, call.parts.snapshots.catalogs)


def _key(customer: str, feature: str, holder: str | None) -> AccountKey:
    """Return the balance that is asked about."""
    if holder is None:
        return AccountKey(customer, feature)
    kind, _, name = holder.partition(":")
    return AccountKey(customer, feature, f"{kind}:{clean_id(name, 'holder')}")
