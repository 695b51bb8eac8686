"""The log and the clock over HTTP."""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, operation
from licet.services import log, workspaces
from licet.services.rows import Page
from licet.services.workspaces import ClockView as ClockRow
from licet.services.workspaces import MoveClock
from licet.wire.event import Event

TAG: Final = "Log and findings"
CLOCK_TAG: Final = "Clock"
EVENT: Final = {
    "seq": 7,
    "id": "evt_0198f3a2c4d17c3e9a51b2c3d4e5f607",
    "type": "customer.created",
    "recorded_at": "2026-03-01T09:00:00Z",
    "wall_at": "2026-03-01T09:00:00Z",
    "effective_at": "2026-03-01T09:00:00Z",
    "actor": "key:k5cqv3zt6yb2m4na",
    "note": "",
    "cause": None,
    "subject": "customer/acme",
    "revision": 1,
    "before": None,
    "after": {"id": "acme", "external_ids": {}, "profile": {"region": "eu"}},
    "schema": 1,
    "prev": "6d2c1f0e…",
    "hash": "a0b1c2d3…",
}
CLOCK: Final = {
    "workspace": "test",
    "kind": "test",
    "now": "2026-03-15T09:00:00Z",
    "wall": "2026-03-01T09:00:00Z",
    "offset": 1209600000000,
    "frozen_at": None,
}


class ClockView(Struct, frozen=True, kw_only=True):
    """What a workspace's clock shows."""

    workspace: str
    kind: Literal["live", "test"]
    now: datetime
    """Business time: what rights are computed with."""
    wall: datetime
    """Real time."""
    offset: int
    """Microseconds by which business time is ahead, while it runs."""
    frozen_at: datetime | None
    """Where business time stands still."""


class EventQuery(Paging, frozen=True, kw_only=True):
    """Which events."""

    after: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    """Only events after this sequence; like ``cursor``, of which one is enough."""
    subject: Annotated[str, Meta(max_length=300)] | None = None
    """Only about this, such as ``customer/acme``."""
    type: Annotated[str, Meta(max_length=100)] | None = None
    """Only of this type, such as ``order.applied``."""


@operation(
    "GET",
    "/v1/events",
    tag=TAG,
    scopes=("admin",),
    example_query={"after": "6", "subject": "customer/acme"},
    answer={"items": [EVENT], "next": None},
    sensitive=True,
)
async def list_events(call: Call, query: EventQuery) -> Listing[Event]:
    """List what happened, in the order in which it was committed: gap-free, hash-chained, never rewritten."""
    page = query.page if query.after is None or query.cursor else Page(after=str(query.after), limit=query.limit)
    async with call.read() as view:
        rows = await log.list_events(view, page, subject=query.subject, type=query.type)
    return query.listing(rows, lambda event: str(event.seq))


@operation("GET", "/v1/clock", tag=CLOCK_TAG, scopes=("check", "admin"), answer=CLOCK)
async def get_clock(call: Call, query: AtLeast) -> ClockView:  # noqa: ARG001 read by the runner
    """Say what time it is in the workspace. A live one's business time is real time."""
    async with call.read() as view:
        return _clock(workspaces.read_clock(view))


@operation(
    "POST",
    "/v1/clock",
    tag=CLOCK_TAG,
    scopes=("admin",),
    writes=True,
    example={"advance": "P14D"},
    answer=CLOCK,
    problems=("conflict",),
)
async def move_clock(call: Call, body: MoveClock) -> ClockView:
    """Move the business clock of a test workspace forward; it never goes back.

    Exactly one of `advance` (by a duration), `to` (an instant, running on), `frozen_at` (an instant, standing still)
    and `offset` (so far ahead of real time).
    """
    return _clock(await workspaces.move_clock(call.tx, body))


def _clock(row: ClockRow) -> ClockView:
    return ClockView(
        workspace=row.workspace,
        kind="test" if row.kind == "test" else "live",
        now=row.business,
        wall=row.wall,
        offset=row.offset,
        frozen_at=row.frozen_at,
    )
