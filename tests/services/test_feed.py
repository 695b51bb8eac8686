"""Sets of frames: where they are cut, that they are chained, and that nothing of the rows gets lost on the way."""

import hashlib
import json
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import Raw

from licet.seal.keyset import KeyEntry, Keyset, open_with, sign_with
from licet.seal.paserk import pid, public_of, write_public
from licet.services.feed import FRAME_BYTES, Framer, Sum, Whose
from licet.services.feed_ports import Rows
from licet.wire.feed import MAX_ROWS, Cursor, Frame, TermsRow, UserRow, chain_next, chain_start

SEED = hashlib.sha256(b"a feed's key").digest()
PUBLIC = public_of(SEED)
YEARS = [datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2090)]
ENTRY = KeyEntry(
    id=pid(PUBLIC), public=write_public(PUBLIC), purposes=("feed",), not_before=YEARS[0], not_after=YEARS[1]
)
KEYSET = Keyset(workspace="test", version=1, issued_at=YEARS[0], keys=(ENTRY,))


class Signing:
    """A key that is known to the test."""

    keyset = ""
    version = 1
    root = ""

    def sign(self, payload: bytes) -> str:
        """Sign for the feed."""
        return sign_with(payload, SEED, "feed")


def opened(line: bytes) -> tuple[str, Frame]:
    """Return a line's token and frame."""
    token = json.loads(line)["frame"]
    payload = open_with(token, KEYSET, "feed", 1_800_000_000_000_000)
    return token, msgspec.json.decode(payload, type=Frame)


def terms(count: int, size: int = 10) -> list[TermsRow]:
    """Return rows with documents of about a size."""
    doc = Raw(json.dumps({"x": "y" * size}).encode())
    return [TermsRow(customer=f"c{number}", revision=1, seq=5, doc=doc) for number in range(count)]


@pytest.mark.parametrize(
    ("rows", "users", "size", "frames"),
    [
        (0, 0, 1, 1),
        (1, 0, 1, 1),
        (MAX_ROWS, 0, 1, 1),
        (MAX_ROWS, 1, 1, 2),
        (2 * MAX_ROWS, 1500, 1, 4),
        (10, 0, 200_000, 5),
    ],
)
def test_frames_are_bounded_chained_and_whole(rows: int, users: int, size: int, frames: int) -> None:
    """At most 1,000 rows and half a mebibyte of documents each; each names the one before it."""
    who = [UserRow(customer="c0", user=f"u{number}", revision=1, seq=5) for number in range(users)]
    framer = Framer(Whose("test"), Signing(), "changes", Cursor(2, 3), 5)
    found = [opened(line) for line in (*framer.put(Rows(terms=terms(rows, size), users=who)), framer.end())]
    assert len(found) == frames
    prev = chain_start("test", "server", None, Cursor(2, 3))
    for number, (token, frame) in enumerate(found):
        assert (frame.number, frame.prev, frame.last) == (number, prev, number == frames - 1)
        assert (frame.epoch, frame.since, frame.seq, frame.kind) == (2, 3, 5, "changes")
        assert len(frame.terms) + len(frame.users) <= MAX_ROWS
        assert sum(len(bytes(row.doc)) for row in frame.terms) <= FRAME_BYTES
        prev = chain_next(token)
    assert [row.customer for _, frame in found for row in frame.terms] == [f"c{number}" for number in range(rows)]
    assert [user.user for _, frame in found for user in frame.users] == [f"u{number}" for number in range(users)]


def test_a_pick_says_whom_it_is_about() -> None:
    """Its chain begins with the customer that was asked about, for a server's key as for the customer's own."""
    for whose in (Whose("test"), Whose("test", "acme")):
        framer = Framer(whose, Signing(), "pick", Cursor(1, 7), 7, about="acme")
        _, frame = opened(framer.end())
        assert (frame.customer, frame.since, frame.seq, frame.audience) == ("acme", 7, 7, whose.audience)
        assert frame.prev == chain_start("test", whose.audience, "acme", Cursor(1, 7))


def test_a_sum_knows_no_order_and_every_difference() -> None:
    """The same rows in any order have one sum; another revision, document, customer or state of a user has another."""
    rows, who = terms(3), [UserRow(customer="c0", user="u", revision=1, seq=5)]
    whole, parts = Sum(), Sum()
    whole.add(Rows(terms=rows, users=who))
    for row in reversed(rows):
        parts.add(Rows(terms=[row]))
    parts.add(Rows(users=who))
    assert whole.mark(5) == parts.mark(5)
    others = [
        Rows(terms=[*rows[:2], msgspec.structs.replace(rows[2], revision=2)], users=who),
        Rows(terms=[*rows[:2], msgspec.structs.replace(rows[2], doc=Raw(b"{}"))], users=who),
        Rows(terms=[*rows[:2], msgspec.structs.replace(rows[2], customer="d")], users=who),
        Rows(terms=rows, users=[msgspec.structs.replace(who[0], active=False)]),
        Rows(terms=rows[:2], users=who),
    ]
    sums = set()
    for other in others:
        total = Sum()
        total.add(other)
        sums.add(total.value)
    assert len(sums | {whole.value}) == len(others) + 1
