"""The quota that one client owns: opened at its first local decision, called for by a thread, given back at the end."""

import logging
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from licet.sdk import folder as places
from licet.sdk.driver import Driver
from licet.sdk.errors import Closed
from licet.sdk.leasing import Leasing
from licet.sdk.options import Options, new_pace
from licet.sdk.owning import Owning
from licet.sdk.quota import Quota
from licet.sdk.quota_journal import QuotaJournal
from licet.sdk.standing import outbox_place
from licet.sdk.usage import Usage

if TYPE_CHECKING:
    from licet.sdk.book import Book

_TO_STOP: Final = 2.0
_log = logging.getLogger("licet.sdk")


class OwnQuota:
    """What one process owns, with its journal and the thread that calls. Both clients use a thread, as for reports.

    ``waits``: whoever spends may wait for a disk; else only whoever opens, takes or settles, in a thread of its own.
    """

    def __init__(self, options: Options, book: "Book", *, waits: bool) -> None:
        self._options = options
        self._book = book
        self._waits = waits
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._owning: Owning | None = None
        self._journal: QuotaJournal | None = None
        self._driver: Driver | None = None
        self._leasing: Leasing | None = None
        self._closed = False
        self.said = False
        """Whether it was told that the disk takes nothing."""

    def quick(self, customer: str, feature: str, quantity: object) -> Usage | None:
        """Return a use that was taken here at once; None for whatever takes longer."""
        owning = self._owning
        return None if owning is None else owning.quick(customer, feature, quantity)

    def opened(self) -> Owning:
        """Return what is owned; the first time it takes over what processes that are gone left, and begins to call.

        Waits for a disk.
        """
        owning = self._owning
        if owning is not None:
            return owning
        from random import SystemRandom

        from licet.sdk.transport import Transport

        with self._lock:
            if self._closed:
                raise Closed
            if self._owning is None:
                options = self._options
                self._journal = _journal(options, self._book.audience)
                owning = Owning(
                    self._book,
                    self._journal,
                    SystemRandom(),
                    idle=options.quota_idle * options.tempo,
                    waits=self._waits,
                    wake=self._wake,
                )
                self._leasing = Leasing(
                    owning,
                    new_pace(),
                    monotonic,
                    url=options.place.url,
                    seconds=options.timeout,
                    tempo=options.tempo,
                )
                side = Transport(options.place)
                self._driver = Driver(
                    self._leasing.run, side, side, "licet-quota", lock=threading.Lock(), after=_nothing
                )
                self._owning = owning
                self._driver.start()
            return self._owning

    def say(self, error: OSError) -> None:
        """Tell the log, once, that the disk takes nothing."""
        if not self.said:
            self.said = True
            _log.warning("%s; the server decides every use until it can be written again", error)

    @property
    def is_open(self) -> bool:
        """Whether nothing has to be opened any more."""
        return self._owning is not None

    @property
    def state(self) -> Quota:
        """Return what was done so far."""
        owning = self._owning
        return Quota() if owning is None else owning.state

    def close(self, seconds: float) -> None:
        """Give everything back and tell it, for at most so many seconds; what a disk has the next process tells."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            owning, leasing, driver = self._owning, self._leasing, self._driver
        if owning is None or leasing is None or driver is None:
            return
        owning.close()
        leasing.finish()
        driver.wake()
        driver.join(seconds)
        stopped = driver.stop(_TO_STOP)
        settled = owning.is_settled
        if self._journal is not None and stopped:
            with owning.lock:
                self._journal.close()
        if not settled:
            after = "the next process in its folder tells it" if self._journal is not None else "it is charged in full"
            _log.warning("not all quota could be given back to %s: %s", self._options.place.url, after)

    def before_fork(self, seconds: float) -> None:
        """Let nobody be in the middle of spending, or inside SQLite, while the process forks."""
        self._lock.acquire(timeout=seconds)
        if self._owning is not None:
            self._owning.lock.acquire(timeout=seconds)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        for lock in (None if self._owning is None else self._owning.lock, self._lock):
            if lock is not None:
                with suppress(RuntimeError):  # waited for in vain, it is not this thread's
                    lock.release()

    def after_fork_in_child(self) -> None:
        """Own nothing: all of it is the parent's."""
        if self._journal is not None:
            self._journal.abandon()
        if self._owning is not None:
            self._owning.disown()
        self._begin()

    def _wake(self) -> None:
        driver = self._driver
        if driver is not None:
            driver.wake()


def _journal(options: Options, only: str | None) -> QuotaJournal | None:
    """The journal in the folder of a server's workspace; None where there is to be none, or can be none."""
    if options.cache is False:
        return None
    try:
        return QuotaJournal(places.own_folder(*outbox_place(options)), only)
    except OSError as error:
        _log.warning("quota is owned without a journal; what a crash leaves is charged in full: %s", error)
        return None


def _nothing() -> None:
    """Nobody waits for a call as such."""
