"""Meters: CloudEvents of usage become facts, each known by its source and its id there."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.instant import DAY, HOUR, Instant, format_instant, to_instant
from licet.core.spelling import nearest
from licet.core.usage.admit import Report
from licet.core.usage.facts import Fact
from licet.core.usage.metering import Metering, measure
from licet.services.errors import Forbidden, Invalid
from licet.services.normal import invalid
from licet.services.rows import Actor
from licet.services.usage.jobs import body_hash, event_id
from licet.wire.usage import MAX_EVENTS, CloudEvent

AHEAD: Final = HOUR // 12
"""How far in the future an event may say it happened, because clocks differ: it then counts as of now."""
OLDEST: Final = 400 * DAY
"""How long ago it may have happened at most."""
_SHOWN: Final = 20


class ReadEvent(Struct, frozen=True, gc=False):
    """An event as a step of a posting, with what is kept of it."""

    report: Report
    hash: bytes
    source: bytes
    """JSON: its source, type, id and subject."""


class ReadEvents(Struct, frozen=True):
    """What a batch of events comes to; ``repeated`` are those that stand in it twice."""

    events: tuple[ReadEvent, ...]
    repeated: int
    ignored: int


class _Source(Struct, frozen=True):
    source: str
    type: str
    id: str
    subject: str


def read_events(metering: Metering, events: Sequence[CloudEvent], now: Instant, actor: Actor) -> ReadEvents:
    """Return the facts of a batch, in its order.

    Raises Invalid, naming up to 20 places, where an event cannot be counted: nothing of the batch is then recorded.
    Raises Forbidden where a key that is bound to one customer tells of another.
    """
    if not 1 <= len(events) <= MAX_EVENTS:
        raise invalid("", f"{len(events)} events; a batch has 1 to {MAX_EVENTS}")
    found: dict[str, ReadEvent] = {}
    problems: list[tuple[str, str]] = []
    repeated = ignored = 0
    for place, event in enumerate(events):
        if actor.customer not in (None, event.subject):
            raise Forbidden(
                f"{actor.id} is bound to customer {actor.customer!r}, so it may not tell of {event.subject!r}",
                advice="use a key that is bound to no customer",
            )
        try:
            read = _read(metering, event, now, actor.customer)
        except ValueError as wrong:
            problems.append((f"[{place}]", str(wrong)))
            continue
        if read is None:
            ignored += 1
            continue
        before = found.setdefault(read.report.fact.id, read)
        if before is not read:
            if before.hash != read.hash:
                problems.append((f"[{place}].id", f"{event.id!r} of {event.source!r} came before with other content"))
            repeated += 1
    if problems:
        raise _unreadable(problems)
    return ReadEvents(tuple(found.values()), repeated, ignored)


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


def _read(metering: Metering, event: CloudEvent, now: Instant, bound: str | None) -> ReadEvent | None:
    measured = measure(metering, event.type, event.data)
    if measured is None:
        return None
    effective = now if event.time is None else to_instant(event.time)
    if effective > now + AHEAD:
        raise ValueError(f"time {format_instant(effective)} is still to come; it is {format_instant(now)}")
    if effective < now - OLDEST:
        raise ValueError(f"time {format_instant(effective)} is more than {OLDEST // DAY} days ago")
    fact = Fact(
        id=event_id(event.source, event.id, bound),
        kind="report",
        effective=min(effective, now),
        customer=event.subject,
        user=measured.user,
        team=measured.team,
        metered=measured.metered,
        values=measured.values,
        dimensions=measured.dimensions,
    )
    source = _Source(event.source, event.type, event.id, event.subject)
    said = body_hash("event", event)
    return ReadEvent(Report(fact=fact), said, msgspec.json.encode(source, order="sorted"))


def _unreadable(problems: Sequence[tuple[str, str]], advice: str = "") -> Invalid:
    shown = [{"path": path, "message": words} for path, words in problems[:_SHOWN]]
    rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Invalid(
        f"{problems[0][0]}: {problems[0][1]}{rest}; nothing of the batch was recorded",
        advice=advice or "send the batch again with these events put right or left out",
        details={"problems": shown},
    )
