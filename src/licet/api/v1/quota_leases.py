"""Quota leases over HTTP: slices of balances that evaluators own, asked for and told of in one call; who owns what."""

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, Reply, operation
from licet.api.v1.usage import whose
from licet.core.catalog import Id
from licet.hub.lease import State
from licet.services.usage import leases
from licet.services.usage.lease_ports import LeaseFilter
from licet.services.usage.leases import LeaseView
from licet.telemetry import Metrics
from licet.wire.quota import QuotaAnswer, QuotaCall

TAG: Final = "Quota leases"
PATH: Final = "/v1/quota-leases"
_decode: Final = msgspec.json.Decoder(QuotaAnswer).decode
LEASE: Final = "5f1d3c0a9be84a7c8f2e6d7b1a0c9e8d"
CLOSED: Final = "0b9c2e7d4f5a4c1e8d3b6a2f1e0d9c8b"
OWNER: Final = "c4a1f07e2b9d4e63a5c8d1f2b3a49e70"
SHOWN: Final = {
    "id": LEASE,
    "customer": "acme",
    "feature": "api_calls",
    "state": "open",
    "amount": 500,
    "used": 120,
    "lost": 0,
    "outstanding": 500,
    "charged": 500,
    "written_off": 0,
    "unit": "API calls",
    "owner": OWNER,
    "epoch": 1,
    "issued_at": "2026-03-01T09:00:00Z",
    "until": "2026-03-01T09:02:00Z",
    "recalled": False,
    "use": "use_7d1f0a5cb2e94e1fa3c6d8b9e0f1a2b3",
}


class LeasesQuery(Paging, frozen=True, kw_only=True):
    """Which leases, and which page."""

    customer: Id | None = None
    """Only of this customer."""
    feature: Id | None = None
    """Only of this feature."""
    state: State | None = None
    """Only those that are `open`, `settled`, `escheated` or `proven`."""


def customers_of(body: QuotaCall) -> Iterator[str]:
    """Yield each customer that a call names; what it tells of leases, by id alone, is looked at where it is decided."""
    yield from (one.customer for one in body.asks)
    yield from (one.customer for one in body.claims)


def count_leases(metrics: Metrics, answer: bytes) -> None:
    """Count what an answer says of leases; one that says the same again counts again."""
    said = _decode(answer)
    if said.given:
        metrics.leased("given", count=len(said.given))
    for denied in said.denied:
        metrics.leased("denied", denied.code)
    for heard in said.heard:
        metrics.leased("told", heard.state)
    if said.recalled:
        metrics.leased("recalled", count=len(said.recalled))


@operation(
    "POST",
    PATH,
    tag=TAG,
    scopes=("usage",),
    binding=customers_of,
    posts=True,
    example={
        "owner": OWNER,
        "number": 7,
        "epoch": 1,
        "asks": [{"id": LEASE, "customer": "acme", "feature": "api_calls", "wanted": 500}],
        "told": [{"id": CLOSED, "used": 480, "closed": True}],
    },
    answer={
        "number": 7,
        "epoch": 1,
        "given": [{"id": LEASE, "epoch": 1, "amount": 500, "seconds": 120.0, "left": 98250}],
        "heard": [{"id": CLOSED, "state": "settled", "used": 480}],
    },
    problems=("quota_disagreement",),
)
async def lease_quota(call: Call, body: QuotaCall) -> Annotated[Reply, QuotaAnswer]:
    """Ask for slices of balances to use without asking, and tell what became of others. The client library does it.

    Of features that say `decide: local`. What is `given` has left its balances, on disk, when this answers: it belongs
    to whoever asked, and is charged in full until its owner has had the last word (`closed`). Quantities are whole
    minor units of the feature. A repeated call is answered from the same leases: no idempotency key is read. What is
    told comes first; where it cannot be (`quota_disagreement`) nothing of the call is kept.
    """
    reply = await call.lane.quota(call.actor, body)
    count_leases(call.parts.metrics, reply.body)
    return Reply(reply.body)


@operation(
    "GET",
    PATH,
    tag=TAG,
    scopes=("check", "usage"),
    binding="own",
    example_query={"customer": "acme", "state": "open"},
    answer={"items": [SHOWN], "next": None},
    problems=("no_catalog",),
)
async def list_quota_leases(call: Call, query: LeasesQuery) -> Listing[LeaseView]:
    """List quota leases by id: who owns how much of what, what was told of it, what is charged for it.

    A key that is bound to a customer sees that one's. Those that are settled are kept for 35 days.
    """
    only = LeaseFilter(customer=whose(call, query.customer), feature=query.feature, state=query.state)
    async with call.read() as view:
        rows = await leases.list_leases(view, only, query.page, call.parts.snapshots.catalogs)
    return query.listing(rows, lambda one: one.id)


@operation(
    "GET",
    f"{PATH}/{{lease}}",
    tag=TAG,
    scopes=("check", "usage"),
    binding="own",
    example_path={"lease": LEASE},
    answer=SHOWN,
    problems=("no_catalog",),
)
async def get_quota_lease(call: Call, lease: str, query: AtLeast) -> LeaseView:  # noqa: ARG001 read by the runner
    """Return a quota lease as it stands: open, settled, charged in full without a word of its owner, or proven."""
    async with call.read() as view:
        return await leases.get_lease(view, lease, call.parts.snapshots.catalogs, customer=call.caller.customer)
