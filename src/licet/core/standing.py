"""How a subscription stands at an instant: computed from its dates and payment facts, never stored."""

from datetime import tzinfo

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant
from licet.core.ladder import NO_DUNNING, Dunning
from licet.core.reason import Reason
from licet.core.terms import Subscription
from licet.core.timeline import Segment, StandingKind, read_timeline, segment_at
from licet.core.trail import Moves


class Standing(Struct, frozen=True, gc=False):
    """A standing and the time ``[since, until)`` in which it holds unchanged.

    ``restricted`` names the features a ladder has taken away; a suspended, paused, ended or not started subscription
    gives nothing at all. ``reason`` is None for an active one. ``until`` is FOREVER where nothing is due.
    """

    kind: StandingKind
    since: Instant
    until: Instant
    restricted: tuple[str, ...] = ()
    reason: Reason | None = None


def standing_at(
    subscription: Subscription,
    catalog: CompiledCatalog,
    now: Instant,
    zone: tzinfo | None = None,
    dunning: Dunning = NO_DUNNING,
    *,
    moves: Moves = (),
) -> Standing:
    """Return the standing at ``now``.

    ``zone`` is where ladder stages are counted: the subscription's own zone, else the catalog's default. ``dunning`` is
    what else the customer's terms say about its non-payment (``dunning_of``), ``moves`` what they say about its
    versions (``moves_of``).
    """
    segments = read_timeline(subscription, catalog, zone or catalog.zone(subscription.zone), dunning, moves)
    return standing_of(segments, now)


def standing_of(segments: tuple[Segment, ...], now: Instant) -> Standing:
    """Return the standing at ``now`` of a subscription whose timeline is known; phases within it do not divide it."""
    here = segment_at(segments, now)
    place = segments.index(here)
    first = last = place
    while first > 0 and _same(segments[first - 1], here):
        first -= 1
    while last + 1 < len(segments) and _same(segments[last + 1], here):
        last += 1
    state = here.state
    return Standing(state.kind, segments[first].start, segments[last].end, state.restricted, state.reason)


def _same(one: Segment, other: Segment) -> bool:
    """Whether two segments stand alike."""
    here, there = one.state, other.state
    return (here.kind, here.reason, here.restricted) == (there.kind, there.reason, there.restricted)
