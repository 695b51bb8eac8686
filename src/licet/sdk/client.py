"""``Client``: follows its server in a thread of its own and answers from this process."""

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from random import Random
from time import monotonic, time_ns
from types import TracebackType
from typing import Literal, Self

from licet.sdk.asking import Asking, Assumption
from licet.sdk.book import Book
from licet.sdk.decision import NOWHERE, Freshness
from licet.sdk.driver import Driver
from licet.sdk.errors import Closed, NoTruth, Unreachable
from licet.sdk.flow import Following, Plan
from licet.sdk.pacing import Pace
from licet.sdk.place import find_place
from licet.sdk.transport import Transport


class Client(Asking):
    """A workspace's truth in this process. Make one per process and keep it; any thread may ask it."""

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
        """Begin to follow; waits at most ``start_timeout`` seconds for a first truth, and goes on without one."""
        super().__init__(Book(), unreachable, default_unreachable)
        self._place = find_place(url, key)
        self._plan = Plan(url=self._place.url, manner=follow, seconds=timeout, picked=on_demand)
        self._changed = threading.Condition()
        self._start()
        self._wait(start_timeout)

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Return as soon as there is a truth; raises NoTruth, or a kind of it, that says why there is none in time."""
        if self._closed:
            raise Closed
        if not self._wait(timeout):
            raise self._why()

    @property
    def freshness(self) -> Freshness:
        """How the truth stands and the way to it."""
        following = self._following
        return self._book.freshness(time_ns() // 1000, connected=following.connected, error=following.error)

    def close(self) -> None:
        """Stop following and answer no more; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._driver.stop(2.0)
        self._book = Book()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._following = Following(self._book, Pace(Random()), monotonic, self._plan)
        self._driver = Driver(
            self._following.run,
            Transport(self._place),
            "licet-follow",
            lock=threading.Lock(),
            after=self._tell,
        )
        self._driver.start()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(self, seconds: float) -> bool:
        """Wait for a truth; returns whether there is one. Ends early where waiting is in vain."""
        with self._changed:
            self._changed.wait_for(lambda: self._book.page is not NOWHERE or self._following.error is not None, seconds)
        return self._book.page is not NOWHERE

    def _why(self) -> NoTruth:
        return self._following.error or Unreachable(f"nothing has come from {self._place.url} yet; is it up?")
