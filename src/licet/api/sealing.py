"""The rhythm in which usage is sealed and kept: in the background, so that no request waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from licet.api.background import background
from licet.services.ports import Storage
from licet.telemetry import log

BUSY_SECONDS: Final = 5.0
"""From one look at the workspaces to the next."""
QUIET_SECONDS: Final = 60.0
"""For so long fewer than ``MUCH`` facts are waited with: each segment is an entry of the log."""
REST_SECONDS: Final = 0.05
"""Between two segments of one workspace, so that sealing takes nobody's turn."""
SEGMENT: Final = 10_000
"""Facts of one segment at most."""
MUCH: Final = 1_000
"""So many facts are sealed at the next look."""
KEEPING_SECONDS: Final = 3600.0
"""From one look for what need not be kept any longer to the next."""
FACTS_KEPT: Final = timedelta(days=400)
"""How long single facts are kept; what they come to by the hour is kept for ever."""
KEYS_KEPT: Final = timedelta(days=35)
"""For how long a repetition is known."""
REFUSALS_KEPT: Final = timedelta(days=90)
MONTHS_AHEAD: Final = 2
FORGOTTEN_AT_ONCE: Final = 10_000


class Sealing:
    """Seals every workspace's usage, and lets go what has been kept long enough. ``wall`` is real time."""

    def __init__(
        self,
        storage: Storage,
        wall: Callable[[], datetime],
        *,
        monotonic: Callable[[], float],
        busy: float = BUSY_SECONDS,
        quiet: float = QUIET_SECONDS,
    ) -> None:
        self._storage = storage
        self._wall = wall
        self._monotonic = monotonic
        self._busy = busy
        self._quiet = quiet
        self._due: dict[str, float] = {}
        self._keeping_due = 0.0
        self._failing: set[str] = set()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Seal in the background as long as the block lasts."""
        async with background(self._follow(), "licet-sealing"):
            yield

    async def _follow(self) -> None:
        while True:
            try:
                if self._keeping_due <= self._monotonic():
                    await self._keep()
                await self.round()
            except Exception as error:  # noqa: BLE001 the database may be away: it is tried again later
                log("licet.api").warning("usage cannot be sealed", error=str(error))
            await asyncio.sleep(self._busy)

    async def round(self) -> None:
        """Seal what there is, workspace after workspace a segment, until none has a whole one left or the round is old.

        So the busiest keeps no other from it. Where little is used it is waited for more, but never for long.
        """
        began = self._monotonic()
        waiting = [workspace.id for workspace in await self._storage.workspaces()]
        while waiting:
            waiting = [workspace for workspace in waiting if await self._seal(workspace)]
            if self._monotonic() - began >= KEEPING_SECONDS:
                return
            await asyncio.sleep(REST_SECONDS)

    async def _seal(self, workspace: str) -> bool:
        """Seal a segment; return whether there may be another whole one. Who fails keeps no other from it."""
        least = 1 if self._due.get(workspace, 0.0) <= self._monotonic() else MUCH
        try:
            segment = await self._storage.seal(workspace, SEGMENT, least)
        except Exception as error:  # noqa: BLE001 as above
            if workspace not in self._failing:
                self._failing.add(workspace)
                log("licet.api").warning("usage cannot be sealed", workspace=workspace, error=str(error))
            return False
        self._failing.discard(workspace)
        if segment is not None:
            self._due[workspace] = self._monotonic() + (self._quiet if segment.count < MUCH else self._busy)
        return segment is not None and segment.count == SEGMENT

    async def _keep(self) -> None:
        """Make the months to come, and let go facts, keys and refusals that have been kept long enough."""
        wall = self._wall()
        changed = await self._storage.keep_partitions(MONTHS_AHEAD, wall - FACTS_KEPT)
        if changed:
            log("licet.api").info("months of usage", changed=changed)
        for workspace in await self._storage.workspaces():
            ends = wall - KEYS_KEPT, wall - REFUSALS_KEPT
            gone = FORGOTTEN_AT_ONCE
            while gone >= FORGOTTEN_AT_ONCE:
                gone = await self._storage.forget_usage(workspace.id, *ends, FORGOTTEN_AT_ONCE, wall - FACTS_KEPT)
                await asyncio.sleep(REST_SECONDS)
        self._keeping_due = self._monotonic() + KEEPING_SECONDS
