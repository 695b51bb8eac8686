"""The Merkle tree of RFC 9162 section 2.1, grown leaf by leaf in logarithmic memory."""

import hashlib
from collections.abc import Sequence
from typing import Final

from licet.seal.chain import HASH_BYTES

_NODE: Final = b"\x01"


class MerkleTree:
    """A tree to which leaf hashes are appended; it keeps one hash per complete subtree and never a leaf."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash of 32 bytes; raises ValueError for anything else."""
        if len(leaf) != HASH_BYTES:
            raise ValueError(f"a leaf hash has {HASH_BYTES} bytes, not {len(leaf)}")
        self.size += 1
        width, node = 1, leaf
        while self._peaks and self._peaks[-1][0] == width:
            node = node_hash(self._peaks.pop()[1], node)
            width *= 2
        self._peaks.append((width, node))

    def root(self) -> bytes:
        """Return the root over all leaves so far; raises ValueError for an empty tree."""
        if not self._peaks:
            raise ValueError("a tree without leaves has no root to sign or to compare")
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = node_hash(left, node)
        return node


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes that are all there; raises ValueError where there are none."""
    if not leaves:
        raise ValueError("a tree without leaves has no root to sign or to compare")
    level = list(leaves)
    while len(level) > 1:
        above = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[-1:] if len(level) % 2 else above
    return level[0]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node; both children have 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()
