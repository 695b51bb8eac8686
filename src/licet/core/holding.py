"""What a customer holds, as facts that policies read: standing, plans, add-ons, features and their amounts."""

from collections.abc import Mapping
from typing import Final, get_args

from licet.core.catalog import CustomerStanding
from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.entitlement import Entitlement, merged_amount
from licet.core.quantity import MAX_QUANTITY
from licet.core.rights import Rights, Shape
from licet.core.terms import Profile
from licet.core.timeline import LIVE

Holding = Mapping[str, object]
"""Facts by the names of the policies' environment; shared by customers who hold the same."""
NOTHING_HELD: Final[Holding] = {}
_BEST: Final = get_args(CustomerStanding)


def build_holding(catalog: CompiledCatalog, shape: Shape, rights: Rights) -> Holding:
    """Return what a shape holds: a right counts while some source gives it, conditions on user and context left aside.

    Amounts are whole units, what is left of a unit cut off; unlimited is the largest int, what is not held is 0.
    """
    live = [held for held in shape.subscriptions if held.kind in LIVE]
    items = [item for held in live for item in held.items]
    held = {feature for feature, given in rights.items() if gives(given)}
    return {
        "standing": min((one.kind for one in shape.subscriptions), key=_BEST.index, default="none"),
        "plans": sorted({name for kind, name, *_ in items if kind == "plan"}),
        "addons": sorted({name for kind, name, *_ in items if kind == "addon"}),
        "features": {feature: feature in held for feature in catalog.features},
        "amounts": {
            key: _amount(catalog, rights[key]) if key in held else 0
            for key, feature in catalog.features.items()
            if feature.counted
        },
    }


def gives(given: Entitlement) -> bool:
    """Return whether a feature is held: some source gives it, and nothing denies it whatever is asked."""
    return any(not one.blocked for one in given.sources) and all(one.gate.asks for one in given.denials)


def customer_facts(customer: str, profile: Profile) -> dict[str, object]:
    """Return what conditions read as ``customer.…``."""
    return {
        "id": customer,
        "region": profile.region,
        "country": profile.country,
        "attributes": profile.attributes,
    }


def _amount(catalog: CompiledCatalog, given: Entitlement) -> int:
    feature = catalog.features[given.feature]
    amount = merged_amount(feature, [one for one in given.sources if not one.blocked])
    return MAX_QUANTITY if amount >= UNBOUNDED else amount // int(10**feature.scale)
