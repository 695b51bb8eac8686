"""A line to a server that is cut, slow, or gone for a while: TCP from a port of its own to another, in a thread."""

import asyncio
import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

_PIECE: Final = 65_536
_START_SECONDS: Final = 10.0


class Trouble(Struct, frozen=True, kw_only=True):
    """How bad the line is: the chances that an answer is lost with its connection, and that a piece is late."""

    cut: float = 0.004
    late: float = 0.03
    late_seconds: float = 0.2


class Cutter:
    """Passes on what comes to ``port``; whoever connects while it is ``gone`` is cut at once."""

    def __init__(self, target: int, trouble: Trouble, seed: int) -> None:
        self.port = 0
        self.cuts = 0
        """Connections that were cut so far."""
        self.late = 0
        """Pieces that came late so far."""
        self._target = target
        self._trouble = trouble
        self._rng = random.Random(seed)  # noqa: S311 - what is cut is no secret
        self._gone = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(_START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)

    @property
    def url(self) -> str:
        """The address of the server behind it."""
        return f"http://127.0.0.1:{self.port}"

    def be_gone(self, gone: bool) -> None:
        """Cut everything, and whoever connects, until it is there again."""
        self._gone = gone
        if gone:
            self._loop.call_soon_threadsafe(self._cut_all)

    def be(self, trouble: Trouble) -> None:
        """Be as bad as this from now on."""
        self._trouble = trouble

    def _cut_all(self) -> None:
        for writer in list(self._open):
            self._cut(writer)

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        if writer in self._open:
            self._open.discard(writer)
            self.cuts += 1
            writer.transport.abort()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._cut_all()
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        if self._gone:
            self._cut(writer)
            return
        beyond: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.CancelledError):
            answers, beyond = await asyncio.open_connection("127.0.0.1", self._target)
            there = asyncio.create_task(self._pump(reader, beyond))
            await self._answer(answers, writer)
            there.cancel()
        for one in (writer, beyond):
            if one is not None:
                self._open.discard(one)
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE):
                writer.write(data)
                await writer.drain()
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass answers on; one that is lost was decided, and whoever asked does not know what."""
        while data := await reader.read(_PIECE):
            chance, trouble = self._rng.random(), self._trouble
            if chance < trouble.cut:
                self._cut(writer)
                return
            if chance < trouble.cut + trouble.late:
                self.late += 1
                await asyncio.sleep(self._rng.uniform(0, trouble.late_seconds))
            writer.write(data)
            await writer.drain()
