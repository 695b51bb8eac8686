"""Runs a client's flows as tasks of the running loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from licet.sdk.effects import Ask, Effect, Flow, Open, Outcome, Read, Shut, Sleep

if TYPE_CHECKING:
    from licet.sdk.async_transport import AsyncTransport

AFTER_A_BUG: Final = 60.0


class AsyncDriver:
    """One flow in one task."""

    def __init__(
        self,
        flow: Callable[[], Flow],
        transport: "AsyncTransport",
        side: "AsyncTransport",
        name: str,
        *,
        after: Callable[[], None],
    ) -> None:
        self._flow = flow
        self._transport = transport
        self._side = side
        self._name = name
        self._after = after
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    @property
    def torn(self) -> bool:
        """Whether the flow ended with its loop, or was cancelled by somebody else."""
        task = self._task
        return task is not None and (task.cancelled() or (task.get_loop().is_closed() and not task.done()))

    def lives_elsewhere(self) -> bool:
        """Whether another loop than the running one was begun in, and runs."""
        return self._is_elsewhere() and self._task is not None and self._task.get_loop().is_running()

    def must_begin_anew(self) -> bool:
        """Whether nothing more comes of this in the running loop."""
        return self.torn or self._is_elsewhere()

    def wake(self) -> None:
        """End a sleep early."""
        self._wake.set()

    async def join(self, seconds: float) -> None:
        """Wait until the flow has ended by itself."""
        if self._task is not None and not self._is_elsewhere():
            await asyncio.wait({self._task}, timeout=seconds)

    async def stop(self) -> None:
        """End the flow and its connection; one of another loop ends when that loop runs again."""
        if self._is_elsewhere():
            self.leave()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def leave(self) -> None:
        """End the flow without waiting for its end, in whichever loop it is."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            with suppress(RuntimeError):  # its loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def _is_elsewhere(self) -> bool:
        return self._task is not None and self._task.get_loop() is not asyncio.get_running_loop()

    async def _run(self) -> None:
        try:
            while True:
                try:
                    return await self._follow(self._flow())
                except Exception:  # a mistake of ours must not end following for good
                    import logging

                    logging.getLogger("licet.sdk").exception(
                        "following failed in a way that it should not; it begins anew in a minute"
                    )
                    self._transport.shut()
                    await self._sleep(AFTER_A_BUG)
        finally:
            self._transport.shut()
            self._after()

    async def _follow(self, flow: Flow) -> None:
        outcome: Outcome = None
        try:
            while True:
                try:
                    effect = flow.send(outcome)
                except StopIteration:
                    return
                self._after()
                outcome = await self._performed(effect)
        finally:
            flow.close()

    async def _performed(self, effect: Effect) -> Outcome:
        match effect:
            case Read(seconds):
                return await self._transport.read(seconds)
            case Open(request):
                return await self._transport.open(request)
            case Ask(request, most):
                return await self._side.ask(request, most)
            case Sleep(seconds):
                await self._sleep(seconds)
            case Shut():
                self._transport.shut()
            case _:
                # The loop's other tasks get their turn between two lines, however many have come.
                await asyncio.sleep(0)
        return None

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()
