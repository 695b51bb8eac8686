"""Use over HTTP: decided and recorded together, or set aside first and settled by what it came to."""

from typing import Annotated, Final

from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, Reply, operation
from licet.api.v1.checks import DECISION
from licet.api.v1.customers import ACME
from licet.services.usage import jobs as usage_jobs
from licet.services.usage import reservations
from licet.services.usage.balance_views import ReservationView
from licet.wire.usage import ClosingAnswer, ConsumeAnswer, ConsumeAsked, ReserveAsked, SettleAsked

TAG: Final = "Usage"
USE: Final = "use_5f1d3c0a9be84a7c8f2e6d7b1a0c9e8d"
RESERVATION: Final = "res_5f1d3c0a9be84a7c8f2e6d7b1a0c9e8d"
ONE: Final = {"reservation": RESERVATION}
TAKE: Final = {
    "feature": "api_calls",
    "holder": "",
    "taken": 25,
    "used": 1250,
    "granted": 100000,
    "remaining": 98750,
    "resets_at": "2026-04-01T00:00:00Z",
}
POOL: Final = {
    "feature": "ai",
    "holder": "",
    "taken": "40",
    "used": "120.5",
    "granted": "500",
    "remaining": "379.5",
    "resets_at": "2026-04-01T00:00:00Z",
}
REFUSAL: Final = DECISION | {
    "allowed": False,
    "reason": "limit_reached",
    "reasons": ["limit_reached"],
    "feature": "api_calls",
    "type": "metered",
    "limit": {
        "amount": 100000,
        "used": 100000,
        "remaining": 0,
        "per": "month",
        "at_limit": "block",
        "unit": "api_calls",
    },
    "message": "API calls: 100,000 of 100,000 calls used; 1 more does not fit. Resets 1 April 2026 00:00 UTC.",
    "resets_at": "2026-04-01T00:00:00Z",
    "remedies": [
        {
            "kind": "wait",
            "cost": 4,
            "words": "Wait until 2026-04-01 00:00 UTC.",
            "steps": [
                {
                    "kind": "wait",
                    "cost": 4,
                    "target": {"until": "2026-04-01T00:00:00Z"},
                    "words": "Wait until 2026-04-01 00:00 UTC.",
                    "support": "nothing to do; it opens by itself",
                }
            ],
        }
    ],
}
RESERVED: Final = {
    "id": RESERVATION,
    "customer": "acme",
    "reserved_at": "2026-03-01T09:00:00Z",
    "expires_at": "2026-03-01T09:10:00Z",
    "state": "open",
    "user": "ann",
    "quantities": {"ai": "40"},
    "draws": {"ai": [{"grant": "grt_0198f3a2c4d27c3e9a51b2c3d4e5f610", "amount": "40"}]},
}
PROBLEMS: Final = ("not_found", "reservation_closed", "reservation_expired")


class ReleaseAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is to be said: an empty body will do."""


@operation(
    "POST",
    "/v1/consume",
    tag=TAG,
    scopes=("usage",),
    binding=lambda body: (body.customer,),
    posts=True,
    example={"customer": "acme", "feature": "api_calls", "quantity": 25, "user": "ann", "key": "call-7391"},
    answer={"allowed": True, "reason": "within_limit", "id": USE, "quantity": 25, "takes": [TAKE]},
)
async def consume(call: Call, body: ConsumeAsked) -> Annotated[Reply, ConsumeAnswer]:
    """Decide and record use together. A hard cap is exact: what is allowed is taken, and on disk, when this answers.

    Always answered with 200: a refusal is an answer, with the decisions of the features that refuse. All of `feature`
    and `also` is taken or nothing, unless `partial`: then as much of each as there is. Every limit and every credit
    pool on the same meter takes part. With a key (`key`, which beats `Idempotency-Key`) a repetition takes nothing and
    is answered as before; without one it counts again. What was refused is decided anew when it comes again.
    """
    reply = await call.lane.consume(call.actor, body, call.key)
    call.used("consume", reply)
    return replied(call, reply)


@operation(
    "POST",
    "/v1/reservations",
    tag=TAG,
    scopes=("usage",),
    binding=lambda body: (body.customer,),
    posts=True,
    example={"customer": "acme", "feature": "ai", "quantity": 40, "lasts": "PT10M", "key": "prompt-812"},
    answer={
        "allowed": True,
        "reason": "within_limit",
        "id": RESERVATION,
        "quantity": "40",
        "expires_at": "2026-03-01T09:10:00Z",
        "takes": [POOL],
    },
)
async def reserve(call: Call, body: ReserveAsked) -> Annotated[Reply, ConsumeAnswer]:
    """Set a quantity aside until it is settled or released; nobody else can take it meanwhile.

    Decided like `consume`. It lasts 15 minutes unless `lasts` says otherwise, at most a day; at `expires_at` all of it
    goes back by itself, to the very grants it was taken from.
    """
    reply = await call.lane.reserve(call.actor, body, call.key)
    call.used("reserve", reply)
    return replied(call, reply)


@operation(
    "GET",
    "/v1/reservations/{reservation}",
    tag=TAG,
    scopes=("check", "usage"),
    binding="own",
    example_path=ONE,
    answer=RESERVED,
    problems=("no_catalog",),
)
async def get_reservation(call: Call, reservation: str, query: AtLeast) -> ReservationView:  # noqa: ARG001 read by the runner
    """Return a reservation as it stands: open, settled, or released, if only by having reached its end."""
    async with call.read() as view:
        return await reservations.get_reservation(
            view, reservation, call.parts.snapshots, customer=call.caller.customer
        )


@operation(
    "GET",
    "/v1/customers/{customer}/reservations",
    tag=TAG,
    scopes=("check", "usage"),
    binding="path",
    example_path=ACME,
    answer={"items": [RESERVED], "next": None},
    problems=("no_catalog",),
)
async def list_reservations(call: Call, customer: str, query: Paging) -> Listing[ReservationView]:
    """List a customer's open reservations: not settled, not released, and not over."""
    async with call.read() as view:
        rows = await reservations.list_reservations(view, customer, call.parts.snapshots, query.page)
    return query.listing(rows, lambda one: one.id)


@operation(
    "POST",
    "/v1/reservations/{reservation}/settle",
    tag=TAG,
    scopes=("usage",),
    binding="own",
    posts=True,
    example_path=ONE,
    example={"used": "31.25"},
    answer={
        "id": RESERVATION,
        "closed": "settled",
        "used": "31.25",
        "takes": [POOL | {"taken": "31.25", "used": "111.75", "remaining": "388.25"}],
    },
    problems=PROBLEMS,
)
async def settle(call: Call, reservation: str, body: SettleAsked) -> Annotated[Reply, ClosingAnswer]:
    """End a reservation with what it came to: the rest goes back, what it came to beyond is taken now.

    The extra is taken even where there is not so much; `exceeded` says so. Of several that end one reservation exactly
    one is accepted: the same request with the same key is answered as before, any other gets 409.
    """
    return replied(call, await call.lane.settle(call.actor, reservation, body, call.key))


@operation(
    "POST",
    "/v1/reservations/{reservation}/release",
    tag=TAG,
    scopes=("usage",),
    binding="own",
    posts=True,
    example_path=ONE,
    optional_body=True,
    example={},
    answer={
        "id": RESERVATION,
        "closed": "released",
        "takes": [POOL | {"taken": "0", "used": "80.5", "remaining": "419.5"}],
    },
    problems=PROBLEMS,
)
async def release(call: Call, reservation: str, body: ReleaseAsked) -> Annotated[Reply, ClosingAnswer]:  # noqa: ARG001 it has no fields
    """End a reservation that came to nothing: all of it goes back to the grants it was taken from."""
    return replied(call, await call.lane.release(call.actor, reservation, call.key))


def replied(call: Call, reply: usage_jobs.Reply) -> Reply:
    """Return what the lane replied as it goes out."""
    call.trail.replayed = reply.repeated
    return Reply(reply.body, headers={"Idempotency-Replayed": "true"} if reply.repeated else {})
