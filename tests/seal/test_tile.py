"""Tiles: every node's hash can be had from them, at each end that a growing log can have."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.chain import HASH_BYTES
from licet.seal.merkle import MerkleTree
from licet.seal.proof import Node, folded, inclusion_covers, root_cover
from licet.seal.tile import TILE_HASHES, TileEnd, TileError, TileName, growing, hash_in, root_of, tile_of

TILES = 520
"""More than two complete tiles of level 1."""


def leaves_of(tile: int) -> list[bytes]:
    """The leaves of one tile of level 0."""
    return [hashlib.sha256(b"%d.%d" % (tile, at)).digest() for at in range(TILE_HASHES)]


def grown(count: int, step: int) -> dict[TileName, bytes]:
    """All tiles of a log that grew by ``step`` tiles at a time, as storage has them."""
    stored: dict[TileName, bytes] = {}
    while (have := sum(name.level == 0 for name in stored)) < count:
        end = TileEnd(have, {name: stored[name] for name in growing(have) if name in stored})
        for tile in range(have, min(count, have + step)):
            end.add(leaves_of(tile))
        stored |= end.changed
    return stored


@pytest.fixture(scope="module")
def stored() -> dict[TileName, bytes]:
    """The tiles of a long log."""
    return grown(TILES, 64)


@pytest.mark.parametrize("step", [1, 7, 300])
def test_growing_in_other_steps_gives_the_same_tiles(stored: dict[TileName, bytes], step: int) -> None:
    """However many tiles are derived at a time, the same ones result."""
    assert grown(260, step) == {
        name: whole if name.level == 0 else whole[: HASH_BYTES * max(0, min(256, 260 - 256 * name.place))]
        for name, whole in stored.items()
        if (name.level == 0 and name.place < 260) or (name.level == 1 and name.place < 2)
    } | {TileName(2, 0): stored[TileName(2, 0)][:HASH_BYTES]}


def test_levels_end_where_complete_tiles_below_them_do(stored: dict[TileName, bytes]) -> None:
    """Level 0 has complete tiles only; each level above has one hash for each complete tile below."""
    sizes = {level: sum(len(one) for name, one in stored.items() if name.level == level) for level in range(4)}
    assert sizes == {0: TILES * 256 * 32, 1: TILES * 32, 2: (TILES // 256) * 32, 3: 0}
    assert stored[TileName(2, 0)][:32] == root_of(stored[TileName(1, 0)])


@pytest.mark.parametrize("tiles", [1, 2, 255, 256, 257, 512, TILES])
def test_roots_and_proofs_come_out_of_few_tiles(stored: dict[TileName, bytes], tiles: int) -> None:
    """The root from tiles is that of a tree grown leaf by leaf; root and proof need some tiles, not one a hash."""
    tree = MerkleTree()
    for tile in range(tiles):
        for leaf in leaves_of(tile):
            tree.append(leaf)
    size = tiles * TILE_HASHES
    nodes = [node for cover in [root_cover(size), *inclusion_covers(size // 3, size)] for node in cover]
    assert len({tile_of(node) for node in nodes}) <= 6
    hashes = {node: hash_in(node, stored[tile_of(node)]) for node in nodes}
    assert folded(root_cover(size), hashes) == tree.root()


@given(st.integers(0, 17), st.data())
def test_any_node_is_in_its_tile(stored: dict[TileName, bytes], height: int, data: st.DataObject) -> None:
    """The hash of any complete subtree, of every height, is that of its two halves."""
    place = data.draw(st.integers(0, ((TILES * TILE_HASHES) >> height) - 1))
    node = Node(height, place)
    whole = hash_in(node, stored[tile_of(node)])
    if height:
        halves = [Node(height - 1, place * 2), Node(height - 1, place * 2 + 1)]
        assert whole == root_of(b"".join(hash_in(half, stored[tile_of(half)]) for half in halves))
    else:
        assert whole == leaves_of(place // 256)[place % 256]


def test_what_a_tile_does_not_reach_is_told() -> None:
    """A tile that is missing or too short, and an end that does not fit its count, are errors, not wrong hashes."""
    with pytest.raises(TileError, match="tile 0 of level 0 has only 0 hashes"):
        hash_in(Node(3, 1), b"")
    with pytest.raises(TileError, match="tile 0 of level 1 has only 1 hashes"):
        hash_in(Node(9, 0), bytes(32))
    with pytest.raises(TileError, match="level 1 does not end"):
        TileEnd(3, {TileName(1, 0): bytes(64)}).add(leaves_of(3))
    with pytest.raises(TileError, match="256 hashes"):
        TileEnd(0, {}).add(leaves_of(0)[:255])
