"""A release rolled back: what is live goes back to an earlier revision, and what was sold since stays as it is.

What customers hold never moves: every version, feature and ladder released since stays in the catalog, and the versions
are withdrawn from sale. Rolling back to the newest of the revisions afterwards gives that one again.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from msgspec import UNSET, Struct, structs

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Bundle,
    Catalog,
    Configuration,
    Feature,
    Include,
    Includes,
    Part,
    Plan,
    PlanVersion,
    Sold,
)
from licet.core.check_local import unleasable
from licet.core.check_offers import check_bundles, check_orders
from licet.core.diff_words import Named
from licet.core.instant import BEGINNING, Instant, format_instant, to_datetime, to_instant
from licet.core.normal import normal_catalog
from licet.core.offer import addon_versions, resolve_include, version_begins, version_includes
from licet.core.problem import Problems, quoted
from licet.core.wording import include_words

V = TypeVar("V", PlanVersion, AddOnVersion)
T = TypeVar("T")
_LISTED: Final = 10
"""Prices that one sentence names."""


class Rollback(Struct, frozen=True, kw_only=True):
    """A catalog that takes an earlier one back into force, in normal form. ``kept`` says what stays all the same."""

    catalog: Catalog
    kept: tuple[str, ...]


def compose_rollback(target: Catalog, newest: Catalog, at: Instant) -> Rollback:
    """Return what to release on top of ``newest`` so that what is live is again as in ``target``.

    ``target`` is an earlier revision from which ``newest`` came by allowed releases; both are sound. Back go titles and
    texts, modes, conditions and defaults of features and who decides about them, rates, rules between add-ons,
    ``sold_until``, bundles, policies and order mappings. What was added since stays; its versions are sold until ``at``
    (those not yet begun: never).
    So do bundles and prices added since that lead to it: orders of those who bought by them go on naming them.
    """
    then, now = normal_catalog(target), normal_catalog(newest)
    composing = _Composing(then, now, at)
    features = composing.features()
    catalog = structs.replace(
        then,
        products=composing.with_added("products", then.products, now.products),
        meters=composing.with_added("meters", then.meters, now.meters),
        credits=composing.with_added("credits", then.credits, now.credits),
        features=features,
        plans=composing.plans(features),
        addons=composing.addons(features),
        ladders=composing.with_added("ladders", then.ladders, now.ladders),
        cohorts=composing.with_added("cohorts", then.cohorts, now.cohorts),
    )
    catalog = composing.with_orders(composing.with_bundles(composing.with_hub(catalog)))
    return Rollback(catalog=normal_catalog(catalog), kept=tuple(composing.kept))


class _Composing:
    """One rollback in the making, with the sentences about what stays."""

    def __init__(self, then: Catalog, now: Catalog, at: Instant) -> None:
        self.then = then
        self.now = now
        self.at = at
        self.kept: list[str] = []

    def with_added(self, section: str, then: dict[str, T], now: dict[str, T]) -> dict[str, T]:
        """Return the parts of then, and those that were added since as they are."""
        added = {key: part for key, part in now.items() if key not in then}
        for key, part in added.items():
            named = Named(section, key, part if isinstance(part, Part) else None)
            self.kept.append(f"The {named}, added since, stays.{_unused(section)}")
        return {**then, **added}

    def features(self) -> dict[str, Feature]:
        """Return the features of then and those added since.

        A configuration's values still allow what a version released since gives.
        """
        features = self.with_added("features", self.then.features, self.now.features)
        for key, feature in self.then.features.items():
            newest = self.now.features.get(key)
            if not isinstance(feature, Configuration) or not isinstance(newest, Configuration):
                continue
            needed = [value for value in self._given_since(key) if value not in (feature.values or (value,))]
            if needed and feature.values is not None:
                features[key] = structs.replace(feature, values=_values(feature.values, newest.values, needed))
                listed = ", ".join(quoted(value) for value in needed)
                named = Named("features", key, feature)
                self.kept.append(f"The values of {named} still allow {listed}: a version released since gives that.")
        return features

    def _given_since(self, feature: str) -> list[str]:
        """The values of a configuration that versions released since give."""
        found: list[str] = []
        for includes in self._includes_since():
            include = version_includes(self.now, {key: one for key, one in includes.items() if key == feature})
            value = include[feature].value if feature in include else None
            if value is not None and value not in found:
                found.append(value)
        return found

    def _includes_since(self) -> Iterable[Includes]:
        """What each version that was released since includes."""
        for key, plan in self.now.plans.items():
            had: Mapping[str, object] = self.then.plans[key].versions if key in self.then.plans else {}
            yield from (version.includes for version_id, version in plan.versions.items() if version_id not in had)
        for key, addon in self.now.addons.items():
            had = addon_versions(self.then.addons[key]) if key in self.then.addons else {}
            versions = addon_versions(addon).items()
            yield from (version.includes for version_id, version in versions if version_id not in had)

    def plans(self, features: dict[str, Feature]) -> dict[str, Plan]:
        """Return the plans of then with every version since, and those added since, withdrawn."""
        plans = {}
        for key, plan in self.now.plans.items():
            before = self.then.plans.get(key)
            versions: dict[str, PlanVersion] = {} if before is None else dict(before.versions)
            versions |= self._withdrawn(key, plan.versions, versions, features)
            plans[key] = structs.replace(plan if before is None else before, versions=versions)
        return plans

    def addons(self, features: dict[str, Feature]) -> dict[str, AddOn]:
        """Return the add-ons of then with every version since, and those added since, withdrawn."""
        addons = {}
        for key, addon in self.now.addons.items():
            before = self.then.addons.get(key)
            versions = {} if before is None else dict(addon_versions(before))
            versions |= self._withdrawn(key, addon_versions(addon), versions, features)
            chosen = addon if before is None else before
            addons[key] = structs.replace(chosen, includes=UNSET, versions=versions)
        return addons

    def with_hub(self, catalog: Catalog) -> Catalog:
        """Return a composed catalog in which the hub decides what cannot be local with what stays."""
        features = dict(catalog.features)
        for key in dict.fromkeys(key for key, _ in unleasable(catalog)):
            features[key] = structs.replace(features[key], decide="hub")
            named = Named("features", key, features[key])
            self.kept.append(f"The {named} is decided by the hub: what its use touches now cannot be leased.")
        return structs.replace(catalog, features=features)

    def with_bundles(self, catalog: Catalog) -> Catalog:
        """Return a composed catalog with the bundles since that have a part since, as far as its rules allow them."""
        bundles = dict(catalog.bundles)
        for key, bundle in self.now.bundles.items():
            if key in bundles or not self._is_since(bundle):
                continue
            problems = Problems()
            check_bundles(structs.replace(catalog, bundles={key: bundle}), problems)
            if not problems.found:
                bundles[key] = bundle
                self.kept.append(f"The {Named('bundles', key, bundle)}, added since, stays for orders that name it.")
        return structs.replace(catalog, bundles=bundles)

    def with_orders(self, catalog: Catalog) -> Catalog:
        """Return a composed catalog with the foreign prices since that lead to what was released since."""
        orders = {source: dict(prices) for source, prices in catalog.orders.items()}
        for source, prices in self.now.orders.items():
            then = self.then.orders.get(source, {})
            since = {key: sold for key, sold in prices.items() if key not in then and self._leads(catalog, sold)}
            stay = {key: sold for key, sold in since.items() if _sound(catalog, source, key, sold)}
            if stay:
                orders[source] = {**then, **stay}
                self.kept.append(_mapped(source, sorted(stay)))
        return structs.replace(catalog, orders=orders)

    def _leads(self, catalog: Catalog, sold: Sold) -> bool:
        """Whether a foreign price may have sold what was released since."""
        if sold.bundle is None:
            return self._has_since(sold.plan or sold.addon or "", sold.version)
        bundle = catalog.bundles.get(sold.bundle)
        return bundle is not None and self._is_since(bundle)

    def _is_since(self, bundle: Bundle) -> bool:
        return any(self._has_since(part) for part in (bundle.plan, *bundle.addons))

    def _has_since(self, name: str, version: str | None = None) -> bool:
        """Whether a version of a plan or add-on was released since: this one, or any."""
        had, has = _versions(self.then, name), _versions(self.now, name)
        return any(one not in had for one in has if version in (None, one))

    def _withdrawn(
        self, key: str, versions: Mapping[str, V], had: Mapping[str, V], features: dict[str, Feature]
    ) -> dict[str, V]:
        """Return the versions that there were not then, each giving what it gives, and not sold any more."""
        found = {}
        for version_id, version in versions.items():
            if version_id in had:
                continue
            name = f"{key}@{version_id}"
            begins = version_begins(version_id, version.available_from)
            ends = max(self.at, BEGINNING if begins is None else begins)
            given = version.sold_until
            if given is not None and to_instant(given) <= ends:
                self.kept.append(f"{name}, released since, stays for who has it; it is withdrawn already.")
            else:
                given = to_datetime(ends)
                until = "never sold" if ends > self.at else f"sold only until {format_instant(ends)}"
                self.kept.append(f"{name}, released since, stays for who has it; it is {until}.")
            includes = self._fixed(name, version.includes, features)
            found[version_id] = structs.replace(version, sold_until=given, includes=includes)
        return found

    def _fixed(self, name: str, includes: Includes, features: dict[str, Feature]) -> Includes:
        """Return includes that give with the features of then what they give with those of now."""
        fixed: dict[str, Any] = {}
        for key, given in includes.items():
            if key in features and key in self.now.features:
                gives = resolve_include(self.now.features[key], given)
                if resolve_include(features[key], given) != gives:
                    fixed[key] = _written(features[key], gives)
                    words = include_words(self.now, key, given)
                    self.kept.append(f"{name} goes on giving {key}: {words}. That is written in it now.")
        return {**includes, **fixed}


def _versions(catalog: Catalog, name: str) -> Mapping[str, object]:
    """Return the versions of a plan or add-on; empty for one that is not there."""
    if name in catalog.plans:
        return catalog.plans[name].versions
    return addon_versions(catalog.addons[name]) if name in catalog.addons else {}


def _sound(catalog: Catalog, source: str, price: str, sold: Sold) -> bool:
    """Whether a foreign price means something in a catalog."""
    problems = Problems()
    check_orders(structs.replace(catalog, orders={source: {price: sold}}), problems)
    return not problems.found


def _mapped(source: str, prices: list[str]) -> str:
    """Return the sentence about prices that stay mapped."""
    listed = ", ".join(prices[:_LISTED]) + (f" and {len(prices) - _LISTED} more" if len(prices) > _LISTED else "")
    one = len(prices) == 1
    return (
        f"The {'price' if one else 'prices'} {listed} of {source}, added since, {'stays' if one else 'stay'} mapped "
        "for orders of those who bought what was released since."
    )


def _written(feature: Feature, gives: Include) -> Include:
    """Return what an include gives without what its feature says anyway."""
    for field in ("per", "overage_limit", "at_limit"):
        shorter = structs.replace(gives, **{field: None})
        if resolve_include(feature, shorter) == gives:
            gives = shorter
    return gives


def _values(then: tuple[str, ...], now: tuple[str, ...] | None, needed: list[str]) -> tuple[str, ...]:
    """Return the values of then with the needed ones at their place of now, if the rest stands there as it stood."""
    whole = tuple(value for value in now or () if value in then or value in needed)
    if set(whole) == {*then, *needed} and tuple(value for value in whole if value in then) == then:
        return whole
    return (*then, *needed)


def _unused(section: str) -> str:
    return " Nothing that is sold gives it." if section == "features" else ""
