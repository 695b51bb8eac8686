"""What a process has to tell of use and has not told yet: kept on disk before whoever reported goes on.

It lies on shelves: one on the disk, which takes over what processes that are gone left behind. Many threads that report
at once share one commit. Where there is no folder, or none can be written at first, the same is kept in memory
and ends with the process; a disk that takes no more later keeps nothing, and whoever reports hears it.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from licet.sdk.errors import BufferFull, Closed, Invalid
from licet.sdk.shelf import Entry, Shelf, Waiting, adopt, fresh

MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes of everything that waits, without what SQLite adds."""
_log = logging.getLogger("licet.sdk.outbox")


class _Put(Struct, kw_only=True, eq=False):
    """An entry on its way to the disk, and what came of it."""

    entry: Entry
    must: bool
    """Kept in memory where the disk takes no more."""
    done: bool = False
    kept: bool = False
    again: bool = False
    """One of its id was there already."""
    error: Exception | None = None


class Outbox:
    """Everything that waits, bounded by ``most`` entries and ``most_bytes``. Any thread may put; one takes."""

    def __init__(self, folder: Path | None, *, most: int, most_bytes: int = MOST_BYTES) -> None:
        """``folder`` is this user's own, see ``folder.own_folder``; None keeps everything in memory."""
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes
        self.dropped = self.refused = 0
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        """Held for moments only."""
        self._disk = threading.RLock()
        """Held by whoever writes or reads a shelf. It knows whose it is, for forks that waited for it in vain."""
        self._pending: list[_Put] = []
        self._count = self._bytes = 0
        self._shelves: list[Shelf] = []
        self._opened = self._closed = False
        self._full = False
        """Whether the disk took nothing the last time; told once."""

    @property
    def durable(self) -> bool:
        """Whether what is put lies on a disk."""
        return bool(self._shelves) and self._shelves[0].path is not None and len(self._shelves) == 1

    @property
    def waiting(self) -> tuple[int, int]:
        """How many entries wait, and their bytes."""
        return self._count, self._bytes

    def put(self, entry: Entry, *, must: bool = False) -> bool:
        """Keep an entry and return once it is on the disk; returns whether it is the only one that waits.

        Raises BufferFull where as much waits as may, and where the disk takes no more, unless it ``must`` be kept in
        memory then; Invalid where an entry of its id with other content waits.
        """
        size = entry.size
        put = _Put(entry=entry, must=must)
        with self._lock:
            if self._count >= self._most or self._bytes + size > self._most_bytes:
                words = f"{self._count} reports ({self._bytes} bytes) wait to be told, which is as many as may"
                raise BufferFull(f"{words}; the server could not be reached for long: see client.reports and the log")
            self._count += 1
            self._bytes += size
            first = self._count == 1
            self._pending.append(put)
        with self._disk:
            # Whoever comes first writes for all that wait here: they share one commit.
            if not put.done:
                with self._lock:
                    batch, self._pending = self._pending, []
                self._write(batch)
        if put.error is not None:
            raise put.error
        if not put.kept:
            raise BufferFull("the process was interrupted while the report was written; it was not kept")
        return first

    def open(self) -> None:
        """Take over what processes that are gone left behind; done once, and by the first put at the latest."""
        with self._disk:
            self._open()

    def adopt(self) -> None:
        """Take over what processes left behind that went since this one began."""
        with self._disk:
            if self.durable and self._folder is not None:
                mine = self._shelves[0]
                before = mine.holds()
                try:
                    adopt(self._folder, mine)
                except (OSError, sqlite3.Error) as error:
                    _log.warning("what other processes left in %s is not told: %s", self._folder, error)
                count, size = mine.holds()
                with self._lock:
                    self._count += count - before[0]
                    self._bytes += size - before[1]

    def take(self, most: int, most_bytes: int) -> list[Waiting]:
        """Return the oldest entries that go in one request: events, or one call. Nothing is forgotten yet."""
        with self._disk:
            for shelf in self._shelves:
                found = shelf.first(most)
                if found:
                    return _together(found, most_bytes)
        return []

    def drop(self, told: list[Waiting]) -> None:
        """Forget entries of one shelf: they were told, or never will be."""
        if told:
            with self._disk:
                told[0].shelf.drop([one.n for one in told])
            self._less([one.entry for one in told])

    def exchange(self, told: Waiting, entry: Entry) -> None:
        """Keep another entry in the place of one, however full it is."""
        with self._disk:
            there = [entry] if told.shelf.put([entry]) else []
        with self._lock:
            self._count += 1
            self._bytes += entry.size
        self._less(there)
        self.drop([told])

    def marks(self) -> list[tuple[Shelf, int]]:
        """Return up to where everything was put by now, for ``passed``."""
        with self._disk:
            return [(shelf, shelf.newest()) for shelf in self._shelves]

    def passed(self, marks: list[tuple[Shelf, int]]) -> bool:
        """Whether everything up to some marks was told."""
        with self._disk:
            return not self._closed and all((shelf.oldest() or mark + 1) > mark for shelf, mark in marks)

    def close(self) -> int:
        """Let go of the files; returns how many entries end with this process because they lie in memory only."""
        with self._disk:
            self._closed = True
            lost = sum(shelf.holds()[0] for shelf in self._shelves if shelf.path is None)
            for shelf in self._shelves:
                shelf.close()
            self._shelves, self._opened = [], False
        return lost

    def before_fork(self, seconds: float) -> None:
        """Let nobody be inside SQLite while the process forks."""
        self._disk.acquire(timeout=seconds)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with suppress(RuntimeError):
            self._disk.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what waits is the parent's to tell."""
        for shelf in self._shelves:
            shelf.abandon()
        self.dropped = self.refused = 0
        self._begin()

    def _less(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            self._count -= len(entries)
            self._bytes -= sum(one.size for one in entries)

    def _write(self, batch: list[_Put]) -> None:
        """Keep what was put, and note of each what came of it: nobody takes for kept what was not."""
        try:
            self._shelve(batch)
        except Exception as error:  # noqa: BLE001 each whose entry it was raises it
            for one in batch:
                one.error = error
        finally:
            for one in batch:
                one.done = True
            self._less([one.entry for one in batch if one.again or not one.kept])

    def _shelve(self, batch: list[_Put]) -> None:
        if self._closed:
            raise Closed
        self._open()
        shelf = self._shelves[0]
        try:
            _put_on(shelf, batch)
            self._full = False
        except sqlite3.Error as error:
            words = f"{shelf.path or 'memory'} cannot be written ({error}), so the report was not kept"
            for one in batch:
                one.error = BufferFull(f"{words}; make room on the disk, then report it again")
            if not self._full:
                self._full = True
                _log.warning("%s; nor are others until it can be written again", words)
            musts = [one for one in batch if one.must]
            if musts:
                if len(self._shelves) == 1:
                    self._shelves.append(Shelf(None))
                _put_on(self._shelves[-1], musts)

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            if self._folder is not None:
                self._shelves = [fresh(self._folder)]
                adopt(self._folder, self._shelves[0])
        except (OSError, sqlite3.Error) as error:
            self._warn(self._folder, error)
        if not self._shelves:
            self._shelves = [Shelf(None)]
        count, size = self._shelves[0].holds()
        with self._lock:
            self._count, self._bytes = self._count + count, self._bytes + size

    def _warn(self, where: Path | None, error: Exception) -> None:
        words = "what is reported is kept in memory only and ends with this process"
        _log.warning("%s cannot be written (%s): %s", where, error, words)


def _together(found: list[Waiting], most_bytes: int) -> list[Waiting]:
    """Return the first entries that go in one request."""
    if found[0].entry.kind == "call":
        return found[:1]
    size, taken = 0, list[Waiting]()
    for one in found:
        size += len(one.entry.body) + 1
        if one.entry.kind != "event" or (taken and size > most_bytes):
            break
        taken.append(one)
    return taken


def _put_on(shelf: Shelf, batch: list[_Put]) -> None:
    """Keep what was put on a shelf, and note what came of it; raises sqlite3.Error."""
    there = shelf.put([one.entry for one in batch])
    for place, one in enumerate(batch):
        one.kept, one.again, one.error = True, place in there, None
        if one.again and not one.entry.says(there[place]):
            source, _, name = one.entry.id.partition("\0")
            one.error = Invalid(
                f"{name!a} of {source!r} waits to be told with other content; give each an id of its own"
            )
