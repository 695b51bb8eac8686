"""Damage: cut at any byte, with any bit flipped, replayed or reordered, nothing signed moves the truth wrongly."""

from collections.abc import Iterable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.evaluator.follower import Follower
from licet.evaluator.trust import FeedError, Trust
from licet.evaluator.truth import LocalTruth
from licet.wire.feed import Line
from tests.dose import dose
from tests.evaluator.authority import KEY as FEED_KEY
from tests.evaluator.authority import (
    PUBLIC_ROOT,
    START,
    WALL,
    Authority,
    answers,
    key_entry,
    keyset,
    start,
    take,
    terms,
)

TINY = {"version": 1, "products": {"m": {"name": "M"}}, "plans": {}, "features": {"sso": {"type": "switch"}}}


def believed(follower: Follower, told: bytes) -> bool:
    """Whether a damaged line, as bytes, changed anything; what cannot be read as a line is refused before."""
    try:
        line = msgspec.json.decode(told, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    try:
        return follower.take(line, WALL).kind not in ("passed", "problem")
    except FeedError:
        return False


def damaged(told: bytes, step: int) -> Iterable[bytes]:
    """A line cut at every byte and with every bit flipped; of long lines every ``step``th."""
    for place in range(0, len(told), step):
        yield told[:place]
        for bit in range(8):
            yield told[:place] + bytes([told[place] ^ 1 << bit]) + told[place + 1 :]


def test_no_damaged_head_or_keyset_is_believed() -> None:
    """At every byte and every bit of a head and of a keyset; the whole ones then are."""
    authority, follower = start()
    head, keys = authority.head(), keyset(2, key_entry(FEED_KEY))
    # The root beside a keyset means nothing to who has pinned one.
    for line in (head, Line(keyset=keys.keyset)):
        told = msgspec.json.encode(line)
        before, cursor, kept = answers(follower), follower.cursor, follower.kept()
        assert [one for one in damaged(told, 1) if believed(follower, one)] == []
        assert (answers(follower), follower.cursor, follower.kept()) == (before, cursor, kept)
        assert believed(follower, told)


def test_no_damaged_frame_or_catalog_is_believed() -> None:
    """At many bytes of a frame and a catalog, every bit; a set never becomes the truth so, and the whole one does."""
    authority, follower = start()
    since = authority.seq
    authority.release(TINY)
    catalog, frame, head = authority.lines(since)
    before, cursor = answers(follower), follower.cursor
    told = msgspec.json.encode(catalog)
    assert [one for one in damaged(told, dose(5, full=1)) if believed(follower, one)] == []
    told = msgspec.json.encode(frame)
    assert [one for one in damaged(told, dose(5, full=1)) if believed(follower, one)] == []
    assert (answers(follower), follower.cursor) == (before, cursor)
    take(follower, [catalog, frame, head])
    assert answers(follower) != before


def recorded() -> list[Line]:
    """All lines ever told in two epochs, in their order."""
    authority = Authority()
    authority.put(terms("acme"))
    told = [keyset(), *authority.lines()]
    for number in range(2):
        since = authority.seq
        authority.put(terms("acme", ends_at=START if number else None))
        told += [*authority.lines(since), authority.head()]
    second = Authority(epoch=2)
    second.now = authority.now
    second.put(terms("acme"))
    told += [keyset(2), *second.lines()]
    since = second.seq
    second.put(terms("acme", ends_at=START))
    return [*told, *second.lines(since)]


ALL = recorded()


@settings(max_examples=dose(60), deadline=None)
@given(st.lists(st.integers(0, len(ALL) - 1), max_size=40), st.integers(0, len(ALL)))
def test_replayed_and_reordered_lines_never_move_the_truth_back(order: list[int], whole: int) -> None:
    """After any lines in any order the cursor and the newest belief only grow; the rest in order still leads on."""
    follower = Follower(LocalTruth(), Trust(PUBLIC_ROOT, "live"))
    stands = (0, 0, 0)
    for number in [*range(whole), *order]:
        with suppress(FeedError):
            follower.take(ALL[number], WALL)
        kept, here = follower.kept(), follower.truth.cursor
        now = (kept.epoch, kept.seq, kept.issued_at)
        assert now >= stands
        assert (kept.epoch, kept.seq) == ((0, 0) if here is None else (here.epoch, here.seq))
        stands = now
    fresh = Authority(epoch=3)
    fresh.put(terms("acme"))
    fresh.now = START.replace(year=2027)
    follower.drop()
    take(follower, [keyset(3), *fresh.lines()])
    assert follower.cursor == "3:2"


@pytest.mark.parametrize("missing", range(len(ALL)))
def test_a_line_that_is_lost_leaves_a_truth_that_was(missing: int) -> None:
    """Whichever line is lost, the follower stands at some point of the record and answers as it was then."""
    told: dict[str | None, list[tuple[bool, str]]] = {None: []}
    whole = Follower(LocalTruth(), Trust(PUBLIC_ROOT, "live"))
    for line in ALL:
        whole.take(line, WALL)
        told[whole.cursor] = answers(whole) if whole.cursor else []
    follower = Follower(LocalTruth(), Trust(PUBLIC_ROOT, "live"))
    for number, line in enumerate(ALL):
        if number == missing:
            continue
        with suppress(FeedError):
            follower.take(line, WALL)
    assert (answers(follower) if follower.cursor else []) == told[follower.cursor]
