"""A customer's history over HTTP: what changed in its rights, when, by whom and why."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, field

from licet.api.call import Call
from licet.api.contract import Listing, Paging, operation
from licet.api.cursors import cursor_of
from licet.api.v1.customers import ACME
from licet.core.catalog import Id
from licet.services.chronicle import HistoryEntry, Stretch, customer_history

TAG: Final = "Checks"
ENTRIES: Final = [
    {
        "at": "2026-03-15T00:00:00Z",
        "kind": "time",
        "words": ["team is ended, was trialing"],
        "changes": [
            {
                "feature": "projects",
                "title": "Projects",
                "kind": "loss",
                "was": "20 projects",
                "becomes": "trial expired",
                "reason": "trial_expired",
            }
        ],
        "events": [],
        "seq": None,
        "by": None,
        "note": "",
        "effective_at": None,
    },
    {
        "at": "2026-03-01T09:00:02Z",
        "kind": "event",
        "words": ["order deal-1 from crm: team"],
        "changes": [
            {
                "feature": "projects",
                "title": "Projects",
                "kind": "gain",
                "was": "not included",
                "becomes": "20 projects",
                "reason": "not_entitled",
            }
        ],
        "events": ["evt_0198f3a2c4d17c3e9a51b2c3d4e5f607"],
        "seq": 9,
        "by": "key:k5cqv3zt6yb2m4na",
        "note": "",
        "effective_at": "2026-03-01T09:00:00Z",
    },
]


class HistoryQuery(Paging, frozen=True, kw_only=True):
    """Which part of the past; recorded from `from` (inclusive) until `to` (exclusive)."""

    from_: Annotated[datetime, Meta(tz=True)] | None = field(default=None, name="from")
    """An instant of business time; the customer's beginning where absent."""
    to: Annotated[datetime, Meta(tz=True)] | None = None
    """Now where absent."""
    feature: Id | None = None
    """Only what changed this feature."""


@operation(
    "GET",
    "/v1/customers/{customer}/history",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    example_query={"from": "2026-03-01T00:00:00Z", "feature": "projects"},
    answer={"items": ENTRIES, "next": None},
    sensitive=True,
)
async def get_history(call: Call, customer: str, query: HistoryQuery) -> Listing[HistoryEntry]:
    """List what changed in a customer's rights, newest first: when, by whom, why, and what was gained or lost.

    `event`: a command about the customer, or a release that changed something for it. `time`: what came into force by
    itself, such as the end of a trial. Rights are compared as they were known then. A page reads `limit` events and
    leaves out those that do not match, so it may hold more or fewer entries; only `next: null` is the end.
    """
    stretch = Stretch(
        page=query.page,
        start=query.from_,
        end=query.to,
        feature=query.feature,
        audience="server" if call.caller.customer is None else "customer",
    )
    async with call.read() as view:
        entries, before = await customer_history(view, customer, stretch, call.parts.snapshots)
    return Listing(items=entries, next=None if before is None else cursor_of(str(before)))
