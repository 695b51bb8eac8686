"""Cache folders that nobody writes any more: those of the same server, such as of earlier API keys, are removed.

Each folder names its server in a file. Only a folder that names the same one, was not written for 60 days, and has no
writer now is removed, and of it only what a cache puts there.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from licet.sdk import folder as places

SERVER_NAME: Final = "server"
"""The file that says whose server the folder is of: a hash of its address."""
UNUSED_SECONDS: Final = 60 * 86_400
"""Twice as long as a truth may be used without its server."""
_OURS: Final = (
    *(name + new for name in (places.TRUTH_NAME, places.FLOORS_NAME) for new in ("", places.NEW)),
    SERVER_NAME,
    places.LOCK_NAME,
)


def tidy(folder: Path, url: str, now: float) -> None:
    """Say whose server a folder is of, and remove those of the same one that are not used; ``now`` in Unix seconds.

    For whoever holds the folder's lock. What does not work is left for the next time.
    """
    server = places.name_of(url).encode()
    with suppress(OSError):
        if _server_of(folder) != server:
            places.write_whole(folder / SERVER_NAME, server)
        for other in folder.parent.iterdir():
            if other != folder and other.is_dir() and not other.is_symlink() and _server_of(other) == server:
                _remove(other, now)


def _server_of(folder: Path) -> bytes | None:
    try:
        return places.read_own(folder / SERVER_NAME, 64)
    except OSError:
        return None


def _remove(folder: Path, now: float) -> None:
    """Remove a folder that is not used, while nobody else can write it."""
    import fcntl

    with suppress(OSError):
        lock = places.open_own(folder / places.LOCK_NAME, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if max(path.lstat().st_mtime for path in folder.iterdir()) > now - UNUSED_SECONDS:
                return
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        finally:
            os.close(lock)
