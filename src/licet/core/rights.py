"""From the shape of what a customer holds to rights: the part of derivation that customers who bought the same share.

A shape has no instants and no ids of its customer; rights are a function of catalog and shape alone.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from licet.core.catalog import Amount, Recurrence
from licet.core.compiled import (
    CompiledCatalog,
    CompiledFeature,
    CompiledInclude,
    Gate,
    ItemKind,
    compile_gate,
    parse_amount,
)
from licet.core.entitlement import Denial, Entitlement, Source, times, total
from licet.core.offer import resolve_include
from licet.core.policy import ConditionError
from licet.core.reason import Reason
from licet.core.terms import Item
from licet.core.timeline import LIVE, StandingKind

ItemShape = tuple[ItemKind, str, str, int, str | None]
"""Kind, id, version, quantity, quantity_of."""
_PRIORITY: Final = 50


def item_shape(item: Item) -> ItemShape:
    """Return an item without what is its customer's own."""
    return item.kind, item.id, item.version, item.quantity, item.quantity_of


class SubscriptionShape(Struct, frozen=True):
    """What one subscription holds. ``closed`` lists (item, feature) whose window is shut; ``ranks`` orders burning."""

    kind: StandingKind
    reason: Reason | None
    restricted: tuple[str, ...]
    items: tuple[ItemShape, ...]
    lapsed: tuple[ItemShape, ...]
    closed: tuple[tuple[int, str], ...]
    ranks: tuple[int, int]


class OverrideShape(Struct, frozen=True):
    """What one override says. ``status`` is why it is not in force, None where it is."""

    feature: str
    denies: bool
    amount: int | str | None
    value: str | None
    when: str | None
    deployments: tuple[str, ...] | None
    regions: tuple[str, ...] | None
    status: Reason | None
    closed: bool
    ranks: tuple[int, int]


class Shape(Struct, frozen=True):
    """Everything that rights depend on besides the catalog; both lists in the terms' canonical order."""

    subscriptions: tuple[SubscriptionShape, ...]
    overrides: tuple[OverrideShape, ...]


Rights = dict[str, Entitlement]


def build_rights(catalog: CompiledCatalog, shape: Shape) -> Rights:
    """Return the entitlement of every feature that some source or denial speaks about, by id in order."""
    sources: dict[str, list[Source]] = {}
    denials: dict[str, list[Denial]] = {}
    for place, held in enumerate(shape.subscriptions):
        for feature, source in _subscription_sources(catalog, place, held):
            sources.setdefault(feature, []).append(source)
    for place, override in enumerate(shape.overrides):
        feature_of = catalog.features.get(override.feature)
        if feature_of is None:
            continue
        if override.denies:
            if override.status is None and not override.closed:
                gate = _override_gate(override.deployments, override.regions, override.when, denies=True)
                denials.setdefault(override.feature, []).append(Denial(place, gate))
        else:
            sources.setdefault(override.feature, []).append(
                _override_source(feature_of, _default(catalog, feature_of), place, override)
            )
    return {
        feature: Entitlement(feature, tuple(sources.get(feature, ())), tuple(denials.get(feature, ())))
        for feature in sorted(sources.keys() | denials.keys())
    }


def _subscription_sources(catalog: CompiledCatalog, place: int, held: SubscriptionShape) -> list[tuple[str, Source]]:
    """The sources of one subscription: its items by its standing, those of an ended trial as ended."""
    found: list[tuple[str, Source]] = []
    for lapsed, items in ((False, held.items), (True, held.lapsed)):
        for number, item in enumerate(items):
            version = catalog.versions.get(item[:3])
            if version is None:
                continue
            for feature, include in version.includes.items():
                found.append((feature, _source(catalog, held, (place, number, lapsed), include)))
    return found


def _source(
    catalog: CompiledCatalog, held: SubscriptionShape, where: tuple[int, int, bool], include: CompiledInclude
) -> Source:
    """One include of one item as a source; ``where`` is (place of the subscription, of the item, whether lapsed)."""
    place, number, lapsed = where
    items = held.lapsed if lapsed else held.items
    item = items[number]
    feature = catalog.features[include.feature]
    standing: StandingKind = "ended" if lapsed else held.kind
    blocked = (Reason.TRIAL_EXPIRED,) if lapsed else _blocked(held, number, feature.id)
    return Source(
        kind=item[0],
        place=place,
        item=number,
        lapsed=lapsed,
        id=item[1],
        version=item[2],
        standing=standing,
        blocked=blocked,
        gate=include.gate,
        amount=item_amount(catalog, items, item, include),
        value=include.value,
        at_limit=include.at_limit or feature.at_limit,
        per=include.per,
        burn=_burn(include.priority, include.per, held.ranks),
    )


def _blocked(held: SubscriptionShape, number: int, feature: str) -> tuple[Reason, ...]:
    """What refuses a subscription's source already, in precedence."""
    reasons: list[Reason] = []
    if held.kind not in LIVE and held.reason is not None:
        reasons.append(held.reason)
    if feature in held.restricted:
        reasons.append(Reason.RESTRICTED)
    if (number, feature) in held.closed:
        reasons.append(Reason.OUTSIDE_WINDOW)
    return tuple(reasons)


def item_amount(
    catalog: CompiledCatalog, items: tuple[ItemShape, ...], item: ItemShape, include: CompiledInclude
) -> int | None:
    """Return what an item gives of one feature in minor units, None for what is not counted.

    ``quantity_of`` makes the quantity the amount of that feature; a per-seat amount is multiplied by the seats bought
    in the same subscription; else the quantity multiplies unless it is spoken for by ``quantity_of``.
    """
    feature = catalog.features[include.feature]
    quantity, counted = item[3], item[4]
    if include.amount is None:
        return None
    if counted == feature.id:
        return times(quantity, 10**feature.scale)
    if include.per_seat is not None:
        return times(include.amount, _seats(catalog, items, include.per_seat))
    return times(include.amount, quantity) if counted is None else include.amount


def _seats(catalog: CompiledCatalog, items: tuple[ItemShape, ...], seats: str) -> int:
    """How many seats of a feature a subscription's items hold together."""
    amounts = []
    for item in items:
        version = catalog.versions.get(item[:3])
        include = version.includes.get(seats) if version is not None else None
        if include is not None and include.per_seat is None:
            amounts.append(item_amount(catalog, items, item, include) or 0)
    return total(amounts)


def _override_source(feature: CompiledFeature, default: Amount | None, place: int, override: OverrideShape) -> Source:
    """A giving override as a source."""
    reasons = [override.status] if override.status is not None else []
    if override.closed:
        reasons.append(Reason.OUTSIDE_WINDOW)
    return Source(
        kind="override",
        place=place,
        item=0,
        lapsed=False,
        id="",
        version="",
        standing=None,
        blocked=tuple(reasons),
        gate=_override_gate(override.deployments, override.regions, override.when, denies=False),
        amount=override_amount(feature, override.amount, default),
        value=override.value,
        at_limit=feature.at_limit,
        per=feature.per,
        burn=_burn(_PRIORITY, feature.per, override.ranks),
    )


def _default(catalog: CompiledCatalog, feature: CompiledFeature) -> Amount | None:
    """The amount that a feature names as its default."""
    return resolve_include(catalog.document.features[feature.id], True).amount


def override_amount(feature: CompiledFeature, amount: Amount | None, default: Amount | None) -> int | None:
    """Return the amount of an override, else the default, in minor units; None for what is not counted.

    Without either, or where it cannot be read, it gives nothing.
    """
    if not feature.counted:
        return None
    chosen = default if amount is None else amount
    try:
        return 0 if chosen is None else parse_amount(chosen, feature.scale)
    except ValueError:
        return 0


def _burn(priority: int, per: Recurrence | None, ranks: tuple[int, int]) -> tuple[int, ...]:
    """Where an allowance stands in the burn order: a recurring one expires with its period, so before a lasting one."""
    return (priority, int(per is None or per == "lifetime"), *ranks)


@lru_cache(maxsize=4096)
def _override_gate(
    deployments: tuple[str, ...] | None, regions: tuple[str, ...] | None, when: str | None, *, denies: bool
) -> Gate:
    """The gate of an override; where its condition cannot be read it gives nothing, and denies whatever the facts."""
    try:
        return compile_gate(deployments, regions, when, None)
    except ConditionError:
        return compile_gate(deployments, regions, None if denies else "false", None)
