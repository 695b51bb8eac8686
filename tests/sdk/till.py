"""A small server of usage: real HTTP on loopback by the wire shapes, failing in whatever way a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import msgspec

from licet.core.views import DecisionView, LimitView
from licet.wire.usage import (
    ClosingAnswer,
    CloudEvent,
    ConsumeAnswer,
    ConsumeAsked,
    EventsAnswer,
    ReserveAsked,
    SettleAsked,
    TakeView,
)
from tests.sdk.premises import Premises, say

Refusal = tuple[int, str, dict[str, str]]
"""A status, a problem's code, and headers."""


class Till(Premises):
    """One workspace's usage. ``limits`` is by feature; a feature without one has no end."""

    follow = "never"
    start_timeout = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[str, int] = {}
        self.used: dict[tuple[str, str], int] = {}
        self.keys: dict[str, bytes] = {}
        self.reserved: dict[str, dict[str, int]] = {}
        self.closed: dict[str, str] = {}
        self.events: dict[tuple[str, str], CloudEvent] = {}
        self.asked: list[tuple[str, Any]] = []
        self.batches: list[int] = []
        self.poison: set[str] = set()
        """Ids of events that it never takes."""
        self.refuse: list[Refusal] = []
        """What the next requests are answered, one each."""
        self.down: Refusal | None = None
        """What every request is answered."""
        self.portal: bytes | None = None
        """What a captive portal in front of it answers every request with, and 200."""
        self.cut_after = 0
        """So many requests are done, and their connection is cut before the answer."""
        self.before: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def got(self, desk: BaseHTTPRequestHandler) -> None:
        """Nobody may follow here."""
        _say(desk, 403, _problem(403, "forbidden"), {})

    def posted(self, desk: BaseHTTPRequestHandler, body: bytes) -> None:
        """Do what was asked, and answer it, unless it is to fail."""
        before, self.before = self.before, None
        if before is not None:
            before()
        with self._lock:
            self.asked.append((desk.path, json.loads(body or b"null")))
            refusal = self.down or (self.refuse.pop(0) if self.refuse else None)
            if refusal is not None:
                status, code, headers = refusal
                _say(desk, status, _problem(status, code), headers)
                return
            if self.portal is not None:
                _say(desk, 200, self.portal, {})
                return
            status, told = self._done(desk.path, body, desk.headers.get("Idempotency-Key", ""))
            if self.cut_after:
                self.cut_after -= 1
                desk.close_connection = True
                with suppress(OSError):
                    desk.connection.close()
                return
        _say(desk, status, told, {})

    def counted(self, customer: str, feature: str) -> int:
        """How much of a feature was used."""
        return self.used.get((customer, feature), 0)

    def told(self, kind: str) -> list[Any]:
        """The bodies of all requests to a path's end."""
        return [body for path, body in self.asked if path.endswith(kind)]

    def _done(self, path: str, body: bytes, key: str) -> tuple[int, bytes]:
        if path == "/v1/events":
            return self._report(msgspec.json.decode(body, type=list[CloudEvent]))
        if path == "/v1/consume":
            return self._consume(msgspec.json.decode(body, type=ConsumeAsked), "use_")
        if path == "/v1/reservations":
            return self._consume(msgspec.json.decode(body, type=ReserveAsked), "res_")
        reservation, verb = path.split("/")[-2:]
        settle = msgspec.json.decode(body, type=SettleAsked) if verb == "settle" else SettleAsked(used=0, key=key)
        return self._close(reservation, settle, {"settle": "settled", "release": "released"}[verb])

    def _consume(self, asked: ConsumeAsked, prefix: str) -> tuple[int, bytes]:
        if asked.key in self.keys:
            return 200, self.keys[asked.key]
        wants = {asked.feature: int(asked.quantity)} | {one.feature: int(one.quantity) for one in asked.also}
        over = [name for name, many in wants.items() if many > self._left(asked.customer, name)]
        if over and not asked.partial:
            refusals = tuple(refused(asked.customer, name, self._left(asked.customer, name)) for name in over)
            return 200, msgspec.json.encode(ConsumeAnswer(allowed=False, reason="limit_reached", refusals=refusals))
        taken = {name: min(many, self._left(asked.customer, name)) for name, many in wants.items()}
        made = f"{prefix}{len(self.keys):032x}"
        if prefix == "res_":
            self.reserved[made] = taken
        self._add(asked.customer, taken, 1)
        answer = ConsumeAnswer(
            allowed=True,
            reason="within_limit",
            id=made,
            quantity=taken[asked.feature],
            expires_at="2030-01-01T00:15:00Z" if prefix == "res_" else None,
            takes=self._takes(asked.customer, taken),
        )
        self.keys[asked.key or made] = msgspec.json.encode(answer)
        self.closed[f"{made}:customer"] = asked.customer
        return 200, self.keys[asked.key or made]

    def _close(self, reservation: str, asked: SettleAsked, how: Any) -> tuple[int, bytes]:
        if asked.key in self.keys:
            return 200, self.keys[asked.key]
        if reservation not in self.reserved:
            return 404, _problem(404, "not_found")
        if reservation in self.closed:
            return 409, _problem(409, self.closed[reservation])
        customer, held = self.closed[f"{reservation}:customer"], self.reserved[reservation]
        first = next(iter(held))
        used = held | {first: int(asked.used)} | {one.feature: int(one.quantity) for one in asked.also}
        if how == "released":
            used = dict.fromkeys(held, 0)
        self._add(customer, held, -1)
        self._add(customer, used, 1)
        self.closed[reservation] = "reservation_closed"
        answer = ClosingAnswer(id=reservation, closed=how, used=used[first], exceeded=used[first] > held[first])
        self.keys[str(asked.key)] = msgspec.json.encode(answer)
        return 200, self.keys[str(asked.key)]

    def _report(self, events: list[CloudEvent]) -> tuple[int, bytes]:
        self.batches.append(len(events))
        if any(one.id in self.poison for one in events):
            return 400, _problem(400, "invalid")
        new = {(one.source, one.id): one for one in events if (one.source, one.id) not in self.events}
        self.events |= new
        return 200, msgspec.json.encode(EventsAnswer(recorded=len(new), duplicates=len(events) - len(new), ignored=0))

    def _left(self, customer: str, feature: str) -> int:
        return self.limits.get(feature, 10**12) - self.counted(customer, feature)

    def _add(self, customer: str, amounts: dict[str, int], sign: int) -> None:
        for name, many in amounts.items():
            self.used[customer, name] = self.counted(customer, name) + sign * many

    def _takes(self, customer: str, taken: dict[str, int]) -> tuple[TakeView, ...]:
        return tuple(
            TakeView(
                feature=name,
                holder="",
                taken=many,
                used=self.counted(customer, name),
                granted=self.limits.get(name, "unlimited"),
                remaining=self._left(customer, name) if name in self.limits else "unlimited",
                resets_at=None,
            )
            for name, many in taken.items()
        )


@contextmanager
def open_till() -> Iterator[Till]:
    """A till as long as the block lasts."""
    till = Till()
    till.open()
    try:
        yield till
    finally:
        till.close()


def refused(customer: str, feature: str, left: int) -> DecisionView:
    """A decision that refuses because of a limit."""
    return DecisionView(
        allowed=False,
        reason="limit_reached",
        reasons=("limit_reached",),
        would_deny=None,
        customer=customer,
        feature=feature,
        type="metered",
        mode="enforce",
        value=None,
        limit=LimitView(amount=10, used=10 - left, remaining=left, per="month", at_limit="block", unit=None),
        sources=(),
        message=f"{feature}: all used.",
        remedy=None,
        valid_until=None,
        missing=(),
        basis="1:42",
    )


def _problem(status: int, code: str) -> bytes:
    return json.dumps({"code": code, "status": status, "detail": f"the till says {code}"}).encode()


def _say(desk: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    say(desk, status, "application/json" if status == 200 else "application/problem+json", body, headers)
