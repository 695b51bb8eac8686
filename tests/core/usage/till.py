"""A vendor whose usage is admitted, and accounts that are deliberately simple: one amount, used up and given back."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from licet.core.catalog import AtLimit, Catalog
from licet.core.compiled import UNBOUNDED, compile_catalog
from licet.core.instant import BEGINNING, Instant, parse_instant
from licet.core.question import Context
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.account import BalanceNumbers, Room
from licet.core.usage.admit import Admitted, Batch, Purse, Step, admit
from licet.core.usage.balance import Draw, Late, Refund, Use
from licet.core.usage.course import Bound, Course, TopUp
from licet.core.usage.facts import AccountKey, Closing, Fact, Funding, Request, Want
from licet.core.usage.metering import compile_metering
from licet.core.usage.reach import Reaches

NOW = parse_instant("2026-08-05T10:00:00Z")
MINUTE = 60_000_000

FEATURES: dict[str, Any] = {
    "sso": {"type": "switch"},
    "calls": {"type": "metered", "meter": "calls", "at_limit": "block", "warn_at": ["80%", "95%"]},
    "drafts": {"type": "metered", "meter": "tokens"},
    "ai": {"type": "credits", "credit": "ai"},
    "soft": {"type": "metered", "meter": "soft", "at_limit": "warn"},
    "paid": {"type": "metered", "meter": "paid", "at_limit": "overage", "overage_limit": 50},
    "watched": {"type": "metered", "meter": "watched", "mode": "observe"},
    "loose": {"type": "metered", "meter": "loose", "mode": "off"},
    "mine": {"type": "metered", "meter": "mine", "each": "user"},
    "people": {"type": "metered", "meter": "people"},
    "disk": {"type": "metered", "meter": "disk"},
    "gated": {"type": "metered", "meter": "gated", "deployments": ["saas"]},
    "extra": {"type": "metered", "meter": "extra"},
}
CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"m": {"name": "Meridian"}},
    "meters": {
        "calls": {"event": "api.call"},
        "tokens": {"event": "llm.tokens"},
        "images": {"event": "llm.images", "scale": 1},
        "people": {"event": "login", "aggregate": "unique"},
        "disk": {"event": "disk", "aggregate": "latest"},
        **{name: {"event": name} for name in ("soft", "paid", "watched", "loose", "mine", "gated", "extra")},
    },
    "credits": {"ai": {"scale": 2, "burns": {"tokens": "0.0004", "images": "0.125"}}},
    "features": FEATURES,
    "plans": {
        "team": {
            "product": "m",
            "versions": {
                "2026-01": {
                    "includes": {name: 500 for name in FEATURES if name not in ("sso", "extra")} | {"sso": True},
                }
            },
        },
        "big": {"product": "m", "versions": {"2026-01": {"includes": {"calls": 5000}}}},
    },
    "addons": {"more_calls": {"requires": ["team"], "includes": {"calls": 100}}},
}
COMPILED = compile_catalog(msgspec.convert(CATALOG, Catalog), 1, ZoneInfo, UTC)
METERING = compile_metering(COMPILED)


def terms(*plans: str, starts: str = "2026-07-01T00:00:00Z", ends: str | None = None) -> Terms:
    """The terms of the customer acme, who bought some plans."""
    items = [{"kind": "plan", "id": name, "version": "2026-01"} for name in plans]
    bought = {"id": "sub_1", "phases": [{"starts_at": starts, "items": items}], "ends_at": ends}
    return msgspec.convert({"customer": "acme", "subscriptions": [bought]}, Terms)


class Till:
    """An account of one amount that never renews. ``late``: whether it refuses what is older than its newest."""

    def __init__(self, course: Course, amount: int, *, late: bool = False) -> None:
        self.course = course
        self.amount = amount
        self.late = late
        self.used = 0
        self.newest: Instant = BEGINNING
        self.totals: Counter[str] = Counter()
        self.seen: set[str] = set()
        self.taken: list[Use | Refund] = []
        self.told = 0

    def room(self, now: Instant) -> Room:
        """How much there is."""
        bound, spend = self.course.bound_at(now), self.course.spend_limit_at(now)
        over = max(0, self.used - self.amount)
        left = None if bound.overage_limit is None else bound.overage_limit - over
        spend_left = None if spend is None else spend - over
        return Room(max(0, self.amount - self.used), self.amount, self.used, over, left, spend_left)

    def rated(self, key: str) -> int:
        """A running total."""
        return self.totals[key]

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a value is new."""
        return value not in self.seen

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use."""
        if self.late and use.effective < self.newest:
            raise Late(use.effective)
        if not use.value or use.value not in self.seen:
            self.used += use.amount
        if use.value:
            self.seen.add(use.value)
        self._note(use, 1)
        return (Draw("g", 0, use.amount),)

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part back: no more than was drawn."""
        drawn = sum(one.amount for one in draws)
        part = min(refund.amount, drawn)
        self.used -= part
        self._note(refund, -1)
        return (Draw("g", 0, drawn - part),) if drawn > part else ()

    def crossings(self) -> tuple[int, ...]:
        """Thresholds crossed since last asked."""
        before, self.told = self.told, self.used
        return tuple(one for one in self.course.thresholds if before * 100 < one * self.amount <= self.used * 100)

    def standing(self, now: Instant) -> BalanceNumbers:
        """Its numbers."""
        room = self.room(now)
        return BalanceNumbers(
            at=now,
            used=room.used,
            granted=room.granted,
            remaining=room.granted - room.used,
            overage=room.overage,
            resets_at=None,
            lefts={},
            crossed=(),
        )

    def resets_at(self, now: Instant) -> Instant | None:
        """Never."""
        return None

    def state(self) -> tuple[object, ...]:
        """Everything that is not to change by what is refused."""
        return self.used, self.newest, dict(self.totals), sorted(self.seen), tuple(self.taken)

    def _note(self, one: Use | Refund, sign: int) -> None:
        self.newest = max(self.newest, one.effective)
        self.taken.append(one)
        for name, part in one.rated:
            self.totals[name] += sign * part


class Shop:
    """A customer with accounts, and what is asked of them."""

    def __init__(self, bought: Terms | None = None, *, late: bool = False, **amounts: int) -> None:
        _Serial.number = 0
        snapshot = Snapshot(COMPILED, bought or terms("team"))
        self.reaches = Reaches(COMPILED, METERING, {"acme": snapshot}.get)
        self.amounts = amounts
        self.late = late
        self.tills: dict[AccountKey, Till] = {}
        self.bounds: dict[str, Bound] = {"paid": Bound(BEGINNING, "overage", 50)}
        self.spend: dict[str, int] = {}
        self.rules: dict[str, TopUp] = {}
        self.funding: list[Funding] = []
        self.now = NOW

    def till(self, feature: str, holder: str = "") -> Till:
        """One account."""
        return self.account(AccountKey("acme", feature, holder))

    def account(self, key: AccountKey) -> Till:
        """One account by its key, made when it is first asked for."""
        found = self.tills.get(key)
        if found is None:
            limit = self.spend.get(key.feature)
            rule = self.rules.get(key.feature)
            course = Course(
                key=key,
                zone=ZoneInfo("Europe/Berlin"),
                bounds=(self.bounds.get(key.feature, Bound(BEGINNING)),),
                spend_limits=() if limit is None else ((BEGINNING, limit),),
                thresholds=(80, 95),
                top_ups=() if rule is None else (rule,),
            )
            scale = COMPILED.features[key.feature].scale
            amount = self.amounts.get(key.feature, 500 * 10**scale)
            found = self.tills[key] = Till(course, UNBOUNDED if amount < 0 else amount, late=self.late)
        return found

    def admit(self, *steps: Step, **more: Any) -> Admitted:
        """Decide a batch, one millisecond after the last."""
        self.now += 1000
        accounts: Callable[[AccountKey], Purse] = self.account
        return admit(self.reaches, accounts, Batch(steps=steps, **more), self.now, self.funding_of)

    def funding_of(self, customer: str) -> Sequence[Funding]:
        """What was put on the customer's balances."""
        return self.funding if customer == "acme" else ()

    def states(self) -> dict[AccountKey, tuple[object, ...]]:
        """The state of every account."""
        return {key: till.state() for key, till in self.tills.items()}


class _Serial:
    """Counts ids; begins anew with each shop, so that a failure can be repeated."""

    number = 0


def fresh() -> str:
    """An id in no order."""
    _Serial.number += 1
    return f"{_Serial.number * 2654435761 % 2**32:08x}" * 4


def want(feature: str, quantity: int = 1, *also: tuple[str, int], kind: Any = "consume", **more: Any) -> Request:
    """A request of acme."""
    wants = (Want(feature, quantity), *(Want(*one) for one in also))
    made = fresh()
    until = NOW + 15 * MINUTE if kind == "reserve" else None
    return Request(id=made, kind=kind, customer="acme", wants=wants, **{"until": until, **more})


def closing(reservation: str, used: dict[str, int] | None) -> Closing:
    """The end of a reservation."""
    return Closing(id=fresh(), reservation=reservation, used=used)


def total(tills: Iterable[Till]) -> int:
    """What was used of some accounts."""
    return sum(one.used for one in tills)


__all__ = [
    "COMPILED",
    "METERING",
    "NOW",
    "AtLimit",
    "Context",
    "Fact",
    "Shop",
    "Till",
    "closing",
    "fresh",
    "terms",
    "total",
    "want",
]
