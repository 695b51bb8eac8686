"""``AsyncClient``: follows its server in the running loop and answers from this process."""

import asyncio
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from licet.sdk.asking import Asking
from licet.sdk.async_consuming import AsyncConsuming
from licet.sdk.async_driver import AsyncDriver
from licet.sdk.async_loading import AsyncLoading
from licet.sdk.decision import NOWHERE, Freshness
from licet.sdk.errors import Closed, NeverHeld, NoTruth, Unreachable
from licet.sdk.flow import Following
from licet.sdk.forks import forget_forks, watch_forks
from licet.sdk.ids import read_id
from licet.sdk.options import Assumption, Full, Options, new_pace, read_options
from licet.sdk.standing import closed_book, is_decided, is_ready, new_sending, new_tally, open_book, why_not

if TYPE_CHECKING:
    from licet.sdk.sending import Sending

_TORN: Final = "the event loop in which this client followed is gone; `await client.start()` follows in the running one"
_ELSEWHERE: Final = (
    "this client follows in an event loop of another thread, which runs; make a client for each loop, or close it there"
)
_TO_TELL: Final = 1.0
"""Seconds for which closing waits until the last counts are told."""


class AsyncClient(Asking, AsyncConsuming):
    """As :class:`licet.Client`, without threads. ``check`` is a plain function here too: it never waits."""

    _driver: AsyncDriver | None
    _sender: AsyncDriver | None

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        root: str | None = None,
        cache: str | Path | bool | None = None,
        customers: Collection[str] | None = None,
        on_demand: bool = False,
        most_customers: int = 10_000,
        unreachable: Mapping[str, Assumption] | None = None,
        default_unreachable: Assumption = "deny",
        follow: Literal["stream", "poll", "never"] = "stream",
        telemetry: bool = True,
        start_timeout: float = 5.0,
        timeout: float = 10.0,
        report_full: Full = "error",
        report_most: int = 100_000,
        local: bool = True,
        quota_idle: float = 5.0,
        close_timeout: float = 2.0,
    ) -> None:
        """Begin with what the cache kept; raises Misconfigured. Nothing is asked of the server before :meth:`start`."""
        options = read_options(
            url=url,
            key=key,
            root=root,
            cache=cache,
            customers=customers,
            on_demand=on_demand,
            most_customers=most_customers,
            unreachable=unreachable,
            default_unreachable=default_unreachable,
            follow=follow,
            telemetry=telemetry,
            start_timeout=start_timeout,
            timeout=timeout,
            report_full=report_full,
            report_most=report_most,
            local=local,
            quota_idle=quota_idle,
            close_timeout=close_timeout,
        )
        self._begin(options)

    @classmethod
    def of(cls, options: Options) -> Self:
        """Return a client with options that were read before."""
        made = cls.__new__(cls)
        made._begin(options)
        return made

    async def start(self) -> None:
        """Begin to follow; where the cache had nothing, waits at most ``start_timeout`` seconds for a first truth.

        In another loop than before it begins anew there; raises RuntimeError while the other one runs.
        """
        if self._closed:
            raise Closed
        self._follow_here()
        await self._tell_leftovers()
        if self._book.page is NOWHERE:
            await self._wait(self._options.start_timeout, patient=False)
        await self._tell_unsaid()

    async def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109 the surface of Client
        """Return as soon as there is a truth; raises NoTruth, or a kind of it, that says why there is none in time."""
        if self._closed:
            raise Closed
        if self._driver is not None:
            self._follow_here()
        if not await self._wait(timeout, patient=True):
            raise Closed if self._closed else self._why()

    @property
    def freshness(self) -> Freshness:
        """How the truth stands and the way to it."""
        following, torn = self._following, self._torn()
        connected, error = following.connected and torn is None, torn or following.error
        return self._book.freshness(time_ns() // 1000, connected=connected, error=error)

    async def load(self, customer: str) -> None:
        """With ``on_demand``: hold this customer from now on. A check never waits here, so that this comes before it.

        Raises a NoTruth that says why it cannot be loaded. A customer that nobody knows is remembered as such.
        """
        if self._closed:
            raise Closed
        customer = read_id("customer", customer)
        if not self._some and self._book.page is NOWHERE:
            raise self._why()
        if not self._lacks(customer):
            return
        if not self._options.on_demand:
            super()._load(customer)
        if self._driver is not None:
            self._follow_here()
        await self._loading.load(customer)

    async def close(self) -> None:
        """Stop following, let go of the cache and answer no more. May be called twice."""
        if self._closed:
            return
        self._closed = True
        forget_forks(self)
        book, tally = self._book, self._tally
        self._book, self._some, self._tally = closed_book(), False, None
        if self._own is not None:
            await asyncio.to_thread(self._own.close, self._options.close_timeout)
        if self._counting is not None:
            counting, calls = self._counting
            await asyncio.to_thread(counting.telling.close, _TO_TELL)
            calls.close()
        if self._driver is not None:
            await self._driver.stop()
        sender, sending = self._sender, self._sending
        if sender is not None and sending is not None and tally is not None:
            if sender.must_begin_anew():
                sender.leave()
                sending = new_sending(self._options, tally, new_pace(), book)
                sender = self._send(sending)
            sending.finish()
            sender.wake()
            await sender.join(_TO_TELL)
            await sender.stop()
        book.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def before_fork(self, seconds: float) -> None:
        """Let no report be half kept; whoever forks in the loop's thread forks between two steps of all else."""
        if self._counting is not None:
            self._counting[0].telling.before_fork(seconds)
        self._before_fork(seconds)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._after_fork_in_parent()
        if self._counting is not None:
            self._counting[0].telling.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Answer from the truth that is held; :meth:`start` in the child's own loop follows anew."""
        self._disown()
        self._book.after_fork()
        if self._tally is not None:
            self._tally.after_fork()
        if self._counting is not None:
            counting, calls = self._counting
            counting.after_fork_in_child()
            calls.after_fork_in_child()
        self._follow()

    def _begin(self, options: Options) -> None:
        self._options = options
        self._unreachable, self._default = options.unreachable, options.default_unreachable
        self._some, self._loads = options.picked, options.on_demand
        self._choosing = threading.Lock()
        self._book = open_book(options)
        self._tally = new_tally(options)
        self._follow()
        watch_forks(self)

    def _follow(self) -> None:
        options, pace = self._options, new_pace()
        self._following = Following(self._book, pace, monotonic, options.plan())
        self._loading = AsyncLoading(self._book, pace, options.place, options.timeout)
        self._changed = asyncio.Event()
        self._driver = self._sender = None
        self._sending = None if self._tally is None else new_sending(options, self._tally, pace, self._book)

    def _follow_here(self) -> None:
        """Follow in the running loop, if that is not so yet."""
        driver, sender = self._driver, self._sender
        if driver is not None:
            if not driver.must_begin_anew():
                return
            if driver.lives_elsewhere():
                raise RuntimeError(_ELSEWHERE)
            driver.leave()
            if sender is not None:
                sender.leave()
            self._follow()
        from licet.sdk.async_transport import AsyncTransport

        place = self._options.place
        self._driver = AsyncDriver(
            self._following.run, AsyncTransport(place), AsyncTransport(place), "licet-follow", after=self._tell
        )
        self._driver.start()
        if self._sending is not None:
            self._sender = self._send(self._sending)

    def _send(self, sending: "Sending") -> AsyncDriver:
        """Begin to tell of counts in the running loop."""
        from licet.sdk.async_transport import AsyncTransport

        side = AsyncTransport(self._options.place)
        sender = AsyncDriver(sending.run, side, side, "licet-tell", after=_nothing)
        sender.start()
        return sender

    def _load(self, customer: str) -> None:
        if self._options.on_demand:
            raise NeverHeld(f"{customer!r} is not held yet: `await client.load({customer!r})` before asking")
        super()._load(customer)

    def _tell(self) -> None:
        self._changed.set()

    async def _wait(self, seconds: float, *, patient: bool) -> bool:
        """Wait for a truth; returns whether there is one."""
        following, book = self._following, self._book
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while not self._closed and not is_decided(book, following, patient=patient):
                    self._changed.clear()
                    await self._changed.wait()
        return is_ready(book, following) and not self._closed

    def _torn(self) -> NoTruth | None:
        """The error that says that nothing is followed any more, where that is so."""
        return Unreachable(_TORN) if self._driver is not None and self._driver.torn and not self._closed else None

    def _why(self) -> NoTruth:
        return self._torn() or why_not(self._options, self._following)


def _nothing() -> None:
    """Nobody waits for what is told."""
