"""Reservations as blocks of a program: settled by what they came to, released where that is nothing, sync and async."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from licet.sdk.errors import LicetError, ReservationEnded
from licet.sdk.usage import Quantity, Settled, Usage, moment_of

if TYPE_CHECKING:
    from licet.sdk.decision import Decision

Also = Mapping[str, Quantity] | None
TO_RELEASE: Final = 2.0
"""Seconds for which the end of a block tries to release; beyond that the reservation ends by itself at its time."""


class Reserved:
    """What both kinds of reservation tell. Falsy where it was refused."""

    def __init__(self, usage: Usage) -> None:
        """``usage`` is what came of reserving."""
        self.usage = usage
        self.closed = False
        """Whether it was settled or released here."""

    def __bool__(self) -> bool:
        return self.usage.allowed

    def __repr__(self) -> str:
        word = "refused" if not self else "closed" if self.closed else f"of {self.usage.taken}"
        return f"<{type(self).__name__} {word}: {self.usage.feature!r} for {self.usage.customer!r}>"

    @property
    def id(self) -> str:
        """``res_…``: what another process settles it by (``client.settle``). Empty where it was refused or assumed."""
        return self.usage.id or ""

    @property
    def expires_at(self) -> datetime | None:
        """From then on all of it has gone back, exclusive."""
        return moment_of(self.usage.answer.expires_at)

    @property
    def decision(self) -> "Decision | None":
        """The decision on what refuses; None where it was allowed."""
        return self.usage.decision

    def begin_closing(self) -> None:
        """Refuse to close what was refused, or closed here before."""
        self.usage.require()
        if self.closed:
            raise ReservationEnded(f"{self!r} was settled or released in this block already", "reservation_closed")

    def must_release(self) -> bool:
        """Whether the end of the block has to release it."""
        return bool(self) and not self.closed


class Reservation(Reserved):
    """A quantity set aside. As a block, it is released at the end unless it was settled in it."""

    def __init__(
        self,
        usage: Usage,
        settle: Callable[[Usage, Quantity, Also], Settled],
        release: Callable[[Usage, float | None], Settled],
    ) -> None:
        super().__init__(usage)
        self._settle = settle
        self._release = release

    def settle(self, used: Quantity, *, also: Also = None) -> Settled:
        """End it with what it came to, of its feature and of the others (``also``); those not named as reserved.

        More than was reserved is taken now. Where the server cannot be reached that is kept and told later. Raises
        ReservationEnded where it was closed in another way, or is over; a call that failed may be made again.
        """
        self.begin_closing()
        settled = self._settle(self.usage, used, also)
        self.closed = True
        return settled

    def release(self) -> Settled:
        """End it with nothing used: all of it goes back."""
        self.begin_closing()
        settled = self._release(self.usage, None)
        self.closed = True
        return settled

    def __enter__(self) -> Self:
        self.usage.require()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.must_release():
            self.closed = True
            try:
                self._release(self.usage, TO_RELEASE)
            except LicetError as wrong:
                say_unreleased(self, wrong)


class AsyncReservation(Reserved):
    """As :class:`Reservation`, in the running loop."""

    def __init__(
        self,
        usage: Usage,
        settle: Callable[[Usage, Quantity, Also], Awaitable[Settled]],
        release: Callable[[Usage, float | None], Awaitable[Settled]],
    ) -> None:
        super().__init__(usage)
        self._settle = settle
        self._release = release

    async def settle(self, used: Quantity, *, also: Also = None) -> Settled:
        """End it with what it came to, as ``Reservation.settle`` does."""
        self.begin_closing()
        settled = await self._settle(self.usage, used, also)
        self.closed = True
        return settled

    async def release(self) -> Settled:
        """End it with nothing used: all of it goes back."""
        self.begin_closing()
        settled = await self._release(self.usage, None)
        self.closed = True
        return settled

    async def __aenter__(self) -> Self:
        self.usage.require()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.must_release():
            self.closed = True
            try:
                await self._release(self.usage, TO_RELEASE)
            except LicetError as wrong:
                say_unreleased(self, wrong)


class Reserving:
    """``client.reserve(…)`` of an AsyncClient: awaited it is the reservation, with ``async with`` its block."""

    def __init__(self, reserve: Callable[[], Awaitable[AsyncReservation]]) -> None:
        """``reserve`` is called once, when it is awaited or entered."""
        self._reserve = reserve
        self._reservation: AsyncReservation | None = None

    def __await__(self) -> Generator[object, None, AsyncReservation]:
        return self._made().__await__()

    async def __aenter__(self) -> AsyncReservation:
        self._reservation = await self._made()
        return self._reservation

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reservation is not None:
            await self._reservation.__aexit__(kind, value, trace)

    async def _made(self) -> AsyncReservation:
        return await self._reserve()


def say_unreleased(one: Reserved, wrong: LicetError) -> None:
    """Tell the log of a reservation that nobody released; what went wrong in the block is told as it is."""
    import logging

    words = f"it ends by itself at {one.usage.answer.expires_at}"
    logging.getLogger("licet.sdk").warning("%s was not released, %s: %s", one.id or repr(one), words, wrong)
