"""What `licet doctor` says about a home, and how `make clean` removes one."""

import contextlib
import os
import shutil
from pathlib import Path

import msgspec

from licet.store.bundled.endpoint import Endpoint, read_endpoint
from licet.store.bundled.errors import BundledError
from licet.store.bundled.home import MARKER, Home, Lock, held_token
from licet.store.bundled.pidfile import clear_pid_file


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A home at a glance: its path, whether it exists and is in use, its data's version, size and owner's user id."""

    home: Path
    exists: bool
    running: bool
    data_major: int | None
    bytes_used: int
    owner_uid: int | None
    log: Path
    endpoint: Endpoint | None


def describe(home: Path) -> Description:
    """Look at `home` without changing anything, starting anything or waiting."""
    place = Home(home)
    shared = read_endpoint(place.endpoint) if place.path.is_dir() else None
    running = shared is not None and shared.token == held_token(place.lock) and shared.answers()
    return Description(
        home=place.path,
        exists=(place.path / MARKER).exists(),
        running=running,
        data_major=place.data_major(),
        bytes_used=_size(place.path),
        owner_uid=place.data.stat().st_uid if place.data.exists() else None,
        log=place.log,
        endpoint=shared if running else None,
    )


def remove(home: Path) -> bool:
    """Delete `home` with all data; False when there is none. Refuses while in use, and any folder not made by us."""
    place = Home(home)
    if not place.path.exists():
        return False
    if not (place.path / MARKER).exists():
        raise BundledError(f"{place.path} is not a home of Licet's (no file `{MARKER}` in it): nothing was removed")
    lock = Lock.take(place.lock)
    if lock is None:
        raise BundledError(
            f"{place.path} is in use: stop the process that runs it (`licet up`, `licet demo`) and repeat"
        )
    try:
        if place.data.exists():
            clear_pid_file(place.data)
        place.drop_socket_directory()
        shutil.rmtree(place.path)
    finally:
        lock.release()
    return True


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).lstat().st_size
    return total
