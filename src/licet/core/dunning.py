"""How one subscription's non-payment stands, for people: what is owed, on which ladder, and what comes next."""

from typing import Literal

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.episode import open_invoices
from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.ladder import SEVERITY, Climb, Pinned, covers, dunning_of
from licet.core.terms import Leniency, Subscription, Terms
from licet.core.timeline import Course, StandingKind
from licet.core.trail import moves_of

Do = Literal["warn", "restrict", "suspend", "end"]


class StageView(Struct, frozen=True):
    """One stage of the ladder. ``at`` is the instant at which the ladder reaches it if nothing is paid.

    ``at`` is None while an open-ended pause holds it back, and where nothing is owed. A promise to pay moves no stage:
    it keeps what was reached from applying.
    """

    do: Do
    features: tuple[str, ...]
    at: Instant | None
    reached: bool


class NextStep(Struct, frozen=True):
    """What non-payment does next if nothing is paid or agreed."""

    do: Do
    at: Instant


class DunningView(Struct, frozen=True):
    """One subscription's non-payment at an instant.

    ``since`` is the start of the episode that lasts, None where nothing is owed; then ``ladder`` is the one that an
    episode beginning now would climb. ``origin`` says who decided on it: ``customer``, ``cohort:<id>``,
    ``plan:<id>@<version>`` or ``none``; ``origin_event`` is what brought it. ``ladder`` is None where non-payment has
    no consequences. ``leniencies`` are the promises and pauses in force.
    """

    subscription: str
    standing: StandingKind
    invoices: tuple[str, ...]
    since: Instant | None
    ladder: str | None
    origin: str
    origin_event: str | None
    stages: tuple[StageView, ...]
    leniencies: tuple[Leniency, ...]
    next: NextStep | None


def read_dunning(catalog: CompiledCatalog, terms: Terms, subscription: str, now: Instant) -> DunningView | None:
    """Return how the non-payment of one subscription stands at ``now``; None where there is no such subscription."""
    found = next((one for one in terms.subscriptions if one.id == subscription), None)
    if found is None:
        return None
    course = lay_course(catalog, terms, found)
    climb = course.climb_at(now)
    pinned = ladder_in_force(course, now)
    return DunningView(
        subscription,
        course.state_at(now).kind,
        open_invoices(found.payments, now),
        None if climb is None else climb.episode.start,
        pinned.ladder,
        pinned.origin,
        pinned.event,
        _stages(pinned, climb, now),
        leniencies_in_force(terms, subscription, now),
        _next_step(course, now),
    )


def stage_reached(catalog: CompiledCatalog, terms: Terms, subscription: str, now: Instant) -> Do | None:
    """Return the severest thing that non-payment does to a subscription at ``now``; None for nothing.

    ``end`` once it has ended it for good. What has ended for another cause is past all stages.
    """
    found = next((one for one in terms.subscriptions if one.id == subscription), None)
    if found is None:
        return None
    course = lay_course(catalog, terms, found)
    stop, _ = course.stop()
    if stop <= now:
        return "end" if stop == course.ladder_end else None
    severity, _ = _weight(course, now)
    return None if severity < 0 else _DO[severity]


def lay_course(catalog: CompiledCatalog, terms: Terms, subscription: Subscription) -> Course:
    """Return the course of one subscription of these terms."""
    zone = catalog.zone(subscription.zone, terms.profile.zone)
    return Course(subscription, catalog, zone, dunning_of(terms, subscription.id), moves_of(terms, subscription.id))


def ladder_in_force(course: Course, now: Instant) -> Pinned:
    """Return the ladder of the episode that lasts at ``now``, else of one that would begin now."""
    climb = course.climb_at(now)
    return course.pinned_at(now) if climb is None else climb.pinned


def leniencies_in_force(terms: Terms, subscription: str, now: Instant) -> tuple[Leniency, ...]:
    """Return the promises and pauses in force at ``now``, by start, then id."""
    found = [
        one for one in terms.leniencies if one.subscription == subscription and covers(one.starts_at, one.ends_at, now)
    ]
    return tuple(sorted(found, key=lambda one: (to_instant(one.starts_at), one.id)))


def origin_words(origin: str) -> str:
    """Return who decided on a ladder, as the end of a sentence about it."""
    whose, _, name = origin.partition(":")
    told = {"customer": "chosen for the customer", "cohort": f"of cohort {name}", "plan": f"of plan {name}"}
    return told.get(whose, "as neither customer, cohort nor plan had one")


def _stages(pinned: Pinned, climb: Climb | None, now: Instant) -> tuple[StageView, ...]:
    """The stages of the ladder, dated where an episode climbs it."""
    if climb is None:
        return tuple(StageView(stage.do, stage.features, None, False) for stage in pinned.stages)
    return tuple(
        StageView(stage.do, stage.features, at if at < FOREVER else None, at <= now) for at, stage in climb.steps
    )


def _next_step(course: Course, now: Instant) -> NextStep | None:
    """The first instant ahead at which more is taken away than before; None where it ends first for another cause."""
    stop, _ = course.stop()
    if stop <= now:
        return None
    before = _weight(course, now)
    for at in sorted({*course.dunning_instants(), course.start}):
        if at <= now or at >= FOREVER:
            continue
        if at >= stop:
            return NextStep("end", stop) if stop == course.ladder_end else None
        weight = _weight(course, at)
        if weight > before:
            return NextStep(_DO[weight[0]], at)
        before = weight
    return None


_DO: tuple[Do, ...] = ("warn", "restrict", "suspend", "end")


def _weight(course: Course, now: Instant) -> tuple[int, int]:
    """How much non-payment takes away: the severity, below ``warn`` where nothing; then how many features."""
    step, restricted = course.step_at(now)
    return (-1 if step is None else SEVERITY[step]), len(restricted)
