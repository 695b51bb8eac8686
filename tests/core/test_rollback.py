"""A rolled back release: what is live is as it was, nothing that was sold is lost, and the way forward is open."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Catalog,
    Cohort,
    Configuration,
    Includes,
    Limit,
    Plan,
    PlanVersion,
    Policy,
    Sold,
    Stage,
    Switch,
    encode_catalog,
)
from licet.core.catalog_check import check_catalog
from licet.core.catalog_diff import diff_catalogs
from licet.core.catalog_release import check_release
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.gains import compare_rights
from licet.core.instant import parse_instant, to_datetime, to_instant
from licet.core.normal import normal_catalog
from licet.core.offer import addon_versions, version_begins, version_includes, version_on_sale
from licet.core.rollback import compose_rollback
from licet.core.terms import Terms
from licet.wire.catalog_text import read_catalog, write_catalog
from tests.core import worlds
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import sound_catalogs

AT = parse_instant("2026-08-10T09:00:00Z")
TITLES = st.sampled_from(("", "One", "Another", "no"))
FAR = datetime(2026, 12, 1, tzinfo=UTC)


def ready(catalog: Catalog) -> CompiledCatalog:
    """Return a catalog ready to be asked."""
    return compile_catalog(catalog, 1, ZoneInfo, ZoneInfo("UTC"))


def same(one: Catalog, other: Catalog) -> bool:
    """Whether two catalogs mean the same."""
    return encode_catalog(normal_catalog(one)) == encode_catalog(normal_catalog(other))


@st.composite
def next_releases(draw: st.DrawFn, before: Catalog, number: int) -> Catalog:
    """Return a catalog that may be released after one: live parts edited, removed and added, new versions and parts."""
    after = structs.replace(before, products=_titled(draw, before.products), cohorts=_titled(draw, before.cohorts))
    features: dict[str, Any] = _titled(draw, before.features)
    held = {key for includes in _included(before) for key, given in includes.items() if not _spoken(given)}
    for key in draw(st.sets(st.sampled_from(sorted(features)), max_size=3)) | {f"l{number - 1}", f"t{number - 1}"}:
        if key in features:
            features[key] = _edited(draw, features[key], number, free=key not in held)
    names = {"switch": f"s{number}", "limit": f"l{number}", "tier": f"t{number}"}
    features |= {
        names["switch"]: Switch(when=draw(st.sampled_from((None, 'context.region == "eu"')))),
        names["limit"]: Limit(default=number, at_limit="warn"),
        names["tier"]: Configuration(values=("a", f"b{number}"), default="a"),
    }
    after = structs.replace(after, features=features)
    gives = {key: True for key, one in features.items() if isinstance(one, Switch) or _defaulted(one)}
    given: Includes = {key: gives[key] for key in draw(st.sets(st.sampled_from(sorted(gives)), min_size=1, max_size=4))}
    edited = [key for key in (f"l{number - 1}", f"t{number - 1}") if key in gives and draw(st.booleans())]
    given |= dict.fromkeys(edited, True)
    plans = {key: _sale_edited(draw, plan, number, given) for key, plan in _titled(draw, before.plans).items()}
    fresh = PlanVersion(includes=given, ladder=f"ladder{number}", then=draw(st.sampled_from((None, min(plans)))))
    plans[f"plan{number}"] = Plan(product="app" if "app" in after.products else min(after.products), versions={})
    plans[f"plan{number}"] = structs.replace(plans[f"plan{number}"], versions={f"2026-0{number}": fresh})
    addons: dict[str, AddOn] = {key: _addon_edited(draw, one, number, given) for key, one in before.addons.items()}
    addons[f"addon{number}"] = AddOn(
        includes=given, requires=tuple(sorted({f"plan{number}", *list(before.addons)[:1]}))
    )
    sold = {f"price{number}": Sold(plan=f"plan{number}"), "again": Sold(addon=f"addon{number}")}
    return structs.replace(
        after,
        plans=plans,
        addons=addons,
        ladders={**before.ladders, f"ladder{number}": (Stage(after="P1D", do="suspend"),)},
        cohorts={**after.cohorts, f"cohort{number}": Cohort(ladder=f"ladder{number}")},
        bundles=draw(st.sampled_from((before.bundles, {}))),
        policies=draw(st.sampled_from((before.policies, {}, {"new": Policy(when="features.sso", do="suspend")}))),
        orders=draw(st.sampled_from((before.orders, {}, {"shop": sold}))),
    )


def _spoken(given: Any) -> bool:
    """Whether an include says its amount or value itself."""
    return isinstance(given, int | str) and given is not True


def _defaulted(feature: Any) -> bool:
    return getattr(feature, "default", None) is not None


def _titled(draw: st.DrawFn, parts: dict[str, Any]) -> dict[str, Any]:
    """Return parts, some with another title."""
    chosen = draw(st.sets(st.sampled_from(sorted(parts)), max_size=2)) if parts else set()
    return {key: structs.replace(one, title=draw(TITLES)) if key in chosen else one for key, one in parts.items()}


def _included(catalog: Catalog) -> list[Includes]:
    """What each version includes."""
    parts: list[Any] = [plan.versions for plan in catalog.plans.values()]
    parts += [addon_versions(addon) for addon in catalog.addons.values()]
    return [version.includes for versions in parts for version in versions.values()]


def _edited(draw: st.DrawFn, feature: Any, number: int, *, free: bool) -> Any:
    """Return a feature with something that is live changed; its default too, where no released version reads it."""
    mode = draw(st.sampled_from(("enforce", "observe", "off")))
    feature = structs.replace(feature, mode=mode)
    if isinstance(feature, Configuration) and feature.values is not None:
        more = (*feature.values, f"b{number}x")
        default = more[-1] if free else feature.default
        return structs.replace(feature, values=draw(st.sampled_from((more, more[::-1]))), default=default)
    if isinstance(feature, Limit) and free:
        return structs.replace(feature, default=draw(st.sampled_from((number + 10, "unlimited"))))
    return feature


def _sale_edited(draw: st.DrawFn, plan: Plan, number: int, given: Includes) -> Plan:
    """Return a plan, perhaps with a version withdrawn or sold again, perhaps with a new version."""
    versions = {}
    for key, version in plan.versions.items():
        begins = version_begins(key, version.available_from)
        assert begins is not None
        day = to_datetime(begins) + timedelta(days=draw(st.integers(0, 300)))
        versions[key] = structs.replace(version, sold_until=draw(st.sampled_from((version.sold_until, None, day))))
    if draw(st.booleans()):
        begun = draw(st.sampled_from((FAR, datetime(2026, 6, 1, tzinfo=UTC)))) + timedelta(days=number)
        ends = draw(st.sampled_from((None, begun, begun + timedelta(days=30))))
        versions[f"v{number}"] = PlanVersion(includes=given, available_from=begun, sold_until=ends)
    return structs.replace(plan, versions=versions)


def _addon_edited(draw: st.DrawFn, addon: AddOn, number: int, given: Includes) -> AddOn:
    """Return an add-on with other rules, perhaps with a new version."""
    addon = structs.replace(addon, maximum=draw(st.sampled_from((None, 3, 7))), title=draw(TITLES))
    if draw(st.booleans()):
        begun = datetime(2026, 5, number, tzinfo=UTC)
        versions = {**addon_versions(addon), f"v{number}": AddOnVersion(includes=given, available_from=begun)}
        return structs.replace(addon, includes=UNSET, versions=versions)
    return addon


@st.composite
def histories(draw: st.DrawFn, first: st.SearchStrategy[Catalog] | None = None) -> list[Catalog]:
    """Return three releases, each allowed after the one before; what would not be allowed is not released."""
    found = [draw(sound_catalogs() if first is None else first)]
    for number in (1, 2):
        after = draw(next_releases(found[-1], number))
        allowed = not check_catalog(after) and not check_release(found[-1], after)
        found.append(after if allowed else found[-1])
    return found


def test_histories_are_long() -> None:
    """The histories of these tests do release something nearly always: else the properties below would say little."""
    released: list[bool] = []

    @settings(max_examples=30, deadline=None, database=None, derandomize=True)
    @given(histories())
    def count(history: list[Catalog]) -> None:
        released.extend(one is not other for one, other in pairwise(history))

    count()
    assert sum(released) * 2 > len(released)


@settings(max_examples=dose(15, full=400), deadline=None)
@given(histories(), st.integers(0, 1))
def test_a_rollback_can_be_released(history: list[Catalog], to: int) -> None:
    """Whatever was released since, the document is sound, allowed on top of the newest, and can be written as YAML."""
    target, newest = history[to], history[-1]
    made = compose_rollback(target, newest, AT).catalog
    assert check_catalog(made) == []
    assert check_release(newest, made) == []
    assert same(read_catalog(write_catalog(made).encode(), released=newest), made)


@settings(max_examples=dose(15, full=400), deadline=None)
@given(histories(), st.integers(0, 1))
def test_back_and_forth_is_the_newest_again(history: list[Catalog], to: int) -> None:
    """Rolled back to any revision and then to the newest, the catalog means exactly what it meant; twice is as once."""
    newest = history[-1]
    back = compose_rollback(history[to], newest, AT)
    forth = compose_rollback(newest, back.catalog, AT + 5)
    assert same(forth.catalog, newest)
    assert forth.kept == ()
    again = compose_rollback(history[to], back.catalog, AT + 9)
    assert same(again.catalog, back.catalog)


@settings(max_examples=dose(15, full=400), deadline=None)
@given(histories(), st.integers(0, 1))
def test_every_version_gives_what_it_gave(history: list[Catalog], to: int) -> None:
    """No version that was ever released is missing afterwards, and each gives exactly what it gave."""
    newest, made = history[-1], compose_rollback(history[to], history[-1], AT).catalog
    assert _given(newest) == _given(made)


def _given(catalog: Catalog) -> dict[tuple[str, str], Any]:
    """What each version of each plan and add-on gives."""
    normal = normal_catalog(catalog)
    parts: dict[str, Any] = {**normal.plans, **normal.addons}
    return {
        (key, name): version_includes(normal, version.includes)
        for key, part in parts.items()
        for name, version in (addon_versions(part) if isinstance(part, AddOn) else part.versions).items()
    }


@settings(max_examples=dose(15, full=400), deadline=None)
@given(histories(), st.integers(0, 1), st.integers(0, 400))
def test_what_is_live_is_as_it_was(history: list[Catalog], to: int, days: int) -> None:
    """Compared with the revision it goes back to, the rollback only adds, and nothing of that is sold from then on.

    No price of the time since leads to a part that has no version since.
    """
    target, newest = history[to], history[-1]
    made = compose_rollback(target, newest, AT).catalog
    changes = [one for one in diff_catalogs(target, made) if not one.path.endswith(".values")]
    assert {one.kind for one in changes} <= {"added"}
    assert {one.path.partition(".")[0] for one in changes} & {"policies"} == set()
    offered = _offered(target)
    since = {name for name, versions in _offered(made).items() if versions != offered.get(name)}
    for source, prices in made.orders.items():
        had = target.orders.get(source, {})
        assert {key: sold for key, sold in prices.items() if key in had} == had
        added = {sold.plan or sold.addon for key, sold in prices.items() if key not in had and sold.bundle is None}
        assert added <= since
    later = AT + to_instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days))
    for parts, before in ((made.plans, target.plans), (made.addons, target.addons)):
        for key, part in parts.items():
            sold = version_on_sale(before[key], later) if key in before else None
            assert version_on_sale(part, later) == sold


def _offered(catalog: Catalog) -> dict[str, set[str]]:
    """The versions of each plan and add-on."""
    plans = {key: set(plan.versions) for key, plan in catalog.plans.items()}
    return plans | {key: set(addon_versions(addon)) for key, addon in catalog.addons.items()}


@settings(max_examples=dose(15, full=400), deadline=None)
@given(histories(st.just(msgspec.convert(worlds.CATALOG, Catalog))), worlds.terms(), st.integers(0, 40))
def test_who_bought_before_has_what_they_had(history: list[Catalog], terms: Terms, days: int) -> None:
    """Whoever holds what was sold by then has, at any instant, the rights of then, overrides and defaults included."""
    target, newest = history[0], history[-1]
    made = ready(compose_rollback(target, newest, AT).catalog)
    at = worlds.at(days)
    assert compare_rights(ready(target), terms, made, terms, at) == ()


def release(*edits: tuple[str, str], on: str = SMALL) -> Catalog:
    """Return the small catalog with texts replaced."""
    for old, new in edits:
        assert old in on
        on = on.replace(old, new, 1)
    return read_catalog(on)


def test_what_stays_is_said() -> None:
    """Features, versions and ladders of the time since are told one by one, versions with until when they are sold."""
    newest = release(
        (
            "      2026-07: {",
            "      2026-08: {includes: {chat: true}}\n      2027-01: {includes: {}}\n      2026-07: {",
        ),
        ("features:\n", "features:\n  chat: {type: switch, title: Chat}\n"),
        ("  team:\n", "  solo: {product: app, versions: {2026-02: {includes: {chat: true}}}}\n  team:\n"),
        ("ladders:\n", "ladders:\n  strict: [{after: P1D, do: end}]\n"),
        ("{plan: team, quantity: editor}", "{plan: solo}"),
    )
    made = compose_rollback(release(), newest, AT)
    assert made.kept == (
        "The feature Chat, added since, stays. Nothing that is sold gives it.",
        "solo@2026-02, released since, stays for who has it; it is sold only until 2026-08-10T09:00:00Z.",
        "team@2026-08, released since, stays for who has it; it is sold only until 2026-08-10T09:00:00Z.",
        "team@2027-01, released since, stays for who has it; it is never sold.",
        "The ladder strict, added since, stays.",
    )
    assert made.catalog.orders["shop"]["p1"] == Sold(plan="team", quantity="editor")
    assert version_on_sale(made.catalog.plans["team"], AT) == "2026-07"
    assert version_on_sale(made.catalog.plans["team"], AT - 1) == "2026-08"


def test_prices_and_bundles_that_sold_what_stays_are_kept() -> None:
    """Orders of those who bought what was released since go on naming it; prices and bundles of the rest are gone."""
    mapped = (
        "p1: {plan: team, quantity: editor}\n    solo: {plan: solo}\n    dated: {plan: team, version: 2026-08}\n"
        "    old: {plan: team, version: 2026-07}\n    both: {bundle: pair}"
    )
    newest = release(
        ("      2026-07: {", "      2026-08: {includes: {editor: 7}}\n      2026-07: {"),
        ("  team:\n", "  solo: {product: app, versions: {2026-02: {includes: {}}}}\n  team:\n"),
        ("bundles:\n", "bundles:\n  pair: {title: Pair, plan: solo}\n"),
        ("p1: {plan: team, quantity: editor}", mapped),
    )
    made = compose_rollback(release(), newest, AT)
    assert set(made.catalog.orders["shop"]) - set(release().orders["shop"]) == {"solo", "dated", "both"}
    assert made.catalog.bundles == normal_catalog(newest).bundles
    assert "The bundle Pair, added since, stays for orders that name it." in made.kept
    words = "The prices both, dated, solo of shop, added since, stay mapped for orders of those who bought what was "
    assert words + "released since." in made.kept
    assert check_catalog(made.catalog) == []


def test_a_default_goes_back_and_the_version_since_keeps_it() -> None:
    """A version that gave the new default goes on giving it, written out; the feature has its old default again."""
    before = release(("projects: {type: limit,", "projects: {type: limit, default: 5,"))
    newest = release(
        ("projects: {type: limit,", "projects: {type: limit, default: 8,"),
        ("      2026-07: {", "      2026-08: {includes: {projects: true, editor: 1}}\n      2026-07: {"),
    )
    made = compose_rollback(before, newest, AT)
    assert made.catalog.plans["team"].versions["2026-08"].includes == {"editor": 1, "projects": 8}
    assert isinstance(made.catalog.features["projects"], Limit)
    assert made.catalog.features["projects"].default == 5
    assert "team@2026-08 goes on giving projects: 8 projects. That is written in it now." in made.kept


def test_values_that_somebody_may_hold_stay_allowed() -> None:
    """A configuration's new value stays allowed at its place where a version gives it, and goes where none does."""
    since = ("      2026-07: {", "      2026-08: {includes: {tier: silver, editor: 1}}\n      2026-07: {")
    newest = release(("values: [basic, gold]", "values: [basic, silver, gold, huge]"), since)
    tier = compose_rollback(release(), newest, AT).catalog.features["tier"]
    assert isinstance(tier, Configuration)
    assert tier.values == ("basic", "silver", "gold")
    moved = release(("values: [basic, gold]", "values: [gold, silver, basic]"), since)
    tier = compose_rollback(release(), moved, AT).catalog.features["tier"]
    assert isinstance(tier, Configuration)
    assert tier.values == ("basic", "gold", "silver")


def test_a_policy_since_is_gone_and_one_removed_is_back() -> None:
    """Policies are live: those of then hold again, those written since do not."""
    then = release(("orders:\n", "policies:\n  old: {when: features.sso, do: suspend}\norders:\n"))
    newest = release(("orders:\n", "policies:\n  new: {when: features.sso, do: suspend}\norders:\n"))
    assert compose_rollback(then, newest, AT).catalog.policies == then.policies
