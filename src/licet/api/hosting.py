"""The truths this process holds: per workspace the newest terms of whoever is asked about, following the log.

A truth is at one sequence of the log, whole: it moves from one to the next without a state in between, so that a
decision from it is one that the database would have given at that sequence. It says itself when it may not be used.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant
from licet.evaluator.truth import LocalTruth
from licet.services.feed import clock_of
from licet.services.feed_ports import Rows
from licet.services.ports import Storage, View
from licet.services.rows import Instants, Workspace
from licet.services.truth import Catalogs
from licet.telemetry import log
from licet.wire.feed import Cursor
from licet.wire.feed import UserRow as FeedUser

MOST_CUSTOMERS: Final = 20_000
"""Customers of one workspace that are held; beyond, those asked about longest ago are dropped till asked again."""
MOST_ROWS: Final = 100_000
"""Customers and users of one workspace that are held; beyond, all are dropped till asked again."""
MOST_WORKSPACES: Final = 32
"""Workspaces that are held; beyond, the longest not asked is dropped."""
MOST_CHANGED: Final = 1_000
"""Rows that may have come from one step to the next; where there are more, all that is held is dropped."""
MOST_WANTED: Final = 250
"""Customers and users that one step takes in."""
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


class Hosted:
    """One workspace's truth at one sequence. For one event loop; nothing here waits."""

    def __init__(self, workspace: str, clock: Callable[[], float]) -> None:
        self.id = workspace
        self.workspace = Workspace(id=workspace, kind="live")
        self.truth = LocalTruth(workspace=workspace, most_customers=MOST_CUSTOMERS)
        """Answers only about customers and users that it holds (:meth:`holds`)."""
        self.catalog: CompiledCatalog | None = None
        self.basis = b""
        """How each answer ends: the value of ``basis``."""
        self.asked = clock()
        self.commits = -1
        self.confirmed = float("-inf")
        self.wanted: dict[Want, None] = {}
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._recorded: Instant = 0

    def now(self, wall: Instant) -> Instant:
        """Return the instant of the business clock at one of real time: never before what is recorded."""
        business = self.truth.business(wall)
        return business if business > self._recorded else self._recorded

    def holds(self, customer: str, user: str | None = None) -> bool:
        """Return whether a customer, and a user of it, is held; what is not is wanted from then on."""
        if self.truth.known(customer) and (user is None or self.truth.known(customer, user)):
            return True
        if len(self.wanted) < MOST_WANTED:
            self.wanted[customer, user] = None
            self.wake.set()
        return False

    def move(self, step: "Step") -> None:
        """Move to a newer state of the database, all at once."""
        truth, catalog, changed = self.truth, step.catalog, step.changed
        whole = changed is None or len(truth) > MOST_ROWS
        held: Callable[..., bool] = _nobody if whole else truth.known
        truth.begin("full" if whole else "changes", bare=catalog is None, wanted=True)
        if catalog is not None and catalog is not self.catalog:
            truth.adopt(catalog)
        if changed is not None:
            _put(truth, changed, held)
        _put(truth, step.found, lambda *whose: not held(*whose))
        for absent in step.absent():
            if not held(*absent):
                _put_absent(truth, absent)
        moved = truth.cursor != step.cursor
        truth.commit(step.cursor, clock=clock_of(step.workspace))
        self.workspace, self.catalog, self._recorded = step.workspace, catalog, step.time.business
        if moved:
            self.basis = b'"%d:%d"}' % (step.cursor.epoch, step.cursor.seq)


class Step(Struct, frozen=True, kw_only=True):
    """What was read of one state of the database to move a truth there."""

    workspace: Workspace
    time: Instants
    cursor: Cursor
    catalog: CompiledCatalog | None
    changed: Rows | None
    """Rows newer than those before, held or not; None: too many, or what was before does not count any more."""
    wanted: list[Want]
    found: Rows
    """The rows of what was wanted."""

    def absent(self) -> Iterator[Want]:
        """Yield what was wanted and is not there."""
        found: set[Want] = {(row.customer, None) for row in self.found.terms}
        found |= {(row.customer, row.user) for row in self.found.users}
        for customer, user in self.wanted:
            if (customer, None) not in found:
                yield customer, None
            if user is not None and (customer, user) not in found:
                yield customer, user


def _nobody(*_: str) -> bool:
    """Whether somebody is held, where all that is held gives way."""
    return False


def _put_absent(truth: LocalTruth, whose: Want) -> None:
    """Put in that there is no such customer, or user: for conditions as good as one that is not active."""
    customer, user = whose
    if user is None:
        truth.put_absent(customer)
    else:
        truth.put_user(FeedUser(customer=customer, user=user, revision=0, seq=0, active=False))


def _put(truth: LocalTruth, rows: Rows, takes: Callable[..., bool]) -> None:
    """Put those rows in whose customer, or customer and user, is taken."""
    for row in rows.terms:
        if takes(row.customer):
            truth.put_terms(row.customer, row.revision, row.seq, bytes(row.doc))
    for user in rows.users:
        if takes(user.customer, user.user):
            truth.put_user(user)


class Hosting:
    """All truths of this process. Each is kept by a task of its own, which begins with the second question."""

    def __init__(self, storage: Storage, catalogs: Catalogs, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._catalogs = catalogs
        self._clock = clock
        self.held: dict[str, Hosted] = {}
        """By workspace."""
        self.on_drop: Callable[[str], None] | None = None
        """Told of each workspace whose truth is dropped for another one."""
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
        if hosted is not None and hosted.truth.seq < seq:
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
            if self.on_drop is not None:
                self.on_drop(oldest.id)
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
            changed, catalog = await self._news(hosted, view, seq)
            named = {(customer, user) for customer, user in wanted if user is not None}
            found = await view.newest_rows({customer for customer, _ in wanted}, named)
        hosted.move(
            Step(
                workspace=view.workspace,
                time=view.time,
                cursor=Cursor(view.workspace.epoch, seq),
                catalog=catalog,
                changed=changed,
                wanted=wanted,
                found=found,
            )
        )
        hosted.commits, hosted.confirmed = commits, began

    async def _news(self, hosted: Hosted, view: View, seq: int) -> tuple[Rows | None, CompiledCatalog | None]:
        """Return the rows that came since the state that is held, and the catalog that counts now."""
        stood, stands = hosted.truth.cursor, Cursor(view.workspace.epoch, seq)
        if stood == stands:
            return Rows(), hosted.catalog
        revision = await view.catalog_revision()
        catalog = await self._catalogs.at(view, revision) if revision else None
        if stood is None or stood.epoch != stands.epoch or stood > stands:
            return None, catalog
        if await view.feed_changed(stood.seq, seq, MOST_CHANGED + 1) > MOST_CHANGED:
            return None, catalog
        return await view.feed_changes(stood.seq, seq), catalog
