"""Rules between sold items: requires (any of), excludes (none of), maximum. What breaks them is accepted and listed."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.terms import Item

Rule = Literal["requires", "excludes", "maximum", "unknown"]


class Breach(Struct, frozen=True):
    """One rule that a customer's items break. ``item`` breaks it, ``others`` are the ids that the rule names."""

    rule: Rule
    item: str
    others: tuple[str, ...]
    words: str


def find_breaches(catalog: CompiledCatalog, items: Iterable[Item]) -> tuple[Breach, ...]:
    """Return the broken rules among items in force together, sorted.

    Quantities of one add-on add up; a quantity that counts a feature is of that feature, the item itself is one.
    """
    held: dict[str, int] = {}
    breaches: list[Breach] = []
    for item in items:
        held[item.id] = held.get(item.id, 0) + (item.quantity if item.quantity_of is None else 1)
        if (item.kind, item.id, item.version) not in catalog.versions:
            words = f"{item.kind} {item.id}@{item.version} is not in the catalog; it gives nothing"
            breaches.append(Breach("unknown", f"{item.id}@{item.version}", (), words))
    for item_id in sorted(held):
        addon = catalog.document.addons.get(item_id)
        if addon is None:
            continue
        if addon.requires and not any(other in held for other in addon.requires):
            words = f"{item_id} is sold without any of {', '.join(addon.requires)}, one of which it requires"
            breaches.append(Breach("requires", item_id, tuple(sorted(addon.requires)), words))
        clashing = tuple(sorted(other for other in addon.excludes if other in held))
        if clashing:
            words = f"{item_id} is sold together with {', '.join(clashing)}, which it excludes"
            breaches.append(Breach("excludes", item_id, clashing, words))
        if addon.maximum is not None and held[item_id] > addon.maximum:
            words = f"{item_id} is sold {held[item_id]} times; at most {addon.maximum} are allowed"
            breaches.append(Breach("maximum", item_id, (), words))
    return tuple(sorted(set(breaches), key=lambda one: (one.item, one.rule)))
