"""Runs calls in the running loop, over connections that are kept for the next ones."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from licet.sdk.calls import MOST_IDLE
from licet.sdk.effects import Ask, Outcome, Sleep
from licet.sdk.place import Place
from licet.sdk.spending import Call, Keep
from licet.sdk.taps import Turn, Wait

if TYPE_CHECKING:
    from licet.sdk.async_transport import AsyncTransport

T = TypeVar("T")
_Idle = WeakKeyDictionary[asyncio.AbstractEventLoop, "list[AsyncTransport]"]


class AsyncCalls:
    """The calls of one client to one server, from any task of any loop; a connection stays in its loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: _Idle = WeakKeyDictionary()

    async def run(self, call: Call[T]) -> T:
        """Return what a call comes to; raises what it raises."""
        from licet.sdk.async_transport import AsyncTransport

        idle = self._idle.setdefault(asyncio.get_running_loop(), [])
        transport = idle.pop() if idle else AsyncTransport(self._place, keeps=True)
        try:
            outcome: Outcome = None
            while True:
                effect = call.send(outcome)
                outcome = None
                if isinstance(effect, Ask):
                    outcome = await transport.ask(effect.request, effect.most)
                elif isinstance(effect, Sleep):
                    await asyncio.sleep(effect.seconds)
                elif isinstance(effect, Keep | Turn):
                    await asyncio.to_thread(effect.perform)
                elif isinstance(effect, Wait):
                    await _waited(effect)
        except StopIteration as end:
            if len(idle) < MOST_IDLE:
                idle.append(transport)
            else:
                transport.shut()
            value: T = end.value
            return value
        except BaseException:
            transport.shut()
            raise
        finally:
            call.close()

    def close(self) -> None:
        """Close connections that are kept, those of loops that are gone too."""
        for idle in self._idle.values():
            while idle:
                idle.pop().shut()

    def after_fork_in_child(self) -> None:
        """Forget the parent's connections."""
        self._idle = WeakKeyDictionary()


async def _waited(wait: Wait) -> None:
    """Return once what is waited for is over, or it took too long."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(told.set)

    wait.listen(tell)
    with suppress(TimeoutError):
        async with asyncio.timeout(wait.seconds):
            while not wait.over:
                await told.wait()
                told.clear()
