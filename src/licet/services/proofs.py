"""Proofs about a workspace's log: signed checkpoints, that an entry stands in it, that it has only grown since.

Hashes come from tiles of the log's tree, and beyond the last complete tile from the entries themselves. Tiles are
derived: a proof made of wrong ones fits no checkpoint, so nobody who verifies has to believe them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from licet.core.instant import format_instant
from licet.seal.audit import Entry
from licet.seal.chain import HASH_BYTES, genesis, leaf_hash, link_hash
from licet.seal.checkpoint import KEY_PURPOSE, Checkpoint, new_seed, origin_of, sign_checkpoint, verifier_of
from licet.seal.merkle import node_hash
from licet.seal.proof import (
    Cover,
    Node,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_covers,
    folded,
    inclusion_covers,
    root_cover,
)
from licet.seal.tile import TILE_HASHES, TileEnd, TileError, TileName, growing, hash_in, tile_of
from licet.services.errors import Conflict, Invalid, NotFound, Unavailable
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, Draft
from licet.wire.proof import ConsistencyProof, EntryProof

TILER: Final = Actor(id="system:tiles")
AT_ONCE: Final = 64
"""Entries that are hashed in one go: what else the process does waits no longer than that takes."""
MOST_BEYOND: Final = 4096
"""Entries beyond the tiles that one proof computes itself."""
CHUNK: Final = 8
"""Tiles of one transaction."""
READ: Final = 32
"""Tiles that are read at once while all are looked at."""
_DAMAGED: Final = "look at `licet audit verify`; of a damaged log nothing is signed or proven"


class LogKey(Struct, frozen=True, kw_only=True):
    """The public line by which the signature of a workspace's checkpoints is verified."""

    origin: str
    verifier: str


async def read_key(view: View) -> LogKey:
    """Return the public line of the workspace's signing key; raises NotFound where none was made."""
    seed = await _seed(view)
    return _key(view.workspace.id, seed)


async def make_key(tx: Tx) -> LogKey:
    """Make the key that signs this workspace's checkpoints, which leaves ``log.key_created``; once, then it stays."""
    await tx.claim(KEY_PURPOSE)
    seeds = await tx.secrets(KEY_PURPOSE)
    if seeds:
        return _key(tx.workspace.id, seeds[0])
    seed = new_seed()
    await tx.put_secrets(KEY_PURPOSE, [seed])
    key = _key(tx.workspace.id, seed)
    await tx.record(Draft(type="log.key_created", subject="log", after={"verifier": key.verifier}))
    return key


async def sign_newest(view: View) -> str:
    """Return a signed checkpoint of the log as this view sees it; raises NotFound without a key, Conflict if damaged.

    Read again are the entries that are newer than the tiles, and all tiles: each level must be what the one below it
    gives (some two seconds for a million entries). The entries below the tiles are read by ``licet audit checkpoint``.
    """
    seed = await _seed(view)
    size = await view.seq()
    await _check_tiles(view)
    root = await root_at(view, size)
    newest = await _hash_at(view, size)
    extra = (f"hash {newest.hex()}", f"exported {format_instant(view.time.wall)}")
    return sign_checkpoint(Checkpoint(origin=origin_of(view.workspace.id), size=size, root=root, extra=extra), seed)


async def prove_entry(view: View, seq: int, size: int | None = None) -> EntryProof:
    """Prove that an entry stands in the log of ``size`` entries (all there are); raises NotFound, Invalid, Conflict."""
    newest = await view.seq()
    whole = newest if size is None else size
    _check_size(whole, newest)
    if whole < seq <= newest:
        words = f"entry {seq} is not among the first {whole}: it came later"
        raise NotFound(words, advice="prove it against a newer checkpoint")
    if not 1 <= seq <= whole:
        raise NotFound(f"there is no entry {seq}: the log has 1 to {whole}", advice="name one of these")
    entry = await _entry_at(view, seq)
    leaf = _leaf(entry, None)
    covers = inclusion_covers(seq - 1, whole)
    tree = _Tree(view, whole)
    path = await tree.fold(covers)
    try:
        check_inclusion(leaf, seq - 1, whole, path, await tree.root(whole))
    except ProofError as error:
        raise _tiles_wrong(f"entry {seq} does not fit the tiles of its log ({error})") from error
    return EntryProof(
        origin=origin_of(view.workspace.id),
        seq=seq,
        size=whole,
        entry=(entry.content or b"").decode(),
        path=tuple(one.hex() for one in path),
    )


async def prove_consistency(view: View, old: int, new: int | None = None) -> ConsistencyProof:
    """Prove that the log of ``old`` entries is the beginning of that of ``new`` (all there are); raises Invalid."""
    newest = await view.seq()
    whole = newest if new is None else new
    _check_size(whole, newest)
    if not 1 <= old <= whole:
        raise Invalid(f"from is {old}; it must be 1 to {whole}", advice="the older checkpoint is the smaller one")
    tree = _Tree(view, whole)
    path = await tree.fold(consistency_covers(old, whole))
    try:
        check_consistency(old, await tree.root(old), whole, await tree.root(whole), path)
    except ProofError as error:
        raise _tiles_wrong(f"the tiles of the log do not fit together ({error})") from error
    return ConsistencyProof(
        origin=origin_of(view.workspace.id), old=old, new=whole, path=tuple(one.hex() for one in path)
    )


async def root_at(view: View, size: int) -> bytes:
    """Return the root of the tree over the first ``size`` entries, as tiles and entries have it."""
    _check_size(size, await view.seq())
    return await _Tree(view, size).root(size)


async def extend_tiles(storage: Storage, workspace: str, *, most: int = CHUNK) -> bool:
    """Derive the next tiles, ``most`` at most, in one transaction; returns whether there are more to derive.

    Raises Conflict at an entry that does not fit its chain: a damaged log gets no tiles.
    """
    async with storage.read(workspace) as view:
        if await view.seq() < (await view.tile_count() + 1) * TILE_HASHES:
            return False
    async with storage.write(workspace, TILER) as tx:
        await tx.lock_tiles()
        count = await tx.tile_count()
        newest = await tx.seq()
        end = TileEnd(count, await tx.tiles(growing(count)))
        for _ in range(min(most, newest // TILE_HASHES - count)):
            leaves = [leaf async for leaf in _leaves(tx, end.count * TILE_HASHES, TILE_HASHES)]
            try:
                end.add(leaves)
            except TileError as error:
                raise _tiles_wrong(f"the log's tiles cannot be extended: {error}") from error
        await tx.keep_tiles(end.changed)
    return newest >= (end.count + 1) * TILE_HASHES


async def forget_tiles(storage: Storage, workspace: str) -> None:
    """Delete the tiles of a log, to be derived anew by :func:`extend_tiles`."""
    async with storage.write(workspace, TILER) as tx:
        await tx.lock_tiles()
        await tx.forget_tiles()


async def _check_tiles(view: View) -> None:
    """Raise Conflict where a level of the tiles is not what the one below it gives."""
    count, end = await view.tile_count(), TileEnd(0, {})
    for first in range(0, count, READ):
        names = [TileName(0, place) for place in range(first, min(count, first + READ))]
        tiles = await view.tiles(names)
        for name in names:
            hashes = tiles.get(name, b"")
            try:
                end.add([hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)])
            except TileError as error:
                raise _tiles_wrong(f"tile {name.place} of level 0 is not whole ({error})") from error
            del end.changed[name]
            await asyncio.sleep(0)
    found = await view.tiles(list(end.changed))
    for name, hashes in end.changed.items():
        if found.get(name) != hashes:
            raise _tiles_wrong(f"tile {name.place} of level {name.level} is not what the tiles below it give")


class _Tree:
    """The tree over a log's first entries as one view sees it."""

    def __init__(self, view: View, size: int) -> None:
        self._view = view
        self._size = size
        self._known: dict[Node, bytes] = {}
        self._tiled: int | None = None

    async def root(self, size: int) -> bytes:
        """Return the root at this size or a smaller one."""
        return (await self.fold([root_cover(size)]))[0]

    async def fold(self, covers: Sequence[Cover]) -> list[bytes]:
        """Return the hash of each subtree."""
        if self._tiled is None:
            self._tiled = await self._view.tile_count() * TILE_HASHES
            await self._read_beyond(self._tiled)
        nodes = [node for cover in covers for node in cover]
        pieces = {piece for node in nodes for piece in _pieces(node, self._tiled)}
        await self._read_tiles(pieces - self._known.keys())
        hashes = {node: self._hash(node) for node in nodes}
        return [folded(cover, hashes) for cover in covers]

    async def _read_tiles(self, nodes: AbstractSet[Node]) -> None:
        tiles = await self._view.tiles(sorted({tile_of(node) for node in nodes}))
        try:
            for node in nodes:
                self._known[node] = hash_in(node, tiles.get(tile_of(node), b""))
        except TileError as error:
            raise _tiles_wrong(str(error)) from error

    async def _read_beyond(self, tiled: int) -> None:
        """Hash the entries beyond the tiles, each by itself."""
        count = self._size - tiled
        if count > MOST_BEYOND:
            raise Unavailable(
                f"the tree of the log is derived up to entry {tiled} of {self._size} only",
                advice="try again in a moment: the server derives the rest; so does `licet audit checkpoint`",
            )
        if count > 0:
            leaves = [leaf async for leaf in _leaves(self._view, tiled, count)]
            self._known.update((Node(0, index), leaf) for index, leaf in enumerate(leaves, start=tiled))

    def _hash(self, node: Node) -> bytes:
        if node not in self._known:
            low, high = _halves(node)
            self._known[node] = node_hash(self._hash(low), self._hash(high))
        return self._known[node]


def _pieces(node: Node, tiled: int) -> list[Node]:
    """Return the parts of a node that tiles hold; the rest of it are entries beyond them."""
    if node.first + (1 << node.height) <= tiled:
        return [node]
    if node.first >= tiled:
        return []
    low, high = _halves(node)
    return _pieces(low, tiled) + _pieces(high, tiled)


def _halves(node: Node) -> tuple[Node, Node]:
    return Node(node.height - 1, node.place * 2), Node(node.height - 1, node.place * 2 + 1)


async def _leaves(view: View, after: int, count: int) -> AsyncIterator[bytes]:
    """Yield the leaf hashes of the next entries, each of which must continue the chain."""
    end, seq, prev = after + count, after, await _hash_at(view, after)
    while seq < end:
        entries = await view.entries(seq, min(AT_ONCE, end - seq))
        for entry in entries:
            seq += 1
            if entry.seq != seq:
                break
            yield _leaf(entry, prev)
            prev = entry.hash
        if not entries or entries[-1].seq != seq:
            raise _missing(seq if entries else seq + 1)


def _leaf(entry: Entry, prev: bytes | None) -> bytes:
    leaf = None if entry.content is None else leaf_hash(entry.content)
    if leaf is None or link_hash(entry.prev, leaf) != entry.hash or prev not in (None, entry.prev):
        raise Conflict(f"the log is damaged at entry {entry.seq}", advice=_DAMAGED)
    return leaf


def _missing(seq: int) -> Conflict:
    return Conflict(f"the log is damaged: entry {seq} is missing", advice=_DAMAGED)


def _tiles_wrong(words: str) -> Conflict:
    advice = "run `licet audit checkpoint`: it verifies the log and derives its tiles anew"
    return Conflict(words, advice=advice)


async def _entry_at(view: View, seq: int) -> Entry:
    found = await view.entries(seq - 1, 1)
    if not found or found[0].seq != seq:
        raise _missing(seq)
    return found[0]


async def _hash_at(view: View, seq: int) -> bytes:
    return genesis(view.workspace.id) if seq == 0 else (await _entry_at(view, seq)).hash


def _check_size(size: int, newest: int) -> None:
    if not 1 <= size <= newest:
        raise Invalid(f"size is {size}; the log has {newest} entries, so it must be 1 to {newest}")


async def _seed(view: View) -> bytes:
    seeds = await view.secrets(KEY_PURPOSE)
    if not seeds:
        raise NotFound(
            f"workspace {view.workspace.id} has no key yet to sign checkpoints of its log with",
            advice="make it once: POST /v1/log/key, or `licet audit checkpoint` at the database",
        )
    return seeds[0]


def _key(workspace: str, seed: bytes) -> LogKey:
    origin = origin_of(workspace)
    return LogKey(origin=origin, verifier=verifier_of(origin, seed))
