"""The feed: what followers of a workspace are told, as signed messages. ``seal.keyset`` signs and opens them.

A follower at a cursor gets a *set*: at most one catalog document, the frames from its cursor to a newer one, chained,
and then the head that covers them. Only the head makes them the truth: without it, nothing of a set counts. Content is
signed in frames, freshness in the head, so that a new head costs as little when a million customers stand behind it.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from licet.core.terms import Attributes

FORMAT: Final = 1
MAX_ROWS: Final = 1_000
"""Rows of one frame."""
MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of one line of a feed."""


def _format() -> int:
    """The format of what is made now. As a factory, so that it is written although defaults are not."""
    return FORMAT


Audience = Literal["server", "customer"]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1)]
HexHash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Cursor(Struct, frozen=True, order=True):
    """Where a follower stands: everything up to a sequence of an epoch. Written ``1:42``."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


def read_cursor(text: str) -> Cursor:
    """Return the cursor a text names; raises ValueError for any other spelling than the one there is."""
    epoch, colon, seq = text.partition(":")
    if not colon or not (epoch + seq).isascii() or not (epoch.isdigit() and seq.isdigit()) or len(text) > 40:
        raise ValueError(f"{text[:60]!r} is no cursor; one looks like 1:42")
    cursor = Cursor(int(epoch), int(seq))
    if str(cursor) != text or cursor.epoch < 1:
        raise ValueError(f"{text[:60]!r} is no cursor; one looks like 1:42")
    return cursor


class CatalogMark(Struct, frozen=True, kw_only=True):
    """Which catalog counts: its revision, and the SHA-256 of the document as this audience has it."""

    revision: Annotated[int, Meta(ge=1)]
    hash: HexHash


class ClockMark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The business clock of a test workspace: microseconds beside real time, or the instant at which it stands."""

    offset: int = 0
    frozen_at: datetime | None = None


class DigestMark(Struct, frozen=True, kw_only=True):
    """What all rows up to a sequence add up to (:func:`digest_part`), so that a follower that differs notices."""

    seq: Seq
    sum: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fresh and how far the truth is. Instants are real time, of the server's clock.

    Unknown fields are ignored unless ``crit`` names them; then the head is refused.
    """

    v: int = msgspec.field(default_factory=_format)
    crit: tuple[str, ...] = ()
    workspace: str
    zone: str = "UTC"
    """The workspace's time zone: what a customer without one uses."""
    audience: Audience
    customer: str | None = None
    """Set for the audience ``customer``: about whom the rows are."""
    epoch: Epoch
    seq: Seq
    catalog: CatalogMark | None = None
    """None before the first release."""
    clock: ClockMark = ClockMark()
    issued_at: datetime
    fresh_until: datetime
    """From then on a follower that has heard nothing newer is stale; its answers still count."""
    usable_until: datetime
    """From then on each feature's ``when_unreachable`` decides."""
    digest: DigestMark | None = None


class TermsRow(Struct, frozen=True, kw_only=True):
    """The newest terms of one customer. ``seq`` is that of the transaction that recorded them."""

    customer: str
    revision: int
    seq: int
    doc: Raw
    """The terms document, as canonical JSON."""


class UserRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What conditions may read of one user; nothing personal. One that is not active is as one not known."""

    customer: str
    user: str
    revision: int
    seq: int
    active: bool = True
    roles: tuple[str, ...] = ()
    attributes: Attributes = {}


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows, from one sequence (exclusive) to another (inclusive): of each customer and user only the newest.

    ``full`` begins anew: what is not in the set is not there. ``changes`` comes on top of the state at ``since``.
    ``pick`` says all of one customer at ``seq`` (``since`` is the same), for followers that hold only some.
    """

    v: int = msgspec.field(default_factory=_format)
    crit: tuple[str, ...] = ()
    workspace: str
    audience: Audience
    customer: str | None = None
    """Of the audience ``customer``; for a ``pick`` the customer it is about."""
    kind: Literal["full", "changes", "pick"]
    partial: bool = False
    """A ``full`` set for a follower that picks its customers: it holds no rows, and says nothing about who exists."""
    epoch: Epoch
    since: Seq
    seq: Seq
    number: Annotated[int, Meta(ge=0)] = 0
    """Of the frame in its set, from 0."""
    last: bool = False
    """No further frame belongs to the set."""
    prev: HexHash
    """SHA-256 of the frame before (its whole token); of the first, of :func:`chain_start`."""
    terms: Annotated[tuple[TermsRow, ...], Meta(max_length=MAX_ROWS)] = ()
    users: Annotated[tuple[UserRow, ...], Meta(max_length=MAX_ROWS)] = ()


class CatalogDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A released catalog, cut to an audience. The head names its hash: the SHA-256 of ``doc``."""

    v: int = msgspec.field(default_factory=_format)
    crit: tuple[str, ...] = ()
    workspace: str
    audience: Audience
    revision: Annotated[int, Meta(ge=1)]
    doc: Raw


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=False):
    """One line of a feed (NDJSON), or the data of one server-sent event: exactly one of these is there.

    A line that holds none of them is of a later version and is passed over.
    """

    keyset: str | None = None
    """A signed keyset; comes first, and again when it changes."""
    root: str | None = None
    """Beside ``keyset``: the public root key that signed it, for followers that have none pinned yet."""
    catalog: str | None = None
    frame: str | None = None
    head: str | None = None
    problem: dict[str, Any] | None = None
    """Why the feed ends here; an RFC 9457 problem."""


def chain_start(workspace: str, audience: Audience, customer: str | None, cursor: Cursor) -> str:
    """Return what the first frame of a set follows: the hash of whose feed it is and from where it goes on.

    ``cursor`` is the frame's ``epoch`` and ``since`` (0 for a full set), ``customer`` the frame's own.
    """
    words = f"licet/feed/v{FORMAT}\0{workspace}\0{audience}\0{customer or ''}\0{cursor}"
    return hashlib.sha256(words.encode()).hexdigest()


def chain_next(token: str) -> str:
    """Return what the frame after ``token`` must name as the one before it."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


DIGEST_SIZE: Final = 2**128
"""Digests are sums modulo this."""


def digest_part(kind: Literal["terms", "user"], customer: str, user: str, revision: int, content: bytes) -> int:
    """Return what one row adds to the digest of a state; the order of rows means nothing.

    ``content`` is the row's document: of terms the bytes of ``doc``, of a user the canonical JSON of its facts
    (:func:`user_content`). It finds accidents, not attackers: those are kept out by signatures.
    """
    words = f"{kind}\0{customer}\0{user}\0{revision}\0".encode()
    return int.from_bytes(hashlib.sha256(words + content).digest()[:16], "big")


def user_content(row: UserRow) -> bytes:
    """Return a user's facts as the bytes that its part of the digest is made of."""
    facts = {"active": row.active, "attributes": row.attributes, "roles": row.roles}
    return msgspec.json.encode(facts, order="deterministic")
