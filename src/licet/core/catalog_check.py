"""What a catalog must satisfy beyond its shape: every name leads somewhere, every amount fits, nothing contradicts.

All problems are returned together, each with the path at which it stands. ``check_release`` says what a new revision
may not change about a released one.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from licet.core.catalog import (
    LIMITS,
    MAX_INCLUDES,
    MAX_ORDER_LINES,
    MAX_VERSIONS,
    Catalog,
    Configuration,
    Credits,
    Feature,
    Metered,
)
from licet.core.catalog_release import check_release
from licet.core.check_include import amount_scale, check_amount, check_conditions
from licet.core.check_local import check_local
from licet.core.check_offers import (
    check_addons,
    check_bundles,
    check_cohorts,
    check_ladders,
    check_orders,
    check_plans,
)
from licet.core.check_policies import check_policies
from licet.core.check_usage import check_allowance, check_burns, check_meter
from licet.core.offer import addon_versions
from licet.core.problem import Problem, Problems, Step, one_of, quoted

__all__ = ["check_catalog", "check_release"]

_RATE: Final = re.compile(r"(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?", re.ASCII)
_NAMED: Final = tuple(LIMITS)


def check_catalog(catalog: Catalog) -> list[Problem]:
    """Return everything that is wrong with what a catalog says, at most ``MAX_PROBLEMS``; empty means it is sound."""
    problems = Problems()
    _counts(catalog, problems)
    if problems.found:
        return problems.found
    _characters(msgspec.to_builtins(catalog), (), problems)
    _ids(catalog, problems)
    _meters_and_credits(catalog, problems)
    for key, feature in catalog.features.items():
        _feature(catalog, feature, ("features", key), problems)
    check_local(catalog, problems)
    check_plans(catalog, problems)
    check_addons(catalog, problems)
    check_bundles(catalog, problems)
    check_ladders(catalog, problems)
    check_cohorts(catalog, problems)
    check_policies(catalog, problems)
    check_orders(catalog, problems)
    return problems.found


def _counts(catalog: Catalog, problems: Problems) -> None:
    """Tell a document with more entries than are supported."""
    for name, limit in LIMITS.items():
        count = len(getattr(catalog, name))
        if count > limit:
            problems.add((name,), f"there are {count:,} {name}; at most {limit:,} are supported", of_key=True)
    includes = 0
    for kind, parts in (("plans", _plan_versions(catalog)), ("addons", _addon_versions(catalog))):
        for key, versions in parts:
            includes += sum(len(version.includes) for version in versions.values())
            if len(versions) > MAX_VERSIONS:
                message = f"there are {len(versions):,} versions; at most {MAX_VERSIONS:,} are supported"
                problems.add((kind, key, "versions"), message, of_key=True)
    if includes > MAX_INCLUDES:
        problems.add((), f"all versions together include {includes:,} features; at most {MAX_INCLUDES:,} are supported")
    lines = sum(len(sold) for sold in catalog.orders.values())
    if lines > MAX_ORDER_LINES:
        message = f"there are {lines:,} foreign prices; at most {MAX_ORDER_LINES:,} are supported"
        problems.add(("orders",), message, of_key=True)


def _plan_versions(catalog: Catalog) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((key, plan.versions) for key, plan in catalog.plans.items())


def _addon_versions(catalog: Catalog) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((key, addon_versions(addon)) for key, addon in catalog.addons.items())


def _characters(value: Any, path: tuple[Step, ...], problems: Problems) -> None:
    """Tell every text that holds a control character or half a surrogate pair: databases and terminals choke on it."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            _text(key, (*path, key), problems, of_key=True)
            _characters(each, (*path, key), problems)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            _characters(each, (*path, place), problems)
    elif isinstance(value, str):
        _text(value, path, problems, of_key=False)


def _text(text: str, path: tuple[Step, ...], problems: Problems, *, of_key: bool) -> None:
    if text.isprintable():
        return
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and (of_key or character not in "\n\t"):
            shown = f"U+{ord(character):04X}"
            problems.add(path, f"the control character {shown} is not allowed; remove it", of_key=of_key)
            return


def _ids(catalog: Catalog, problems: Problems) -> None:
    """Tell ids that look like others or cannot be typed."""
    for name in _NAMED:
        for key in getattr(catalog, name):
            _id(key, (name, key), problems)
    for kind, parts in (("plans", _plan_versions(catalog)), ("addons", _addon_versions(catalog))):
        for key, versions in parts:
            for version in versions:
                _id(version, (kind, key, "versions", version), problems)
    for source, sold in catalog.orders.items():
        for price in sold:
            _id(price, ("orders", source, price), problems)
    for key in catalog.plans:
        if "@" in key:
            message = f"the plan id {quoted(key)} contains @, which stands between a plan and its version"
            problems.add(("plans", key), message, of_key=True)


def _id(key: str, path: tuple[Step, ...], problems: Problems) -> None:
    if not 1 <= len(key) <= 128:
        problems.add(path, f"an id has 1 to 128 characters, not {len(key)}", of_key=True)
    elif not unicodedata.is_normalized("NFC", key):
        message = f"the id {quoted(key)} is not in Unicode normal form C, so that two ids could look the same"
        problems.add(path, message, unicodedata.normalize("NFC", key), of_key=True)
    elif key != key.strip():
        problems.add(path, f"the id {quoted(key)} begins or ends with a space", key.strip() or None, of_key=True)


def _meters_and_credits(catalog: Catalog, problems: Problems) -> None:
    for key, meter in catalog.meters.items():
        check_meter(meter, ("meters", key), problems)
    for key, credit in catalog.credits.items():
        for burned, rate in credit.burns.items():
            path = ("credits", key, "burns", burned)
            problems.known("meter", burned, catalog.meters, path, of_key=True)
            check_burns(catalog, burned, path, problems)
            if not _RATE.fullmatch(rate):
                problems.add(path, f'{quoted(rate)} is not a rate; write a decimal in quotes such as "0.0004"')


def _feature(catalog: Catalog, feature: Feature, path: tuple[Step, ...], problems: Problems) -> None:
    check_conditions(feature, path, problems)
    if isinstance(feature, Metered):
        problems.known("meter", feature.meter, catalog.meters, (*path, "meter"))
    if isinstance(feature, Credits):
        problems.known("credit", feature.credit, catalog.credits, (*path, "credit"))
    if isinstance(feature, Metered | Credits):
        check_allowance(catalog, feature, path, problems)
    if isinstance(feature, Configuration):
        _values(feature, path, problems)
    elif (default := getattr(feature, "default", None)) is not None:
        check_amount(default, amount_scale(catalog, feature), (*path, "default"), problems)


def _values(feature: Configuration, path: tuple[Step, ...], problems: Problems) -> None:
    if feature.values is None:
        return
    if not feature.values:
        problems.add((*path, "values"), "an empty list allows no value; leave values out to allow any")
    for place, value in enumerate(feature.values):
        if value in feature.values[:place]:
            problems.add((*path, "values", place), f"{quoted(value)} is listed twice")
    if feature.default is not None and feature.default not in feature.values:
        message = f"{quoted(feature.default)} is not one of the values {one_of(feature.values)}"
        problems.add((*path, "default"), message, problems.nearest(feature.default, feature.values))
