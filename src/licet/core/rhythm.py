"""How a subscription's periods were counted over time: a restart changes what is to come, never a boundary passed.

Without ``rhythms`` a subscription counts from its anchor as ever; where that lies later than its start, from its start
until then. An order that moves anchor, period or zone leaves what counted before as an item of its own.
"""

from datetime import datetime

from msgspec import structs

from licet.core.catalog import Recurrence
from licet.core.compiled import CompiledCatalog
from licet.core.instant import parse_duration, to_instant
from licet.core.terms import MAX_RHYTHMS, Rhythm, Subscription
from licet.core.usage.period import cycle_of


def rhythms_of(subscription: Subscription) -> tuple[Rhythm, ...]:
    """Return what a subscription's periods follow, by ``starts_at``; the last item goes on."""
    if subscription.rhythms:
        return subscription.rhythms
    start = subscription.phases[0].starts_at
    anchor = subscription.anchor or start
    first = Rhythm(starts_at=start, anchor=min(anchor, start), period=subscription.period, zone=subscription.zone)
    return (first,) if anchor <= start else (first, structs.replace(first, starts_at=anchor, anchor=anchor))


def restarted(catalog: CompiledCatalog, before: Subscription, after: Subscription, at: datetime) -> Subscription:
    """Return a subscription as an order leaves it that takes effect ``at``, with what its periods followed before.

    The new way of counting begins with its anchor where no period has begun since, neither by the old one nor by the
    new one, which nobody knew; else at ``at``, with its next period. What was planned for later falls away.
    """
    had = tuple(one for one in rhythms_of(before) if one.starts_at <= at)
    if _counted(before) == _counted(after) and len(had) >= len(before.rhythms):
        return structs.replace(after, rhythms=before.rhythms)
    if not had:
        return structs.replace(after, rhythms=())
    anchor = after.anchor or after.phases[0].starts_at
    new = Rhythm(starts_at=anchor, anchor=anchor, period=after.period, zone=after.zone)
    # Another zone has other days, of which some have begun at any time.
    joins = anchor < at and (
        had[-1].zone != after.zone
        or _begins(catalog, had, anchor, at)
        or _begins(catalog, (new,), max(anchor, had[0].starts_at), at)
    )
    cut = at if joins else anchor
    kept = tuple(one for one in had if one.starts_at < cut)
    if not kept:
        return structs.replace(after, rhythms=())
    return structs.replace(after, rhythms=(*kept, structs.replace(new, starts_at=cut, joins=joins))[-MAX_RHYTHMS:])


def _counted(subscription: Subscription) -> tuple[datetime, str, str | None]:
    """What its periods are counted by."""
    return subscription.anchor or subscription.phases[0].starts_at, subscription.period, subscription.zone


def _begins(catalog: CompiledCatalog, rhythms: tuple[Rhythm, ...], since: datetime, at: datetime) -> bool:
    """Whether in ``(since, at]`` a billing period or month began by these, or a way of counting after the first did."""
    low, high = to_instant(since) + 1, to_instant(at) + 1
    for place, one in enumerate(rhythms):
        begins = to_instant(one.starts_at)
        ends = to_instant(rhythms[place + 1].starts_at) if place + 1 < len(rhythms) else high
        if place and low <= begins < high:
            return True
        pers: tuple[Recurrence, ...] = ("period", "month")
        for per in pers:
            cycle = cycle_of(per, catalog.zone(one.zone), to_instant(one.anchor), parse_duration(one.period))
            if cycle is not None and cycle.first(max(low, begins)) < min(high, ends):
                return True
    return False
