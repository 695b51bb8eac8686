"""Check telemetry over HTTP: how often was asked what, by whom, and how it was answered."""

from datetime import datetime
from typing import Annotated, Final, Literal, cast, get_args

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import Listing, Paging, operation
from licet.api.cursors import cursor_of
from licet.api.v1.checks import QUESTION, TAG
from licet.core.question import Question
from licet.core.tally import Outcome
from licet.door.problems import Place, Refusal
from licet.services import check_counts as use
from licet.services.rows import (
    CheckCountRow,
    CheckFilter,
    CheckGroups,
    CheckPart,
    CheckRecordRow,
    ChecksLost,
)

PARTS: Final[tuple[CheckPart, ...]] = get_args(CheckPart)
COUNT: Final = {
    "begins_at": "2026-03-01T00:00:00Z",
    "customer": None,
    "user": None,
    "feature": "projects",
    "reason": None,
    "mode": None,
    "others": None,
    "checks": 1250,
    "allowed": 1200,
    "denied": 40,
    "would_deny": 10,
}
RECORD: Final = {
    "id": "chk_0198f3a2c4d87c3e9a51b2c3d4e5f60c",
    "at": "2026-03-01T09:00:00Z",
    "question": QUESTION,
    "left_out": [],
    "outcome": "denied",
    "reason": "limit_reached",
    "mode": "enforce",
    "basis": "1:42",
}
Word = Annotated[str, Meta(max_length=128)]


class CheckQuery(Paging, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Which checks."""

    customer: Word | None = None
    """Only of this customer."""
    user: Word | None = None
    """Only of the user with this id."""
    feature: Word | None = None
    """Only about this feature."""
    reason: Annotated[str, Meta(max_length=64)] | None = None
    """Only with this first reason; in observe mode the first with which it would have been refused."""
    outcome: Outcome | None = None
    """Only those answered so. `would_deny` is what observe mode allowed and would have refused."""
    from_: Annotated[datetime, Meta(tz=True)] | None = None
    """From this instant of business time on."""
    to: Annotated[datetime, Meta(tz=True)] | None = None
    """Before this instant of business time."""

    @property
    def only(self) -> CheckFilter:
        """Return the filter for storage."""
        return CheckFilter(
            customer=self.customer,
            user=self.user,
            feature=self.feature,
            reason=self.reason,
            outcome=self.outcome,
            since=self.from_,
            until=self.to,
        )


class CountQuery(CheckQuery, frozen=True, kw_only=True):
    """Which checks, and how they are summed up."""

    by: Annotated[str, Meta(max_length=100)] = "feature"
    """What is told apart: `total` for nothing, or some of `hour` or `day` (of UTC), `customer`, `user`, `feature`,
    `reason` and `mode`, with commas between. With `user` comes `customer`."""
    order: Literal["key", "size"] = "key"
    """By what is told apart, the earliest first; or the most checks first."""

    @property
    def groups(self) -> CheckGroups:
        """Return how counts are summed up; raises Refusal (``invalid``) for an unknown part."""
        named = [] if self.by == "total" else self.by.split(",")
        wrong = next((name for name in named if name not in PARTS), None)
        if wrong is not None or {"hour", "day"} <= set(named) or len(set(named)) < len(named):
            said = f"{wrong!r} is nothing to tell checks apart by" if wrong is not None else f"{self.by!r} is ambiguous"
            raise Refusal(
                "invalid",
                f"the query parameter by: {said}",
                advice=f"Write total, or some of {', '.join(PARTS)} with commas between; hour or day, each once.",
                places=[Place(path="?by", message=said)],
            )
        return CheckGroups(by=frozenset(cast("list[CheckPart]", named)), by_size=self.order == "size")


class CheckCountView(Struct, frozen=True, kw_only=True):
    """How many checks there were of one combination; what is not told apart is null, and so is a user not named."""

    begins_at: datetime | None
    """The first instant of the hour or day."""
    customer: str | None
    user: str | None
    feature: str | None
    reason: str | None
    mode: str | None
    others: Literal["user", "customer", "feature"] | None
    """The row stands for several: for want of room users, then customers, then features were not told apart."""
    checks: int
    """All of them."""
    allowed: int
    denied: int
    would_deny: int
    """Allowed in observe mode, else refused; not among `allowed`."""


class CheckCounts(Struct, frozen=True, kw_only=True):
    """One page of counts; ``next`` is the cursor of the following one, None at the end."""

    items: list[CheckCountView]
    next: str | None
    lost: ChecksLost
    """What could not be counted or recorded in the last 35 days; 0 unless storage was away for long."""


class CheckRecordView(Struct, frozen=True, kw_only=True):
    """One check on record. ``at`` is business time; explain with ``basis`` gives its whole decision again."""

    id: str
    at: datetime
    question: Question
    left_out: tuple[str, ...]
    """Attributes of the context that no condition read; their values are not kept."""
    outcome: Outcome
    reason: str
    mode: str | None
    basis: str


@operation(
    "GET",
    "/v1/checks/counts",
    tag=TAG,
    scopes=("admin",),
    example_query={"by": "day,feature", "customer": "acme", "from": "2026-03-01"},
    answer={"items": [COUNT], "next": None, "lost": {"checks": 0, "records": 0}},
)
async def count_checks(call: Call, query: CountQuery) -> CheckCounts:
    """Sum up how many checks there were, and how they were answered.

    Every question of `/v1/check` and `/v1/check/batch` is counted, by whole hours of business time, and kept for 400
    days. What another server has counted within the last second may be missing.
    """
    groups = query.groups
    await call.parts.counting.settle(call.workspace)
    async with call.read() as view:
        rows, lost = await use.list_check_counts(view, query.only, groups, query.page)
    after = cursor_of(rows[-1].place) if len(rows) == query.limit else None
    return CheckCounts(items=[_counted(row) for row in rows], next=after, lost=lost)


@operation(
    "GET",
    "/v1/checks/records",
    tag=TAG,
    scopes=("admin",),
    sensitive=True,
    example_query={"feature": "projects", "outcome": "denied"},
    answer={"items": [RECORD], "next": None},
)
async def list_check_records(call: Call, query: CheckQuery) -> Listing[CheckRecordView]:
    """List single checks of features with `record: each`, the newest first; they are kept for 90 days."""
    await call.parts.counting.settle(call.workspace)
    async with call.read() as view:
        rows = await use.list_check_records(view, query.only, query.page)
    page = query.listing(rows, lambda row: row.id)
    return Listing(items=[_recorded(row) for row in rows], next=page.next)


def _counted(row: CheckCountRow) -> CheckCountView:
    return CheckCountView(
        begins_at=row.begins_at,
        customer=row.customer,
        user=row.user,
        feature=row.feature,
        reason=row.reason,
        mode=row.mode,
        others=row.others,
        checks=row.checks,
        allowed=row.allowed,
        denied=row.denied,
        would_deny=row.would_deny,
    )


def _recorded(row: CheckRecordRow) -> CheckRecordView:
    return CheckRecordView(
        id=row.id,
        at=row.asked_at,
        question=row.question,
        left_out=row.left_out,
        outcome=row.outcome,
        reason=row.reason,
        mode=row.mode,
        basis=row.basis,
    )
