"""The whole course of one subscription as segments in which nothing changes by itself: arithmetic, not jobs."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import tzinfo
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.episode import read_episodes
from licet.core.instant import BEGINNING, FOREVER, Instant, to_instant
from licet.core.ladder import NO_DUNNING, SEVERITY, Climb, Dunning, Pinned, climb_ladder, pin_ladder, promised
from licet.core.reason import Reason
from licet.core.terms import Item, Phase, Subscription
from licet.core.trail import Moves, Trail, begins, follow, stops

StandingKind = Literal["not_started", "trialing", "active", "paused", "grace", "restricted", "suspended", "ended"]
LIVE: Final = frozenset({"trialing", "active", "grace", "restricted"})
"""The standings in which a subscription gives what was bought."""


class State(Struct, frozen=True, gc=False):
    """What a subscription is and consists of. ``items`` give by its standing; ``lapsed`` were in a trial that ended.

    ``event`` brought what was bought. ``trails`` tells, place by place, what the items were bought as and which moves
    made them what they are; it is empty where no move changed any of them, and so is ``lapsed_trails``.
    """

    kind: StandingKind
    reason: Reason | None
    restricted: tuple[str, ...]
    items: tuple[Item, ...]
    lapsed: tuple[Item, ...]
    event: str | None
    trails: tuple[Trail, ...] = ()
    lapsed_trails: tuple[Trail, ...] = ()

    @property
    def bought(self) -> tuple[Item, ...]:
        """What the items were bought as, place by place."""
        return tuple(trail.bought for trail in self.trails) if self.trails else self.items


class Segment(Struct, frozen=True, gc=False):
    """A state and the time ``[start, end)`` in which it holds."""

    start: Instant
    end: Instant
    state: State


class _Regime(Struct, frozen=True):
    """What a subscription consists of from ``start`` to ``end``, whatever its standing."""

    start: Instant
    end: Instant
    items: tuple[Item, ...]
    trails: tuple[Trail, ...]
    lapsed: tuple[Item, ...]
    lapsed_trails: tuple[Trail, ...]
    event: str | None


def item_key(item: Item) -> tuple[str, str, str, int, str, str]:
    """The canonical order of items; the document's own order means nothing."""
    return item.kind, item.id, item.version, item.quantity, item.quantity_of or "", item.line or ""


def subscription_start(subscription: Subscription) -> Instant:
    """The instant at which the first phase begins."""
    return min(to_instant(phase.starts_at) for phase in subscription.phases)


def subscription_end(subscription: Subscription) -> Instant:
    """The instant at which it ends by order or schedule, the earlier one; FOREVER if by neither."""
    ends = [subscription.ends_at, None if subscription.schedule is None else subscription.schedule.ends_at]
    return min((to_instant(at) for at in ends if at is not None), default=FOREVER)


class Fallen(NamedTuple):
    """What is left when a trial falls: the items from then on as if bought, and the plans as they were tried."""

    items: tuple[Item, ...]
    lapsed: tuple[Trail, ...]


def after_fall(
    catalog: CompiledCatalog, items: tuple[Item, ...], end: Instant = FOREVER, moves: Moves = ()
) -> Fallen | None:
    """Return what follows a trial of ``items`` that ends at ``end``; None without any plan that says.

    The plans' ``then``, of the version held until ``end`` through ``moves``; the add-ons as they were bought.
    """
    tried = read_items(catalog, moves, (item for item in items if item.kind == "plan"), end - 1)
    followers: dict[tuple[str, str], Item] = {}
    for trail in tried:
        item = trail.item
        version = catalog.versions.get((item.kind, item.id, item.version))
        if version is not None and version.then is not None:
            follower = Item(kind="plan", id=version.then[1], version=version.then[2], line=item.line)
            followers.setdefault((follower.id, follower.version), follower)
    if not followers:
        return None
    rest = (item for item in items if item.kind != "plan")
    return Fallen(tuple(sorted((*rest, *followers.values()), key=item_key)), tried)


def read_items(catalog: CompiledCatalog, moves: Moves, items: Iterable[Item], at: Instant) -> tuple[Trail, ...]:
    """Return how bought items are read at ``at`` through ``moves``, in canonical order."""
    return tuple(sorted((follow(catalog, moves, item, at) for item in items), key=lambda one: item_key(one.item)))


def read_timeline(
    subscription: Subscription,
    catalog: CompiledCatalog,
    zone: tzinfo,
    dunning: Dunning = NO_DUNNING,
    moves: Moves = (),
) -> tuple[Segment, ...]:
    """Return the segments of a subscription; they cover all time without gaps, and neighbours differ.

    Ladder stages are counted on the wall clock of ``zone``. ``dunning`` is what else the customer's terms say about
    its non-payment, ``moves`` what they say about its versions (``dunning_of``, ``moves_of``).
    """
    return Course(subscription, catalog, zone, dunning, moves).segments()


def segment_at(segments: tuple[Segment, ...], now: Instant) -> Segment:
    """Return the segment that holds at ``now``."""
    return segments[bisect_right(segments, now, key=lambda one: one.start) - 1]


def ladder_end(
    subscription: Subscription,
    catalog: CompiledCatalog,
    zone: tzinfo | None = None,
    dunning: Dunning = NO_DUNNING,
    moves: Moves = (),
) -> Instant:
    """Return the instant at which non-payment ends the subscription for good; FOREVER if it does not."""
    return Course(subscription, catalog, zone or catalog.zone(subscription.zone), dunning, moves).ladder_end


class Course:
    """One subscription's instants, laid out once, so that the state at any instant is a few comparisons."""

    def __init__(
        self,
        subscription: Subscription,
        catalog: CompiledCatalog,
        zone: tzinfo,
        dunning: Dunning = NO_DUNNING,
        moves: Moves = (),
    ) -> None:
        self.catalog = catalog
        self.dunning = dunning
        self.moves = moves
        self.behavior = subscription.trial_end_behavior
        self.ends_at = subscription_end(subscription)
        self.trial_end = FOREVER if subscription.trial_end is None else to_instant(subscription.trial_end)
        self.start = subscription_start(subscription)
        self.trial_start = self.start if subscription.trial_start is None else to_instant(subscription.trial_start)
        self.pauses = tuple(
            (to_instant(one.starts_at), FOREVER if one.ends_at is None else to_instant(one.ends_at))
            for one in subscription.pauses
        )
        self.trial_stop = self.trial_end if self.behavior == "end" else FOREVER
        self.regimes = self._regimes(_phases(subscription, self.start))
        episodes = read_episodes(subscription.payments) if subscription.payments else ()
        self.climbs = tuple(
            climb_ladder(episode, self.pinned_at(episode.start), dunning, zone, self.start) for episode in episodes
        )
        self.ladder_end = min((climb.end for climb in self.climbs), default=FOREVER)

    def segments(self) -> tuple[Segment, ...]:
        """All segments, equal neighbours joined."""
        found: list[tuple[Instant, State]] = []
        for at in self._boundaries():
            state = self.state_at(at)
            if not found or found[-1][1] != state:
                found.append((at, state))
        ends = [at for at, _ in found[1:]] + [FOREVER]
        return tuple(Segment(at, end, state) for (at, state), end in zip(found, ends, strict=True))

    def state_at(self, now: Instant) -> State:
        """The state at one instant; what has ended keeps what it last consisted of."""
        stop, stop_reason = self.stop()
        regime = self._regime_at(min(now, stop - 1))
        kind, why, restricted = self._standing(now, stop, stop_reason)
        return State(
            kind,
            why,
            restricted,
            regime.items,
            regime.lapsed,
            regime.event,
            regime.trails,
            regime.lapsed_trails,
        )

    def _standing(
        self, now: Instant, stop: Instant, stop_reason: Reason
    ) -> tuple[StandingKind, Reason | None, tuple[str, ...]]:
        """Ended for good, not begun, held back by non-payment, paused, and only then what it gives."""
        if now >= stop:
            return "ended", stop_reason, ()
        if now < self.start:
            return "not_started", Reason.NOT_STARTED, ()
        step, restricted = self.step_at(now)
        if step == "suspend":
            return "suspended", Reason.SUSPENDED, ()
        if any(start <= now < end for start, end in self.pauses) or (
            self.behavior == "pause" and now >= self.trial_end
        ):
            return "paused", Reason.PAUSED, ()
        if step == "restrict":
            return "restricted", Reason.RESTRICTED, restricted
        if step == "warn":
            return "grace", Reason.IN_GRACE, ()
        if self.trial_end != FOREVER and self.trial_start <= now < self.trial_end:
            return "trialing", Reason.IN_TRIAL, ()
        return "active", None, ()

    def stop(self) -> tuple[Instant, Reason]:
        """The instant at which it ends for good, and why: the earliest cause; a trial's end where two coincide."""
        stop = min(self.trial_stop, self.ends_at, self.ladder_end)
        by_trial = stop in (self.trial_stop, self.trial_end) and stop < self.ladder_end
        return stop, Reason.TRIAL_EXPIRED if by_trial else Reason.ENDED

    def _regimes(self, phases: list[Phase]) -> list[_Regime]:
        """Phases in order, the one in which a trial falls cut in two; of two that begin at once the later counts."""
        starts = [to_instant(phase.starts_at) for phase in phases]
        regimes: list[_Regime] = []
        for place, phase in enumerate(phases):
            start, end = starts[place], (starts[place + 1] if place + 1 < len(phases) else FOREVER)
            if start == end:
                continue
            cut = self.trial_end if self.behavior == "fall" and start < self.trial_end < end else end
            # What has not begun is read as the moves of each instant say, as everything else.
            since = start if regimes else BEGINNING
            regimes.extend(self._read(since, cut, phase.items, (), phase.event))
            if cut < end:
                fallen = after_fall(self.catalog, phase.items, cut, self.moves)
                if fallen is None:
                    # Where nothing follows a trial that falls, it ends the subscription.
                    self.trial_stop = cut
                    fallen = Fallen(phase.items, ())
                regimes.extend(self._read(cut, end, fallen.items, fallen.lapsed, phase.event))
        return regimes

    def _read(
        self, start: Instant, end: Instant, items: tuple[Item, ...], lapsed: tuple[Trail, ...], event: str | None
    ) -> list[_Regime]:
        """What was bought for a time, as it is read through the moves: cut where one begins or stops."""
        if not self.moves:
            tried = tuple(trail.item for trail in lapsed)
            return [_Regime(start, end, tuple(sorted(items, key=item_key)), (), tried, (), event)]
        found = {at for move in self.moves for at in (begins(move), stops(move)) if start < at < end}
        gone, gone_trails = _told(lapsed)
        return [
            _Regime(
                since,
                until,
                *_told(read_items(self.catalog, self.moves, items, since)),
                gone,
                gone_trails,
                event,
            )
            for since, until in pairwise((start, *sorted(found), end))
        ]

    def pinned_at(self, start: Instant) -> Pinned:
        """The ladder of an episode that begins at ``start``; after a trial that fell to nothing there is no plan's."""
        items = () if self.trial_stop <= start else self._regime_at(start).items
        return pin_ladder(self.catalog, self.dunning, items, start)

    def climb_at(self, now: Instant) -> Climb | None:
        """The episode in which something is owed at ``now``, on its ladder; None where nothing is."""
        place = bisect_right(self.climbs, now, key=lambda one: one.episode.start) - 1
        return self.climbs[place] if place >= 0 and now < self.climbs[place].episode.end else None

    def step_at(self, now: Instant) -> tuple[str | None, tuple[str, ...]]:
        """The severest step reached, and all features restricted so far; within a promise to pay it only warns."""
        climb = self.climb_at(now) if self.climbs else None
        reached = [] if climb is None else [stage for at, stage in climb.steps if at <= now]
        if not reached:
            return None, ()
        if promised(self.dunning, now):
            return "warn", ()
        restricted = {feature for stage in reached if stage.do == "restrict" for feature in stage.features}
        return max((stage.do for stage in reached), key=SEVERITY.__getitem__), tuple(sorted(restricted))

    def dunning_instants(self) -> set[Instant]:
        """Every instant at which non-payment could change something."""
        found: set[Instant] = set()
        for climb in self.climbs:
            found.update((climb.episode.start, climb.episode.end, climb.end))
            found.update(at for at, _ in climb.steps)
        if self.climbs:
            found.update(instant for promise in self.dunning.promises for instant in promise)
        return found

    def _regime_at(self, now: Instant) -> _Regime:
        """The regime in force; before the start the first one."""
        return self.regimes[max(0, bisect_right(self.regimes, now, key=lambda one: one.start) - 1)]

    def _boundaries(self) -> list[Instant]:
        """Every instant at which something could change, BEGINNING first."""
        found = {BEGINNING, self.start, self.ends_at, self.trial_start, self.trial_end}
        found.update(regime.start for regime in self.regimes)
        found.update(instant for pause in self.pauses for instant in pause)
        if self.climbs:
            found |= self.dunning_instants()
        return sorted(at for at in found if at < FOREVER)


def _told(trails: tuple[Trail, ...]) -> tuple[tuple[Item, ...], tuple[Trail, ...]]:
    """The items that trails lead to, and the trails themselves where any of them leads anywhere."""
    items = tuple(trail.item for trail in trails)
    return items, trails if any(trail.moves for trail in trails) else ()


def _phases(subscription: Subscription, start: Instant) -> list[Phase]:
    """The phases of orders and schedule in order; of two that begin at once the order's, else the later one, counts."""
    phases = subscription.phases
    if subscription.schedule is not None:
        planned = (phase for phase in subscription.schedule.phases if to_instant(phase.starts_at) >= start)
        phases = (*planned, *phases)
    return sorted(phases, key=lambda one: to_instant(one.starts_at))
