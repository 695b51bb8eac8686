"""Published keysets: what anybody may fetch who checks what a workspace signs. Kept for a moment: asking is cheap."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from licet.services.errors import NotFound, UnknownWorkspace
from licet.services.ports import Storage

KEPT_SECONDS: Final = 5.0


class PublishedKeyset(Struct, frozen=True, kw_only=True):
    """A workspace's newest signed keyset and the public root that signed it."""

    workspace: str
    root: str
    keyset: str


class PublishedKeysets:
    """The keysets of all workspaces, as they were at most five seconds ago. ``monotonic`` gives seconds.

    Anybody may ask, also for workspaces that are not there: neither costs more than a look-up here.
    """

    def __init__(self, storage: Storage, monotonic: Callable[[], float]) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self._reading = asyncio.Lock()
        self._held: dict[str, PublishedKeyset | None] = {}
        self._until = float("-inf")

    async def of(self, workspace: str) -> PublishedKeyset:
        """Return a workspace's keyset; raises UnknownWorkspace, NotFound before the first keyset, or Unavailable."""
        async with self._reading:
            if self._monotonic() >= self._until:
                self._held = await self._read()
                self._until = self._monotonic() + KEPT_SECONDS
            held = self._held
        if workspace not in held:
            raise UnknownWorkspace(
                f"there is no workspace {workspace[:63]!r}", advice="name the one that your key is of, such as live"
            )
        found = held[workspace]
        if found is None:
            raise NotFound(f"workspace {workspace} has no keyset yet", advice="`licet up` makes it; then ask again")
        return found

    def forget(self) -> None:
        """Let all keysets be read anew when the next one is asked for."""
        self._until = float("-inf")

    async def _read(self) -> dict[str, PublishedKeyset | None]:
        read: dict[str, PublishedKeyset | None] = {}
        for workspace in await self._storage.workspaces():
            async with self._storage.read(workspace.id) as view:
                row = await view.keyset()
            read[workspace.id] = (
                None if row is None else PublishedKeyset(workspace=workspace.id, root=row.root, keyset=row.token)
            )
        return read
