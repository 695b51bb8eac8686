"""The slow, plain reading of a subscription's standing: payments replayed up to an instant, nothing precomputed."""

from datetime import tzinfo
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog, CompiledStage
from licet.core.instant import Instant, add_duration, to_instant
from licet.core.terms import Item, Subscription

_HEAVIER: Final = ("failed", "uncollectible", "voided", "paid")
_SEVERER: Final = ("warn", "restrict", "suspend", "end")


class Plain(Struct, frozen=True):
    """A standing and what the subscription consists of."""

    kind: str
    by_trial: bool
    restricted: frozenset[str]
    items: tuple[Item, ...]
    lapsed: tuple[Item, ...]


def plainly(subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant) -> Plain:
    """Return how a subscription stands at ``now``."""
    stop, by_trial = _stop(subscription, catalog, zone, now)
    items, lapsed = _consists(subscription, catalog, now if stop is None else min(now, stop - 1))
    if stop is not None:
        return Plain("ended", by_trial, frozenset(), items, lapsed)
    if now < min(to_instant(phase.starts_at) for phase in subscription.phases):
        return Plain("not_started", False, frozenset(), items, lapsed)
    step, restricted = _step(subscription, catalog, zone, now)
    kind = "active"
    if step == "suspend":
        kind = "suspended"
    elif _paused(subscription, now):
        kind = "paused"
    elif step is not None:
        kind = {"warn": "grace", "restrict": "restricted"}[step]
    elif _in_trial(subscription, now):
        kind = "trialing"
    return Plain(kind, False, restricted if kind == "restricted" else frozenset(), items, lapsed)


def _stop(
    subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant
) -> tuple[Instant | None, bool]:
    """When it ended, if it has by ``now``, and whether a trial did it."""
    trial_end = None if subscription.trial_end is None else to_instant(subscription.trial_end)
    ends: list[tuple[Instant, bool]] = []
    if trial_end is not None and trial_end <= now:
        falls_to_nothing = subscription.trial_end_behavior == "fall" and _falls_to_nothing(subscription, catalog)
        if subscription.trial_end_behavior == "end" or falls_to_nothing:
            ends.append((trial_end, True))
    if subscription.ends_at is not None and to_instant(subscription.ends_at) <= now:
        at = to_instant(subscription.ends_at)
        ends.append((at, at == trial_end))
    unpaid = _unpaid_end(subscription, catalog, zone, now)
    if unpaid is not None:
        ends.append((unpaid, False))
    if not ends:
        return None, False
    first = min(at for at, _ in ends)
    return first, all(by_trial for at, by_trial in ends if at == first) or (
        first != unpaid and any(by_trial for at, by_trial in ends if at == first)
    )


def _falls_to_nothing(subscription: Subscription, catalog: CompiledCatalog) -> bool:
    """Whether nothing follows the trial of the phase in which it ends."""
    end = to_instant(subscription.trial_end) if subscription.trial_end else 0
    starts = sorted({to_instant(phase.starts_at) for phase in subscription.phases})
    if end in starts or end <= starts[0]:
        return False
    before = [phase for phase in subscription.phases if to_instant(phase.starts_at) < end]
    phase = max(before, key=lambda one: to_instant(one.starts_at))
    return not any(_follower(catalog, item) for item in phase.items)


def _follower(catalog: CompiledCatalog, item: Item) -> tuple[str, str, str] | None:
    """The plan version that follows an item's trial."""
    version = catalog.versions.get((item.kind, item.id, item.version))
    return None if version is None or item.kind != "plan" else version.then


def _consists(
    subscription: Subscription, catalog: CompiledCatalog, at: Instant
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """The items at an instant, and those of a trial that fell."""
    phases = sorted(subscription.phases, key=lambda one: to_instant(one.starts_at))
    phase = next((one for one in reversed(phases) if to_instant(one.starts_at) <= at), phases[0])
    items = _ordered(phase.items)
    end = None if subscription.trial_end is None else to_instant(subscription.trial_end)
    fell = end is not None and to_instant(phase.starts_at) < end <= at and subscription.trial_end_behavior == "fall"
    if not fell:
        return items, ()
    followers: list[Item] = []
    for item in items:
        then = _follower(catalog, item)
        if then is not None and all((one.id, one.version) != then[1:] for one in followers):
            followers.append(Item(kind="plan", id=then[1], version=then[2], line=item.line))
    if not followers:
        return items, ()
    addons = [item for item in items if item.kind == "addon"]
    return _ordered((*addons, *followers)), tuple(item for item in items if item.kind == "plan")


def _ordered(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Items in canonical order."""
    return tuple(
        sorted(
            items, key=lambda one: (one.kind, one.id, one.version, one.quantity, one.quantity_of or "", one.line or "")
        )
    )


def _paused(subscription: Subscription, now: Instant) -> bool:
    """Whether a pause is in force."""
    for pause in subscription.pauses:
        if to_instant(pause.starts_at) <= now and (pause.ends_at is None or now < to_instant(pause.ends_at)):
            return True
    ended = subscription.trial_end is not None and to_instant(subscription.trial_end) <= now
    return ended and subscription.trial_end_behavior == "pause"


def _in_trial(subscription: Subscription, now: Instant) -> bool:
    """Whether ``now`` lies in the trial."""
    if subscription.trial_end is None or to_instant(subscription.trial_end) <= now:
        return False
    return subscription.trial_start is None or to_instant(subscription.trial_start) <= now


def _owed_since(subscription: Subscription, now: Instant) -> Instant | None:
    """When the episode of non-payment that lasts at ``now`` began: payments replayed instant by instant."""
    owed: set[str] = set()
    since: Instant | None = None
    for at in sorted({to_instant(fact.at) for fact in subscription.payments if to_instant(fact.at) <= now}):
        before = set(owed)
        facts: dict[str, str] = {}
        for fact in subscription.payments:
            known = facts.get(fact.invoice)
            if to_instant(fact.at) == at and (known is None or _HEAVIER.index(fact.kind) > _HEAVIER.index(known)):
                facts[fact.invoice] = fact.kind
        for invoice, kind in facts.items():
            (owed.add if kind in ("failed", "uncollectible") else owed.discard)(invoice)
        if not owed:
            since = None
        elif not before & owed:
            since = at
    return since


def _stages(subscription: Subscription, catalog: CompiledCatalog, at: Instant) -> tuple[CompiledStage, ...]:
    """The ladder in force at an instant."""
    for item in _consists(subscription, catalog, at)[0]:
        version = catalog.versions.get((item.kind, item.id, item.version))
        if version is not None and version.ladder:
            return version.ladder
    return ()


def _step(
    subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant
) -> tuple[str | None, frozenset[str]]:
    """The severest step reached at ``now`` and the features restricted so far."""
    since = _owed_since(subscription, now)
    if since is None:
        return None, frozenset()
    stages = _stages(subscription, catalog, now)
    reached = [stage for stage in stages if add_duration(since, stage.after, zone) <= now]
    if not reached:
        return None, frozenset()
    names = {feature for stage in reached if stage.do == "restrict" for feature in stage.features}
    return max((stage.do for stage in reached), key=_SEVERER.index), frozenset(names)


def _unpaid_end(subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant) -> Instant | None:
    """The first instant up to ``now`` at which non-payment had reached the end of the ladder in force."""
    facts = [to_instant(fact.at) for fact in subscription.payments]
    instants = {*facts, *(to_instant(phase.starts_at) for phase in subscription.phases)}
    if subscription.trial_end is not None:
        instants.add(to_instant(subscription.trial_end))
    for version in catalog.versions.values():
        instants.update(add_duration(at, stage.after, zone) for at in facts for stage in version.ladder)
    start = min(to_instant(phase.starts_at) for phase in subscription.phases)
    for at in sorted(instants):
        if start <= at <= now and _step(subscription, catalog, zone, at)[0] == "end":
            return at
    return None
