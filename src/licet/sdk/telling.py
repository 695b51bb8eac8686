"""The reports of one client: what is put is kept, and told by a thread of its own that begins with the first of it."""

import logging
import threading
from pathlib import Path
from time import monotonic
from typing import Final

from licet.sdk import folder as places
from licet.sdk.driver import Driver
from licet.sdk.errors import BufferFull, Closed
from licet.sdk.options import Options, new_pace
from licet.sdk.outbox import Outbox
from licet.sdk.reporting import Reporting
from licet.sdk.shelf import Entry
from licet.sdk.standing import outbox_place
from licet.sdk.usage import Reports

_TO_STOP: Final = 2.0
_log = logging.getLogger("licet.sdk")


class Telling:
    """Keeps and tells. Any thread may use it; both clients do, since a disk is waited for in threads only."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._outbox = Outbox(_folder(options), most=options.report_most)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._driver: Driver | None = None
        self._reporting: Reporting | None = None
        self._closed = False

    def put(self, entry: Entry, *, must: bool = False) -> bool:
        """Keep an entry, on the disk where there is one; returns whether it was kept.

        Raises BufferFull where as much waits as may or the disk takes no more, unless drops are only counted; Invalid
        where something else of its id waits. ``must``: never dropped, and kept in memory where the disk takes no more.
        """
        if self._closed:
            raise Closed
        try:
            first = self._outbox.put(entry, must=must)
        except BufferFull:
            if must or self._options.report_full == "error":
                raise
            self._outbox.dropped += 1
            return False
        driver = self._driver or self._start()
        if first:
            driver.wake()
        return True

    def resume(self) -> None:
        """Tell what processes that are gone left behind, if anything."""
        self._outbox.open()
        if self._outbox.waiting[0]:
            self._start()

    def flush(self, seconds: float) -> bool:
        """Tell everything that was put by now; returns whether the server has it, or will never take it, in time."""
        marks = self._outbox.marks()
        if self._outbox.passed(marks):
            return True
        driver, reporting = self._driver or self._start(), self._reporting
        if reporting is not None:
            reporting.urge()
        driver.wake()
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._outbox.passed(marks), seconds) and (
                not self._closed
            )

    def state(self) -> Reports:
        """Return how it stands."""
        count, size = self._outbox.waiting
        reporting = self._reporting
        return Reports(
            waiting=count,
            bytes=size,
            durable=self._outbox.durable,
            dropped=self._outbox.dropped,
            refused=self._outbox.refused,
            last_error=None if reporting is None else reporting.trouble,
        )

    def close(self, seconds: float) -> None:
        """Tell what there is for some seconds, then let go of the disk; what lies on it the next process tells."""
        with self._lock:
            if self._closed:
                return
            driver, reporting = self._driver, self._reporting
        if driver is not None and reporting is not None:
            reporting.finish()
            driver.wake()
            driver.join(seconds)
            driver.stop(_TO_STOP)
        with self._lock:
            self._closed = True
        lost = self._outbox.close()
        if lost:
            _log.warning("%s reports were not told and end with this process: they were in memory only", lost)
        self._tell()

    def before_fork(self, seconds: float) -> None:
        """Let nobody be inside the outbox while the process forks."""
        self._outbox.before_fork(seconds)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._outbox.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Begin anew: what waits is the parent's to tell."""
        self._outbox.after_fork_in_child()
        self._begin()

    def _start(self) -> Driver:
        from licet.sdk.transport import Transport

        options = self._options
        with self._lock:
            if self._driver is None:
                self._reporting = Reporting(
                    self._outbox,
                    new_pace(),
                    monotonic,
                    url=options.place.url,
                    seconds=options.timeout,
                    tempo=options.tempo,
                )
                side = Transport(options.place)
                self._driver = Driver(
                    self._reporting.run, side, side, "licet-report", lock=threading.Lock(), after=self._tell
                )
                self._driver.start()
            return self._driver

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _folder(options: Options) -> Path | None:
    """The folder of the outboxes of a server's workspace; None where there is to be none, or can be none."""
    if options.cache is False:
        return None
    try:
        return places.own_folder(*outbox_place(options))
    except OSError as error:
        _log.warning("reports are kept in memory only, and end with this process: %s", error)
        return None
