"""Runs calls in the threads that make them, over connections that are kept for the next ones."""

import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, TypeVar

from licet.sdk.effects import Ask, Outcome, Sleep
from licet.sdk.place import Place
from licet.sdk.spending import Call, Keep
from licet.sdk.taps import Turn, Wait

if TYPE_CHECKING:
    from licet.sdk.transport import Transport

T = TypeVar("T")
MOST_IDLE: Final = 8
"""Connections that are kept while nobody uses them."""


class Calls:
    """The calls of one client to one server, from any thread; as many at once as there are callers."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._idle: list[Transport] = []
        self._closed = False

    def run(self, call: Call[T]) -> T:
        """Return what a call comes to; raises what it raises."""
        transport = self._taken()
        try:
            outcome: Outcome = None
            while True:
                effect = call.send(outcome)
                outcome = None
                if isinstance(effect, Ask):
                    outcome = transport.ask(effect.request, effect.most)
                elif isinstance(effect, Sleep):
                    sleep(effect.seconds)
                elif isinstance(effect, Keep | Turn):
                    effect.perform()
                elif isinstance(effect, Wait):
                    _waited(effect)
        except StopIteration as end:
            self._give_back(transport)
            value: T = end.value
            return value
        except BaseException:
            # Also where the caller was interrupted: an answer may still come on that connection, to another question.
            transport.shut()
            raise
        finally:
            call.close()

    def close(self) -> None:
        """Close connections that are kept; calls under way end by themselves."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for one in idle:
            one.shut()

    def after_fork_in_child(self) -> None:
        """Forget the parent's connections."""
        self._lock = threading.Lock()
        self._idle = []

    def _taken(self) -> "Transport":
        from licet.sdk.transport import Transport

        with self._lock:
            return self._idle.pop() if self._idle else Transport(self._place)

    def _give_back(self, transport: "Transport") -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(transport)
                return
        transport.shut()


def _waited(wait: Wait) -> None:
    """Return once what is waited for is over, or it took too long."""
    told = threading.Event()
    wait.listen(told.set)
    until = monotonic() + wait.seconds
    while not wait.over and (left := until - monotonic()) > 0:
        told.wait(left)
        told.clear()
