"""Rehearsals over HTTP: recorded questions asked again under a proposed catalog, told while the work goes on."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import JSON, NDJSON, YAML, Document, Reply, operation
from licet.api.v1.catalog import SENT, TAG, scan_document
from licet.core.catalog import Catalog
from licet.door.limits import MAX_CATALOG_BODY
from licet.services import rehearsals as use
from licet.services.rehearsal_views import RehearsalLine
from licet.services.rehearsals import MAX_SHOWN, Script

Word = Annotated[str, Meta(min_length=1, max_length=128)]
COUNTED: Final = {
    "questions": 4031,
    "same": 4000,
    "differing": 21,
    "newly_denied": 21,
    "newly_allowed": 0,
    "observed": 0,
    "reason": 0,
    "already": 0,
    "undecided": 10,
}


class RehearsalQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which questions are asked again."""

    since: Annotated[datetime, Meta(tz=True)] | None = None
    """Asked at this instant of business time or later; 30 days before the end where absent."""
    until: Annotated[datetime, Meta(tz=True)] | None = None
    """Asked before this instant of business time; all up to now where absent."""
    feature: Word | None = None
    """Only about this feature."""
    customer: Word | None = None
    """Only of this customer."""
    limit: Annotated[int, Meta(ge=0, le=MAX_SHOWN)] = 100
    """So many differences are told one by one; all are counted."""


@operation(
    "POST",
    "/v1/catalog/rehearsals",
    tag=TAG,
    scopes=("admin",),
    sensitive=True,
    body=Catalog,
    accepts=(JSON, YAML),
    answers=(NDJSON,),
    max_body=MAX_CATALOG_BODY,
    example=SENT,
    example_query={"since": "2026-02-01T00:00:00Z", "feature": "projects"},
    answer={
        "rehearsal": {
            "base": 1,
            "unreleasable": [],
            "since": "2026-02-01T00:00:00Z",
            "until": "2026-03-01T09:00:00Z",
            **COUNTED,
            "shown": 21,
            "undecided_for": {"left_out": 10, "basis": 0, "amount": 0},
            "missing": [{"attribute": "tier", "questions": 10}],
            "by_feature": [{"feature": "projects", **COUNTED}],
        }
    },
    problems=("catalog_invalid", "no_catalog", "not_found"),
)
async def rehearse_catalog(call: Call, query: RehearsalQuery, body: Document) -> Annotated[Reply, RehearsalLine]:
    """Ask recorded questions again under a proposed catalog: which answers would differ.

    Asked again is every check on record of the period (features with `record: each`, kept for 90 days), at its own
    instant, of the terms and the user known at its basis. Answers are the same where outcome and first reason are;
    where the proposed catalog reads an attribute that was not kept, a question is undecided. A catalog that could not
    be released, because it changes a number of a released version, is rehearsed as if it had always been so. A feature
    that neither catalog has is refused (400), and so is a customer that neither exists nor was asked about (404). Each
    line of the answer tells how many questions have been asked, at least once a second, or one difference, the oldest
    first; the last one has the sums.
    """
    scan_document(body)
    script = Script(
        customer=query.customer, feature=query.feature, since=query.since, until=query.until, shown=query.limit
    )
    await call.parts.counting.settle(call.workspace)
    async with call.read() as view:
        plan = await use.plan_rehearsal(view, body.content, script)
    return Reply(use.rehearse(call.storage, call.workspace, plan))
