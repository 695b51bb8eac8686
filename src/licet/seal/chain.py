"""The hash chain of a log: leaf hashes as in RFC 9162, each linked to the one before.

``leaf = SHA-256(0x00 ‖ content)`` and ``hash = SHA-256(0x02 ‖ prev ‖ leaf)``; ``prev`` of the first entry binds the
workspace. The content is canonical JSON. The same leaves feed the Merkle tree of :mod:`licet.seal.merkle`.
"""

import hashlib
from typing import Final

HASH_BYTES: Final = 32
_LEAF: Final = b"\x00"
_LINK: Final = b"\x02"
_GENESIS: Final = b"licet.log.v1\0"


def genesis(workspace: str) -> bytes:
    """Return the ``prev`` of a workspace's first entry."""
    return hashlib.sha256(_GENESIS + workspace.encode()).digest()


def leaf_hash(content: bytes) -> bytes:
    """Return the leaf hash of one entry's canonical content (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(_LEAF + content).digest()


def link_hash(prev: bytes, leaf: bytes) -> bytes:
    """Return an entry's hash from the hash before it and its own leaf; both have 32 bytes."""
    if len(prev) != HASH_BYTES or len(leaf) != HASH_BYTES:
        raise ValueError(f"hashes have {HASH_BYTES} bytes, not {len(prev)} and {len(leaf)}")
    return hashlib.sha256(_LINK + prev + leaf).digest()
