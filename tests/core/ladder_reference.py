"""The ladder of missed payments, hour by hour: a diary that is kept forward and never looks ahead or back.

Every hour: what was said about invoices is noted, the plan in force is looked up, the ladder is read from the top, and
an end is final. Days are counted as the clock on the wall shows them. Deliberately nothing of ``timeline`` or
``episode`` is used; facts, phases, trials, pauses and ladder steps must all lie on whole hours.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

HOUR: Final = timedelta(hours=1)
NOTHING: Final = frozenset[str]()


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
    pauses: tuple[tuple[datetime, datetime | None], ...] = ()
    ends_at: datetime | None = None


class Entry(NamedTuple):
    """How the diary says the subscription stands from an hour on."""

    at: datetime
    kind: str
    restricted: frozenset[str]


def keep_diary(course: Course, zone: tzinfo, start: datetime, end: datetime) -> list[Entry]:
    """Return one entry for each hour at which the standing is another than before, from ``start`` up to ``end``."""
    entries: list[Entry] = []
    owed: set[str] = set()
    since: datetime | None = None
    ended = False
    now = start
    while now < end:
        paid, owing = _said(course, now)
        if paid or owing:
            still = owed - paid
            owed = still | owing
            since = None if not owed else since if still else now
        kind, restricted = ("ended", NOTHING) if ended else _entry(course, zone, now, since)
        ended = kind == "ended"
        if not entries or (entries[-1].kind, entries[-1].restricted) != (kind, restricted):
            entries.append(Entry(now, kind, restricted))
        now += HOUR
    return entries


def _said(course: Course, now: datetime) -> tuple[set[str], set[str]]:
    """The invoices settled and those missed at this very hour; who settles an invoice has the last word."""
    here = [fact for fact in course.facts if fact.at == now]
    settled = {fact.invoice for fact in here if fact.kind in ("paid", "voided")}
    missed = {fact.invoice for fact in here if fact.kind in ("failed", "uncollectible")}
    return settled, missed - settled


def _entry(course: Course, zone: tzinfo, now: datetime, since: datetime | None) -> tuple[str, frozenset[str]]:
    """The standing at this hour of a subscription that has not ended before."""
    trial_over = course.trial_end is not None and now >= course.trial_end
    if (trial_over and course.behavior == "end") or (course.ends_at is not None and now >= course.ends_at):
        return "ended", NOTHING
    if now < course.phases[0][0]:
        return "not_started", NOTHING
    plan = _plan(course, now)
    if plan is None:
        return "ended", NOTHING
    steps = [] if since is None else [one for one in course.ladders.get(plan, ()) if _due(one, zone, since, now)]
    done = {one.do for one in steps}
    if "end" in done:
        return "ended", NOTHING
    if "suspend" in done:
        return "suspended", NOTHING
    if (trial_over and course.behavior == "pause") or any(
        begin <= now and (finish is None or now < finish) for begin, finish in course.pauses
    ):
        return "paused", NOTHING
    if "restrict" in done:
        return "restricted", frozenset().union(*(one.features for one in steps))
    if "warn" in done:
        return "grace", NOTHING
    if course.trial_end is not None and not trial_over:
        return "trialing", NOTHING
    return "active", NOTHING


def _plan(course: Course, now: datetime) -> str | None:
    """The plan in force; None where a trial fell to nothing."""
    start, plan = [one for one in course.phases if one[0] <= now][-1]
    if course.behavior != "fall" or course.trial_end is None or not start < course.trial_end <= now:
        return plan
    return course.falls_to.get(plan)


def _due(step: Step, zone: tzinfo, since: datetime, now: datetime) -> bool:
    """Whether a step is due: so many hours have passed, or the wall shows at least the same time so many days on."""
    if not step.days:
        return now >= since + step.hours * HOUR
    then = since.astimezone(zone).replace(tzinfo=UTC) + timedelta(days=step.days)
    return now.astimezone(zone).replace(tzinfo=UTC) >= then
