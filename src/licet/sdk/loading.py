"""Customers loaded when they are first asked about: one request each, however many threads ask at once."""

import threading
from contextlib import AbstractContextManager
from time import monotonic
from typing import TYPE_CHECKING, Final

from licet.sdk.book import Book
from licet.sdk.causes import Cause
from licet.sdk.errors import NotHeld, NoTruth
from licet.sdk.flow import PICK_MOST, pick_request, taken
from licet.sdk.pacing import Pace
from licet.sdk.place import Place

if TYPE_CHECKING:
    from licet.sdk.transport import Transport

TRIES: Final = 5
"""How often it is asked again because the truth moved on between question and answer."""


class _Flight:
    """One customer's request, and those who wait for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: NoTruth | None = None


def note(cause: Cause, pace: Pace) -> None:
    """Leave a server that cannot be reached alone for a while; what it has against one customer concerns no other."""
    if cause.hopeless:
        pace.hopeless(monotonic())
    elif not cause.alone:
        pace.failed(monotonic(), cause.retry_after)


class Loading:
    """Loads customers for the threads that ask about them."""

    def __init__(
        self, book: Book, pace: Pace, place: Place, lock: AbstractContextManager[bool], seconds: float
    ) -> None:
        self._book = book
        self._pace = pace
        self._place = place
        self._truth_lock = lock
        self._seconds = seconds
        self._flights: dict[str, _Flight] = {}
        self._lock = threading.Lock()
        self._idle: list[Transport] = []

    def load(self, customer: str) -> None:
        """Hold this customer from now on, even if nobody knows it; raises a NoTruth that says why it cannot be.

        ``customer`` was read by ``ids.read_id``.
        """
        with self._lock:
            flight = self._flights.get(customer)
            mine = flight is None
            if flight is None:
                flight = self._flights[customer] = _Flight()
        if not mine:
            if not flight.done.wait(self._seconds * 2):
                raise NotHeld(f"{customer!r} could not be loaded in time")
        else:
            try:
                flight.error = self._fly(customer)
            finally:
                with self._lock:
                    del self._flights[customer]
                flight.done.set()
        if flight.error is not None:
            raise flight.error.fresh()

    def close(self) -> None:
        """Close connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.shut()

    def _fly(self, customer: str) -> NoTruth | None:
        if self._book.truth.known(customer):
            return None
        if self._pace.open(monotonic()):
            return NotHeld(f"{customer!r} is not held, and {self._place.url} could not be reached a moment ago")
        transport = self._taken()
        try:
            cause = self._asked(transport, customer)
        except NotHeld as wrong:
            cause = Cause(wrong, alone=True)
        except BaseException:
            transport.shut()
            raise
        finally:
            with self._truth_lock:
                self._book.truth.unexpect(customer)
        if cause is None:
            self._give_back(transport)
            return None
        if cause.alone:
            self._give_back(transport)
        else:
            transport.shut()
        note(cause, self._pace)
        return cause.error

    def _asked(self, transport: "Transport", customer: str) -> Cause | None:
        """Ask until there is an answer that can be taken; returns why there is none. Raises NotHeld before a truth."""
        cause: Cause | None = None
        for _ in range(TRIES):
            with self._truth_lock:
                cursor = self._book.expect(customer)
            outcome = transport.ask(pick_request(customer, cursor, self._seconds), PICK_MOST)
            with self._truth_lock:
                cause = taken(self._book, customer, outcome, self._place.url)
            if cause is None or not cause.again:
                break
        return cause

    def _taken(self) -> "Transport":
        from licet.sdk.transport import Transport

        with self._lock:
            return self._idle.pop() if self._idle else Transport(self._place)

    def _give_back(self, transport: "Transport") -> None:
        with self._lock:
            if len(self._idle) < 4:
                self._idle.append(transport)
                return
        transport.shut()
