"""Verifying a log entry by entry, in bounded memory: what was edited, removed or moved, and what no chain can tell.

A chain of hashes names the entry whose content no longer fits, or the pair between which it is broken. Whoever can
rewrite everything up to the end leaves no trace in it: that is seen only against a checkpoint kept elsewhere, and a
report made without one says so.
"""

from typing import Final, Literal

from msgspec import Struct

from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.checkpoint import Checkpoint
from licet.seal.merkle import MerkleTree

MOST_FAULTS: Final = 100
"""More faults than these are counted, not listed."""

FaultKind = Literal["edited", "broken_link", "missing", "order", "cut_off", "rewritten", "private_value", "document"]


class Entry(Struct, frozen=True, kw_only=True):
    """One entry as it is stored. ``content`` is its canonical JSON, None if what is stored can have none."""

    seq: int
    content: bytes | None
    prev: bytes
    hash: bytes


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong; ``seqs`` names the entry, the pair, or the first and last of a range."""

    kind: FaultKind
    seqs: tuple[int, ...]
    words: str


class AuditReport(Struct, frozen=True, kw_only=True):
    """What a verification found. ``ok`` means: nothing wrong as far as could be told; ``limits`` says how far."""

    workspace: str
    ok: bool
    size: int
    hash: str
    root: str
    faults: tuple[Fault, ...]
    unlisted: int
    """Faults beyond those listed."""
    checked_against: str | None
    """The checkpoint that was used: its origin and size."""
    values_checked: int
    values_erased: int
    documents_checked: int
    """Documents beside the log that were compared with the hashes in it."""
    documents_before: int
    """Documents written by an event of before documents were hashed: not compared."""
    limits: str


class LogVerifier:
    """Takes a log's entries in the order they are stored and says at the end what is wrong with them."""

    def __init__(self, workspace: str, checkpoint: Checkpoint | None = None) -> None:
        self._workspace = workspace
        self._checkpoint = checkpoint
        self._checkpoint_root: bytes | None = None
        self._tree = MerkleTree()
        self._seq = 0
        self._hash = genesis(workspace)
        self._also: bytes | None = None
        self._faults: list[Fault] = []
        self._unlisted = 0
        self._values = self._erased = 0
        self._documents: int | None = None
        self._before = 0

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        follows = self._check_order(entry.seq)
        leaf = leaf_hash(entry.content if entry.content is not None else b"")
        rightly = link_hash(entry.prev, leaf)
        edited = entry.content is None or rightly != entry.hash
        if edited:
            self.fault("edited", (entry.seq,), f"entry {entry.seq} was edited: its content does not fit its hash")
        elif follows and entry.prev not in (self._hash, self._also):
            words = (
                f"entries {entry.seq - 1} and {entry.seq} do not fit: one of them was edited and its hash recomputed"
            )
            if entry.seq == 1:
                words = "entry 1 does not begin this workspace's log: it was edited, or is another workspace's"
            self.fault("broken_link", (entry.seq - 1, entry.seq) if entry.seq > 1 else (1,), words)
        # If only the stored hash was edited, the next entry still continues from the right one.
        self._seq, self._hash, self._also = entry.seq, entry.hash, rightly if edited else None
        self._tree.append(leaf)
        if self._checkpoint is not None and self._tree.size == self._checkpoint.size:
            self._checkpoint_root = self._tree.root()

    def value(self, seq: int, field: str, *, fits: bool) -> None:
        """Take note of one personal value that was compared with its commitment."""
        self._values += 1
        if not fits:
            words = f"the personal value {field!r} of entry {seq} is not the one that was committed to"
            self.fault("private_value", (seq,), words)

    def erased(self, count: int) -> None:
        """Take note of commitments whose values have been erased."""
        self._erased += count

    def documents(self, checked: int, before: int) -> None:
        """Take note of documents that were compared, and of those that no event promises because it is too old."""
        self._documents = (self._documents or 0) + checked
        self._before += before

    def fault(self, kind: FaultKind, seqs: tuple[int, ...], words: str) -> None:
        """Add a fault."""
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(Fault(kind=kind, seqs=seqs, words=words))
        else:
            self._unlisted += 1

    def report(self, tip: tuple[int, bytes] | None = None) -> AuditReport:
        """Return what was found; ``tip`` is the stored end of the log (sequence, hash), if there is one."""
        if tip is not None:
            self._check_tip(*tip)
        self._check_checkpoint()
        point = self._checkpoint
        return AuditReport(
            workspace=self._workspace,
            ok=not self._faults,
            size=self._tree.size,
            hash=self._hash.hex(),
            root=self._tree.root().hex() if self._tree.size else "",
            faults=tuple(self._faults),
            unlisted=self._unlisted,
            checked_against=None if point is None else f"{point.origin} at size {point.size}",
            values_checked=self._values,
            values_erased=self._erased,
            documents_checked=self._documents or 0,
            documents_before=self._before,
            limits=f"{self._limits()}. {self._document_limits()}",
        )

    def _check_order(self, seq: int) -> bool:
        wanted = self._seq + 1
        if seq > wanted:
            last = seq - 1
            words = f"entry {wanted} is missing" if last == wanted else f"entries {wanted} to {last} are missing"
            self.fault("missing", (wanted,) if last == wanted else (wanted, last), words)
        elif seq < wanted:
            self.fault("order", (seq,), f"entry {seq} comes after entry {self._seq}")
        return seq == wanted

    def _check_tip(self, seq: int, hash_: bytes) -> None:
        if seq > self._seq:
            words = f"the log says it has {seq} entries and ends at {self._seq}: its end was cut off"
            self.fault("cut_off", (self._seq + 1, seq), words)
        elif seq < self._seq:
            self.fault("order", (self._seq,), f"entry {self._seq} lies beyond the end of the log, which is {seq}")
        elif hash_ not in (self._hash, self._also):
            words = f"entry {seq} does not fit the stored end of the log: it was edited and its hash recomputed"
            self.fault("broken_link", (seq,), words)

    def _check_checkpoint(self) -> None:
        point = self._checkpoint
        if point is None:
            return
        if self._tree.size < point.size:
            words = f"the checkpoint has {point.size} entries, the log only {self._tree.size}: its end was cut off"
            self.fault("cut_off", (self._tree.size + 1, point.size), words)
        elif self._checkpoint_root != point.root:
            words = f"entries 1 to {point.size} are not those of the checkpoint: the log was rewritten since"
            self.fault("rewritten", (1, point.size), words)

    def _document_limits(self) -> str:
        if self._documents is None:
            return (
                "The documents beside the log (terms, catalogs, customers, users) were not looked at: the log holds "
                "the hash of each, to be compared where they are"
            )
        if self._before:
            return (
                f"{self._before} documents beside the log are older than the hashes of documents in it: their edit "
                "would not be seen"
            )
        return (
            "The documents beside the log (terms, catalogs, customers, users) and sealed usage were compared with it, "
            "its sums by hour and day and its different values with facts still there, the numbers of facts with each "
            "other; balances, and facts that are not sealed yet but for their numbers, were not"
        )

    def _limits(self) -> str:
        if self._checkpoint is None:
            return (
                "no checkpoint was given: a log that was rewritten from some entry to its end, or cut off together "
                "with its stored end, looks like a genuine one. Verify against a checkpoint kept outside the database"
            )
        later = self._tree.size - self._checkpoint.size
        if later <= 0:
            return "every entry is covered by the checkpoint"
        return (
            f"the {later} entries after the checkpoint are covered by the chain only: their rewriting up to the end "
            "would not be seen. Export a new checkpoint"
        )
