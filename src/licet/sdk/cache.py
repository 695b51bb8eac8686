"""The encrypted cache on disk: what a client believed last. It starts from it, and answers while nobody is there.

A :class:`Cache` never raises. What cannot be read is discarded, what cannot be written is given up; a line in the log
(``licet.sdk.cache``) says so, once for each cause. How its file is made is told in ``journal.py``.

A set counts only when it is whole: ``begin``, ``put`` for each frame, ``commit`` with the head that covers them. One
process writes; others on the same folder read, and write once the writer is gone. A process that is killed loses
nothing that was committed; a machine that loses power may lose the last minute, never what came before.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from licet.sdk import folder as places
from licet.sdk import journal
from licet.sdk.cache_writer import KeptFloors, Site, Writer, chunks, look_at, read_floors
from licet.sdk.journal import Floors, JournalError, Looked, Mark, Rows, Seal
from licet.sdk.leftovers import tidy
from licet.wire.feed import Cursor, TermsRow, UserRow

__all__ = ["MOST_BYTES", "Cache", "Floors", "Identity", "JournalError", "Kept", "KeptTruth", "Mark", "Rows"]

MOST_BYTES: Final = 1024**3
"""Bytes of one cache's file. While it is made anew a second one lies beside it, so at most twice as many."""
RETRY_SECONDS: Final = 300.0
"""When it is tried again to write, after somebody else did or the disk would not."""
T = TypeVar("T")
_log = logging.getLogger("licet.sdk.cache")


class Identity(Struct, frozen=True, kw_only=True):
    """Whose truth a cache holds; two that differ never share a file."""

    url: str
    key: str
    """The id of the API key, not its secret."""
    holding: Literal["whole", "picked"] = "whole"
    """Every customer of the workspace, or those that were asked for."""


class KeptTruth:
    """The truth that a cache held, as of its mark. Rows are read from the disk when asked for."""

    def __init__(self, fd: int, seal: Seal, found: Looked) -> None:
        self.mark = found.mark
        self._fd = fd
        self._seal = seal
        self._end = found.end

    def rows(self) -> Iterator[Rows]:
        """Yield the rows in the order in which they count, some 256 KiB at a time.

        Raises JournalError or OSError where the file has changed under it: then nothing of it counts, and the client
        begins without.
        """
        with os.fdopen(os.dup(self._fd), "rb") as file:
            yield from journal.rows_of(file, self._seal, self._end)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


class Kept(Struct, frozen=True, kw_only=True):
    """What was found on disk. ``floors`` and ``root`` count even where no truth is left."""

    floors: Floors = Floors()
    root: str | None = None
    truth: KeptTruth | None = None


class Cache:
    """One client's cache below ``base`` (None: the user's own cache folder). Making it touches nothing.

    ``key_file`` is where the key lies, ``key`` in ``base`` if None. ``most_bytes`` bounds the file. ``clock`` gives
    seconds that never go back. For one thread at a time.
    """

    def __init__(
        self,
        base: Path | str | None,
        identity: Identity,
        *,
        key_file: Path | None = None,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base
        self._identity = identity
        self._key_file = key_file
        self._most = most_bytes
        self._clock = clock
        self._site: Site | None = None
        self._writer: Writer | None = None
        self._pid = os.getpid()
        self._floors = Floors()
        self._root: str | None = None
        self._again = float("-inf")
        self._said: set[str] = set()

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self._writer is not None and self._pid == os.getpid()

    @property
    def cursor(self) -> Cursor | None:
        """Where the file stands if this process writes it: a set must go on from there, or be full."""
        return None if self._writer is None or not self.writes else self._writer.stands

    @property
    def wants_full(self) -> bool:
        """Whether only a full set can be written: nothing is there yet, or what is there is not where we are."""
        return self.writes and self.cursor is None

    @property
    def folder(self) -> Path | None:
        """Where its files lie; None before it was opened, and where it cannot be."""
        return None if self._site is None else self._site.folder

    def open(self) -> Kept:
        """Return what was kept; becomes the writer if nobody else is. Makes the folder and the key if need be."""
        kept, found = KeptFloors(), None
        try:
            self._site = site = self._find_site()
            kept = self._read_floors(site)
            self._floors, self._root = kept.floors, kept.root
            self._try_to_write(site)
            found = self._read_truth(site)
        except Exception as error:  # noqa: BLE001 whatever is wrong with a cache, the client goes on
            self._give_up(error)
        if found is None:
            return Kept(floors=kept.floors, root=kept.root)
        self._floors, self._root = kept.floors.joined(found.mark.floors), found.mark.root
        return Kept(floors=self._floors, root=found.mark.root, truth=found)

    def begin(self, since: Cursor | None) -> bool:
        """Begin to write a set that goes on from ``since``; None for a full one. Returns whether it will be kept.

        Where it returns False, ``put`` and ``commit`` do nothing.
        """
        if not self._may_write():
            return False
        return self._tried(lambda writer: writer.begin(since)) or False

    def put(self, terms: Iterable[TermsRow], users: Iterable[UserRow] = (), dropped: Sequence[str] = ()) -> None:
        """Write rows of the set that was begun: first the customers of whom nothing is held any more, then these."""
        for rows in chunks(terms, users, tuple(dropped)):
            if self._writer is None or not self._writer.in_set:
                return
            self._tried(lambda writer, rows=rows: writer.put(rows))  # type: ignore[misc]

    def commit(self, mark: Mark) -> None:
        """End the set: from now on it is what a later start finds.

        Every mark names root, keyset and catalog, whether they changed or not. One of a set without rows is written
        within a minute, or with the next set that has some.
        """
        if self._writer is not None and self._writer.in_set and self.writes:
            known = self._floors if self._root in (None, mark.root) else Floors()
            self._floors, self._root = known.joined(mark.floors), mark.root
            self._tried(lambda writer: writer.commit(mark))

    def abort(self) -> None:
        """Forget the set that was begun, if any."""
        if self.writes:
            self._tried(lambda writer: writer.abort())

    def compact(self) -> None:
        """Make the file anew of what counts in it; it does so by itself when it has grown."""
        if self.writes:
            self._tried(lambda writer: writer.compact())

    def close(self) -> None:
        """Write what waits, force it to the disk, and let others write. May be opened again."""
        if self.writes:
            self._tried(lambda writer: writer.finish())
        self._let_go()

    def _find_site(self) -> Site:
        one = self._identity
        base = places.default_folder() if self._base is None else Path(self._base)
        folder = places.own_folder(base, places.name_of(one.url, one.key, one.holding))
        key = places.key_of(self._key_file or folder.parent / places.KEY_NAME)
        return Site(folder=folder, key=key, whose=msgspec.json.encode([one.url, one.key, one.holding]))

    def _read_floors(self, site: Site) -> KeptFloors:
        """Return what must not go back. Read before the truth, which is always as far or farther."""
        try:
            return read_floors(site)
        except FileNotFoundError:
            pass
        except JournalError as error:
            self._warn("floors", f"{site.floors} is discarded: {error}")
        return KeptFloors()

    def _read_truth(self, site: Site) -> KeptTruth | None:
        """Return the truth that was kept, if any; the writer will go on from there."""
        try:
            fd = places.open_own(site.truth, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            seal, found = look_at(site, fd, self._floors)
            self._go_on(seal, found)
        except JournalError as error:
            os.close(fd)
            self._warn("truth", f"{site.truth} is discarded: {error}. The truth is fetched again")
            return None
        except BaseException:
            os.close(fd)
            raise
        return KeptTruth(fd, seal, found)

    def _try_to_write(self, site: Site) -> None:
        """Become the writer where the disk lets anybody write: what cannot be written is read all the same."""
        try:
            self._become_writer(site)
        except places.Refused:
            raise
        except OSError as error:
            self._give_up(error)
        if self._writer is not None:
            tidy(site.folder, self._identity.url, time.time())

    def _go_on(self, seal: Seal, found: Looked) -> None:
        """Let the writer, if this is one, append to what was found."""
        if self._writer is None:
            return
        try:
            self._writer.go_on(seal, found)
        except places.Refused:
            raise
        except OSError as error:
            self._give_up(error)

    def _become_writer(self, site: Site) -> None:
        """Take the lock, if nobody has it."""
        if sys.platform == "win32":
            raise places.Refused("this system has no file locks")
        import fcntl

        fd = places.open_own(site.folder / places.LOCK_NAME, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise
            return
        self._writer = Writer(site, fd, KeptFloors(floors=self._floors, root=self._root), self._most, self._clock)

    def _may_write(self) -> bool:
        """Whether this process writes; every few minutes one that does not tries to become the writer."""
        if self._pid != os.getpid():  # a child: the lock is its parent's
            self._let_go()
            self._pid, self._again = os.getpid(), self._clock() + RETRY_SECONDS
        if self._writer is None and self._site is not None and self._clock() >= self._again:
            self._again = self._clock() + RETRY_SECONDS
            self._take_turn()
        return self.writes

    def _take_turn(self) -> None:
        """Become the writer where the one before is gone, and go on from where it was."""
        try:
            self._site = site = self._find_site()  # the folder may have been removed meanwhile
            self._become_writer(site)
            # Who picks customers has others than the one before: its file is not gone on with, but made anew.
            whole = self._identity.holding == "whole"
            found = self._read_truth(site) if self.writes and whole else None
            if found is not None:
                found.close()
        except OSError as error:
            self._give_up(error)

    def _tried(self, step: Callable[[Writer], T]) -> T | None:
        """Return what a step of the writer returns; None where the disk would not, which is said once."""
        if self._writer is None:
            return None
        try:
            return step(self._writer)
        except Exception as error:  # noqa: BLE001 whatever is wrong with a cache, the client goes on
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        """Go on without writing, for a while."""
        self._let_go()
        self._again = self._clock() + RETRY_SECONDS
        if self._site is None or isinstance(error, places.Refused):
            self._warn("files", f"the cache is not used: {error}. The client goes on without it")
        else:
            words = f"the cache in {self._site.folder} is not written: {error}"
            self._warn("files", f"{words}. The client goes on without writing; it tries again every few minutes")

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _warn(self, cause: str, words: str) -> None:
        if cause not in self._said:
            self._said.add(cause)
            _log.warning("%s", words)
