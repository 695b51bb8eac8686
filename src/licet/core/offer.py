"""What a catalog offers at an instant: which version is sold, what an include means once its feature is known.

One reading of the document's short forms for everybody who derives, checks or shows it.
"""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from msgspec import UNSET, structs

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Catalog,
    Configuration,
    Credits,
    Feature,
    Include,
    Includes,
    IncludeShort,
    Limit,
    Metered,
    Plan,
    PlanVersion,
    Seats,
)
from licet.core.instant import BEGINNING, Instant, to_instant

UNLIMITED: Final = "unlimited"
FIRST: Final = "1"
"""The id of the one version of an add-on that is written in its short form."""

_DATED: Final = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)


class VersionRef(NamedTuple):
    """A plan or add-on and one of its versions."""

    id: str
    version: str


def feature_type(feature: Feature) -> str:
    """Return the word for a feature's type as the document writes it: ``switch``, ``limit``, ``metered`` …"""
    return str(feature.__struct_config__.tag)


def feature_scale(catalog: Catalog, feature: Feature) -> int:
    """Return how many decimals amounts of a feature have; 0 for what is not counted or names nothing known."""
    if isinstance(feature, Limit):
        return feature.scale
    if isinstance(feature, Metered):
        meter = catalog.meters.get(feature.meter)
        return meter.scale if meter else 0
    if isinstance(feature, Credits):
        credit = catalog.credits.get(feature.credit)
        return credit.scale if credit else 0
    return 0


def resolve_include(feature: Feature, given: IncludeShort | Include) -> Include:
    """Return the long form of an include with the feature's defaults filled in (amount or value, per, at_limit).

    A short ``true`` means the default, a number an amount, a text a configuration's value or else an amount. Neither
    amount nor value comes back where a default is wanted and the feature has none: ``catalog_check`` refuses that.
    """
    include = given if isinstance(given, Include) else _long_form(feature, given)
    if not include.on:
        return include
    if isinstance(feature, Configuration):
        return include if include.value is not None else structs.replace(include, value=feature.default)
    if isinstance(feature, Metered | Credits):
        include = structs.replace(include, per=include.per or feature.per)
    if isinstance(feature, Metered | Credits | Limit | Seats):
        amount = include.amount if include.amount is not None else feature.default
        return structs.replace(include, amount=amount, at_limit=include.at_limit or feature.at_limit)
    return include


def _long_form(feature: Feature, given: IncludeShort) -> Include:
    """Return a short include as a long one."""
    if isinstance(given, bool):
        return Include(on=given)
    if isinstance(given, str) and isinstance(feature, Configuration):
        return Include(value=given)
    return Include(amount=given)


def version_begins(version: str, available_from: datetime | None) -> Instant | None:
    """Return when a version begins to be sold: what it says, else the first instant (UTC) of the month or day in its
    id (``2026-01``, ``2026-01-15``); None where neither tells.
    """
    if available_from is not None:
        return to_instant(available_from)
    found = _DATED.fullmatch(version)
    if found is None:
        return None
    try:
        return to_instant(datetime(int(found[1]), int(found[2]), int(found[3] or 1), tzinfo=UTC))
    except ValueError:
        return None


def addon_versions(addon: AddOn) -> dict[str, AddOnVersion]:
    """Return an add-on's versions; the short form is one version called ``1``."""
    if addon.versions is not UNSET:
        return addon.versions
    return {FIRST: AddOnVersion(includes={} if addon.includes is UNSET else addon.includes)}


def plan_version_at(plan: Plan, at: Instant) -> str | None:
    """Return the id of the plan's version sold at an instant: the latest that has begun; None before the first."""
    begun = {key: version_begins(key, version.available_from) for key, version in plan.versions.items()}
    return _latest(begun, at)


def addon_version_at(addon: AddOn, at: Instant) -> str | None:
    """Return the id of the add-on's version sold at an instant; a version without a date is sold from the beginning."""
    begun: dict[str, Instant | None] = {}
    for key, version in addon_versions(addon).items():
        begins = version_begins(key, version.available_from)
        begun[key] = BEGINNING if begins is None else begins
    return _latest(begun, at)


def _latest(begun: dict[str, Instant | None], at: Instant) -> str | None:
    """Return the key with the latest instant at or before ``at``."""
    passed = [(begins, key) for key, begins in begun.items() if begins is not None and begins <= at]
    return max(passed)[1] if passed else None


def then_of(catalog: Catalog, version: PlanVersion, begins: Instant) -> VersionRef | None:
    """Return the plan version that a version's ``then`` means; None without one or where it names nothing.

    ``free@2026-01`` says it; ``free`` alone is the version of that plan sold when this one begins (``begins``), else
    its first: so that a later version of the free plan never changes what was agreed.
    """
    if version.then is None:
        return None
    plan_id, pinned, wanted = version.then.partition("@")
    plan = catalog.plans.get(plan_id)
    if plan is None:
        return None
    if pinned:
        return VersionRef(plan_id, wanted) if wanted in plan.versions else None
    sold = plan_version_at(plan, begins) or _first(plan)
    return VersionRef(plan_id, sold) if sold else None


def _first(plan: Plan) -> str | None:
    """Return the version of a plan that is sold first."""
    begun = {key: version_begins(key, version.available_from) for key, version in plan.versions.items()}
    dated = [(begins, key) for key, begins in begun.items() if begins is not None]
    return min(dated)[1] if dated else None


def version_includes(catalog: Catalog, includes: Includes) -> dict[str, Include]:
    """Return all includes in their long form, by feature; unknown features and those switched off are left out."""
    resolved = {
        key: resolve_include(catalog.features[key], given) for key, given in includes.items() if key in catalog.features
    }
    return {key: include for key, include in resolved.items() if include.on}
