"""Answers that come line by line while the work goes on: progress first, at the end a result or a problem.

The work runs in a task of its own, a few pieces ahead of the reader. Who reads nothing holds nothing: the work of a
reader that stalls is ended, and what it held is free again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, Final

import msgspec
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from licet.api.call import Trail
from licet.api.contract import NDJSON
from licet.api.refusals import from_service, unexpected
from licet.api.staying import Stay
from licet.door.limits import LINES_SECONDS
from licet.door.problems import Refusal
from licet.services.errors import ServiceError
from licet.telemetry import Metrics, log

PIECE: Final = 32 * 1024
"""Bytes that are handed on at once; a longer line goes in several."""
AHEAD: Final = 8
"""Pieces that wait for the reader; the work rests while there are as many."""


Staying = AbstractContextManager[Stay] | AbstractContextManager[None]


async def stream(
    source: AsyncGenerator[Any, None],
    trail: Trail,
    metrics: Metrics,
    *,
    status: int,
    stall_seconds: float,
    staying: Staying | None = None,
) -> Stream:
    """Return an answer that sends each value of ``source`` as one line of JSON.

    Raises what goes wrong before the first value. What goes wrong later becomes the last line, ``{"problem": …}``: its
    status was sent before. ``source`` is closed at the end, when the reader leaves, and when it takes nothing for
    ``stall_seconds``, or its key is good no more (``staying``).
    """
    lines = _Lines(source, trail, metrics, stall_seconds, nullcontext() if staying is None else staying)
    try:
        await lines.begun()
    except BaseException:
        await lines.close()
        raise
    return Stream(lines, status_code=status, media_type=NDJSON, background=BackgroundTask(lines.close))


class _Lines:
    """The pieces of an answer, taken one by one by whoever sends them, while a task makes them."""

    def __init__(
        self,
        source: AsyncGenerator[Any, None],
        trail: Trail,
        metrics: Metrics,
        stall_seconds: float,
        staying: Staying,
    ) -> None:
        self._source = source
        self._trail = trail
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._staying = staying
        self._pieces = asyncio.Queue[bytes | None]()
        self._room = asyncio.Semaphore(AHEAD)
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="licet-lines")

    async def begun(self) -> None:
        """Return once there is something to send; raises what went wrong before."""
        await self._first

    async def close(self) -> None:
        """End the work and return once nothing is held any more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._pieces.get()
        if piece is None:
            raise StopAsyncIteration
        self._room.release()
        return piece

    async def _run(self) -> None:
        try:
            await self._make()
        except Exception as error:  # noqa: BLE001 a defect is told as a problem, and logged whole
            if not self._first.done():
                self._first.set_exception(error)
                return
            self._end(self._refusal(error))
        else:
            self._end(None)

    async def _make(self) -> None:
        """Make line after line; raises Refusal where it takes too long, the reader takes nothing, or may no more."""
        try:
            async with asyncio.timeout(LINES_SECONDS) as bound, aclosing(self._source) as source:
                with self._staying as stay:
                    async for value in source:
                        if stay is not None:
                            stay.hold()
                        await self._put(msgspec.json.encode(value) + b"\n")
        except TimeoutError:
            if not bound.expired():
                raise
            words = f"the answer was not whole after {LINES_SECONDS:g} seconds"
            raise Refusal("unavailable", words, advice="Ask for less at once.") from None

    async def _put(self, line: bytes) -> None:
        for begin in range(0, len(line), PIECE):
            try:
                async with asyncio.timeout(self._stall_seconds) as bound:
                    await self._room.acquire()
            except TimeoutError:
                if not bound.expired():
                    raise
                raise self._stalled() from None
            self._pieces.put_nowait(line[begin : begin + PIECE])
            if not self._first.done():
                self._first.set_result(None)

    def _stalled(self) -> Refusal:
        self._metrics.stalled(self._trail.route)
        log("licet.api").warning(
            "a reader stalled: its answer is ended",
            route=self._trail.route,
            request_id=self._trail.request_id,
            key=self._trail.caller.key if self._trail.caller else None,
            seconds=self._stall_seconds,
        )
        words = f"nothing of the answer was read for {self._stall_seconds:g} seconds; the rest of it is left out"
        return Refusal("unavailable", words, advice="Ask again, and read it as it comes.")

    def _end(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self._trail.problem = refusal.code
            line = msgspec.json.encode({"problem": refusal.problem(self._trail.request_id)}) + b"\n"
            self._pieces.put_nowait(line)
        if not self._first.done():
            self._first.set_result(None)
        self._pieces.put_nowait(None)

    def _refusal(self, error: Exception) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, ServiceError):
            return from_service(error)
        log("licet.api").error("failed", route=self._trail.route, request_id=self._trail.request_id, exc_info=error)
        return unexpected(error)
