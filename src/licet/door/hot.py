"""The hot door: a few routes answered before ASGI, inside uvicorn's httptools protocol, by one parser.

A request is *hot* if its route is and nothing about it is unusual: HTTP/1.1, a Content-Length, nothing asked of the
server (Expect, Upgrade), no earlier request of the connection pending, the answer before it taken. It is read whole and
offered to the routes, which answer at once, or take it and answer later, or not at all. Whatever is not answered is
replayed to uvicorn's protocol by its public callbacks, as if it came just now: every hot route runs cold too, and is
answered the same. While an answer is to come, uvicorn sees a request under way, and lets further ones wait behind it.

A request that came before, byte for byte, is not parsed again: between two messages the parser makes the same of the
same bytes. Only its hash is kept beside what was made of it, and of its key only a hash too.

Leant on, beyond what uvicorn documents: the constructor; the attributes ``url headers expect_100_continue cycle
pipeline parser transport flow loop client server_state timeout_keep_alive``; the ``on_*`` callbacks; and that a cycle
has ``response_complete keep_alive disconnected message_event``; and that all reading is paused and resumed by ``flow``.
No method with an underscore is replaced.
"""

import asyncio
from collections.abc import Callable, Sized
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from licet.door.gate import mark_of

WAIT_SECONDS: Final = 1.0
"""How long a hot request may take to be whole; then it is cold, with the bounds that hold there."""
MOST_BODY: Final = 65_536
"""Bytes of a hot request's body, where its route says nothing else; a larger one is cold."""
MOST_REMEMBERED: Final = 2_048
"""Bytes of a request that is remembered, head and body."""
MOST_KEPT: Final = 10_000
"""Requests that are remembered by all connections; those that came first give way."""

_READ: Final = frozenset({b"authorization", b"content-type", b"x-request-id", b"content-length", b"idempotency-key"})
_EVENT: Final = frozenset({b"ce-specversion", b"ce-id", b"ce-source", b"ce-type"})
_UNUSUAL: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"content-encoding"}) | _EVENT


class Asked(NamedTuple):
    """A hot request: ``mark`` is that of its Authorization header (``gate.mark_of``), None where there is none."""

    path: bytes
    body: bytes
    mark: bytes | None
    media_type: bytes | None
    request_id: bytes | None
    idempotency_key: bytes | None = None


class Ended(NamedTuple):
    """The answer to a request that took its time: status, and headers, an empty line and body."""

    status: int
    answer: bytes


class HotRoutes(Protocol):
    """What stands behind the hot door."""

    @property
    def paths(self) -> frozenset[bytes]:
        """The targets that are hot with POST and answered at once, exactly as they stand in the request line."""
        ...

    def takes(self, path: bytes) -> bool:
        """Return whether a target is hot with POST and answered later."""
        ...

    def most(self, path: bytes) -> int:
        """Return how many bytes the body of a request to a hot target may have; a larger one is cold."""
        ...

    def answer(self, asked: Asked, client: tuple[str, int] | None) -> bytes | None:
        """Return headers, an empty line and body of the answer with status 200; None for the cold way.

        Does nothing that can be noticed where it returns None, never waits, and never raises.
        """
        ...

    def begin(self, asked: Asked, client: tuple[str, int] | None, done: Callable[[Ended], None]) -> bool:
        """Take a request that is answered later: ``done`` is called once then, never before this returns.

        Returns False for the cold way, and does then nothing that can be noticed. Never waits, and never raises.
        """
        ...


class _Waiting:
    """What uvicorn sees as the connection's request under way while a hot one is not whole yet."""

    __slots__ = ("before", "disconnected", "keep_alive", "message_event", "timer")
    response_complete: ClassVar = False

    def __init__(self, before: Any, timer: asyncio.TimerHandle) -> None:
        self.before = before
        self.timer = timer
        self.keep_alive = True
        self.disconnected = False
        self.message_event = asyncio.Event()


class _NoEvent:
    """What nobody waits for."""

    __slots__ = ()

    def set(self) -> None:
        """Do nothing."""


class _UnderWay:
    """What uvicorn sees as the connection's request under way while the answer to a hot one is to come."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")
    message_event: ClassVar = _NoEvent()

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False


class _Flow(FlowControl):
    """Reads nothing more while requests wait for their turn, or answers to be taken.

    uvicorn's own reads on after each answer: whoever sends faster than is answered, or never reads, fills the memory.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless something waits."""
        if not self._pipeline and not self.write_paused:
            super().resume_reading()


class _Begins:
    """How every hot answer begins: made anew when uvicorn has another list of headers, once a second."""

    __slots__ = ("_content", "_headers")

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] | None = None
        self._content = b""

    def with_headers(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the status line and these headers."""
        if headers is not self._headers:
            self._headers = headers
            self._content = _beginning(200, headers)
        return self._content


def _beginning(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    line = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return line + b"".join(b"%b: %b\r\n" % pair for pair in headers)


def hot_protocol(routes: HotRoutes) -> type[HttpToolsProtocol]:
    """Return a protocol class for ``uvicorn.Config(http=…)`` that answers these routes hot."""
    starts = tuple(b"POST %b " % path for path in routes.paths)
    namespace = {"routes": routes, "starts": starts, "remembered": {}, "begins": _Begins()}
    return type("BoundHotProtocol", (HotProtocol,), namespace)


class HotProtocol(HttpToolsProtocol):
    """One connection. Made by :func:`hot_protocol`, which says whose routes these are."""

    routes: ClassVar[HotRoutes]
    starts: ClassVar[tuple[bytes, ...]]
    """How a request begins that may be remembered."""
    remembered: ClassVar[dict[bytes, Asked]]
    begins: ClassVar["_Begins"]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._fields: dict[bytes, bytes] | None = None
        self._content = b""
        self._waiting: _Waiting | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._answered_at = 0.0
        self._between = True
        self._begun = 0
        self._last: Asked | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with a flow that holds back."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a request that was not whole."""
        if self._waiting is not None:
            self._waiting.timer.cancel()
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)
        self._fields = self._waiting = self._idle = None

    def data_received(self, data: bytes) -> None:
        """Read; a hot request that is not whole by then is waited for."""
        key = b""
        if self._between and len(data) <= MOST_REMEMBERED and data.startswith(self.starts) and self._at_rest():
            key = sha256(data).digest()
            asked = self.remembered.get(key)
            if asked is not None and (answer := self.routes.answer(asked, self.client)) is not None:
                if self.timeout_keep_alive_task is not None:
                    self.timeout_keep_alive_task.cancel()
                    self.timeout_keep_alive_task = None
                self._write(answer, keep_alive=True)
                return
        self._begun = 0
        super().data_received(data)
        if key and self._begun == 1 and self._between and self._last is not None:
            self.remembered[key] = self._last
            if len(self.remembered) > MOST_KEPT:
                del self.remembered[next(iter(self.remembered))]
        elif self._fields is not None and self._waiting is None and not self.transport.is_closing():
            timer = self.loop.call_later(WAIT_SECONDS, self._waited)
            self._waiting = _Waiting(self.cycle, timer)
            self.cycle = self._waiting  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        """Begin a request without the scope that only ASGI reads."""
        self._between = False
        self._begun += 1
        self._last = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Keep a hot request for :meth:`on_message_complete`, hand any other on."""
        if (self.url in self.routes.paths or self.routes.takes(self.url)) and self._free():
            self._fields = self._hot_fields()
            if self._fields is not None:
                self._content = b""
                return
        self._replay_head()

    def on_body(self, body: bytes) -> None:
        """Gather the body of a hot request."""
        if self._fields is None:
            super().on_body(body)
        else:
            self._content = self._content + body if self._content else body

    def on_message_complete(self) -> None:
        """Answer a hot request, or replay it whole."""
        self._between = not self.parser.should_upgrade()
        fields = self._fields
        if fields is None:
            super().on_message_complete()
            return
        keep_alive = self._end_waiting() and self.parser.should_keep_alive()
        self._fields = None
        authorization = fields.get(b"authorization")
        asked = Asked(
            path=self.url,
            body=self._content,
            mark=None if authorization is None else mark_of(authorization),
            media_type=fields.get(b"content-type"),
            request_id=fields.get(b"x-request-id"),
            idempotency_key=fields.get(b"idempotency-key"),
        )
        if asked.path in self.routes.paths:
            if (answer := self.routes.answer(asked, self.client)) is not None:
                if keep_alive and asked.request_id is None:
                    self._last = asked
                self._write(answer, keep_alive=keep_alive)
                return
        else:
            # A request is under way until its answer is there; a stop waits for it.
            under_way = _UnderWay(keep_alive=keep_alive)
            if self.routes.begin(asked, self.client, partial(self._answer, under_way)):
                self.cycle = under_way  # type: ignore[assignment]
                return
        self._replay(keep_alive=keep_alive)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on after a cold answer."""
        super().on_response_complete()
        self._answered_at = self.loop.time()

    def pause_writing(self) -> None:
        """Read nothing more until what was answered is taken."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read again, now that what was answered is taken."""
        super().resume_writing()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _at_rest(self) -> bool:
        """Whether nothing of this connection is under way or not taken."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _free(self) -> bool:
        """Whether the connection is at rest, and the request asks for nothing special."""
        parser = self.parser
        return (
            self._at_rest()
            and not self.expect_100_continue
            and parser.get_method() == b"POST"
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        )

    def _hot_fields(self) -> dict[bytes, bytes] | None:
        """Return the headers that matter; None where any is unusual, comes twice or announces too much."""
        found: dict[bytes, bytes] = {}
        for name, value in self.headers:
            if name in _READ:
                if name in found:
                    return None
                found[name] = value
            elif name in _UNUSUAL:
                return None
        length = found.get(b"content-length", b"")
        return found if length.isdigit() and len(length) <= 7 and int(length) <= self.routes.most(self.url) else None

    def _answer(self, under_way: _UnderWay, ended: Ended) -> None:
        under_way.response_complete = True
        if under_way.disconnected or self.transport.is_closing():
            self.server_state.total_requests += 1
            return
        self._write(ended.answer, keep_alive=under_way.keep_alive, status=ended.status)
        if self.pipeline and not self.transport.is_closing():
            self.server_state.total_requests -= 1  # it counts once more where what waits is begun
            self.on_response_complete()

    def _write(self, answer: bytes, *, keep_alive: bool, status: int = 200) -> None:
        if not keep_alive:
            headers, end, content = answer.partition(b"\r\n\r\n")
            answer = b"".join((headers, b"\r\nconnection: close", end, content))
        default = self.server_state.default_headers
        begin = self.begins.with_headers(default) if status == 200 else _beginning(status, default)
        self.transport.write(begin + answer)
        self.server_state.total_requests += 1
        if not keep_alive:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self._idle is None:
            # One timer that looks when it is due: setting one for each request costs more than all else here.
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        self._idle = None
        if self.transport.is_closing():
            return
        busy = self._fields is not None or (self.cycle is not None and not self.cycle.response_complete)
        left = self.timeout_keep_alive if busy else self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._idle = self.loop.call_later(left, self._look_whether_idle)

    def _end_waiting(self) -> bool:
        """Take what stood for the request away; returns whether the connection may be kept (False: a stop was told)."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return True
        waiting.timer.cancel()
        self.cycle = waiting.before
        return waiting.keep_alive

    def _waited(self) -> None:
        """Hand a hot request that is slow to come on as far as it has come."""
        if self._fields is not None and not self.transport.is_closing():
            keep_alive = self._end_waiting()
            self._fields = None
            self._replay(keep_alive=keep_alive)

    def _replay(self, *, keep_alive: bool) -> None:
        """Hand on the head and what has come of the body."""
        self._replay_head()
        if not keep_alive:
            self.cycle.keep_alive = False
        if self._content:
            super().on_body(self._content)
            self._content = b""

    def _replay_head(self) -> None:
        """Tell uvicorn of this request from its beginning, by the callbacks with which a parser would."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
