"""The normal form of a catalog: one way to write each thing, so that documents of the same meaning are equal."""

from datetime import UTC, datetime
from typing import TypeVar

from msgspec import UNSET, structs

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Amount,
    Catalog,
    Configuration,
    Credits,
    Feature,
    Include,
    Includes,
    IncludeShort,
    Meter,
    Metered,
    Part,
    Plan,
    Policy,
    Rollover,
    Switch,
    Window,
)
from licet.core.instant import to_instant
from licet.core.offer import FIRST, UNLIMITED, feature_scale, version_begins
from licet.core.quantity import format_quantity, parse_quantity

P = TypeVar("P", bound=Part)


def normal_catalog(catalog: Catalog) -> Catalog:
    """Return a checked catalog in its normal form; equal meaning gives equal documents, and twice is the same as once.

    Includes take their shortest form and are left out where switched off, amounts lose needless zeros and quotes,
    times are in UTC and left out where the version's id says them, an add-on with one undated plain version ``1`` has
    the short form, and entries stand in the order of rank, then id. What does not
    fit its feature is left as it is, for ``catalog_check`` to name.
    """
    return structs.replace(
        catalog,
        products=_ranked(catalog.products),
        meters=_ranked({key: _meter(meter) for key, meter in catalog.meters.items()}),
        credits=_ranked(
            {
                key: structs.replace(credit, burns=dict(sorted(credit.burns.items())))
                for key, credit in catalog.credits.items()
            }
        ),
        features=_ranked({key: _feature(catalog, feature) for key, feature in catalog.features.items()}),
        plans=_ranked({key: _plan(catalog, plan) for key, plan in catalog.plans.items()}),
        addons=_ranked({key: _addon(catalog, addon) for key, addon in catalog.addons.items()}),
        bundles=_ranked(catalog.bundles),
        ladders=dict(sorted(catalog.ladders.items())),
        cohorts=_ranked(catalog.cohorts),
        policies=_ranked({key: _policy(policy) for key, policy in catalog.policies.items()}),
        orders={source: dict(sorted(sold.items())) for source, sold in sorted(catalog.orders.items())},
    )


def _ranked(parts: dict[str, P]) -> dict[str, P]:
    """Return parts in the order in which people see them listed."""
    return dict(sorted(parts.items(), key=lambda entry: (entry[1].rank, entry[0])))


def _feature(catalog: Catalog, feature: Feature) -> Feature:
    window = _window(feature.window)
    if isinstance(feature, Switch | Configuration):
        return structs.replace(feature, window=window)
    scale = feature_scale(catalog, feature)
    feature = structs.replace(feature, window=window, default=_stated(feature.default, scale))
    if isinstance(feature, Metered | Credits):
        return structs.replace(feature, overage_limit=_stated(feature.overage_limit, scale))
    return feature


def _meter(meter: Meter) -> Meter:
    filters = {key: tuple(sorted(values)) for key, values in sorted(meter.filters.items())}
    return structs.replace(meter, filters=filters)


def _policy(policy: Policy) -> Policy:
    return structs.replace(policy, features=tuple(sorted(policy.features)))


def _plan(catalog: Catalog, plan: Plan) -> Plan:
    versions = {
        key: structs.replace(
            version,
            includes=_includes(catalog, version.includes),
            available_from=_from(key, version.available_from),
            sold_until=_utc(version.sold_until),
        )
        for key, version in sorted(plan.versions.items())
    }
    return structs.replace(plan, versions=versions)


def _addon(catalog: Catalog, addon: AddOn) -> AddOn:
    if addon.versions is UNSET:
        includes = UNSET if addon.includes is UNSET else _includes(catalog, addon.includes)
        return structs.replace(addon, includes=includes)
    versions = {
        key: structs.replace(
            version,
            includes=_includes(catalog, version.includes),
            available_from=_from(key, version.available_from),
            sold_until=_utc(version.sold_until),
        )
        for key, version in sorted(addon.versions.items())
    }
    if list(versions) == [FIRST] and versions[FIRST] == AddOnVersion(includes=versions[FIRST].includes):
        return structs.replace(addon, versions=UNSET, includes=versions[FIRST].includes)
    return structs.replace(addon, versions=versions)


def _includes(catalog: Catalog, includes: Includes) -> Includes:
    """Return includes in their normal form; one that is switched off gives what one that is not there gives."""
    normal = {
        key: _include(catalog, catalog.features[key], given) if key in catalog.features else given
        for key, given in sorted(includes.items())
    }
    return {key: given for key, given in normal.items() if given is not False or key not in catalog.features}


def _include(catalog: Catalog, feature: Feature, given: IncludeShort | Include) -> IncludeShort | Include:
    """Return the shortest form of an include."""
    scale = feature_scale(catalog, feature)
    counted = not isinstance(feature, Switch | Configuration)
    if not isinstance(given, Include):
        return given if isinstance(given, bool) or not counted else _amount(given, scale)
    include = structs.replace(given, window=_window(given.window))
    if include.rollover is not None:
        rollover = Rollover(min=_amount(include.rollover.min, scale), max=_amount(include.rollover.max, scale))
        include = structs.replace(include, rollover=rollover)
    include = structs.replace(include, overage_limit=_stated(include.overage_limit, scale))
    if include.amount is not None and counted:
        include = structs.replace(include, amount=_amount(include.amount, scale))
        if include == Include(amount=include.amount) and include.amount is not None:
            return include.amount
    if include == Include(on=include.on):
        return include.on
    if isinstance(feature, Configuration) and include.value is not None and include == Include(value=include.value):
        return include.value
    return include


def _stated(amount: Amount | None, scale: int) -> Amount | None:
    return None if amount is None else _amount(amount, scale)


def _amount(amount: Amount, scale: int) -> Amount:
    """Return an amount without needless zeros, as a number where it is whole and exact in every JSON reader."""
    if amount == UNLIMITED:
        return amount
    try:
        text = format_quantity(parse_quantity(amount, scale), scale)
    except ValueError:
        return amount
    return int(text) if "." not in text and int(text) < 2**53 else text


def _window(window: Window | None) -> Window | None:
    return None if window is None else structs.replace(window, start=_utc(window.start), end=_utc(window.end))


def _from(version_id: str, given: datetime | None) -> datetime | None:
    """Return from when a version is sold, in UTC; nothing where its id says the same."""
    return None if given is None or to_instant(given) == version_begins(version_id, None) else _utc(given)


def _utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)
