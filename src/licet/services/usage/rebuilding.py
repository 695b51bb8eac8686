"""Checkpoints made anew in the background where late facts took them: else every look at the past folds all of it.

Which balances lack them is remembered in memory: what is forgotten costs time, never an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, NamedTuple, Protocol

from licet.core.instant import FOREVER, Instant
from licet.core.usage.facts import AccountKey
from licet.core.usage.recalled import EVERY
from licet.services.errors import ServiceError
from licet.services.ports import View
from licet.services.rows import Actor, Page
from licet.services.truth import Catalogs, Snapshots
from licet.services.usage.balances import meter_of, truth_of
from licet.services.usage.ports import BalanceRow, Posted, UsageFilter, UsageStorage
from licet.services.usage.refolding import Span, past_of, settled

MAX_NOTED: Final = 10_000
"""Balances that wait for checkpoints in one process; more are left as they are."""
REST_SECONDS: Final = 5.0
"""From one round to the next: a stream of late facts is waited for."""
_MOST_NEWER: Final = 500
"""Facts that may come to a customer while one of its balances is folded; after more it is folded again."""
_ACTOR: Final = Actor(id="system:usage")


class RebuildStorage(UsageStorage, Protocol):
    """The parts of the storage that this uses: reading truths, and postings."""

    def read(self, workspace: str) -> AbstractAsyncContextManager[View]:
        """Begin a read-only transaction."""
        ...


class _Made(NamedTuple):
    checkpoints: list[BalanceRow]
    serial: int
    """No fact they rest on is newer."""


class Rebuilding:
    """Makes checkpoints anew, a balance at a time; no posting waits while one is folded."""

    def __init__(self, storage: RebuildStorage, catalogs: Catalogs, failed: Callable[[Exception], None]) -> None:
        self._storage = storage
        self._snapshots = Snapshots(catalogs)
        self._failed = failed
        self._noted: dict[tuple[str, AccountKey], Instant] = {}

    def note(self, workspace: str, taken: Mapping[AccountKey, Instant]) -> None:
        """Remember balances of which checkpoints were taken, and since when."""
        for key, since in taken.items():
            known = self._noted.get((workspace, key))
            if known is not None or len(self._noted) < MAX_NOTED:
                self._noted[workspace, key] = since if known is None else min(since, known)

    @property
    def waiting(self) -> int:
        """How many balances wait."""
        return len(self._noted)

    async def round(self) -> int:
        """Make the checkpoints of all balances that wait now; return how many were made."""
        noted, self._noted = self._noted, {}
        made = 0
        for (workspace, key), since in noted.items():
            try:
                made += await self._rebuild(workspace, key, since)
            except ServiceError as error:
                self._failed(error)
        return made

    @asynccontextmanager
    async def follow(self, rest: float = REST_SECONDS) -> AsyncIterator[None]:
        """Do so in the background as long as the block lasts."""
        task = asyncio.create_task(self._follow(rest), name="licet-checkpoints")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self, rest: float) -> None:
        while True:
            await asyncio.sleep(rest)
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 the database may be away: later late facts are noted again
                self._failed(error)

    async def _rebuild(self, workspace: str, key: AccountKey, since: Instant) -> int:
        made = await self._fold(workspace, key, since)
        if made is None or not made.checkpoints:
            return 0
        async with self._storage.post(workspace, _ACTOR) as tx:
            await tx.lock([key])
            page = Page(after=str(made.serial), limit=_MOST_NEWER)
            newer = await tx.usage_facts(UsageFilter(customer=key.customer), page)
            if len(newer) >= _MOST_NEWER:
                self.note(workspace, {key: since})
                return 0
            first = min((one.fact.effective for one in newer), default=FOREVER)
            kept = [one for one in made.checkpoints if one.as_of < first]
            if kept:
                await tx.post(Posted(checkpoints=kept))
            return len(kept)

    async def _fold(self, workspace: str, key: AccountKey, since: Instant) -> _Made | None:
        """Fold a balance from its last checkpoint of before an instant, as one state of the database knows it."""
        async with self._storage.read(workspace) as view:
            row = await view.balance(key)
            if row is None:
                return None
            truth = await truth_of(view, key.customer, self._snapshots)
            course, meter = truth.course(key), meter_of(truth.catalog, key.feature)
            past = await past_of(view, course, meter, since, Span(truth.at, noted=True))
        account = await settled(past.recalled())
        found: list[BalanceRow] = []
        for one in account.checkpoints(EVERY):
            numbers = one.standing(one.newest)
            found.append(
                BalanceRow(
                    key=key,
                    state=one.dump(),
                    used=numbers.used,
                    granted=numbers.granted,
                    remaining=numbers.remaining,
                    as_of=one.newest,
                )
            )
            await asyncio.sleep(0)
        return _Made(found, row.serial)
