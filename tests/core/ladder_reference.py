"""The ladder of missed payments, hour by hour: a diary that is kept forward and never looks ahead or back.

Every hour: what was said about invoices is noted; where something begins to be owed, the ladder is looked up and
written down; it is read from the top, and an end is final. Hours in which the ladder is paused are tallied and taken
off. Days are counted as the clock on the wall shows them. Deliberately nothing of ``timeline``, ``ladder`` or
``episode`` is used; everything dated must lie on whole hours.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final, NamedTuple

HOUR: Final = timedelta(hours=1)
NOTHING: Final = frozenset[str]()


Span = tuple[datetime, datetime | None]


class Step(NamedTuple):
    """One stage of a ladder: after so many days on the wall, or hours, do something to some features."""

    days: int
    hours: int
    do: str
    features: frozenset[str] = NOTHING


class Said(NamedTuple):
    """One fact about one invoice."""

    at: datetime
    kind: str
    invoice: str
    stated: datetime | None = None


class Course(NamedTuple):
    """One subscription: which ladder its plan has from when, and everything that was said."""

    phases: tuple[tuple[datetime, str], ...]
    """Start and plan; sorted, no two at once."""
    ladders: dict[str, tuple[Step, ...]]
    falls_to: dict[str, str]
    """What a plan becomes when its trial falls."""
    facts: tuple[Said, ...]
    trial_end: datetime | None = None
    behavior: str = "convert"
    pauses: tuple[Span, ...] = ()
    ends_at: datetime | None = None
    planned: tuple[tuple[datetime, str], ...] = ()
    """Phases of the schedule; sorted, no two at once."""
    planned_end: datetime | None = None
    promises: tuple[Span, ...] = ()
    stills: tuple[Span, ...] = ()
    """When the ladder's clock stands still."""
    choices: tuple[tuple[Span, str | None], ...] = ()
    """The customer's own ladders, by name; no two begin at once."""
    cohorts: tuple[tuple[Span, str], ...] = ()
    cohort_ladders: Mapping[str, str | None] = MappingProxyType({})
    named: Mapping[str, tuple[Step, ...]] = MappingProxyType({})
    moves: tuple[tuple[Span, str, str], ...] = ()
    """When one plan is read as another, by what it was and what it is; those that begin first are followed first."""


class Entry(NamedTuple):
    """How the diary says the subscription stands from an hour on."""

    at: datetime
    kind: str
    restricted: frozenset[str]


def keep_diary(course: Course, zone: tzinfo, start: datetime, end: datetime) -> list[Entry]:
    """Return one entry for each hour at which the standing is another than before, from ``start`` up to ``end``."""
    entries: list[Entry] = []
    owed: set[str] = set()
    ever_settled: set[str] = set()
    since: datetime | None = None
    ladder: tuple[Step, ...] = ()
    still_hours = 0
    ended = False
    now = start
    while now < end:
        paid, owing = _said(course, now, ever_settled)
        ever_settled |= paid
        if paid or owing:
            still = owed - paid
            owed = still | owing
            since = None if not owed else since if still else now
            if since == now:
                ladder, still_hours = _ladder(course, now), 0
        reached = [] if since is None else [one for one in ladder if _due(one, zone, since, now - still_hours * HOUR)]
        kind, restricted = ("ended", NOTHING) if ended else _entry(course, now, reached)
        ended = kind == "ended"
        if not entries or (entries[-1].kind, entries[-1].restricted) != (kind, restricted):
            entries.append(Entry(now, kind, restricted))
        if _in(course.stills, now):
            still_hours += 1
        now += HOUR
    return entries


def _in(spans: tuple[Span, ...], now: datetime) -> bool:
    """Whether one of these times is now."""
    return any(begin <= now and (finish is None or now < finish) for begin, finish in spans)


def _said(course: Course, now: datetime, ever_settled: set[str]) -> tuple[set[str], set[str]]:
    """The invoices settled and those missed at this very hour; who settles an invoice has the last word."""
    here = [fact for fact in course.facts if fact.at == now]
    settled = {fact.invoice for fact in here if fact.kind in ("paid", "voided")}
    missed = {fact.invoice for fact in here if fact.kind in ("failed", "uncollectible", "disputed")}
    for fact in here:
        dues = [one for one in course.facts if one.kind == "due" and one.invoice == fact.invoice]
        if dues and max(dues, key=lambda one: (one.stated or one.at, one.at)) == fact:
            missed |= {fact.invoice} - ever_settled
    return settled, missed - settled


def _ladder(course: Course, now: datetime) -> tuple[Step, ...]:
    """The ladder for what begins to be owed at this hour: the customer's, a cohort's, the plan's."""
    chosen = [(span[0], name) for span, name in course.choices if _in((span,), now)]
    if chosen:
        name = max(chosen, key=lambda one: one[0])[1]
        if name is None:
            return ()
        if name in course.named:
            return course.named[name]
    joined = [(span[0], one) for span, one in course.cohorts if _in((span,), now) and course.cohort_ladders.get(one)]
    if joined:
        last = max(start for start, _ in joined)
        return course.named[course.cohort_ladders[min(one for start, one in joined if start == last)] or ""]
    first, bought = course.phases[0]
    plan = _followed(course, bought, now) if now < first else _plan(course, now)
    return course.ladders.get(plan or "", ())


def _entry(course: Course, now: datetime, reached: list[Step]) -> tuple[str, frozenset[str]]:
    """The standing at this hour of a subscription that has not ended before."""
    trial_over = course.trial_end is not None and now >= course.trial_end
    if (trial_over and course.behavior == "end") or any(
        end is not None and now >= end for end in (course.ends_at, course.planned_end)
    ):
        return "ended", NOTHING
    if now < course.phases[0][0]:
        return "not_started", NOTHING
    if _plan(course, now) is None:
        return "ended", NOTHING
    done = {"warn" if _in(course.promises, now) else one.do for one in reached}
    if "end" in done:
        return "ended", NOTHING
    if "suspend" in done:
        return "suspended", NOTHING
    if (trial_over and course.behavior == "pause") or _in(course.pauses, now):
        return "paused", NOTHING
    if "restrict" in done:
        return "restricted", frozenset().union(*(one.features for one in reached))
    if "warn" in done:
        return "grace", NOTHING
    if course.trial_end is not None and not trial_over:
        return "trialing", NOTHING
    return "active", NOTHING


def _plan(course: Course, now: datetime) -> str | None:
    """The plan in force; None where a trial fell to nothing."""
    planned = [(start, 0, plan) for start, plan in course.planned if start >= course.phases[0][0]]
    ordered = [(start, 1, plan) for start, plan in course.phases]
    start, _, plan = max(one for one in (*planned, *ordered) if one[0] <= now)
    if course.behavior != "fall" or course.trial_end is None or not start < course.trial_end <= now:
        return _followed(course, plan, now)
    then = course.falls_to.get(_followed(course, plan, course.trial_end - HOUR))
    return None if then is None else _followed(course, then, now)


def _followed(course: Course, plan: str, now: datetime) -> str:
    """What a plan is at this hour."""
    for span, was, becomes in sorted(course.moves, key=lambda one: one[0][0]):
        if _in((span,), now) and plan == was:
            plan = becomes
    return plan


def _due(step: Step, zone: tzinfo, since: datetime, now: datetime) -> bool:
    """Whether a step is due: so many hours have passed, or the wall shows at least the same time so many days on."""
    if not step.days:
        return now >= since + step.hours * HOUR
    then = since.astimezone(zone).replace(tzinfo=UTC) + timedelta(days=step.days)
    return now.astimezone(zone).replace(tzinfo=UTC) >= then
