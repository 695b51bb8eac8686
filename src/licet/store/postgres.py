"""The storage of use cases on PostgreSQL: two kinds of transactions, three roles, held connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Final, Literal, Self

import msgspec

from licet.core.instant import Instant, to_instant
from licet.seal.keyring import Keyring
from licet.services.errors import Invalid, ServiceError, UnknownWorkspace
from licet.services.rows import Actor, Draft, Instants, KeyRow, Workspace
from licet.services.usage.ports import Collided, FactRow, SegmentRow, UsageFilter
from licet.store import keys, workspaces
from licet.store.access import Access
from licet.store.catalogs import CatalogReads, CatalogWrites
from licet.store.check_counts import CheckReads, CheckWrites
from licet.store.connections import (
    BEGIN_SECONDS,
    COMMAND_SECONDS,
    Connection,
    Pool,
    end,
    first_answer,
    held,
    open_pool,
    roll_back,
)
from licet.store.customers import CustomerReads, CustomerWrites
from licet.store.documents import DocumentReads
from licet.store.erasure import ErasureReads, ErasureWrites
from licet.store.evidence import EvidenceReads
from licet.store.exports import ExportReads
from licet.store.feed import FeedReads
from licet.store.findings import FindingReads, FindingWrites
from licet.store.hosting import HostReads
from licet.store.idempotency import IdempotencyWrites
from licet.store.keys import KeyReads, KeyWrites
from licet.store.log import LogReads, LogWrites
from licet.store.long_reads import LongReads, places_of
from licet.store.moves import MoveReads, MoveWrites
from licet.store.past import PastReads
from licet.store.previews import PreviewReads, PreviewWrites
from licet.store.rehearsals import RehearsalReads
from licet.store.session import BEGIN_READ, BEGIN_WRITE, Opening, business_time
from licet.store.signing import SigningReads, SigningWrites
from licet.store.sources import SourceReads, SourceWrites
from licet.store.teams import TeamReads, TeamWrites
from licet.store.tiles import TileReads, TileWrites
from licet.store.usage.funding import FundingWrites
from licet.store.usage.months import drop_months, make_month, month_after, month_of
from licet.store.usage.posting import PostgresPosting, collisions
from licet.store.usage.reads import UsageReads
from licet.store.usage.sealing import SealingReads, SealingWrites
from licet.store.usage.top import TopReads
from licet.store.users import UserReads, UserWrites
from licet.store.watch import watch
from licet.store.workspaces import ClockWrites

KEY_CONNECTIONS: Final = 2
SEALER: Final = Actor(id="system:usage")
EXPORTED: Final = 2_000
"""Facts in memory at a time while usage is exported."""
BEYOND: Final = "a date that follows from this lies beyond the year 9999, where the calendar ends"


class PostgresView(
    FeedReads,
    CatalogReads,
    CustomerReads,
    UserReads,
    TeamReads,
    SourceReads,
    FindingReads,
    CheckReads,
    KeyReads,
    LogReads,
    EvidenceReads,
    DocumentReads,
    PastReads,
    ErasureReads,
    ExportReads,
    RehearsalReads,
    TileReads,
    PreviewReads,
    MoveReads,
    SigningReads,
    HostReads,
    UsageReads,
    TopReads,
    SealingReads,
):
    """One consistent state of one workspace, read under a role that cannot write."""


class PostgresTx(
    CatalogWrites,
    CustomerWrites,
    UserWrites,
    TeamWrites,
    SourceWrites,
    FindingWrites,
    CheckWrites,
    PreviewWrites,
    MoveWrites,
    KeyWrites,
    TileWrites,
    ClockWrites,
    ErasureWrites,
    SigningWrites,
    FundingWrites,
    SealingWrites,
    IdempotencyWrites,
    LogWrites,
    PostgresView,
):
    """One command's transaction."""


def postings_of(size: int) -> int:
    """Return how many postings there may be at once beside ``size`` writes."""
    return max(2, size // 2)


def real_time() -> Instant:
    """Return real time in microseconds."""
    return time.time_ns() // 1000


class PostgresStorage:
    """The door to one database: at most ``size`` writes and ``size`` reads at once, the next waits ``wait`` seconds.

    The database begins a transaction within them too, or a second more, and answers a ``statement`` of a short read in
    so many seconds; where it does not, that raises Unavailable, and the connection is given up.
    Beside them half as many postings, which wait like writes, and a quarter as many long reads, of which the next is
    refused at once; both on connections of their own. ``wall`` is real
    time and replaced only to prove things about time.
    Use it as a context manager, or call ``open`` and ``close``. Everything raises Unavailable while the database
    cannot be reached.
    """

    def __init__(
        self,
        access: Access,
        keyring: Keyring,
        *,
        size: int = 10,
        wait: float = BEGIN_SECONDS,
        statement: float = COMMAND_SECONDS,
        wall: Callable[[], Instant] = real_time,
    ) -> None:
        self._access = access
        self._keyring = keyring
        self._size = size
        self._wait = wait
        self._statement = statement
        self._wall = wall
        self._commits: dict[str, int] = {}
        self._long = LongReads(places_of(size))
        self._months: set[date] = set()
        self._pools: dict[Literal["app", "posting", "reader", "long", "keys"], Pool] = {}

    async def open(self) -> Self:
        """Open the pools: up to ``size`` connections each for writing and reading, and those for long reads."""
        self._pools["app"] = await open_pool(self._access.app, self._size)
        self._pools["posting"] = await open_pool(self._access.app, postings_of(self._size), ready=0, batches=True)
        self._pools["reader"] = await open_pool(self._access.reader, self._size, statement=self._statement)
        self._pools["long"] = await open_pool(self._access.reader, self._long.places, ready=0)
        self._pools["keys"] = await open_pool(self._access.keys, KEY_CONNECTIONS)
        return self

    async def close(self) -> None:
        """Close all connections; transactions under way are cut off after a second."""
        for pool in self._pools.values():
            try:
                await asyncio.wait_for(pool.close(), 1)
            except TimeoutError:
                pool.terminate()
        self._pools.clear()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @asynccontextmanager
    async def read(self, workspace: str) -> AsyncIterator[PostgresView]:
        """Begin a read-only transaction; raises UnknownWorkspace."""
        async with self._view("reader", workspace) as view:
            yield view

    @asynccontextmanager
    async def read_long(self, workspace: str) -> AsyncIterator[PostgresView]:
        """Begin a read-only transaction that may last for minutes; raises Unavailable beyond a bound, at once."""
        with self._long.place(workspace):
            async with self._view("long", workspace) as view:
                yield view

    @asynccontextmanager
    async def _view(self, pool: Literal["reader", "long"], workspace: str) -> AsyncIterator[PostgresView]:
        until = self._until()
        async with held(self._pools[pool], self._wait) as conn:
            opening = await self._begin(conn, BEGIN_READ, workspace, until)
            try:
                yield PostgresView(opening)
            except TimeoutError:
                end(conn)
                raise
            finally:
                await roll_back(conn)

    @asynccontextmanager
    async def write(
        self, workspace: str, actor: Actor, *, note: str = "", cause: str | None = None
    ) -> AsyncIterator[PostgresTx]:
        """Begin a writing transaction; ``note`` and ``cause`` go into every event of it.

        Losing the connection while it commits raises Unavailable too: whether it was written is then not known, and
        repeating with the same idempotency key is safe. Counting a date beyond the calendar raises Invalid.
        """
        until = self._until()
        async with held(self._pools["app"], self._wait) as conn:
            opening = await self._begin(conn, BEGIN_WRITE, workspace, until)
            tx = PostgresTx(opening, actor, note, cause)
            try:
                yield tx
                await tx.flush()
            except BaseException as failure:
                if isinstance(failure, TimeoutError):
                    end(conn)
                await roll_back(conn)
                if isinstance(failure, OverflowError):
                    raise Invalid(BEYOND, advice="choose earlier dates or shorter durations") from failure
                raise
            try:
                await conn.execute("COMMIT")
            finally:
                if tx.committed_seq != opening.seq:
                    self._commits[workspace] = self._commits.get(workspace, 0) + 1

    @asynccontextmanager
    async def post(self, workspace: str, actor: Actor) -> AsyncIterator[PostgresPosting]:
        """Begin a posting on a connection held for postings; commits when the block ends without an error.

        Deadlocks and races of ids raise Collided; losing the connection raises Unavailable, and as for a command it is
        then not known whether it was written: ids tell when it is repeated.
        """
        until = self._until()
        async with held(self._pools["posting"], self._wait) as conn:
            await self._make_month(conn)
            opening = await self._begin(conn, BEGIN_WRITE, workspace, until)
            tx = PostgresPosting(opening, actor)
            try:
                with collisions():
                    yield tx
                    await tx.flush()
            except BaseException as failure:
                if isinstance(failure, TimeoutError):
                    end(conn)
                if isinstance(failure, Collided):
                    self._months.clear()
                await roll_back(conn)
                raise
            try:
                await conn.execute("COMMIT")
            finally:
                if tx.committed_seq != opening.seq:
                    self._commits[workspace] = self._commits.get(workspace, 0) + 1

    async def seal(self, workspace: str, most: int = 10_000, least: int = 1) -> SegmentRow | None:
        """Seal the next facts: segment, roll-ups and one event ``usage.sealed``, in one transaction.

        None where there are fewer than ``least`` to seal. Of several that try at once one does it.
        """
        async with self.write(workspace, SEALER) as tx:
            sealed = await tx.seal_usage(most, least)
            if sealed is None:
                return None
            await tx.record(sealed[1])
            return sealed[0]

    async def forget_usage(
        self, workspace: str, keys: datetime, refusals: datetime, most: int = 10_000, facts: datetime | None = None
    ) -> int:
        """Delete keys of sealed facts recorded before a real time, refusals of before another; at most so many of each.

        With the keys go reservations that ended so long ago, with the facts of before ``facts`` checkpoints of before.
        Returns how many there were of the kind with most.
        """
        async with self.write(workspace, SEALER) as tx:
            return max(
                await tx.forget_usage(keys, refusals, most),
                await tx.forget_balances(most, None if facts is None else to_instant(facts)),
            )

    async def keep_partitions(self, ahead: int, before: datetime | None) -> list[str]:
        """Make the months of facts from this one on, ``ahead`` more; drop those wholly sealed that end before a time.

        Returns the names of what was made and dropped.
        """
        wall = self._wall()
        async with held(self._pools["app"], self._wait) as conn:
            months = [month_after(month_of(wall), count) for count in range(ahead + 1)]
            changed = [name for name in [await make_month(conn, month) for month in months] if name is not None]
            return changed if before is None else [*changed, *await drop_months(conn, before, wall)]

    async def export_usage(self, workspace: str, only: UsageFilter) -> AsyncIterator[Sequence[FactRow]]:
        """Yield facts by serial from one state of the database, some thousands at a time."""
        async with self.read_long(workspace) as view:
            after = 0
            while page := await view.next_facts(only, after, EXPORTED):
                yield page
                after = page[-1].serial

    async def _make_month(self, conn: Connection) -> None:
        """See to it that there is a place for facts of now; looked up once a month, and after each collision."""
        month = month_of(self._wall())
        if month not in self._months:
            await make_month(conn, month)
            self._months = {month}

    def commits(self, workspace: str) -> int:
        """Return a number that grows with every commit of events by this process, in doubt or not; asks nobody."""
        return self._commits.get(workspace, 0)

    def wall(self) -> Instant:
        """Return real time as this storage reads it."""
        return self._wall()

    async def workspaces(self) -> Sequence[Workspace]:
        """List workspaces by id."""
        until = self._until()
        async with held(self._pools["keys"], self._wait) as conn:
            found = await conn.fetch(workspaces.ALL, timeout=first_answer(until))
            return [msgspec.convert(dict(row), Workspace) for row in found]

    async def create_workspace(self, workspace: Workspace, actor: Actor) -> None:
        """Create a workspace whose log begins with ``workspace.created``; does nothing if it exists."""
        async with held(self._pools["app"], self._wait) as conn:
            await conn.execute(BEGIN_WRITE.format(workspaces.check_id(workspace.id)))
            try:
                wall = self._wall()
                if await workspaces.insert_workspace(conn, workspace, wall):
                    tx = PostgresTx(await self._opening(conn, workspace.id), actor, "", None)
                    about = {"kind": workspace.kind, "zone": workspace.zone}
                    await tx.record(Draft(type="workspace.created", subject="workspace", after=about))
                    await tx.flush()
            except BaseException:
                await roll_back(conn)
                raise
            await conn.execute("COMMIT")

    async def authenticate(self, key_id: str) -> tuple[KeyRow, bytes] | None:
        """Return a key of any workspace and its secret's hash: the key index lies outside row-level security."""
        until = self._until()
        async with held(self._pools["keys"], self._wait) as conn:
            return await keys.find_key(conn, key_id, first_answer(until))

    def watch(self) -> AsyncIterator[tuple[str, int]]:
        """Yield (workspace, newest sequence) after commits anywhere; at least once a second while reachable."""
        return watch(self._access.keys)

    def _until(self) -> float:
        """Return by when a transaction that is asked for now has begun, by the running loop's clock."""
        return asyncio.get_running_loop().time() + self._wait

    async def _begin(self, conn: Connection, begin: str, workspace: str, until: float) -> Opening:
        await conn.execute(begin.format(workspaces.check_id(workspace)), timeout=first_answer(until))
        try:
            return await self._opening(conn, workspace, first_answer(until))
        except ServiceError:
            await roll_back(conn)
            raise

    async def _opening(self, conn: Connection, workspace: str, seconds: float | None = None) -> Opening:
        row = await conn.fetchrow(workspaces.ONE, workspace, timeout=seconds)
        if row is None:
            raise UnknownWorkspace(f"there is no workspace {workspace!r}", advice="create it, or use another key")
        found, wall = msgspec.convert(dict(row), Workspace), self._wall()
        return Opening(
            conn=conn,
            workspace=found,
            time=Instants(business=business_time(found, wall, row["recorded_at"]), wall=wall),
            seq=row["seq"],
            keyring=self._keyring,
            wall=self._wall,
        )
