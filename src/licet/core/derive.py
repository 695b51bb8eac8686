"""Derivation: from catalog and terms to entitlements at an instant, and the instants at which they change."""

from datetime import tzinfo
from typing import Any, Final

from msgspec import Struct

from licet.core.combination import Breach, find_breaches
from licet.core.compiled import CompiledCatalog, Gate
from licet.core.holding import NOTHING_HELD, Holding, build_holding, customer_facts
from licet.core.instant import BEGINNING, FOREVER, Instant, to_instant
from licet.core.ladder import NO_DUNNING, dunning_of
from licet.core.policies import Restraint, weigh
from licet.core.reason import Reason
from licet.core.rights import OverrideShape, Rights, Shape, SubscriptionShape, build_rights, item_shape
from licet.core.standing import Standing, standing_of
from licet.core.terms import Item, Override, Subscription, Terms
from licet.core.timeline import LIVE, Segment, read_timeline, segment_at, subscription_end, subscription_start
from licet.core.trail import moves_of
from licet.core.window import ALWAYS, compile_window, opening_at

_ROOM: Final = 20_000


class Span(Struct, frozen=True, gc=False):
    """A time ``[start, end)`` in which nothing changes by itself."""

    start: Instant
    end: Instant

    def within(self, start: Instant, end: Instant) -> "Span":
        """Return the part that both have."""
        return Span(max(self.start, start), min(self.end, end))


ALL_TIME: Final = Span(BEGINNING, FOREVER)


class Held(Struct, frozen=True, gc=False):
    """One subscription at an instant."""

    subscription: Subscription
    segment: Segment
    standing: Standing


class Entitlements(Struct, frozen=True, gc=False):
    """All rights of one customer, unchanged over ``[good_from, good_until)``.

    ``rights`` is shared by customers who hold the same; ``held`` and ``overrides`` are in canonical order (start, then
    id), which is what the places in its sources mean. ``breaches`` lists rules between sold items that are broken.
    ``spans`` holds, for features with windows or overrides, the time in which those alone change nothing; those that
    policies read narrow ``common`` too.
    """

    customer: str
    good_from: Instant
    good_until: Instant
    suspended: bool
    held: tuple[Held, ...]
    overrides: tuple[Override, ...]
    rights: Rights
    breaches: tuple[Breach, ...]
    common: Span
    spans: dict[str, Span]
    holding: Holding = NOTHING_HELD
    """What policies read of all this; nothing where the catalog has none."""
    restraints: tuple[Restraint, ...] = ()
    """The policies that apply whatever is asked."""

    def span(self, feature: str) -> Span:
        """Return the time in which nothing about one feature changes by itself."""
        own = self.spans.get(feature)
        return self.common if own is None else self.common.within(own.start, own.end)


class Memo:
    """What derivation remembers for one catalog: rights by shape. Forgets everything when it is full."""

    def __init__(self, catalog: CompiledCatalog, room: int = _ROOM) -> None:
        self.catalog = catalog
        self.room = room
        self.rulings: dict[tuple[int | str, bool, bool, bool], Any] = {}
        """Ready rulings by the identity of their entitlement, whether the customer is suspended, whether a policy
        refuses whatever is asked, and whether the truth has run out."""
        self._rights: dict[Shape, tuple[Rights, tuple[Breach, ...], Holding]] = {}

    def rights(self, shape: Shape) -> tuple[Rights, tuple[Breach, ...], Holding]:
        """Return the rights and breaches of a shape, and what policies read, the same objects for equal shapes."""
        known = self._rights.get(shape)
        if known is None:
            if len(self._rights) >= self.room:
                self._rights.clear()
                self.rulings.clear()
            rights = build_rights(self.catalog, shape)
            holding = build_holding(self.catalog, shape, rights) if self.catalog.policies else NOTHING_HELD
            known = self._rights[shape] = (rights, shape_breaches(self.catalog, shape), holding)
        return known


def derive(catalog: CompiledCatalog, terms: Terms, now: Instant, memo: Memo | None = None) -> Entitlements:
    """Return the entitlements at ``now``. ``memo`` must be of the same catalog; it changes cost, never the answer."""
    return Holdings(catalog, terms).entitlements(now, memo)


def shape_breaches(catalog: CompiledCatalog, shape: Shape) -> tuple[Breach, ...]:
    """Return the broken rules among the items of all subscriptions that give anything."""
    items = [
        Item(kind=kind, id=name, version=version, quantity=quantity, quantity_of=counted)
        for held in shape.subscriptions
        if held.kind in LIVE
        for kind, name, version, quantity, counted in held.items
    ]
    return find_breaches(catalog, items)


class Holdings:
    """The terms of one customer laid out in time, ready to be asked about any instant."""

    def __init__(self, catalog: CompiledCatalog, terms: Terms) -> None:
        self.catalog = catalog
        self.terms = terms
        self.zone: tzinfo = catalog.zone(terms.profile.zone)
        self.subscriptions = tuple(sorted(terms.subscriptions, key=lambda one: (subscription_start(one), one.id)))
        self.zones = tuple(catalog.zone(one.zone, terms.profile.zone) for one in self.subscriptions)
        self.timelines = tuple(
            read_timeline(
                one,
                catalog,
                zone,
                dunning_of(terms, one.id) if one.payments else NO_DUNNING,
                moves_of(terms, one.id),
            )
            for one, zone in zip(self.subscriptions, self.zones, strict=True)
        )
        self.overrides = tuple(sorted(terms.overrides, key=lambda one: (to_instant(one.starts_at), one.id)))
        self.suspensions = tuple(
            (to_instant(one.starts_at), FOREVER if one.ends_at is None else to_instant(one.ends_at))
            for one in terms.suspensions
        )
        self.ranks = self._ranks()

    def entitlements(self, now: Instant, memo: Memo | None = None) -> Entitlements:
        """Return the entitlements at ``now``."""
        if memo is not None and memo.catalog is not self.catalog:
            raise ValueError("a memo belongs to one compiled catalog; make a new one for another")
        segments = tuple(segment_at(timeline, now) for timeline in self.timelines)
        spans: dict[str, Span] = {}
        shape = self._shape(now, segments, spans)
        rights, breaches, holding = (memo or Memo(self.catalog, 1)).rights(shape)
        common = self._outer_span(now, segments)
        for feature in self.catalog.policies.watched & spans.keys():
            common = common.within(spans[feature].start, spans[feature].end)
        good = common
        for span in spans.values():
            good = good.within(span.start, span.end)
        return Entitlements(
            customer=self.terms.customer,
            good_from=good.start,
            good_until=good.end,
            suspended=any(start <= now < end for start, end in self.suspensions),
            held=tuple(
                Held(subscription, segment, standing_of(timeline, now))
                for subscription, segment, timeline in zip(self.subscriptions, segments, self.timelines, strict=True)
            ),
            overrides=self.overrides,
            rights=rights,
            breaches=breaches,
            common=common,
            spans=spans,
            holding=holding,
            restraints=self._restraints(holding),
        )

    def _restraints(self, holding: Holding) -> tuple[Restraint, ...]:
        """The policies that apply to this customer whatever is asked."""
        settled = self.catalog.policies.settled
        if not settled:
            return ()
        facts = {"customer": customer_facts(self.terms.customer, self.terms.profile), **holding}
        return tuple(one for policy in settled if (one := weigh(policy, facts)) is not None)

    def span_at(self, now: Instant) -> Span:
        """Return the time around ``now`` in which nothing of this customer changes by itself."""
        segments = tuple(segment_at(timeline, now) for timeline in self.timelines)
        spans: dict[str, Span] = {}
        self._shape(now, segments, spans)
        good = self._outer_span(now, segments)
        for span in spans.values():
            good = good.within(span.start, span.end)
        return good

    def _outer_span(self, now: Instant, segments: tuple[Segment, ...]) -> Span:
        """The span that subscriptions and suspensions leave."""
        common = ALL_TIME
        for segment in segments:
            common = common.within(segment.start, segment.end)
        return _cut(common, now, [at for period in self.suspensions for at in period])

    def _shape(self, now: Instant, segments: tuple[Segment, ...], spans: dict[str, Span]) -> Shape:
        """The shape at ``now``; windows and overrides narrow the ``spans`` of their features."""
        count = len(segments)
        return Shape(
            tuple(self._subscription_shape(now, segment, place, spans) for place, segment in enumerate(segments)),
            tuple(
                self._override_shape(now, override, self.ranks[count + place], spans)
                for place, override in enumerate(self.overrides)
            ),
        )

    def _subscription_shape(
        self, now: Instant, segment: Segment, place: int, spans: dict[str, Span]
    ) -> SubscriptionShape:
        """One subscription's shape."""
        state = segment.state
        closed: list[tuple[int, str]] = []
        for number, item in enumerate(state.items):
            version = self.catalog.versions.get((item.kind, item.id, item.version))
            for feature, include in version.includes.items() if version is not None else ():
                gates = (self.catalog.features[feature].gate, include.gate)
                if not self._open(gates, feature, now, self.zones[place], spans):
                    closed.append((number, feature))
        return SubscriptionShape(
            state.kind,
            state.reason,
            state.restricted,
            tuple(map(item_shape, state.items)),
            tuple(map(item_shape, state.lapsed)),
            tuple(closed),
            self.ranks[place],
        )

    def _override_shape(
        self, now: Instant, override: Override, ranks: tuple[int, int], spans: dict[str, Span]
    ) -> OverrideShape:
        """One override's shape."""
        start = to_instant(override.starts_at)
        end = FOREVER if override.ends_at is None else to_instant(override.ends_at)
        status = Reason.NOT_STARTED if now < start else Reason.ENDED if now >= end else None
        span = spans.get(override.feature, ALL_TIME)
        spans[override.feature] = _cut(span, now, [start, end])
        feature = self.catalog.features.get(override.feature)
        opening = ALWAYS
        if override.window is not None:
            opening = opening_at(compile_window(override.window), now, self.zone)
            spans[override.feature] = spans[override.feature].within(opening.since, opening.until)
        denies = override.effect == "deny"
        opened = opening.open
        if feature is not None and not denies:
            opened = self._open((feature.gate,), override.feature, now, self.zone, spans) and opened
        return OverrideShape(
            override.feature,
            denies,
            override.amount,
            override.value,
            override.when,
            override.deployments,
            override.regions,
            status,
            not opened,
            ranks,
        )

    def _open(self, gates: tuple[Gate, ...], feature: str, now: Instant, zone: tzinfo, spans: dict[str, Span]) -> bool:
        """Whether all windows are open; each narrows the feature's span."""
        is_open = True
        for gate in gates:
            if gate.window is not None:
                opening = opening_at(gate.window, now, zone)
                spans[feature] = spans.get(feature, ALL_TIME).within(opening.since, opening.until)
                is_open = is_open and opening.open
        return is_open

    def _ranks(self) -> tuple[tuple[int, int], ...]:
        """Places by earliest expiry and by earliest effect, of subscriptions first, then of overrides."""
        spans = [(subscription_end(one), subscription_start(one), one.id) for one in self.subscriptions] + [
            (FOREVER if one.ends_at is None else to_instant(one.ends_at), to_instant(one.starts_at), one.id)
            for one in self.overrides
        ]
        expiries = {end: place for place, end in enumerate(sorted({end for end, _, _ in spans}))}
        effects = {one[1:]: place for place, one in enumerate(sorted(spans, key=lambda one: one[1:]))}
        return tuple((expiries[end], effects[start, name]) for end, start, name in spans)


def _cut(span: Span, now: Instant, instants: list[Instant]) -> Span:
    """The part of a span around ``now`` that no instant divides."""
    start = max((at for at in instants if at <= now), default=BEGINNING)
    end = min((at for at in instants if at > now), default=FOREVER)
    return span.within(start, end)
