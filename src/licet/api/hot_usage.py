"""What the hot routes of usage do: ``POST /v1/consume``, ``/v1/reservations`` with ``…/settle`` and ``…/release``,
``/v1/quota-leases`` and ``/v1/events``, taken at once and answered when the lane has decided.

Hot is what needs nothing but memory before the lane has it: a key the gate remembers, with the scope, bound to nobody
else, within its rate; a body that is read and fits. Everything else goes the cold way. What the lane takes is never
asked twice: from then on whatever comes of it, a problem too, is answered here, as the cold way would.
"""

import asyncio
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

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
from licet.api.v1.quota_leases import count_leases, customers_of
from licet.door.gate import Caller
from licet.door.hot import MOST_BODY, Asked, Ended
from licet.door.problems import PROBLEM_TYPE, Refusal
from licet.door.scan import scan
from licet.services.errors import ServiceError
from licet.services.rows import Actor
from licet.services.usage.jobs import Offer, Reply, admitting, owning, releasing, reporting, settling
from licet.telemetry import log
from licet.wire.quota import QuotaCall
from licet.wire.usage import ConsumeAsked, EventsAnswer, ReserveAsked, SettleAsked

CONSUME: Final = b"/v1/consume"
RESERVE: Final = b"/v1/reservations"
EVENTS: Final = b"/v1/events"
LEASES: Final = b"/v1/quota-leases"
MOST_EVENTS: Final = 262_144
"""Bytes of a hot request that reports events: some 1,000 of them, read within milliseconds."""
_CLOSING: Final = re.compile(rb"/v1/reservations/(res_[0-9a-f]{32})/(settle|release)")
_FIXED: Final = frozenset({CONSUME, RESERVE, EVENTS, LEASES})
_DECIDED: Final = {CONSUME.decode(): "consume", RESERVE.decode(): "reserve"}
_LEASES: Final = LEASES.decode()
_SETTLE: Final = "/v1/reservations/{reservation}/settle"
_RELEASE: Final = "/v1/reservations/{reservation}/release"

_consumes: Final = msgspec.json.Decoder(ConsumeAsked)
_reserves: Final = msgspec.json.Decoder(ReserveAsked)
_settles: Final = msgspec.json.Decoder(SettleAsked)
_calls: Final = msgspec.json.Decoder(QuotaCall)
_HEAD: Final = b"".join(b"%b: %b\r\n" % pair for pair in HEADERS)
_REST: Final = b"%b: %b\r\n\r\n" % NO_STORE
_REPLAYED: Final = b"idempotency-replayed: true\r\n"

Offering = Callable[[Actor, str | None], Offer]
"""What is asked of the lane, given by whom and under which idempotency key."""


class _Taken(Struct):
    """A request that was taken."""

    trail: Trail
    line: Line
    began: float
    done: Callable[[Ended], None]


class HotUsage:
    """The routes of usage behind the hot door of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def takes(self, path: bytes) -> bool:
        """Return whether a target is one of these routes."""
        return path in _FIXED or _CLOSING.fullmatch(path) is not None

    def most(self, path: bytes) -> int:
        """Return how many bytes a hot body may have."""
        return MOST_EVENTS if path == EVENTS else MOST_BODY

    def begin(self, asked: Asked, client: tuple[str, int] | None, done: Callable[[Ended], None]) -> bool:
        """Take a request as :class:`licet.door.hot.HotRoutes` asks."""
        began = time.perf_counter()
        parts = self._parts
        now = parts.clock.monotonic()
        try:
            if asked.mark is None or parts.traces.on:
                return False
            caller = parts.gate.admit_now(asked.mark, now, parts.clock.wall)
            if caller is None or ("usage" not in caller.scopes and "admin" not in caller.scopes):
                return False
            route, offering = _read(asked, caller)
            key = None if asked.idempotency_key is None else idempotency_key(asked.idempotency_key)
            if parts.rate.take(caller.key, now) > 0:
                return False
        except (Refusal, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return False
        except Exception:  # noqa: BLE001 a defect here is answered the cold way, and logged whole
            log("licet.api").exception("failed", route=asked.path.decode())
            return False
        trail = Trail(request_id=request_id(asked.request_id), route=route, caller=caller)
        line = Line("POST", asked.path, "" if client is None else client[0])
        taken = _Taken(trail, line, began, done)
        parts.metrics.begin()
        parts.metrics.hot += 1
        decided = partial(self._decided, taken)
        try:
            parts.lanes.of(caller.workspace).take(offering(actor_of(caller), key), decided)
        except Exception as error:  # noqa: BLE001 it is answered as what is decided later would be
            asyncio.get_running_loop().call_soon(decided, error)
        return True

    def _decided(self, taken: _Taken, told: Reply | EventsAnswer | Exception) -> None:
        """Answer what the lane has decided; what went wrong is a problem."""
        trail = taken.trail
        metrics = self._parts.metrics
        kind = _DECIDED.get(trail.route)
        if kind is not None and isinstance(told, Reply) and not told.repeated:
            metrics.used(kind, told.reason, told.allowed)
        if trail.route == _LEASES and isinstance(told, Reply):
            count_leases(metrics, told.body)
        ended, size = _ended(told, trail)
        sent = Sent(ended.status, size, time.perf_counter() - taken.began)
        finish(metrics, trail, taken.line, sent)
        taken.done(ended)


def _read(asked: Asked, caller: Caller) -> tuple[str, Offering]:
    """Return the route of a request and what it asks; raises what refuses it, for the cold way to say."""
    path, body = asked.path, asked.body
    if path == EVENTS:
        return EVENTS.decode(), _report(asked, caller)
    if asked.media_type not in (None, b"application/json"):
        raise ValueError
    closing = None if path in _FIXED else _CLOSING.fullmatch(path)
    if closing is None or closing[2] == b"settle" or body:
        scan(body)
    if path == CONSUME:
        asks = _consumes.decode(body)
        caller.may_see(asks.customer)
        return CONSUME.decode(), lambda actor, key: admitting(actor, "consume", asks, key)
    if path == RESERVE:
        wants = _reserves.decode(body)
        caller.may_see(wants.customer)
        return RESERVE.decode(), lambda actor, key: admitting(actor, "reserve", wants, key)
    if path == LEASES:
        call = _calls.decode(body)
        for customer in customers_of(call):
            caller.may_see(customer)
        return _LEASES, lambda actor, _: owning(actor, call)
    if closing is None:
        raise ValueError
    reservation = closing[1].decode()
    if closing[2] == b"settle":
        said = _settles.decode(body)
        return _SETTLE, lambda actor, key: settling(actor, reservation, said, key)
    if body.strip() not in (b"", b"{}"):
        raise ValueError
    return _RELEASE, lambda actor, key: releasing(actor, reservation, key)


def _report(asked: Asked, caller: Caller) -> Offering:
    """Return the events of a request as they are asked of the lane; in binary mode they do not come here."""
    media = JSON if asked.media_type is None else asked.media_type.decode()
    if media not in MEDIA_TYPES:
        raise ValueError
    events = decode_events(Document(asked.body, media))
    for event in events:
        caller.may_see(event.subject)
    return lambda actor, _: reporting(actor, events, len(asked.body))


def _ended(told: Reply | EventsAnswer | Exception, trail: Trail) -> tuple[Ended, int]:
    if isinstance(told, Reply):
        trail.replayed = told.repeated
        return _whole(200, JSON, told.body, trail, _REPLAYED if told.repeated else b"")
    if isinstance(told, EventsAnswer):
        return _whole(200, JSON, encode(told), trail)
    if isinstance(told, Refusal):
        return _failed(told, trail)
    if isinstance(told, ServiceError):
        return _failed(from_service(told), trail)
    log("licet.api").error("failed", route=trail.route, request_id=trail.request_id, exc_info=told)
    return _failed(unexpected(told), trail)


def _failed(refusal: Refusal, trail: Trail) -> tuple[Ended, int]:
    trail.problem = refusal.code
    more = b"".join(b"%b: %b\r\n" % (name.lower().encode(), said.encode()) for name, said in refusal.headers.items())
    return _whole(refusal.kind.status, PROBLEM_TYPE, refusal.body(trail.request_id), trail, more)


def _whole(status: int, media: str, content: bytes, trail: Trail, more: bytes = b"") -> tuple[Ended, int]:
    """Return a whole answer after its status line, and how long its body is."""
    size, name = len(content), trail.request_id.encode()
    kind = b"%bcontent-type: %b\r\ncontent-length: %d\r\n" % (more, media.encode(), size)
    return Ended(status, b"%b%bx-request-id: %b\r\n%b%b" % (kind, _HEAD, name, _REST, content)), size


class HotRoutes:
    """Everything behind the hot door of one server: checks are answered at once, usage later."""

    def __init__(self, checks: HotChecks, usage: HotUsage) -> None:
        self.paths = checks.paths
        self.answer = checks.answer
        self.takes = usage.takes
        self.most = usage.most
        self.begin = usage.begin
