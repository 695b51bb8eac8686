"""Which ladder an episode of non-payment climbs, and when it reaches each stage, with promises and pauses.

The ladder is pinned at the instant at which the episode begins; what is bought, chosen or joined later moves only
episodes still to come.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog, CompiledStage
from licet.core.episode import Episode
from licet.core.instant import FOREVER, Instant, add_duration, to_instant
from licet.core.terms import Item, LadderChoice, Leniency, Membership, Terms

SEVERITY: Final = {"warn": 0, "restrict": 1, "suspend": 2, "end": 3}
"""Which of the stages reached counts: the severest."""
NO_LADDER: Final = "none"

Span = tuple[Instant, Instant]
"""A time ``[start, end)``."""


class Dunning(Struct, frozen=True):
    """What a customer's terms say about the non-payment of one subscription, apart from the subscription itself."""

    choices: tuple[LadderChoice, ...] = ()
    memberships: tuple[Membership, ...] = ()
    leniencies: tuple[Leniency, ...] = ()
    promises: tuple[Span, ...] = ()
    """Neither touching nor overlapping, in order."""
    pauses: tuple[Span, ...] = ()
    """Neither touching nor overlapping, in order."""


NO_DUNNING: Final = Dunning()
"""Nobody has said anything: the plan's ladder, without promise or pause."""


class Pinned(Struct, frozen=True):
    """The ladder of one episode. ``ladder`` is None where there is none; ``origin`` says who decided that.

    ``customer``, ``cohort:<id>``, ``plan:<id>@<version>`` or ``none``.
    """

    ladder: str | None
    origin: str
    stages: tuple[CompiledStage, ...]
    event: str | None = None
    """What brought the choice or the membership."""


class Climb(Struct, frozen=True):
    """One episode on its ladder: the instants at which it reaches the stages, FOREVER for one that is held back.

    ``end`` is the instant at which it ends the subscription for good, FOREVER if it does not.
    """

    episode: Episode
    pinned: Pinned
    steps: tuple[tuple[Instant, CompiledStage], ...]
    end: Instant


def dunning_of(terms: Terms, subscription: str) -> Dunning:
    """Return what the terms say about the non-payment of one subscription."""
    leniencies = tuple(one for one in terms.leniencies if one.subscription == subscription)
    if not leniencies and not terms.ladders and not terms.cohorts:
        return NO_DUNNING
    return Dunning(
        terms.ladders,
        terms.cohorts,
        leniencies,
        _joined(_span(one.starts_at, one.ends_at) for one in leniencies if one.kind == "promise"),
        _joined(_span(one.starts_at, one.ends_at) for one in leniencies if one.kind == "pause"),
    )


def pin_ladder(catalog: CompiledCatalog, dunning: Dunning, items: Iterable[Item], at: Instant) -> Pinned:
    """Return the ladder of an episode that begins at ``at``, when the subscription consists of ``items``.

    The customer's own choice comes first, then the cohorts that have a ladder, then the first plan that has one. A
    ladder which the catalog does not know is passed over. Of several the one that began last counts, then the first by
    id.
    """
    chosen = [
        one
        for one in dunning.choices
        if covers(one.starts_at, one.ends_at, at) and (one.ladder is None or one.ladder in catalog.ladders)
    ]
    if chosen:
        choice = min(chosen, key=lambda one: (-to_instant(one.starts_at), one.ladder is None, one.ladder or ""))
        stages = () if choice.ladder is None else catalog.ladders[choice.ladder]
        return Pinned(choice.ladder, "customer", stages, choice.event)
    joined = [
        one
        for one in dunning.memberships
        if covers(one.starts_at, one.ends_at, at) and catalog.cohorts.get(one.cohort) in catalog.ladders
    ]
    if joined:
        member = min(joined, key=lambda one: (-to_instant(one.starts_at), one.cohort))
        ladder = catalog.cohorts[member.cohort] or ""
        return Pinned(ladder, f"cohort:{member.cohort}", catalog.ladders[ladder], member.event)
    for item in items:
        version = catalog.versions.get((item.kind, item.id, item.version))
        if version is not None and version.ladder:
            return Pinned(version.ladder_id, f"plan:{item.id}@{item.version}", version.ladder)
    return Pinned(None, NO_LADDER, ())


def climb_ladder(episode: Episode, pinned: Pinned, dunning: Dunning, zone: tzinfo, start: Instant) -> Climb:
    """Return one episode on its ladder; stages are counted on the wall clock of ``zone``, then paused time is added.

    An end takes effect neither before the subscription's ``start`` nor within a promise.
    """
    steps = tuple(
        (_after_pauses(dunning.pauses, episode.start, add_duration(episode.start, stage.after, zone)), stage)
        for stage in pinned.stages
    )
    ends = [at for at, stage in steps if stage.do == "end"]
    end = after_promise(dunning, max(min(ends), start)) if ends else FOREVER
    return Climb(episode, pinned, steps, end if end < episode.end else FOREVER)


def promised(dunning: Dunning, now: Instant) -> bool:
    """Whether a promise to pay is in force."""
    return bool(dunning.promises) and after_promise(dunning, now) != now


def after_promise(dunning: Dunning, at: Instant) -> Instant:
    """Return the end of the promises in force at ``at``; ``at`` itself where there is none."""
    place = bisect_right(dunning.promises, at, key=lambda one: one[0]) - 1
    return at if place < 0 else max(at, dunning.promises[place][1])


def _after_pauses(pauses: tuple[Span, ...], since: Instant, at: Instant) -> Instant:
    """When a stage is reached that would be at ``at`` if the clock had never stood still since the episode began."""
    for start, end in pauses:
        begun = max(start, since)
        if begun >= at:
            break
        at = min(at + max(0, end - begun), FOREVER) if end < FOREVER else FOREVER
    return at


def covers(start: datetime, end: datetime | None, at: Instant) -> bool:
    """Whether a dated thing is in force at an instant."""
    return to_instant(start) <= at and (end is None or at < to_instant(end))


def _span(start: datetime, end: datetime | None) -> Span:
    """A dated thing as instants."""
    return to_instant(start), FOREVER if end is None else to_instant(end)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch or overlap made one, empty ones left out."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
