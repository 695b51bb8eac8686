"""What ``licet top`` looks at: two looks at this hour's sums a second apart, balances of the busiest, new refusals.

It asks only what anybody may ask: sums by the hour, balances, refusals. Each look reads what is not sealed yet, so it
is no replacement for metrics that are kept.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from licet.cli.remote import Remote, segment

MOST: Final = 2_000
"""Sums of one look: customers times meters."""
REFUSALS: Final = 500
MINUTE: Final = timedelta(minutes=1)
UNLIMITED: Final = "unlimited"


class Count(Struct, frozen=True):
    """What a meter has counted for a customer in this hour; no quantity where it holds different values apart."""

    facts: int
    quantity: Decimal | None
    unit: str


class Look(Struct, frozen=True):
    """One look. ``ticks`` is monotonic time in seconds; ``whole`` whether all sums were read."""

    now: str
    ticks: float
    counts: Mapping[tuple[str, str], Count]
    whole: bool


class Rate(Struct, frozen=True, kw_only=True):
    """One customer's use of one meter."""

    customer: str
    meter: str
    facts_per_s: float
    used_per_s: float | None
    this_hour: str | None
    unit: str


class Near(Struct, frozen=True, kw_only=True):
    """A balance, and how much of it is used in percent."""

    customer: str
    feature: str
    holder: str
    used: str
    granted: str
    remaining: str
    percent: float


class Refusals(Struct, frozen=True, kw_only=True):
    """How often a customer was refused a feature for one reason in the last minute."""

    customer: str
    feature: str
    reason: str
    count: int


class TopView(Struct, frozen=True, kw_only=True):
    """Everything that is shown."""

    now: str
    facts_per_s: float
    rates: tuple[Rate, ...]
    near: tuple[Near, ...]
    refused: tuple[Refusals, ...]
    whole: bool


def look(remote: Remote) -> Look:
    """Read the sums of this hour."""
    now = str(remote.call("GET", "/v1/clock")["now"])
    query = {"by": "hour", "since": f"{now[:13]}:00:00Z"}
    rows = list(remote.pages("/v1/usage", limit=MOST, query=query))
    counts = {
        (row["customer"], row["meter"]): Count(
            row["events"], None if row["quantity"] is None else Decimal(str(row["quantity"])), row["unit"] or ""
        )
        for row in rows
    }
    return Look(now, time.monotonic(), counts, len(rows) < MOST)


def seen_between(remote: Remote, before: Look, after: Look, rows: int) -> TopView:
    """Return what went on between two looks, with the balances of the busiest and the refusals of the last minute."""
    seconds = max(after.ticks - before.ticks, 0.001)
    rates = sorted(
        (_rate(key, before.counts.get(key), count, seconds) for key, count in after.counts.items()),
        key=lambda one: (-one.facts_per_s, one.customer, one.meter),
    )
    busiest = rates[:rows]
    return TopView(
        now=after.now,
        facts_per_s=round(sum(one.facts_per_s for one in rates), 1),
        rates=tuple(busiest),
        near=tuple(_near(remote, dict.fromkeys(one.customer for one in busiest))[:rows]),
        refused=tuple(_refused(remote, after.now)[:rows]),
        whole=before.whole and after.whole,
    )


def _rate(key: tuple[str, str], before: Count | None, after: Count, seconds: float) -> Rate:
    # A new hour begins with nothing: what it has is what came since.
    known = before is not None and before.facts <= after.facts
    facts = after.facts - (before.facts if before is not None and known else 0)
    used = after.quantity
    if used is not None and before is not None and known and before.quantity is not None:
        used -= before.quantity
    return Rate(
        customer=key[0],
        meter=key[1],
        facts_per_s=round(facts / seconds, 1),
        used_per_s=None if used is None else round(float(used) / seconds, 1),
        this_hour=None if after.quantity is None else str(after.quantity),
        unit=after.unit,
    )


def _near(remote: Remote, customers: Mapping[str, None]) -> list[Near]:
    found: list[Near] = []
    for customer in customers:
        for balance in remote.call("GET", f"/v1/customers/{segment(customer)}/balances")["balances"]:
            granted = balance["granted"]
            if granted == UNLIMITED or not Decimal(str(granted)):
                continue
            found.append(_nearness(balance))
    return sorted(found, key=lambda one: (-one.percent, one.customer, one.feature, one.holder))


def _nearness(balance: Mapping[str, Any]) -> Near:
    share = Decimal(str(balance["used"])) / Decimal(str(balance["granted"]))
    return Near(
        customer=balance["customer"],
        feature=balance["feature"],
        holder=balance["holder"],
        used=str(balance["used"]),
        granted=str(balance["granted"]),
        remaining=str(balance["remaining"]),
        percent=round(float(share * 100), 1),
    )


def _refused(remote: Remote, now: str) -> list[Refusals]:
    since = (datetime.fromisoformat(now) - MINUTE).isoformat()
    rows = remote.pages("/v1/usage/refusals", limit=REFUSALS, query={"since": since})
    counted = Counter((row["customer"], row["feature"], row["reason"]) for row in rows)
    return [
        Refusals(customer=customer, feature=feature, reason=reason, count=count)
        for (customer, feature, reason), count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ]
