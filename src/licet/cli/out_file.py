"""Writes the files that commands are told to write: whole or not at all, and never over what is no file.

A regular file gets a new content at once: it is written beside it, brought to the disk, and takes its name. So is the
file that a symbolic link leads to; the link stays. Pipes and terminals are written through, anything else is refused.
"""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from licet.cli.failure import Failure
from licet.cli.output import Output

_STDOUT: Final = 1
_STREAMS: Final = (Path("/dev/fd"), Path("/proc/self/fd"))
_LINKS: Final = 40
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_PLACE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class OutFile:
    """A file that is being written; what goes wrong with it is told as a Failure that names it."""

    def __init__(self, to: Path, file: IO[bytes]) -> None:
        self._to = to
        self._file = file

    def write(self, content: bytes | str) -> None:
        """Append bytes, or a text as UTF-8; raises Failure."""
        with _told(self._to):
            self._file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def out_file(to: Path, *, private: bool = False) -> Iterator[OutFile]:
    """Open what ``--out`` names (``-`` is standard output) before the work is done that fills it; raises Failure.

    A regular file bears its name only once the block has ended well, and keeps its mode; a ``private`` one can be read
    by its user alone. Nothing of it remains where the block raises.
    """
    with _told(to):
        stream = _stream(to)
    found = None if stream is not None else _look(to)
    if stream is not None or (found is not None and (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode))):
        with _through(to, stream) as file:
            yield file
    elif found is None or stat.S_ISREG(found.st_mode):
        with _beside(to, found, private=private) as file:
            yield file
    elif stat.S_ISDIR(found.st_mode):
        raise Failure(f"cannot write {to}: it is a folder", advice="name a file in it", code="file")
    else:
        kind = "a socket" if stat.S_ISSOCK(found.st_mode) else "a disk"
        raise Failure(
            f"cannot write {to}: it is {kind}, not a file",
            advice="name a file, a pipe, or - for standard output",
            code="file",
        )


def write_out(to: Path, content: bytes | str) -> None:
    """Write one whole content to what ``--out`` names; raises Failure, and leaves what was there then."""
    with out_file(to) as file:
        file.write(content)


def words_beside(to: Path, as_json: bool) -> Output:
    """Return where a command that writes ``to`` prints: on standard error where the file is standard output itself."""
    with suppress(OSError):
        if _stream(to) == _STDOUT or os.path.samestat(to.stat(), os.fstat(_STDOUT)):
            return Output(as_json=as_json, stream=sys.stderr)
    return Output(as_json=as_json)


@contextmanager
def _beside(to: Path, found: os.stat_result | None, *, private: bool) -> Iterator[OutFile]:
    """Write a temporary file in the same folder, which takes the name at the end."""
    final = Path(os.path.realpath(to))
    part = final.with_name(f".licet-{secrets.token_hex(6)}.part")
    with _told(to):
        # A new file is as open as the user's mask says; one that replaces another gets that one's mode below.
        mode = 0o666 if found is None and not private else 0o600
        place = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with _closing(place) as file:
            if found is not None and not private:
                with suppress(OSError):
                    os.fchown(place, found.st_uid, found.st_gid)
                with _told(to):
                    os.fchmod(place, stat.S_IMODE(found.st_mode) & 0o777)
            yield OutFile(to, file)
            with _told(to):
                file.flush()
                os.fsync(place)
        with _told(to):
            part.replace(final)
            _sync(final.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextmanager
def _through(to: Path, stream: int | None) -> Iterator[OutFile]:
    """Write to what is open already, or read on the other side."""
    with _told(to):
        # A copy of the descriptor goes on where it stands; opened anew, a file behind it would be written over.
        place = os.open(to, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY) if stream is None else os.dup(stream)
    with _closing(place) as file:
        yield OutFile(to, file)
        with _told(to):
            file.flush()


@contextmanager
def _closing(place: int) -> Iterator[IO[bytes]]:
    file = os.fdopen(place, "wb")
    try:
        yield file
    finally:
        # What could not be written is tried again when it is closed, and has been told already.
        with suppress(OSError):
            file.close()


def _look(to: Path) -> os.stat_result | None:
    """Return what is there; None for nothing, also at the end of a link."""
    with _told(to):
        try:
            return to.stat()
        except FileNotFoundError:
            return None


def _stream(to: Path) -> int | None:
    """Return the descriptor of this process that a name means, such as ``/dev/stdout``; None where it means a file."""
    if str(to) == "-":
        return _STDOUT
    hop = to.absolute()
    for _ in range(_LINKS):
        if hop.parent in _STREAMS and hop.name.isdecimal():
            return int(hop.name)
        if not hop.is_symlink():
            return None
        hop = hop.parent / hop.readlink()
    return None


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk, where folders can be."""
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


@contextmanager
def _told(to: Path) -> Iterator[None]:
    """Tell an error of the operating system in words, with what can be done about it."""
    try:
        yield
    except OSError as error:
        raise Failure(f"cannot write {to}: {_reason(error, to)}", advice=_advice(error), code="file") from None


def _reason(error: OSError, to: Path) -> str:
    if error.errno in _NO_PLACE:
        folder = Path(os.path.realpath(to)).parent
        return f"{folder} is no folder" if folder.exists() else f"there is no folder {folder}"
    if error.errno == errno.EFBIG:
        return "a file may not grow so large here"
    if error.errno == errno.EPIPE:
        return "nobody reads it any more"
    return (error.strerror or str(error)).lower()


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "make room, or name a file on another disk"
    if error.errno in _FORBIDDEN:
        return "name a file in a folder where you may write"
    if error.errno in _NO_PLACE:
        return "make the folder, or name a file in one that exists"
    return "name another file"
