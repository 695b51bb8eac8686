"""The whole course of one subscription as segments in which nothing changes by itself: arithmetic, not jobs."""

from bisect import bisect_right
from datetime import tzinfo
from typing import Final, Literal

from msgspec import Struct

from licet.core.compiled import CompiledCatalog, CompiledStage
from licet.core.episode import Episode, read_episodes
from licet.core.instant import BEGINNING, FOREVER, Instant, add_duration, to_instant
from licet.core.reason import Reason
from licet.core.terms import Item, Phase, Subscription

StandingKind = Literal["not_started", "trialing", "active", "paused", "grace", "restricted", "suspended", "ended"]
LIVE: Final = frozenset({"trialing", "active", "grace", "restricted"})
"""The standings in which a subscription gives what was bought."""
_SEVERITY: Final = {"warn": 0, "restrict": 1, "suspend": 2, "end": 3}


class State(Struct, frozen=True, gc=False):
    """What a subscription is and consists of. ``items`` give by its standing; ``lapsed`` were in a trial that ended."""

    kind: StandingKind
    reason: Reason | None
    restricted: tuple[str, ...]
    items: tuple[Item, ...]
    lapsed: tuple[Item, ...]
    event: str | None


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
    lapsed: tuple[Item, ...]
    ladder: tuple[CompiledStage, ...]
    event: str | None


def item_key(item: Item) -> tuple[str, str, str, int, str, str]:
    """The canonical order of items; the document's own order means nothing."""
    return item.kind, item.id, item.version, item.quantity, item.quantity_of or "", item.line or ""


def subscription_start(subscription: Subscription) -> Instant:
    """The instant at which the first phase begins."""
    return min(to_instant(phase.starts_at) for phase in subscription.phases)


def read_timeline(subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo) -> tuple[Segment, ...]:
    """Return the segments of a subscription; they cover all time without gaps, and neighbours differ.

    Ladder stages are counted on the wall clock of ``zone``.
    """
    return _Course(subscription, catalog, zone).segments()


def segment_at(segments: tuple[Segment, ...], now: Instant) -> Segment:
    """Return the segment that holds at ``now``."""
    return segments[bisect_right(segments, now, key=lambda one: one.start) - 1]


def ladder_end(subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo | None = None) -> Instant:
    """Return the instant at which non-payment ends the subscription for good; FOREVER if it does not."""
    return _Course(subscription, catalog, zone or catalog.zone(subscription.zone)).ladder_end


class _Course:
    """One subscription's instants, laid out once, so that the state at any instant is a few comparisons."""

    def __init__(self, subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo) -> None:
        self.catalog = catalog
        self.zone = zone
        self.behavior = subscription.trial_end_behavior
        self.ends_at = FOREVER if subscription.ends_at is None else to_instant(subscription.ends_at)
        self.trial_end = FOREVER if subscription.trial_end is None else to_instant(subscription.trial_end)
        phases = sorted(subscription.phases, key=lambda one: to_instant(one.starts_at))
        self.start = to_instant(phases[0].starts_at)
        self.trial_start = self.start if subscription.trial_start is None else to_instant(subscription.trial_start)
        self.pauses = tuple(
            (to_instant(one.starts_at), FOREVER if one.ends_at is None else to_instant(one.ends_at))
            for one in subscription.pauses
        )
        self.episodes = read_episodes(subscription.payments)
        self.trial_stop = self.trial_end if self.behavior == "end" else FOREVER
        self.regimes = self._regimes(phases)
        self.climbs = [(regime, episode) for regime in self.regimes for episode in self._within(regime)]
        self.ladder_end = min((self._terminal(*climb) for climb in self.climbs), default=FOREVER)

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
        stop, stop_reason = self._stop()
        regime = self._regime_at(min(now, stop - 1))
        kind, why, restricted = self._standing(now, regime, stop, stop_reason)
        return State(kind, why, restricted, regime.items, regime.lapsed, regime.event)

    def _standing(
        self, now: Instant, regime: _Regime, stop: Instant, stop_reason: Reason
    ) -> tuple[StandingKind, Reason | None, tuple[str, ...]]:
        """Ended for good, not begun, held back by non-payment, paused, and only then what it gives."""
        if now >= stop:
            return "ended", stop_reason, ()
        if now < self.start:
            return "not_started", Reason.NOT_STARTED, ()
        step, restricted = self._step_at(now, regime)
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

    def _stop(self) -> tuple[Instant, Reason]:
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
            items = tuple(sorted(phase.items, key=item_key))
            cut = self.trial_end if self.behavior == "fall" and start < self.trial_end < end else end
            regimes.append(_Regime(start, cut, items, (), self._ladder(items), phase.event))
            if cut < end:
                regimes.append(self._after_trial(_Regime(cut, end, items, (), (), phase.event)))
        return regimes

    def _after_trial(self, regime: _Regime) -> _Regime:
        """What follows a trial that falls: the plans' ``then``, the add-ons as they are; without any plan, the end."""
        plans = tuple(item for item in regime.items if item.kind == "plan")
        followers: dict[tuple[str, str], Item] = {}
        for item in plans:
            version = self.catalog.versions.get((item.kind, item.id, item.version))
            if version is not None and version.then is not None:
                follower = Item(kind="plan", id=version.then[1], version=version.then[2], line=item.line)
                followers.setdefault((follower.id, follower.version), follower)
        if not followers:
            self.trial_stop = self.trial_end
            return regime
        rest = tuple(item for item in regime.items if item.kind != "plan")
        items = tuple(sorted((*rest, *followers.values()), key=item_key))
        return _Regime(regime.start, regime.end, items, plans, self._ladder(items), regime.event)

    def _ladder(self, items: tuple[Item, ...]) -> tuple[CompiledStage, ...]:
        """The ladder of the first plan that has one."""
        for item in items:
            version = self.catalog.versions.get((item.kind, item.id, item.version))
            if version is not None and version.ladder:
                return version.ladder
        return ()

    def _regime_at(self, now: Instant) -> _Regime:
        """The regime in force; before the start the first one."""
        return self.regimes[max(0, bisect_right(self.regimes, now, key=lambda one: one.start) - 1)]

    def _within(self, regime: _Regime) -> tuple[Episode, ...]:
        """The episodes that overlap a regime with a ladder."""
        if not regime.ladder:
            return ()
        first = bisect_right(self.episodes, regime.start, key=lambda one: one.end)
        last = bisect_right(self.episodes, regime.end - 1, key=lambda one: one.start)
        return self.episodes[first:last]

    def _steps(self, regime: _Regime, episode: Episode) -> list[tuple[Instant, CompiledStage]]:
        """The instants of a ladder's stages in one episode."""
        return [(add_duration(episode.start, stage.after, self.zone), stage) for stage in regime.ladder]

    def _step_at(self, now: Instant, regime: _Regime) -> tuple[str | None, tuple[str, ...]]:
        """The severest step reached, and all features restricted so far."""
        place = bisect_right(self.episodes, now, key=lambda one: one.start) - 1
        if not regime.ladder or place < 0 or now >= self.episodes[place].end:
            return None, ()
        reached = [stage for at, stage in self._steps(regime, self.episodes[place]) if at <= now]
        if not reached:
            return None, ()
        restricted = {feature for stage in reached if stage.do == "restrict" for feature in stage.features}
        return max((stage.do for stage in reached), key=_SEVERITY.__getitem__), tuple(sorted(restricted))

    def _terminal(self, regime: _Regime, episode: Episode) -> Instant:
        """When this episode ends the subscription for good under this regime's ladder."""
        ends = [at for at, stage in self._steps(regime, episode) if stage.do == "end"]
        if not ends:
            return FOREVER
        at = max(min(ends), regime.start)
        return at if at < min(regime.end, episode.end) else FOREVER

    def _boundaries(self) -> list[Instant]:
        """Every instant at which something could change, BEGINNING first."""
        found = {BEGINNING, self.ends_at, self.trial_start, self.trial_end, self.ladder_end}
        found.update(regime.start for regime in self.regimes)
        found.update(instant for pause in self.pauses for instant in pause)
        found.update(instant for one in self.episodes for instant in (one.start, one.end))
        found.update(at for climb in self.climbs for at, _ in self._steps(*climb))
        return sorted(at for at in found if at < FOREVER)
