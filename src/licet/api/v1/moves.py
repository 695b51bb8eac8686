"""Moves of customers between versions over HTTP: previewed, begun, done batch by batch, looked at, taken back."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import NDJSON, AtLeast, Listing, Paging, Reply, operation
from licet.api.v1.catalog_previews import PREVIEW, SHOWN
from licet.services import move_previews as previews
from licet.services import move_views as views
from licet.services import moves as use
from licet.services.catalog_previews import PreviewLine
from licet.services.move_commands import ready_move
from licet.services.move_ports import MoveCommand, MovedState
from licet.services.move_views import MovedSubscription, MoveView

TAG: Final = "Moves"
MOVE: Final = "mov_0198f3a2c4d27c3e9a51b2c3d4e5f609"
ONE: Final = {"move": MOVE}
SENT: Final = {
    "item": "team",
    "from_version": "2026-01",
    "to_version": "2026-04",
    "cohort": "pilots",
    "at": "period_end",
    "notice": "P30D",
}
BEGUN: Final = {
    "id": MOVE,
    "state": "moving",
    "kind": "plan",
    "item": "team",
    "from_version": "2026-01",
    "to_version": "2026-04",
    "cohort": "pilots",
    "customers": None,
    "at": "period_end",
    "notice": "P30D",
    "base": 4,
    "preview": PREVIEW,
    "max_losing": 3,
    "total": 812,
    "looked_at": 0,
    "moved": 0,
    "left_out": 0,
    "reversed": 0,
    "kept": 0,
    "losing": 0,
    "actor": "key:k5cqv3zt6yb2m4na",
    "note": "more for the same price",
    "created_at": "2026-03-01T09:00:00Z",
    "changed_at": "2026-03-01T09:00:00Z",
}
DONE: Final = BEGUN | {"state": "moved", "looked_at": 812, "moved": 214, "left_out": 3, "losing": 2}
SUBSCRIPTION: Final = "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608"
ENDED: Final = f"{SUBSCRIPTION} has ended by 2026-04-01T00:00:00Z"
PASSED_BY: Final = {"customer": "acme", "subscription": SUBSCRIPTION, "words": ENDED}
JUDGED: Final = SHOWN | {
    "kind": "move",
    "summary": SHOWN["summary"] | {"left_out": [{"reason": "ended", "count": 1, "examples": [PASSED_BY]}]},
}


class ConsentQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what a move, or taking it back, is allowed."""

    preview: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The preview of exactly this; needed where somebody would lose something, or many are concerned."""
    max_losing: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """How many customers may lose something by it."""


class AllowQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a move that has begun is allowed from now on."""

    max_losing: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    """How many customers may lose something by the whole move, where they are more than was said when it began."""


class MovedQuery(Paging, frozen=True, kw_only=True):
    """Which of the subscriptions that a move dealt with."""

    state: MovedState | None = None
    """Those of which this became."""


@operation(
    "POST",
    "/v1/catalog/moves/previews",
    tag=TAG,
    scopes=("catalog:write",),
    answers=(NDJSON,),
    example=SENT,
    answer={"preview": JUDGED},
    problems=("no_catalog", "conflict"),
)
async def preview_move(call: Call, body: MoveCommand) -> Annotated[Reply, PreviewLine]:
    """Judge what a move would do to every live customer, before anybody is moved or told.

    Each customer is judged at the instant at which it would be moved, told of it now. The lines and the preview are
    like those of a catalog's preview; `left_out` counts what has the version and would not be moved, by reason, and
    whoever was named and has nothing of it. Refused while another move of the same plan or add-on is not done.
    """
    async with call.read() as view:
        await ready_move(view, body, call.parts.snapshots.catalogs)
    return Reply(previews.preview_move(call.storage, call.workspace, call.actor, body, call.parts.snapshots.catalogs))


@operation(
    "POST",
    "/v1/catalog/moves",
    tag=TAG,
    scopes=("catalog:write",),
    writes=True,
    status=201,
    example_query={"preview": PREVIEW, "max_losing": "3"},
    example=SENT,
    answer=BEGUN,
    problems=("conflict", "no_catalog", "preview_required", "preview_stale", "blast_radius"),
)
async def create_move(call: Call, query: ConsentQuery, body: MoveCommand) -> MoveView:
    """Begin to move customers from one version of a plan or add-on to another.

    Nobody is moved by this yet: `advance` does it, batch by batch. A move lies over what was bought: overrides,
    payments and orders stay as they are, and an order that names the old version again does not undo it. Refused
    without a preview of exactly this move where somebody loses something by it, and where more than `max_losing` do.
    """
    return await use.create_move(
        call.tx,
        body,
        call.parts.snapshots.catalogs,
        preview=query.preview,
        max_losing=query.max_losing,
        note=call.note,
    )


@operation(
    "POST",
    "/v1/catalog/moves/{move}/advance",
    tag=TAG,
    scopes=("catalog:write",),
    writes=True,
    example_path=ONE,
    example_query={"max_losing": "3"},
    answer=DONE,
    problems=("not_found", "no_catalog", "blast_radius"),
)
async def advance_move(call: Call, move: str, query: AllowQuery) -> MoveView:
    """Do the next batch of a move, or of taking it back: at most 200 customers, all of them or none.

    Repeat it until `state` is `moved` or `reversed`; broken off anywhere, it goes on with the next customer. Each
    customer's terms get a dated fact with an event, which is the notice: history and `entitlements?at=` show it.
    Everybody is judged once more when their turn comes, whoever joined the cohort or bought since the preview too: a
    batch by which more than `max_losing` would have lost something is refused whole, until `max_losing` is raised.
    """
    return await use.advance_move(call.tx, move, call.parts.snapshots.catalogs, max_losing=query.max_losing)


@operation(
    "POST",
    "/v1/catalog/moves/{move}/reverse/previews",
    tag=TAG,
    scopes=("catalog:write",),
    answers=(NDJSON,),
    example_path=ONE,
    answer={"preview": JUDGED},
    problems=("not_found", "no_catalog", "conflict"),
)
async def preview_reversal(call: Call, move: str) -> Annotated[Reply, PreviewLine]:
    """Judge what taking a move back would do to every live customer, before anything is taken back.

    Where the move has begun for a customer, what differs now is looked at; where it is only announced, what differs
    at the instant at which it would begin. `left_out` counts what would keep what it has, by reason.
    """
    catalogs = call.parts.snapshots.catalogs
    async with call.read() as view:
        await catalogs.current(view)
        await previews.ready_return(view, move)
    return Reply(previews.preview_return(call.storage, call.workspace, call.actor, move, catalogs))


@operation(
    "POST",
    "/v1/catalog/moves/{move}/reverse",
    tag=TAG,
    scopes=("catalog:write",),
    writes=True,
    example_path=ONE,
    example_query={"preview": PREVIEW, "max_losing": "3"},
    answer=DONE | {"state": "reversing"},
    problems=("not_found", "conflict", "no_catalog", "preview_required", "preview_stale", "blast_radius"),
)
async def reverse_move(call: Call, move: str, query: ConsentQuery) -> MoveView:
    """Begin to take a move back, done or not; `advance` does it, batch by batch.

    Where it has not begun it never was; where it has, it ends at that instant. Whoever has something else by now
    keeps it. Refused without a preview of the way back where somebody loses something by it, and where more than
    `max_losing` do.
    """
    catalogs = call.parts.snapshots.catalogs
    return await use.reverse_move(call.tx, move, catalogs, preview=query.preview, max_losing=query.max_losing)


@operation(
    "GET",
    "/v1/catalog/moves",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    answer={"items": [DONE], "next": None},
)
async def list_moves(call: Call, query: Paging) -> Listing[MoveView]:
    """List moves, newest first."""
    async with call.read() as view:
        return query.listing(await views.list_moves(view, query.page), lambda row: row.id)


@operation(
    "GET",
    "/v1/catalog/moves/{move}",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    example_path=ONE,
    answer=DONE,
    problems=("not_found",),
)
async def get_move(call: Call, move: str, query: AtLeast) -> MoveView:  # noqa: ARG001 read by the runner
    """Return a move and how far it has come."""
    async with call.read() as view:
        return await views.get_move(view, move)


@operation(
    "GET",
    "/v1/catalog/moves/{move}/customers",
    tag=TAG,
    scopes=("admin",),
    sensitive=True,
    example_path=ONE,
    example_query={"state": "left_out"},
    answer={
        "items": [
            {
                "customer": "acme",
                "subscription": SUBSCRIPTION,
                "state": "left_out",
                "effective_at": None,
                "words": ENDED,
            }
        ],
        "next": None,
    },
    problems=("not_found",),
)
async def list_moved(call: Call, move: str, query: MovedQuery) -> Listing[MovedSubscription]:
    """List what a move did to each subscription: moved from when on, left out or kept with the reason, taken back."""
    async with call.read() as view:
        rows = await views.list_moved(view, move, query.page, query.state)
    return query.listing(rows, _place)


def _place(row: MovedSubscription) -> str:
    return msgspec.json.encode([row.customer, row.subscription or ""]).decode()
