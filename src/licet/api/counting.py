"""The rhythm of check telemetry: what a server counts is written once a second at most, and what is old is deleted."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from licet.core.tally import CheckKey
from licet.services.check_counts import CheckCounter, forget_old_checks
from licet.services.checks import Answered
from licet.services.ports import Storage, View
from licet.telemetry import log

FLUSH_SECONDS: Final = 1.0
"""From one write of a workspace's counts to the next; what a process that is killed has not written is no older."""
GATHER_PART: Final = 0.25
"""The part of that time for which the first check after a quiet time waits for others."""
SETTLE_SECONDS: Final = 2.0
"""How long a reader waits for what was counted before it asked."""
LAST_SECONDS: Final = 5.0
"""How long the end of a server waits for what it has counted to be written."""
FORGET_SECONDS: Final = 600.0
"""From one look for counts and records that are old enough to be deleted to the next."""


class Counting:
    """Notes checks and writes what was noted in the background. A check never waits for it.

    ``every`` is the time in seconds from one write to the next.
    """

    def __init__(self, storage: Storage, counter: CheckCounter, *, every: float = FLUSH_SECONDS) -> None:
        self._storage = storage
        self._every = every
        self._gather = every * GATHER_PART
        self._counter = counter
        self._noted = asyncio.Event()
        self._flushed = asyncio.Condition()
        self._failing: set[str] = set()

    def note(self, view: View, answers: Iterable[Answered]) -> None:
        """Count answers that were given from one state; in memory only."""
        self._counter.note(view, answers)
        self._noted.set()

    def again(self, workspace: str, key: CheckKey) -> None:
        """Count an answer of which nothing is kept but the count; in memory only."""
        self._counter.again(workspace, key)
        self._noted.set()

    async def settle(self, workspace: str) -> None:
        """Return once what this process has counted so far is written, after two seconds at the latest."""
        newest = self._counter.newest(workspace)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS), self._flushed:
                await self._flushed.wait_for(lambda: self._counter.written(workspace) >= newest)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Write and delete in the background as long as the block lasts; then write what is left."""
        tasks = [
            asyncio.create_task(self._flush_all(), name="licet-counting"),
            asyncio.create_task(self._forget_all(), name="licet-forgetting"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._finish()

    async def _flush_all(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time() - self._every
        while True:
            await self._noted.wait()
            await asyncio.sleep(max(self._gather, began + self._every - loop.time()))
            began = loop.time()
            self._noted.clear()
            await self.flush()
            if self._counter.waiting():
                self._noted.set()
            async with self._flushed:
                self._flushed.notify_all()

    async def flush(self) -> None:
        """Write a batch of each workspace that has anything to write; never twice at once."""
        for workspace in self._counter.waiting():
            await self._flush(workspace)

    async def _flush(self, workspace: str) -> None:
        try:
            await self._counter.flush(workspace)
        except Exception as error:  # noqa: BLE001 counting goes on whatever becomes of one batch
            if workspace not in self._failing:
                self._failing.add(workspace)
                words = "checks are counted but cannot be written"
                log("licet.api").warning(words, workspace=workspace, error=str(error), retry_seconds=self._every)
            return
        self._failing.discard(workspace)

    async def _finish(self) -> None:
        """Write what is left: at most the batch that was under way, and one more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                for _ in range(2):
                    await self.flush()
        for workspace in self._counter.waiting():
            log("licet.api").error("the last counts of checks are lost: they could not be written", workspace=workspace)

    async def _forget_all(self) -> None:
        while True:
            more = False
            try:
                for workspace in await self._storage.workspaces():
                    more |= await forget_old_checks(self._storage, workspace.id)
            except Exception as error:  # noqa: BLE001 the database may be away: it is tried again later
                log("licet.api").warning("old counts of checks cannot be deleted", error=str(error))
            await asyncio.sleep(FLUSH_SECONDS if more else FORGET_SECONDS)
