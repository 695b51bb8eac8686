"""Files that only their owner may read (mode 0600): whole or not there, whoever else writes them at the same moment."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` by a rename, durably: a reader sees the old or the new, never a part."""
    fresh = _write_beside(path, content)
    try:
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_private(path: Path, content: bytes, *, link: Callable[[Path, Path], None] = os.link) -> None:
    """Put ``content`` at ``path``, durably, where nothing is yet; raises FileExistsError: of several at once one wins.

    ``link`` gives a file a second name, which some file systems cannot.
    """
    fresh = _write_beside(path, content)
    try:
        _appear(fresh, path, link)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Let the names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_beside(path: Path, content: bytes) -> Path:
    """Return a new file beside ``path`` that holds ``content``; its name is nobody else's, not even a thread's."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    return fresh


def _appear(fresh: Path, path: Path, link: Callable[[Path, Path], None]) -> None:
    """Give a whole file its name, which must be free."""
    try:
        link(fresh, path)
    except FileExistsError:
        raise
    except OSError:
        # Sticks have file systems without hard links. Claiming the name first keeps another's file from being lost.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        fresh.replace(path)
