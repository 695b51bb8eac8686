"""Summing facts up by hour and day of effective time (UTC): by customer, meter, dimensions; in any order the same."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from licet.core.instant import DAY, HOUR, Instant, to_datetime
from licet.core.usage.facts import Fact
from licet.seal.canonical import canonical
from licet.services.usage.ports import UsageHour

Unit = Literal["hour", "day"]
_LENGTHS: Final = {"hour": HOUR, "day": DAY}
_SIGNS: Final = {"consume": 1, "report": 1, "settle": 1, "return": 1, "refund": -1}
"""What each kind of fact adds to what was used: nothing, for what was only set aside or given back before its use."""
Place = tuple[str, str, Instant, bytes]
"""Customer, meter, the begin of the hour or day, and the hash of the dimensions: the order of lists."""


class Sum(Struct):
    """What a meter counted for a customer within an hour or a day, by its dimensions."""

    dimensions: dict[str, str]
    events: int = 0
    quantity: int = 0
    highest: int | None = None
    latest: int | None = None
    latest_at: Instant | None = None
    latest_id: bytes = b""

    def add(self, fact: Fact, quantity: int, sign: int) -> None:
        """Add what one fact counts; of several latest ones at one instant that with the highest id is."""
        self.quantity += sign * quantity
        if sign < 0:
            return
        self.events += 1
        self.highest = quantity if self.highest is None else max(self.highest, quantity)
        at, ident = fact.effective, bytes.fromhex(fact.id)
        if self.latest_at is None or (at, ident) > (self.latest_at, self.latest_id):
            self.latest, self.latest_at, self.latest_id = quantity, at, ident


def split_of(dimensions: Mapping[str, str]) -> bytes:
    """Return 16 bytes by which equal dimensions are found."""
    return hashlib.sha256(canonical(dict(dimensions))).digest()[:16]


def value_hash(value: str) -> bytes:
    """Return 16 bytes by which equal values of a unique meter are found."""
    return hashlib.sha256(value.encode()).digest()[:16]


def begin_of(at: Instant, unit: Unit) -> Instant:
    """Return the begin of the hour or day in UTC that an instant lies in."""
    return at - at % _LENGTHS[unit]


def sums_of(facts: Iterable[Fact], unit: Unit) -> dict[Place, Sum]:
    """Return what facts sum up to."""
    found: dict[Place, Sum] = {}
    sum_up(found, facts, unit)
    return found


def days_of(hours: Mapping[Place, Sum]) -> dict[Place, Sum]:
    """Return what sums of hours come to by days."""
    found: dict[Place, Sum] = {}
    for (customer, meter, hour, split), one in hours.items():
        place = (customer, meter, begin_of(hour, "day"), split)
        before = found.get(place)
        found[place] = one if before is None else merged(before, one)
    return found


def sum_up(found: dict[Place, Sum], facts: Iterable[Fact], unit: Unit) -> None:
    """Add facts to sums."""
    splits: dict[tuple[tuple[str, str], ...], bytes] = {}
    for fact in facts:
        sign = _SIGNS.get(fact.kind)
        if sign is None:
            continue
        names = tuple(sorted(fact.dimensions.items()))
        split = splits.get(names)
        if split is None:
            split = splits[names] = split_of(fact.dimensions)
        begin = begin_of(fact.effective, unit)
        for meter, quantity in fact.metered.items():
            place = (fact.customer, meter, begin, split)
            one = found.get(place)
            if one is None:
                one = found[place] = Sum(dimensions=fact.dimensions)
            one.add(fact, quantity, sign)


def values_of(facts: Iterable[Fact]) -> dict[Place, tuple[Instant, Instant]]:
    """Return by customer, meter, hour and value (hashed) when unique meters counted it first and last."""
    found: dict[Place, tuple[Instant, Instant]] = {}
    count_values(found, facts)
    return found


def count_values(found: dict[Place, tuple[Instant, Instant]], facts: Iterable[Fact]) -> None:
    """Add facts to what :func:`values_of` returns."""
    for fact in facts:
        if not fact.values or _SIGNS.get(fact.kind) != 1:
            continue
        for meter, value in fact.values.items():
            key = (fact.customer, meter, begin_of(fact.effective, "hour"), value_hash(value))
            first, last = found.get(key, (fact.effective, fact.effective))
            found[key] = (min(first, fact.effective), max(last, fact.effective))


def merged(one: Sum, other: Sum) -> Sum:
    """Return two sums as one."""
    newest = max(one, other, key=lambda sum_: (sum_.latest_at is not None, sum_.latest_at or 0, sum_.latest_id))
    highs = [sum_.highest for sum_ in (one, other) if sum_.highest is not None]
    return Sum(
        dimensions=one.dimensions,
        events=one.events + other.events,
        quantity=one.quantity + other.quantity,
        highest=max(highs, default=None),
        latest=newest.latest,
        latest_at=newest.latest_at,
        latest_id=newest.latest_id,
    )


def hour_of(place: Place, summed: Sum) -> UsageHour:
    """Return a sum as it is told."""
    return UsageHour(
        customer=place[0],
        meter=place[1],
        hour=to_datetime(place[2]),
        dimensions=summed.dimensions,
        events=summed.events,
        quantity=summed.quantity,
        highest=summed.highest,
        latest=summed.latest,
        latest_at=summed.latest_at,
    )


def columns_of(sums: Mapping[Place, Sum]) -> list[list[Any]]:
    """Return sums as columns, in the order of their places, so that nobody waits for each other in a circle."""
    ordered = sorted(sums.items(), key=lambda item: item[0])
    return [
        [place[0] for place, _ in ordered],
        [place[1] for place, _ in ordered],
        [to_datetime(place[2]) for place, _ in ordered],
        [place[3] for place, _ in ordered],
        [canonical(one.dimensions).decode() for _, one in ordered],
        [one.events for _, one in ordered],
        [str(one.quantity) for _, one in ordered],
        [one.highest for _, one in ordered],
        [one.latest for _, one in ordered],
        [None if one.latest_at is None else to_datetime(one.latest_at) for _, one in ordered],
        [one.latest_id for _, one in ordered],
    ]
