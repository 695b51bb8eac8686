"""``AsyncClient``: follows its server in the running loop and answers from this process."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from random import Random
from time import monotonic, time_ns
from types import TracebackType
from typing import Literal, Self

from licet.sdk.asking import Asking, Assumption
from licet.sdk.async_driver import AsyncDriver
from licet.sdk.async_transport import AsyncTransport
from licet.sdk.book import Book
from licet.sdk.decision import NOWHERE, Freshness
from licet.sdk.errors import Closed, NoTruth, Unreachable
from licet.sdk.flow import Following, Plan
from licet.sdk.pacing import Pace
from licet.sdk.place import find_place


class AsyncClient(Asking):
    """As :class:`licet.Client`, without threads. ``check`` is a plain function here too: it never waits."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        root: str | None = None,
        cache: str | Path | None = None,
        customers: Collection[str] | None = None,
        on_demand: bool = False,
        most_customers: int = 10_000,
        unreachable: Mapping[str, Assumption] | None = None,
        default_unreachable: Assumption = "deny",
        follow: Literal["stream", "poll", "never"] = "stream",
        telemetry: bool = True,
        start_timeout: float = 5.0,
        timeout: float = 10.0,
    ) -> None:
        """Takes what :class:`licet.Client` takes; nothing is asked of the server before :meth:`start`."""
        super().__init__(Book(), unreachable, default_unreachable)
        self._place = find_place(url, key)
        self._plan = Plan(url=self._place.url, manner=follow, seconds=timeout, picked=on_demand)
        self._start_timeout = start_timeout
        self._following = Following(self._book, Pace(Random()), monotonic, self._plan)
        self._changed = asyncio.Event()
        self._driver: AsyncDriver | None = None

    async def start(self) -> None:
        """Begin to follow; waits at most ``start_timeout`` seconds for a first truth, and goes on without one."""
        if self._closed:
            raise Closed
        if self._driver is None:
            transport = AsyncTransport(self._place)
            self._driver = AsyncDriver(self._following.run, transport, "licet-follow", after=self._changed.set)
            self._driver.start()
        await self._wait(self._start_timeout)

    async def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109 the same surface as Client
        """Return as soon as there is a truth; raises NoTruth, or a kind of it, that says why there is none in time."""
        if self._closed:
            raise Closed
        if not await self._wait(timeout):
            raise self._why()

    @property
    def freshness(self) -> Freshness:
        """How the truth stands and the way to it."""
        following = self._following
        return self._book.freshness(time_ns() // 1000, connected=following.connected, error=following.error)

    async def close(self) -> None:
        """Stop following and answer no more; may be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._driver is not None:
            await self._driver.stop()
        self._book = Book()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _wait(self, seconds: float) -> bool:
        """Wait for a truth; returns whether there is one. Ends early where waiting is in vain."""
        try:
            async with asyncio.timeout(seconds):
                while self._book.page is NOWHERE and self._following.error is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self._book.page is not NOWHERE

    def _why(self) -> NoTruth:
        return self._following.error or Unreachable(f"nothing has come from {self._place.url} yet; is it up?")
