"""Following a feed: each line is verified before it is read, and only a head makes a set the truth. No I/O."""

import hashlib
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from licet.core.catalog import Catalog, decode_catalog
from licet.core.instant import Instant, to_instant
from licet.core.policy import ConditionError
from licet.evaluator.trust import FeedError, Kept, Trust
from licet.evaluator.truth import LocalTruth
from licet.wire.feed import (
    FORMAT,
    MAX_LINE,
    Audience,
    CatalogDocument,
    Cursor,
    Frame,
    Head,
    Line,
    chain_next,
    chain_start,
)

UNDERSTOOD: Final[frozenset[str]] = frozenset()
"""Critical fields, beyond those of the format, that this version understands."""
_HISTORY: Final = 64
S = TypeVar("S", bound=Struct)
Freshness = Literal["empty", "fresh", "stale", "expired"]


class Progress(Struct, frozen=True, kw_only=True):
    """What a line did."""

    kind: Literal["keyset", "staged", "committed", "fresh", "problem", "passed"]
    """``committed``: a set became the truth. ``fresh``: a head said that nothing is newer. ``passed``: no use here."""
    cursor: str | None = None
    """Where the truth stands now."""
    full: bool = False
    """The set that was committed began anew."""
    problem: dict[str, Any] | None = None


class _Envelope(Struct, frozen=True):
    """What every format of a message has."""

    v: int
    crit: tuple[str, ...] = ()


class _Set:
    """A set on its way in: what its lines said, until the head comes."""

    def __init__(self) -> None:
        self.first: Frame | None = None
        self.frame: Frame | None = None
        self.chain = ""
        self.catalog: CatalogDocument | None = None
        self.hash: str | None = None
        self.keys: frozenset[str] = frozenset()


class Follower:
    """Feeds lines into a truth. What is refused changes nothing: the set is dropped and the last good truth stays."""

    def __init__(self, truth: LocalTruth, trust: Trust) -> None:
        self.truth = truth
        self.trust = trust
        self.head: Head | None = None
        """The newest head that was believed."""
        self.heard_at: Instant | None = None
        """Real time, by the clock here, when the newest head came."""
        self.healing = False
        """The truth differs from the server's: the next set must be a full one."""
        self._set = _Set()
        self._sums: dict[int, int] = {}

    @property
    def cursor(self) -> str | None:
        """Where to go on; None asks for a full set."""
        return None if self.healing or self.head is None else self.truth.basis

    def kept(self) -> Kept:
        """Return what must be kept for the next process, so that nothing goes back."""
        return self.trust.kept()

    def freshness(self, wall: Instant) -> Freshness:
        """Return how good the truth is at an instant of real time."""
        if self.head is None:
            return "empty"
        wall = max(wall, self.truth.floor)
        if wall >= to_instant(self.head.usable_until):
            return "expired"
        return "stale" if wall >= to_instant(self.head.fresh_until) else "fresh"

    def take(self, line: Line, wall: Instant) -> Progress:
        """Take one line of a feed; ``wall`` is real time. Raises FeedError for what is not believed."""
        try:
            progress = self._take(line)
        except FeedError:
            self.drop()
            raise
        if line.head is not None:
            self.heard_at = wall
        return progress

    def drop(self) -> None:
        """Drop the set that is on its way: the connection ended, or something in it is not believed."""
        self._set = _Set()
        self.truth.rollback()

    def take_pick(self, token: str) -> str:
        """Take all of one customer as of the cursor; return whom. Raises FeedError for anything else."""
        frame, _ = self._frame(token)
        here = self.truth.cursor
        if frame.kind != "pick" or frame.customer is None:
            raise FeedError("malformed", f"a pick was asked for and a frame of kind {frame.kind} came")
        if here is None or (frame.epoch, frame.seq, frame.since) != (here.epoch, here.seq, here.seq):
            raise FeedError("gap", f"the pick is as of {frame.epoch}:{frame.seq}, the truth stands at {here}")
        if frame.prev != chain_start(frame.workspace, frame.audience, frame.customer, here):
            raise FeedError("broken_chain", "the pick does not follow what was asked for")
        self.truth.pick(frame.customer, frame.terms, frame.users)
        return frame.customer

    def _take(self, line: Line) -> Progress:
        if line.problem is not None:
            return Progress(kind="problem", cursor=self.cursor, problem=line.problem)
        for token in (line.keyset, line.catalog, line.frame, line.head):
            if token is not None and len(token) > MAX_LINE:
                raise FeedError("too_large", f"a message has at most {MAX_LINE} characters, this one has {len(token)}")
        if line.keyset is not None:
            self.trust.take_keyset(line.keyset, line.root)
            return Progress(kind="keyset", cursor=self.cursor)
        if line.catalog is not None:
            return self._take_catalog(line.catalog)
        if line.frame is not None:
            return self._take_frame(line.frame)
        if line.head is not None:
            return self._take_head(line.head)
        return Progress(kind="passed", cursor=self.cursor)

    def _take_catalog(self, token: str) -> Progress:
        document, key = self._open(token, CatalogDocument)
        self._whose(document.workspace, document.audience, None)
        self._set.catalog, self._set.hash = document, hashlib.sha256(document.doc).hexdigest()
        self._set.keys |= {key}
        return Progress(kind="staged", cursor=self.cursor)

    def _take_frame(self, token: str) -> Progress:
        frame, key = self._frame(token)
        coming = self._set
        if frame.kind == "pick":
            raise FeedError("malformed", "a feed has no frames of single customers")
        if coming.first is None:
            self._begins(frame)
            coming.first = frame
        else:
            self._follows(coming, frame)
        coming.frame, coming.chain = frame, chain_next(token)
        coming.keys |= {key}
        for row in frame.terms:
            self.truth.put_terms(row.customer, row.revision, row.seq, bytes(row.doc))
        for user in frame.users:
            self.truth.put_user(user)
        return Progress(kind="staged", cursor=self.cursor)

    def _begins(self, frame: Frame) -> None:
        """Begin a set with its first frame."""
        kept, here = self.trust.kept(), self.truth.cursor
        if frame.epoch < kept.epoch:
            raise FeedError("older_epoch", f"the frame is of epoch {frame.epoch}, the truth of epoch {kept.epoch}")
        since = Cursor(frame.epoch, frame.since)
        if frame.kind == "changes" and (self.cursor is None or since != here):
            raise FeedError("gap", f"the changes go on from {since}, the truth stands at {here}")
        start = chain_start(frame.workspace, frame.audience, frame.customer, since)
        if frame.number != 0 or frame.prev != start:
            raise FeedError("broken_chain", "the first frame of the set is missing or is of another feed")
        self.truth.begin("full" if frame.kind == "full" else "changes", partial=frame.partial)

    @staticmethod
    def _follows(coming: _Set, frame: Frame) -> None:
        """Check that a frame is the next one of its set."""
        first, before = coming.first, coming.frame
        if first is None or before is None:
            raise FeedError("broken_chain", "the first frame of the set is missing")
        same = (frame.kind, frame.epoch, frame.partial) == (first.kind, first.epoch, first.partial)
        if before.last or not same or frame.number != before.number + 1 or frame.prev != coming.chain:
            raise FeedError("broken_chain", f"frame {frame.number} does not follow frame {before.number}")
        if frame.since not in (first.since, before.seq) or frame.seq < before.seq:
            raise FeedError("gap", f"the frame is about {frame.since} to {frame.seq}, before it was {before.seq}")

    def _take_head(self, token: str) -> Progress:
        head, key = self._open(token, Head)
        self._whose(head.workspace, head.audience, head.customer)
        self.trust.check_time(self._set.keys | {key}, to_instant(head.issued_at))
        self._is_newer(head)
        document = self._catalog(head)
        if self._set.first is not None:
            self._covers(head)
        full = self._set.first is not None and self._set.first.kind == "full"
        if not full:
            self._compare(head)
        moved = self._set.first is not None
        if document is not None and self._set.catalog is not None:
            self.truth.release(document, self._set.catalog.revision, head.zone, hash=self._set.hash)
        return self._believe(head, full=full, moved=moved)

    def _believe(self, head: Head, *, full: bool, moved: bool) -> Progress:
        self.truth.commit(
            Cursor(head.epoch, head.seq),
            clock=head.clock,
            usable_until=to_instant(head.usable_until),
            issued_at=to_instant(head.issued_at),
        )
        self.truth.workspace = head.workspace
        if full:
            self._sums.clear()
            self.healing = False
        self._sums[head.seq] = self.truth.digest()
        while len(self._sums) > _HISTORY:
            del self._sums[next(iter(self._sums))]
        self.head, self._set = head, _Set()
        self.trust.believe(
            audience=head.audience,
            customer=head.customer,
            epoch=head.epoch,
            seq=head.seq,
            issued_at=to_instant(head.issued_at),
        )
        return Progress(kind="committed" if moved else "fresh", cursor=self.cursor, full=full)

    def _is_newer(self, head: Head) -> None:
        kept = self.trust.kept()
        if head.epoch < kept.epoch:
            raise FeedError("older_epoch", f"the head is of epoch {head.epoch}, the truth of epoch {kept.epoch}")
        older = head.epoch == kept.epoch and head.seq < kept.seq
        if older or to_instant(head.issued_at) < kept.issued_at:
            raise FeedError("older_head", "the head is older than the newest one that was believed")

    def _covers(self, head: Head) -> None:
        """Check that the set on its way is whole and ends where the head stands."""
        frame = self._set.frame
        if frame is None or not frame.last or (frame.epoch, frame.seq) != (head.epoch, head.seq):
            at = "nowhere" if frame is None else f"{frame.epoch}:{frame.seq}"
            raise FeedError("gap", f"the head is at {head.epoch}:{head.seq}, the frames before it end at {at}")

    def _catalog(self, head: Head) -> Catalog | None:
        """Return the catalog that the head brings, None where the one in force stays."""
        here, at = self.truth.cursor, Cursor(head.epoch, head.seq)
        if self._set.first is None and (self.cursor is None or here != at):
            raise FeedError("gap", f"the head is at {at} with no frames before it, the truth stands at {here}")
        document, mark = self._set.catalog, head.catalog
        if mark is None:
            if document is not None or self.truth.catalog_hash is not None:
                raise FeedError("bad_catalog", "the head names no catalog, and there is one")
            return None
        if document is None:
            if self.truth.catalog_hash != mark.hash:
                raise FeedError("bad_catalog", f"the head names catalog revision {mark.revision}, which was not sent")
            return None
        if (document.revision, self._set.hash) != (mark.revision, mark.hash):
            raise FeedError("bad_catalog", f"the catalog is not the one that the head names, revision {mark.revision}")
        try:
            return decode_catalog(bytes(document.doc))
        except (msgspec.DecodeError, ValueError, ConditionError) as error:
            raise FeedError("not_understood", f"the catalog needs a newer version: {error}") from None

    def _compare(self, head: Head) -> None:
        """Compare what all rows add up to with what the server says; where it differs, everything is sent again."""
        mark = head.digest
        own = None if mark is None or self.truth.partial else self._sums.get(mark.seq)
        differs = mark is not None and own is not None and f"{own:032x}" != mark.sum
        if differs or not self.truth.sound():
            self.healing = True
            raise FeedError("digest_differs", "the rows are not those of the server; all of them are fetched again")

    def _frame(self, token: str) -> tuple[Frame, str]:
        frame, key = self._open(token, Frame)
        self._whose(frame.workspace, frame.audience, None if frame.kind == "pick" else frame.customer)
        rows = [*(one.customer for one in frame.terms), *(one.customer for one in frame.users)]
        if frame.customer is not None and any(one != frame.customer for one in rows):
            raise FeedError("malformed", f"the frame is about {frame.customer!r} and has rows of others")
        if any(one.seq > frame.seq for one in frame.terms) or any(one.seq > frame.seq for one in frame.users):
            raise FeedError("malformed", "the frame has rows from beyond where it ends")
        return frame, key

    def _whose(self, workspace: str, audience: Audience, customer: str | None) -> None:
        kept = self.trust.kept()
        if workspace != kept.workspace:
            raise FeedError("wrong_workspace", f"the message is of workspace {workspace!r}, not {kept.workspace!r}")
        if kept.audience is not None and (audience, customer) != (kept.audience, kept.customer):
            raise FeedError("wrong_audience", f"the message is for {audience}, this follows as {kept.audience}")

    def _open(self, token: str, kind: type[S]) -> tuple[S, str]:
        """Return a verified message and the id of its key."""
        payload, key = self.trust.open(token)
        try:
            envelope = msgspec.json.decode(payload, type=_Envelope)
            unknown = sorted(set(envelope.crit) - UNDERSTOOD)
            if envelope.v != FORMAT or unknown:
                what = f"format {envelope.v}" if envelope.v != FORMAT else f"the fields {', '.join(unknown)[:200]}"
                raise FeedError("not_understood", f"the message needs a version that understands {what}")
            return msgspec.json.decode(payload, type=kind), key
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedError("malformed", f"the message cannot be read: {error}") from None
