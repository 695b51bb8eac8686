"""Previews on live customers over HTTP: made while progress is told, looked at, listed customer by customer."""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import JSON, NDJSON, YAML, Document, Listing, Paging, Reply, operation
from licet.api.v1.catalog import SENT, TAG, scan_document
from licet.core.catalog import Catalog
from licet.core.instant import to_instant
from licet.door.limits import MAX_CATALOG_BODY
from licet.services import catalog_previews as use
from licet.services.catalog_previews import Effect, PreviewLine, PreviewView, TouchedView
from licet.services.normal import utc
from licet.services.proposals import propose_catalog

PREVIEW: Final = "prv_0195506d2f0070008000000000000001"
LOST: Final = {"feature": "sso", "title": "Single sign-on", "kind": "loss", "was": "on", "becomes": "not included"}
SHOWN: Final[dict[str, Any]] = {
    "id": PREVIEW,
    "kind": "catalog",
    "base": 1,
    "at": "2026-03-01T09:00:00Z",
    "what_if": False,
    "seq": 4031,
    "begun_at": "2026-03-01T09:00:00Z",
    "finished_at": "2026-03-01T09:00:02Z",
    "done": 812,
    "total": 812,
    "summary": {
        "customers": 812,
        "affected": 1,
        "gaining": 0,
        "losing": 1,
        "exceeding": 0,
        "breaking": 0,
        "features": [
            {
                "feature": "sso",
                "title": "Single sign-on",
                "gain": 0,
                "loss": 1,
                "more": 0,
                "less": 0,
                "changed": 0,
                "exceeded": 0,
            }
        ],
        "groups": [
            {
                "number": 1,
                "customers": 1,
                "changes": [{**LOST, "reason": "not_entitled"}],
                "exceeding": [],
                "breaking": [],
                "examples": ["acme"],
            }
        ],
        "left_out": [],
    },
}


class AtQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of when."""

    at: Annotated[datetime, Meta(tz=True)] | None = None
    """The business instant at which customers are judged, which no release accepts; now where absent."""


class TouchedQuery(Paging, frozen=True, kw_only=True):
    """Which of the customers to whom something happens."""

    feature: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Those for whom this feature moves."""
    effect: Effect | None = None
    """Those to whom this happens; with `feature`, to whom it happens with that one."""


@operation(
    "POST",
    "/v1/catalog/previews",
    tag=TAG,
    scopes=("catalog:write",),
    body=Catalog,
    accepts=(JSON, YAML),
    answers=(NDJSON,),
    max_body=MAX_CATALOG_BODY,
    example=SENT,
    answer={"preview": SHOWN},
    problems=("catalog_invalid", "stale_base"),
)
async def make_preview(call: Call, query: AtQuery, body: Document) -> Annotated[Reply, PreviewLine]:
    """Judge what a catalog would do to every live customer, before it is released.

    Each line of the answer tells how many customers have been judged, at least once a second, and the last one is the
    preview: how many customers gain, lose or exceed what. It is kept for 7 days (the newest 20), and a release of
    exactly this catalog names it within the hour. With `at` it only tells what would be then, and cannot be applied;
    nor can one that breaks off, which is kept as unfinished.
    """
    scan_document(body)
    async with call.read() as view:
        proposed = await propose_catalog(view, body.content)
    at = None if query.at is None else to_instant(utc(query.at, "at"))
    return Reply(use.preview_on_customers(call.storage, call.workspace, call.actor, proposed, at))


@operation(
    "GET",
    "/v1/catalog/previews/{preview}",
    tag=TAG,
    scopes=("catalog:write",),
    example_path={"preview": PREVIEW},
    answer=SHOWN,
    problems=("not_found",),
)
async def get_preview(call: Call, preview: str) -> PreviewView:
    """Return a preview. Without `summary` it is not finished, or broke off."""
    async with call.read() as view:
        return await use.get_preview(view, preview)


@operation(
    "GET",
    "/v1/catalog/previews/{preview}/customers",
    tag=TAG,
    scopes=("admin",),
    sensitive=True,
    example_path={"preview": PREVIEW},
    example_query={"effect": "losing"},
    answer={
        "items": [
            {
                "customer": "acme",
                "changes": [{**LOST, "reason": "not_entitled"}],
                "exceeding": [],
                "exceeded": [],
                "breaking": [],
            }
        ],
        "next": None,
    },
    problems=("not_found",),
)
async def list_preview_customers(call: Call, preview: str, query: TouchedQuery) -> Listing[TouchedView]:
    """List the customers to whom something happens, and what, by id."""
    async with call.read() as view:
        rows = await use.list_preview_customers(view, preview, query.page, feature=query.feature, effect=query.effect)
    return query.listing(rows, lambda row: row.customer)
