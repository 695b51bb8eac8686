"""Lines of allowance as grants: when each is whole again, and what it is worth in between."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from licet.core.catalog import Recurrence
from licet.core.compiled import UNBOUNDED
from licet.core.entitlement import total
from licet.core.instant import BEGINNING, DAY, FOREVER, Instant
from licet.core.usage.allowance import Line, Share, Stretch
from licet.core.usage.grant import NOTHING, Grant, Mark, Rollover
from licet.core.usage.period import SPANS, Cycle, first_of, starts_of

_WINDOWED: Final = frozenset({"rolling", "session"})
MAX_MARKS: Final = 200_000
"""The most renewals and releases that the course of one balance has: more than 22 years of hours. Before the newest
so many, an allowance counts as one long period."""
MarkKind = Literal["renew", "step", "fresh"]


def spacing(line: Line) -> int:
    """Return how long a line goes without a mark at least, in microseconds; 0 for one that is never whole again."""
    cycles = [era.cycle for era in line.eras if era.cycle is not None]
    if not cycles or line.per in _WINDOWED:
        return 0
    parts = (Cycle(cycles[0].zone, None, 0, SPANS[release]) for release in _releases(line))
    return min(one.shortest for one in (*cycles, *parts))


def grant_of(line: Line, until: Instant, exact_from: Instant) -> Grant:
    """Return a line as a grant with its marks before ``until``, renewals only from ``exact_from`` on.

    The first renewal at or after ``until`` is among them, for the order of burning.
    """
    renewals = _renewals(line, until, exact_from)
    cuts = _Cuts(line, renewals) if _releases(line) else None
    points: dict[Instant, MarkKind] = {} if cuts is None else dict.fromkeys(cuts.instants, "step")
    for stretch in line.stretches:
        points.setdefault(stretch.end, "step")
        points[stretch.start] = "fresh" if stretch.anew else "step"
    points |= dict.fromkeys(renewals, "renew")
    points |= dict.fromkeys(line.fresh, "fresh")
    ahead = min((at for at, kind in points.items() if at >= until and kind != "step"), default=FOREVER)
    own, marks = _rule(line, line.start), list[Mark]()
    amount = first = _worth(line, line.start, cuts)
    for at in sorted(points):
        # Of what lies ahead only what the order of burning needs: when it is whole again.
        if not line.start < at < line.end or (at >= until and (points[at] == "step" or at > ahead)):
            continue
        now = _worth(line, at, cuts)
        if points[at] != "step" or now != amount:
            rule = _rule(line, at - 1) if points[at] == "renew" else own
            marks.append(Mark(at, points[at], now, None if rule == own else rule))
        amount = now
    return Grant(
        id=line.id,
        effective=line.start,
        amount=first,
        priority=line.priority,
        expires=line.end,
        marks=tuple(marks),
        rollover=own,
    )


def _renewals(line: Line, until: Instant, exact_from: Instant) -> list[Instant]:
    """The starts of the line's periods after its own, and the first at or after ``until``; none in windows."""
    if line.per in _WINDOWED:
        return []
    found = starts_of(line.eras, max(line.start + 1, exact_from), min(until, line.end))
    ahead = first_of(line.eras, max(until, line.start + 1))
    return [*found, ahead] if ahead < line.end else found


def _releases(line: Line) -> set[Recurrence]:
    return {share.release for one in line.stretches for share in one.shares if share.release is not None}


def _stretch_at(line: Line, at: Instant) -> Stretch | None:
    place = bisect_right(line.stretches, at, key=lambda one: one.start) - 1
    return line.stretches[place] if place >= 0 and at < line.stretches[place].end else None


def _rule(line: Line, at: Instant) -> Rollover:
    """What rolls over where a period ends in which the line is as at ``at``."""
    stretch = _stretch_at(line, at)
    if stretch is None:
        return NOTHING
    return Rollover(*(total([share.rollover[place] for share in stretch.shares]) for place in (0, 1)))


class _Cuts:
    """The instants within each period at which another part of an allowance is released."""

    def __init__(self, line: Line, renewals: list[Instant]) -> None:
        self.starts = [_period_start(line), *renewals]
        ends = [*self.starts[1:], first_of(line.eras, max(self.starts[-1], line.start) + 1)]
        self.parts = [
            {release: _cuts(line, release, start, end) for release in _releases(line)}
            for start, end in zip(self.starts, ends, strict=True)
        ]

    @property
    def instants(self) -> Iterator[Instant]:
        """All of them."""
        return (at for parts in self.parts for cuts in parts.values() for at in cuts)

    def worth(self, share: Share, at: Instant) -> int:
        """What of a share has been released at an instant: equal parts, counted from the beginning of the period."""
        if share.release is None or share.amount >= UNBOUNDED:
            return share.amount
        cuts = self.parts[max(0, bisect_right(self.starts, at) - 1)][share.release]
        return share.amount * (1 + bisect_right(cuts, at)) // (1 + len(cuts))


def _worth(line: Line, at: Instant, cuts: _Cuts | None) -> int:
    """What the line is worth from ``at`` on."""
    stretch = _stretch_at(line, at)
    if stretch is None:
        return 0
    return total([share.amount if cuts is None else cuts.worth(share, at) for share in stretch.shares])


def _period_start(line: Line) -> Instant:
    """The beginning of the period in which the line begins."""
    cycle = _cycle_at(line, line.start)
    if cycle is None:
        return line.start
    since = line.start - 8 * DAY if cycle.natural is not None else cycle.anchor
    return max(cycle.starts(since, line.start + 1), default=line.start)


def _cuts(line: Line, release: Recurrence, start: Instant, end: Instant) -> list[Instant]:
    """Where ``release`` cuts a period: months by the anchor of its periods, shorter ones from its own beginning."""
    cycle = _cycle_at(line, start)
    if cycle is None or end >= FOREVER:
        return []
    span = SPANS[release]
    anchor = cycle.anchor if cycle.natural is None and cycle.span.months and span.months else start
    return Cycle(cycle.zone, None, anchor, span).starts(start + 1, end)


def _cycle_at(line: Line, at: Instant) -> Cycle | None:
    """The periods that a line has at an instant."""
    return line.eras[max(0, bisect_right(line.eras, at, key=lambda one: one.since) - 1)].cycle


def exact_since(lines: Sequence[Line], until: Instant) -> Instant:
    """Return the instant from which all marks of lines are derived; BEGINNING where there are not too many.

    It moves on in leaps as ``until`` does, so that what is known of the past seldom changes.
    """
    spaced = [(line, gap) for line in lines if (gap := spacing(line))]

    def many(since: Instant) -> bool:
        return sum(max(0, min(line.end, until) - max(line.start, since)) // gap for line, gap in spaced) > MAX_MARKS

    if not many(BEGINNING):
        return BEGINNING
    low, high = min(line.start for line, _ in spaced), until
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if many(middle) else (low, middle)
    leap: int = 1 << max(0, (until - high).bit_length() - 4)
    return -(-high // leap) * leap


class _Run(NamedTuple):
    """``[start, end)`` in which a line gives something."""

    start: Instant
    end: Instant
    line: Line


class _Reign(NamedTuple):
    """``[start, end)`` in which one line says when the balance's own periods end; ``opens``: one begins with it."""

    start: Instant
    end: Instant
    line: Line | None
    opens: bool


def own_periods(
    lines: Sequence[Line], per: Recurrence | None, until: Instant, exact_from: Instant
) -> tuple[list[Instant], Instant]:
    """Return the ends of a balance's own periods before ``until``, ascending, and the first one from then on.

    The line that began first of those in force says them, one of the feature's own ``per`` before others. Where the
    last one ends, or the first one begins again, a period ends too; what goes on for the same subscription by the same
    periods goes on.
    """
    ends: set[Instant] = set()
    ahead = FOREVER
    for start, end, line, opens in _reigns(lines, per):
        if opens:
            ends.add(start)
        if line is None:
            continue
        since = max(start, line.start + 1, exact_from)
        ends.update(starts_of(line.eras, since, min(end, until)))
        if end > until and ahead == FOREVER:
            found = first_of(line.eras, max(since, until))
            ahead = found if found < end else FOREVER
    ahead = min([ahead, *(at for at in ends if at >= until)])
    return sorted(at for at in ends if at < until), ahead


def _reigns(lines: Sequence[Line], per: Recurrence | None) -> Iterator[_Reign]:
    runs = [run for line in lines for run in _runs(line)]
    points = sorted({at for run in runs for at in (run.start, run.end) if at < FOREVER})
    before: _Run | None = None
    for start, end in pairwise([*points, FOREVER]):
        held = [run for run in runs if run.start <= start < run.end]
        if not held:
            yield _Reign(start, end, None, opens=True)
            before = None
            continue
        chosen = min(held, key=lambda run: (run.line.per != per, run.line.start, run.line.id))
        goes_on = any(run.start < start for run in held) or (before is not None and _kin(before.line, chosen.line))
        yield _Reign(start, end, chosen.line, opens=not goes_on and start != points[0])
        before = chosen


def _kin(one: Line, other: Line) -> bool:
    return (one.source, one.per, one.trialing) == (other.source, other.per, other.trialing)


def _runs(line: Line) -> Iterator[_Run]:
    """The times in which a line gives something, joined."""
    start = end = line.start
    for stretch in line.stretches:
        if stretch.start > end:
            yield _Run(start, end, line)
            start = stretch.start
        end = stretch.end
    yield _Run(start, end, line)
