"""What changes from one catalog to the next, as a list that people and programs can read."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, structs

from licet.core.catalog import AddOn, AddOnVersion, Catalog, Part, Plan, PlanVersion
from licet.core.diff_words import (
    Named,
    fall_warning,
    include_sentence,
    part_sentence,
    sale_sentence,
    sold_sentence,
    version_sentence,
)
from licet.core.instant import BEGINNING, Instant
from licet.core.normal import normal_catalog
from licet.core.offer import addon_versions, then_of, version_begins
from licet.core.problem import Step, path_text

Path = tuple[Step, ...]
Effect = Literal["none", "live", "new_purchases"]
"""Whose rights move: nobody's, those of all customers at once, only those of purchases from now on."""

_TEXTS: Final = frozenset(
    ("title", "description", "support_text", "rank", "name", "unit", "partner", "text", "note", "tests")
)
_RULES: Final = frozenset(("requires", "excludes", "maximum"))
"""Rules between what is held together: no right moves by them, but what customers hold may break them."""
_ADDED: Final[Mapping[str, Effect]] = {
    "plans": "new_purchases",
    "addons": "new_purchases",
    "bundles": "new_purchases",
    "policies": "live",
}
_REMOVED: Final[Mapping[str, Effect]] = {"bundles": "new_purchases", "products": "none"}


class Change(Struct, frozen=True, kw_only=True):
    """One difference. ``before`` and ``after`` are plain JSON values; ``effect`` says whose rights move.

    ``warning`` is what may not have been meant although it is allowed; mostly empty.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None
    sentence: str
    effect: Effect
    warning: str = ""


def diff_catalogs(old: Catalog | None, new: Catalog) -> tuple[Change, ...]:
    """Return every difference in meaning between two sound catalogs, in the order of the document's shape.

    Empty exactly when both have the same normal form. Without an old catalog everything is added.
    """
    before = normal_catalog(old) if old is not None else Catalog(version=1, products={}, features={}, plans={})
    after = normal_catalog(new)
    changes: list[Change] = []
    for name in ("products", "meters", "credits", "features"):
        changes += _parts(name, (before, after))
    changes += _offers("plans", (before, after))
    changes += _offers("addons", (before, after))
    for name in ("bundles", "ladders", "cohorts", "policies"):
        changes += _parts(name, (before, after))
    return (*changes, *_orders(before, after))


def _parts(name: str, catalogs: tuple[Catalog, Catalog]) -> Iterator[Change]:
    """Return changes of parts without versions."""
    old, new = getattr(catalogs[0], name), getattr(catalogs[1], name)
    for key in _keys(old, new):
        if key not in old or key not in new:
            yield _come_or_gone(name, key, old.get(key), new.get(key))
        elif isinstance(new[key], tuple):
            if old[key] != new[key]:
                sentence = part_sentence(Named(name, key, None), "", old[key], new[key])
                yield _change((name, key), old[key], new[key], sentence, "live")
        else:
            yield from _fields(name, key, old[key], new[key])


def _come_or_gone(name: str, key: str, old: Any, new: Any) -> Change:
    part = new if old is None else old
    named = Named(name, key, part if isinstance(part, Part) else None)
    if old is None:
        return _change((name, key), UNSET, new, part_sentence(named, "", UNSET, new), _ADDED.get(name, "none"))
    return _change((name, key), old, UNSET, part_sentence(named, "", old, UNSET), _REMOVED.get(name, "live"))


def _fields(name: str, key: str, old: Part, new: Part, path: Path = ()) -> Iterator[Change]:
    """Return changes of a part's own fields, those of versions and includes left out."""
    where = path or (name, key)
    named = Named(name, key if not path else f"{key}@{path[-1]}", new)
    if type(old) is not type(new):
        yield _change(where, old, new, part_sentence(named, "type", old, new), "live")
        return
    for field in new.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if field in ("versions", "includes") or before == after:
            continue
        sentence = part_sentence(named, field, before, after)
        yield _change((*where, field), before, after, sentence, _effect_of(name, field, versioned=bool(path)))


def _effect_of(name: str, field: str, *, versioned: bool) -> Effect:
    if field in _TEXTS or field in ("record", "decide"):
        return "none"
    if not versioned and name == "addons":
        return "live" if field in _RULES else "new_purchases"
    if not versioned and name == "bundles":
        return "new_purchases"
    if versioned and field in ("available_from", "sold_until"):
        return "new_purchases"
    return "live"


def _offers(name: Literal["plans", "addons"], catalogs: tuple[Catalog, Catalog]) -> Iterator[Change]:
    """Return changes of plans or add-ons with their versions."""
    old, new = getattr(catalogs[0], name), getattr(catalogs[1], name)
    for key in _keys(old, new):
        if key not in old or key not in new:
            change = _come_or_gone(name, key, old.get(key), new.get(key))
            yield structs.replace(change, warning=_warnings(catalogs[1], key)) if name == "plans" else change
            continue
        yield from _fields(name, key, old[key], new[key])
        was, now = _versions(old[key]), _versions(new[key])
        for version_id in _keys(was, now):
            path: Path = (name, key, "versions", version_id)
            before, after = was.get(version_id), now.get(version_id)
            if before is not None and after is not None:
                changes = _fields(name, key, before, after, path)
                changes = (_unmoved(change, catalogs, (before, after), version_id) for change in changes)
                yield from (_told(change, Named(name, key, new[key]), version_id) for change in changes)
                yield from _includes(catalogs, f"{key}@{version_id}", (before, after), path)
            elif after is not None:
                sentence = version_sentence(catalogs[1], Named(name, key, new[key]), version_id, now)
                change = _change(path, UNSET, after, sentence, "new_purchases")
                yield structs.replace(change, warning=_warnings(catalogs[1], key, version_id))
            else:
                sentence = (
                    f"Version {version_id} of {Named(name, key, old[key])} is removed; customers who hold it lose it."
                )
                yield _change(path, before, UNSET, sentence, "live")


def _warnings(catalog: Catalog, key: str, version_id: str | None = None) -> str:
    """Return what of a new plan (all its versions), or of a new version, may not have been meant."""
    plan = catalog.plans.get(key)
    versions = {} if plan is None else plan.versions
    told = (
        fall_warning(catalog, key, one, version)
        for one, version in versions.items()
        if version_id is None or one == version_id
    )
    return " ".join(filter(None, told))


def _unmoved(
    change: Change,
    catalogs: tuple[Catalog, Catalog],
    versions: tuple[PlanVersion | AddOnVersion, PlanVersion | AddOnVersion],
    version_id: str,
) -> Change:
    """Return a change of ``then`` as one without effect where both ways of writing lead to the same version."""
    if not change.path.endswith(".then"):
        return change
    leads = [
        then_of(catalog, version, BEGINNING if (begins := _begins(version_id, version)) is None else begins)
        for catalog, version in zip(catalogs, versions, strict=True)
        if isinstance(version, PlanVersion)
    ]
    return structs.replace(change, effect="none") if leads[0] == leads[1] else change


def _told(change: Change, named: Named, version_id: str) -> Change:
    """Return a change of ``sold_until`` with the sentence that tells what is sold instead."""
    if not change.path.endswith(".sold_until"):
        return change
    return structs.replace(change, sentence=sale_sentence(named, version_id))


def _begins(version_id: str, version: PlanVersion) -> Instant | None:
    return version_begins(version_id, version.available_from)


def _versions(part: Plan | AddOn) -> Mapping[str, PlanVersion | AddOnVersion]:
    return part.versions if isinstance(part, Plan) else addon_versions(part)


def _includes(
    catalogs: tuple[Catalog, Catalog],
    name: str,
    versions: tuple[PlanVersion | AddOnVersion, PlanVersion | AddOnVersion],
    path: Path,
) -> Iterator[Change]:
    old, new = versions[0].includes, versions[1].includes
    for feature in _keys(old, new):
        before, after = old.get(feature, UNSET), new.get(feature, UNSET)
        if before != after or type(before) is not type(after):
            sentence = include_sentence(catalogs, name, feature, (before, after))
            yield _change((*path, "includes", feature), before, after, sentence, "live")


def _orders(old: Catalog, new: Catalog) -> Iterator[Change]:
    for source in _keys(old.orders, new.orders):
        was, now = old.orders.get(source, {}), new.orders.get(source, {})
        if not was and not now and (source in old.orders) != (source in new.orders):
            before, after = (UNSET, now) if source in new.orders else (was, UNSET)
            yield _change(("orders", source), before, after, f"The empty order source {source} comes or goes.", "none")
        for price in _keys(was, now):
            first, second = was.get(price), now.get(price)
            if first == second:
                continue
            sentence = sold_sentence(source, price, first, second)
            yield _change(
                ("orders", source, price),
                UNSET if first is None else first,
                UNSET if second is None else second,
                sentence,
                "new_purchases",
            )


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the keys of both in the new document's order, those that are gone last."""
    return [*new, *(key for key in old if key not in new)]


def _change(path: Path, before: Any, after: Any, sentence: str, effect: Effect) -> Change:
    kind: Literal["added", "removed", "changed"] = "changed"
    if before is UNSET:
        kind = "added"
    elif after is UNSET:
        kind = "removed"
    was, now = (None if value is UNSET else msgspec.to_builtins(value) for value in (before, after))
    return Change(path=path_text(path), kind=kind, before=was, after=now, sentence=sentence, effect=effect)
