"""Around every request: its id, its line in the access log, its count and time, and the headers of every answer.

What is done here is done for each request, whichever way it is answered: the hot door calls the same functions as the
ASGI application does, so that neither way can forget anything.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes
from uuid import uuid4

from licet.api.call import TRAIL, Trail
from licet.door.hot import HotRoutes
from licet.door.limits import MAX_REQUEST_ID
from licet.telemetry import Metrics, heard, log_request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,%d}" % MAX_REQUEST_ID)
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE: Final = "".join(chr(code) for code in range(33, 127) if chr(code) not in "%/")
_FIRST_ID: Final = uuid4().hex[:20]
_NUMBERS: Final = count(1)
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
)


NO_STORE: Final = (b"cache-control", b"no-store")


class Line(NamedTuple):
    """What a line of the access log says of a request itself: ``path`` as it was sent, ``client`` its address."""

    method: str
    path: bytes
    client: str


class Sent(NamedTuple):
    """What was answered: bytes of the body, seconds from the request to the answer's end."""

    status: int
    size: int
    seconds: float


class Observed:
    """The ASGI application that is served: another one, watched."""

    def __init__(self, app: App, metrics: Metrics, leave: Callable[[], None], hot: HotRoutes) -> None:
        self._app = app
        self._metrics = metrics
        self.leave = leave
        """To be called when the server is to stop: answers that would go on for ever end."""
        self.hot = hot
        """What is answered before this application, where the server can."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on; only HTTP requests are watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trail = Trail(request_id=request_id(_given_id(scope)))
        scope[TRAIL] = trail
        scope["path"] = routed(scope["raw_path"])
        began = time.perf_counter()
        status = 500
        sent = 0

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(message.get("headers", ()), trail)
            else:
                sent += len(message.get("body", b""))
            await send(message)

        self._metrics.begin()
        try:
            await self._app(scope, receive, noted)
        finally:
            line = Line(scope["method"], scope["raw_path"], (scope.get("client") or ("",))[0])
            finish(self._metrics, trail, line, Sent(status, sent, time.perf_counter() - began))


def routed(raw: bytes) -> str:
    """Return the path for routing: decoded, except that ``%2F`` stays inside its part, so that an id may hold ``/``.

    A part is decoded once more (percent-encoding only) where it is read.
    """
    path = raw.partition(b"?")[0]
    if b"%" not in path:
        return path.decode("latin-1")
    return "/".join(quote(unquote_to_bytes(part), safe=_SAFE) for part in path.split(b"/"))


def request_id(given: bytes | None) -> str:
    """Return the id of a request: that of its ``X-Request-Id``, if it can be one, or a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return f"req_{_FIRST_ID}{next(_NUMBERS):012x}"


def finish(metrics: Metrics, trail: Trail, line: Line, sent: Sent) -> None:
    """Count an answered request and write its line into the access log."""
    method = line.method if line.method in _METHODS else "other"
    metrics.end(method, trail.route, sent.status, sent.seconds)
    if heard():
        write_line(trail, line, sent)


def write_line(trail: Trail, line: Line, sent: Sent) -> None:
    """Write the line of one request into the access log."""
    caller = trail.caller
    log_request(
        logging.DEBUG if trail.route in _QUIET else logging.INFO,
        {
            "request_id": trail.request_id,
            "method": line.method,
            "path": line.path.decode("latin-1")[:500],
            "route": trail.route,
            "status": sent.status,
            "problem": trail.problem,
            "replayed": trail.replayed,
            "milliseconds": round(sent.seconds * 1000, 3),
            "bytes": sent.size,
            "key": caller.key if caller else None,
            "workspace": caller.workspace if caller else None,
            "client": line.client,
        },
    )


def _given_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


def _with_ours(headers: Any, trail: Trail) -> list[tuple[bytes, bytes]]:
    ours = [*headers, *HEADERS, (b"x-request-id", trail.request_id.encode("ascii"))]
    if all(name.lower() != b"cache-control" for name, _ in headers):
        ours.append(NO_STORE)
    return ours
