"""What must be true of a database after any crash: nothing acknowledged is lost, nothing is half, nothing is twice."""

import json
from collections import Counter, defaultdict
from typing import Any

import asyncpg
import msgspec

from licet.seal.chain import genesis
from licet.seal.envelope import unseal
from licet.seal.keyring import Keyring
from licet.store.idempotency import purpose_of
from tests.chaos.traffic import ORDERS, SOURCE, WORKSPACE, Acknowledged

EVENTS = (
    "SELECT seq, id, type, cause, subject, revision, after, prev, hash FROM event WHERE workspace_id = $1 ORDER BY seq"
)
TERMS = "SELECT customer, revision, seq, doc FROM terms WHERE workspace_id = $1 ORDER BY customer, revision"
DELIVERIES = "SELECT id, outcome, type FROM delivery WHERE workspace_id = $1 AND source = $2"
ANSWERS = "SELECT route, key, status, body FROM idempotency WHERE workspace_id = $1"
FINDINGS = "SELECT kind, subject, seen FROM finding WHERE workspace_id = $1"
TIP = "SELECT seq, hash FROM log_tip WHERE workspace_id = $1"
CHANGES = ("subscription.created", "subscription.changed", "payment.recorded")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the log."""

    seq: int
    id: str
    type: str
    cause: str | None
    subject: str
    revision: int | None
    after: Any
    prev: bytes
    hash: bytes


class Ledger:
    """Everything one workspace holds, read in one view; each check returns what it found wrong."""

    def __init__(self, events: list[Event], terms: list[Any], kept: dict[str, Any], tip: tuple[int, bytes]) -> None:
        self.events = events
        self.terms = terms
        self.kept = kept
        self.deliveries: dict[str, str] = kept["deliveries"]
        self.answers: dict[str, bytes] = kept["answers"]
        self.findings: Counter[str] = kept["findings"]
        self.tip = tip
        self.by_cause: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            self.by_cause[event.cause or ""].append(event)

    @classmethod
    async def read(cls, dsn: str, keyring: Keyring) -> "Ledger":
        """Read the workspace as a superuser, who sees past row-level security; kept answers open with the keyring."""
        conn = await asyncpg.connect(dsn)
        try:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                rows = [dict(row) for row in await conn.fetch(EVENTS, WORKSPACE)]
                events = [Event(**row | {"after": json.loads(row["after"] or "null")}) for row in rows]
                terms = [dict(row) | {"doc": json.loads(row["doc"])} for row in await conn.fetch(TERMS, WORKSPACE)]
                kept: dict[str, Any] = {
                    "deliveries": {
                        row["id"]: row["outcome"] for row in await conn.fetch(DELIVERIES, WORKSPACE, SOURCE)
                    },
                    "answers": {
                        row["key"]: unseal(keyring, WORKSPACE, purpose_of(row["route"], row["key"]), row["body"])
                        for row in await conn.fetch(ANSWERS, WORKSPACE)
                    },
                    "findings": Counter(),
                }
                for row in await conn.fetch(FINDINGS, WORKSPACE):
                    kept["findings"][row["kind"]] += row["seen"]
                tip = await conn.fetchrow(TIP, WORKSPACE)
        finally:
            await conn.close()
        assert tip is not None
        return cls(events, terms, kept, (tip["seq"], tip["hash"]))

    def altered(self, **parts: Any) -> "Ledger":
        """Return a copy with some parts replaced, to see whether that is noticed."""
        kept = self.kept | {name: part for name, part in parts.items() if name in self.kept}
        return Ledger(parts.get("events", self.events), parts.get("terms", self.terms), kept, self.tip)

    def faults(self, acknowledged: list[Acknowledged]) -> list[str]:
        """Return everything that does not fit, one sentence each."""
        return [
            *self._log(),
            *self._halves(),
            *self._twice(),
            *self._lost(acknowledged),
            *self._strangers(acknowledged),
        ]

    def _log(self) -> list[str]:
        """The sequence has no gap, each entry continues the one before, and the tip is the last."""
        wrong, before = [], genesis(WORKSPACE)
        for position, event in enumerate(self.events, start=1):
            if event.seq != position or event.prev != before:
                wrong.append(f"entry {event.seq} stands at {position} and does not continue the one before")
            before = event.hash
        if self.tip != (len(self.events), before):
            wrong.append(f"the tip is {self.tip[0]}, the last entry {len(self.events)}")
        return wrong

    def _halves(self) -> list[str]:
        """Revisions of terms and the events that made them are one to one, in one transaction, with one content."""
        by_seq = {event.seq: event for event in self.events}
        made = {
            (event.subject.removeprefix("customer/"), event.revision): event
            for event in self.events
            if event.type in CHANGES
        }
        wrong, numbers = [], Counter[str]()
        for row in self.terms:
            customer, revision = row["customer"], row["revision"]
            event, last = made.pop((customer, revision), None), by_seq.get(row["seq"])
            numbers[customer] += 1
            if revision == 1 and event is None:
                continue  # a customer begins with empty terms
            if numbers[customer] != revision:
                wrong.append(f"terms of {customer} skip to revision {revision}")
            if event is None or last is None:
                wrong.append(f"terms of {customer} at {revision} have no event")
            elif event.cause != last.cause or not event.seq <= last.seq:
                wrong.append(f"terms of {customer} at {revision} and event {event.seq} are of two transactions")
            elif event.type != "payment.recorded" and event.after not in row["doc"]["subscriptions"]:
                wrong.append(f"terms of {customer} at {revision} differ from what event {event.seq} tells")
        wrong += [f"event {event.seq} tells of a revision that is not there: {key}" for key, event in made.items()]
        told = Counter(
            kind for event in self.events if event.type.startswith("order.") for kind in event.after["findings"]
        )
        if told != self.findings:
            wrong.append(f"events tell of findings {dict(told)}, kept are {dict(self.findings)}")
        return wrong

    def _twice(self) -> list[str]:
        """No request has two effects: one order event for each cause, and one subscription for each foreign one."""
        wrong = []
        for cause, events in self.by_cause.items():
            orders = Counter(event.subject for event in events if event.type.startswith("order."))
            if cause and any(count > 1 for count in orders.values()):
                wrong.append(f"{cause} had an effect twice: {[(event.seq, event.type) for event in events]}")
        payments = Counter(json.dumps(event.after) for event in self.events if event.type == "payment.recorded")
        wrong += [f"a payment is recorded {count} times: {payment}" for payment, count in payments.items() if count > 1]
        newest = {row["customer"]: row["doc"] for row in self.terms}
        foreign = Counter(
            (sub["source"], sub["external_id"]) for doc in newest.values() for sub in doc["subscriptions"]
        )
        return wrong + [f"{name} is sold {count} times" for name, count in foreign.items() if count > 1]

    def _lost(self, acknowledged: list[Acknowledged]) -> list[str]:
        """What was acknowledged is there, as it was told."""
        wrong, ids = [], {event.id: event for event in self.events}
        for one in acknowledged:
            told = one.told
            if one.path == ORDERS:
                event = ids.get(told["order"])
                kept = self.answers.get(one.name)
                if event is None or event.cause != one.name or event.type != "order.applied":
                    wrong.append(f"{one.name} was acknowledged as {told['order']}, which is not in the log")
                if kept is None or json.loads(kept) != told:
                    wrong.append(f"{one.name} was answered otherwise than its idempotency key remembers")
                continue
            outcome = self.deliveries.get(told["delivery"])
            if outcome != "applied":
                wrong.append(f"{one.name} was acknowledged as {told['outcome']} and is kept as {outcome}")
            elif told["seq"] > len(self.events):
                wrong.append(f"{one.name} was acknowledged with sequence {told['seq']} beyond the log")
        return wrong

    def _strangers(self, acknowledged: list[Acknowledged]) -> list[str]:
        """Every client insisted to the end: nothing is there that was never acknowledged, and the last word counts."""
        names = {one.name for one in acknowledged}
        orders = [event for event in self.events if event.type.startswith("order.")]
        wrong = [
            f"{event.cause} is in the log and was never acknowledged" for event in orders if event.cause not in names
        ]
        wanted = {one.name for one in acknowledged if one.path == ORDERS}
        if {event.cause for event in orders if event.subject.startswith("order/crm/")} != wanted:
            wrong.append("the orders in the log are not those acknowledged")
        last: dict[str, int] = {}
        for one in acknowledged:
            if one.path == ORDERS:
                body = json.loads(one.body)
                last[body["external_id"]] = max(last.get(body["external_id"], 0), body["lines"][0]["quantity"])
        newest = {row["customer"]: row["doc"] for row in self.terms}
        held = {
            sub["external_id"]: sub["phases"][-1]["items"][0]["quantity"]
            for doc in newest.values()
            for sub in doc["subscriptions"]
            if sub["source"] == "crm"
        }
        if held != last:
            wrong.append(f"quantities held {held} are not those ordered last {last}")
        return wrong
