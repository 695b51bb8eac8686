"""The catalog as code over HTTP: previewed, released on a base, fetched back, shown as a matrix."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import JSON, YAML, AtLeast, Document, Listing, Paging, Reply, operation
from licet.api.refusals import places_of
from licet.core.catalog import Catalog
from licet.core.catalog_diff import Change
from licet.core.instant import to_datetime, to_instant
from licet.core.matrix import Audience, Column, Row
from licet.door.limits import MAX_CATALOG_BODY
from licet.door.problems import Place
from licet.door.scan import scan
from licet.services import catalogs as use
from licet.services.catalogs import CatalogApplied, CatalogRevision, CatalogView

TAG: Final = "Catalog"
Revision = Annotated[int, Meta(ge=1, le=2**53 - 1)]
SENT: Final = {
    "version": 1,
    "products": {"meridian": {"name": "Meridian"}},
    "features": {"sso": {"type": "switch", "title": "Single sign-on"}, "projects": {"type": "limit"}},
    "plans": {"team": {"product": "meridian", "versions": {"2026-01": {"includes": {"sso": True, "projects": 20}}}}},
}
HASH: Final = "b4f0c1d2e3a495867768594a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"
CHANGE: Final = {
    "path": "plans.team",
    "kind": "added",
    "before": None,
    "after": {"product": "meridian"},
    "sentence": "the plan team is new",
    "effect": "none",
    "warning": "",
}
RELEASE: Final = {
    "revision": 1,
    "hash": HASH,
    "released_at": "2026-03-01T09:00:00Z",
    "actor": "key:k5cqv3zt6yb2m4na",
    "note": "first release",
}


class BaseQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On what a change was made."""

    base: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    """The revision that was previewed; 0 for the first release."""
    preview: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The preview on live customers by which it is released; needed where it can move what they have already."""
    max_losing: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """How many customers may lose something."""


class ByQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what it is going to be released."""

    preview: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """A preview on live customers; refused (`preview_stale`) where a release could not go by it."""


class RevisionQuery(AtLeast, frozen=True, kw_only=True):
    """Which release."""

    revision: Revision | None = None
    """The newest where absent."""


class MatrixQuery(AtLeast, frozen=True, kw_only=True):
    """The matrix of what is sold when, and for whom."""

    at: Annotated[datetime, Meta(tz=True)] | None = None
    """Now where absent."""
    audience: Audience = "customer"


class Preview(Struct, frozen=True, kw_only=True):
    """What a release would do. ``problems`` empty means that it can be applied on ``base``."""

    base: int
    problems: tuple[Place, ...]
    changes: tuple[Change, ...]


class MatrixView(Struct, frozen=True, kw_only=True):
    """What is sold at an instant. The cells of a row stand in the order of the columns."""

    at: datetime
    audience: Audience
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@operation(
    "PUT",
    "/v1/catalog",
    tag=TAG,
    scopes=("catalog:write",),
    writes=True,
    body=Catalog,
    accepts=(JSON, YAML),
    max_body=MAX_CATALOG_BODY,
    example_query={"base": "0"},
    example=SENT,
    answer={"revision": 1, "hash": HASH, "changes": [CHANGE], "released": True},
    problems=("stale_base", "catalog_invalid", "preview_required", "preview_stale", "blast_radius"),
)
async def apply_catalog(call: Call, query: BaseQuery, body: Document) -> CatalogApplied:
    """Release a catalog, as JSON or YAML, on top of the revision it was made from.

    Refused whole if anything in it is wrong, each place told at once with line, column and what was probably meant;
    refused if somebody else released in between. `Licet-Note` is kept with the release. Nothing is released where
    nothing differs. A release that can move what live customers have names a `preview` of exactly this catalog on
    exactly this base, at most 24 hours old; customers whose terms changed since are judged again, and it is refused
    where more than `max_losing` would lose something.
    """
    scan_document(body)
    return await use.apply_catalog(
        call.tx, body.content, query.base, note=call.note, preview=query.preview, max_losing=query.max_losing
    )


@operation(
    "POST",
    "/v1/catalog/preview",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    body=Catalog,
    accepts=(JSON, YAML),
    max_body=MAX_CATALOG_BODY,
    example=SENT,
    answer={"base": 0, "problems": [], "changes": [CHANGE]},
    problems=("preview_stale",),
)
async def preview_catalog(call: Call, query: ByQuery, body: Document) -> Preview:
    """Say what is wrong with a catalog and how it differs from the newest release. Writes nothing."""
    scan_document(body)
    async with call.read() as view:
        seen = await use.preview_catalog(view, body.content, preview=query.preview)
    return Preview(base=seen.base, problems=places_of(seen.problems), changes=seen.changes)


@operation(
    "GET",
    "/v1/catalog",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    answers=(JSON, YAML),
    example_query={"revision": "1"},
    answer=RELEASE | {"doc": SENT},
    problems=("not_found",),
)
async def get_catalog(call: Call, query: RevisionQuery) -> Annotated[Reply, CatalogView]:
    """Return a release.

    With `Accept: application/yaml` the answer is the document alone, as YAML that applies to the same catalog.
    """
    async with call.read() as view:
        if YAML in call.headers.get("accept", ""):
            text = await use.get_catalog_text(view, query.revision)
            return Reply(text.encode(), media_type=YAML)
        return Reply(await use.get_catalog(view, query.revision))


@operation(
    "GET",
    "/v1/catalog/revisions",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    answer={"items": [RELEASE], "next": None},
)
async def list_catalog_revisions(call: Call, query: Paging) -> Listing[CatalogRevision]:
    """List releases, newest first."""
    async with call.read() as view:
        return query.listing(await use.list_catalogs(view, query.page), lambda row: str(row.revision))


@operation(
    "GET",
    "/v1/catalog/matrix",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    example_query={"audience": "support"},
    answer={
        "at": "2026-03-01T09:00:00Z",
        "audience": "customer",
        "columns": [{"kind": "plan", "id": "team", "version": "2026-01", "title": "Team", "description": ""}],
        "rows": [
            {
                "feature": "projects",
                "group": "core",
                "type": "limit",
                "title": "Projects",
                "description": "",
                "unit": "projects",
                "notes": "",
                "cells": ["20"],
            }
        ],
    },
    problems=("not_found",),
)
async def get_catalog_matrix(call: Call, query: MatrixQuery) -> MatrixView:
    """Return the feature matrix: which plan and add-on on sale gives what, in words for customers or for support."""
    async with call.read() as view:
        at = None if query.at is None else to_instant(query.at)
        found = await use.get_matrix(view, at, query.audience)
    return MatrixView(at=to_datetime(found.at), audience=found.audience, columns=found.columns, rows=found.rows)


def scan_document(body: Document) -> None:
    """Raise Refusal for JSON that no reader should be given: doubled keys, NUL, depth."""
    if body.media_type == JSON:
        scan(body.content)
