"""Who read what about whom: reads of personal values and of somebody's past are on record, in batches.

One event ``reads.recorded`` stands for all reads of a few seconds. Nothing is written while somebody waits, and nothing
for ordinary questions. A server that is killed loses what it noted since the last batch: at most ``Pace.seconds``.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.services.ports import Storage
from licet.services.rows import Actor, Draft
from licet.telemetry import log

SUBJECT: Final = "reads"
READER: Final = Actor(id="system:reads")
MAX_KEPT: Final = 2_000
"""Different reads kept in memory; of what comes on top only the operation and the reader, then the operation, stays."""
MAX_TOLD: Final = 500
"""Different reads in one event."""
LAST_SECONDS: Final = 5.0
"""How long the end of a server waits for its last batch."""
OTHERS: Final = "*"


class Pace(Struct, frozen=True, kw_only=True):
    """How often reads are written down: after so many seconds, or as soon as there are so many."""

    seconds: float = 5.0
    most: int = 200


class Read(Struct, frozen=True):
    """Who used which operation about what: ``customer/acme``, ``customer/acme/user/ann``, ``customers``."""

    actor: str
    operation: str
    subject: str


class _Noted(Struct):
    """What one workspace's readers did since the last batch."""

    since: datetime
    counts: dict[Read, int]
    total: int = 0

    def add(self, read: Read, count: int) -> None:
        """Count a read; where there are too many different ones, with less detail."""
        if read not in self.counts and len(self.counts) >= MAX_KEPT:
            read = Read(read.actor, read.operation, OTHERS)
            if read not in self.counts and len(self.counts) >= 2 * MAX_KEPT:
                read = Read(OTHERS, read.operation, OTHERS)
        self.counts[read] = self.counts.get(read, 0) + count
        self.total += count


class ReadLog:
    """Collects reads and writes them down. For one event loop."""

    def __init__(self, storage: Storage, pace: Pace | None = None) -> None:
        self._storage = storage
        self._pace = pace or Pace()
        self._noted: dict[str, _Noted] = {}
        self._begun = asyncio.Event()
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(self, workspace: str, read: Read, at: datetime) -> None:
        """Note a read at a real instant; it is on record with the next batch."""
        noted = self._noted.setdefault(workspace, _Noted(at, {}))
        noted.add(read, 1)
        self._begun.set()
        if noted.total >= self._pace.most:
            self._full.set()

    async def flush(self) -> int:
        """Write down what was noted, one event for each workspace, and return how many reads that were.

        What cannot be written is kept and tried again with the next batch.
        """
        async with self._writing:
            noted, self._noted = self._noted, {}
            self._begun.clear()
            self._full.clear()
            done = 0
            for workspace, batch in noted.items():
                try:
                    await self._write(workspace, batch)
                    done += batch.total
                except Exception as error:  # noqa: BLE001 the database may be away: reads wait, readers do not
                    log("licet.reads").warning("reads cannot be recorded yet", reads=batch.total, error=str(error))
                    self._keep(workspace, batch)
            return done

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Write down in the background as long as the block lasts, and the rest at its end."""
        task = asyncio.create_task(self._follow(), name="licet-reads")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(TimeoutError):
                await asyncio.wait_for(self.flush(), LAST_SECONDS)
            if self._noted:
                lost = sum(batch.total for batch in self._noted.values())
                log("licet.reads").error("reads were not recorded: the server ends without its database", reads=lost)

    async def _follow(self) -> None:
        while True:
            await self._begun.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.seconds):
                    await self._full.wait()
            # A batch that is under way when the server ends is finished, neither lost nor written twice.
            await asyncio.shield(self.flush())
            if self._noted:
                await asyncio.sleep(self._pace.seconds)

    async def _write(self, workspace: str, batch: _Noted) -> None:
        reads = [
            {"actor": read.actor, "operation": read.operation, "subject": read.subject, "count": count}
            for read, count in batch.counts.items()
        ]
        async with self._storage.write(workspace, READER) as tx:
            for start in range(0, len(reads), MAX_TOLD):
                told = {"since": batch.since.isoformat(), "reads": reads[start : start + MAX_TOLD]}
                await tx.record(Draft(type="reads.recorded", subject=SUBJECT, after=told))

    def _keep(self, workspace: str, batch: _Noted) -> None:
        """Put a batch back in front of what came meanwhile."""
        newer = self._noted.get(workspace)
        self._noted[workspace] = batch
        self._begun.set()
        if newer is not None:
            for read, count in newer.counts.items():
                batch.add(read, count)
