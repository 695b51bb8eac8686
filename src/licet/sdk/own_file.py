"""Files that one process writes and a lock holds for it; what one that is gone left is free for whoever comes first.

Every file has a lock beside it, of its name but for its end. Everything raises OSError.
"""

import ctypes
import logging
import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from licet.sdk import folder as places

_log = logging.getLogger("licet.sdk.outbox")
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Why a file cannot be read now, though nothing is wrong with what is in it."""


def files_of(folder: Path, prefix: str) -> list[Path]:
    """Return the databases of a kind in a folder, of processes that run and of those that are gone."""
    return sorted(folder.glob(f"{prefix}*.db"))


def fresh_file(folder: Path, prefix: str) -> tuple[Path, int]:
    """Return an empty file of this process's own, and the descriptor of its lock."""
    for _ in range(10):
        path = folder / f"{prefix}{secrets.token_hex(8)}.db"
        # The file first: a lock without one is swept up by nobody, a file without one is free to be taken over.
        os.close(places.open_own(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, secret=True))
        lock = _held(path.with_suffix(".lock"))
        if lock >= 0 and path.exists():
            places.sync_folder(folder)
            return path, lock
        if lock >= 0:
            os.close(lock)
    raise places.Refused(f"no file could be made in {folder}")


def abandoned(folder: Path, prefix: str, mine: Path | None) -> Iterator[tuple[Path, int]]:
    """Yield the files that nobody holds any more, each with its lock, which is held from then on."""
    for path in files_of(folder, prefix):
        lock = -1 if path == mine else _held(path.with_suffix(".lock"))
        if lock >= 0:
            yield path, lock


def remove_file(path: Path) -> None:
    """Remove a database with everything that lies beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.stem}.lock"):
        with suppress(OSError):
            (path.parent / name).unlink()


def keep_forever(base: object) -> None:
    """Keep a database of the parent in a forked child, which must neither use nor close it.

    Not even at its end: SQLite would take the lock for its own, and remove the log into which the parent goes on
    writing. An object with one reference too many is not freed by an interpreter that ends.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(base))


def set_aside(path: Path, lock: int, error: sqlite3.Error) -> None:
    """Put a file that cannot be read where nobody looks for it, and say so; one that only cannot be now stays."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
        _log.warning("%s cannot be read now (%s); whoever comes later takes it over", path, error)
    else:
        _log.warning("%s cannot be read (%s); it is set aside as %s.damaged", path, error, path.name)
        with suppress(OSError):
            path.rename(path.with_name(path.name + ".damaged"))
    with suppress(OSError):
        os.close(lock)


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
