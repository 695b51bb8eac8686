"""What of a feed goes into the cache, and how a truth begins from what was kept there."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from licet.core.instant import to_instant
from licet.evaluator.follower import Follower, Picked
from licet.evaluator.messages import read_catalog
from licet.evaluator.trust import FeedError, Kept, Trust
from licet.evaluator.truth import LocalTruth
from licet.sdk.cache import Cache, KeptTruth
from licet.sdk.cache import Kept as Found
from licet.sdk.journal import Floors, KeptTerms, Mark, Rows
from licet.wire.feed import CatalogDocument, Cursor, Frame, Head, Line, TermsRow, UserRow, read_cursor

T = TypeVar("T", bound=Struct)
_TOGETHER: Final = 1_000
"""Rows that are handed to the cache at once."""


class Keeping:
    """Writes what became the truth, and only that. Nothing that fails here reaches whoever follows."""

    def __init__(self, cache: Cache, *, partial: bool) -> None:
        self._cache = cache
        self._partial = partial
        self._catalog: str | None = None
        self._coming: str | None = None
        self._last: str | None = None
        self._begun = False
        self._anew = False
        self._wrote: set[str] = set()
        """Of whom all there is is in the file, where only some customers are held."""
        self._dropped = 0

    @property
    def folder(self) -> Path | None:
        """Where it is kept, if it can be."""
        return self._cache.folder

    def restore(self, truth: LocalTruth, root: str | None) -> Follower | None:
        """Fill an empty truth with what was kept; returns who goes on from there, None where there is nothing."""
        found = self._cache.open()
        if root is not None and root != found.root:
            if found.truth is not None:
                found.truth.close()
            return None
        follower = Follower(truth, Trust(kept=_kept(found)))
        if found.truth is None:
            return follower
        try:
            self._fill(follower, found.truth)
        except Exception as wrong:  # noqa: BLE001 whatever lies on the disk, the client begins
            _say(wrong)
            truth.rollback()
            # A fresh truth, and all that must not go back.
            return Follower(truth, Trust(kept=_kept(found)))
        finally:
            found.truth.close()
        return follower

    def took(self, line: Line, follower: Follower) -> None:
        """Write what a line that was believed said."""
        if line.catalog is not None:
            self._coming = line.catalog
        elif line.frame is not None:
            self._frame(_opened(follower.trust, line.frame, Frame))
        elif line.head is not None:
            if self._coming is not None:
                self._catalog, self._coming = self._coming, None
            self._head(line.head, follower)

    def picked(self, found: Picked, follower: Follower) -> None:
        """Write all of one customer, as of the cursor."""
        cursor, head = follower.truth.cursor, self._last
        if cursor is None or head is None:
            return
        if self._begun:
            # Rows of it may have been passed over in the frames so far: at the head all is written anew.
            self._leave()
        if self._cache.begin(cursor):
            self._drop(follower.truth, found.customer)
            self._put(follower.truth.rows(found.keys))
            self._commit(head, follower)
            self._wrote.add(found.customer)

    def lost(self) -> None:
        """The set that came will not be finished."""
        self._coming, self._anew = None, False
        self._leave()

    def close(self) -> None:
        """Let go of the files."""
        self._cache.close()

    def _leave(self) -> None:
        if self._begun:
            self._cache.abort()
            self._begun = False

    def _frame(self, frame: Frame) -> None:
        if frame.number == 0:
            full = frame.kind == "full"
            # With its frames alone the file would lose everybody: it is made anew once their picks have come.
            self._anew = full and self._partial
            since = None if full else Cursor(frame.epoch, frame.since)
            self._begun = not self._anew and self._cache.begin(since)
        if self._begun:
            # Of whom not all is in the file, nothing must be: it would be taken for all.
            holds = self._wrote.__contains__ if self._partial else None
            terms = [one for one in frame.terms if holds is None or holds(one.customer)]
            self._cache.put(terms, [one for one in frame.users if holds is None or holds(one.customer)])

    def _head(self, token: str, follower: Follower) -> None:
        head = follower.head
        if head is None:
            return
        self._last = token
        begun, anew, self._begun, self._anew = self._begun, self._anew, False, False
        if not anew and (begun or self._cache.begin(Cursor(head.epoch, head.seq))):
            self._drop(follower.truth)
            self._commit(token, follower)
        elif (anew or self._cache.wants_full) and self._cache.begin(None):
            self._put(follower.truth.rows())
            self._commit(token, follower)
            self._wrote = set(follower.truth.customers()) if self._partial else set()
            self._dropped = follower.truth.dropped

    def _put(self, rows: Iterator[TermsRow | UserRow]) -> None:
        while part := list(islice(rows, _TOGETHER)):
            self._cache.put(
                [one for one in part if isinstance(one, TermsRow)],
                [one for one in part if isinstance(one, UserRow)],
            )

    def _drop(self, truth: LocalTruth, *more: str) -> None:
        """Write who gave way to others since this was last written, and ``more``."""
        gone = [*more]
        if truth.dropped != self._dropped:
            self._dropped = truth.dropped
            gone += [one for one in self._wrote if not truth.known(one)]
        if gone:
            self._cache.put((), (), gone)
            self._wrote.difference_update(gone)

    def _commit(self, token: str, follower: Follower) -> None:
        kept, cursor = follower.kept(), follower.truth.basis
        if kept.root is None or kept.keyset is None or cursor is None:
            self._cache.abort()
            return
        floors = Floors(keyset=kept.version, epoch=kept.epoch, seq=kept.seq, issued_at=kept.issued_at)
        self._cache.commit(
            Mark(
                head=token,
                cursor=read_cursor(cursor),
                floors=floors,
                root=kept.root,
                keyset=kept.keyset,
                catalog=self._catalog,
            )
        )

    def _fill(self, follower: Follower, found: KeptTruth) -> None:
        """Make the kept rows the truth again. They are the cache's word; catalog and head are verified anew."""
        truth, trust, mark = follower.truth, follower.trust, found.mark
        trust.take_keyset(mark.keyset, mark.root)
        head = _opened(trust, mark.head, Head)
        truth.begin("full", partial=self._partial)
        for rows in _settled(found.rows()) if self._partial else found.rows():
            if self._partial:
                self._wrote = {one.customer for one in rows.terms}
            for one in rows.terms:
                truth.put_terms(one.customer, one.revision, one.seq, one.doc)
            for user in rows.users:
                truth.put_user(user)
        if head.catalog is not None and mark.catalog is not None:
            document = _opened(trust, mark.catalog, CatalogDocument)
            found_hash = hashlib.sha256(document.doc).hexdigest()
            if found_hash != head.catalog.hash:
                raise FeedError("bad_catalog", "the kept catalog is not the one that the kept head names")
            truth.release(read_catalog(bytes(document.doc)), document.revision, head.zone, hash=found_hash)
        floors = trust.kept()
        truth.commit(
            Cursor(head.epoch, head.seq),
            clock=head.clock,
            usable_until=to_instant(head.usable_until),
            issued_at=max(to_instant(head.issued_at), floors.issued_at),
        )
        trust.believe(
            audience=head.audience,
            customer=head.customer,
            epoch=floors.epoch,
            seq=floors.seq,
            issued_at=floors.issued_at,
        )
        truth.workspace = head.workspace
        follower.head = head
        self._catalog, self._last = mark.catalog, mark.head


def _kept(found: Found) -> Kept:
    """What must not go back, and whose root was believed; the keyset is verified anew."""
    floors = found.floors
    return Kept(root=found.root, version=floors.keyset, epoch=floors.epoch, seq=floors.seq, issued_at=floors.issued_at)


def _say(wrong: Exception) -> None:
    import logging

    logging.getLogger("licet.sdk.cache").warning("what was kept is not used, and fetched again: %s", wrong)


def _settled(kept: Iterable[Rows]) -> Iterator[Rows]:
    """Yield the rows that count in the end: what came of a customer before it was dropped does not."""
    terms: dict[str, KeptTerms] = {}
    users: dict[str, dict[str, UserRow]] = {}
    for rows in kept:
        for customer in rows.dropped:
            terms.pop(customer, None)
            users.pop(customer, None)
        terms.update((one.customer, one) for one in rows.terms)
        for user in rows.users:
            users.setdefault(user.customer, {})[user.user] = user
    # Of somebody without terms it is not known any more whether these are all users.
    yield Rows(tuple(terms.values()), tuple(user for one in terms for user in users.get(one, {}).values()))


def _opened(trust: Trust, token: str, kind: type[T]) -> T:
    return msgspec.json.decode(trust.open(token)[0], type=kind)
