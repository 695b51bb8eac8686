"""Meters: CloudEvents of usage become facts, each known by its source and its id there."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from licet.core.instant import DAY, HOUR, Instant, format_instant, to_instant
from licet.core.spelling import nearest
from licet.core.usage.facts import Fact
from licet.core.usage.metering import Metering, measure
from licet.services.errors import Forbidden, Invalid
from licet.services.normal import invalid
from licet.services.usage.jobs import ReportJob
from licet.wire.usage import MAX_EVENTS, CloudEvent

AHEAD: Final = HOUR // 12
"""How far in the future an event may say it happened, because clocks differ: it then counts as of now."""
OLDEST: Final = 400 * DAY
"""How long ago it may have happened at most."""
_SHOWN: Final = 20


class ReadEvents(Struct, frozen=True):
    """What a batch of events comes to: the facts of its places that count, in its order.

    ``repeated`` are those that stand in it twice, ``ignored`` those that no meter counts.
    """

    facts: dict[int, Fact]
    repeated: int
    ignored: int


def read_events(metering: Metering, job: ReportJob, now: Instant) -> ReadEvents:
    """Return the facts of a batch.

    Raises Invalid, naming up to 20 places, where an event cannot be counted: nothing of the batch is then recorded.
    Raises Forbidden where a key that is bound to one customer tells of another.
    """
    events, ids, hashes = job.events, job.ids, job.hashes
    if not 1 <= len(events) <= MAX_EVENTS:
        raise invalid("", f"{len(events)} events; a batch has 1 to {MAX_EVENTS}")
    _check_bound(job)
    facts: dict[int, Fact] = {}
    seen: dict[str, int] = {}
    problems: list[tuple[str, str]] = []
    repeated = ignored = 0
    for place, event in enumerate(events):
        try:
            fact = _read(metering, event, ids[place], now)
        except ValueError as wrong:
            problems.append((f"[{place}]", str(wrong)))
            continue
        if fact is None:
            ignored += 1
            continue
        before = seen.setdefault(fact.id, place)
        if before == place:
            facts[place] = fact
            continue
        if hashes[before] != hashes[place]:
            problems.append((f"[{place}].id", f"{event.id!r} of {event.source!r} came before with other content"))
        repeated += 1
    if problems:
        raise _unreadable(problems)
    return ReadEvents(facts, repeated, ignored)


def _check_bound(job: ReportJob) -> None:
    bound = job.actor.customer
    other = None if bound is None else next((one for one in job.customers if one != bound), None)
    if other is not None:
        raise Forbidden(
            f"{job.actor.id} is bound to customer {bound!r}, so it may not tell of {other!r}",
            advice="use a key that is bound to no customer",
        )


def unknown_subjects(events: Sequence[CloudEvent], known: Sequence[str], unknown: Sequence[str]) -> Invalid:
    """Return the error for events about customers that are not there."""
    lost = set(unknown)
    problems = []
    for place, event in enumerate(events):
        if event.subject in lost:
            close = nearest(event.subject, known)
            words = f"there is no customer {event.subject!r}" + (f"; did you mean {close}?" if close else "")
            problems.append((f"[{place}].subject", words))
    return _unreadable(problems, "create them first: POST /v1/customers")


def _read(metering: Metering, event: CloudEvent, name: str, now: Instant) -> Fact | None:
    measured = measure(metering, event.type, event.data)
    if measured is None:
        return None
    effective = now
    if event.time is not None:
        effective = to_instant(event.time)
        if effective > now + AHEAD:
            raise ValueError(f"time {format_instant(effective)} is still to come; it is {format_instant(now)}")
        if effective < now - OLDEST:
            raise ValueError(f"time {format_instant(effective)} is more than {OLDEST // DAY} days ago")
        effective = min(effective, now)
    return Fact(
        id=name,
        kind="report",
        effective=effective,
        customer=event.subject,
        user=measured.user,
        team=measured.team,
        metered=measured.metered,
        values=measured.values,
        dimensions=measured.dimensions,
    )


def _unreadable(problems: Sequence[tuple[str, str]], advice: str = "") -> Invalid:
    shown = [{"path": path, "message": words} for path, words in problems[:_SHOWN]]
    rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Invalid(
        f"{problems[0][0]}: {problems[0][1]}{rest}; nothing of the batch was recorded",
        advice=advice or "send the batch again with these events put right or left out",
        details={"problems": shown},
    )
