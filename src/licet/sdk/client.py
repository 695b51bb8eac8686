"""``Client``: follows its server in a thread of its own and answers from this process."""

import atexit
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, time_ns
from types import TracebackType
from typing import Literal, Self
from weakref import ref

from licet.sdk.asking import Asking
from licet.sdk.consuming import Consuming
from licet.sdk.decision import NOWHERE, Freshness
from licet.sdk.driver import Driver
from licet.sdk.errors import Closed, NoTruth
from licet.sdk.flow import Following
from licet.sdk.forks import forget_forks, watch_forks
from licet.sdk.ids import read_id
from licet.sdk.loading import Loading
from licet.sdk.options import Assumption, Full, Options, new_pace, read_options
from licet.sdk.standing import closed_book, is_decided, is_ready, new_sending, new_tally, open_book, why_not

AFTER_FORK: float = 2.0
"""Seconds within which a forked child begins to follow: its siblings were born at the same instant."""
_TO_STOP = 2.0
_TO_TELL = 1.0
"""Seconds for which closing waits until the last counts are told."""


class Client(Asking, Consuming):
    """A workspace's truth in this process. Make one and keep it; any thread may ask it."""

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
        """Begin with what the cache kept and follow the server; raises Misconfigured for what cannot be meant.

        Where the cache had nothing, waits at most ``start_timeout`` seconds for a first truth and goes on without one.
        The reference page tells each argument.
        """
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

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Return as soon as there is a truth; raises NoTruth, or a kind of it, that says why there is none in time."""
        if self._closed:
            raise Closed
        if not self._wait(timeout, patient=True):
            raise Closed if self._closed else self._why()

    @property
    def freshness(self) -> Freshness:
        """How the truth stands, and the way to it."""
        following = self._following
        return self._book.freshness(time_ns() // 1000, connected=following.connected, error=following.error)

    def load(self, customer: str) -> None:
        """With ``on_demand``: hold this customer from now on, so that no check about it waits; nothing for who is held.

        Raises ValueError for what is no id, and a NoTruth that says why it cannot be loaded. A customer that nobody
        knows is remembered as such.
        """
        if self._closed:
            raise Closed
        customer = read_id("customer", customer)
        if not self._some and self._book.page is NOWHERE:
            raise self._why()
        if self._lacks(customer):
            self._load(customer)

    def close(self) -> None:
        """Stop following, let go of the cache and answer no more. May be called twice, and by any thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        forget_forks(self)
        atexit.unregister(self._at_exit)
        book, self._book, self._some, self._tally = self._book, closed_book(), False, None
        if self._own is not None:
            self._own.close(self._options.close_timeout)
        if self._counting is not None:
            counting, calls = self._counting
            counting.telling.close(_TO_TELL)
            calls.close()
        stopped = self._driver.stop(_TO_STOP)
        if self._sender is not None:
            self._sending.finish()
            self._sender.wake()
            self._sender.join(_TO_TELL)
            self._sender.stop(_TO_STOP)
        self._loading.close()
        if stopped:
            book.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def before_fork(self, seconds: float) -> None:
        """Let no truth be half taken. A second thread that forks waits until the first has forked."""
        self._lock.acquire(timeout=seconds)
        if self._counting is not None:
            self._counting[0].telling.before_fork(seconds)
        self._before_fork(seconds)

    def after_fork_in_parent(self) -> None:
        """Go on taking."""
        self._after_fork_in_parent()
        if self._counting is not None:
            self._counting[0].telling.after_fork_in_parent()
        # The lock knows whose it is: it is not this thread's where that waited in vain.
        with suppress(RuntimeError):
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Follow anew, from the truth that is held; the parent's thread and connection are not ours."""
        self._closing = threading.Lock()
        self._disown()
        self._book.after_fork()
        if self._tally is not None:
            self._tally.after_fork()
        if self._counting is not None:
            counting, calls = self._counting
            counting.after_fork_in_child()
            calls.after_fork_in_child()
        self._follow(AFTER_FORK)

    def _begin(self, options: Options) -> None:
        self._options = options
        self._unreachable, self._default = options.unreachable, options.default_unreachable
        self._some, self._loads = options.picked, options.on_demand
        self._closing, self._choosing = threading.Lock(), threading.Lock()
        self._book = open_book(options)
        self._tally = new_tally(options)
        empty = self._book.page is NOWHERE
        self._follow(0.0)
        self._tell_leftovers()
        watch_forks(self)
        # Bound weakly: a client that nobody holds any more must not be kept by the list of what to do at the end.
        me = ref(self)
        self._at_exit = lambda: None if (client := me()) is None else client.close()
        atexit.register(self._at_exit)
        if empty:
            self._wait(options.start_timeout, patient=False)
        self._tell_unsaid()

    def _follow(self, spread: float) -> None:
        from licet.sdk.transport import Transport

        options = self._options
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        pace = new_pace()
        self._following = Following(self._book, pace, monotonic, options.plan(spread))
        self._loading = Loading(self._book, pace, options.place, self._lock, options.timeout)
        self._driver = Driver(
            self._following.run,
            Transport(options.place),
            Transport(options.place),
            "licet-follow",
            lock=self._lock,
            after=self._tell,
        )
        self._driver.start()
        self._sender = None
        if self._tally is not None:
            self._sending = new_sending(options, self._tally, pace, self._book)
            side = Transport(options.place)
            self._sender = Driver(self._sending.run, side, side, "licet-tell", lock=threading.Lock(), after=_nothing)
            self._sender.start()

    def _load(self, customer: str) -> None:
        if self._options.on_demand:
            self._loading.load(customer)
        else:
            super()._load(customer)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(self, seconds: float, *, patient: bool) -> bool:
        """Wait for a truth; returns whether there is one."""
        following, book = self._following, self._book
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or is_decided(book, following, patient=patient), max(0.0, seconds)
            )
        return is_ready(book, following) and not self._closed

    def _why(self) -> NoTruth:
        return why_not(self._options, self._following)


def _nothing() -> None:
    """Nobody waits for what is told."""
