"""Keysets and the epoch as storage keeps them. The root that signs keysets is never among what is stored."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct


class KeysetRow(Struct, frozen=True, kw_only=True):
    """One signed keyset. ``issued_at`` is real time."""

    version: int
    root: str
    """The public root (``k4.public.…``) that signed it."""
    token: str
    issued_at: datetime


class SigningReads(Protocol):
    """Reading keysets."""

    async def keyset(self) -> KeysetRow | None:
        """Return the newest keyset; None where none was released yet."""
        ...

    async def keyset_version(self) -> int:
        """Return the version of the newest keyset (0 where there is none): cheaper than the keyset itself."""
        ...


class SigningWrites(Protocol):
    """Releasing keysets, and raising the epoch."""

    async def put_keyset(self, row: KeysetRow) -> None:
        """Append a keyset; raises Conflict unless its version is higher than all before it."""
        ...

    async def lock_epoch(self) -> int:
        """Lock the workspace's epoch until commit and return it."""
        ...

    async def raise_epoch(self, epoch: int) -> None:
        """Set the workspace's epoch; raises Conflict unless it is higher than the one in force."""
        ...
