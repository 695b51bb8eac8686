"""Performs requests in the running loop: HTTP/1.1 (RFC 9112) over asyncio streams, no more of it than a feed needs."""

import asyncio
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from licet.sdk.effects import Answer, Chunk, Fault, Request
from licet.sdk.place import Place
from licet.sdk.transport import retry_after, why

if TYPE_CHECKING:
    import ssl

_PIECE: Final = 256 * 1024
_MOST_HEAD: Final = 64 * 1024
_MOST_REFUSAL: Final = 64 * 1024
_BROKEN: Final = (OSError, ValueError, IncompleteReadError, LimitOverrunError, EOFError)


class AsyncTransport:
    """One connection at a time, used by one task; with ``keeps`` it is kept for the next request of its kind."""

    def __init__(self, place: Place, *, keeps: bool = False) -> None:
        self._place = place
        self._keeps = keeps
        self._context: ssl.SSLContext | None = None
        self._reader: StreamReader | None = None
        self._writer: StreamWriter | None = None
        self._body: _Body | None = None

    async def open(self, request: Request) -> Answer | Fault:
        """Send a request; a body with status 200 is left to be read."""
        try:
            async with asyncio.timeout(request.seconds):
                answer, body = await self._sent(request)
                if answer.status == 200:
                    self._body = body
                    return answer
                return await _whole(answer, body, _MOST_REFUSAL)
        except _BROKEN as error:
            self.shut()
            return Fault(why(error, self._place))

    async def read(self, seconds: float) -> Chunk | Fault:
        """Return the next bytes of the open answer, empty at its end."""
        if self._body is None:
            return Fault("there is no open answer")
        try:
            async with asyncio.timeout(seconds):
                return Chunk(await self._body.some())
        except _BROKEN as error:
            self.shut()
            return Fault(why(error, self._place))

    async def ask(self, request: Request, most: int) -> Answer | Fault:
        """Send a request and return its whole answer."""
        kept = False
        try:
            async with asyncio.timeout(request.seconds):
                if self._keeps and request.repeats and self._writer is not None:
                    try:
                        answer, body = await self._sent(request, fresh=False)
                        whole = await _whole(answer, body, most + 1)
                    except TimeoutError:
                        raise
                    except _BROKEN:  # closed meanwhile by the other side
                        answer, body = await self._sent(request)
                        whole = await _whole(answer, body, most + 1)
                else:
                    answer, body = await self._sent(request)
                    whole = await _whole(answer, body, most + 1)
            kept = self._keeps and body.delimited and len(whole.body) <= most
        except _BROKEN as error:
            return Fault(why(error, self._place))
        finally:
            if not kept:
                self.shut()
        return whole if len(whole.body) <= most else Fault(f"the answer has more than {most} bytes")

    def shut(self) -> None:
        """Close the connection, if there is one."""
        writer, self._writer, self._reader, self._body = self._writer, None, None, None
        if writer is not None:
            with suppress(OSError, RuntimeError):
                writer.transport.abort()

    async def _sent(self, request: Request, *, fresh: bool = True) -> "tuple[Answer, _Body]":
        place = self._place
        reader, writer = await self._connected() if fresh or self._reader is None else (self._reader, self._writer)
        if writer is None:
            raise ConnectionAbortedError("there is no connection")
        going_on = "keep-alive" if self._keeps else "close"
        headers = place.headers() | {"Host": place.authority, "Accept": request.accept, "Connection": going_on}
        if request.body is not None:
            headers |= {"Content-Type": request.content, "Content-Length": str(len(request.body))}
        if request.key:
            headers["Idempotency-Key"] = request.key
        lines = [f"{request.method} {place.prefix}{request.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (request.body or b""))
        await writer.drain()
        return await _head(reader)

    async def _connected(self) -> tuple[StreamReader, StreamWriter]:
        self.shut()
        place = self._place
        if place.secure and self._context is None:
            from ssl import create_default_context

            self._context = create_default_context()
        self._reader, self._writer = await asyncio.open_connection(
            place.host, place.port, ssl=self._context, limit=_MOST_HEAD
        )
        return self._reader, self._writer


async def _head(reader: StreamReader) -> "tuple[Answer, _Body]":
    """Read the status and the headers; interim answers (1xx) are passed over."""
    while True:
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise ValueError(f"it does not speak HTTP/1.1: {first[:80]!r}")
        status = int(rest[:3])
        if status >= 200:
            break
    headers = {name.strip().lower(): value.strip() for name, colon, value in (one.partition(":") for one in lines)}
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    answer = Answer(status=status, kind=kind, retry_after=retry_after(headers.get("retry-after")))
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    length = headers.get("content-length")
    left = None if chunked or length is None else int(length)
    ends = headers.get("connection", "").lower() == "close" or not version.startswith("HTTP/1.1")
    body = _Body(reader, chunked=chunked, left=left)
    body.delimited = not ends and left is not None
    return answer, body


async def _whole(answer: Answer, body: "_Body", most: int) -> Answer:
    parts, size = [], 0
    while size < most and (part := await body.some()):
        parts.append(part)
        size += len(part)
    return Answer(status=answer.status, kind=answer.kind, retry_after=answer.retry_after, body=b"".join(parts))


class _Body:
    """An answer's content: in chunks, of a stated length, or until the connection ends."""

    def __init__(self, reader: StreamReader, *, chunked: bool, left: int | None) -> None:
        self._reader = reader
        self._chunked = chunked
        self._left = 0 if chunked else left
        self._ended = False
        self.delimited = False
        """Whether another answer may follow on the same connection."""

    async def some(self) -> bytes:
        """Return what there is next; empty at the end. Raises EOFError where the end came too early."""
        if self._chunked and self._left == 0 and not self._ended:
            size = (await self._reader.readuntil(b"\r\n")).partition(b";")[0].strip()
            self._left = int(size, 16)
            self._ended = self._left == 0
        if self._left == 0:
            return b""
        part = await self._reader.read(_PIECE if self._left is None else min(_PIECE, self._left))
        if self._left is not None:
            if not part:
                raise EOFError("the answer was cut off")
            self._left -= len(part)
            if self._chunked and self._left == 0:
                await self._reader.readexactly(2)
        return part
