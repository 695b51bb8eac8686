"""Tiles: the hashes of a Merkle tree in pieces of 256 of one height, so that a proof reads few of them.

Level 0 holds the leaves, level 1 the roots of 256 leaves each, and so on. Tiles of level 0 are complete; those above
grow at their end. What is beyond the last complete tile of level 0 is computed from the entries themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from licet.seal.chain import HASH_BYTES
from licet.seal.merkle import MerkleTree
from licet.seal.proof import Node

TILE_BITS: Final = 8
TILE_HASHES: Final = 1 << TILE_BITS


class TileName(NamedTuple):
    """Which tile: its level, and its place among the tiles of the level, from the left."""

    level: int
    place: int


class TileError(Exception):
    """A tile is not there, or does not have the hashes that it must have."""


def tile_of(node: Node) -> TileName:
    """Return the tile from which a node's hash is computed."""
    level = node.height // TILE_BITS
    return TileName(level, node.first >> (TILE_BITS * (level + 1)))


def hash_in(node: Node, hashes: bytes) -> bytes:
    """Return a node's hash from the hashes of its tile; raises TileError where the tile does not reach it."""
    within = 1 << (node.height % TILE_BITS)
    start = ((node.first >> (TILE_BITS * (node.height // TILE_BITS))) % TILE_HASHES) * HASH_BYTES
    part = hashes[start : start + within * HASH_BYTES]
    if len(part) != within * HASH_BYTES:
        name = tile_of(node)
        raise TileError(f"tile {name.place} of level {name.level} has only {len(hashes) // HASH_BYTES} hashes")
    return root_of(part)


def root_of(hashes: bytes) -> bytes:
    """Return the root over hashes that are written one after the other."""
    tree = MerkleTree()
    for start in range(0, len(hashes), HASH_BYTES):
        tree.append(hashes[start : start + HASH_BYTES])
    return tree.root()


def growing(count: int) -> list[TileName]:
    """Return the tiles above level 0 that the next tile of level 0 may change, when there are ``count`` of them."""
    found: list[TileName] = []
    level = 1
    # A level's end stands where as many of its hashes are written as there are complete tiles below it.
    while count > 0:
        found.append(TileName(level, count >> TILE_BITS))
        count >>= TILE_BITS
        level += 1
    return found


class TileEnd:
    """The growing end of all levels: takes complete tiles of level 0 and says which tiles they change.

    ``count`` is how many tiles of level 0 there are, ``tiles`` holds those of :func:`growing` that exist.
    """

    def __init__(self, count: int, tiles: Mapping[TileName, bytes]) -> None:
        self.count = count
        self.changed: dict[TileName, bytes] = {}
        self._tiles = dict(tiles)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Take the next 256 leaf hashes; raises TileError where the stored ends do not fit the count."""
        whole = b"".join(leaves)
        if len(whole) != TILE_HASHES * HASH_BYTES:
            raise TileError(f"a tile has {TILE_HASHES} hashes of {HASH_BYTES} bytes, not {len(leaves)}")
        self.changed[TileName(0, self.count)] = whole
        self.count += 1
        level, below, node = 1, self.count, root_of(whole)
        while True:
            name = TileName(level, (below - 1) >> TILE_BITS)
            before = self._tiles.get(name, b"")
            if len(before) != ((below - 1) % TILE_HASHES) * HASH_BYTES:
                raise TileError(f"tile {name.place} of level {level} does not end where {below} tiles below it do")
            self._tiles[name] = self.changed[name] = before + node
            if below % TILE_HASHES:
                return
            level, below, node = level + 1, below >> TILE_BITS, root_of(self._tiles[name])
