"""The course of a balance: everything that time and terms bring it, derived whole from catalog, terms and funding.

Facts of usage are none of it: what is left of a balance is the fold of its facts over its course (``balance``).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from functools import cached_property
from typing import Final, Literal, TypeVar

from msgspec import Struct, structs

from licet.core.catalog import AtLimit, Catalog, Metered, Recurrence
from licet.core.compiled import UNBOUNDED, CompiledCatalog, CompiledFeature
from licet.core.entitlement import LENIENCE
from licet.core.instant import BEGINNING, DAY, FOREVER, Duration, Instant, add_duration, parse_duration
from licet.core.terms import Terms
from licet.core.usage.allowance import Force, Line, Reset, Share, Stretch, allowances, with_resets
from licet.core.usage.facts import (
    AccountKey,
    BalanceReset,
    Funding,
    GrantGiven,
    GrantVoided,
    SpendLimit,
    TopUpRule,
)
from licet.core.usage.grant import Grant, Timetable
from licet.core.usage.marks import exact_since, grant_of, own_periods
from licet.core.usage.period import Cycle, Era

_WITH_BALANCE: Final = frozenset({"metered", "credits"})


class Window(Struct, frozen=True):
    """Allowances that count by windows instead of periods, ``length`` microseconds long.

    ``rolling``: the use of ``(now - length, now]`` counts. ``session``: a window opens at the first use that none
    covers, and is cut at the end of the balance's period. Grants are a ceiling of each window.
    """

    kind: Literal["rolling", "session"]
    length: int


class Bound(Struct, frozen=True):
    """From ``at`` on: what happens at the limit, and how much may be used beyond all there is (None: no bound)."""

    at: Instant
    at_limit: AtLimit = "block"
    overage_limit: int | None = None


class TopUp(Struct, frozen=True):
    """From ``at`` on the rule of automatic top-ups; ``amount`` 0: none. ``rule`` is the funding that says it."""

    at: Instant
    rule: str
    below: int
    amount: int
    most: int
    expires_after: Duration | None = None
    """On the customer's wall clock; for ever where None."""


class Origin(Struct, frozen=True):
    """Where a grant of a course comes from: the line of a subscription, an override, or funding of its own."""

    kind: Literal["subscription", "override", "funding"]
    id: str
    per: Recurrence | None = None
    """How often a line is whole again; None for funding."""
    trialing: bool = False
    release: bool = False
    """Whether it is released in parts."""
    changes: tuple[Instant, ...] = ()
    """Of a line that is released in parts: when what feeds it changed besides."""


class Course(Struct, frozen=True, kw_only=True, dict=True):
    """What is known of one balance for ``(…, until)`` before anything is used, in minor units.

    Whole from the beginning, but for marks before ``exact_from``; what it says of an instant does not depend on
    ``until``, but by what becomes known later. Of each grant that renews, the first renewal at or after ``until`` is
    among its marks too, so that the order of burning is known; nothing else is.
    """

    key: AccountKey
    zone: tzinfo
    """The customer's: of months of top-ups and of grants that recur."""
    grants: tuple[Grant, ...] = ()
    """By (effective, id). Lines of allowance are grants with marks; an unlimited one has the amount ``UNBOUNDED``."""
    origins: dict[str, Origin] = {}
    """By id of each grant."""
    resets: tuple[Instant, ...] = ()
    """The ends of the balance's own periods, ascending, before ``until``."""
    next_reset: Instant = FOREVER
    """The first end of a period at or after ``until``; FOREVER where none comes."""
    emptied: tuple[Instant, ...] = ()
    """The resets by hand among them: they empty a rolling window too."""
    opens: Instant = FOREVER
    """When the first grant begins, perhaps only after ``until``; before it there is no balance."""
    window: Window | None = None
    gauge: Literal["latest", "max", "unique"] | None = None
    """How its meter holds a level instead of adding up, if it does."""
    bounds: tuple[Bound, ...] = (Bound(BEGINNING),)
    """By instant, from the beginning on: the most lenient of the sources in force."""
    spend_limits: tuple[tuple[Instant, int | None], ...] = ()
    """By instant: how much may be used beyond all there is in a period; None: as the bounds say."""
    carry: bool = False
    """Whether what was used beyond all there was is owed in the next period too."""
    freed: frozenset[Instant] = frozenset()
    """The ends of periods at which it is forgotten all the same: a trial ends there, and nothing else was in force."""
    thresholds: tuple[int, ...] = ()
    """Percent of what counts in the period, ascending."""
    top_ups: tuple[TopUp, ...] = ()
    until: Instant = FOREVER
    exact_from: Instant = BEGINNING

    @property
    def feature(self) -> str:
        """The feature whose balance it is."""
        return self.key.feature

    @property
    def holder(self) -> str:
        """Whose it is within the customer; empty for the customer's own."""
        return self.key.holder

    @cached_property
    def table(self) -> Timetable:
        """What time brings, step by step: worked out once for each course."""
        return Timetable(self.grants, self.resets, carry=self.carry, freed=self.freed)

    def bound_at(self, now: Instant) -> Bound:
        """Return what happens at the limit at ``now``."""
        return self.bounds[max(0, bisect_right(self.bounds, now, key=lambda one: one.at) - 1)]

    def spend_limit_at(self, now: Instant) -> int | None:
        """Return the spend limit in force at ``now``; None where there is none."""
        place = bisect_right(self.spend_limits, now, key=lambda one: one[0]) - 1
        return self.spend_limits[place][1] if place >= 0 else None

    def top_up_at(self, now: Instant) -> TopUp | None:
        """Return the rule of automatic top-ups in force at ``now``; None where there is none."""
        place = bisect_right(self.top_ups, now, key=lambda one: one.at) - 1
        return self.top_ups[place] if place >= 0 and self.top_ups[place].amount else None

    def period_at(self, now: Instant) -> tuple[Instant, Instant]:
        """Return the balance's own period ``[start, end)`` around ``now``: from its opening, or BEGINNING, on."""
        place = bisect_right(self.resets, now)
        start = self.resets[place - 1] if place else min(self.opens, now)
        return start, self.resets[place] if place < len(self.resets) else self.next_reset


def course_of(
    catalog: CompiledCatalog, terms: Terms, funding: Sequence[Funding], key: AccountKey, until: Instant
) -> Course:
    """Return the course of one balance up to ``until`` (exclusive).

    ``funding`` is all that is known of the customer's; what is about other balances is passed over. Raises KeyError
    for a feature that the catalog does not have or that has no balance.
    """
    feature = catalog.features.get(key.feature)
    if feature is None or feature.type not in _WITH_BALANCE:
        raise KeyError(f"{key.feature} is no feature with a balance; those of the types metered and credits have one")
    zone = catalog.zone(terms.profile.zone)
    said = sorted((one for one in funding if (one.feature, one.holder) == (key.feature, key.holder)), key=_by_id)
    resets = sorted(Reset(one.doc.at, one.doc.anchor == "move") for one in said if isinstance(one.doc, BalanceReset))
    laid = allowances(catalog, terms, feature)
    lines = [with_resets(line, resets) for line in laid.lines]
    funded = [one for one in said if isinstance(one.doc, GrantGiven)]
    recurring = [with_resets(line, resets) for one in funded if (line := _recurring(one, zone)) is not None]
    exact_from = exact_since([*lines, *recurring], until)
    begun = [line for line in (*lines, *recurring) if line.start < until]
    once = [grant for one in funded if (grant := _once(one)) is not None]
    voids = _voids(said)
    grants = [*(grant_of(line, until, exact_from) for line in begun), *(one for one in once if one.effective < until)]
    grants = [structs.replace(one, voided=voids[one.id]) if one.id in voids else one for one in grants]
    opens = min([*(one.start for one in (*lines, *recurring)), *(one.effective for one in once)], default=FOREVER)
    ends, ahead = own_periods(lines, feature.per, until, exact_from)
    manual = [one.at for one in resets if one.at > opens]
    return Course(
        key=key,
        zone=zone,
        grants=tuple(sorted(grants, key=lambda one: (one.effective, one.id))),
        origins={**{line.id: _origin(line) for line in begun}, **{one.id: Origin("funding", one.id) for one in funded}},
        resets=tuple(sorted({*ends, *(at for at in manual if at < until)})),
        emptied=tuple(sorted(at for at in manual if at < until)),
        next_reset=min([ahead, *(at for at in manual if at >= until)]),
        opens=opens,
        window=_window(feature),
        gauge=_gauge(catalog.document, key.feature),
        bounds=tuple(_bounds(laid.forces, until)),
        spend_limits=_newest((one.doc.at, one.doc.amount) for one in said if isinstance(one.doc, SpendLimit)),
        carry=feature.carry_overage,
        freed=_freed(lines, until) if feature.carry_overage else frozenset(),
        thresholds=feature.warn_at,
        top_ups=tuple(rule for _, rule in _newest(_rules(said))),
        until=until,
        exact_from=exact_from,
    )


def _by_id(one: Funding) -> str:
    return one.id


def _recurring(one: Funding, zone: tzinfo) -> Line | None:
    """A grant that recurs, as a line: counted from its start on the customer's clock."""
    given = one.doc
    if not isinstance(given, GrantGiven) or given.every is None:
        return None
    expires = FOREVER if given.expires is None else given.expires
    span = parse_duration(given.every)
    if expires <= given.effective or add_duration(given.effective, span, zone) <= given.effective:
        return None
    share = Share(given.amount, (given.rollover_min, given.rollover_max), None)
    return Line(
        id=one.id,
        source=one.id,
        per="period",
        priority=given.priority,
        stretches=(Stretch(given.effective, expires, (share,)),),
        end=expires,
        eras=(Era(given.effective, Cycle(zone, None, given.effective, span)),),
    )


def _once(one: Funding) -> Grant | None:
    """A grant that does not recur; resets leave it alone."""
    given = one.doc
    if not isinstance(given, GrantGiven) or given.every is not None:
        return None
    return Grant(
        id=one.id,
        effective=given.effective,
        amount=given.amount,
        priority=given.priority,
        expires=FOREVER if given.expires is None else given.expires,
    )


def _voids(said: Iterable[Funding]) -> dict[str, Instant]:
    """From when on each grant that was voided does not count."""
    found: dict[str, Instant] = {}
    for one in said:
        if isinstance(one.doc, GrantVoided):
            found[one.doc.grant] = min(one.doc.at, found.get(one.doc.grant, FOREVER))
    return found


def _freed(lines: Sequence[Line], until: Instant) -> frozenset[Instant]:
    """When a trial ended beside which no allowance of another kind was in force."""
    paid = [stretch for line in lines if not line.trialing for stretch in line.stretches]
    ends = {line.end for line in lines if line.trialing and line.end < until}
    return frozenset(at for at in ends if not any(one.start < at <= one.end for one in paid))


def _origin(line: Line) -> Origin:
    kind: Literal["subscription", "override"] = "override" if line.id == line.source else "subscription"
    release = any(share.release is not None for one in line.stretches for share in one.shares)
    changes = tuple(sorted({at for one in line.stretches for at in (one.start, one.end)})) if release else ()
    return Origin(kind, line.source, line.per, line.trialing, release, changes)


def _bounds(forces: Sequence[Force], until: Instant) -> Iterator[Bound]:
    """What holds at the limit from when on: the most lenient of the sources in force."""
    last = Bound(BEGINNING)
    yield last
    turns: dict[Instant, Counter[tuple[AtLimit, int | None]]] = {}
    for one in forces:
        said = one.at_limit, _finite(one.overage_limit)
        turns.setdefault(one.start, Counter())[said] += 1
        turns.setdefault(one.end, Counter())[said] -= 1
    held: Counter[tuple[AtLimit, int | None]] = Counter()
    for at in sorted(one for one in turns if one < until):
        held.update(turns[at])
        saying = [said for said, count in held.items() if count]
        at_limit: AtLimit = max((one for one, _ in saying), key=LENIENCE.__getitem__, default="block")
        limits = [limit for one, limit in saying if one == "overage"]
        limit = None if at_limit != "overage" or None in limits else max(one for one in limits if one is not None)
        if (at_limit, limit) != (last.at_limit, last.overage_limit):
            last = Bound(at, at_limit, limit)
            yield last


def _finite(amount: int | None) -> int | None:
    return None if amount is None or amount >= UNBOUNDED else amount


def _window(feature: CompiledFeature) -> Window | None:
    if feature.length is None or feature.per not in ("rolling", "session"):
        return None
    return Window(
        "rolling" if feature.per == "rolling" else "session", feature.length.days * DAY + feature.length.micros
    )


def _gauge(catalog: Catalog, name: str) -> Literal["latest", "max", "unique"] | None:
    feature = catalog.features[name]
    aggregate = catalog.meters[feature.meter].aggregate if isinstance(feature, Metered) else "sum"
    return aggregate if aggregate in ("latest", "max", "unique") else None


def _rules(said: Iterable[Funding]) -> Iterator[tuple[Instant, TopUp]]:
    for one in said:
        if isinstance(given := one.doc, TopUpRule):
            lasts = None if given.expires_after is None else parse_duration(given.expires_after)
            yield given.at, TopUp(given.at, one.id, given.below, given.amount, given.most, lasts)


T = TypeVar("T")


def _newest(said: Iterable[tuple[Instant, T]]) -> tuple[tuple[Instant, T], ...]:
    """What holds from when on; of two things said for one instant the one that was said last."""
    return tuple(sorted(dict(said).items(), key=lambda one: one[0]))
