"""Ties a child process to our life: the kernel signals it when we are gone, however that happens."""

import ctypes
import os
import signal
from collections.abc import Callable

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def tether(sign: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that has the child sent `sign` when the thread that starts it ends.

    It only calls prctl and takes no lock that another thread may hold at the moment of the fork.
    """
    parent = os.getpid()

    def tie() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
        # The parent may have died before the request was in place.
        if os.getppid() != parent:
            os._exit(1)

    return tie
