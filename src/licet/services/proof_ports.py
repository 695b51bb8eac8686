"""What proofs about a log need of storage, as protocols: tiles of its tree, its entries, the key that signs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from licet.seal.audit import Entry
from licet.seal.tile import TileName


class ProofReads(Protocol):
    """Reading what a proof is made of."""

    async def secrets(self, purpose: str) -> Sequence[bytes]:
        """Return the opened secrets of a purpose, newest first."""
        ...

    async def tile_count(self) -> int:
        """Return how many tiles of level 0 there are, each of 256 entries."""
        ...

    async def tiles(self, names: Sequence[TileName]) -> Mapping[TileName, bytes]:
        """Return the hashes of tiles, one after the other; a tile that is not there is left out."""
        ...

    async def entries(self, after: int, limit: int) -> Sequence[Entry]:
        """Return the entries of the ``limit`` next sequences of the log, as their hashes see them."""
        ...


class ProofWrites(Protocol):
    """Deriving tiles, and making the key that signs checkpoints."""

    async def claim(self, purpose: str) -> None:
        """Let only one transaction at a time decide about the secrets of a purpose."""
        ...

    async def put_secrets(self, purpose: str, secrets: Sequence[bytes]) -> None:
        """Replace the secrets of a purpose, newest first."""
        ...

    async def lock_tiles(self) -> None:
        """Let only one transaction at a time extend the tiles of a log."""
        ...

    async def keep_tiles(self, tiles: Mapping[TileName, bytes]) -> None:
        """Write tiles: new ones, and the grown ends of levels. Leaves no event: they are derived."""
        ...

    async def forget_tiles(self) -> None:
        """Delete all tiles of a log, to be derived anew."""
        ...
