"""The verifier against every way of touching a log that a chain can and cannot show."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.audit import MOST_FAULTS, AuditReport, Entry, LogVerifier
from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.checkpoint import Checkpoint
from licet.seal.merkle import MerkleTree

WORKSPACE = "live"


def chained(contents: Sequence[bytes], first: int = 1, prev: bytes | None = None) -> list[Entry]:
    """A genuine log with these contents."""
    entries = []
    last = genesis(WORKSPACE) if prev is None else prev
    for seq, content in enumerate(contents, start=first):
        link = link_hash(last, leaf_hash(content))
        entries.append(Entry(seq=seq, content=content, prev=last, hash=link))
        last = link
    return entries


def log_of(size: int) -> list[Entry]:
    """A genuine log of a size."""
    return chained([f'{{"seq":{seq}}}'.encode() for seq in range(1, size + 1)])


def verify(entries: Sequence[Entry], checkpoint: Checkpoint | None = None, tip: Entry | None = None) -> AuditReport:
    """Verify entries with a stored end that fits a genuine log of them, or the one given."""
    check = LogVerifier(WORKSPACE, checkpoint)
    for entry in entries:
        check.add(entry)
    end = tip or (entries[-1] if entries else None)
    return check.report(None if end is None else (end.seq, end.hash))


def checkpoint_of(entries: Sequence[Entry]) -> Checkpoint:
    """The checkpoint of a genuine log."""
    tree = MerkleTree()
    for entry in entries:
        tree.append(leaf_hash(entry.content or b""))
    return Checkpoint(origin="licet/live", size=len(entries), root=tree.root())


def found(report: AuditReport) -> list[tuple[str, tuple[int, ...]]]:
    """The faults by kind and place."""
    return [(fault.kind, fault.seqs) for fault in report.faults]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_a_genuine_log_is_found_genuine(size: int) -> None:
    """Nothing is wrong with what nobody touched, with and without a checkpoint."""
    entries = log_of(size)
    assert verify(entries).ok
    if entries:
        whole = verify(entries, checkpoint_of(entries))
        assert whole.ok
        assert whole.limits.startswith("every entry is covered by the checkpoint. The documents beside the log ")
        assert whole.root == checkpoint_of(entries).root.hex()


@given(st.integers(1, 20), st.data())
def test_a_naive_edit_names_the_entry(size: int, data: st.DataObject) -> None:
    """Content changed and nothing else: exactly that entry is named."""
    entries = log_of(size)
    at = data.draw(st.integers(0, size - 1))
    forged = Entry(seq=at + 1, content=b'{"seq":"forged"}', prev=entries[at].prev, hash=entries[at].hash)
    report = verify([*entries[:at], forged, *entries[at + 1 :]])
    assert found(report) == [("edited", (at + 1,))]
    assert not report.ok


@given(st.integers(2, 20), st.data())
def test_an_edit_with_its_hash_recomputed_names_the_pair(size: int, data: st.DataObject) -> None:
    """The edited entry is in itself consistent; it and its successor no longer fit, and both are named."""
    entries = log_of(size)
    at = data.draw(st.integers(0, size - 2))
    forged = chained([b'{"seq":"forged"}'], at + 1, entries[at].prev)
    report = verify([*entries[:at], *forged, *entries[at + 1 :]])
    assert found(report) == [("broken_link", (at + 1, at + 2))]


def test_the_last_entry_with_its_hash_recomputed_no_longer_fits_the_stored_end() -> None:
    """Where there is no successor, the stored end of the log takes its part."""
    entries = log_of(5)
    forged = chained([b"{}"], 5, entries[4].prev)
    assert found(verify([*entries[:4], *forged], tip=entries[-1])) == [("broken_link", (5,))]


def test_a_changed_hash_or_prev_names_the_entry_only() -> None:
    """Touching a stored hash blames the entry it stands in, not its innocent neighbor."""
    entries = log_of(5)
    other = bytes(32)
    bad_hash = Entry(seq=3, content=entries[2].content, prev=entries[2].prev, hash=other)
    bad_prev = Entry(seq=3, content=entries[2].content, prev=other, hash=entries[2].hash)
    for bad in (bad_hash, bad_prev):
        assert found(verify([*entries[:2], bad, *entries[3:]])) == [("edited", (3,))]


def test_removed_entries_are_counted_out() -> None:
    """A gap is named from its first to its last missing entry, wherever it lies; also a missing beginning."""
    entries = log_of(9)
    assert found(verify([*entries[:3], *entries[4:]])) == [("missing", (4,))]
    assert found(verify([*entries[:3], *entries[6:]])) == [("missing", (4, 6))]
    assert found(verify(entries[2:])) == [("missing", (1, 2))]


def test_a_cut_end_is_seen_by_the_stored_end_or_by_a_checkpoint() -> None:
    """Cutting rows alone is seen at once; cutting the stored end too is seen by a checkpoint only."""
    entries = log_of(9)
    assert found(verify(entries[:6], tip=entries[-1])) == [("cut_off", (7, 9))]
    assert verify(entries[:6]).ok
    assert found(verify(entries[:6], checkpoint_of(entries))) == [("cut_off", (7, 9))]
    assert found(verify([], checkpoint_of(entries))) == [("cut_off", (1, 9))]


def test_exchanged_entries_are_found() -> None:
    """Two entries that change places are out of order; with their numbers exchanged too, both contents are wrong."""
    entries = log_of(6)
    swapped = [*entries[:2], entries[3], entries[2], *entries[4:]]
    assert ("order", (3,)) in found(verify(swapped))
    third = Entry(seq=3, content=entries[3].content, prev=entries[2].prev, hash=entries[2].hash)
    fourth = Entry(seq=4, content=entries[2].content, prev=entries[3].prev, hash=entries[3].hash)
    assert found(verify([*entries[:2], third, fourth, *entries[4:]])) == [("edited", (3,)), ("edited", (4,))]


@given(st.integers(1, 20), st.data())
def test_a_rewritten_tail_is_found_only_against_a_checkpoint(size: int, data: st.DataObject) -> None:
    """Everything from some entry on recomputed: the chain is whole and says it cannot tell; the checkpoint tells."""
    entries = log_of(size)
    at = data.draw(st.integers(0, size - 1))
    tail = chained([f'{{"forged":{seq}}}'.encode() for seq in range(at + 1, size + 1)], at + 1, entries[at].prev)
    forged = [*entries[:at], *tail]
    alone = verify(forged)
    assert alone.ok
    assert alone.limits.startswith("no checkpoint was given")
    assert found(verify(forged, checkpoint_of(entries))) == [("rewritten", (1, size))]


def test_what_lies_beyond_the_checkpoint_is_said() -> None:
    """A checkpoint covers what was there when it was exported; the report says how much came later."""
    entries = log_of(9)
    report = verify(entries, checkpoint_of(entries[:6]))
    assert report.ok
    assert "the 3 entries after the checkpoint" in report.limits


def test_another_workspaces_log_does_not_pass() -> None:
    """A genuine log put in place of another workspace's is found at its first entry."""
    check = LogVerifier("test")
    for entry in log_of(3):
        check.add(entry)
    assert found(check.report()) == [("broken_link", (1,))]


def test_faults_are_listed_up_to_a_bound_and_counted_beyond() -> None:
    """A log that is wrong everywhere does not make a report of its own size."""
    wrong = [Entry(seq=entry.seq, content=None, prev=entry.prev, hash=entry.hash) for entry in log_of(MOST_FAULTS + 20)]
    report = verify(wrong)
    assert len(report.faults) == MOST_FAULTS
    assert report.unlisted == 20


def test_a_wrong_personal_value_is_a_fault_and_an_erased_one_is_not() -> None:
    """Erasing is allowed and counted; another value than the one committed to is named."""
    check = LogVerifier(WORKSPACE)
    check.value(4, "email", fits=True)
    check.value(5, "name", fits=False)
    check.erased(2)
    report = check.report()
    assert found(report) == [("private_value", (5,))]
    assert (report.values_checked, report.values_erased) == (2, 2)
