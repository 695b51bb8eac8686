"""Proofs about a log's Merkle tree (RFC 9162 sections 2.1.3 and 2.1.4): which hashes one needs, and what it proves.

Making a proof is arithmetic over positions: the functions here say which nodes are wanted, somebody reads their hashes,
and :func:`folded` puts them together. Verifying takes nothing but the proof and roots that are trusted already.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from licet.seal.chain import HASH_BYTES
from licet.seal.merkle import node_hash

LARGEST: Final = 2**62
"""More leaves than these no tree of ours has; sizes beyond it are refused before anything is computed."""


class ProofError(Exception):
    """The proof does not prove what it should, or there can be no such proof."""


class Node(NamedTuple):
    """A complete subtree of ``2**height`` leaves; ``place`` counts the subtrees of that height from the left."""

    height: int
    place: int

    @property
    def first(self) -> int:
        """Return the index of its first leaf."""
        return self.place << self.height


Cover = tuple[Node, ...]
"""The complete subtrees, from left to right, that are one subtree of a tree: its hash is folded from theirs."""


def cover_of(first: int, end: int) -> Cover:
    """Return the subtrees that hold the leaves ``first`` (inclusive) to ``end`` (exclusive), largest ones possible."""
    found: list[Node] = []
    while first < end:
        height = (end - first).bit_length() - 1
        if first:
            height = min(height, (first & -first).bit_length() - 1)
        found.append(Node(height, first >> height))
        first += 1 << height
    return tuple(found)


def root_cover(size: int) -> Cover:
    """Return the subtrees of which a tree's root is folded; raises ProofError for a size that no tree has."""
    _check_size(size)
    return cover_of(0, size)


def inclusion_covers(index: int, size: int) -> list[Cover]:
    """Return what each hash of an inclusion proof is folded from, from the leaf upwards; raises ProofError."""
    _check_index(index, size)
    found: list[Cover] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            found.append(cover_of(middle, end))
            end = middle
        else:
            found.append(cover_of(first, middle))
            first = middle
    return found[::-1]


def consistency_covers(old: int, new: int) -> list[Cover]:
    """Return what each hash of a consistency proof between two sizes is folded from; raises ProofError."""
    _check_sizes(old, new)
    found: list[Cover] = []
    first, end, whole = 0, new, True
    while old < end:
        middle = first + _split(end - first)
        if old <= middle:
            found.append(cover_of(middle, end))
            end = middle
        else:
            found.append(cover_of(first, middle))
            first, whole = middle, False
    if not whole:
        found.append(cover_of(first, end))
    return found[::-1]


def folded(cover: Cover, hashes: Mapping[Node, bytes]) -> bytes:
    """Return the hash of a subtree from those of the complete ones in it; raises KeyError for one that is missing."""
    node = hashes[cover[-1]]
    for left in reversed(cover[:-1]):
        node = node_hash(hashes[left], node)
    return node


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Accept that a tree of ``size`` leaves with this root has this leaf hash at ``index``; raises ProofError."""
    _check_index(index, size)
    _check_hashes((leaf, root, *path))
    found = leaf
    for sibling, before in _climb(index, size - 1, path):
        found = node_hash(sibling, found) if before else node_hash(found, sibling)
    if found != root:
        raise ProofError(f"the proof leads to another root than the one of size {size}")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Accept that the tree with the old root is the beginning of that with the new one; raises ProofError."""
    _check_sizes(old, new)
    _check_hashes((old_root, new_root, *path))
    if old == new:
        if path:
            raise ProofError(_too_long(len(path)))
        if old_root != new_root:
            raise ProofError(f"two trees of the same size {old} have different roots")
        return
    # The old tree is one complete subtree of the new one: its root begins the proof without standing in it.
    rest = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not path:
        raise ProofError(_too_short(0))
    left, last = old - 1, new - 1
    while left % 2:
        left, last = left >> 1, last >> 1
    first = second = rest[0]
    for sibling, before in _climb(left, last, rest[1:]):
        first = node_hash(sibling, first) if before else first
        second = node_hash(sibling, second) if before else node_hash(second, sibling)
    if first != old_root:
        raise ProofError(f"the proof does not lead to the root of size {old}: the {old} entries were not these")
    if second != new_root:
        raise ProofError(f"the proof does not lead to the root of size {new}")


def _climb(left: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each hash of a proof, and whether it stands before what has been computed so far; checks their number."""
    for sibling in path:
        if last == 0:
            raise ProofError(_too_long(len(path)))
        before = left % 2 == 1 or left == last
        yield sibling, before
        while before and left % 2 == 0 and left:
            left, last = left >> 1, last >> 1
        left, last = left >> 1, last >> 1
    if last:
        raise ProofError(_too_short(len(path)))


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than a number of leaves."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_size(size: int) -> None:
    if not 1 <= size <= LARGEST:
        raise ProofError(f"a tree has 1 to {LARGEST} entries, not {size}")


def _check_index(index: int, size: int) -> None:
    _check_size(size)
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} entries has no leaf {index}: they are 0 to {size - 1}")


def _check_sizes(old: int, new: int) -> None:
    _check_size(old)
    _check_size(new)
    if old > new:
        raise ProofError(f"a tree of {old} entries is no beginning of one of {new}: the older one is the smaller")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise ProofError(f"a hash has {HASH_BYTES} bytes, not {len(one)}")


def _too_long(count: int) -> str:
    return f"the proof has {count} hashes, more than belong to these sizes"


def _too_short(count: int) -> str:
    return f"the proof has {count} hashes, fewer than belong to these sizes"
