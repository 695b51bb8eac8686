"""A derived right: one feature, its sources each on its own, and how the amounts of several become one."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from licet.core.catalog import AtLimit, Recurrence
from licet.core.compiled import CONFIGURATION, UNBOUNDED, CompiledCatalog, CompiledFeature, Gate
from licet.core.quantity import MAX_QUANTITY
from licet.core.reason import Reason
from licet.core.timeline import StandingKind

SourceKind = Literal["plan", "addon", "override"]
LENIENCE: Final = {"block": 0, "warn": 1, "overage": 2}
_RANK: Final = {"plan": 0, "addon": 1, "override": 2}


class Source(Struct, frozen=True):
    """One source of one feature, without an instant or id of its own customer, so that many customers share it.

    ``place`` is that of the subscription or override in the terms' canonical order (start, then id), ``item`` that of
    the item within its segment. ``blocked`` is what refuses already, whatever user and context; ``gate`` is the rest.
    ``burn`` orders allowances: priority, recurring before lasting, earliest expiry, earliest effective.
    """

    kind: SourceKind
    place: int
    item: int
    lapsed: bool
    id: str
    version: str
    standing: StandingKind | None
    blocked: tuple[Reason, ...]
    gate: Gate
    amount: int | None
    value: str | None
    at_limit: AtLimit
    per: Recurrence | None
    burn: tuple[int, ...]


class Denial(Struct, frozen=True):
    """An override in force that takes the feature away while its gate holds or cannot be decided."""

    place: int
    gate: Gate


class Entitlement(Struct, frozen=True):
    """Everything that speaks about one feature of one customer while nothing changes by itself."""

    feature: str
    sources: tuple[Source, ...]
    denials: tuple[Denial, ...]


def merged_amount(feature: CompiledFeature, sources: Sequence[Source]) -> int:
    """Return the amount that several sources give together, in minor units, :data:`UNBOUNDED` for unlimited.

    A limit merges as its feature declares (``max``, ``sum``, ``override_wins``); allowances, credits and seats add up.
    """
    chosen = list(sources)
    if feature.merge == "override_wins":
        chosen = [one for one in sources if one.kind == "override"] or chosen
    amounts = [one.amount or 0 for one in chosen]
    return total(amounts) if feature.merge == "sum" else max(amounts, default=0)


def total(amounts: Sequence[int]) -> int:
    """Return the sum, at most the largest quantity; unlimited if any part is."""
    return UNBOUNDED if UNBOUNDED in amounts else min(sum(amounts), MAX_QUANTITY)


def times(amount: int, factor: int) -> int:
    """Return the product, at most the largest quantity; unlimited if either is, and 0 if either is 0."""
    if not amount or not factor:
        return 0
    return UNBOUNDED if UNBOUNDED in (amount, factor) else min(amount * factor, MAX_QUANTITY)


def merged_at_limit(sources: Sequence[Source]) -> AtLimit:
    """Return what happens at the limit: the most lenient that any of the sources says."""
    return max((one.at_limit for one in sources), key=LENIENCE.__getitem__, default="block")


def merged_overage_limit(catalog: CompiledCatalog, feature: CompiledFeature, sources: Sequence[Source]) -> int | None:
    """Return how much may be used beyond all there is, the most that a source with overage says; None: no bound."""
    limits: list[int] = []
    for one in sources:
        if one.at_limit != "overage":
            continue
        said = feature.overage_limit
        if one.kind != "override":
            said = catalog.versions[one.kind, one.id, one.version].includes[feature.id].overage_limit
        if said is None or said >= UNBOUNDED:
            return None
        limits.append(said)
    return max(limits, default=None)


def merged_value(feature: CompiledFeature, sources: Sequence[Source]) -> str | None:
    """Return a configuration's value: override beats add-on beats plan.

    Of several plans, and of several add-ons, the value that the feature's ``values`` list last counts: they are listed
    from the least to the most. Else, and of several overrides, the newest; then the id.
    """
    if feature.type != CONFIGURATION:
        return None
    listed = {value: place for place, value in enumerate(feature.values or (), start=1)}

    def rank(one: Source) -> tuple[int, int, int, str, str, str]:
        worth = 0 if one.kind == "override" else listed.get(one.value or "", 0)
        return _RANK[one.kind], worth, one.place, one.id, one.version, one.value or ""

    ranked = max((one for one in sources if one.value is not None), key=rank, default=None)
    return ranked.value if ranked else None
