"""Lines of allowance: what the sources of one feature put on a balance over time, as grants that are whole again.

A line is one per (subscription, feature, per, priority, whether on trial), and one per override. A plan change, a move
between versions and another quantity are steps of the same line, so that nothing of what was used is lost or given
twice. A line goes on by arithmetic while its subscription is paused or unpaid: that takes rights away, not periods.
"""

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct, structs

from licet.core.catalog import AtLimit, Recurrence
from licet.core.compiled import CompiledCatalog, CompiledFeature, CompiledInclude
from licet.core.dunning import lay_course
from licet.core.instant import FOREVER, Instant, parse_duration, to_instant
from licet.core.offer import resolve_include
from licet.core.rhythm import rhythms_of
from licet.core.rights import item_amount, item_shape, override_amount
from licet.core.terms import Item, Override, Subscription, Terms
from licet.core.timeline import LIVE, State
from licet.core.usage.grant import DEFAULT_PRIORITY
from licet.core.usage.period import SPANS, Cycle, Era, cycle_of


class Share(NamedTuple):
    """What one source adds to a line, in minor units."""

    amount: int
    rollover: tuple[int, int]
    release: Recurrence | None


class Stretch(NamedTuple):
    """``[start, end)`` of a line in which it is fed by the same sources. ``anew``: a plan change began it anew."""

    start: Instant
    end: Instant
    shares: tuple[Share, ...]
    anew: bool = False


class Force(NamedTuple):
    """``[start, end)`` in which a source is in force, and what it says of the limit."""

    start: Instant
    end: Instant
    at_limit: AtLimit
    overage_limit: int | None


class Line(Struct, frozen=True, kw_only=True):
    """One line of allowance over time."""

    id: str
    source: str
    """The subscription or override."""
    per: Recurrence
    priority: int
    trialing: bool = False
    stretches: tuple[Stretch, ...]
    """In order; between them the line gives nothing."""
    end: Instant = FOREVER
    """When it ends for good."""
    eras: tuple[Era, ...]
    fresh: frozenset[Instant] = frozenset()
    """When it begins anew besides: manual resets, restarted billing periods."""

    @property
    def start(self) -> Instant:
        """When it begins."""
        return self.stretches[0].start


class Allowances(NamedTuple):
    """All lines of one feature of one customer, and when which source is in force."""

    lines: tuple[Line, ...]
    forces: tuple[Force, ...]


def allowances(catalog: CompiledCatalog, terms: Terms, feature: CompiledFeature) -> Allowances:
    """Return the lines of a feature by (start, id), over all time."""
    lines: list[Line] = []
    forces: list[Force] = []
    for subscription in terms.subscriptions:
        laid = _Laid(catalog, terms, subscription, feature)
        lines += laid.lines()
        forces += laid.forces()
    zone = catalog.zone(terms.profile.zone)
    for override in terms.overrides:
        if override.feature == feature.id and override.effect == "give":
            line = _override_line(catalog, feature, override, zone)
            if line is not None:
                lines.append(line)
                forces.append(Force(line.start, line.end, feature.at_limit, feature.overage_limit))
    return Allowances(tuple(sorted(lines, key=lambda one: (one.start, one.id))), tuple(forces))


_Key = tuple[Recurrence, int, bool]
"""Per, priority, whether on trial."""


class _Piece(NamedTuple):
    """``[start, end)`` of a subscription in which it consists of the same and is on trial throughout or not at all."""

    start: Instant
    end: Instant
    state: State
    trialing: bool
    anew: bool


class _Laid:
    """One subscription as the lines of one feature."""

    def __init__(
        self, catalog: CompiledCatalog, terms: Terms, subscription: Subscription, feature: CompiledFeature
    ) -> None:
        self.catalog = catalog
        self.feature = feature
        self.subscription = subscription
        self.terms = terms
        self.course = lay_course(catalog, terms, subscription)
        self.stop = self.course.stop()[0]
        self.pieces = tuple(self._pieces())

    def lines(self) -> Iterator[Line]:
        """The lines, each with what feeds it."""
        fed: dict[_Key, list[Stretch]] = {}
        for piece in self.pieces:
            for key, shares in self._shares(piece).items():
                before = fed.setdefault(key, [])
                joined = before and before[-1].end == piece.start and before[-1].shares == shares and not piece.anew
                start = before.pop().start if joined else piece.start
                anew = piece.anew if not joined else False
                before.append(Stretch(start, piece.end, shares, anew))
        for (per, priority, trialing), stretches in fed.items():
            trial = "/trial" if trialing else ""
            eras = self._eras(per)
            yield Line(
                id=f"{self.subscription.id}/{per}/{priority}{trial}",
                source=self.subscription.id,
                per=per,
                priority=priority,
                trialing=trialing,
                stretches=tuple(stretches),
                end=min(self.stop, self.course.trial_end) if trialing else self.stop,
                eras=eras,
                fresh=self._restarts(eras),
            )

    def forces(self) -> Iterator[Force]:
        """When each source is in force: the subscription is live and non-payment does not restrict the feature."""
        for piece in self.pieces:
            if piece.state.kind in LIVE and self.feature.id not in piece.state.restricted:
                for _, include in self._includes(piece.state.items):
                    at_limit = include.at_limit or self.feature.at_limit
                    yield Force(piece.start, piece.end, at_limit, include.overage_limit)

    def _pieces(self) -> Iterator[_Piece]:
        before: frozenset[str] | None = None
        for segment in self.course.segments():
            start, end = max(segment.start, self.course.start), min(segment.end, self.stop)
            cuts = {at for at in (self.course.trial_start, self.course.trial_end) if start < at < end}
            plans = frozenset(item.id for item in segment.state.items if item.kind == "plan")
            for since, until in pairwise((start, *sorted(cuts), end)):
                if since < until:
                    trialing = self.course.trial_start <= since < self.course.trial_end < FOREVER
                    anew = self.feature.anew and before is not None and before != plans
                    yield _Piece(since, until, segment.state, trialing, anew)
                    before = plans

    def _includes(self, items: tuple[Item, ...]) -> Iterator[tuple[Item, CompiledInclude]]:
        for item in items:
            version = self.catalog.versions.get((item.kind, item.id, item.version))
            include = None if version is None else version.includes.get(self.feature.id)
            if include is not None:
                yield item, include

    def _shares(self, piece: _Piece) -> dict[_Key, tuple[Share, ...]]:
        """What feeds each line: the includes of one per and one priority."""
        shapes = tuple(map(item_shape, piece.state.items))
        found: dict[_Key, tuple[Share, ...]] = {}
        for item, include in self._includes(piece.state.items):
            low, high = (
                # What rolls over grows with the amount, by quantity and seats, unless the quantity is the amount.
                part
                if item.quantity_of == self.feature.id
                else item_amount(self.catalog, shapes, item_shape(item), structs.replace(include, amount=part)) or 0
                for part in include.rollover
            )
            amount = item_amount(self.catalog, shapes, item_shape(item), include) or 0
            key = (include.per or self.feature.per or "lifetime", include.priority, piece.trialing)
            found[key] = (*found.get(key, ()), Share(amount, (low, high), include.release))
        return found

    def _eras(self, per: Recurrence) -> tuple[Era, ...]:
        """Periods from the subscription's start; where its anchor lies later, or moved, from there anew."""
        eras: list[Era] = []
        for rhythm in rhythms_of(self.subscription):
            zone = self.catalog.zone(rhythm.zone, self.terms.profile.zone)
            cycle = cycle_of(per, zone, to_instant(rhythm.anchor), parse_duration(rhythm.period))
            natural = cycle is None or cycle.natural is not None
            if not eras:
                eras.append(Era(self.course.start, cycle))
            elif not natural or cycle != eras[-1].cycle:
                # What the calendar counts begins where it begins, whatever is restarted.
                eras.append(Era(to_instant(rhythm.starts_at), cycle, joins=natural or rhythm.joins))
        return tuple(eras)

    def _restarts(self, eras: tuple[Era, ...]) -> frozenset[Instant]:
        """Where periods are counted anew and what is bought changes too: the billing period began anew."""
        if len(eras) == 1:
            return frozenset()
        phases = {to_instant(one.starts_at) for one in self.subscription.phases}
        return frozenset(one.since for one in eras[1:] if not one.joins and one.since in phases)


def _override_line(catalog: CompiledCatalog, feature: CompiledFeature, override: Override, zone: tzinfo) -> Line | None:
    """The line of an override that gives; its periods run from its start on the customer's clock."""
    start = to_instant(override.starts_at)
    end = FOREVER if override.ends_at is None else to_instant(override.ends_at)
    if start >= end:
        return None
    default = resolve_include(catalog.document.features[feature.id], True).amount
    amount = override_amount(feature, override.amount, default) or 0
    per = feature.per or "lifetime"
    return Line(
        id=override.id,
        source=override.id,
        per=per,
        priority=DEFAULT_PRIORITY,
        stretches=(Stretch(start, end, (Share(amount, (0, 0), None),)),),
        end=end,
        eras=(Era(start, cycle_of(per, zone, start)),),
    )


class Reset(NamedTuple):
    """A manual reset; ``move``: periods run from it on."""

    at: Instant
    move: bool


def with_resets(line: Line, resets: Iterable[Reset]) -> Line:
    """Return a line with manual resets, which are in order; what moves is counted on the clock of its zone."""
    eras, fresh = list(line.eras), set(line.fresh)
    for reset in resets:
        if not line.start < reset.at < line.end:
            continue
        fresh.add(reset.at)
        if reset.move and line.eras[0].cycle is not None:
            later = [era for era in line.eras if era.since > reset.at]
            eras = [*(era for era in eras if era.since < reset.at), Era(reset.at, _moved(line, reset.at)), *later]
    return structs.replace(line, eras=tuple(eras), fresh=frozenset(fresh))


def _moved(line: Line, at: Instant) -> Cycle | None:
    cycle = line.eras[0].cycle
    if cycle is None:
        return None
    span = cycle.span if cycle.natural is None else SPANS[cycle.natural]
    return Cycle(cycle.zone, None, at, span)
