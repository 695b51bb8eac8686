"""Customers loaded before they are asked about, in the running loop: one request each, however many tasks ask."""

import asyncio
from time import monotonic

from licet.sdk.book import Book
from licet.sdk.causes import Cause
from licet.sdk.errors import NotHeld, NoTruth
from licet.sdk.flow import PICK_MOST, pick_request, taken
from licet.sdk.loading import TRIES, note
from licet.sdk.pacing import Pace
from licet.sdk.place import Place


class AsyncLoading:
    """Loads customers for the tasks that wait for them."""

    def __init__(self, book: Book, pace: Pace, place: Place, seconds: float) -> None:
        self._book = book
        self._pace = pace
        self._place = place
        self._seconds = seconds
        self._flights: dict[str, asyncio.Task[NoTruth | None]] = {}

    async def load(self, customer: str) -> None:
        """Hold this customer from now on; raises a NoTruth that says why it cannot be.

        ``customer`` was read by ``ids.read_id``.
        """
        flight = self._flights.get(customer)
        if flight is None:
            flight = self._flights[customer] = asyncio.create_task(self._fly(customer))
            flight.add_done_callback(lambda _: self._flights.pop(customer, None))
        # Whoever gives up waiting ends it for nobody else.
        error = await asyncio.shield(flight)
        if error is not None:
            raise error.fresh()

    async def _fly(self, customer: str) -> NoTruth | None:
        if self._book.truth.known(customer):
            return None
        if self._pace.open(monotonic()):
            return NotHeld(f"{customer!r} is not held, and {self._place.url} could not be reached a moment ago")
        from licet.sdk.async_transport import AsyncTransport

        transport = AsyncTransport(self._place)
        cause: Cause | None = None
        try:
            for _ in range(TRIES):
                cursor = self._book.expect(customer)
                outcome = await transport.ask(pick_request(customer, cursor, self._seconds), PICK_MOST)
                cause = taken(self._book, customer, outcome, self._place.url)
                if cause is None or not cause.again:
                    break
        except NotHeld as wrong:
            return wrong
        finally:
            self._book.truth.unexpect(customer)
        if cause is None:
            return None
        note(cause, self._pace)
        return cause.error
