"""Where an outbox keeps what waits: one SQLite file for each process, held by a lock, or a place in memory.

What a process that is gone left behind is free to be taken over by whoever comes first.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from licet.sdk.own_file import abandoned, files_of, fresh_file, keep_forever, remove_file, set_aside

OVERHEAD: Final = 100
"""Bytes that an entry counts for besides its content."""
_AT_ONCE: Final = 1_000
_PREFIX: Final = "outbox-"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    path TEXT NOT NULL, body BLOB NOT NULL, spare BLOB
)
"""


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
        return len(self.body) + len(self.spare or b"") + len(self.id.encode()) + OVERHEAD

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


class Shelf:
    """One SQLite file, or a place in memory. One thread at a time; raises sqlite3.Error."""

    def __init__(self, path: Path | None, lock: int = -1) -> None:
        self.path = path
        self._lock = lock
        self._base = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            for told in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._base.execute(f"PRAGMA {told}")
            self._base.execute(_SCHEMA)
        except sqlite3.Error:
            self._base.close()  # else it may keep its lock for as long as somebody looks at the error
            raise

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
        return int(count), int(size) + OVERHEAD * int(count)

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
            remove_file(self.path)
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)

    def abandon(self) -> None:
        """Forget it in a forked child: file and lock are the parent's."""
        keep_forever(self._base)
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)


def left_behind(folder: Path) -> list[Path]:
    """Return the files of outboxes in a folder, of processes that run and of those that are gone."""
    return files_of(folder, _PREFIX)


def adopt(folder: Path, mine: Shelf) -> None:
    """Take over what lies in files that nobody holds any more. Killed in between, it is told twice under one id."""
    for path, lock in abandoned(folder, _PREFIX, mine.path):
        try:
            other = Shelf(path, lock)
            after = 0
            while found := other.first(_AT_ONCE, after):
                mine.put([one.entry for one in found])
                after = found[-1].n
            other.clear()
            other.close()
        except sqlite3.Error as error:
            set_aside(path, lock, error)


def fresh(folder: Path) -> Shelf:
    """Return an empty file of this process's own."""
    return Shelf(*fresh_file(folder, _PREFIX))
