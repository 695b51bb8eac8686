"""What may be spent of owned quota, on a disk before it is: one SQLite file for each process, held by a lock.

What a process that is gone left there is taken over by the next one in the same folder, and told. A commit is one
forced write; it happens once for an eighth of a slice. Bounded by the slices that are open or not yet told.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from licet.evaluator.slices import Kept
from licet.sdk.own_file import abandoned, files_of, fresh_file, keep_forever, remove_file, set_aside

PREFIX: Final = "quota-"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS lease (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, feature TEXT NOT NULL, spent INTEGER NOT NULL, burned INTEGER NOT NULL,
    epoch INTEGER NOT NULL
) WITHOUT ROWID
"""
_WRITE: Final = """
INSERT INTO lease (id, customer, feature, spent, burned, epoch) VALUES (?,?,?,?,?,?)
ON CONFLICT (id) DO UPDATE SET spent = excluded.spent, burned = excluded.burned, epoch = excluded.epoch
"""


class Busy(OSError):
    """It would have to wait for the disk, and whoever asks must not."""


class QuotaJournal:
    """The journal of one process. One thread at a time; everything raises OSError where the disk does not take it."""

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """``folder`` is this user's own, see ``folder.own_folder``; takes over what lies there and nobody holds.

        ``only``: the customer that the client's key is bound to; it may not speak of others, and leaves their files.
        """
        self.path, self._lock = fresh_file(folder, PREFIX)
        self.patient = True
        """Whether who writes may wait; else ``write`` raises Busy."""
        try:
            self._base = _opened(self.path)
            for path, lock in abandoned(folder, PREFIX, self.path):
                self._take_over(path, lock, only)
        except sqlite3.Error as error:
            self._let_go()
            raise OSError(f"{self.path} cannot be written ({error})") from error
        except OSError:
            self._let_go()
            raise

    def write(self, kept: Kept) -> None:
        """Write what is from now on to be said of a lease; it is on the disk when this returns."""
        if not self.patient:
            raise Busy
        self._do(_WRITE, [(kept.id, kept.customer, kept.feature, kept.spent, kept.burned, kept.epoch)])

    def forget(self, leases: Sequence[str]) -> None:
        """Drop what has been settled."""
        self._do("DELETE FROM lease WHERE id = ?", [(one,) for one in leases])

    def left(self) -> Sequence[Kept]:
        """Return what is written: right after it was made, what those before this process left behind."""
        try:
            return _rows(self._base)
        except sqlite3.Error as error:
            raise OSError(f"{self.path} cannot be read ({error})") from error

    def close(self) -> None:
        """Let go of the file; one in which nothing is left to be told is removed."""
        empty = False
        with suppress(sqlite3.Error):
            empty = not _rows(self._base)
        with suppress(sqlite3.Error):
            self._base.close()
        if empty:
            remove_file(self.path)
        self._let_go()

    def abandon(self) -> None:
        """Forget it in a forked child: file and lock are the parent's."""
        keep_forever(self._base)
        self._let_go()

    def _take_over(self, path: Path, lock: int, only: str | None) -> None:
        """Killed in between, it is told twice, by two processes that say the same."""
        try:
            with closing(_opened(path)) as other:
                found = _rows(other)
        except sqlite3.Error as error:
            set_aside(path, lock, error)
            return
        try:
            mine = only is None or all(kept.customer == only for kept in found)
            for kept in found if mine else ():
                self.write(kept)
            if mine:
                remove_file(path)
        finally:
            os.close(lock)

    def _do(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            if len(rows) == 1:
                self._base.execute(statement, rows[0])
                return
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany(statement, rows)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise OSError(f"{self.path} cannot be written ({error})") from error

    def _let_go(self) -> None:
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)
        self._lock = -1


def has_journals(folder: Path) -> bool:
    """Whether journals lie in a folder: of processes that run, or of those that are gone."""
    return bool(files_of(folder, PREFIX))


def _opened(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for told in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            base.execute(f"PRAGMA {told}")
        base.execute(_SCHEMA)
    except sqlite3.Error:
        base.close()  # else it may keep its lock for as long as somebody looks at the error
        raise
    return base


def _rows(base: sqlite3.Connection) -> list[Kept]:
    rows = base.execute("SELECT id, customer, feature, spent, burned, epoch FROM lease")
    return [
        Kept(id=one, customer=who, feature=what, spent=spent, burned=many, epoch=epoch)
        for one, who, what, spent, many, epoch in rows
    ]
