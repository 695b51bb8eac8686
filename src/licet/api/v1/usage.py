"""Usage over HTTP as it was recorded: facts, refused requests, sealed segments."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from licet.api.call import Call
from licet.api.contract import NDJSON, AtLeast, Listing, Paging, Reply, operation
from licet.api.cursors import cursor_of
from licet.api.v1.consume import USE
from licet.api.v1.customers import ACME
from licet.core.catalog import Id
from licet.core.usage.block import By
from licet.door.limits import MAX_PAGE
from licet.services.normal import invalid
from licet.services.usage import sums as summing
from licet.services.usage import top as most
from licet.services.usage import views as use
from licet.services.usage.ports import UsageFilter
from licet.services.usage.sums import Telling, UsageSum
from licet.services.usage.top import MAX_SECONDS, Top
from licet.services.usage.views import ExportLine, FactView, RefusalView, SegmentView

TAG: Final = "Usage on record"
FACT: Final = {
    "serial": 48213,
    "id": USE,
    "kind": "consume",
    "at": "2026-03-01T09:00:00Z",
    "recorded_at": "2026-03-01T09:00:00.004Z",
    "customer": "acme",
    "user": "ann",
    "asked": {"api_calls": 25},
    "metered": {"api_calls": 25},
    "burns": {"api_calls": 25},
    "source": {"key": "call-7391"},
}
SUM: Final = {
    "customer": "acme",
    "meter": "api_calls",
    "begins_at": "2026-03-01T00:00:00Z",
    "dimensions": {"region": "eu"},
    "events": 310,
    "quantity": 7750,
    "unit": "API calls",
}
REFUSED: Final = {
    "id": "5f1d3c0a9be84a7c8f2e6d7b1a0c9e8d",
    "customer": "acme",
    "feature": "api_calls",
    "user": "ann",
    "quantity": 25,
    "reason": "limit_reached",
    "refused_at": "2026-03-01T09:00:00Z",
}
MOST: Final = {
    "customer": "acme",
    "feature": "api_calls",
    "requests": 310,
    "quantity": 7750,
    "refused": 2,
    "used": 98750,
    "granted": 100000,
    "remaining": 1250,
    "unit": "API calls",
}
SEGMENT: Final = {
    "number": 5,
    "first": 40001,
    "count": 10000,
    "root": "9d2c2b7ab0c1f6a5e8d4c3b2a1908f7e6d5c4b3a29180f7e6d5c4b3a29181706",
    "previous": "1f0e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "sealed_at": "2026-03-01T09:05:00Z",
}
Instant = Annotated[datetime, Meta(tz=True)]


class FactsQuery(Paging, frozen=True, kw_only=True):
    """Which usage, and which page: ``[since, until)`` of business time."""

    customer: Id | None = None
    """Only of this customer."""
    meter: Id | None = None
    """Only what this meter counted."""
    since: Instant | None = None
    """Used from this instant on."""
    until: Instant | None = None
    """Used before this instant."""


class ExportQuery(AtLeast, frozen=True, kw_only=True):
    """Which usage: ``[since, until)`` of business time."""

    customer: Id | None = None
    """Only of this customer."""
    meter: Id | None = None
    """Only what this meter counted."""
    since: Instant | None = None
    """Used from this instant on."""
    until: Instant | None = None
    """Used before this instant."""


class SumsQuery(Paging, frozen=True, kw_only=True):
    """Which usage, and how it is summed up: whole hours, days or months of UTC in ``[since, until)``."""

    meter: Id | None = None
    """Only what this meter counted."""
    by: By = "day"
    """What is summed up to one number: an hour, a day or a month of UTC."""
    since: Instant | None = None
    """From this instant on: the beginning of an hour, day or month of UTC, as `by` says."""
    until: Instant | None = None
    """Before this instant: the end of an hour, day or month of UTC, as `by` says."""
    dimensions: Annotated[str, Meta(max_length=1300)] | None = None
    """By which dimensions of the meters it is told apart, with commas between; by none where absent."""

    @property
    def telling(self) -> Telling:
        """Return what is told apart; raises Invalid for a dimension that is named twice, or none."""
        names = () if self.dimensions is None else tuple(self.dimensions.split(","))
        if len(set(names)) < len(names) or "" in names:
            raise invalid("dimensions", f"{self.dimensions!r} is no list of names", "write each once: region,model")
        return Telling(by=self.by, dimensions=names)


class AllSumsQuery(SumsQuery, frozen=True, kw_only=True):
    """Whose usage, which, and how it is summed up."""

    customer: Id | None = None
    """Only of this customer."""


class RefusalQuery(Paging, frozen=True, kw_only=True):
    """Which refused requests: ``[since, until)`` of business time."""

    customer: Id | None = None
    """Only of this customer."""
    feature: Id | None = None
    """Only of this feature."""
    since: Instant | None = None
    """Refused from this instant on."""
    until: Instant | None = None
    """Refused before this instant."""


class TopQuery(AtLeast, frozen=True, kw_only=True):
    """What just now is, and how much of it."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] = 60
    """How long ago at most."""
    customer: Id | None = None
    """Only of this customer."""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 20
    """Rows at most."""


@operation(
    "GET",
    "/v1/customers/{customer}/usage",
    tag=TAG,
    scopes=("check", "usage"),
    binding="path",
    example_path=ACME,
    example_query={"meter": "api_calls", "by": "day", "since": "2026-03-01", "dimensions": "region"},
    answer={"items": [SUM], "next": None},
    problems=("no_catalog",),
)
async def sum_customer_usage(call: Call, customer: str, query: SumsQuery) -> Listing[UsageSum]:
    """Sum up what a customer used, by hours, days or months of UTC, meter by meter, and by dimensions.

    Usage that has just been recorded is in it. A page ends with a whole hour, day or month of one meter: it may hold
    more than `limit` where dimensions tell many apart.
    """
    return await _summed(call, query, customer)


@operation(
    "GET",
    "/v1/usage",
    tag=TAG,
    scopes=("usage", "admin"),
    binding="own",
    example_query={"meter": "api_calls", "by": "month"},
    answer={"items": [SUM | {"begins_at": "2026-03-01T00:00:00Z", "dimensions": {}}], "next": None},
    problems=("no_catalog",),
)
async def sum_usage(call: Call, query: AllSumsQuery) -> Listing[UsageSum]:
    """Sum up what all customers used, customer by customer. A key that is bound to a customer sees that one's."""
    return await _summed(call, query, whose(call, query.customer))


async def _summed(call: Call, query: SumsQuery, customer: str | None) -> Listing[UsageSum]:
    only = UsageFilter(customer=customer, meter=query.meter, since=query.since, until=query.until)
    async with call.read() as view:
        sums, after = await summing.sum_usage(view, only, query.telling, query.page, call.parts.snapshots.catalogs)
    return Listing(items=sums, next=None if after is None else cursor_of(after))


@operation(
    "GET",
    "/v1/usage/facts",
    tag=TAG,
    scopes=("usage", "admin"),
    binding="own",
    example_query={"customer": "acme", "since": "2026-03-01"},
    answer={"items": [FACT], "next": None},
    problems=("no_catalog",),
    sensitive=True,
)
async def list_facts(call: Call, query: FactsQuery) -> Listing[FactView]:
    """List recorded usage in the order in which it was recorded: what was consumed, reported, reserved, given back.

    A key that is bound to a customer sees that one's.
    """
    async with call.read() as view:
        rows = await use.list_facts(view, _only(call, query), query.page, call.parts.snapshots.catalogs)
    return query.listing(rows, lambda one: str(one.serial))


@operation(
    "GET",
    "/v1/usage/facts/export",
    tag=TAG,
    scopes=("usage", "admin"),
    binding="own",
    example_query={"customer": "acme", "since": "2026-03-01"},
    answer={"fact": FACT},
    answers=(NDJSON,),
    problems=("no_catalog",),
    sensitive=True,
)
async def export_facts(call: Call, query: ExportQuery) -> Annotated[Reply, ExportLine]:
    """Export recorded usage line by line, from one state of the database.

    Each line holds one `fact`, the last one (`end`) how many there were: without it the export is not whole.
    """
    return Reply(_lines(call, _only(call, query)), media_type=NDJSON)


async def _lines(call: Call, only: UsageFilter) -> AsyncGenerator[ExportLine, None]:
    lines = use.export_facts(call.storage, call.workspace, only, call.parts.snapshots.catalogs)
    async with aclosing(lines):
        async for line in lines:
            yield line


@operation(
    "GET",
    "/v1/usage/refusals",
    tag=TAG,
    scopes=("usage", "admin"),
    binding="own",
    example_query={"feature": "api_calls"},
    answer={"items": [REFUSED], "next": None},
    problems=("no_catalog",),
    sensitive=True,
)
async def list_refusals(call: Call, query: RefusalQuery) -> Listing[RefusalView]:
    """List refused requests, the newest first: of whom, of what, how much, why. One that comes again counts once."""
    only = UsageFilter(customer=whose(call, query.customer), meter=query.feature, since=query.since, until=query.until)
    async with call.read() as view:
        rows = await use.list_refusals(view, only, query.page, call.parts.snapshots.catalogs)
    return query.listing(rows, lambda one: one.id)


@operation(
    "GET",
    "/v1/usage/top",
    tag=TAG,
    scopes=("check", "usage"),
    binding="own",
    example_query={"seconds": "60"},
    answer={"at": "2026-03-01T09:00:00Z", "seconds": 60, "requests": 12, "items": [MOST]},
    problems=("no_catalog",),
)
async def list_top(call: Call, query: TopQuery) -> Top:
    """List what is used most just now, by customer and feature: how often, how much, what was refused, what is left.

    Of all servers together, by real time; the newest 100,000 facts at most are looked at. Balances are
    told as they stand now, in the first 100 rows; of a level there is no ``quantity``.
    """
    customer = whose(call, query.customer)
    async with call.read() as view:
        return await most.top(view, customer, query.seconds, query.limit, call.parts.snapshots)


@operation(
    "GET",
    "/v1/usage/segments",
    tag=TAG,
    scopes=("admin",),
    answer={"items": [SEGMENT], "next": None},
)
async def list_segments(call: Call, query: Paging) -> Listing[SegmentView]:
    """List sealed usage: segments of facts with the root over each, as the log holds it in `usage.sealed`."""
    async with call.read() as view:
        rows = await use.list_segments(view, query.page)
    return query.listing(rows, lambda one: str(one.number))


def _only(call: Call, query: FactsQuery | ExportQuery) -> UsageFilter:
    customer = whose(call, query.customer)
    return UsageFilter(customer=customer, meter=query.meter, since=query.since, until=query.until)


def whose(call: Call, customer: str | None) -> str | None:
    """Return about whom is asked: a bound key's own customer; raises Refusal where it asks about another."""
    bound = call.caller.customer
    if customer is not None:
        call.caller.may_see(customer)
    return customer if bound is None else bound
