"""Clients that order over HTTP while the server dies under them: every request is repeated until it is acknowledged."""

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from licet.cli.failure import Failure
from licet.cli.remote import Answer, Remote
from licet.testing.stripe import SignedDelivery, StripeStory

WORKSPACE: Final = "test"
SOURCE: Final = "stripe"
SECRET: Final = "whsec_of_the_crash_cycles"
CUSTOMERS: Final = tuple(f"shared-{number}" for number in range(3))
PATIENCE_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.03
ORDERS: Final = "/v1/orders"


class Acknowledged(Struct, frozen=True, kw_only=True):
    """One request and its first definite answer. ``name`` is its cause in the log; ``tries`` how often it was sent."""

    name: str
    path: str
    body: bytes
    status: int
    answer: bytes
    tries: int

    @property
    def told(self) -> Any:
        """The answer, read."""
        return json.loads(self.answer)


class Town:
    """Where the clients meet: the server's address while there is one, what was acknowledged, what went wrong."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.url: str | None = None
        self.key = ""
        self.acknowledged: list[Acknowledged] = []
        self.wrong: list[str] = []
        self.broken = 0
        """Requests that ended without an answer: what they did is not known to their client."""
        self.refused = 0
        """Answers that said to come back later."""
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def insist(self, name: str, path: str, body: bytes, headers: Callable[[], dict[str, str]]) -> Any:
        """Send one request, the same again and again, until it has a definite answer; return that, read."""
        ends, tries = time.monotonic() + PATIENCE_SECONDS, 0
        while time.monotonic() < ends:
            url = self.url
            answer = None if url is None else self._send(url, path, body, headers())
            tries += url is not None
            if answer is None:
                time.sleep(PAUSE_SECONDS)
                continue
            if answer.status == 503 or (answer.status == 409 and b"idempotency_key_busy" in answer.body):
                self._refused(name, answer)
                time.sleep(PAUSE_SECONDS)
                continue
            return self._keep(name, path, body, answer, tries)
        self._complain(f"{name}: no definite answer within {PATIENCE_SECONDS} s")
        return None

    def _send(self, url: str, path: str, body: bytes, headers: dict[str, str]) -> Answer | None:
        """Send once, on a connection of its own; None where nothing came back."""
        try:
            with Remote(url, self.key if path == ORDERS else None) as remote:
                return remote.raw("POST", path, body=body, headers=headers)
        except Failure:
            with self._lock:
                self.broken += 1
            return None

    def _refused(self, name: str, answer: Answer) -> None:
        with self._lock:
            self.refused += 1
        if answer.status == 503 and "retry-after" not in answer.headers:
            self._complain(f"{name}: 503 without Retry-After: {answer.body!r}")

    def _keep(self, name: str, path: str, body: bytes, answer: Answer, tries: int) -> Any:
        if answer.status != 200:
            self._complain(f"{name}: {answer.status} {answer.body!r}")
            return None
        kept = Acknowledged(name=name, path=path, body=body, status=200, answer=answer.body, tries=tries)
        with self._lock:
            self.acknowledged.append(kept)
        return kept.told

    def _complain(self, words: str) -> None:
        with self._lock:
            self.wrong.append(words)


def order_by_hand(town: Town, client: int, cycle: int) -> None:
    """Until closing time: orders of one client's deals, each a newer state, some with a line nobody knows."""
    chance = random.Random(f"{town.seed}/{cycle}/crm/{client}")
    begins, step = datetime.now(UTC) - timedelta(hours=2), 0
    deal = f"deal-{cycle}-{client}"
    while not town.closing.is_set():
        step += 1
        lines: list[dict[str, object]] = [{"line": "1", "price": "MER-TEAM", "quantity": step}]
        if chance.random() < 0.25:
            lines.append({"line": "2", "price": f"MER-NOTHING-{client}", "quantity": 1})
        order = {
            "source": "crm",
            "external_id": deal,
            "customer": {"id": CUSTOMERS[client % len(CUSTOMERS)]},
            "occurred_at": (begins + timedelta(seconds=step)).isoformat(),
            "lines": lines,
        }
        name = f"{deal}-{step}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": name, "Licet-Cause": name}
        town.insist(name, ORDERS, json.dumps(order).encode(), lambda sent=headers: dict(sent))  # type: ignore[misc]


def deliver_as_stripe(town: Town, client: int, cycle: int) -> None:
    """Until closing time: what Stripe tells of one subscription, now and then twice, the first payment too early."""
    chance = random.Random(f"{town.seed}/{cycle}/stripe/{client}")
    begins = datetime.now(UTC) - timedelta(hours=2)
    told = StripeStory(SECRET, begins, customer=f"stripe-{cycle}-{client}", seed=chance.randrange(2**31))
    first, paid = told.subscribe("price_team_monthly", 1), told.pay()
    for delivery in (paid, first) if chance.random() < 0.5 else (first, paid):
        _deliver(town, delivery)
    step = 1
    while not town.closing.is_set():
        step += 1
        delivery = told.change_quantity(step)
        _deliver(town, delivery)
        if chance.random() < 0.2:
            _deliver(town, delivery)


def _deliver(town: Town, delivery: SignedDelivery) -> None:
    def headers() -> dict[str, str]:
        signed = delivery.signed(SECRET, int(time.time()))
        return {**signed.headers, "Idempotency-Key": delivery.id}

    name = f"delivery/{SOURCE}/{delivery.id}"
    town.insist(name, f"/v1/connectors/{WORKSPACE}/{SOURCE}", delivery.body, headers)
