"""Around every request: its id, its line in the access log, its count and time, and the headers of every answer."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes
from uuid import uuid4

from licet.api.call import TRAIL, Trail
from licet.door.limits import MAX_REQUEST_ID
from licet.telemetry import Metrics, log

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,%d}" % MAX_REQUEST_ID)
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE: Final = "".join(chr(code) for code in range(33, 127) if chr(code) not in "%/")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
)


class Observed:
    """The ASGI application that is served: another one, watched."""

    def __init__(self, app: App, metrics: Metrics, leave: Callable[[], None]) -> None:
        self._app = app
        self._metrics = metrics
        self.leave = leave
        """To be called when the server is to stop: answers that would go on for ever end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on; only HTTP requests are watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trail = Trail(request_id=_request_id(scope))
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
            seconds = time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.end(method, trail.route, status, seconds)
            _log(scope, trail, status, sent, seconds)


def routed(raw: bytes) -> str:
    """Return the path for routing: decoded, except that ``%2F`` stays inside its part, so that an id may hold ``/``.

    A part is decoded once more (percent-encoding only) where it is read.
    """
    path = raw.partition(b"?")[0]
    if b"%" not in path:
        return path.decode("latin-1")
    return "/".join(quote(unquote_to_bytes(part), safe=_SAFE) for part in path.split(b"/"))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return f"req_{uuid4().hex}"


def _with_ours(headers: Any, trail: Trail) -> list[tuple[bytes, bytes]]:
    ours = [*headers, *_HEADERS, (b"x-request-id", trail.request_id.encode("ascii"))]
    if all(name.lower() != b"cache-control" for name, _ in headers):
        ours.append((b"cache-control", b"no-store"))
    return ours


def _log(scope: Scope, trail: Trail, status: int, sent: int, seconds: float) -> None:
    logger = log("licet.access")
    caller = trail.caller
    tell = logger.debug if trail.route in _QUIET else logger.info
    tell(
        "request",
        request_id=trail.request_id,
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1")[:500],
        route=trail.route,
        status=status,
        problem=trail.problem,
        replayed=trail.replayed,
        milliseconds=round(seconds * 1000, 3),
        bytes=sent,
        key=caller.key if caller else None,
        workspace=caller.workspace if caller else None,
        client=(scope.get("client") or ("",))[0],
    )
