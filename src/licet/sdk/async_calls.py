"""Runs calls in the running loop, each over a connection of its own."""

import asyncio
from typing import TYPE_CHECKING, TypeVar

from licet.sdk.effects import Ask, Outcome, Sleep
from licet.sdk.place import Place

if TYPE_CHECKING:
    from licet.sdk.spending import Call

T = TypeVar("T")


class AsyncCalls:
    """The calls of one client to one server, from any task of any loop."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def run(self, call: "Call[T]") -> T:
        """Return what a call comes to; raises what it raises."""
        from licet.sdk.async_transport import AsyncTransport

        transport = AsyncTransport(self._place)
        try:
            outcome: Outcome = None
            while True:
                effect = call.send(outcome)
                outcome = None
                if isinstance(effect, Ask):
                    outcome = await transport.ask(effect.request, effect.most)
                elif isinstance(effect, Sleep):
                    await asyncio.sleep(effect.seconds)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            transport.shut()
            call.close()
