"""Proofs of the tree against published vectors, against the RFC's own recursive definition, and against forgers."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.chain import leaf_hash
from licet.seal.merkle import MerkleTree, node_hash
from licet.seal.proof import (
    LARGEST,
    Node,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_covers,
    cover_of,
    folded,
    inclusion_covers,
    root_cover,
)
from tests.tidy.source import ROOT

VECTORS: Final[dict[str, Any]] = json.loads((ROOT / "spec" / "vectors" / "seal" / "tree.json").read_text())
LEAVES: Final = [leaf_hash(bytes.fromhex(text)) for text in VECTORS["leaves"]]
ROOTS: Final = [bytes.fromhex(text) for text in VECTORS["roots"]]


def split(count: int) -> int:
    """The largest power of two below a number, by doubling."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def subproof(old: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1, word for word."""
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*subproof(old, leaves[:k], whole), root(leaves[k:])]
    return [*subproof(old - k, leaves[k:], False), root(leaves[:k])]


class Hashes(dict[Node, bytes]):
    """Every node's hash, by definition, of a list of leaves."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        super().__init__()
        self._leaves = leaves

    def __missing__(self, node: Node) -> bytes:
        self[node] = root(self._leaves[node.first : node.first + (1 << node.height)])
        return self[node]


def test_the_published_hashes_are_ours() -> None:
    """Leaf hashes and the roots of every size are those of the published constants."""
    assert [leaf.hex() for leaf in LEAVES] == VECTORS["leaf_hashes"]
    tree = MerkleTree()
    for leaf, wanted in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf)
        assert tree.root() == wanted
        assert folded(root_cover(tree.size), Hashes(LEAVES)) == wanted


class Inclusion(NamedTuple):
    """What a verifier of inclusion is given."""

    leaf: bytes
    place: int
    size: int
    path: list[bytes]
    root: bytes

    def accepted(self) -> bool:
        """Whether it is accepted."""
        return _accepted(lambda: check_inclusion(*self))

    def forgeries(self) -> Iterator["Inclusion"]:
        """Everything that the published failing cases change, and some more."""
        for place in {self.place + 1, self.place - 1, self.place ^ 2, self.size, self.size + 7, -1} - {self.place}:
            yield self._replace(place=place)
        for size in {self.size * 2, self.size // 2, 0, -1, LARGEST + 1} - {self.size}:
            yield self._replace(size=size)
        for leaf in (b"", b"wrong", bytes(32), leaf_hash(self.leaf), self.root + self.leaf, self.leaf[:31]):
            yield self._replace(leaf=leaf)
        for wrong in (b"", bytes(32), flipped(self.root), self.root[:31], self.root + b"\0"):
            yield self._replace(root=wrong)
        for changed in forged_paths(self.path, (self.root, self.leaf)):
            yield self._replace(path=changed)
        if self.path:
            # An inner node presented as a leaf, with what is left of the proof.
            parent = node_hash(self.leaf, self.path[0]) if self.place % 2 == 0 else node_hash(self.path[0], self.leaf)
            yield self._replace(leaf=parent, path=self.path[1:])


class Consistency(NamedTuple):
    """What a verifier of consistency is given."""

    old: int
    old_root: bytes
    new: int
    new_root: bytes
    path: list[bytes]

    def accepted(self) -> bool:
        """Whether it is accepted."""
        return _accepted(lambda: check_consistency(*self))

    def forgeries(self) -> Iterator["Consistency"]:
        """Everything that the published failing cases change, and some more."""
        for old in {self.old + 1, self.old - 1, self.old ^ 2, 0, -1, self.new + 1} - {self.old}:
            yield self._replace(old=old)
        for new in {self.new * 2, self.new // 2, 0, self.old - 1, LARGEST + 1} - {self.new}:
            yield self._replace(new=new)
        for wrong in (b"", bytes(32), flipped(self.old_root), self.old_root[:31]):
            yield self._replace(old_root=wrong)
        for wrong in (b"", bytes(32), flipped(self.new_root), self.new_root[:31]):
            yield self._replace(new_root=wrong)
        if self.old_root != self.new_root:
            yield self._replace(old_root=self.new_root, new_root=self.old_root)
        for changed in forged_paths(self.path, (self.old_root, self.new_root)):
            yield self._replace(path=changed)


def flipped(value: bytes) -> bytes:
    """A hash with one bit changed."""
    return bytes([value[0] ^ 8]) + value[1:]


def forged_paths(path: list[bytes], near: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A proof with a hash changed, cut short, left out, exchanged, or one too many anywhere."""
    for at, one in enumerate(path):
        yield [*path[:at], flipped(one), *path[at + 1 :]]
        yield [*path[:at], one[:31], *path[at + 1 :]]
        yield [*path[:at], one + b"\0", *path[at + 1 :]]
        yield [*path[:at], *path[at + 1 :]]
        yield [*path[:at], b"", *path[at:]]
    for extra in (bytes(32), b"", *near, *path[:1]):
        yield [extra, *path]
        yield [*path, extra]
    if path[1:]:
        yield path[::-1]


def _accepted(check: Callable[[], None]) -> bool:
    try:
        check()
    except ProofError:
        return False
    return True


def inclusion_of(index: int, leaves: Sequence[bytes]) -> Inclusion:
    """A genuine proof, made by us."""
    hashes = Hashes(leaves)
    made = [folded(cover, hashes) for cover in inclusion_covers(index, len(leaves))]
    return Inclusion(leaves[index], index, len(leaves), made, root(leaves))


def consistency_of(old: int, leaves: Sequence[bytes]) -> Consistency:
    """A genuine proof, made by us."""
    hashes = Hashes(leaves)
    made = [folded(cover, hashes) for cover in consistency_covers(old, len(leaves))]
    return Consistency(old, root(leaves[:old]), len(leaves), root(leaves), made)


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=str)
def test_published_inclusion_proofs(case: dict[str, Any]) -> None:
    """Each published proof is the one that we make and is accepted; no changed one is."""
    index, size = case["index"], case["size"]
    proof = inclusion_of(index, LEAVES[:size])
    assert [one.hex() for one in proof.path] == case["path"]
    assert proof.root == ROOTS[size - 1]
    assert proof.accepted()
    assert not [forged for forged in proof.forgeries() if forged.accepted()]


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=str)
def test_published_consistency_proofs(case: dict[str, Any]) -> None:
    """Each published proof is the one that we make and is accepted; no changed one is."""
    old, new = case["old"], case["new"]
    proof = consistency_of(old, LEAVES[:new])
    assert [one.hex() for one in proof.path] == case["path"]
    assert (proof.old_root, proof.new_root) == (ROOTS[old - 1], ROOTS[new - 1])
    assert proof.accepted()
    assert not [forged for forged in proof.forgeries() if forged.accepted()]


def some(count: int) -> list[bytes]:
    """Leaf hashes, all different."""
    return [leaf_hash(b"%d" % number) for number in range(count)]


@given(st.integers(1, 90), st.data())
def test_proofs_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    """At any size, both kinds of proof are those of the RFC's recursive definition, and are accepted."""
    leaves = some(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    inclusion, consistency = inclusion_of(index, leaves), consistency_of(old, leaves)
    assert inclusion.path == path(index, leaves)
    assert consistency.path == subproof(old, leaves, True)
    assert inclusion.accepted()
    assert consistency.accepted()


@given(st.integers(1, 40), st.data())
def test_no_forgery_is_accepted(size: int, data: st.DataObject) -> None:
    """At any size, nothing that was changed in a genuine proof is accepted."""
    leaves = some(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    for proof in (inclusion_of(index, leaves), consistency_of(old, leaves)):
        assert not [forged for forged in proof.forgeries() if forged.accepted()]


@given(st.integers(2, 40), st.data())
def test_a_rewritten_beginning_has_no_proof(size: int, data: st.DataObject) -> None:
    """A log that differs in one of the first entries cannot be shown to continue the old one with its own proof."""
    old = data.draw(st.integers(1, size - 1))
    at = data.draw(st.integers(0, old - 1))
    leaves = some(size)
    genuine = consistency_of(old, leaves)
    forked = consistency_of(old, [*leaves[:at], leaf_hash(b"another"), *leaves[at + 1 :]])
    assert not forked._replace(old_root=genuine.old_root).accepted()
    assert not forked._replace(old_root=genuine.old_root, path=genuine.path).accepted()


@given(st.integers(0, 2**40), st.integers(1, 2**20))
def test_a_cover_is_whole_and_small(first: int, count: int) -> None:
    """The complete subtrees of a cover follow each other without gap, and there are logarithmically few of them."""
    place = first
    cover = cover_of(first, first + count)
    for node in cover:
        assert node.first == place
        place += 1 << node.height
    assert place == first + count
    assert len(cover) <= 2 * count.bit_length()


def test_what_cannot_be_proven_is_refused_before_anything_is_read() -> None:
    """Sizes and places that no tree has are refused when a proof is planned, in words that name them."""
    plans: list[tuple[Callable[[], object], str]] = [
        (lambda: root_cover(0), "1 to"),
        (lambda: root_cover(LARGEST + 1), "1 to"),
        (lambda: inclusion_covers(0, 0), "not 0"),
        (lambda: inclusion_covers(5, 5), "no leaf 5: they are 0 to 4"),
        (lambda: inclusion_covers(-1, 5), "no leaf -1"),
        (lambda: consistency_covers(0, 5), "not 0"),
        (lambda: consistency_covers(6, 5), "6 entries is no beginning of one of 5"),
    ]
    for plan, words in plans:
        with pytest.raises(ProofError, match=words):
            plan()
