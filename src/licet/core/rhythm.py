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

    The new way of counting begins with its anchor where no period has begun since by the old one; else at ``at``, with
    its next period.
    """
    if _counted(before) == _counted(after):
        return structs.replace(after, rhythms=before.rhythms)
    anchor = after.anchor or after.phases[0].starts_at
    had = rhythms_of(before)
    # Another zone has other days, of which some have begun at any time.
    joins = anchor < at and (before.zone != after.zone or _begins(catalog, had, anchor, at))
    cut = at if joins else anchor
    kept = tuple(one for one in had if one.starts_at < cut)
    if not kept:
        return structs.replace(after, rhythms=())
    new = Rhythm(starts_at=cut, anchor=anchor, period=after.period, zone=after.zone, joins=joins)
    return structs.replace(after, rhythms=(*kept, new)[-MAX_RHYTHMS:])


def _counted(subscription: Subscription) -> tuple[datetime, str, str | None]:
    """What its periods are counted by."""
    return subscription.anchor or subscription.phases[0].starts_at, subscription.period, subscription.zone


def _begins(catalog: CompiledCatalog, had: tuple[Rhythm, ...], since: datetime, at: datetime) -> bool:
    """Whether in ``(since, at]`` a billing period or month began by what counted before, or a way of counting did."""
    low, high = to_instant(since) + 1, to_instant(at) + 1
    for place, one in enumerate(had):
        begins = to_instant(one.starts_at)
        ends = to_instant(had[place + 1].starts_at) if place + 1 < len(had) else high
        if place and low <= begins < high:
            return True
        pers: tuple[Recurrence, ...] = ("period", "month")
        for per in pers:
            cycle = cycle_of(per, catalog.zone(one.zone), to_instant(one.anchor), parse_duration(one.period))
            if cycle is not None and cycle.starts(max(low, begins), min(high, ends)):
                return True
    return False
