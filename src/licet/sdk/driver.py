"""Runs a client's flows in daemon threads of their own, over blocking connections."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final

from licet.sdk.effects import Ask, Effect, Flow, Open, Outcome, Read, Shut, Sleep

if TYPE_CHECKING:
    from licet.sdk.transport import Transport

AFTER_A_BUG: Final = 60.0
"""Seconds before a flow that failed in a way nobody thought of is begun anew."""


class Driver:
    """One flow in one thread, a daemon: ``transport`` is for what is read bit by bit, ``side`` for all else."""

    def __init__(
        self,
        flow: Callable[[], Flow],
        transport: "Transport",
        side: "Transport",
        name: str,
        *,
        lock: AbstractContextManager[bool],
        after: Callable[[], None],
    ) -> None:
        self._flow = flow
        self._transport = transport
        self._side = side
        self._lock = lock
        self._after = after
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """End a sleep early."""
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait until the flow has ended by itself."""
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(seconds)

    def stop(self, seconds: float) -> bool:
        """End the flow; returns whether its thread ended within that time."""
        self._stopping = True
        self._wake.set()
        self._transport.cut()
        self._side.cut()
        self.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._follow(self._flow())
                break
            except Exception:  # a mistake of ours must not end following for good
                # The program must not lose the freshness of its truth for good to a mistake of ours.
                import logging

                logging.getLogger("licet.sdk").exception(
                    "following failed in a way that it should not; it begins anew in a minute"
                )
                self._transport.shut()
                self._wake.wait(AFTER_A_BUG)
        self._transport.shut()
        self._side.shut()
        self._after()

    def _follow(self, flow: Flow) -> None:
        outcome: Outcome = None
        with suppress(StopIteration):
            while not self._stopping:
                # Held while the flow takes what came: a fork waits until no truth is half taken.
                with self._lock:
                    effect = flow.send(outcome)
                self._after()
                outcome = self._performed(effect)
        with self._lock:
            flow.close()

    def _performed(self, effect: Effect) -> Outcome:
        match effect:
            case Read(seconds):
                return self._transport.read(seconds)
            case Open(request):
                return self._transport.open(request)
            case Ask(request, most):
                return self._side.ask(request, most)
            case Sleep(seconds):
                self._wake.wait(seconds)
                self._wake.clear()
            case Shut():
                self._transport.shut()
            case _:
                pass
        return None
