"""Following a feed: each line is verified before it is read, and only a head makes a set the truth. No I/O."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from licet.core.catalog import Catalog
from licet.core.instant import SECOND, Instant, to_instant
from licet.core.policy import ConditionError
from licet.evaluator.messages import Messages, read_catalog
from licet.evaluator.trust import FeedError, Kept, Trust
from licet.evaluator.truth import LocalTruth
from licet.wire.feed import (
    MAX_LINE,
    CatalogDocument,
    Cursor,
    Frame,
    Head,
    Line,
    chain_next,
    chain_start,
)

_HISTORY: Final = 4_096
"""Sums that wait for a digest: adding up takes the server seconds, in which many sets may come."""
_LOOKED_AT: Final = 20_000
"""Rows looked at when the server says anew what all of them add up to."""
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


class Picked(Struct, frozen=True):
    """What a pick did."""

    customer: str
    keys: tuple[str, ...]
    """Those of all of its rows, for ``LocalTruth.rows``."""


class _Set:
    """A set on its way in: what its lines said, until the head comes."""

    def __init__(self) -> None:
        self.first: Frame | None = None
        self.frame: Frame | None = None
        self.chain = ""
        self.catalog: CatalogDocument | None = None
        self.hash: str | None = None
        self.keys: frozenset[str] = frozenset()

    @property
    def full(self) -> bool:
        """Whether it begins anew."""
        return self.first is not None and self.first.kind == "full"


class Follower:
    """Feeds lines into a truth. What is refused changes nothing: the set is dropped and the last good truth stays."""

    def __init__(self, truth: LocalTruth, trust: Trust) -> None:
        self.truth = truth
        self.trust = trust
        self._messages = Messages(trust)
        self.head: Head | None = None
        """The newest head that was believed."""
        self.heard_at: Instant | None = None
        """Real time, by the clock here, when the newest head came."""
        self.healing = False
        """The truth differs from the server's: the next set must be a full one."""
        self.differs = False
        """The rows were found to differ from what the server says they add up to, and nothing has shown since that
        they do not."""
        self.gathers = False
        """A full set that brings nobody's rows, where some are held, counts only once their picks have come and
        ``settle`` is called: until then ``coming`` is its head, and the last truth stays."""
        self.coming: Head | None = None
        self._heals = True
        self._set = _Set()
        self._sums: dict[int, int] = {}
        self._compared = -1
        self._look_at: Instant = 0
        self._replaying = False

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

    def take(self, line: Line, wall: Instant, *, heal: bool = True) -> Progress:
        """Take one line of a feed; ``wall`` is real time. Raises FeedError for what is not believed.

        ``heal``: whether rows that differ from the server's are refused, so that all of them are fetched again. Else
        that is only noted, and the feed goes on: each row of it is signed, and a sum may be wrong again and again.
        """
        self._heals = heal
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
        self._set, self.coming = _Set(), None
        self.truth.rollback()

    def replay(self, lines: Iterable[Line]) -> str | None:
        """Take lines again that were believed before, from a cache; return the cursor they lead to.

        Each is verified again, by today's keyset. Heads older than the newest one believed may come first, but where
        they lead to must not be older: else nothing of it is kept. Raises FeedError, with the truth left empty.
        """
        kept = self.trust.kept()
        self._replaying = True
        try:
            for line in lines:
                if line.keyset is None or kept.keyset is None:
                    self._take(line)
            self._leads_on(kept)
        except FeedError:
            self.head = None
            self._sums.clear()
            self.truth.forget()
            raise
        finally:
            self._replaying = False
            self.drop()
        self.truth.commit(issued_at=max(kept.issued_at, self.truth.floor))
        return self.cursor

    def _leads_on(self, kept: Kept) -> None:
        here = self.truth.cursor
        if here is not None and (here.epoch, here.seq) < (kept.epoch, kept.seq):
            raise FeedError("older_head", f"what was kept leads to {here}, and {kept.epoch}:{kept.seq} was known")

    def take_pick(self, *tokens: str) -> str:
        """Take all of one customer, mostly one frame; return whom. Raises FeedError, as :meth:`pick` does."""
        return self.pick(tokens).customer

    def pick(self, tokens: Sequence[str]) -> Picked:
        """Take all of one customer as of the cursor, or as of the one at which the truth was told to expect it.

        It counts at once, also while a set is on its way; as of one that waits for picks, it counts with that. Raises
        FeedError; with the code ``gap`` the truth has moved
        on meanwhile: ask again with the newer cursor.
        """
        frames = [self._messages.frame(token)[0] for token in tokens]
        here, customer = self.truth.cursor, frames[0].customer if frames else None
        if here is None or customer is None or not frames[-1].last:
            raise FeedError("gap", "the pick is not whole")
        at = Cursor(frames[0].epoch, frames[0].seq)
        prev = chain_start(frames[0].workspace, frames[0].audience, customer, at)
        for number, (frame, token) in enumerate(zip(frames, tokens, strict=True)):
            if frame.kind != "pick" or frame.customer != customer:
                raise FeedError("malformed", f"frame {number} of the pick of {customer!r} is of kind {frame.kind}")
            if (frame.epoch, frame.seq, frame.since) != (at.epoch, at.seq, at.seq):
                raise FeedError("malformed", f"frame {number} of the pick is not as of {at}")
            if frame.number != number or frame.prev != prev:
                raise FeedError("broken_chain", f"frame {number} of the pick does not follow what was asked for")
            prev = chain_next(token)
        terms, users = [row for frame in frames for row in frame.terms], [row for one in frames for row in one.users]
        if self.coming is not None and at == Cursor(self.coming.epoch, self.coming.seq):
            self.truth.stage(customer, terms, users)
            return Picked(customer, ())
        keys = self.truth.pick(customer, terms, users, at)
        if keys is None:
            raise FeedError("gap", f"the pick is as of {at}, the truth stands at {here}")
        return Picked(customer, tuple(keys))

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
        document, key = self._messages.open(token, CatalogDocument)
        self._messages.whose(document.workspace, document.audience)
        if self._set.first is not None:
            raise FeedError("broken_chain", "a catalog came in the middle of a set")
        self._set.catalog, self._set.hash = document, hashlib.sha256(document.doc).hexdigest()
        self._set.keys |= {key}
        return Progress(kind="staged", cursor=self.cursor)

    def _take_frame(self, token: str) -> Progress:
        frame, key = self._messages.frame(token)
        coming = self._set
        if frame.kind == "pick":
            raise FeedError("malformed", "a feed has no frames of single customers")
        if coming.first is None:
            self._begins(frame)
            coming.first = frame
        else:
            self._follows(coming.first, frame)
        # Of what was read only the rows are kept, small.
        coming.frame, coming.chain = structs.replace(frame, terms=(), users=()), chain_next(token)
        coming.keys |= {key}
        for row in frame.terms:
            self.truth.put_terms(row.customer, row.revision, row.seq, bytes(row.doc))
        for user in frame.users:
            self.truth.put_user(user)
        return Progress(kind="staged", cursor=self.cursor)

    def _begins(self, frame: Frame) -> None:
        """Begin a set with its first frame."""
        kept, here = self.trust.kept(), self.truth.cursor
        if frame.epoch < kept.epoch and not self._replaying:
            raise FeedError("older_epoch", f"the frame is of epoch {frame.epoch}, the truth of epoch {kept.epoch}")
        since = Cursor(frame.epoch, frame.since)
        if frame.kind == "changes" and (self.cursor is None or since != here):
            raise FeedError("gap", f"the changes go on from {since}, the truth stands at {here}")
        if frame.number != 0 or frame.prev != chain_start(frame.workspace, frame.audience, frame.customer, since):
            raise FeedError("broken_chain", "the first frame of the set is missing or is of another feed")
        full = frame.kind == "full"
        self.truth.begin("full" if full else "changes", partial=frame.partial, bare=full)

    def _follows(self, first: Frame, frame: Frame) -> None:
        """Check that a frame is the next one of its set."""
        before = self._set.frame or first
        whole = (first.kind, first.epoch, first.partial, first.audience, first.customer)
        if whole != (frame.kind, frame.epoch, frame.partial, frame.audience, frame.customer) or before.last:
            raise FeedError("broken_chain", "the frame is of another set than the one before")
        if frame.number != before.number + 1 or frame.prev != self._set.chain:
            raise FeedError("broken_chain", f"frame {frame.number} does not follow frame {before.number}")
        if frame.since not in (first.since, before.seq) or frame.seq < before.seq:
            raise FeedError("gap", f"the frame is about {frame.since} to {frame.seq}, the one before to {before.seq}")

    def _take_head(self, token: str) -> Progress:
        head, key = self._messages.open(token, Head)
        coming = self._set
        self._messages.whose(head.workspace, head.audience)
        self._messages.about(head.audience, head.customer)
        self.trust.check_time(coming.keys | {key}, to_instant(head.issued_at))
        self._is_newer(head)
        self._covers(head)
        catalog = self._catalog(head)
        if not coming.full:
            self._compare(head)
        try:
            if catalog is not None and head.catalog is not None:
                self.truth.release(catalog, head.catalog.revision, head.zone, hash=head.catalog.hash)
        except (ValueError, KeyError, ConditionError) as error:
            raise FeedError("not_understood", f"the catalog cannot be read by this version: {error}") from None
        if self.gathers and coming.full and coming.first is not None and coming.first.partial and self._holds():
            self.coming = head
            return Progress(kind="staged", cursor=self.cursor)
        return self._believe(head)

    def _holds(self) -> bool:
        return self.head is not None and bool(self.truth.customers())

    def settle(self) -> None:
        """Make the full set that waited for picks the truth, and nobody held but whose pick has come."""
        head, self.coming = self.coming, None
        if head is not None:
            self._believe(head)

    def _believe(self, head: Head) -> Progress:
        full, moved = self._set.full, self._set.first is not None
        issued_at = to_instant(head.issued_at)
        self.truth.commit(
            Cursor(head.epoch, head.seq),
            clock=head.clock,
            usable_until=to_instant(head.usable_until),
            issued_at=issued_at,
        )
        self.truth.workspace = head.workspace
        if full:
            self._sums.clear()
            self.healing = self.differs = False
        self._sums[head.seq] = self.truth.digest()
        while len(self._sums) > _HISTORY:
            del self._sums[next(iter(self._sums))]
        self.head, self._set = head, _Set()
        newest = (head.epoch, head.seq) >= (self.trust.kept().epoch, self.trust.kept().seq)
        if newest and issued_at >= self.trust.kept().issued_at:
            self.trust.believe(
                audience=head.audience, customer=head.customer, epoch=head.epoch, seq=head.seq, issued_at=issued_at
            )
        return Progress(kind="committed" if moved else "fresh", cursor=self.cursor, full=full)

    def _is_newer(self, head: Head) -> None:
        """Check that a head is none that is older than the newest one believed."""
        kept = self.trust.kept()
        epoch, seq, issued_at = kept.epoch, kept.seq, kept.issued_at
        if self._replaying:
            known = self.head
            epoch, seq, issued_at = (
                (0, 0, 0) if known is None else (known.epoch, known.seq, to_instant(known.issued_at))
            )
        if head.epoch < epoch:
            raise FeedError("older_epoch", f"the head is of epoch {head.epoch}, the truth of epoch {epoch}")
        if (head.epoch == epoch and head.seq < seq) or to_instant(head.issued_at) < issued_at:
            raise FeedError("older_head", "the head is older than the newest one that was believed")

    def _covers(self, head: Head) -> None:
        """Check that the set on its way is whole and ends where the head stands, or that there is none to come."""
        first, frame, at = self._set.first, self._set.frame, Cursor(head.epoch, head.seq)
        if first is None or frame is None:
            if self.cursor is None or self.truth.cursor != at:
                words = f"the head is at {at} with no frames before it, the truth stands at {self.truth.cursor}"
                raise FeedError("gap", words)
            return
        if not frame.last or Cursor(frame.epoch, frame.seq) != at:
            raise FeedError("gap", f"the head is at {at}, the frames before it end at {frame.epoch}:{frame.seq}")
        if (first.audience, first.customer) != (head.audience, head.customer):
            raise FeedError("wrong_audience", "the head is not for whom the frames before it are")

    def _catalog(self, head: Head) -> Catalog | None:
        """Return the catalog that counts from the head on, None where all stays as it is."""
        document, mark = self._set.catalog, head.catalog
        if document is None:
            held = self.truth.catalog
            if mark is None and (self._set.full or held is None):
                return None
            if mark is None or held is None or self._set.full or self.truth.catalog_hash != mark.hash:
                revision = None if mark is None else mark.revision
                raise FeedError("bad_catalog", f"the head names catalog revision {revision}, which was not sent")
            return None if self.truth.zone == head.zone else held.document
        if mark is None or (document.revision, self._set.hash) != (mark.revision, mark.hash):
            raise FeedError("bad_catalog", "the catalog that was sent is not the one that the head names")
        if document.audience != head.audience:
            raise FeedError("wrong_audience", "the catalog is not for whom the head is")
        try:
            return read_catalog(bytes(document.doc))
        except (msgspec.DecodeError, ValueError) as error:
            raise FeedError("not_understood", f"the catalog cannot be read by this version: {error}") from None

    def _compare(self, head: Head) -> None:
        """Compare what all rows add up to with what the server says; where it differs, all are to be sent again."""
        mark = head.digest
        new = mark is not None and mark.seq != self._compared
        own = None if mark is None or self.truth.partial else self._sums.get(mark.seq)
        differs = mark is not None and own is not None and f"{own:032x}" != mark.sum
        # Heads may come by the dozen a second: looking at rows with each would cost more than all else here.
        issued_at = to_instant(head.issued_at)
        due = new or issued_at >= self._look_at
        if due:
            self._look_at = issued_at + SECOND
        if differs or (due and not self.truth.sound(*((_LOOKED_AT,) if new else ()))):
            self.differs = True
            if self._heals:
                self.healing = True
                raise FeedError("digest_differs", "the rows are not those of the server; all of them are fetched again")
        elif own is not None:
            self.differs = False
        self._compared = -1 if mark is None else mark.seq
