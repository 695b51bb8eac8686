"""The rhythm of the log's tiles: derived in the background, so that a proof finds them there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from licet.api.background import background
from licet.services.ports import Storage
from licet.services.proofs import extend_tiles
from licet.telemetry import log

LOOK_SECONDS: Final = 5.0
"""From one look for entries without tiles to the next."""
REST_SECONDS: Final = 0.05
"""Between two chunks of a long log, so that deriving its tiles takes nobody's turn."""


class Tiling:
    """Derives tiles of every workspace's log. Proofs do without the newest ones; nothing waits for it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._failing: set[str] = set()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Derive in the background as long as the block lasts."""
        async with background(self._follow(), "licet-tiling"):
            yield

    async def _follow(self) -> None:
        while True:
            more = False
            try:
                for workspace in await self._storage.workspaces():
                    more |= await self._extend(workspace.id)
            except Exception as error:  # noqa: BLE001 the database may be away: it is tried again later
                log("licet.api").warning("tiles of the log cannot be derived", error=str(error))
            await asyncio.sleep(REST_SECONDS if more else LOOK_SECONDS)

    async def _extend(self, workspace: str) -> bool:
        try:
            more = await extend_tiles(self._storage, workspace)
        except Exception as error:  # noqa: BLE001 one damaged log keeps no other from its tiles
            if workspace not in self._failing:
                self._failing.add(workspace)
                words = "tiles of the log cannot be derived"
                log("licet.api").warning(words, workspace=workspace, error=str(error))
            return False
        self._failing.discard(workspace)
        return more
