"""What a release may not change: customers hold released versions, and their meaning never moves under them."""

from collections.abc import Mapping
from typing import Final

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Catalog,
    Credits,
    Feature,
    Include,
    Includes,
    Metered,
    Plan,
    PlanVersion,
)
from licet.core.check_usage import WINDOWED
from licet.core.instant import BEGINNING
from licet.core.normal import normal_catalog
from licet.core.offer import addon_versions, feature_type, then_of, version_begins, version_includes
from licet.core.problem import Problem, Problems, Step, one_of, path_text, quoted
from licet.core.wording import include_words

Path = tuple[Step, ...]

_FIXED: Final[Mapping[str, tuple[str, ...]]] = {
    "meters": ("event", "aggregate", "field", "filters", "scale"),
    "credits": ("scale",),
    "features": ("meter", "credit", "scale", "merge", "kind", "length", "each", "carry_overage", "on_change"),
    "plans": ("product",),
    "cohorts": ("ladder",),
}
"""Fields that are immutable for ever, by part."""
_KEPT: Final = ("products", "meters", "credits", "features", "plans", "addons", "ladders", "cohorts")
"""Parts of which nothing released may disappear."""
_ONE: Final = {
    "products": "product",
    "meters": "meter",
    "credits": "credit",
    "features": "feature",
    "plans": "plan",
    "addons": "add-on",
    "ladders": "ladder",
    "cohorts": "cohort",
}
_INSTEAD: Final = {
    "features": "keep it, and leave it out of new versions",
    "plans": "keep it, and write sold_until in its versions to stop selling it",
    "addons": "keep it, and write sold_until in its versions to stop selling it",
    "ladders": "keep it, because customers may be climbing it, and write a new ladder under another name",
    "cohorts": "keep it, because customers may belong to it",
}


def check_release(old: Catalog, new: Catalog) -> list[Problem]:
    """Return what the new catalog changes about released parts of the old one although it must not; both are sound.

    Immutable: what a feature, meter or credit is and how it is counted; what a released version of a plan or add-on
    includes, when it is sold, its trial, what follows it (with its version), its ladder; the stages of every ladder
    and the ladder of every cohort, because customers are pinned to them.
    Free: titles and texts, modes, conditions of features and who decides about them, burn rates, rules between add-ons,
    bundles, policies, order mappings, until when a version is sold.
    """
    problems = Problems()
    before, after = normal_catalog(old), normal_catalog(new)
    _removed(before, after, problems)
    _fixed(before, after, problems)
    for key, plan in before.plans.items():
        if key in after.plans:
            _plan(before, after, key, (plan, after.plans[key]), problems)
    for key, addon in before.addons.items():
        if key in after.addons:
            _addon(before, after, key, (addon, after.addons[key]), problems)
    _ladders(before, after, problems)
    return problems.found


def with_release(old: Catalog, new: Catalog, found: list[Problem]) -> list[Problem]:
    """Return what is wrong with ``new`` (``found``) together with what it changes about the released ``old``.

    Where a released feature's type is changed, that is the reason: what no longer fits the new type is left out. A name
    that leads nowhere is told as that, not as a change.
    """
    if not found:
        return check_release(old, new)
    problems = Problems()
    _removed(old, new, problems)
    _fixed(old, new, problems)
    changed = {path_text((key,)) for key, one in old.features.items() if _retyped(one, new.features.get(key))}
    echoes = tuple(f".includes{'' if key.startswith('[') else '.'}{key}" for key in changed)
    kept = [one for one in found if not any(f"{one.path}.".find(f"{echo}.") >= 0 for echo in echoes)]
    told = {one.path for one in kept}
    return [one for one in problems.found if one.path not in told] + kept


def _retyped(feature: Feature, successor: Feature | None) -> bool:
    return successor is not None and feature_type(successor) != feature_type(feature)


def _removed(old: Catalog, new: Catalog, problems: Problems) -> None:
    for name in _KEPT:
        kept = getattr(new, name)
        for key in getattr(old, name):
            if key not in kept:
                advice = _INSTEAD.get(name, "keep it, even if nothing names it any more")
                message = f"the {_ONE[name]} {quoted(key)} is released and cannot be removed; {advice}"
                problems.add((name, key), message, problems.nearest(key, set(kept) - set(getattr(old, name))))


def _fixed(old: Catalog, new: Catalog, problems: Problems) -> None:
    """Tell changes of what is immutable for ever."""
    for key, feature in old.features.items():
        successor = new.features.get(key)
        if successor is not None and feature_type(successor) != feature_type(feature):
            message = f"the type of a released feature cannot change from {feature_type(feature)} to "
            message += f"{feature_type(successor)}; define a new feature under another id"
            problems.add(("features", key, "type"), message)
        elif successor is not None and _way(feature) != _way(successor):
            message = f"how a released feature counts cannot change from {_way(feature)} to {_way(successor)}; "
            problems.add(("features", key, "per"), message + "define a new feature under another id")
    for name, fields in _FIXED.items():
        for key, part in getattr(old, name).items():
            successor = getattr(new, name).get(key)
            if successor is None or type(successor) is not type(part):
                continue
            for field in fields:
                was, now = getattr(part, field, None), getattr(successor, field, None)
                if was != now:
                    message = f"{field} of a released {_ONE[name]} cannot change from {_shown(was)} to {_shown(now)}; "
                    message += f"define a new {_ONE[name]} under another id"
                    problems.add((name, key, field), message)


def _way(feature: Feature | None) -> str | None:
    """How the allowances of a feature count: by periods, or by one of the windows."""
    if not isinstance(feature, Metered | Credits):
        return None
    return f"{feature.per} windows" if feature.per in WINDOWED else "periods"


def _plan(old: Catalog, new: Catalog, key: str, plans: tuple[Plan, Plan], problems: Problems) -> None:
    was, now = plans
    for version_id, version in was.versions.items():
        path: Path = ("plans", key, "versions", version_id)
        successor = now.versions.get(version_id)
        if successor is None:
            _version_removed(f"{key}@{version_id}", path, problems)
            continue
        name = f"{key}@{version_id}"
        _sold_from(version_id, (version, successor), name, path, problems)
        _pinned(version, successor, name, path, problems)
        _then((old, new), (version_id, version, successor), name, (*path, "then"), problems)
        _includes((old, version.includes), (new, successor.includes), name, (*path, "includes"), problems)


def _version_removed(name: str, path: Path, problems: Problems) -> None:
    message = f"{name} is released and cannot be removed, because customers may have it; a newer version replaces it"
    problems.add(path, message)


def _sold_from(
    version_id: str,
    versions: tuple[PlanVersion | AddOnVersion, PlanVersion | AddOnVersion],
    name: str,
    path: Path,
    problems: Problems,
) -> None:
    was, now = (version_begins(version_id, version.available_from) for version in versions)
    if was != now:
        message = f"{name} is released; the date from which it is sold cannot change"
        problems.add((*path, "available_from"), message)


def _pinned(was: PlanVersion, now: PlanVersion, name: str, path: Path, problems: Problems) -> None:
    for field in ("trial", "ladder", "deployments", "regions"):
        before, after = getattr(was, field), getattr(now, field)
        if before != after:
            message = f"{name} is released with {field} {_shown(before)}, which cannot become {_shown(after)}; "
            problems.add((*path, field), message + "write a new version")


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) or "unset"
    return one_of([str(each) for each in value]) if isinstance(value, tuple) else quoted(value)


def _then(
    catalogs: tuple[Catalog, Catalog],
    versions: tuple[str, PlanVersion, PlanVersion],
    name: str,
    path: Path,
    problems: Problems,
) -> None:
    """Tell a change of what follows the trial, also one that a new version of the following plan would make."""
    (old, new), (version_id, was, now) = catalogs, versions
    begins = version_begins(version_id, was.available_from)
    start = BEGINNING if begins is None else begins
    before, after = then_of(old, was, start), then_of(new, now, start)
    if before != after:
        told = ["nothing" if ref is None else f"{ref.id}@{ref.version}" for ref in (before, after)]
        message = (
            f"{name} is released with {told[0]} after its trial, which cannot become {told[1]}; write a new version"
        )
        problems.add(path, message)


def _addon(old: Catalog, new: Catalog, key: str, addons: tuple[AddOn, AddOn], problems: Problems) -> None:
    was, now = (addon_versions(addon) for addon in addons)
    for version_id, version in was.items():
        path: Path = ("addons", key, "versions", version_id)
        successor = now.get(version_id)
        name = f"{key}@{version_id}"
        if successor is None:
            _version_removed(name, path, problems)
            continue
        _sold_from(version_id, (version, successor), name, path, problems)
        _includes((old, version.includes), (new, successor.includes), name, (*path, "includes"), problems)


def _includes(
    was: tuple[Catalog, Includes], now: tuple[Catalog, Includes], name: str, path: Path, problems: Problems
) -> None:
    """Tell every feature of which a released version would give something else."""
    (old, before), (new, after) = was, now
    gave, gives = version_includes(old, before), version_includes(new, after)
    for feature in sorted(set(gave) | set(gives)):
        first, second = gave.get(feature), gives.get(feature)
        defined = [catalog.features.get(feature) for catalog in (old, new)]
        if first == second or None in defined or type(defined[0]) is not type(defined[1]):
            continue
        if before.get(feature) == after.get(feature):
            message = (
                f"a new default, per, at_limit or overage_limit would change what {name} gives, which is released; "
            )
            message += f"write the old one into {name} or define a new feature"
            problems.add(("features", feature), message)
            continue
        told = [_gives(catalog, feature, given) for catalog, given in ((old, first), (new, second))]
        if told[0] == told[1]:
            told = ["the one terms", "other terms"]
        message = f"{name} is released with {told[0]} of {quoted(feature)}, which cannot become {told[1]}"
        problems.add((*path, feature), message + "; write a new version")


def _gives(catalog: Catalog, feature: str, given: Include | None) -> str:
    return "nothing" if given is None else f'"{include_words(catalog, feature, given)}"'


def _ladders(old: Catalog, new: Catalog, problems: Problems) -> None:
    """Tell changed stages: whoever is climbing the ladder would find it moved."""
    for key, stages in old.ladders.items():
        if key in new.ladders and new.ladders[key] != stages:
            message = f"the ladder {quoted(key)} is released and its stages cannot change; "
            message += "write a new ladder under another name"
            problems.add(("ladders", key), message, of_key=True)
