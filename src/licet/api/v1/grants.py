"""Amounts that are put on balances over HTTP, and taken off again."""

from typing import Final

from licet.api.call import Call
from licet.api.contract import Listing, Paging, operation
from licet.api.v1.customers import ACME
from licet.core.catalog import Id
from licet.services.usage import funding as use
from licet.services.usage.funding_views import FundingView, GiveGrant, VoidGrant

TAG: Final = "Grants and top-ups"
GRANT: Final = "grt_0198f3a2c4d27c3e9a51b2c3d4e5f610"
GIVEN: Final = {
    "id": GRANT,
    "kind": "grant",
    "customer": "acme",
    "feature": "ai",
    "holder": "",
    "effective_at": "2026-03-01T09:00:00Z",
    "amount": "250",
    "expires_at": "2026-05-30T09:00:00Z",
    "priority": 50,
    "cause": "purchase",
    "note": "invoice 2026-118",
}


class GrantQuery(Paging, frozen=True, kw_only=True):
    """Which of them."""

    feature: Id | None = None
    """Only on balances of this feature."""


@operation(
    "POST",
    "/v1/customers/{customer}/grants",
    tag=TAG,
    scopes=("admin",),
    binding="path",
    writes=True,
    status=201,
    example_path=ACME,
    example={
        "feature": "ai",
        "amount": "250",
        "expires_after": "P90D",
        "cause": "purchase",
        "note": "invoice 2026-118",
    },
    answer=GIVEN,
    problems=("conflict", "no_catalog"),
)
async def give_grant(call: Call, customer: str, body: GiveGrant) -> FundingView:
    """Put an amount on a balance: a top-up, a gift, a purchase; once, or whole again `every` so often.

    It counts from `effective_at` (now unless said, never before) until it expires. What has the lower `priority` burns
    first, then what expires first. It is an amount, no right: whether the feature may be used is for what was bought
    to say. It survives changes of plan.
    """
    return await use.give_grant(call.tx, customer, body, call.parts.snapshots.catalogs)


@operation(
    "GET",
    "/v1/customers/{customer}/grants",
    tag=TAG,
    scopes=("check", "usage"),
    binding="path",
    example_path=ACME,
    example_query={"feature": "ai"},
    answer={"items": [GIVEN], "next": None},
    problems=("no_catalog",),
)
async def list_grants(call: Call, customer: str, query: GrantQuery) -> Listing[FundingView]:
    """List what commands put on a customer's balances, or said about them, by id: grants, resets, limits, rules.

    What its subscriptions include is not here: see its balances.
    """
    page = query.page
    async with call.read() as view:
        found = await use.list_funding(view, customer, call.parts.snapshots.catalogs, feature=query.feature)
    rows = sorted((one for one in found if one.id > page.after), key=lambda one: one.id)[: page.limit]
    return query.listing(rows, lambda one: one.id)


@operation(
    "POST",
    "/v1/customers/{customer}/grants/{grant}/void",
    tag=TAG,
    scopes=("admin",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ACME | {"grant": GRANT},
    example={"note": "the invoice was withdrawn"},
    answer=GIVEN | {"voided_at": "2026-03-05T09:00:00Z"},
    problems=("conflict", "no_catalog"),
)
async def void_grant(call: Call, customer: str, grant: str, body: VoidGrant) -> FundingView:
    """Let a grant count no longer, from now or a later instant on. What was drawn from it stays drawn."""
    return await use.void_grant(call.tx, customer, grant, body, call.parts.snapshots.catalogs)
