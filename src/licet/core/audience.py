"""Who a catalog is for: the vendor's own servers see all of it, what customers hold sees no internal rule."""

from typing import Literal, TypeVar

from msgspec import UNSET, structs

from licet.core.catalog import AddOn, Catalog, Part

Audience = Literal["server", "customer"]
P = TypeVar("P", bound=Part)


def for_audience(catalog: Catalog, audience: Audience) -> Catalog:
    """Return what an audience may have of a catalog.

    For customers: policies without those that are ``server_only``, the others without their note and tests, and no
    part with words for support. What is left decides as the whole does, except for what ``server_only`` policies add.
    """
    if audience == "server":
        return catalog
    policies = {
        key: structs.replace(policy, note="", tests=())
        for key, policy in catalog.policies.items()
        if not policy.server_only
    }
    return structs.replace(
        catalog,
        products=_unsupported(catalog.products),
        meters=_unsupported(catalog.meters),
        credits=_unsupported(catalog.credits),
        features=_unsupported(catalog.features),
        plans={
            key: structs.replace(plan, support_text="", versions=_unsupported(plan.versions))
            for key, plan in catalog.plans.items()
        },
        addons={key: _addon(addon) for key, addon in catalog.addons.items()},
        bundles=_unsupported(catalog.bundles),
        cohorts=_unsupported(catalog.cohorts),
        policies=_unsupported(policies),
    )


def _addon(addon: AddOn) -> AddOn:
    versions = addon.versions if addon.versions is UNSET else _unsupported(addon.versions)
    return structs.replace(addon, support_text="", versions=versions)


def _unsupported(parts: dict[str, P]) -> dict[str, P]:
    """Parts without words for support."""
    return {key: structs.replace(part, support_text="") for key, part in parts.items()}
