"""One transaction in one workspace: what all nouns share. The nouns' modules add reads and writes as mixins."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
from msgspec import Struct, structs

from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.usage.facts import Funding
from licet.seal.canonical import canonical
from licet.seal.keyring import Keyring
from licet.services.errors import Invalid
from licet.services.rows import Actor, CatalogRow, Draft, Instants, Page, TermsRow, UserRow, Workspace
from licet.store.connections import Connection

LARGEST_PAGE: Final = 500
EXEMPT: Final = {
    "delivery": "the inbox holds what others sent; what it led to leaves events",
    "finding": "its counters move whenever something is seen again",
    "payment_reference": "names that the inbox met, so that it knows whose a payment was",
    "check_count": "how often was asked, not what holds",
    "check_record": "what was asked, not what holds",
    "said_use": "what callers said, not what holds",
    "check_flush": "how far the counts of each process have come",
    "catalog_preview": "what a change would do; only the change itself is a command",
    "catalog_preview_group": "a part of a preview",
    "catalog_preview_customer": "a part of a preview",
    "log_tile": "derived from the log, and derived again where they are missing",
    "usage_tip": "where the next fact comes; each sealed segment of facts leaves one event",
    "usage_seal": "how far the sealing is, which the event of each segment says",
    "usage_fact": "usage; each sealed segment of it leaves one event",
    "usage_key": "how a repetition is known, as long as one may come",
    "usage_refusal": "what was asked, not what holds",
    "balance": "derived from facts and funding, and derived again where it is missing",
    "balance_checkpoint": "derived like balances",
    "reservation": "what facts say of a quantity set aside, in one row",
    "quota_lease": "who owns what was set aside, of which facts tell; sealed segments of them leave events",
    "usage_hour": "sealed facts summed up",
    "usage_day": "sealed facts summed up",
    "usage_value": "sealed facts summed up",
    "idempotency": "an answer kept is part of the command it answers",
}
"""Tables that may change without an event, each with its reason. Everything else is written by commands only."""
# Begin and workspace in one round trip; the id was checked to need no quoting. workspace_id is compared with it by
# every policy. SET LOCAL ends with the transaction.
BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL licet.workspace = '{}'"
BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL licet.workspace = '{}'"
Row = TypeVar("Row")
CLOCK: Final = """
    SELECT w.clock_offset, w.clock_frozen_at, t.recorded_at
    FROM workspace w JOIN log_tip t USING (workspace_id) WHERE w.workspace_id = $1
"""


class Opening(Struct, frozen=True, kw_only=True):
    """What a transaction begins with: its connection, the workspace's row, both clocks, the log's newest sequence."""

    conn: Connection
    workspace: Workspace
    time: Instants
    seq: int
    keyring: Keyring
    wall: Callable[[], Instant]


class Reading:
    """A transaction that reads. Rows become structs; json columns come as text and are decoded by their noun."""

    def __init__(self, opening: Opening) -> None:
        self.workspace = opening.workspace
        self.time = opening.time
        self._conn = opening.conn
        self._seq = opening.seq
        self._keyring = opening.keyring
        self._wall = opening.wall
        self._new_terms: dict[str, TermsRow] = {}
        self._new_catalog: CatalogRow | None = None
        self._new_funding: list[tuple[str, Funding]] = []

    @property
    def _ws(self) -> str:
        return self.workspace.id

    async def _row(self, sql: str, *args: object) -> asyncpg.Record | None:
        return await self._conn.fetchrow(sql, self._ws, *args)

    async def _rows(self, sql: str, *args: object) -> Sequence[asyncpg.Record]:
        rows: Sequence[asyncpg.Record] = await self._conn.fetch(sql, self._ws, *args)
        return rows


class Writing(Reading):
    """A transaction that writes. What carries the log's sequence is staged and written when that is known."""

    def __init__(self, opening: Opening, actor: Actor, note: str, cause: str | None) -> None:
        super().__init__(opening)
        self.actor = actor
        self.committed_seq = opening.seq
        self._note = note
        self._cause = cause
        self._drafts: list[tuple[str, Draft]] = []
        self._new_users: list[UserRow] = []
        self._new_customers: set[str] = set()
        self._written: list[str] = []
        self._locked: set[str] = set()
        self._flushed = False

    async def _look_at_clock(self) -> None:
        """Take the time anew: never before what is recorded by now, nor before what it was.

        What is done under a lock happens after all that was done under it before, however long it was waited for.
        """
        row = await self._row(CLOCK)
        if row is None:
            raise RuntimeError(f"workspace {self._ws!r} has no log")
        clock = structs.replace(
            self.workspace, clock_offset=row["clock_offset"], clock_frozen_at=row["clock_frozen_at"]
        )
        wall = max(self._wall(), self.time.wall)
        business = max(business_time(clock, wall, row["recorded_at"]), self.time.business)
        self.workspace, self.time = clock, Instants(business=business, wall=wall)

    def _write(self, what: str) -> None:
        """Note a change that must leave an event."""
        if self._flushed:
            raise RuntimeError(f"{what} is written after the events of the transaction: flush comes last")
        self._written.append(what)

    async def _execute(self, sql: str, *args: object) -> int:
        """Run a statement and return how many rows it touched."""
        done: str = await self._conn.execute(sql, self._ws, *args)
        return int(done.rsplit(" ", 1)[1])


def as_struct(row: Mapping[str, Any], kind: type[Row], **more: object) -> Row:
    """Return a row as a struct; ``more`` replaces columns that need decoding."""
    return msgspec.convert({**row, **more}, kind)


def text(value: Any) -> str:
    """Return a value as canonical JSON for a json column."""
    return canonical(value).decode()


def limit_of(page: Page) -> int:
    """Return a page's limit; raises Invalid outside 1 to 500."""
    if not 1 <= page.limit <= LARGEST_PAGE:
        raise Invalid(f"limit is {page.limit}; it must be 1 to {LARGEST_PAGE}")
    return page.limit


def number_after(page: Page, default: int) -> int:
    """Return the cursor of a list that is ordered by number; raises Invalid for anything else."""
    if not page.after:
        return default
    if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise Invalid(f"cursor {page.after!r} is not one of this list", advice="use the cursor of the page before")
    return int(page.after)


def business_time(workspace: Workspace, wall: Instant, newest: datetime) -> Instant:
    """Return the business clock at a real instant; never before what is already recorded."""
    frozen = workspace.clock_frozen_at
    clock = wall + workspace.clock_offset if frozen is None else to_instant(frozen)
    return max(clock, to_instant(newest))


def utc(value: datetime) -> datetime:
    """Return the same instant in UTC; raises ValueError for a naive time."""
    return to_datetime(to_instant(value))
