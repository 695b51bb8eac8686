"""What the hot routes of usage do: ``POST /v1/consume``, ``/v1/reservations`` with ``…/settle`` and ``…/release``, and
``/v1/events``, taken at once and answered when the lane has decided.

Hot is what needs nothing but memory before the lane has it: a key the gate remembers, with the scope, bound to nobody
else, within its rate; a body that is read and fits. Everything else goes the cold way. What the lane takes is never
asked twice: from then on whatever comes of it, a problem too, is answered here, as the cold way would.
"""

import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec
from msgspec import Struct

from licet.api.call import Trail, actor_of
from licet.api.cloud_events import MEDIA_TYPES, decode_events
from licet.api.contract import JSON, Document, encode
from licet.api.hot import HotChecks
from licet.api.observe import HEADERS, NO_STORE, Line, Sent, finish, request_id
from licet.api.parts import Parts
from licet.api.refusals import from_service, unexpected
from licet.api.runner import idempotency_key
from licet.door.gate import Caller
from licet.door.hot import Asked, Ended
from licet.door.problems import PROBLEM_TYPE, Refusal
from licet.door.scan import scan
from licet.services.errors import ServiceError
from licet.services.rows import Actor
from licet.services.usage_jobs import Reply
from licet.services.usage_lane import UsageLane
from licet.telemetry import log
from licet.wire.usage import ConsumeAsked, EventsAnswer, ReserveAsked, SettleAsked

CONSUME: Final = b"/v1/consume"
RESERVE: Final = b"/v1/reservations"
EVENTS: Final = b"/v1/events"
_CLOSING: Final = re.compile(rb"/v1/reservations/(res_[0-9a-f]{32})/(settle|release)")
_FIXED: Final = frozenset({CONSUME, RESERVE, EVENTS})
_SETTLE: Final = "/v1/reservations/{reservation}/settle"
_RELEASE: Final = "/v1/reservations/{reservation}/release"

_consumes: Final = msgspec.json.Decoder(ConsumeAsked)
_reserves: Final = msgspec.json.Decoder(ReserveAsked)
_settles: Final = msgspec.json.Decoder(SettleAsked)
_HEAD: Final = tuple(b"%b: %b\r\n" % pair for pair in HEADERS)
_NO_STORE: Final = b"%b: %b\r\n" % NO_STORE
_REPLAYED: Final = b"idempotency-replayed: true\r\n"

Asking = Callable[[UsageLane, Actor, str | None], Awaitable[Reply | EventsAnswer]]
"""What is asked of the lane, by whom, under which idempotency key."""


class _Taken(Struct):
    """A request that was taken."""

    route: str
    ask: Asking
    caller: Caller
    key: str | None
    trail: Trail
    line: Line
    began: float


class HotUsage:
    """The routes of usage behind the hot door of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def takes(self, path: bytes) -> bool:
        """Return whether a target is one of these routes."""
        return path in _FIXED or _CLOSING.fullmatch(path) is not None

    def begin(self, asked: Asked, client: tuple[str, int] | None) -> Coroutine[Any, Any, Ended] | None:
        """Take a request as :class:`licet.door.hot.HotRoutes` asks."""
        began = time.perf_counter()
        parts = self._parts
        now = parts.clock.monotonic()
        try:
            if asked.mark is None or parts.traces.on:
                return None
            caller = parts.gate.admit_now(asked.mark, now, parts.clock.wall)
            if caller is None or ("usage" not in caller.scopes and "admin" not in caller.scopes):
                return None
            route, ask = _read(asked, caller)
            key = None if asked.idempotency_key is None else idempotency_key(asked.idempotency_key)
            if parts.rate.take(caller.key, now) > 0:
                return None
        except (Refusal, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None
        except Exception:  # noqa: BLE001 a defect here is answered the cold way, and logged whole
            log("licet.api").exception("failed", route=asked.path.decode())
            return None
        trail = Trail(request_id=request_id(asked.request_id), route=route, caller=caller)
        line = Line("POST", asked.path, "" if client is None else client[0])
        return self._answer(_Taken(route, ask, caller, key, trail, line, began))

    async def _answer(self, taken: _Taken) -> Ended:
        """Ask the lane, and return the answer as it leaves; what goes wrong is a problem."""
        parts, caller, trail = self._parts, taken.caller, taken.trail
        metrics = parts.metrics
        metrics.begin()
        metrics.hot += 1
        ended, size = _failed(Refusal("internal", "the request was not answered"), trail)
        try:
            told = await taken.ask(parts.lanes.of(caller.workspace), actor_of(caller), taken.key)
            ended, size = _told(told, trail)
        except Refusal as refusal:
            ended, size = _failed(refusal, trail)
        except ServiceError as error:
            ended, size = _failed(from_service(error), trail)
        except Exception as error:  # noqa: BLE001 a defect is answered as a problem, and logged whole
            log("licet.api").exception("failed", route=taken.route, request_id=trail.request_id)
            ended, size = _failed(unexpected(error), trail)
        finally:
            finish(metrics, trail, taken.line, Sent(ended.status, size, time.perf_counter() - taken.began))
        return ended


def _read(asked: Asked, caller: Caller) -> tuple[str, Asking]:
    """Return the route of a request and what it asks; raises what refuses it, for the cold way to say."""
    path, body = asked.path, asked.body
    if path == EVENTS:
        return EVENTS.decode(), _report(asked, caller)
    if asked.media_type not in (None, b"application/json"):
        raise ValueError
    closing = _CLOSING.fullmatch(path)
    if closing is None or closing[2] == b"settle" or body:
        scan(body)
    if path == CONSUME:
        asks = _consumes.decode(body)
        caller.may_see(asks.customer)
        return CONSUME.decode(), lambda lane, actor, key: lane.consume(actor, asks, key)
    if path == RESERVE:
        wants = _reserves.decode(body)
        caller.may_see(wants.customer)
        return RESERVE.decode(), lambda lane, actor, key: lane.reserve(actor, wants, key)
    if closing is None:
        raise ValueError
    reservation = closing[1].decode()
    if closing[2] == b"settle":
        said = _settles.decode(body)
        return _SETTLE, lambda lane, actor, key: lane.settle(actor, reservation, said, key)
    if body.strip() not in (b"", b"{}"):
        raise ValueError
    return _RELEASE, lambda lane, actor, key: lane.release(actor, reservation, key)


def _report(asked: Asked, caller: Caller) -> Asking:
    """Return the events of a request as they are asked of the lane; in binary mode they do not come here."""
    media = JSON if asked.media_type is None else asked.media_type.decode()
    if media not in MEDIA_TYPES:
        raise ValueError
    events = decode_events(Document(asked.body, media))
    for event in events:
        caller.may_see(event.subject)
    return lambda lane, actor, _: lane.report(actor, events, size=len(asked.body))


def _told(told: Reply | EventsAnswer, trail: Trail) -> tuple[Ended, int]:
    if isinstance(told, EventsAnswer):
        return _whole(200, JSON, encode(told), trail)
    trail.replayed = told.repeated
    return _whole(200, JSON, told.body, trail, _REPLAYED if told.repeated else b"")


def _failed(refusal: Refusal, trail: Trail) -> tuple[Ended, int]:
    trail.problem = refusal.code
    more = b"".join(b"%b: %b\r\n" % (name.lower().encode(), said.encode()) for name, said in refusal.headers.items())
    return _whole(refusal.kind.status, PROBLEM_TYPE, refusal.body(trail.request_id), trail, more)


def _whole(status: int, media: str, content: bytes, trail: Trail, more: bytes = b"") -> tuple[Ended, int]:
    """Return a whole answer after its status line, and how long its body is."""
    kind = b"content-type: %b\r\ncontent-length: %d\r\n" % (media.encode(), len(content))
    name = b"x-request-id: %b\r\n" % trail.request_id.encode()
    return Ended(status, b"".join((more, kind, *_HEAD, name, _NO_STORE, b"\r\n", content))), len(content)


class HotRoutes:
    """Everything behind the hot door of one server: checks are answered at once, usage later."""

    def __init__(self, checks: HotChecks, usage: HotUsage) -> None:
        self.paths = checks.paths
        self.answer = checks.answer
        self.takes = usage.takes
        self.begin = usage.begin
