"""Rows for the store's tests, as use cases would make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from licet.core.impact import Impact
from licet.core.instant import HOUR, Instant, to_datetime, to_instant
from licet.core.question import Question
from licet.core.tally import CheckKey, SaidUse, UseKey
from licet.core.terms import Item, Phase, Subscription, Terms
from licet.core.usage.balance import Draw
from licet.core.usage.facts import AccountKey, Fact, Funding, GrantGiven, Reservation
from licet.hub.lease import Lease, State
from licet.services.move_ports import MoveCommand, MovedRow, MoveRow
from licet.services.ports import Tx
from licet.services.preview_ports import GroupRow, PreviewRow, TouchedRow
from licet.services.rows import (
    CheckBatch,
    CheckRecordRow,
    CustomerRow,
    DeliveryRow,
    Draft,
    FindingRow,
    KeyRow,
    SourceRow,
    TeamRow,
    UserRow,
)
from licet.services.signing_ports import KeysetRow
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.lease_ports import LeaseRow
from licet.services.usage.ports import BalanceRow, KeptKey, Posted, Refused

DAY = datetime(2026, 3, 1, 9, tzinfo=UTC)
PREVIEW = f"prv_{1:032x}"


def customer(ident: str = "acme", /, revision: int = 1, **more: Any) -> CustomerRow:
    """A customer."""
    return CustomerRow(id=ident, revision=revision, created_at=DAY, updated_at=DAY, **more)


def user(ident: str = "ann", /, revision: int = 1, **more: Any) -> UserRow:
    """A user of acme."""
    return UserRow(customer="acme", id=ident, revision=revision, created_at=DAY, updated_at=DAY, **more)


def team(name: str = "ops", revision: int = 1, title: str = "Operations") -> TeamRow:
    """A team of acme."""
    return TeamRow(customer="acme", id=name, revision=revision, title=title, created_at=DAY)


def terms(name: str = "acme", *foreign: str) -> Terms:
    """Terms with one subscription for each foreign id."""
    phases = (Phase(starts_at=DAY, items=(Item(kind="plan", id="team", version="1"),)),)
    subscriptions = tuple(
        Subscription(id=f"sub_{external}", phases=phases, source="stripe", external_id=external) for external in foreign
    )
    return Terms(customer=name, subscriptions=subscriptions)


def source(name: str = "stripe") -> SourceRow:
    """A configured source."""
    return SourceRow(id=name, kind="stripe", settings={"mapping": "stripe"}, created_at=DAY)


def delivery(name: str, minutes: int = 0, **more: Any) -> DeliveryRow:
    """A message of the source stripe, received some minutes into the day."""
    at = DAY + timedelta(minutes=minutes)
    given: dict[str, Any] = {
        "source": "stripe", "id": name, "type": "invoice.paid", "fingerprint": "f" * 64, "created": at,
        "received_at": at, "body": b"{}",
    }  # fmt: skip
    return DeliveryRow(**{**given, **more})


def finding(name: str, **more: Any) -> FindingRow:
    """An open finding."""
    given: dict[str, Any] = {
        "id": name, "kind": "order.conflict", "severity": "low", "subject": "customer/acme", "words": "two answers",
        "evidence": {"order": "o1"}, "first_seen": DAY, "last_seen": DAY,
    }  # fmt: skip
    return FindingRow(**{**given, **more})


MOVE = f"mov_{'0' * 32}"


def move(**more: Any) -> MoveRow:
    """A move of everybody from one version of the plan team to another."""
    given: dict[str, Any] = {
        "id": MOVE, "command": MoveCommand(item="team", from_version="1", to_version="2"), "base": 1, "preview": None,
        "max_losing": 0, "total": 1, "state": "moving", "actor": "local:tester", "created_at": DAY, "changed_at": DAY,
    }  # fmt: skip
    return MoveRow(**{**given, **more})


def moved(customer: str = "acme", subscription: str = "sub_1", **more: Any) -> MovedRow:
    """What that move did to one subscription."""
    given: dict[str, Any] = {"move": MOVE, "state": "moved", "effective_at": DAY}
    return MovedRow(customer=customer, subscription=subscription, **{**given, **more})


def checks(word: str, number: int = 1, **more: Any) -> CheckBatch:
    """A batch of one process, with one count and one record, in which everything is called by one word."""
    key = CheckKey(to_instant(DAY), word, word, word, "limit_reached", "denied", "enforce")
    record = CheckRecordRow(
        id=f"{word}{number}", asked_at=DAY, customer=word, user=word, feature=word, reason="limit_reached",
        outcome="denied", mode="enforce", basis="1:1", question=Question(customer=word, feature=word, user=word),
    )  # fmt: skip
    given: dict[str, Any] = {"counter": word, "number": number, "counts": {key: 3}, "records": (record,)}
    given["said"] = {UseKey(word, word): SaidUse(7, to_instant(DAY))}
    return CheckBatch(**{**given, **more})


def preview(**more: Any) -> PreviewRow:
    """A preview that is not finished, with one customer to judge."""
    given: dict[str, Any] = {
        "id": PREVIEW, "kind": "catalog", "base": 1, "subject_hash": "a" * 64, "at": DAY, "seq": 1, "begun_at": DAY,
        "actor": "key:k", "total": 1,
    }  # fmt: skip
    return PreviewRow(**{**given, **more})


def touched(name: str = "acme") -> tuple[GroupRow, TouchedRow]:
    """A group in which a rule breaks, and the customer for whom it does."""
    group = GroupRow(number=1, impact=Impact(breaking=(f"{name} breaks a rule",)), marks=("breaking ", "losing "))
    return group, TouchedRow(customer=name, number=1)


def keyset(version: int = 1, **more: Any) -> KeysetRow:
    """A keyset."""
    return KeysetRow(**{"version": version, "root": "k4.public.x", "token": "v4.public.x", "issued_at": DAY, **more})


def key(tx: Tx, name: str = "k1", **more: Any) -> KeyRow:
    """An API key of the transaction's workspace."""
    given: dict[str, Any] = {
        "id": name, "workspace": tx.workspace.id, "kind": "server", "name": "build", "scopes": frozenset({"check"}),
        "created_at": to_datetime(tx.time.wall),
    }  # fmt: skip
    return KeyRow(**{**given, **more})


def funding(ident: str = "grt_1", **more: Any) -> Funding:
    """A grant of 100 on the balance of ``api``."""
    given: dict[str, Any] = {"feature": "api", "doc": GrantGiven(amount=100, effective=to_instant(DAY))}
    return Funding(id=ident, **{**given, **more})


def used(number: int, at: Instant, /, feature: str = "api", **more: Any) -> Fact:
    """A consume of acme, which burns 1."""
    given: dict[str, Any] = {"kind": "consume", "customer": "acme", "asked": {feature: 1}, "metered": {feature: 1}}
    return Fact(id=f"{number:032x}", effective=at, burns={feature: 1}, **{**given, **more})


def account(feature: str, at: Instant, /, state: bytes = b"s", **more: Any) -> BalanceRow:
    """What is kept of a balance of acme of which nothing is left."""
    given: dict[str, Any] = {"key": AccountKey("acme", feature), "used": 1, "granted": 1, "remaining": 0}
    return BalanceRow(state=state, as_of=at, **{**given, **more})


def posted(word: str, at: Instant) -> Posted:
    """One of everything that a posting writes, about the balance called by a word, which must be locked."""
    fact = used(1, at, word, kind="reserve", until=at + HOUR, values={word: word}, dimensions={word: word})
    report = used(2, at, word, kind="report", values={word: word}, dimensions={word: word})
    return Posted(
        facts=(fact, report),
        sources=(f'{{"key":"{word}"}}'.encode(), b"{}"),
        keys=(KeptKey(id=fact.id, body_hash=bytes(16), serial=1, answer=word.encode()),),
        balances=(account(word, at),),
        checkpoints=(account(word, at),),
        refusals=(
            Refused(
                id=f"{3:032x}",
                customer="acme",
                feature=word,
                user=word,
                quantity=1,
                reason="limit_reached",
                refused_at=at,
            ),
        ),
        reservations=(Reservation(fact=fact, draws={word: (Draw("grt_1", 0, 1),)}),),
    )


def leased(number: int, /, **more: Any) -> LeaseRow:
    """An open lease of acme on 10 of ``api``, for an hour."""
    begun = to_instant(DAY)
    given: dict[str, Any] = {
        "id": f"{number:032x}", "owner": f"{7:032x}", "epoch": 1, "customer": "acme", "feature": "api", "amount": 10,
        "issued": begun, "until": begun + HOUR,
    }  # fmt: skip
    return LeaseRow(lease=Lease(**{**given, **more}))


def drawn(row: LeaseRow, **more: Any) -> Reservation:
    """What a lease drew, all of it held."""
    lease = row.lease
    amount = {lease.feature: lease.amount}
    fact = Fact(
        id=lease_fact_id(lease.id), kind="lease", effective=lease.issued, customer=lease.customer, asked=amount,
        metered=amount, burns=amount, until=lease.issued + 24 * HOUR,
    )  # fmt: skip
    draws: dict[str, tuple[Draw, ...]] = {lease.feature: (Draw("grt_1", 0, lease.amount),)}
    return Reservation(fact=fact, draws=draws, **{"held": amount, **more})


def issued(*given: LeaseRow, **more: Any) -> Posted:
    """New leases with what they draw, as a posting writes them."""
    drawing = [drawn(row) for row in given]
    return Posted(
        facts=[one.fact for one in drawing],
        reservations=drawing,
        leases=given,
        issued=frozenset(row.lease.id for row in given),
        **more,
    )


def ended(row: LeaseRow, state: State, used: int = 0, lost: int = 0) -> LeaseRow:
    """The same lease as it ended."""
    return LeaseRow(lease=structs.replace(row.lease, state=state, used=used, lost=lost), recorded=used)


def note(subject: str = "test", **more: Any) -> Draft:
    """An event that says that something was done."""
    return Draft(**{"type": "test.done", "subject": subject, **more})
