"""Clients and forks: a child answers from the truth that it was born with, and follows by itself from then on.

Threads do not survive a fork. No fork happens while a truth is half taken: the forking thread waits for it.
"""

import os
from contextlib import suppress
from typing import Final, Protocol
from weakref import WeakSet

PATIENCE: Final = 10.0
"""Seconds for which a fork waits at most for a set to be taken."""


class Forked(Protocol):
    """What wants to be told of forks."""

    def before_fork(self, seconds: float) -> None:
        """Let nothing be half done from here on."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def after_fork_in_child(self) -> None:
        """Begin anew with what is held."""
        ...


_alive: "WeakSet[Forked]" = WeakSet()
_told: list[Forked] = []
_registered = False


def watch_forks(one: Forked) -> None:
    """Tell ``one`` of forks for as long as it lives."""
    global _registered  # noqa: PLW0603 the interpreter has one list of what to call
    _alive.add(one)
    if not _registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        _registered = True


def forget_forks(one: Forked) -> None:
    """Tell it no more."""
    _alive.discard(one)


def _before() -> None:
    _told[:] = list(_alive)
    for one in _told:
        one.before_fork(PATIENCE)


def _in_parent() -> None:
    told, _told[:] = list(_told), []
    for one in told:
        one.after_fork_in_parent()


def _in_child() -> None:
    told, _told[:] = list(_told), []
    for one in told:
        # Whatever fails here, the program that forked goes on; it has a truth that grows old, and says so.
        with suppress(RuntimeError, OSError):
            one.after_fork_in_child()
