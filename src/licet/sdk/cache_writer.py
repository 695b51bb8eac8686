"""Writing the cache: what the one process does that holds its lock. Everything raises OSError; ``cache.py`` sees to it.

A full set goes to a file of its own, which takes the place of the old one once it is whole and on the disk. Sets that
go on from there are appended. The floors lie in a small file besides, raised only to what is on the disk already.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from licet.sdk import folder as places
from licet.sdk import journal
from licet.sdk.journal import CHUNK, Floors, JournalError, KeptTerms, Looked, Mark, Pen, Rows, Seal
from licet.wire.feed import Cursor, TermsRow, UserRow

SLACK: Final = 4 * 1024 * 1024
"""Bytes that may be appended, however small the file was when it was last made anew; else as many as it had."""
MARK_SECONDS: Final = 60.0
"""How often a head is written that says nothing new, and how often everything is forced to the disk."""
_FLOORS_MOST: Final = 64 * 1024


class Site(Struct, frozen=True, kw_only=True):
    """A folder that may be used, the key to what is in it, and the words that its files are bound to."""

    folder: Path
    key: bytes
    whose: bytes

    @property
    def truth(self) -> Path:
        """The file with what was believed last."""
        return self.folder / places.TRUTH_NAME

    @property
    def floors(self) -> Path:
        """The file with what must not go back."""
        return self.folder / places.FLOORS_NAME


class KeptFloors(Struct, frozen=True, kw_only=True):
    """What counts even where no truth is left: what must not go back, and the root that was believed."""

    floors: Floors = Floors()
    root: str | None = None


def read_floors(site: Site) -> KeptFloors:
    """Return what must not go back; raises FileNotFoundError, and JournalError for what does not open."""
    with os.fdopen(places.open_own(site.floors, os.O_RDONLY), "rb") as file:
        seal = journal.seal_of(file, site.key, b"floors" + site.whose)
        opened = seal.open(seal.start, file.read(_FLOORS_MOST))
    if opened is None:
        raise JournalError("it does not open with this key")
    try:
        return msgspec.msgpack.decode(opened[0], type=KeptFloors)
    except msgspec.MsgspecError as error:
        raise JournalError(f"it cannot be read: {error}") from None


def look_at(site: Site, fd: int, floors: Floors) -> tuple[Seal, Looked]:
    """Look through the truth's file; raises JournalError where nothing in it may be believed."""
    with os.fdopen(os.dup(fd), "rb") as file:
        seal = journal.seal_of(file, site.key, site.whose)
        found = journal.look(file, seal)
    if found is None:
        raise JournalError("nothing in it opens with this key")
    if found.mark.floors.below(floors):
        raise JournalError("it is older than what was believed before: damaged, or brought back from a copy")
    return seal, found


class Writer:
    """Writes one cache's files. ``lock`` is the descriptor of the lock that it holds, and closes."""

    def __init__(self, site: Site, lock: int, kept: KeptFloors, most_bytes: int, clock: Callable[[], float]) -> None:
        self._site = site
        self._lock = lock
        self._floors = self._forced = kept.floors
        self._root = kept.root
        self._most = most_bytes
        self._clock = clock
        self._pen: Pen | None = None
        self._new: Pen | None = None
        self._waiting: Mark | None = None
        self._put_any = False
        self._marked = self._synced = float("-inf")
        self.stands: Cursor | None = None
        """Where the next set must go on from; None where only a full one can be written."""
        self.in_set = False

    def go_on(self, seal: Seal, found: Looked) -> None:
        """Append to the file that was looked through; what follows its last mark is cut off."""
        self._pen = Pen(places.open_own(self._site.truth, os.O_RDWR), seal, found)
        self.stands, self._root = found.mark.cursor, found.mark.root

    def begin(self, since: Cursor | None) -> bool:
        """Begin a set; returns whether it fits what is there."""
        self.abort()
        if since is None:
            self._new = self._fresh()
        elif since != self.stands:
            self.stands = None
            return False
        self.in_set = True
        return True

    def put(self, rows: Rows) -> None:
        """Write rows of the set."""
        pen = self._new or self._pen
        if pen is None:
            return
        self._put_any = True
        pen.put(rows)
        if pen.size > self._most:
            raise OSError(f"it would be larger than {self._most} bytes, which is all that a cache may take")

    def commit(self, mark: Mark) -> None:
        """End the set with its mark; one without rows may wait for a minute."""
        before = self._floors
        if self._root is not None and mark.root != self._root:  # floors are those of a root
            self._floors = self._forced = Floors()
        self._floors, self._root = self._floors.joined(mark.floors), mark.root
        rose = (before.epoch, before.keyset) != (self._floors.epoch, self._floors.keyset)
        mark = structs.replace(mark, floors=self._floors)
        if self._new is not None:
            new, self._new = self._new, None
            new.commit(mark)
            self._take_over(new)
        elif self._pen is not None:
            self._append(self._pen, mark, rose=rose)
        self.stands = mark.cursor
        self.in_set = self._put_any = False
        if self._pen is not None and (rose or self._clock() >= self._synced + MARK_SECONDS):
            self._sync(self._pen)
        if self._overgrown():
            self.compact()

    def abort(self) -> None:
        """Forget the set that was begun."""
        new, self._new = self._new, None
        if new is not None:
            new.close()
        elif self.in_set and self._put_any and self._pen is not None:
            self._pen.back()
        self.in_set = self._put_any = False

    def compact(self) -> None:
        """Make the file anew of what counts in it."""
        found = None if self._pen is None else self._pen.looked
        if self._pen is None or found is None:
            return
        new = self._fresh()
        try:
            with os.fdopen(os.dup(self._pen.fd), "rb") as file:
                for rows in _merged(journal.current(file, self._pen.seal, found)):
                    new.put(rows)
            new.commit(found.mark)
        except BaseException as error:
            new.close()
            if isinstance(error, JournalError):
                raise OSError(f"it cannot be made smaller: {error}") from None
            raise
        self._take_over(new)

    def finish(self) -> None:
        """Write what waits, and force everything to the disk."""
        self.abort()
        if self._pen is None:
            return
        if self._waiting is not None:
            self._pen.commit(self._waiting)
        self._sync(self._pen)

    def close(self) -> None:
        """Let go of files and lock, whatever state they are in."""
        with suppress(OSError):
            for pen in (self._pen, self._new):
                if pen is not None:
                    pen.close()
        self._pen = self._new = None
        with suppress(OSError):
            os.close(self._lock)

    def _append(self, pen: Pen, mark: Mark, *, rose: bool) -> None:
        known = pen.mark
        differs = known is None or (known.keyset, known.catalog) != (mark.keyset, mark.catalog)
        if not (self._put_any or rose or differs) and self._clock() < self._marked + MARK_SECONDS:
            self._waiting = mark
            return
        pen.commit(mark)
        self._waiting, self._marked = None, self._clock()

    def _fresh(self) -> Pen:
        path = self._site.truth.with_name(places.TRUTH_NAME + places.NEW)
        fd = places.open_own(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        return Pen(fd, journal.fresh_seal(self._site.key, self._site.whose), None)

    def _take_over(self, new: Pen) -> None:
        """Let a whole file take the place of the one before."""
        try:
            new.sync()
            places.replace(self._site.truth)
        except OSError:
            new.close()
            raise
        old, self._pen = self._pen, new
        self._waiting, self._marked = None, self._clock()
        if old is not None:
            old.close()

    def _sync(self, pen: Pen) -> None:
        """Force the truth to the disk, then raise the floors to what is there: never the other way round."""
        if pen.mark is None:
            return
        pen.sync()
        self._forced = self._forced.joined(pen.mark.floors)
        kept = KeptFloors(floors=self._forced, root=pen.mark.root)
        seal = journal.fresh_seal(self._site.key, b"floors" + self._site.whose)
        content = journal.MAGIC + seal.file_id + seal.sealed(seal.start, msgspec.msgpack.encode(kept))
        places.write_whole(self._site.floors.with_name(places.FLOORS_NAME + places.NEW), content)
        places.replace(self._site.floors)
        self._synced = self._clock()

    def _overgrown(self) -> bool:
        if self._pen is None:
            return False
        base = self._pen.base
        return self._pen.size > min(base + max(base, SLACK), max(self._most * 3 // 4, base + base // 4))


def chunks(terms: Iterable[TermsRow], users: Iterable[UserRow], dropped: tuple[str, ...]) -> Iterator[Rows]:
    """Yield rows in parts of some 256 KiB, the customers who are dropped before all others."""
    if dropped:
        yield Rows(dropped=dropped)
    kept = (KeptTerms(row.customer, row.revision, row.seq, bytes(row.doc)) for row in terms)
    yield from _merged(_singles(kept, users))


def _singles(terms: Iterable[KeptTerms], users: Iterable[UserRow]) -> Iterator[Rows]:
    yield from (Rows(terms=(one,)) for one in terms)
    yield from (Rows(users=(one,)) for one in users)


def _merged(parts: Iterable[Rows]) -> Iterator[Rows]:
    """Yield the same rows in records of some 256 KiB; those that drop anybody must not be among them."""
    terms: list[KeptTerms] = []
    users: list[UserRow] = []
    size = 0
    for part in parts:
        for one in part.terms:
            terms.append(one)
            size += len(one.doc) + 64
        for user in part.users:
            users.append(user)
            size += 256
        if size >= CHUNK:
            yield Rows(terms=tuple(terms), users=tuple(users))
            terms, users, size = [], [], 0
    if terms or users:
        yield Rows(terms=tuple(terms), users=tuple(users))
