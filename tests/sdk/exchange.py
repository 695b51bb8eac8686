"""A small server of quota: a feed of features that are decided locally, and the real authority over books."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import msgspec

from licet.core.instant import Instant
from licet.core.quantity import parse_quantity
from licet.evaluator.slices import Key
from licet.hub.authority import Disagreement, answer, lapse, recall
from licet.hub.lease import Lease
from licet.sdk.standing import wall
from licet.wire.quota import QuotaAnswer, QuotaCall
from licet.wire.usage import ConsumeAnswer, ConsumeAsked, ReserveAsked
from tests.evaluator.authority import Authority
from tests.sdk.office import LONG_AGO, Office
from tests.sdk.premises import say
from tests.sdk.till import refused
from tests.simulation.books import Books, Cap, Database

YEAR: Final = 366 * 86_400 * 1_000_000
GIVEN: Final = {"api": 10_000, "ai": 100, "chat": 10_000, "render": 10_000}
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"m": {"name": "M"}},
    "meters": {
        "calls": {"event": "call", "aggregate": "sum"},
        "minutes": {"event": "minute", "aggregate": "sum", "scale": 2},
        "chats": {"event": "chat", "aggregate": "sum"},
        "renders": {"event": "render", "aggregate": "sum"},
    },
    "features": {
        "api": {"type": "metered", "meter": "calls", "decide": "local"},
        "ai": {"type": "metered", "meter": "minutes", "decide": "local"},
        "chat": {"type": "metered", "meter": "chats", "decide": "local", "when": '"member" in user.roles'},
        "render": {"type": "metered", "meter": "renders"},
    },
    "plans": {
        "team": {
            "product": "m",
            "versions": {"1": {"includes": {"api": 10_000, "ai": 100, "chat": 10_000, "render": 10_000}}},
        }
    },
}
LIMIT: Final = 10_000
"""Minor units of each feature of each customer."""


class Exchange(Office):
    """One workspace of which ``acme`` and ``tiny`` have every feature."""

    def __init__(self) -> None:
        super().__init__()
        self.authority = Authority(document=CATALOG)
        self.limits = {Key(who, what): LIMIT for who in ("acme", "tiny") for what in ("api", "ai", "chat", "render")}
        self.authority.put(_terms("acme"))
        self.authority.put(_terms("tiny"))
        self.database = Database({key: Cap(YEAR, 100 * YEAR, ((0, many),)) for key, many in self.limits.items()})
        self.calls: list[QuotaCall] = []
        self.asked_in_vain = 0
        """Requests for quota while it was down."""
        self.consumed: list[ConsumeAsked] = []
        self.down = False
        """Nobody answers with anything but 503."""
        self.lacks: int | None = None
        """The status of a server that issues no quota."""
        self.before: Callable[[QuotaCall], None] | None = None
        """Called with each call, before it is answered."""
        self.cut_after = 0
        """So many calls are done, and their connection is cut before the answer."""
        self._desk = threading.Lock()
        self._numbers = 0

    def posted(self, desk: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer what asks for quota or consumes; take what is told else."""
        if self.down:
            self.asked_in_vain += desk.path == "/v1/quota-leases"
            say(desk, 503, "application/problem+json", b'{"code":"unavailable","status":503,"detail":"busy"}')
        elif desk.path == "/v1/quota-leases":
            self._lease(desk, msgspec.json.decode(body, type=QuotaCall))
        elif desk.path in ("/v1/consume", "/v1/reservations"):
            asked = msgspec.json.decode(body, type=ConsumeAsked if desk.path == "/v1/consume" else ReserveAsked)
            with self._desk:
                told = self._consume(asked)
            say(desk, 200, "application/json", msgspec.json.encode(told))
        else:
            super().posted(desk, body)

    def left(self, customer: str = "acme", feature: str = "api") -> int:  # type: ignore[override]
        """What is in the pool; what is owned is not."""
        balance = self.database.primary.balances.get(Key(customer, feature))
        return 0 if balance is None else balance.left()

    def leases(self, feature: str = "api") -> list[Lease]:
        """Every lease of a feature."""
        return [one for one in self.database.primary.leases.values() if one.feature == feature and one.owner != "hub"]

    def used(self, feature: str = "api") -> int:
        """What is known to have been used of a feature."""
        return sum(one.used for one in self.database.primary.leases.values() if one.feature == feature)

    def written_off(self, feature: str = "api") -> int:
        """What is charged and nobody told of as used."""
        return sum(one.written_off for one in self.leases(feature))

    def recall(self) -> None:
        """Ask for everything back."""
        self._do(lambda books: recall(books, [one for one in self.leases() if one.state == "open"], wall()))

    def restore(self) -> None:
        """Raise the epoch, as after an older copy was restored, and charge what was out."""
        self.database.primary.epoch += 1
        self._do(lambda books: lapse(books, self.leases(), wall()))

    def _do(self, work: Callable[[Books], Any]) -> Any:
        with self._desk:
            books = Books(self.database.primary)
            done = work(books)
            self.database.commit(books.operations)
            return done

    def _lease(self, desk: BaseHTTPRequestHandler, call: QuotaCall) -> None:
        self.calls.append(call)
        if self.before is not None:
            self.before(call)
        if self.lacks is not None:
            say(desk, self.lacks, "application/problem+json", b'{"code":"not_found","status":404,"detail":"no"}')
            return
        try:
            told: QuotaAnswer = self._do(lambda books: answer(books, call, wall()))
        except Disagreement as wrong:
            body = msgspec.json.encode({"code": "quota_disagreement", "status": 409, "detail": str(wrong)})
            say(desk, 409, "application/problem+json", body)
            return
        if self.cut_after:
            self.cut_after -= 1
            desk.close_connection = True
            desk.connection.close()
            return
        say(desk, 200, "application/json", msgspec.json.encode(told))

    def _consume(self, asked: ConsumeAsked) -> ConsumeAnswer:
        self.consumed.append(asked)
        wants = {asked.feature: _minor(asked.feature, asked.quantity)}
        wants |= {one.feature: _minor(one.feature, one.quantity) for one in asked.also}
        over = [name for name, many in wants.items() if many > self.left(asked.customer, name)]
        if over:
            refusals = tuple(refused(asked.customer, name, self.left(asked.customer, name)) for name in over)
            return ConsumeAnswer(allowed=False, reason="limit_reached", refusals=refusals)
        books = Books(self.database.primary)
        for name, many in wants.items():
            self._numbers += 1
            books.issue(_direct(f"{self._numbers:032x}", asked.customer, name, many, wall()), wall())
        self.database.commit(books.operations)
        return ConsumeAnswer(
            allowed=True, reason="within_limit", id=f"use_{self._numbers:032x}", quantity=asked.quantity
        )


@contextmanager
def open_exchange() -> Iterator[Exchange]:
    """An exchange as long as the block lasts."""
    made = Exchange()
    made.open()
    try:
        yield made
    finally:
        made.close()


def _terms(customer: str) -> dict[str, Any]:
    items = [{"kind": "plan", "id": "team", "version": "1"}]
    phases = [{"starts_at": LONG_AGO, "items": items}]
    return {"customer": customer, "subscriptions": [{"id": "sub_1", "phases": phases}]}


def _minor(feature: str, quantity: int | str) -> int:
    return parse_quantity(quantity, 2 if feature == "ai" else 0)


def _direct(name: str, customer: str, feature: str, many: int, now: Instant) -> Lease:
    """What the hub took at once."""
    return Lease(
        id=name,
        owner="hub",
        epoch=1,
        customer=customer,
        feature=feature,
        amount=many,
        issued=now,
        until=now,
        state="proven",
        used=many,
    )
