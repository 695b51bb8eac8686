"""Forks of several threads at once: hooks of one run between those of another, and each is told of its own."""

import os
import threading
import time
from collections.abc import Callable

from licet.sdk.forks import forget_forks, watch_forks
from tests.sdk.office import open_office, until

FORKS = 15
"""Of each thread; without state of its own for each fork the first few were enough."""


class Witness:
    """Hears of forks, and holds two of them up until both are under way."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.born = 0
        self._both = threading.Barrier(2)

    def before_fork(self, seconds: float) -> None:
        """Wait for the other."""
        self.heard.append(("before", threading.get_ident()))
        self._both.wait(seconds)

    def after_fork_in_parent(self) -> None:
        """Write down whose fork ended."""
        self.heard.append(("after", threading.get_ident()))

    def after_fork_in_child(self) -> None:
        """Count."""
        self.born += 1


class Holder:
    """Holds a lock over a fork, as a client does; no other waits for it in vain."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.in_vain = 0

    def before_fork(self, seconds: float) -> None:
        """Take the lock."""
        self.in_vain += not self.lock.acquire(timeout=min(seconds, 2.0))

    def after_fork_in_parent(self) -> None:
        """Let go of it."""
        self.lock.release()

    def after_fork_in_child(self) -> None:
        """Whoever held it is gone."""
        self.lock = threading.RLock()


def forked(child: Callable[[], int]) -> int:
    """Fork, and return how the child ended."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover - runs in the child
        code = 99
        try:
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_threads(run: Callable[[], None], number: int = 2, seconds: float = 12.0) -> None:
    """Run in threads at once; asserts that all end in time."""
    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads)


def test_each_of_two_forks_at_once_is_told_of_its_own() -> None:
    """Two threads are in the middle of forking: each hears before and after once, and each child that it was born."""
    witness, born = Witness(), list[int]()
    watch_forks(witness)
    try:
        in_threads(lambda: born.append(forked(lambda: witness.born)))
    finally:
        forget_forks(witness)
    assert born == [1, 1]
    befores = sorted(who for what, who in witness.heard if what == "before")
    afters = sorted(who for what, who in witness.heard if what == "after")
    assert befores == afters
    assert len(set(befores)) == 2


def test_two_that_hold_locks_over_forks_are_told_in_one_order() -> None:
    """Four threads fork where two locks are held over each fork: none waits for another that waits for it."""
    holders, ended = [Holder(), Holder()], list[int]()
    for one in holders:
        watch_forks(one)
    try:
        in_threads(lambda: ended.extend(forked(lambda: 0) for _ in range(5)), number=4)
    finally:
        for one in holders:
            forget_forks(one)
    assert ended == [0] * 20
    assert [one.in_vain for one in holders] == [0, 0]


def test_what_is_forgotten_during_a_fork_is_told_how_it_ends() -> None:
    """Between the hooks before and after a fork one is closed: it is told of the end, and of no later fork."""

    class Leaving(Holder):
        afters = 0

        def before_fork(self, seconds: float) -> None:
            super().before_fork(seconds)
            forget_forks(self)

        def after_fork_in_parent(self) -> None:
            super().after_fork_in_parent()
            self.afters += 1

    leaving = Leaving()
    watch_forks(leaving)
    assert forked(lambda: 0) == forked(lambda: 0) == 0
    assert leaving.afters == 1


def test_two_threads_that_fork_do_not_stop_a_client() -> None:
    """Two threads fork again and again while sets come: the client goes on, and each child answers."""
    with open_office() as office, office.client() as client:
        sold, ended = threading.Event(), list[int]()

        def fork() -> None:
            ended.extend(forked(lambda: 0 if client.check("acme", "sso") else 1) for _ in range(FORKS))

        def sell() -> None:
            number = 0
            while not sold.wait(0.003):
                number += 1
                office.sold(f"customer-{number % 20}")

        seller = threading.Thread(target=sell, daemon=True)
        seller.start()
        try:
            in_threads(fork)
        finally:
            sold.set()
            seller.join()
        assert ended == [0] * 2 * FORKS
        office.sold("later")
        until(lambda: client.check("later", "sso"))
