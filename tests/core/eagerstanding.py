"""The slow, plain reading of a subscription's standing: payments replayed up to an instant, nothing precomputed."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog, CompiledStage
from licet.core.instant import Instant, add_duration, to_instant
from licet.core.terms import Item, Leniency, Phase, Subscription, Terms

_SETTLING: Final = ("voided", "paid")
"""The second beats the first, and both beat whatever is owed."""
_SEVERER: Final = ("warn", "restrict", "suspend", "end")


class Plain(Struct, frozen=True):
    """A standing and what the subscription consists of."""

    kind: str
    by_trial: bool
    restricted: frozenset[str]
    items: tuple[Item, ...]
    lapsed: tuple[Item, ...]
    bought: tuple[Item, ...]
    """What the items were bought as, place by place."""


class _Contents(NamedTuple):
    """What a subscription consists of: as it is read, as it was bought, and what was in a trial that fell."""

    items: tuple[Item, ...]
    bought: tuple[Item, ...]
    lapsed: tuple[Item, ...]


class _World(Struct, frozen=True):
    """What the ladder of one subscription depends on."""

    terms: Terms
    subscription: Subscription
    catalog: CompiledCatalog
    zone: tzinfo


def plainly(terms: Terms, subscription: Subscription, catalog: CompiledCatalog, zone: tzinfo, now: Instant) -> Plain:
    """Return how a subscription stands at ``now``."""
    world = _World(terms, subscription, catalog, zone)
    stop, by_trial = _stop(world, now)
    items, bought, lapsed = _consists(world, now if stop is None else min(now, stop - 1))
    if stop is not None:
        return Plain("ended", by_trial, frozenset(), items, lapsed, bought)
    if now < min(to_instant(phase.starts_at) for phase in subscription.phases):
        return Plain("not_started", False, frozenset(), items, lapsed, bought)
    step, restricted = _step(world, now)
    kind = "active"
    if step == "suspend":
        kind = "suspended"
    elif _paused(subscription, now):
        kind = "paused"
    elif step is not None:
        kind = {"warn": "grace", "restrict": "restricted"}[step]
    elif _in_trial(subscription, now):
        kind = "trialing"
    return Plain(kind, False, restricted if kind == "restricted" else frozenset(), items, lapsed, bought)


def _stop(world: _World, now: Instant) -> tuple[Instant | None, bool]:
    """When it ended, if it has by ``now``, and whether a trial did it."""
    subscription = world.subscription
    trial_end = None if subscription.trial_end is None else to_instant(subscription.trial_end)
    ends: list[tuple[Instant, bool]] = []
    if trial_end is not None and trial_end <= now:
        falls_to_nothing = subscription.trial_end_behavior == "fall" and _falls_to_nothing(world)
        if subscription.trial_end_behavior == "end" or falls_to_nothing:
            ends.append((trial_end, True))
    planned_end = None if subscription.schedule is None else subscription.schedule.ends_at
    for given in (subscription.ends_at, planned_end):
        if given is not None and to_instant(given) <= now:
            ends.append((to_instant(given), to_instant(given) == trial_end))
    unpaid = _unpaid_end(world, now)
    if unpaid is not None:
        ends.append((unpaid, False))
    if not ends:
        return None, False
    first = min(at for at, _ in ends)
    return first, all(by_trial for at, by_trial in ends if at == first) or (
        first != unpaid and any(by_trial for at, by_trial in ends if at == first)
    )


def _falls_to_nothing(world: _World) -> bool:
    """Whether nothing follows the trial of the phase in which it ends."""
    subscription = world.subscription
    end = to_instant(subscription.trial_end) if subscription.trial_end else 0
    phases = _phases(subscription)
    starts = {to_instant(phase.starts_at) for phase in phases}
    if end in starts or end <= min(starts):
        return False
    phase = [phase for phase in phases if to_instant(phase.starts_at) < end][-1]
    return not any(_follower(world.catalog, _renamed(world, item, end - 1)) for item in phase.items)


def _phases(subscription: Subscription) -> list[Phase]:
    """The phases in order, the schedule's before the order's where they begin at once."""
    first = min(phase.starts_at for phase in subscription.phases)
    planned = () if subscription.schedule is None else subscription.schedule.phases
    phases = [phase for phase in planned if phase.starts_at >= first] + list(subscription.phases)
    return sorted(phases, key=lambda one: one.starts_at)


def _follower(catalog: CompiledCatalog, item: Item) -> tuple[str, str, str] | None:
    """The plan version that follows an item's trial."""
    version = catalog.versions.get((item.kind, item.id, item.version))
    return None if version is None or item.kind != "plan" else version.then


def _renamed(world: _World, item: Item, at: Instant) -> Item:
    """An item as the moves of an instant leave it: where each version leads is worked out from the last move back."""
    moves = [
        move
        for move in world.terms.moves
        if move.subscription == world.subscription.id
        and (move.kind, move.item) == (item.kind, item.id)
        and _in_force(move.starts_at, move.ends_at, at)
        and (item.kind, item.id, move.to_version) in world.catalog.versions
    ]
    leads: dict[str, str] = {}
    for move in sorted(moves, key=lambda one: (one.starts_at, one.id), reverse=True):
        leads[move.from_version] = leads.get(move.to_version, move.to_version)
    return structs.replace(item, version=leads.get(item.version, item.version))


def _read(world: _World, bought: Iterable[Item], at: Instant) -> list[tuple[Item, Item]]:
    """Bought items as they are read at an instant, in canonical order, each with what it was bought as."""
    return sorted(((_renamed(world, item, at), item) for item in bought), key=lambda pair: _canonical(pair[0]))


def _consists(world: _World, at: Instant) -> _Contents:
    """The items at an instant, and those of a trial that fell."""
    subscription, catalog = world.subscription, world.catalog
    phases = _phases(subscription)
    begun = [one for one in phases if to_instant(one.starts_at) <= at]
    phase = begun[-1] if begun else [one for one in phases if one.starts_at == phases[0].starts_at][-1]
    held = _read(world, phase.items, at)
    end = None if subscription.trial_end is None else to_instant(subscription.trial_end)
    fell = end is not None and to_instant(phase.starts_at) < end <= at and subscription.trial_end_behavior == "fall"
    if not fell or end is None:
        return _contents(held)
    tried = [item for item, _ in _read(world, phase.items, end - 1)]
    followers: list[Item] = []
    for item in tried:
        then = _follower(catalog, item)
        if then is not None and all((one.id, one.version) != then[1:] for one in followers):
            followers.append(Item(kind="plan", id=then[1], version=then[2], line=item.line))
    if not followers:
        return _contents(held)
    addons = [item for item in phase.items if item.kind == "addon"]
    return _contents(_read(world, [*addons, *followers], at), [item for item in tried if item.kind == "plan"])


def _contents(held: list[tuple[Item, Item]], lapsed: Sequence[Item] = ()) -> _Contents:
    """Contents from pairs of what is read and what was bought."""
    return _Contents(tuple(item for item, _ in held), tuple(bought for _, bought in held), tuple(lapsed))


def _canonical(one: Item) -> tuple[object, ...]:
    """Where an item stands in the canonical order."""
    return one.kind, one.id, one.version, one.quantity, one.quantity_of or "", one.line or ""


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
    facts = sorted(subscription.payments, key=lambda one: one.at)
    owed: set[str] = set()
    settled: set[str] = set()
    since: Instant | None = None
    for at in sorted({to_instant(fact.at) for fact in facts if to_instant(fact.at) <= now}):
        before = set(owed)
        here = [fact for fact in facts if to_instant(fact.at) == at]
        settling = {fact.invoice for fact in here if fact.kind in _SETTLING}
        settled |= settling
        for fact in here:
            if fact.kind == "due":
                others = [one for one in facts if one.kind == "due" and one.invoice == fact.invoice]
                last = max(others, key=lambda one: (one.stated_at or one.at, one.at))
                if last.at == fact.at and fact.invoice not in settled:
                    owed.add(fact.invoice)
            elif fact.kind not in _SETTLING:
                owed.add(fact.invoice)
        owed -= settling
        if not owed:
            since = None
        elif not (before - settling) & owed:
            since = at
    return since


def _in_force(start: object, end: object, at: Instant) -> bool:
    """Whether a dated thing is in force."""
    return to_instant(start) <= at and (end is None or at < to_instant(end))  # type: ignore[arg-type]


def _stages(world: _World, since: Instant) -> tuple[CompiledStage, ...]:
    """The ladder of what began to be owed at an instant: the customer's own, a cohort's, the plan's."""
    terms, catalog = world.terms, world.catalog
    for choice in sorted(terms.ladders, key=lambda one: one.starts_at, reverse=True):
        if _in_force(choice.starts_at, choice.ends_at, since):
            if choice.ladder is None:
                return ()
            if choice.ladder in catalog.ladders:
                return catalog.ladders[choice.ladder]
    by_id = sorted(terms.cohorts, key=lambda one: one.cohort)
    for joined in sorted(by_id, key=lambda one: one.starts_at, reverse=True):
        if _in_force(joined.starts_at, joined.ends_at, since):
            ladder = catalog.cohorts.get(joined.cohort)
            if ladder is not None:
                return catalog.ladders[ladder]
    for item in _consists(world, since).items:
        version = catalog.versions.get((item.kind, item.id, item.version))
        if version is not None and version.ladder:
            return version.ladder
    return ()


def _lenient(world: _World, kind: str) -> list[Leniency]:
    """Promises or pauses of this subscription."""
    return [one for one in world.terms.leniencies if (one.kind, one.subscription) == (kind, world.subscription.id)]


def _stood_still(world: _World, since: Instant, now: Instant) -> int:
    """How long the ladder's clock stood still from ``since`` to ``now``: every bit of time looked at by itself."""
    pauses = _lenient(world, "pause")
    marks = {since, now}
    for pause in pauses:
        marks |= {to_instant(at) for at in (pause.starts_at, pause.ends_at) if at is not None}
    cuts = sorted(at for at in marks if since <= at <= now)
    return sum(
        end - start
        for start, end in pairwise(cuts)
        if any(_in_force(one.starts_at, one.ends_at, start) for one in pauses)
    )


def _step(world: _World, now: Instant) -> tuple[str | None, frozenset[str]]:
    """The severest step reached at ``now`` and the features restricted so far."""
    since = _owed_since(world.subscription, now)
    if since is None:
        return None, frozenset()
    clock = now - _stood_still(world, since, now)
    reached = [stage for stage in _stages(world, since) if add_duration(since, stage.after, world.zone) <= clock]
    if not reached:
        return None, frozenset()
    if any(_in_force(one.starts_at, one.ends_at, now) for one in _lenient(world, "promise")):
        return "warn", frozenset()
    names = {feature for stage in reached if stage.do == "restrict" for feature in stage.features}
    return max((stage.do for stage in reached), key=_SEVERER.index), frozenset(names)


def _unpaid_end(world: _World, now: Instant) -> Instant | None:
    """The first instant up to ``now`` at which non-payment had reached the end of the episode's ladder."""
    subscription, catalog = world.subscription, world.catalog
    facts = {to_instant(fact.at) for fact in subscription.payments}
    marks = [at for one in world.terms.leniencies for at in (one.starts_at, one.ends_at) if at is not None]
    instants = {*facts, *(to_instant(phase.starts_at) for phase in subscription.phases), *map(to_instant, marks)}
    for since in facts:
        stills = {_stood_still(world, since, at) for at in map(to_instant, marks) if at > since} | {0}
        for stages in catalog.ladders.values():
            instants |= {add_duration(since, stage.after, world.zone) + still for stage in stages for still in stills}
    start = min(to_instant(phase.starts_at) for phase in subscription.phases)
    for at in sorted(instants):
        if start <= at <= now and _step(world, at)[0] == "end":
            return at
    return None
