"""The chain's hashes and the Merkle tree against the recursive definition of RFC 9162."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.merkle import MerkleTree

# The entries and roots of the test suite of the reference implementation of certificate transparency.
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def test_known_roots() -> None:
    """The published roots of the published leaves come out, for every size from 1 to 8."""
    tree = MerkleTree()
    for leaf, root in zip(KNOWN_LEAVES, KNOWN_ROOTS, strict=True):
        tree.append(leaf_hash(bytes.fromhex(leaf)))
        assert tree.root().hex() == root


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
def test_growing_equals_the_definition(leaves: list[bytes]) -> None:
    """Appending leaf by leaf gives the root that the recursive definition gives."""
    tree = MerkleTree()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root() == defined_root(leaves)
    assert tree.size == len(leaves)


def test_an_empty_tree_has_no_root_and_leaves_have_one_size() -> None:
    """Nothing can be signed for an empty log, and only hashes are leaves."""
    tree = MerkleTree()
    with pytest.raises(ValueError, match="without leaves"):
        tree.root()
    with pytest.raises(ValueError, match="32 bytes"):
        tree.append(b"short")


def test_leaf_node_and_link_never_collide() -> None:
    """The same 64 bytes hash differently as a leaf, as an inner node and as a link; a link needs whole hashes."""
    left, right = bytes(32), bytes(range(32))
    node = hashlib.sha256(b"\x01" + left + right).digest()
    assert len({leaf_hash(left + right), node, link_hash(left, right)}) == 3
    assert link_hash(left, right) == hashlib.sha256(b"\x02" + left + right).digest()
    with pytest.raises(ValueError, match="32 bytes"):
        link_hash(left + right, b"")


def test_each_workspace_begins_elsewhere() -> None:
    """Logs of two workspaces cannot be exchanged: their first entries continue from different hashes."""
    assert genesis("live") != genesis("test")
