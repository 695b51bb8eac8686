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
from licet.core.instant import BEGINNING, FOREVER, Instant, to_instant

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
    """Return the long form of an include with the feature's defaults filled in (amount or value, per, limits).

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
        include = structs.replace(include, amount=amount, at_limit=include.at_limit or feature.at_limit)
    if isinstance(feature, Metered | Credits) and include.at_limit == "overage" and include.overage_limit is None:
        return structs.replace(include, overage_limit=feature.overage_limit)
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


class Sale(NamedTuple):
    """When one version of a plan or add-on is on sale: ``[begins, ends)``; never where it ends before it begins."""

    begins: Instant
    ends: Instant
    version: str


def sales_of(part: Plan | AddOn) -> list[Sale]:
    """Return when each version is on sale.

    An add-on's version without a date is sold from the beginning; a plan's is never, and ``catalog_check`` refuses it.
    """
    sales = []
    versions = part.versions if isinstance(part, Plan) else addon_versions(part)
    for key, version in versions.items():
        begins = version_begins(key, version.available_from)
        if begins is None and isinstance(part, Plan):
            continue
        ends = FOREVER if version.sold_until is None else to_instant(version.sold_until)
        sales.append(Sale(BEGINNING if begins is None else begins, ends, key))
    return sales


def version_on_sale(part: Plan | AddOn, at: Instant) -> str | None:
    """Return the id of the version on sale at an instant: of those that are, the one that began last; None without."""
    return max((sale for sale in sales_of(part) if sale.begins <= at < sale.ends), default=_NEVER).version or None


def version_bought(part: Plan | AddOn, at: Instant) -> str | None:
    """Return the id of the version that a purchase at an instant gets, whether or not anything is on sale then.

    What is on sale; else what was on sale last; else what will be first; else, where nothing ever is, the first.
    """
    sales = sales_of(part)
    on_sale = [sale for sale in sales if sale.begins <= at < sale.ends]
    if on_sale:
        return max(on_sale).version
    sold = [sale for sale in sales if sale.begins < sale.ends]
    over = [sale for sale in sold if sale.ends <= at]
    if over:
        return max(over, key=lambda sale: (sale.ends, sale.begins)).version
    return min(sold or sales, default=_NEVER).version or None


def is_withdrawn(part: Plan | AddOn, version: str, at: Instant) -> bool:
    """Whether a version is not sold any more at an instant."""
    return any(sale.version == version and sale.ends <= at for sale in sales_of(part))


def is_over(part: Plan | AddOn, at: Instant) -> bool:
    """Whether nothing is on sale at an instant, although something was: all of it is withdrawn."""
    return version_on_sale(part, at) is None and any(sale.begins < sale.ends <= at for sale in sales_of(part))


_NEVER: Final = Sale(BEGINNING, BEGINNING, "")


def then_of(catalog: Catalog, version: PlanVersion, begins: Instant) -> VersionRef | None:
    """Return the plan version that a version's ``then`` means; None without one or where it names nothing.

    ``free@2026-01`` says it; ``free`` alone is the version of that plan that has begun last when this one begins
    (``begins``), withdrawn or not, else its first: so that neither a later version of the free plan nor a withdrawal
    ever changes what was agreed.
    """
    if version.then is None:
        return None
    plan_id, pinned, wanted = version.then.partition("@")
    plan = catalog.plans.get(plan_id)
    if plan is None:
        return None
    if pinned:
        return VersionRef(plan_id, wanted) if wanted in plan.versions else None
    begun = [(sale.begins, sale.version) for sale in sales_of(plan)]
    passed = [one for one in begun if one[0] <= begins]
    if not begun:
        return None
    return VersionRef(plan_id, max(passed)[1] if passed else min(begun)[1])


def version_includes(catalog: Catalog, includes: Includes) -> dict[str, Include]:
    """Return all includes in their long form, by feature; unknown features and those switched off are left out."""
    resolved = {
        key: resolve_include(catalog.features[key], given) for key, given in includes.items() if key in catalog.features
    }
    return {key: include for key, include in resolved.items() if include.on}
