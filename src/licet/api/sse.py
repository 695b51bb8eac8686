"""One follower's way along a feed, and how it is sent: as lines (NDJSON) for a while, or as server-sent events for as
long as it reads them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Final, Literal

import msgspec
from litestar import Response
from msgspec import Struct

from licet.api.call import Trail
from licet.api.channel import Channel, Ended, as_events
from licet.api.refusals import from_service, unexpected
from licet.api.staying import Stay
from licet.core.instant import Instant
from licet.door.limits import LINES_SECONDS
from licet.door.problems import Refusal
from licet.services import feed
from licet.services.errors import ServiceError, Unavailable
from licet.telemetry import Metrics, log
from licet.wire.feed import Cursor

EVENTS: Final = "text/event-stream"
PIECE: Final = 64 * 1024
"""Bytes that are handed on at once."""
_LOOKS: Final = 4
"""How often within the time that a reader may take is looked whether it takes anything."""
Mode = Literal["full", "changes", "none"]
Message = dict[str, Any]


class Flow(Struct, frozen=True):
    """What an operation returns that is sent for as long as there is something to say."""

    source: AsyncGenerator[bytes, None]


class Step(Struct, frozen=True):
    """What a follower is sent next: lines, and where the last of them is a head, the cursor that it gives."""

    lines: tuple[bytes, ...]
    cursor: Cursor | None = None
    events: bytes | None = None
    """The same as server-sent events, where many get it."""

    def as_lines(self) -> bytes:
        """Return it as NDJSON."""
        return b"".join(line + b"\n" for line in self.lines)

    def as_events(self) -> bytes:
        """Return it as server-sent events."""
        return as_events(self.lines, self.cursor) if self.events is None else self.events


class Way:
    """Where one follower stands in a channel, and what it is sent next.

    Everything raises Ended where that ends, and Refusal where the follower's key is good no more.
    """

    def __init__(self, channel: Channel, cursor: Cursor | None, stay: Stay, *, picked: bool) -> None:
        self._channel = channel
        self._stay = stay
        self._picked = picked
        self._cursor = cursor
        self._at = 0
        self._issued: Instant = 0
        self._keyset = b""
        self.mode: Mode = "full"

    async def begin(self, wait: float) -> None:
        """Find out how it goes on; waits some seconds for something new. Raises AheadOfLog."""
        channel, cursor = self._channel, self._cursor
        await channel.look()  # who asks may know of a commit that is not published here yet
        if cursor is None:
            return
        if cursor > channel.stand.cursor:
            raise feed.ahead(cursor, channel.stand.cursor)
        if cursor.epoch != channel.stand.epoch:
            return
        self._at = cursor.seq
        if cursor == channel.stand.cursor and wait:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    while cursor == channel.stand.cursor and await channel.moved(channel.issued, self._stay):
                        pass
        self.mode = "none" if cursor == channel.stand.cursor else "changes"
        if self.mode == "changes" and not channel.after(self._at, 0) and await channel.between(self._at) is None:
            self.mode = "full"

    async def first(self) -> AsyncGenerator[Step, None]:
        """Yield what brings the follower to what is published, head included."""
        self._keyset = self._channel.keyset
        yield Step((self._keyset,))
        if self.mode == "full":
            async for step in self._whole():
                yield step
        async for step in self._on():
            yield step
        if not self._issued:
            if self._keyset != self._channel.keyset:
                self._keyset = self._channel.keyset
                yield Step((self._keyset,))
            yield self._head()

    async def on(self) -> AsyncGenerator[Step, None]:
        """Yield what is new, for as long as the channel goes on; each step ends with a head."""
        while await self._channel.moved(self._issued, self._stay):
            self._stay.hold()
            if self._keyset != self._channel.keyset:
                self._keyset = self._channel.keyset
                yield Step((self._keyset,))
            if self._at == self._channel.stand.seq:
                yield self._head()
            async for step in self._on():
                yield step

    async def _on(self) -> AsyncGenerator[Step, None]:
        """Yield set after set until the follower stands where the channel does."""
        while self._at < self._channel.stand.seq and self._keyset == self._channel.keyset:
            self._stay.hold()
            kept = self._channel.after(self._at, self._issued)
            if kept:
                one = kept[0]
                self._at, self._issued = one.told.stand.seq, one.issued
                yield Step((*one.told.lines, one.head), events=one.events)
                continue
            told = await self._channel.between(self._at)
            if told is None:
                async for step in self._whole():
                    yield step
                continue
            self._at = told.stand.seq
            yield Step(told.lines)
            yield self._head(told.stand)

    async def _whole(self) -> AsyncGenerator[Step, None]:
        if self._picked:
            begun = await self._channel.beginning()
            self._at = begun.stand.seq
            yield Step(begun.lines)
            yield self._head(begun.stand)
            return
        until = asyncio.get_running_loop().time() + LINES_SECONDS
        whole = await self._channel.whole()
        if whole.catalog is not None:
            yield Step((whole.catalog,))
        async with aclosing(whole.spool.lines()) as lines:
            async for line in lines:
                self._stay.hold()
                yield Step((line,))
                if asyncio.get_running_loop().time() > until:  # a file is not kept for ever for one who hardly reads
                    raise Ended
        yield Step(whole.end)
        self._at = whole.stand.seq
        yield self._head(whole.stand)

    def _head(self, stand: feed.Stand | None = None) -> Step:
        """A head at what is published, or at an earlier stand."""
        if stand is None or stand.seq == self._channel.stand.seq:
            stand = self._channel.stand
            head, self._issued = self._channel.head(self._issued)
        else:
            head, self._issued = self._channel.head_at(stand)
        return Step((head,), cursor=stand.cursor)


async def events(way: Way, trail: Trail) -> AsyncGenerator[bytes, None]:
    """Yield a feed as server-sent events until the channel ends; what goes wrong is the last of them."""
    yield b"retry: 1000\n\n"
    try:
        async for step in way.first():
            yield step.as_events()
        async for step in way.on():
            yield step.as_events()
    except Ended:
        yield b": the feed goes on with the next request\n\n"
    except Exception as error:  # noqa: BLE001 a defect is told as a problem, and logged whole
        yield as_events([_problem(error, trail)], None)


async def lines(way: Way, trail: Trail) -> AsyncGenerator[bytes, None]:
    """Yield what brings a follower to what is published, as NDJSON; what goes wrong is the last line."""
    try:
        async for step in way.first():
            yield step.as_lines()
    except Ended:
        yield _problem(Unavailable("the feed begins anew", advice="ask again"), trail) + b"\n"
    except Exception as error:  # noqa: BLE001 a defect is told as a problem, and logged whole
        yield _problem(error, trail) + b"\n"


def _problem(error: Exception, trail: Trail) -> bytes:
    if isinstance(error, Refusal):
        refusal = error
    elif isinstance(error, ServiceError):
        refusal = from_service(error)
    else:
        log("licet.feed").error("failed", route=trail.route, request_id=trail.request_id, exc_info=error)
        refusal = unexpected(error)
    trail.problem = refusal.code
    return msgspec.json.encode({"problem": refusal.problem(trail.request_id)})


class Sending(Response[bytes]):
    """An answer that is sent piece by piece for as long as there is something to say, and to somebody who takes it."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        trail: Trail,
        metrics: Metrics,
        *,
        media_type: str,
        headers: dict[str, str],
        stall_seconds: float,
    ) -> None:
        super().__init__(b"", media_type=media_type, headers=headers)
        self._source = source
        self._trail = trail
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._sending: float | None = None

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return what sends it."""
        return self._respond

    async def _respond(
        self, _scope: Any, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        headers.append((b"content-type", str(self.media_type).encode()))
        sender = asyncio.create_task(self._send(send, headers), name="licet-follower")
        others = [asyncio.create_task(one, name="licet-leaver") for one in (_left(receive), self._stalled())]
        try:
            await asyncio.wait([sender, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, *others):
                task.cancel()
            await asyncio.wait([sender, *others])
            await self._source.aclose()
        if not sender.cancelled() and (error := sender.exception()) is not None:
            raise error

    async def _send(self, send: Callable[[Message], Awaitable[None]], headers: list[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(self._source) as source:
            async for said in source:
                for begin in range(0, len(said), PIECE):
                    self._sending = asyncio.get_running_loop().time()
                    await send({"type": "http.response.body", "body": said[begin : begin + PIECE], "more_body": True})
                    self._sending = None
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stalled(self) -> None:
        """Return once nothing was read for too long. One look now and then costs less than a timer for each piece."""
        clock = asyncio.get_running_loop().time
        while self._sending is None or clock() - self._sending < self._stall_seconds:  # noqa: ASYNC110 nothing happens
            await asyncio.sleep(self._stall_seconds / _LOOKS)
        self._metrics.stalled(self._trail.route)
        log("licet.feed").warning(
            "a follower stalled: its stream is ended",
            request_id=self._trail.request_id,
            key=self._trail.caller.key if self._trail.caller else None,
            seconds=self._stall_seconds,
        )


async def _left(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
