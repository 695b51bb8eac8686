"""The changes worth trying in a world: everything of each kind that could help to permit its question."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import structs

from licet.core.case import Facts, with_overage_limit
from licet.core.change import (
    WHOLE_PLAN,
    Change,
    ChangeKind,
    World,
    apply_change,
    make_change,
    world_entitlements,
    world_judgement,
)
from licet.core.compiled import UNBOUNDED, CompiledInclude, CompiledVersion, Gate, ItemKind
from licet.core.derive import Held, Memo
from licet.core.entitlement import Source, merged_amount
from licet.core.episode import open_invoices
from licet.core.instalment import at_once
from licet.core.instant import DAY, FOREVER
from licet.core.ladder import dunning_of
from licet.core.opening import evasions, known_regions, openings
from licet.core.quantity import MAX_QUANTITY
from licet.core.rights import ItemShape, item_amount, item_shape
from licet.core.terms import Item
from licet.core.timeline import ladder_end
from licet.core.trail import moves_of
from licet.core.views import Number, wire_amount
from licet.core.window import opening_at

MAX_WAIT: Final = 7 * DAY
"""Waiting longer than this is no remedy."""
_MAX_STEPS: Final = 50
_MAX_GATES: Final = 64
_MAX_UNITS: Final = 2**53 - 1
_HOLDABLE: Final = frozenset({"trialing", "active", "grace", "restricted", "paused", "suspended"})
"""The standings in which a subscription can be changed by an order."""


class Candidates:
    """The candidates of one world. ``breaches`` are the broken rules that were there before any change."""

    def __init__(self, world: World, memo: Memo, breaches: frozenset[object] | None = None) -> None:
        self.world = world
        self.memo = memo
        self.entitlements = world_entitlements(world, memo)
        self.judgement = world_judgement(world, self.entitlements)
        self.feature = world.catalog.features[world.feature]
        self.breaches: frozenset[object] = frozenset(self.entitlements.breaches) if breaches is None else breaches

    @property
    def sound(self) -> bool:
        """Whether no change has broken a rule between sold items."""
        return self.breaches.issuperset(self.entitlements.breaches)

    @property
    def permitted(self) -> bool:
        """Whether the question is permitted, not only let through because the feature is observed."""
        return self.judgement.allowed and self.judgement.would_deny is None

    def after(self, change: Change) -> "Candidates":
        """Return the candidates of the world after a change. What time breaks by itself is no fault of waiting."""
        before = None if change.kind == "wait" else self.breaches
        return Candidates(apply_change(self.world, change), self.memo, before)

    def groups(self) -> list[tuple[ChangeKind, Callable[[], Iterable[Change]]]]:
        """Return the candidates in groups, each worked out when called, with the cheapest kind that it can hold."""
        if self._shut():
            return [("wait", self._waits)]
        return [
            ("use_context", self._contexts),
            ("pay_invoices", self._standings),
            ("wait", self._waits),
            ("lower_quantity", self._lower),
            ("raise_quantity", self._quantities),
            ("add_addon", self._addons),
            ("change_plan", self._plans),
            ("lift_denial", self._exceptions),
        ]

    def _shut(self) -> bool:
        """Whether the feature's own window is closed wherever a source could be: then only waiting helps."""
        window, catalog, terms = self.feature.gate.window, self.world.catalog, self.world.terms
        if window is None:
            return False
        names = {terms.profile.zone, *(one.zone or terms.profile.zone for one in terms.subscriptions)}
        return not any(opening_at(window, self.world.now, catalog.zone(name)).open for name in names)

    def _contexts(self) -> Iterator[Change]:
        """Other facts of context or user."""
        facts = Facts(self.world.terms, self.world.ask)
        regions = known_regions(self.world.catalog, self.world.terms.profile.region)
        own, tried = self.feature.gate, dict[Gate, str | None]()
        for hearing in self.judgement.hearings:
            tried.setdefault(hearing.source.gate, hearing.source.standing)
        for _, include in self._on_sale():
            tried.setdefault(include.gate, "active")
        tried.setdefault(Gate(), "active")
        for gate, standing in list(tried.items())[:_MAX_GATES]:
            if gate.asks or own.asks:
                yield from openings((own, gate), facts, standing, regions)
        given = self.entitlements.rights.get(self.world.feature)
        for denial in given.denials if given else ():
            yield from evasions(denial.gate, facts, regions)

    def _standings(self) -> Iterator[Change]:
        """What brings a subscription back; where there are policies, also out of grace."""
        owing = {"suspended", "restricted", "ended"} | ({"grace"} if self.world.catalog.policies else set())
        for held in self.entitlements.held:
            kind, name = held.segment.state.kind, held.subscription.id
            if kind in owing and open_invoices(held.subscription.payments, self.world.now):
                yield make_change("pay_invoices", name, subscription=name)
            if kind == "paused":
                yield make_change("resume", name, subscription=name)
            if (kind == "ended" or held.segment.state.lapsed) and self._renewable(held):
                yield make_change("renew", name, subscription=name)

    def _renewable(self, held: Held) -> bool:
        """Whether a subscription can go on: not where non-payment has ended it for good."""
        one, terms = held.subscription, self.world.terms
        zone = self.world.catalog.zone(one.zone, terms.profile.zone)
        dunning, moves = dunning_of(terms, one.id), moves_of(terms, one.id)
        return ladder_end(one, self.world.catalog, zone, dunning, moves) > self.world.now

    def _waits(self) -> Iterator[Change]:
        """The first boundary within reach at which it is permitted by itself."""
        world, entitlements = self.world, self.entitlements
        for _ in range(_MAX_STEPS):
            until = entitlements.span(world.feature).end
            if until >= FOREVER or until > self.world.now + MAX_WAIT:
                return
            world = structs.replace(world, now=until)
            entitlements = world_entitlements(world, self.memo)
            judgement = world_judgement(world, entitlements)
            if judgement.allowed and judgement.would_deny is None:
                yield make_change("wait", until=until)
                return

    def _lower(self) -> Iterator[Change]:
        """Less at once."""
        amount, ask = self.judgement.amount, self.world.ask
        if amount is None:
            return
        if self.judgement.at_limit == "overage":
            given = self.entitlements.rights.get(self.world.feature)
            if given is not None and ask.by_sources:
                ask = with_overage_limit(self.world.catalog, self.feature, given, ask)
            amount += min((one for one in (ask.overage_limit, ask.spend_limit) if one is not None), default=0)
        used = ask.used or 0
        if used < amount < used + ask.quantity:
            yield make_change("lower_quantity", quantity=amount - used)

    def _quantities(self) -> Iterator[Change]:
        """More of what is there."""
        amount = self.judgement.amount
        if amount is None or self._need() <= amount:
            return
        for held_place, held in enumerate(self.entitlements.held):
            if held.segment.state.kind not in _HOLDABLE:
                continue
            for place, item in enumerate(held.segment.state.items):
                most = self._maximum(item.kind, item.id)
                fits = [self._raised(held_place, held.segment.state.items, place, need) for need in self._needs()]
                quantity = next(filter(None, (_least(one, item.quantity + 1, most) for one in fits)), None)
                if quantity is not None:
                    name = held.subscription.id
                    raised = make_change(
                        "raise_quantity", name, place, subscription=name, item=item.id, place=place, quantity=quantity
                    )
                    counted = item.kind == "addon" or item.quantity_of == self.world.feature
                    yield raised if counted else structs.replace(raised, surcharge=WHOLE_PLAN)

    def _raised(self, held_place: int, items: tuple[Item, ...], place: int, need: int) -> Callable[[int], bool]:
        """Whether a quantity of one item would give what is needed."""

        def fits(quantity: int) -> bool:
            changed = (*items[:place], structs.replace(items[place], quantity=quantity), *items[place + 1 :])
            return self._merged(held_place, changed) >= need

        return fits

    def _addons(self) -> Iterator[Change]:
        """An add-on on sale that includes the feature or leads to it, on a subscription that lacks it.

        Of several the one that comes first on the vendor's pages, then the one that includes least besides.
        """
        for version, include in self._worth("addon"):
            _, addon, number = version.key
            for held_place, held in enumerate(self.entitlements.held):
                items = held.segment.state.items
                if held.segment.state.kind not in _HOLDABLE or any(item.id == addon for item in items):
                    continue
                quantity = 1
                if self.feature.counted and ((include and include.at_limit) or self.feature.at_limit) == "block":
                    fits = [self._added(held_place, items, version, need) for need in self._needs()]
                    most = self._maximum("addon", addon)
                    quantity = next(filter(None, (_least(one, 1, most) for one in fits)), 1)
                yield make_change(
                    "add_addon",
                    self.world.catalog.document.addons[addon].rank,
                    len(version.includes),
                    -_finite(include.amount if include else None),
                    addon,
                    held.subscription.id,
                    subscription=held.subscription.id,
                    addon=addon,
                    version=number,
                    quantity=quantity,
                )

    def _added(
        self, held_place: int, items: tuple[Item, ...], version: CompiledVersion, need: int
    ) -> Callable[[int], bool]:
        """Whether a quantity of an add-on would give what is needed."""
        _, addon, number = version.key

        def fits(quantity: int) -> bool:
            bought = Item(kind="addon", id=addon, version=number, quantity=quantity)
            return self._merged(held_place, (*items, bought)) >= need

        return fits

    def _merged(self, held_place: int, items: tuple[Item, ...]) -> int:
        """The amount if one subscription consisted of these items: those that permit now, and any new one."""
        shapes = tuple(map(item_shape, items))
        known = len(self.entitlements.held[held_place].segment.state.items)
        extra = self.world.ask.extra
        sources: list[Source] = []
        for hearing in self.judgement.hearings:
            source = hearing.source
            mine = source.kind != "override" and source.place == held_place and not source.lapsed
            if source.blocked if extra is not None else hearing.reasons:
                continue
            sources.append(self._sized(source, shapes, source.item) if mine else source)
        for place in range(known, len(items)):
            named = items[place].id, items[place].version
            blank = Source("addon", held_place, place, False, *named, None, (), Gate(), 0, None, "block", None, ())
            sources.append(self._sized(blank, shapes, place))
        if extra is not None:
            sources = at_once(self.world.catalog, self.world.feature, sources)
        return merged_amount(self.feature, sources) + (extra or 0)

    def _sized(self, source: Source, shapes: tuple[ItemShape, ...], place: int) -> Source:
        """A source with the amount that its item gives among these items."""
        catalog = self.world.catalog
        include = catalog.versions[shapes[place][:3]].includes.get(self.world.feature)
        amount = 0 if include is None else item_amount(catalog, shapes, shapes[place], include)
        return structs.replace(source, amount=amount)

    def _releases_alike(self, bought: ItemShape, include: CompiledInclude | None) -> bool:
        """Whether what has been released of an item by now may be counted on in the place of which another is put.

        Only where both are given out alike; else the balance keeps none of it.
        """
        own = self.world.catalog.versions[bought[:3]].includes.get(self.world.feature)
        if self.world.ask.extra is None or own is None or own.release is None:
            return True
        return include is not None and (include.per, include.release) == (own.per, own.release)

    def _plans(self) -> Iterator[Change]:
        """A plan on sale that includes the feature, or with which an add-on that does may be sold: in the place of one
        of its product, or as a new subscription.

        Of several the one that comes first on the vendor's pages, then the one that includes least besides.
        """
        document, world = self.world.catalog.document, self.world
        for version, include in self._worth("plan"):
            _, plan, number = version.key
            amount = _finite(include.amount if include else None)
            rank = (document.plans[plan].rank, len(version.includes), amount, plan)
            yield make_change("start_subscription", *rank, plan=plan, version=number, quantity=1)
            for held in self._holdable():
                for place, item in enumerate(held.segment.state.items):
                    own = document.plans.get(item.id) if item.kind == "plan" else None
                    if (
                        own is None
                        or own.product != document.plans[plan].product
                        or version.key[1:] == (item.id, item.version)
                        or not self._releases_alike(item_shape(item), include)
                    ):
                        continue
                    quantity = item.quantity
                    if item.quantity_of == world.feature:
                        quantity = max(quantity, -(-self._need() // 10**self.feature.scale))
                    yield make_change(
                        "change_plan",
                        *rank,
                        held.subscription.id,
                        place,
                        subscription=held.subscription.id,
                        place=place,
                        before=item.id,
                        plan=plan,
                        version=number,
                        quantity=quantity,
                    )

    def _exceptions(self) -> Iterator[Change]:
        """What only the vendor can do."""
        if self.entitlements.suspended:
            yield make_change("lift_suspension")
        given = self.entitlements.rights.get(self.world.feature)
        for denial in given.denials if given else ():
            yield make_change("lift_denial", override=self.entitlements.overrides[denial.place].id)
        amount: Number | None = None
        if self.feature.counted:
            had = self.judgement.amount or 0
            wanted = self._need() - (had if self.feature.merge == "sum" else 0)
            amount = wire_amount(max(wanted, 0), self.feature.scale)
        value = self.feature.values[0] if self.feature.values else None
        yield make_change("ask_override", amount=amount, value=value)

    def _need(self) -> int:
        """The amount that the question needs in all, in minor units."""
        return min((self.world.ask.used or 0) + self.world.ask.quantity, MAX_QUANTITY)

    def _needs(self) -> tuple[int, ...]:
        """What would be enough: for the whole question, else for the least that it could be lowered to afterwards."""
        least = min((self.world.ask.used or 0) + 1, MAX_QUANTITY)
        return (self._need(),) if least >= self._need() else (self._need(), least)

    def _holdable(self) -> list[Held]:
        """The subscriptions that an order can change."""
        return [held for held in self.entitlements.held if held.segment.state.kind in _HOLDABLE]

    def _on_sale(self) -> list[tuple[CompiledVersion, CompiledInclude]]:
        """The versions on sale now that include the feature, and how."""
        name = self.world.feature
        return [(one, one.includes[name]) for one in self._sold() if name in one.includes]

    def _worth(self, kind: ItemKind) -> list[tuple[CompiledVersion, CompiledInclude | None]]:
        """The versions of one kind that include the feature, or that lead to it.

        What leads to it: seats that an amount is counted by; what an add-on with the feature requires; any plan that
        it does not exclude, where it excludes what is held.
        """
        catalog, wanted = self.world.catalog, {self.world.feature}
        for hearing in self.judgement.hearings:
            source = hearing.source
            if source.kind != "override" and not hearing.reasons:
                seats = catalog.versions[source.kind, source.id, source.version].includes[self.world.feature].per_seat
                wanted.update(() if seats is None else (seats,))
        held = {item.id for one in self._holdable() for item in one.segment.state.items}
        leading: set[str] = set()
        for version, _ in self._on_sale():
            rules = catalog.document.addons.get(version.key[1]) if version.key[0] == "addon" else None
            if rules is not None and not held.intersection(rules.requires):
                leading.update(rules.requires)
            if rules is not None and held.intersection(rules.excludes):
                leading.update(catalog.document.plans.keys() - rules.excludes)
        return [
            (one, one.includes.get(self.world.feature))
            for one in self._sold()
            if one.key[0] == kind and (one.key[1] in leading or wanted.intersection(one.includes))
        ]

    def _sold(self) -> list[CompiledVersion]:
        """The versions on sale now, plans first, by id."""
        catalog = self.world.catalog
        sold: list[tuple[ItemKind, str]] = [("plan", one) for one in sorted(catalog.document.plans)]
        sold += [("addon", one) for one in sorted(catalog.document.addons)]
        found = []
        for kind, name in sold:
            number = catalog.on_sale(kind, name, self.world.now)
            if number is not None:
                found.append(catalog.versions[kind, name, number])
        return found

    def _maximum(self, kind: ItemKind, name: str) -> int:
        """The largest quantity that may be sold."""
        addon = self.world.catalog.document.addons.get(name) if kind == "addon" else None
        return _MAX_UNITS if addon is None or addon.maximum is None else addon.maximum


def _least(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least quantity from ``low`` to ``high`` that is enough; None if the highest is not."""
    if low > high or not fits(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _finite(amount: int | None) -> int:
    """An amount to order by; unlimited is more than any."""
    return 0 if amount is None else min(amount, UNBOUNDED)
