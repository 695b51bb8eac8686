"""Folding a balance anew: from the newest checkpoint that serves, with the facts since.

A checkpoint is a cache: without it the fold begins at an earlier one, or at the first fact, and comes to the same.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant
from licet.core.usage.account import Account, slate_of
from licet.core.usage.balance import Refund, Use
from licet.core.usage.course import Course
from licet.core.usage.effects import effects
from licet.core.usage.facts import Fact
from licet.core.usage.lent import Lent
from licet.core.usage.recalled import Base, Recalled
from licet.services.errors import Invalid
from licet.services.normal import invalid
from licet.services.usage.many_ports import PastReads
from licet.services.usage.ports import BalanceRow

_LAST: Final = "f" * 32


_STEPS: Final = 8
"""So many checkpoints are tried one by one before the last one of before the slate is."""


class NotKept(Invalid):
    """The facts of the instant that is asked about are not all there any more."""


class Span(NamedTuple):
    """Which facts count."""

    at: Instant
    """Reservations end by themselves by then."""
    until: Instant | None = None
    """Facts effective before it count; None: all, and those ahead of ``at`` move it on."""
    known: datetime | None = None
    """Facts recorded by then count; None: all."""
    noted: bool = False
    """Whether only those ends of reservations count that are recorded."""
    unended: tuple[Fact, ...] = ()
    """Reservations that ended by themselves and nobody noted."""


class Past(NamedTuple):
    """What a balance is folded from."""

    course: Course
    base: Base | None
    facts: Sequence[Fact]
    """As they were recorded, with the beginnings of reservations that they are about."""
    effects: Sequence[Use | Refund]
    """What they do, later than the base."""

    def recalled(self) -> Recalled:
        """Return the account with its past at hand."""
        return Recalled(self.course, self.effects, self.base)

    def account(self) -> Account:
        """Return the account alone."""
        return self.recalled().account


async def settled(account: Recalled) -> Recalled:
    """Return an account once it is folded: others have their turn after every few facts."""
    for _ in account.settling():
        await asyncio.sleep(0)
    return account


async def past_of(
    reads: PastReads,
    course: Course,
    meter: str | None,
    before: Instant,
    span: Span,
) -> Past:
    """Return what a balance is folded from, so that every fact effective at ``before`` or later is among the facts.

    ``meter`` is that of a metered feature.
    """
    key, low, tried = course.key, before, 0
    slate = slate_of(course, before - 1)
    while True:
        row = await reads.checkpoint(key, low, span.known)
        kept = None if row is None else _kept(course, row, slate)
        if row is not None and kept is None:
            tried += 1
            low = row.as_of if tried < _STEPS or slate <= BEGINNING else slate
            continue
        if row is None or not row.whole:
            border = await _border(reads, course, before, span)
            if border is not None:
                facts, done = await _since(reads, course, meter, border, span)
                return Past(
                    course,
                    Base(border.state, _missing(done)),
                    facts,
                    [one for one in done if one.effective > border.as_of],
                )
        facts, done = await _since(reads, course, meter, row, span)
        if row is None or kept is None:
            return Past(course, None, facts, done)
        missing = _missing(done) - kept.lent.leases.keys()
        leases = _returning(done) & missing
        sought = missing - _told(done)
        if span.known is not None:
            # What ended a reservation may be recorded later: then it ended by itself, as was known.
            later = await reads.ended_after(key.customer, row.as_of, span.until, span.known)
            sought |= frozenset(later) - {one.id for one in done}
        firsts = [one.effective for one in done if one.effective <= row.as_of]
        for names, end in ((sought, row.as_of), (leases, kept.lent.known - 1)):
            if names and kept.gone <= end:
                first = await reads.first_of(key.customer, sorted(names), kept.gone, end)
                firsts += () if first is None else (first,)
        if not firsts:
            return Past(course, Base(row.state, missing | sought), facts, done)
        low = min(firsts)


async def _border(reads: PastReads, course: Course, before: Instant, span: Span) -> BalanceRow | None:
    """Return the first checkpoint that holds all facts that were dropped; None where none were.

    Raises Invalid where what is asked lies before it. What is recorded is decided all the same: what is told of before
    it counts just after it.
    """
    at = await reads.border(course.key)
    if at is None:
        return None
    if before > at or span.noted:
        return await reads.checkpoint(course.key, at + 1)
    since = format_instant(at)
    told = invalid(
        "at",
        f"the facts of {course.feature} of before {since} are not all kept any more",
        f"ask for an instant from {since} on; what was used by the hour is kept for ever (GET /v1/usage)",
    )
    raise NotKept(told.words, advice=told.advice, details=told.details)


def _missing(done: Sequence[Use | Refund]) -> frozenset[str]:
    """Return the uses that refunds are about and that are not among them."""
    return frozenset(one.use for one in done if isinstance(one, Refund)) - {
        one.id for one in done if isinstance(one, Use)
    }


def _told(done: Sequence[Use | Refund]) -> frozenset[str]:
    """Return the leases of which something is told."""
    return frozenset(one.use for one in done if isinstance(one, Refund) and one.spent is not None)


def _returning(done: Sequence[Use | Refund]) -> frozenset[str]:
    """Return the leases of which something goes back: of others it does not matter what they drew."""
    return frozenset(one.use for one in done if isinstance(one, Refund) and one.spent is not None and one.amount)


class _Kept(NamedTuple):
    """What a checkpoint knows of the time before it."""

    gone: Instant
    """Before it nothing matters any more."""
    lent: Lent


def _kept(course: Course, row: BalanceRow, slate: Instant) -> _Kept | None:
    """Return what a checkpoint knows; None where it does not serve: its course has another past by now, and no slate
    covers that."""
    account = Account.load(course, row.state)
    if account is not None:
        return _Kept(account.slate, account.lent)
    return _Kept(FOREVER, Lent({}, BEGINNING)) if row.as_of < slate else None


async def _since(
    reads: PastReads,
    course: Course,
    meter: str | None,
    row: BalanceRow | None,
    span: Span,
) -> tuple[Sequence[Fact], Sequence[Use | Refund]]:
    """Return the facts since a checkpoint, and what they do."""
    after = None if row is None else (row.as_of, _LAST)
    read = await reads.facts_of(course.key, after=after, until=span.until, known=span.known)
    before = () if row is None else (one for one in span.unended if one.effective <= row.as_of)
    facts = {one.id: one for one in (*read, *before)}
    at = max([span.at, *(one.effective for one in read)]) if span.until is None else span.at
    done = effects(facts.values(), course.key, at, meter, noted=span.noted)
    if row is not None:
        done = [one for one in done if one.effective > row.as_of or isinstance(one, Refund)]
    return sorted(facts.values(), key=lambda one: (one.effective, one.id)), done
