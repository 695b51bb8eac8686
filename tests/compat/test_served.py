"""The server makes of the recorded rows what was recorded: the same frames, catalogs and heads, to the last byte."""

from typing import Any

import msgspec
import pytest

from licet.core.instant import to_instant
from licet.seal.keyset import sign_with
from licet.seal.paserk import pid, public_of, write_public
from licet.seal.paseto import footer_of
from licet.services.feed import FRESH, USABLE, Framer, Stand, Whose, keyset_line, sign_head
from licet.services.feed_ports import Rows
from licet.wire.feed import Cursor, Frame, Head, Line
from tests.compat.place import VERSIONS, Keys, read_lines
from tests.compat.transcripts import reading

SETS = [(version, name) for version in VERSIONS for name in ("changes", "for_one", "picked")]
"""Transcripts whose sets have one frame each, so that nothing depends on where a server cuts."""


class Recorded:
    """Signs with the key that signed a recorded message, and shows the recorded keyset."""

    def __init__(self, version: str, token: str, keyset: str = "") -> None:
        keys = Keys(version)
        kid = msgspec.json.decode(footer_of(token))["kid"]
        self._seed = next(seed for seed in keys.feed if pid(public_of(seed)) == kid)
        self.keyset = keyset
        self.version = 1
        self.root = write_public(public_of(keys.root))

    def sign(self, payload: bytes) -> str:
        """Sign for the feed."""
        return sign_with(payload, self._seed, "feed")


def messages(version: str, name: str, kind: type[Any]) -> list[tuple[Any, str]]:
    """Return the recorded messages of one kind with their tokens."""
    return [(message, token) for message, _, token in reading(version, name).payloads if isinstance(message, kind)]


@pytest.mark.parametrize(("version", "name"), SETS)
def test_a_server_frames_as_it_did(version: str, name: str) -> None:
    """The rows of a recorded frame, put into a chain anew, make the recorded line."""
    alone = [one for one in messages(version, name, Frame) if one[0].last and one[0].number == 0]
    assert alone
    for frame, token in alone:
        whose = Whose(frame.workspace, frame.customer if frame.audience == "customer" else None)
        about = frame.customer if frame.kind == "pick" else None
        start = Cursor(frame.epoch, frame.since)
        signing = Recorded(version, token)
        framer = Framer(whose, signing, frame.kind, start, frame.seq, about=about, partial=frame.partial)
        lines = [*framer.put(Rows(terms=frame.terms, users=frame.users)), framer.end()]
        assert lines == [msgspec.json.encode(Line(frame=token))]


@pytest.mark.parametrize(("version", "name"), SETS)
def test_a_server_signs_heads_as_it_did(version: str, name: str) -> None:
    """A recorded head's stand and instant make the recorded line, as long as heads stay fresh and usable as long."""
    found = messages(version, name, Head)
    assert found
    for head, token in found:
        issued = to_instant(head.issued_at)
        assert to_instant(head.fresh_until) - issued == FRESH
        assert to_instant(head.usable_until) - issued == USABLE
        stand = Stand(epoch=head.epoch, seq=head.seq, zone=head.zone, clock=head.clock, catalog=head.catalog)
        whose = Whose(head.workspace, head.customer)
        assert sign_head(whose, Recorded(version, token), stand, issued, head.digest) == msgspec.json.encode(
            Line(head=token)
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_feed_begins_as_it_did(version: str) -> None:
    """The first line of a feed is the recorded one: keyset and root."""
    first = read_lines(version, "feed/full.ndjson")[0]
    _, token = messages(version, "full", Head)[0]
    keyset = msgspec.json.decode(first, type=Line).keyset
    assert keyset is not None
    assert keyset_line(Recorded(version, token, keyset)) == first
