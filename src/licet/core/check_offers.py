"""Whether what is sold makes sense: plans, add-ons, bundles, ladders, cohorts, and what foreign prices mean."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import UNSET

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Catalog,
    Configuration,
    Include,
    Includes,
    PlanVersion,
    Sold,
    Stage,
    Switch,
)
from licet.core.check_include import check_include, check_listed
from licet.core.check_usage import check_terms
from licet.core.instant import BEGINNING, DAY, FOREVER, Duration, Instant, format_instant, parse_duration, to_instant
from licet.core.offer import (
    VersionRef,
    addon_versions,
    sales_of,
    then_of,
    version_begins,
    version_includes,
)
from licet.core.problem import Problems, Step, one_of, quoted

Path = tuple[Step, ...]
_SEVERITY: Final = ("warn", "restrict", "suspend", "end")
_MONTH_DAYS: Final = (28, 31)


def check_plans(catalog: Catalog, problems: Problems) -> None:
    """Tell what is wrong with plans and their versions."""
    for key, plan in catalog.plans.items():
        path: Path = ("plans", key)
        problems.known("product", plan.product, catalog.products, (*path, "product"))
        begun: dict[Instant, str] = {}
        for version_id, version in plan.versions.items():
            here = (*path, "versions", version_id)
            begins = version_begins(version_id, version.available_from)
            if begins is None:
                message = "write available_from, because the version's id names no month (2026-01) or day (2026-01-15)"
                problems.add(here, message, of_key=True)
            else:
                _same_begin(version_id, begins, begun, here, problems)
                _ends(version, begins, here, problems)
            _plan_version(catalog, _Version(key, version, begins), here, problems)


def _same_begin(version: str, begins: Instant, begun: dict[Instant, str], path: Path, problems: Problems) -> None:
    if begins in begun:
        when = "the beginning" if begins == BEGINNING else format_instant(begins)
        message = f"is sold from {when} like version {quoted(begun[begins])}; only one version is sold at a time"
        problems.add(path, message, of_key=True)
    begun.setdefault(begins, version)


def _ends(version: PlanVersion | AddOnVersion, begins: Instant, path: Path, problems: Problems) -> None:
    """Tell a version that is withdrawn before it begins to be sold."""
    if version.sold_until is not None and to_instant(version.sold_until) < begins:
        since = format_instant(begins)
        message = f"it begins to be sold at {since}, later; write that for a version that is never sold"
        problems.add((*path, "sold_until"), message)


class _Version(NamedTuple):
    """A plan's version and when it begins to be sold."""

    plan_id: str
    version: PlanVersion
    begins: Instant | None


def _plan_version(catalog: Catalog, sold: _Version, path: Path, problems: Problems) -> None:
    version = sold.version
    _includes(catalog, version.includes, (*path, "includes"), problems)
    for key, given in version.includes.items():
        seats = given.per_seat if isinstance(given, Include) else None
        if seats in catalog.features and version.includes.get(seats, False) is False:
            message = f"the version does not include {quoted(seats)}, so there are no seats to multiply by"
            problems.add((*path, "includes", key, "per_seat"), message)
    if version.trial is not None:
        span = _duration(version.trial, (*path, "trial"), problems)
        if span == Duration():
            problems.add((*path, "trial"), "a trial of no length; leave it out")
    if version.ladder is not None:
        problems.known("ladder", version.ladder, catalog.ladders, (*path, "ladder"))
    if version.then is not None:
        _then(catalog, sold, (*path, "then"), problems)
    check_listed(version.deployments, (*path, "deployments"), problems)
    check_listed(version.regions, (*path, "regions"), problems)


def _then(catalog: Catalog, sold: _Version, path: Path, problems: Problems) -> None:
    """Tell a ``then`` that leads nowhere or into another trial."""
    target, pinned, wanted = (sold.version.then or "").partition("@")
    if not problems.known("plan", target, catalog.plans, path):
        return
    if pinned and wanted not in catalog.plans[target].versions:
        problems.known(f"version of {target}", wanted, catalog.plans[target].versions, path)
        return
    if target == sold.plan_id:
        problems.add(path, "a trial cannot be followed by the plan it is a trial of; that is what converting means")
        return
    ref = then_of(catalog, sold.version, BEGINNING if sold.begins is None else sold.begins)
    if ref is not None and catalog.plans[ref.id].versions[ref.version].trial is not None:
        message = f"{ref.id}@{ref.version} has a trial of its own, so that trials would follow each other"
        problems.add(path, message)


def _includes(catalog: Catalog, includes: Includes, path: Path, problems: Problems) -> None:
    for key, given in includes.items():
        if problems.known("feature", key, catalog.features, (*path, key), of_key=True):
            check_include(catalog, key, given, (*path, key), problems)
            if isinstance(given, Include) and given.on:
                check_terms(catalog, key, given, (*path, key), problems)


def check_addons(catalog: Catalog, problems: Problems) -> None:
    """Tell what is wrong with add-ons and their rules."""
    sold = [*catalog.plans, *catalog.addons]
    for key, addon in catalog.addons.items():
        path: Path = ("addons", key)
        if key in catalog.plans:
            problems.add(
                path, f"{quoted(key)} is a plan too; requires and excludes could not tell them apart", of_key=True
            )
        if (addon.includes is UNSET) == (addon.versions is UNSET):
            problems.add(path, "an add-on has either includes or versions", of_key=True)
        for name, ids in (("requires", addon.requires), ("excludes", addon.excludes)):
            _related(sold, ids, (*path, name), problems)
        for other in sorted(set(addon.requires) & set(addon.excludes)):
            place = addon.excludes.index(other)
            problems.add((*path, "excludes", place), f"{quoted(other)} is required and excluded")
        _addon_versions(catalog, addon, path, problems)
    obtainable = _obtainable(catalog)
    for key, addon in catalog.addons.items():
        told = key in addon.requires or set(addon.requires) & set(addon.excludes)
        if key not in obtainable and not told and all(other in sold for other in addon.requires):
            message = "nobody can buy this: it requires only add-ons that lead back to it or exclude it"
            problems.add(("addons", key, "requires"), message)


def _related(sold: list[str], ids: tuple[str, ...], path: Path, problems: Problems) -> None:
    """Tell what an add-on (whose path is given) cannot require or exclude."""
    for place, other in enumerate(ids):
        here = (*path, place)
        if other == path[1]:
            problems.add(here, "an add-on can neither require nor exclude itself; maximum limits how many are bought")
        elif problems.known("plan or add-on", other, sold, here) and other in ids[:place]:
            problems.add(here, f"{quoted(other)} is listed twice")


def _addon_versions(catalog: Catalog, addon: AddOn, path: Path, problems: Problems) -> None:
    begun: dict[Instant, str] = {}
    for version_id, version in addon_versions(addon).items():
        short = addon.versions is UNSET
        here = path if short else (*path, "versions", version_id)
        begins = version_begins(version_id, version.available_from)
        _same_begin(version_id, BEGINNING if begins is None else begins, begun, here, problems)
        _ends(version, BEGINNING if begins is None else begins, here, problems)
        _includes(catalog, version.includes, (*here, "includes"), problems)


def _obtainable(catalog: Catalog) -> set[str]:
    """Return the add-ons that somebody with some plan can have, following ``requires`` from the plans on."""
    got = {key for key, addon in catalog.addons.items() if not addon.requires}
    growing = True
    while growing:
        more = {
            key
            for key, addon in catalog.addons.items()
            if key not in got and any(_leads(catalog, key, other, got) for other in addon.requires)
        }
        got |= more
        growing = bool(more)
    return got


def _leads(catalog: Catalog, key: str, other: str, got: set[str]) -> bool:
    """Return whether having ``other`` makes the add-on ``key`` possible."""
    if other in catalog.addons[key].excludes:
        return False
    return other in catalog.plans or (other in got and key not in catalog.addons[other].excludes)


def check_bundles(catalog: Catalog, problems: Problems) -> None:
    """Tell bundles whose parts do not exist or may not be sold together."""
    for key, bundle in catalog.bundles.items():
        path: Path = ("bundles", key)
        problems.known("plan", bundle.plan, catalog.plans, (*path, "plan"))
        parts = (bundle.plan, *bundle.addons)
        for place, addon_id in enumerate(bundle.addons):
            here = (*path, "addons", place)
            if not problems.known("add-on", addon_id, catalog.addons, here):
                continue
            addon = catalog.addons[addon_id]
            if addon_id in bundle.addons[:place]:
                problems.add(here, f"{quoted(addon_id)} is listed twice")
            if addon.requires and not set(addon.requires) & set(parts):
                problems.add(here, f"{quoted(addon_id)} requires {one_of(addon.requires)}, which the bundle has not")
            for other in (other for other in addon.excludes if other in parts):
                problems.add(here, f"{quoted(addon_id)} excludes {quoted(other)}, which is in the bundle")


def check_ladders(catalog: Catalog, problems: Problems) -> None:
    """Tell ladders whose stages do not climb."""
    for key, stages in catalog.ladders.items():
        if not stages:
            problems.add(("ladders", key), "a ladder needs at least one stage", of_key=True)
        before: tuple[Stage, Duration] | None = None
        for place, stage in enumerate(stages):
            path: Path = ("ladders", key, place)
            span = _duration(stage.after, (*path, "after"), problems)
            _restricted(catalog, stage, path, problems)
            if span is None:
                continue
            if before is not None:
                _climbs(before, (stage, span), path, problems)
            before = (stage, span)


def check_cohorts(catalog: Catalog, problems: Problems) -> None:
    """Tell cohorts whose ladder does not exist."""
    for key, cohort in catalog.cohorts.items():
        if cohort.ladder is not None:
            problems.known("ladder", cohort.ladder, catalog.ladders, ("cohorts", key, "ladder"))


def _restricted(catalog: Catalog, stage: Stage, path: Path, problems: Problems) -> None:
    if stage.do == "restrict" and not stage.features:
        problems.add((*path, "do"), "restrict needs features: the list of what is taken away")
    if stage.do != "restrict" and stage.features:
        message = f"{stage.do} concerns everything; only restrict names features"
        problems.add((*path, "features"), message, of_key=True)
        return
    for place, feature in enumerate(stage.features):
        here = (*path, "features", place)
        if problems.known("feature", feature, catalog.features, here) and feature in stage.features[:place]:
            problems.add(here, f"{quoted(feature)} is listed twice")


def _climbs(before: tuple[Stage, Duration], this: tuple[Stage, Duration], path: Path, problems: Problems) -> None:
    if before[0].do == "end":
        problems.add(path, "nothing can follow the stage that ends the subscription", of_key=True)
    elif _SEVERITY.index(this[0].do) < _SEVERITY.index(before[0].do):
        message = f"{this[0].do} is milder than {before[0].do} before it; stages only get stricter"
        problems.add((*path, "do"), message)
    if not _not_before(before[1], this[1]):
        message = f"{this[0].after} may come before {before[0].after} of the stage before it; write stages in order"
        problems.add((*path, "after"), message)


def _not_before(first: Duration, second: Duration) -> bool:
    """Return whether ``second`` is never shorter than ``first``, in whatever month they begin."""
    if first.months == second.months:
        return first.days * DAY + first.micros <= second.days * DAY + second.micros
    longest = (first.months * _MONTH_DAYS[1] + first.days) * DAY + first.micros
    shortest = (second.months * _MONTH_DAYS[0] + second.days) * DAY + second.micros
    return longest <= shortest


def _duration(text: str, path: Path, problems: Problems) -> Duration | None:
    try:
        return parse_duration(text)
    except ValueError as error:
        problems.add(path, str(error))
        return None


def check_orders(catalog: Catalog, problems: Problems) -> None:
    """Tell foreign prices that mean nothing or more than one thing."""
    for source, prices in catalog.orders.items():
        for price, sold in prices.items():
            path: Path = ("orders", source, price)
            named = [name for name in ("plan", "addon", "bundle") if getattr(sold, name) is not None]
            if len(named) != 1:
                said = one_of(named).replace(" or ", " and ") if named else "none"
                problems.add(path, f"write exactly one of plan, addon or bundle, not {said}", of_key=True)
                continue
            parts = _sold(catalog, sold, path, problems)
            if parts is not None and sold.quantity is not None:
                _quantity(catalog, sold.quantity, parts, (*path, "quantity"), problems)


def _sold(catalog: Catalog, sold: Sold, path: Path, problems: Problems) -> list[VersionRef] | None:
    """Return the versions a foreign price can mean; None where it names something unknown (told)."""
    if sold.bundle is not None:
        if not problems.known("bundle", sold.bundle, catalog.bundles, (*path, "bundle")):
            return None
        if sold.version is not None:
            problems.add((*path, "version"), "a bundle has no versions; its parts do", of_key=True)
            return None
        bundle = catalog.bundles[sold.bundle]
        return [ref for part in (bundle.plan, *bundle.addons) for ref in _sellable(catalog, part)]
    kind, name = ("plan", sold.plan) if sold.plan is not None else ("addon", sold.addon or "")
    parts: Mapping[str, object] = catalog.plans if kind == "plan" else catalog.addons
    if not problems.known("plan" if kind == "plan" else "add-on", name, parts, (*path, kind)):
        return None
    if sold.version is None:
        return _sellable(catalog, name)
    versions = _versions(catalog, name)
    if not problems.known(f"version of {name}", sold.version, versions, (*path, "version")):
        return None
    return [VersionRef(name, sold.version)]


def _versions(catalog: Catalog, name: str) -> Mapping[str, PlanVersion | AddOnVersion]:
    """Return the versions of a plan or an add-on; nothing where there is neither."""
    if name in catalog.plans:
        return catalog.plans[name].versions
    return addon_versions(catalog.addons[name]) if name in catalog.addons else {}


def _sellable(catalog: Catalog, name: str) -> list[VersionRef]:
    """Return the versions of a plan or add-on that a price may mean in the end.

    Those sold until an instant, which were or will be meant for a while, and of all others the one that begins last.
    """
    part = catalog.plans.get(name) or catalog.addons.get(name)
    sales = [] if part is None else sales_of(part)
    lasting = [sale for sale in sales if sale.ends == FOREVER]
    ending = [sale.version for sale in sales if sale.ends != FOREVER]
    return [VersionRef(name, key) for key in (*([max(lasting).version] if lasting else []), *ending)]


def _quantity(catalog: Catalog, feature_id: str, parts: list[VersionRef], path: Path, problems: Problems) -> None:
    """Tell a quantity that sets the amount of what is not counted or not included."""
    if not problems.known("feature", feature_id, catalog.features, path):
        return
    if isinstance(catalog.features[feature_id], Switch | Configuration):
        problems.add(
            path, f"{quoted(feature_id)} is not counted; quantity names a limit, metered, credits or seats feature"
        )
        return
    versions = [(part, _versions(catalog, part.id)[part.version]) for part in parts]
    if not any(feature_id in version_includes(catalog, version.includes) for _, version in versions):
        listed = one_of([f"{part.id}@{part.version}" for part, _ in versions])
        problems.add(path, f"{listed} does not include {quoted(feature_id)}, so there is no amount to set")
