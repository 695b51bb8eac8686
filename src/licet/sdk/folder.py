"""The folder of a cache: only its owner's, with a random key beside what the key protects. Everything raises OSError.

A folder or file that somebody else owns, or that others may write, is refused: who could put files there could replace
what this process believes. So are links in the place of files, and a key that others may read.
"""

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from licet.sdk.journal import KEY_BYTES

KEY_NAME: Final = "key"
TRUTH_NAME: Final = "truth"
FLOORS_NAME: Final = "floors"
LOCK_NAME: Final = "lock"
NEW: Final = ".new"
"""What a file is called until it takes the place of the one before."""
OTHER: Final = "name another folder with cache="
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH


class Refused(OSError):
    """A folder or file is there that this process must not trust."""


def default_folder() -> Path:
    """Return where caches lie unless somebody says otherwise; raises Refused where there is no home directory."""
    try:
        return Path.home() / ".cache" / "licet"
    except RuntimeError:
        raise Refused("no home directory is known for this user; name a folder with cache=") from None


def own_folder(base: Path, name: str) -> Path:
    """Return the folder of one cache below ``base``, both made where they are not there, both only this user's."""
    base = base.expanduser().resolve()
    for folder in (base, base / name):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Refused(f"{folder} is no folder; {OTHER}, or move away what is in its place") from None
        except OSError as error:
            words = f"{folder} cannot be made ({error.strerror})"
            raise Refused(f"{words}: make it for user {os.geteuid()} with mode 0700, or {OTHER}") from None
        _check(folder, folder.lstat(), directory=True)
    return base / name


def key_of(path: Path) -> bytes:
    """Return the key in a file, which is made with a random one where it is not there or not whole."""
    for _ in range(2):
        with suppress(FileNotFoundError):
            found = read_own(path, KEY_BYTES + 1, secret=True)
            if len(found) == KEY_BYTES:
                return found
            path.unlink(missing_ok=True)  # cut short by a crash: nothing opens with it
        _make_key(path)
    return read_own(path, KEY_BYTES, secret=True)


def _make_key(path: Path) -> None:
    """Put a random key where none is, whole or not at all; the key of whoever was quicker stays."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    write_whole(fresh, secrets.token_bytes(KEY_BYTES))
    try:
        with suppress(FileExistsError):
            os.link(fresh, path)
    except OSError:  # a file system without hard links
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_own(path: Path, most: int, *, secret: bool = False) -> bytes:
    """Return at most ``most`` bytes of a file that is this user's own; ``secret``: that nobody else may read."""
    fd = open_own(path, os.O_RDONLY, secret=secret)
    with os.fdopen(fd, "rb") as file:
        return file.read(most)


def open_own(path: Path, flags: int, *, secret: bool = False) -> int:
    """Open a file of this user's own (mode 0600 where it is made); raises Refused for any other."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _check(path, os.fstat(fd), directory=False, secret=secret)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and return once it is on the disk."""
    fd = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, secret=True)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def replace(path: Path) -> None:
    """Let the new file take the place of the old one, at once and for good; its content must be on the disk."""
    path.with_name(path.name + NEW).replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def name_of(*facts: str) -> str:
    """Return the name of the folder that belongs to some facts."""
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _check(path: Path, found: os.stat_result, *, directory: bool, secret: bool = False) -> None:
    if stat.S_ISDIR(found.st_mode) != directory or not (directory or stat.S_ISREG(found.st_mode)):
        raise Refused(f"{path} is no {'folder' if directory else 'file'}")
    if found.st_uid != os.geteuid():
        words = f"{path} belongs to user {found.st_uid}, this process runs as user {os.geteuid()}"
        raise Refused(f"{words}: give it to that user with chown, or {OTHER}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS_WRITE:
        raise Refused(f"{path} has mode {mode:04o}: others may write it; take that from them with chmod go-w")
    if secret and mode & _OTHERS_READ:
        raise Refused(f"{path} has mode {mode:04o}: others may read it; make it 0600, and delete what lies beside it")
