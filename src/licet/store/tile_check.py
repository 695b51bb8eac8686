"""Comparing the stored tiles with the entries they are derived from, while the whole log is read anyway."""

from collections.abc import Sequence

from licet.seal.audit import Entry
from licet.seal.chain import HASH_BYTES, leaf_hash
from licet.seal.tile import TILE_BITS, TILE_HASHES, TileEnd, TileName
from licet.store.postgres import PostgresView


class TileCheck:
    """Takes a whole log's entries in their order and says at the end whether the tiles that there are fit them.

    It keeps the hashes above the leaves: 128 KiB for a million entries.
    """

    def __init__(self, view: PostgresView, count: int) -> None:
        self._view = view
        self._count = count
        self._end = TileEnd(0, {})
        self._leaves: list[bytes] = []
        self._fits = True

    async def page(self, entries: Sequence[Entry]) -> None:
        """Take the next entries."""
        complete: dict[TileName, bytes] = {}
        for entry in entries:
            self._leaves.append(leaf_hash(entry.content or b""))
            if len(self._leaves) == TILE_HASHES:
                name = TileName(0, self._end.count)
                self._end.add(self._leaves)
                complete[name] = self._end.changed.pop(name)
                self._leaves = []
        await self._compare(complete)

    async def fits(self) -> bool:
        """Return whether every tile that there should be is there and right."""
        await self._compare({name: self._cut(name, hashes) for name, hashes in self._end.changed.items()})
        return self._fits and self._count <= self._end.count

    async def _compare(self, wanted: dict[TileName, bytes]) -> None:
        # Tiles that are still to be derived are none to compare.
        wanted = {
            name: hashes for name, hashes in wanted.items() if hashes and (name.level or name.place < self._count)
        }
        if self._fits and wanted:
            self._fits = wanted == await self._view.tiles(list(wanted))

    def _cut(self, name: TileName, hashes: bytes) -> bytes:
        below = self._count >> (TILE_BITS * (name.level - 1))
        return hashes[: max(0, below - name.place * TILE_HASHES) * HASH_BYTES]
