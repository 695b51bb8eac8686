"""Findings over HTTP: the inbox of what does not fit together, worked through by people."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, operation
from licet.services import findings as use
from licet.services.findings import ChangeFinding
from licet.services.rows import FindingFilter, FindingRow, FindingState

TAG: Final = "Log and findings"
ONE: Final = {"finding": "fnd_0198f3a2c4d57c3e9a51b2c3d4e5f60b"}
EXAMPLE: Final = {
    "id": ONE["finding"],
    "kind": "unknown_price",
    "severity": "medium",
    "subject": "stripe:sub_1NQ8/price_team_yearly",
    "words": "price price_team_yearly means nothing here; add it to orders.stripe in the catalog",
    "evidence": {"price": "price_team_yearly", "line": "si_1"},
    "state": "open",
    "seen": 2,
    "first_seen": "2026-03-01T09:00:00Z",
    "last_seen": "2026-03-02T09:00:00Z",
    "customer": "acme",
    "money": {"amount": 49000, "currency": "EUR"},
    "owner": "revenue operations",
    "due_at": "2026-03-04T09:00:00Z",
    "repair": "licet catalog apply catalog.yaml",
    "note": "",
    "settled_at": None,
}


class FindingQuery(Paging, frozen=True, kw_only=True):
    """Which findings."""

    state: FindingState | None = None
    """Only in this state."""
    kind: Annotated[str, Meta(max_length=128)] | None = None
    """Only of this kind, such as ``unknown_price``."""
    severity: Literal["low", "medium", "high"] | None = None
    """Only of this severity."""
    customer: Annotated[str, Meta(max_length=128)] | None = None
    """Only about this customer."""
    owner: Annotated[str, Meta(max_length=200)] | None = None
    """Only those of this owner, written exactly so."""
    overdue: Literal["true"] | None = None
    """Only open ones whose due date has passed."""


@operation(
    "GET",
    "/v1/findings",
    tag=TAG,
    scopes=("admin",),
    example_query={"state": "open", "severity": "medium"},
    answer={"items": [EXAMPLE], "next": None},
)
async def list_findings(call: Call, query: FindingQuery) -> Listing[FindingRow]:
    """List findings: places where what was sold, said or stored does not fit together.

    In the order in which they were opened. `repair` is a command for a POSIX shell, or advice where no single command
    would do; `docs/reference/findings.md` explains every kind.
    """
    async with call.read() as view:
        only = FindingFilter(
            state=query.state,
            kind=query.kind,
            severity=query.severity,
            customer=query.customer,
            owner=query.owner,
        )
        rows = await use.list_findings(view, only, query.page, overdue=query.overdue is not None)
    return query.listing(rows, lambda row: row.id)


@operation("GET", "/v1/findings/{finding}", tag=TAG, scopes=("admin",), example_path=ONE, answer=EXAMPLE)
async def get_finding(call: Call, finding: str, query: AtLeast) -> FindingRow:  # noqa: ARG001 read by the runner
    """Return one finding."""
    async with call.read() as view:
        return await use.get_finding(view, finding)


@operation(
    "PATCH",
    "/v1/findings/{finding}",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    example_path=ONE,
    example={"state": "resolved", "note": "mapped in catalog revision 8"},
    answer=EXAMPLE
    | {"state": "resolved", "note": "mapped in catalog revision 8", "settled_at": "2026-03-03T09:00:00Z"},
    problems=("conflict",),
)
async def change_finding(call: Call, finding: str, body: ChangeFinding) -> FindingRow:
    """Assign, date, annotate, resolve, dismiss or reopen a finding.

    What is left out stays. A finding is dismissed with a note. Resolved means that the cause is gone: seen again, it
    is a new finding. Dismissed means that it may stay so: the same evidence again is only counted.
    """
    return await use.change_finding(call.tx, finding, body)
