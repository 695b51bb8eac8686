"""Sentences about changes of a catalog, for whoever previews a release."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct

from licet.core.catalog import AddOn, AddOnVersion, Catalog, Part, Plan, PlanVersion, Policy, Product, Sold
from licet.core.instant import BEGINNING, FOREVER, format_instant, to_instant
from licet.core.offer import feature_type, sales_of, then_of, version_begins, version_on_sale
from licet.core.problem import quoted
from licet.core.wording import INCLUDED, NOTHING, include_words

_ONE: Final = {
    "products": "product",
    "meters": "meter",
    "credits": "credit",
    "features": "feature",
    "plans": "plan",
    "addons": "add-on",
    "bundles": "bundle",
    "ladders": "ladder",
    "cohorts": "cohort",
    "policies": "policy",
}
_TEXT: Final = 80
_SEVERAL: Final = {
    "addons": "add-ons",
    "burns": "rates",
    "deployments": "deployments",
    "dimensions": "dimensions",
    "excludes": "exclusions",
    "features": "features",
    "filters": "filters",
    "regions": "regions",
    "requires": "requirements",
    "values": "values",
    "warn_at": "warnings",
}
"""Fields that hold several, as sentences call them."""


class Named(NamedTuple):
    """A part as sentences call it: its kind, its id and, where it has one, its title."""

    section: str
    id: str
    part: Part | None

    def __str__(self) -> str:
        """Return ``plan Team`` or ``feature sso``."""
        title = "" if self.part is None else self.part.title
        if isinstance(self.part, Product):
            title = self.part.name or title
        shown = f"{title} ({self.id})" if title and title.casefold() != self.id.casefold() else title or self.id
        return f"{_ONE[self.section]} {shown}"


def part_sentence(named: Named, field: str, before: object, after: object) -> str:
    """Return what happens to a part or to one of its fields; ``UNSET`` stands for what is not there."""
    if field == "type":
        return f"The {named} becomes something else: {_kind(before)} turns into {_kind(after)}."
    if field:
        return _field_sentence(named, field, before, after)
    if before is UNSET:
        return f"New {named}{_kind_note(named)}.{_first_note(named)}"
    if after is UNSET:
        return f"The {named} is removed."
    return f"The {named} changes."


def _kind(part: object) -> str:
    return feature_type(part) if isinstance(part, Struct) and part.__struct_config__.tag else type(part).__name__  # type: ignore[arg-type]


def _kind_note(named: Named) -> str:
    tag = None if named.part is None else named.part.__struct_config__.tag
    return "" if tag is None else f", a {tag} feature"


def _first_note(named: Named) -> str:
    """Return what a new part means for customers."""
    if named.section == "features":
        return " Nobody has it until a plan, an add-on or an override gives it."
    if isinstance(named.part, Policy):
        return f" From now on it {_policy_words(named.part)}."
    return " It can be bought from now on." if named.section in ("plans", "addons", "bundles") else ""


def _policy_words(policy: Policy) -> str:
    """Return what a policy does to whom."""
    about = ", ".join(policy.features)
    if policy.do == "restrict":
        return f"takes {about} away wherever {policy.when} holds or cannot be decided"
    if policy.do == "suspend":
        return f"refuses everything wherever {policy.when} holds or cannot be decided"
    return f"warns{f' about {about}' if about else ''} wherever {policy.when} holds"


def _field_sentence(named: Named, field: str, before: object, after: object) -> str:
    several = field in _SEVERAL
    what, are = f"The {_SEVERAL.get(field, field.replace('_', ' '))} of {named}", "are" if several else "is"
    if field == "mode":
        return f"The {named} goes from {before} to {after}."
    if field == "decide":
        by = "the hub, use by use" if after == "hub" else "the using program, out of what the hub leases to it"
        return f"The {named} is decided by {by}, from now on. Nobody has more or less of it."
    if field == "tests":
        return f"The tests of {named} change."
    if field == "when":
        told = {True: "is no longer bound to a condition", False: f"now holds only when {after}"}
        if isinstance(named.part, Policy):
            return f"The {named} now applies wherever {after}, to every customer at once."
        return f"The {named} {told[after is None]}."
    if _absent(before):
        return f"{what} {are} now {_shown(after)}."
    if _absent(after):
        return f"{what}, {_shown(before)}, {are} removed."
    return f"{what} {'change' if several else 'changes'} from {_shown(before)} to {_shown(after)}."


def _absent(value: object) -> bool:
    return value is None or value is UNSET or value in ("", (), {})


def _shown(value: Any) -> str:
    """Return a value for a sentence."""
    if isinstance(value, datetime):
        return format_instant(to_instant(value))
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return " and ".join(filter(None, (", ".join(value[:-1]), value[-1]))) if value else NOTHING
    if isinstance(value, str | int | bool):
        return quoted(value)
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def version_sentence(
    catalog: Catalog, named: Named, version_id: str, versions: Mapping[str, PlanVersion | AddOnVersion]
) -> str:
    """Return what a new version of a plan or add-on means, compared with the one sold before it."""
    begins = {key: _begins(key, version) for key, version in versions.items()}
    earlier = [key for key in versions if begins[key] < begins[version_id]]
    since = "" if begins[version_id] in (BEGINNING, FOREVER) else f" from {format_instant(begins[version_id])}"
    until = versions[version_id].sold_until
    ends = "" if until is None else f" until {format_instant(to_instant(until))}"
    text = f"New version {version_id} of {named}, sold{since}{ends}."
    if not earlier:
        return text
    last = max(earlier, key=lambda key: begins[key])
    compared = _compared(catalog, versions[last], versions[version_id])
    return f"{text} Compared with {last}: {compared}. Who has an earlier version keeps it."


def fall_warning(catalog: Catalog, plan: str, version_id: str, version: PlanVersion) -> str:
    """Return that a new version's trial falls into one that is withdrawn while this one is sold; empty where not.

    What is pinned (``free@2026-01``) was meant.
    """
    ref = then_of(catalog, version, _begins(version_id, version))
    if ref is None or "@" in (version.then or ""):
        return ""
    own, ends = (
        next((sale.ends for sale in sales_of(catalog.plans[key]) if sale.version == one), FOREVER)
        for key, one in ((plan, version_id), ref)
    )
    if ends >= own:
        return ""
    name, fallen = f"{plan}@{version_id}", f"{ref.id}@{ref.version}"
    return (
        f"The trial of {name} falls into {fallen}, which is sold only until {format_instant(ends)}: "
        f"then: {version.then} means that one for ever. Write then: {fallen} where it is meant, else pin another."
    )


def _begins(key: str, version: PlanVersion | AddOnVersion) -> int:
    begins = version_begins(key, version.available_from)
    return BEGINNING if begins is None else begins


def sale_sentence(named: Named, version_id: str) -> str:
    """Return until when a version of a plan or add-on, as it is now, is sold, and what is sold from then on."""
    part = named.part
    if not isinstance(part, Plan | AddOn):
        raise TypeError(f"{named} has no versions that could be sold")
    sale = next(one for one in sales_of(part) if one.version == version_id)
    name = f"{named.id}@{version_id}"
    if sale.ends == FOREVER:
        return f"{name} is sold without an end."
    if sale.ends <= sale.begins:
        return f"{name} is never sold."
    instead = version_on_sale(part, sale.ends)
    then = f"{named.id}@{instead} is" if instead else f"no version of {named} is"
    return f"{name} is sold only until {format_instant(sale.ends)}; from then on {then}. Who has it keeps it."


def _compared(catalog: Catalog, old: PlanVersion | AddOnVersion, new: PlanVersion | AddOnVersion) -> str:
    """Return the differences of two versions in the words of a price list."""
    told = []
    for feature in sorted(set(old.includes) | set(new.includes)):
        was, now = (_words(catalog, feature, version.includes.get(feature, UNSET)) for version in (old, new))
        if was != now:
            told.append(_difference(_title(catalog, feature), was, now))
    for field in ("trial", "then", "ladder"):
        was, now = (getattr(version, field, None) or NOTHING for version in (old, new))
        if was != now:
            told.append(_difference(field, was, now))
    return "; ".join(told) if told else "the same"


def _difference(title: str, was: str, now: str) -> str:
    if was == NOTHING:
        return f"adds {title}" if now == INCLUDED else f"adds {title}: {now}"
    return f"without {title}" if now == NOTHING else f"{title}: {now} instead of {was}"


def include_sentence(catalogs: tuple[Catalog, Catalog], name: str, feature: str, given: tuple[Any, Any]) -> str:
    """Return what a changed include of an existing version means for everybody who holds it."""
    was, now = (_words(catalog, feature, each) for catalog, each in zip(catalogs, given, strict=True))
    title = _title(catalogs[1], feature)
    if was == now:
        return f"{name} gives {title} on other terms ({now}), to everybody who has it."
    return f"{name}: {_difference(title, was, now)}, for everybody who has it."


def _words(catalog: Catalog, feature: str, given: Any) -> str:
    if given is UNSET or feature not in catalog.features:
        return NOTHING
    return include_words(catalog, feature, given)


def _title(catalog: Catalog, feature: str) -> str:
    known = catalog.features.get(feature)
    return feature if known is None or not known.title else known.title


def sold_sentence(source: str, price: str, before: Sold | None, after: Sold | None) -> str:
    """Return what a foreign price means from now on."""
    if after is None:
        return f"Orders from {source} for {price} mean nothing from now on."
    change = "" if before is None else f" instead of {_meaning(before)}"
    return f"Orders from {source} for {price} mean {_meaning(after)}{change}."


def _meaning(sold: Sold) -> str:
    kind = "plan" if sold.plan else "add-on" if sold.addon else "bundle"
    name = sold.plan or sold.addon or sold.bundle or NOTHING
    version = f"@{sold.version}" if sold.version else ""
    counted = f", the quantity being {sold.quantity}" if sold.quantity else ""
    return f"the {kind} {name}{version}{counted}"
