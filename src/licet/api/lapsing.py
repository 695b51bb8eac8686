"""The rhythm in which quota leases are looked after whose owners went silent: charged in full, until these tell."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from licet.api.background import background
from licet.services.ports import Storage
from licet.services.rows import Actor
from licet.services.usage.lane import UsageLanes
from licet.telemetry import Metrics, log

EVERY_SECONDS: Final = 15.0
"""From one look at the workspaces to the next, about: of several servers one mostly comes first, and the others find
nothing left. What two find at once is charged once all the same."""
JITTER: Final = 0.25
"""So much of that earlier or later."""
AT_ONCE: Final = 500
"""Leases of one posting."""
MOST_POSTINGS: Final = 20
"""Of one workspace in one look."""
ACTOR: Final = Actor(id="system:quota")


class Lapsing:
    """Charges leases whose time, or whose workspace's epoch, is over, of every workspace. Real time alone counts."""

    def __init__(
        self,
        storage: Storage,
        lanes: UsageLanes,
        metrics: Metrics,
        *,
        every: float = EVERY_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._lanes = lanes
        self._metrics = metrics
        self._every = every
        self._chance = chance
        self._failing: set[str] = set()
        self._held: dict[str, tuple[int, int]] = {}
        """By workspace, when it was looked at last: how many are open, and how many ended with a part written off."""

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Look after them in the background as long as the block lasts."""
        async with background(self._follow(), "licet-lapsing"):
            yield

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._every * (1 + JITTER * (2 * self._chance() - 1)))
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 the database may be away: it is tried again later
                log("licet.api").warning("quota leases cannot be looked after", error=str(error))

    async def round(self) -> int:
        """Look at every workspace once; return how many leases were charged."""
        charged = sum([await self._look(workspace.id) for workspace in await self._storage.workspaces()])
        self._metrics.holding(sum(one for one, _ in self._held.values()), sum(one for _, one in self._held.values()))
        return charged

    async def _look(self, workspace: str) -> int:
        """Charge what is lost in one workspace; who fails keeps no other from it."""
        charged = 0
        try:
            for _ in range(MOST_POSTINGS):
                found = await self._charge(workspace)
                charged += found
                if found < AT_ONCE:
                    break
            async with self._storage.read(workspace) as view:
                self._held[workspace] = await view.held_leases()
        except Exception as error:  # noqa: BLE001 as above
            if workspace not in self._failing:
                self._failing.add(workspace)
                words = "quota leases cannot be looked after"
                log("licet.api").warning(words, workspace=workspace, error=str(error))
            return charged
        self._failing.discard(workspace)
        return charged

    async def _charge(self, workspace: str) -> int:
        async with self._storage.read(workspace) as view:
            lost = await view.lost_leases(view.workspace.epoch, view.time.wall, AT_ONCE)
        if lost:
            await self._lanes.of(workspace).lapse(ACTOR, lost)
            self._metrics.leased("charged", "silent", len(lost))
            log("licet.api").warning("quota leases charged in full", workspace=workspace, leases=len(lost))
        return len(lost)


__all__ = ["AT_ONCE", "EVERY_SECONDS", "MOST_POSTINGS", "Lapsing"]
