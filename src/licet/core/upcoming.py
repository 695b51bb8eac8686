"""The instants ahead at which something changes or a billing period begins, as UTC: nobody else needs a calendar."""

from datetime import tzinfo
from typing import Final, Literal

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Holdings
from licet.core.instant import FOREVER, Duration, Instant, add_duration, parse_duration, to_instant
from licet.core.terms import Subscription, Terms
from licet.core.timeline import segment_at, subscription_start
from licet.core.usage.period import Era, counted, first_of, starts_of

COUNT: Final = 24


class Boundary(Struct, frozen=True):
    """One instant ahead: rights may ``change``, or a billing ``period`` of a subscription begins."""

    at: Instant
    kind: Literal["change", "period"]
    subscription: str | None = None


def upcoming(catalog: CompiledCatalog, terms: Terms, now: Instant, count: int = COUNT) -> tuple[Boundary, ...]:
    """Return the boundaries after ``now``, sorted: ``count`` and all of the last one's instant, or fewer."""
    holdings = Holdings(catalog, terms)
    found: list[Boundary] = []
    at = now
    while len(found) < count and (at := holdings.span_at(at).end) < FOREVER:
        found.append(Boundary(at, "change"))
    for place, subscription in enumerate(holdings.subscriptions):
        for start in recurrences(subscription, now, holdings.zones[place], count):
            if segment_at(holdings.timelines[place], start).state.kind != "ended":
                found.append(Boundary(start, "period", subscription.id))
    found.sort(key=lambda one: (one.at, one.kind, one.subscription or ""))
    if len(found) <= count:
        return tuple(found)
    last = found[count - 1].at
    return tuple(one for one in found if one.at <= last)


def recurrences(subscription: Subscription, now: Instant, zone: tzinfo, count: int) -> list[Instant]:
    """Return the next ``count`` starts of billing periods after ``now``: the anchor, then every period from it.

    Counted from the anchor each time, so that 31 January is followed by 28 February and 31 March. Two dates that
    begin at one instant, because a zone left a whole day out, are one start.
    """
    anchor = subscription_start(subscription) if subscription.anchor is None else to_instant(subscription.anchor)
    period = parse_duration(subscription.period)
    if add_duration(anchor, period, zone) <= anchor:
        return [anchor] if anchor > now else []
    starts: list[Instant] = []
    times = _passed(anchor, period, zone, min(now, FOREVER - 1))
    while len(starts) < count and (start := add_duration(anchor, period, zone, times)) < FOREVER:
        if not starts or start > starts[-1]:
            starts.append(start)
        times += 1
    return starts


def period_at(subscription: Subscription, now: Instant, zone: tzinfo) -> tuple[Instant, Instant] | None:
    """Return the billing period ``[start, end)`` that contains ``now``; None before the anchor, or without periods."""
    anchor = subscription_start(subscription) if subscription.anchor is None else to_instant(subscription.anchor)
    period = parse_duration(subscription.period)
    if now < anchor or add_duration(anchor, period, zone) <= anchor:
        return None
    if subscription.rhythms:
        return _period_through(subscription, now, zone)
    times = _passed(anchor, period, zone, min(now, FOREVER - 1))
    return add_duration(anchor, period, zone, times - 1), add_duration(anchor, period, zone, times)


def _period_through(subscription: Subscription, now: Instant, zone: tzinfo) -> tuple[Instant, Instant] | None:
    """The billing period that contains ``now``, whatever counted when it began."""
    eras: list[Era] = []
    for one in subscription.rhythms:
        cycle = counted("period", zone, to_instant(one.anchor), parse_duration(one.period))
        eras.append(Era(to_instant(one.starts_at), cycle, joins=one.joins))
    began, ends = starts_of(eras, eras[0].since, now + 1), first_of(eras, now + 1)
    return (began[-1] if began else eras[0].since, ends) if now >= eras[0].since else None


def _passed(anchor: Instant, period: Duration, zone: tzinfo, now: Instant) -> int:
    """How many periods from the anchor have begun at or before ``now``: the number of the next one to begin."""
    low, high = 0, 1
    while add_duration(anchor, period, zone, high) <= now:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if add_duration(anchor, period, zone, middle) <= now:
            low = middle + 1
        else:
            high = middle
    return low
