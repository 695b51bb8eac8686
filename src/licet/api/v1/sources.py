"""Configured foreign systems, their deliveries, and the door by which they deliver."""

from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import AtLeast, Document, Listing, Paging, operation
from licet.services import deliveries, discards, replay, sources
from licet.services.deliveries import DeliveryResult, Inbox
from licet.services.discards import DiscardDelivery, Discarded
from licet.services.errors import NotFound
from licet.services.replay import Replay, Replayed
from licet.services.rows import DeliveryOutcome, DeliveryRow, SourceRow, SourceStatus
from licet.services.sources import PutSource

TAG: Final = "Sources and deliveries"
SOURCE: Final = {
    "id": "stripe",
    "workspace": "live",
    "kind": "stripe",
    "settings": {"mapping": "stripe"},
    "disabled": False,
    "created_at": "2026-03-01T09:00:00Z",
    "path": "/v1/connectors/live/stripe",
}
DELIVERY: Final = {
    "source": "stripe",
    "id": "evt_1P0abcLkdIwHu7ix",
    "type": "customer.subscription.updated",
    "created": "2026-03-01T09:00:00Z",
    "received_at": "2026-03-01T09:00:01Z",
    "outcome": "applied",
    "words": "order for customer acme: applied",
    "body": '{"id":"evt_1P0abcLkdIwHu7ix", …}',
}
RESULT: Final = {
    "delivery": "evt_1P0abcLkdIwHu7ix",
    "outcome": "applied",
    "words": "order for customer acme: applied",
    "seq": 12,
}
STATUS: Final = {
    "source": "stripe",
    "last_day": {"applied": 1204, "duplicate": 3, "ignored": 88, "failed": 1},
    "failed": 2,
    "waiting": 1,
    "oldest_failed_at": "2026-02-27T16:02:11Z",
    "oldest_waiting_at": "2026-03-01T08:59:40Z",
    "last_received_at": "2026-03-01T09:00:01Z",
    "lag_last": 0.84,
    "lag_median": 0.91,
    "lag_max": 62.5,
}
REPLAYED: Final = {
    "tried": 3,
    "outcomes": {"applied": 2, "failed": 1},
    "failing": [
        {
            "delivery": "evt_1P0abcLkdIwHu7ix",
            "type": "customer.subscription.updated",
            "words": "the message does not hold all items of subscription sub_1Mow",
        }
    ],
    "next": None,
}
STRIPE: Final = {"source": "stripe"}


class DeliveryPaging(Paging, frozen=True, kw_only=True):
    """One page of deliveries."""

    outcome: DeliveryOutcome | None = None
    """Only those that ended so; `failed` are the dead letters."""


class ConfiguredSource(Struct, frozen=True, kw_only=True):
    """A configured foreign system. Its secrets are never shown."""

    id: str
    workspace: str
    kind: Literal["stripe", "generic"]
    settings: dict[str, str]
    disabled: bool
    created_at: datetime
    path: str
    """Where it delivers to, on this server."""


class Sources(Struct, frozen=True, kw_only=True):
    """Every configured source."""

    items: list[ConfiguredSource]
    next: None = None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One message of a foreign system. ``body`` is there where a single delivery is asked for."""

    source: str
    id: str
    type: str
    created: datetime
    received_at: datetime
    outcome: DeliveryOutcome
    words: str
    body: str | None = None
    erased_at: datetime | None = None
    """When the body was erased with personal values."""


@operation(
    "PUT",
    "/v1/sources/{source}",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    example_path=STRIPE,
    example={"kind": "stripe", "secrets": ["whsec_9d3fA1b2C3d4E5f6"], "settings": {"mapping": "stripe"}},
    answer=SOURCE,
    problems=("conflict",),
)
async def put_source(call: Call, source: str, body: PutSource) -> ConfiguredSource:
    """Configure a foreign system, or change how it is configured.

    Secrets are sealed before they are written and never shown again; up to two are accepted at once, newest first, so
    that one can be rotated. Without `secrets` the known ones stay.
    """
    return _source(call.workspace, await sources.put_source(call.tx, source, body))


@operation("GET", "/v1/sources", tag=TAG, scopes=("admin",), answer={"items": [SOURCE], "next": None})
async def list_sources(call: Call, query: AtLeast) -> Sources:  # noqa: ARG001 read by the runner
    """List configured sources."""
    async with call.read() as view:
        return Sources(items=[_source(call.workspace, row) for row in await sources.list_sources(view)])


@operation("GET", "/v1/sources/{source}", tag=TAG, scopes=("admin",), example_path=STRIPE, answer=SOURCE)
async def get_source(call: Call, source: str, query: AtLeast) -> ConfiguredSource:  # noqa: ARG001 read by the runner
    """Return one source."""
    async with call.read() as view:
        return _source(call.workspace, await sources.get_source(view, source))


@operation("GET", "/v1/sources/{source}/status", tag=TAG, scopes=("admin",), example_path=STRIPE, answer=STATUS)
async def source_status(call: Call, source: str, query: AtLeast) -> SourceStatus:  # noqa: ARG001 read by the runner
    """Return how a source fares: what came in the last day, what failed or waits, how late messages come.

    Times are real, in test workspaces too. Lag is the time from a message's creation there to its receipt here.
    """
    async with call.read() as view:
        return await sources.source_status(view, source)


@operation(
    "POST",
    "/v1/sources/{source}/replay",
    tag=TAG,
    scopes=("admin",),
    optional_body=True,
    example_path=STRIPE,
    example={"outcomes": ["failed", "waiting"], "limit": 100},
    answer=REPLAYED,
    problems=("conflict", "unavailable"),
)
async def replay_source(call: Call, source: str, body: Replay) -> Replayed:
    """Try messages that failed or wait again, oldest first: after the cause was mended.

    Each is applied on its own, so that a bad one stops no other, and together with what it sets free. `next` goes into
    `after` of the next request; without it none are left.
    """
    return await replay.replay_deliveries(_inbox(call), call.workspace, source, body)


@operation(
    "GET",
    "/v1/sources/{source}/deliveries",
    tag=TAG,
    scopes=("admin",),
    example_path=STRIPE,
    answer={"items": [DELIVERY | {"body": None}], "next": None},
)
async def list_deliveries(call: Call, source: str, query: DeliveryPaging) -> Listing[DeliveryView]:
    """List a source's messages, newest first, and how each ended."""
    async with call.read() as view:
        rows = await deliveries.list_deliveries(view, source, query.page, query.outcome)
    return query.listing([_delivery(row) for row in rows], lambda row: row.id)


@operation(
    "GET",
    "/v1/sources/{source}/deliveries/{delivery}",
    tag=TAG,
    scopes=("admin",),
    example_path=STRIPE | {"delivery": "evt_1P0abcLkdIwHu7ix"},
    answer=DELIVERY,
    sensitive=True,
)
async def get_delivery(call: Call, source: str, delivery: str) -> DeliveryView:
    """Return one message as it came, and how it ended."""
    async with call.read() as view:
        return _delivery(await deliveries.get_delivery(view, source, delivery), whole=True)


@operation(
    "POST",
    "/v1/sources/{source}/deliveries/{delivery}/retry",
    tag=TAG,
    scopes=("admin",),
    example_path=STRIPE | {"delivery": "evt_1P0abcLkdIwHu7ix"},
    answer=RESULT,
    problems=("conflict",),
)
async def retry_delivery(call: Call, source: str, delivery: str) -> DeliveryResult:
    """Try a message again that failed, waits, was given up or ended in a finding.

    An order that was refused because the catalog did not explain it is placed once the catalog does. What changes
    nothing the second time stays as it ended.
    """
    return await deliveries.retry_delivery(_inbox(call), call.workspace, source, delivery)


@operation(
    "POST",
    "/v1/sources/{source}/deliveries/{delivery}/discard",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    example_path=STRIPE | {"delivery": "evt_1P0abcLkdIwHu7ix"},
    example={"note": "a subscription of our own tests"},
    answer={
        "delivery": "evt_1P0abcLkdIwHu7ix",
        "outcome": "discarded",
        "words": "given up: a subscription of our own tests; before: the message is not JSON",
    },
    problems=("conflict",),
)
async def discard_delivery(call: Call, source: str, delivery: str, body: DiscardDelivery) -> Discarded:
    """Give up a message that failed or waits: it is no dead letter any more, and its finding is settled.

    It is kept with the note, and can still be tried again.
    """
    return await discards.discard_delivery(call.tx, source, delivery, body)


@operation(
    "POST",
    "/v1/connectors/{workspace}/{source}",
    tag=TAG,
    example_path=STRIPE | {"workspace": "live"},
    example={"id": "evt_1P0abcLkdIwHu7ix", "type": "customer.subscription.updated"},
    answer=RESULT,
    problems=("bad_signature", "conflict", "rate_limited", "unavailable"),
    body=dict[str, Any],
)
async def receive_delivery(call: Call, workspace: str, source: str, body: Document) -> DeliveryResult:
    """Take in a message of a foreign system: needs no key, but a signature with the source's secret.

    Answered once it is kept and applied. Whatever else is wrong with a rightly signed message is kept with it, so the
    sender need not send it again; the same message again changes nothing. An unknown workspace and an unknown source
    are refused alike. Beyond its rate a sender or a source is told when to come again.
    """
    try:
        return await deliveries.receive_delivery(_inbox(call), workspace, source, dict(call.headers), body.content)
    except NotFound:
        raise NotFound(
            "no source takes deliveries at this address",
            advice="compare the address with the source's path: `licet connector list` shows it",
        ) from None


def _inbox(call: Call) -> Inbox:
    return Inbox(call.storage, call.parts.connectors, call.parts.snapshots.catalogs)


def _source(workspace: str, row: SourceRow) -> ConfiguredSource:
    return ConfiguredSource(
        id=row.id,
        workspace=workspace,
        kind=row.kind,
        settings=row.settings,
        disabled=row.disabled,
        created_at=row.created_at,
        path=f"/v1/connectors/{workspace}/{row.id}",
    )


def _delivery(row: DeliveryRow, *, whole: bool = False) -> DeliveryView:
    return DeliveryView(
        source=row.source,
        id=row.id,
        type=row.type,
        created=row.created,
        received_at=row.received_at,
        outcome=row.outcome,
        words=row.words,
        body=row.body.decode("utf-8", "replace") if whole else None,
        erased_at=row.erased_at,
    )
