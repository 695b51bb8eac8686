"""The truths this process holds: per workspace the newest terms of whoever is asked about, following the log.

A truth is at one sequence of the log, whole: it moves from one to the next without a state in between, so that a
decision from it is one that the database would have given at that sequence. It says itself when it may not be used.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Memo
from licet.core.instant import Instant, to_instant
from licet.core.question import UserFacts
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.services.past import user_facts
from licet.services.ports import Storage, View
from licet.services.rows import Instants, TermsRow, UserRow, Workspace
from licet.services.truth import Catalogs
from licet.telemetry import log

MOST_CUSTOMERS: Final = 20_000
"""Customers of one workspace that are held; beyond, those that came first are dropped, and come back when asked."""
MOST_USERS: Final = 1_000
"""Users of one customer that are held; beyond, all of them are dropped."""
MOST_WORKSPACES: Final = 32
"""Workspaces that are held; beyond, the longest not asked is dropped."""
MOST_CHANGED: Final = 1_000
"""Customers that one step of the log may change; where there are more, all of them are dropped."""
MOST_WANTED: Final = 500
"""Customers that one step takes in."""
STALE_SECONDS: Final = 2.0
"""How long a truth counts that the database has not confirmed; then questions go to the database."""
CONFIRM_SECONDS: Final = 0.8
IDLE_SECONDS: Final = 10.0
"""After so long without a question a truth is no longer confirmed; the next question wakes it."""
RETRY_SECONDS: Final = 0.5
_REST: Final = 4.0
"""After a step, as many times its length passes before the next: a stream of writes takes a fifth of a core at most."""
_REST_MOST: Final = 0.05

Want = tuple[str, str | None]
"""A customer, and a user of it."""


class Held:
    """One customer: its terms made ready, and what is known of its users (only the id of one that is not active)."""

    __slots__ = ("snapshot", "terms", "users")

    def __init__(self, terms: Terms, snapshot: Snapshot) -> None:
        self.terms = terms
        self.snapshot = snapshot
        self.users: dict[str, UserFacts | str] = {}


class Hosted:
    """One workspace's truth at one sequence. For one event loop; nothing here waits."""

    def __init__(self, workspace: str, clock: Callable[[], float]) -> None:
        self.id = workspace
        self.workspace = Workspace(id=workspace, kind="live")
        self.seq = -1
        self.basis = b""
        self.catalog: CompiledCatalog | None = None
        self.customers: dict[str, Held] = {}
        self.asked = clock()
        self.commits = -1
        self.confirmed = float("-inf")
        self.wanted: dict[Want, None] = {}
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._absent: dict[str, None] = {}
        self._memo: Memo | None = None
        self._recorded: Instant = 0

    def time(self, wall: Instant) -> Instants:
        """Return both clocks at a real instant: the business clock is never before what is recorded."""
        frozen = self.workspace.clock_frozen_at
        business = wall + self.workspace.clock_offset if frozen is None else to_instant(frozen)
        return Instants(business=max(business, self._recorded), wall=wall)

    def held(self, customer: str) -> Held | None:
        """Return a customer under the catalog that counts; None where it is not held, and from then on it is wanted."""
        found = self.customers.get(customer)
        if found is None:
            if customer not in self._absent:
                self.want((customer, None))
            return None
        if found.snapshot.catalog is not self.catalog:
            self._renew(found)
        return found

    def user(self, held: Held, user: str) -> UserFacts | str | None:
        """Return what conditions may read of a user; None where that is not held, and from then on it is wanted."""
        found = held.users.get(user)
        if found is None:
            self.want((held.terms.customer, user))
        return found

    def want(self, one: Want) -> None:
        """Take a customer (and user) in with the next step."""
        if len(self.wanted) < MOST_WANTED:
            self.wanted[one] = None
            self.wake.set()

    def advance(self, view: View, seq: int, catalog: CompiledCatalog | None, changed: list[str] | None) -> None:
        """Move to a newer state of the database: those who changed (None: all) are dropped till asked."""
        self.workspace, self.seq = view.workspace, seq
        self.basis = b'"%d:%d"}' % (view.workspace.epoch, seq)
        self._recorded = view.time.business  # never before what is recorded
        if catalog is not self.catalog:
            self.catalog = catalog
            self._memo = None if catalog is None else Memo(catalog)
        if changed is None:
            self.customers.clear()
            self._absent.clear()
        else:
            for customer in changed:
                self.customers.pop(customer, None)
                self._absent.pop(customer, None)

    def take_in(self, wanted: list[Want], terms: list[TermsRow], users: list[UserRow]) -> None:
        """Hold what was wanted, as it was read at this sequence."""
        if self.catalog is None:
            return
        for row in terms:
            customer = row.terms.customer
            if customer not in self.customers:
                self.customers[customer] = Held(row.terms, Snapshot(self.catalog, row.terms, self._memo))
        known = {(row.customer, row.id): row for row in users}
        for customer, user in wanted:
            held = self.customers.get(customer)
            if held is None:
                self._absent[customer] = None
            elif user is not None:
                if len(held.users) >= MOST_USERS:
                    held.users.clear()
                held.users[user] = user_facts(user, known.get((customer, user))) or user
        _shorten(self.customers, MOST_CUSTOMERS)
        _shorten(self._absent, MOST_CUSTOMERS)

    def _renew(self, held: Held) -> None:
        if self.catalog is not None:
            held.snapshot = Snapshot(self.catalog, held.terms, self._memo)


def _shorten(kept: dict[str, Held] | dict[str, None], most: int) -> None:
    """Drop what came first until there is room."""
    for _ in range(len(kept) - most):
        del kept[next(iter(kept))]


class Hosting:
    """All truths of this process. Each is kept by a task of its own, which begins with the second question."""

    def __init__(self, storage: Storage, catalogs: Catalogs, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._catalogs = catalogs
        self._clock = clock
        self.held: dict[str, Hosted] = {}
        """By workspace."""
        self._once: dict[str, None] = {}
        self._following = False

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Hold truths as long as the block lasts."""
        self._following = True
        try:
            yield
        finally:
            self._following = False
            tasks = [one.task for one in self.held.values() if one.task is not None]
            self.held.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, workspace: str, now: float) -> Hosted | None:
        """Return the truth of a workspace if it may be answered from just now; else it will be, soon.

        It may where the database has confirmed it within two seconds, and where it holds every commit of this process.
        ``now``: monotonic seconds, of the same clock.
        """
        hosted = self.held.get(workspace)
        if hosted is None:
            self._begin(workspace)
            return None
        hosted.asked = now
        if hosted.confirmed + STALE_SECONDS <= now or hosted.commits != self._storage.commits(workspace):
            hosted.wake.set()
            return None
        return None if hosted.catalog is None else hosted

    def noticed(self, workspace: str, seq: int) -> None:
        """Hear that a log has come as far as a sequence."""
        hosted = self.held.get(workspace)
        if hosted is not None and hosted.seq < seq:
            hosted.wake.set()

    def _begin(self, workspace: str) -> None:
        if not self._following:
            return
        if self._once.pop(workspace, self) is self:
            # One question does not make a truth worth following.
            self._once[workspace] = None
            if len(self._once) > MOST_WORKSPACES:
                del self._once[next(iter(self._once))]
            return
        if len(self.held) >= MOST_WORKSPACES:
            oldest = min(self.held.values(), key=lambda one: one.asked)
            del self.held[oldest.id]
            if oldest.task is not None:
                oldest.task.cancel()
        hosted = self.held[workspace] = Hosted(workspace, self._clock)
        hosted.task = asyncio.create_task(self._keep(hosted), name=f"licet-hosting-{workspace}")

    async def _keep(self, hosted: Hosted) -> None:
        failing = False
        while True:
            began = self._clock()
            try:
                await self._step(hosted)
                failing = False
            except Exception as error:  # noqa: BLE001 the database may be away: questions go the other way meanwhile
                if not failing:
                    log("licet.api").warning("a truth cannot follow", workspace=hosted.id, error=str(error))
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(min((self._clock() - began) * _REST, _REST_MOST))
            idle = self._clock() - hosted.asked > IDLE_SECONDS
            try:
                async with asyncio.timeout(None if idle else CONFIRM_SECONDS):
                    await hosted.wake.wait()
            except TimeoutError:
                pass

    async def _step(self, hosted: Hosted) -> None:
        """Bring one truth to the newest state, and take in what is wanted; all read from one state of the database."""
        hosted.wake.clear()
        commits, began = self._storage.commits(hosted.id), self._clock()
        wanted, hosted.wanted = list(hosted.wanted), {}
        async with self._storage.read(hosted.id) as view:
            seq = await view.seq()
            moved = (view.workspace.epoch, seq) != (hosted.workspace.epoch, hosted.seq)
            changed: list[str] | None = []
            catalog = hosted.catalog
            if moved:
                changed = await self._changed(hosted, view, seq)
                revision = await view.catalog_revision()
                catalog = await self._catalogs.at(view, revision) if revision else None
            terms = await view.newest_terms({customer for customer, _ in wanted})
            users = await view.users_named({(customer, user) for customer, user in wanted if user is not None})
        hosted.advance(view, seq, catalog, changed)
        hosted.take_in(wanted, list(terms), list(users))
        hosted.commits, hosted.confirmed = commits, began

    async def _changed(self, hosted: Hosted, view: View, seq: int) -> list[str] | None:
        if hosted.seq < 0 or seq < hosted.seq or view.workspace.epoch != hosted.workspace.epoch:
            return None
        changed = await view.changed_since(hosted.seq, MOST_CHANGED + 1)
        return None if len(changed) > MOST_CHANGED else list(changed)
