"""Signed keysets, append-only, and the epoch of a workspace, which only rises."""

from typing import Final

from msgspec import structs

from licet.services.errors import Conflict
from licet.services.signing_ports import KeysetRow
from licet.store.session import Reading, Writing, as_struct

NEWEST: Final = """
    SELECT version, root, token, issued_at FROM keyset WHERE workspace_id = $1 ORDER BY version DESC LIMIT 1
"""
VERSION: Final = "SELECT version FROM keyset WHERE workspace_id = $1 ORDER BY version DESC LIMIT 1"
# Two that read the same newest version write the same next one: the primary key lets one of them in.
INSERT: Final = """
    INSERT INTO keyset (workspace_id, version, root, token, issued_at)
    SELECT $1, $2, $3, $4, $5
    WHERE NOT EXISTS (SELECT FROM keyset WHERE workspace_id = $1 AND version >= $2)
    ON CONFLICT DO NOTHING
"""
LOCK_EPOCH: Final = "SELECT epoch FROM workspace WHERE workspace_id = $1 FOR NO KEY UPDATE"
RAISE_EPOCH: Final = "UPDATE workspace SET epoch = $2 WHERE workspace_id = $1 AND epoch < $2"


class SigningReads(Reading):
    """Reading keysets."""

    async def keyset(self) -> KeysetRow | None:
        """Return the newest keyset; None where none was released yet."""
        row = await self._row(NEWEST)
        return None if row is None else as_struct(row, KeysetRow)

    async def keyset_version(self) -> int:
        """Return the version of the newest keyset; 0 where there is none."""
        row = await self._row(VERSION)
        return 0 if row is None else int(row["version"])


class SigningWrites(SigningReads, Writing):
    """Releasing keysets, and raising the epoch."""

    async def put_keyset(self, row: KeysetRow) -> None:
        """Append a keyset; raises Conflict unless its version is higher than all before it."""
        self._write("keyset")
        if not await self._execute(INSERT, row.version, row.root, row.token, row.issued_at):
            raise Conflict(
                f"the keyset has version {row.version} or a higher one already", advice="look at it: licet signing show"
            )

    async def lock_epoch(self) -> int:
        """Lock the workspace's epoch until commit and return it."""
        row = await self._row(LOCK_EPOCH)
        if row is None:
            raise RuntimeError(f"workspace {self._ws!r} has no row")
        return int(row["epoch"])

    async def raise_epoch(self, epoch: int) -> None:
        """Set the workspace's epoch; raises Conflict unless it is higher than the one in force."""
        self._write("epoch")
        if not await self._execute(RAISE_EPOCH, epoch):
            raise Conflict(
                f"the epoch is {epoch} or higher already", advice="look at it: licet epoch show; an epoch only rises"
            )
        self.workspace = structs.replace(self.workspace, epoch=epoch)
