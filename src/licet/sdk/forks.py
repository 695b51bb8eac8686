"""Clients and forks: a child answers from the truth that it was born with, and follows by itself from then on.

Threads do not survive a fork. No fork happens while a truth is half taken: the forking thread waits for it. Several
threads may fork at once, each with hooks of its own that run between those of the others.
"""

import os
import threading
from contextlib import suppress
from typing import Final, Protocol
from weakref import ref

PATIENCE: Final = 10.0
"""Seconds for which a fork waits at most for a set to be taken, or for another thread's fork."""


class Forked(Protocol):
    """What wants to be told of forks; by the thread that forks, and by several at once where several do."""

    def before_fork(self, seconds: float) -> None:
        """Let nothing be half done from here on."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on. Comes in the thread of each :meth:`before_fork`, also of one that waited in vain."""
        ...

    def after_fork_in_child(self) -> None:
        """Begin anew with what is held."""
        ...


class _Forking(threading.local):
    """What one thread has told of the fork that it is in."""

    def __init__(self) -> None:
        self.told: list[Forked] = []


_watched: "tuple[ref[Forked], ...]" = ()
"""Exchanged as one, so that a hook reads it without a lock; always in the same order, so that two forks that wait for
the same locks never wait for each other."""
_forking = _Forking()
_changing = threading.Lock()
_registered = False


def watch_forks(one: Forked) -> None:
    """Tell ``one`` of forks for as long as it lives."""
    global _registered, _watched  # noqa: PLW0603 the interpreter has one list of what to call
    with _changing:
        _watched = (*_others(one), ref(one))
        if not _registered and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
            _registered = True


def forget_forks(one: Forked) -> None:
    """Tell it no more; of a fork that is under way it is still told how that ends."""
    global _watched  # noqa: PLW0603 see above
    with _changing:
        _watched = _others(one)


def _others(one: Forked) -> "tuple[ref[Forked], ...]":
    return tuple(each for each in _watched if each() not in (None, one))


def _alive() -> list[Forked]:
    return [one for each in _watched if (one := each()) is not None]


def _before() -> None:
    told = _forking.told = []
    for one in _alive():
        # Noted first: what was interrupted while it waited is told of the end too.
        told.append(one)
        one.before_fork(PATIENCE)


def _in_parent() -> None:
    told, _forking.told = _forking.told, []
    for one in told:
        one.after_fork_in_parent()


def _in_child() -> None:
    global _changing  # noqa: PLW0603 whoever held it does not exist here
    _changing = threading.Lock()
    told, _forking.told = _forking.told, []
    # Also whom another thread made since the hook before the fork: its threads are gone as well.
    for one in [*told, *(one for one in _alive() if one not in told)]:
        # Whatever fails here, the program that forked goes on; it has a truth that grows old, and says so.
        with suppress(RuntimeError, OSError):
            one.after_fork_in_child()
