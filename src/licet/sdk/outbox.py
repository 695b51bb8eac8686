"""What a process has to tell of use and has not told yet: kept on disk before whoever reported goes on.

SQLite of the standard library, one file for each process, held by a lock; what a process that is gone left behind is
taken over by the next one. Many threads that report at once share one commit. Where there is no folder, or none can be
written from the beginning, the same is kept in memory and ends with the process; a disk that takes no more later keeps
nothing, and whoever reports hears it.
"""

import logging
import os
import secrets
import sqlite3
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from licet.sdk import folder as places
from licet.sdk.errors import BufferFull, Closed, Invalid

MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes of everything that waits, without what SQLite adds."""
_OVERHEAD: Final = 100
_AT_ONCE: Final = 1_000
_PREFIX: Final = "outbox-"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    path TEXT NOT NULL, body BLOB NOT NULL, spare BLOB
)
"""
_log = logging.getLogger("licet.sdk.outbox")
_forked: "list[object]" = []
"""Connections of the parent: a child must neither use nor close them."""


class Entry(Struct, frozen=True, kw_only=True):
    """One thing to tell. ``id`` makes it one and the same however often it is put or told."""

    id: str
    kind: Literal["event", "call"]
    """An event goes with others, a call is a request of its own."""
    body: bytes
    path: str = ""
    spare: bytes | None = None
    """The event that is told in the place of a call that is refused."""
    timed: bool = True
    """Whether its time was named; one that was not is no part of what it says."""

    @property
    def size(self) -> int:
        """The bytes that it counts for."""
        return len(self.body) + len(self.spare or b"") + len(self.id.encode()) + _OVERHEAD

    def says(self, body: bytes) -> bool:
        """Whether it says the same as one of the same id that was kept before."""
        if self.timed or self.body == body:
            return self.body == body
        mine, kept = ({**msgspec.json.decode(one), "time": None} for one in (self.body, body))
        return mine == kept


class Waiting(Struct, frozen=True, kw_only=True):
    """An entry that was kept, and where."""

    n: int
    entry: Entry
    shelf: "Shelf"


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


class Shelf:
    """One SQLite file, or a place in memory. One thread at a time; raises sqlite3.Error."""

    def __init__(self, path: Path | None, lock: int = -1) -> None:
        self.path = path
        self._lock = lock
        self._base = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        for told in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._base.execute(f"PRAGMA {told}")
        self._base.execute(_SCHEMA)

    def put(self, entries: Iterable[Entry]) -> dict[int, bytes]:
        """Keep entries, all or none; returns by their place those whose id was there already, and the body kept of it.

        They are on the disk when this returns.
        """
        told = "INSERT OR IGNORE INTO entry (id, kind, path, body, spare) VALUES (?,?,?,?,?)"
        there: dict[int, bytes] = {}
        self._base.execute("BEGIN IMMEDIATE")
        try:
            for place, one in enumerate(entries):
                if not self._base.execute(told, (one.id, one.kind, one.path, one.body, one.spare)).rowcount:
                    (kept,) = self._base.execute("SELECT body FROM entry WHERE id = ?", (one.id,)).fetchone()
                    there[place] = kept
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise
        return there

    def first(self, most: int, after: int = 0) -> list[Waiting]:
        """Return the oldest entries."""
        rows = self._base.execute(
            "SELECT n, id, kind, path, body, spare FROM entry WHERE n > ? ORDER BY n LIMIT ?", (after, most)
        )
        return [
            Waiting(n=n, shelf=self, entry=Entry(id=key, kind=kind, path=path, body=body, spare=spare))
            for n, key, kind, path, body, spare in rows
        ]

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget entries: they were told."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            self._base.executemany("DELETE FROM entry WHERE n = ?", [(n,) for n in numbers])
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise

    def holds(self) -> tuple[int, int]:
        """Return how many entries there are, and their bytes."""
        # The length of a text ends at its first NUL, and every id has one.
        told = """
            SELECT count(*), coalesce(sum(length(body) + length(CAST(id AS BLOB)) + coalesce(length(spare), 0)), 0)
            FROM entry
        """
        count, size = self._base.execute(told).fetchone()
        return int(count), int(size) + _OVERHEAD * int(count)

    def newest(self) -> int:
        """Return the number of the last entry that was ever put."""
        found = self._base.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        return 0 if found is None else int(found[0])

    def oldest(self) -> int | None:
        """Return the number of the oldest entry that is there."""
        found: int | None = self._base.execute("SELECT min(n) FROM entry").fetchone()[0]
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._base.execute("DELETE FROM entry")

    def close(self) -> None:
        """Let go of the file; one in which nothing waits is removed."""
        empty = False
        with suppress(sqlite3.Error):
            empty = self.holds()[0] == 0
        with suppress(sqlite3.Error):
            self._base.close()
        if self.path is not None and empty:
            _remove(self.path)
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)

    def abandon(self) -> None:
        """Forget it in a forked child: file and lock are the parent's."""
        _forked.append(self._base)
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)


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
                    _adopt(self._folder, mine)
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
                self._shelves = [_fresh(self._folder)]
                _adopt(self._folder, self._shelves[0])
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


def left_behind(folder: Path) -> list[Path]:
    """Return the files of outboxes in a folder, of processes that run and of those that are gone."""
    return sorted(folder.glob(f"{_PREFIX}*.db"))


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


def _adopt(folder: Path, mine: Shelf) -> None:
    """Take over what lies in files that nobody holds any more. Killed in between, it is told twice under one id."""
    for path in left_behind(folder):
        lock = -1 if path == mine.path else _held(path.with_suffix(".lock"))
        if lock < 0:
            continue
        try:
            other = Shelf(path, lock)
            after = 0
            while found := other.first(_AT_ONCE, after):
                mine.put([one.entry for one in found])
                after = found[-1].n
            other.clear()
            other.close()
        except sqlite3.Error as error:
            _log.warning("%s cannot be read (%s); it is set aside as %s.damaged", path, error, path.name)
            with suppress(OSError):
                path.rename(path.with_name(path.name + ".damaged"))
            os.close(lock)


def _fresh(folder: Path) -> Shelf:
    """Return an empty file of this process's own."""
    for _ in range(10):
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}.db"
        # The file first: a lock without one is swept up by nobody, a file without one is free to be taken over.
        os.close(places.open_own(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, secret=True))
        lock = _held(path.with_suffix(".lock"))
        if lock >= 0 and path.exists():
            places.sync_folder(folder)
            return Shelf(path, lock)
        if lock >= 0:
            os.close(lock)
    raise places.Refused(f"no file could be made in {folder}")


def _held(path: Path) -> int:
    """Return the descriptor of a lock that is held from now on; -1 where somebody else has it."""
    if sys.platform == "win32":
        raise places.Refused("this system has no file locks")
    import fcntl

    lock = places.open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it before may have removed its file meanwhile: then it locks nothing.
        if path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return -1


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.stem}.lock"):
        with suppress(OSError):
            (path.parent / name).unlink()
