"""What changes between catalogs: complete, in words, and with whose rights it moves."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from licet.core.catalog import Catalog, encode_catalog
from licet.core.catalog_diff import Change, diff_catalogs
from licet.core.normal import normal_catalog
from licet.wire.catalog_text import read_catalog
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import sound_catalogs

EXAMPLE = Path(__file__).parents[2] / "examples" / "meridian"


def changes(old: str, new: str) -> list[Change]:
    """Return the changes that replacing text in the small catalog makes."""
    assert old in SMALL
    return list(diff_catalogs(read_catalog(SMALL), read_catalog(SMALL.replace(old, new, 1))))


def test_an_include_that_is_switched_off_is_none() -> None:
    """Writing `sso: false`, or taking it away again, is no change: it gives what no line gives."""
    assert changes("{projects: 1, tier: true}", "{projects: 1, tier: true, sso: false}") == []
    assert changes("{projects: 1, tier: true}", "{projects: 1, tier: true, sso: {on: false}}") == []
    assert changes("{projects: 1, tier: true}", "{projects: 1, tier: true, sso: true}") != []


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(sound_catalogs(), sound_catalogs())
def test_empty_exactly_when_equal(one: Catalog, other: Catalog) -> None:
    """No change is told between a catalog and itself in other words, and some change between any two that differ."""
    assert diff_catalogs(one, normal_catalog(one)) == ()
    same = encode_catalog(normal_catalog(one)) == encode_catalog(normal_catalog(other))
    assert (diff_catalogs(one, other) == ()) == same


@settings(max_examples=dose(60), deadline=None)
@given(sound_catalogs(), sound_catalogs())
def test_there_and_back(one: Catalog, other: Catalog) -> None:
    """The way back has the same paths, with added and removed, before and after exchanged."""
    there, back = diff_catalogs(one, other), diff_catalogs(other, one)
    mirrored = {"added": "removed", "removed": "added", "changed": "changed"}
    first = {(each.path, each.kind, _json(each.before), _json(each.after)) for each in there}
    second = {(each.path, mirrored[each.kind], _json(each.after), _json(each.before)) for each in back}
    assert first == second


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def test_the_first_release_adds_everything() -> None:
    """Without an earlier catalog each part is added, and nothing is changed or removed."""
    catalog = read_catalog(SMALL)
    told = diff_catalogs(None, catalog)
    assert {change.kind for change in told} == {"added"}
    features = {f"features.{key}" for key in catalog.features}
    prices = {f"orders.shop.{key}" for key in catalog.orders["shop"]}
    rest = {"products.app", "meters.calls", "meters.minutes", "credits.coin", "plans.free", "plans.team"}
    rest |= {"addons.more", "addons.extra", "bundles.duo", "ladders.card"}
    assert {change.path for change in told} == features | prices | rest


def test_the_next_release_of_the_example() -> None:
    """The example's next release shows a version, a feature, texts, a mode and a price, each with its effect."""
    old, new = (read_catalog((EXAMPLE / name).read_bytes()) for name in ("catalog.yaml", "catalog-next.yaml"))
    told = {change.path: change for change in diff_catalogs(old, new)}
    assert {path: (change.kind, change.effect) for path, change in told.items()} == {
        "features.scheduled_reports": ("added", "none"),
        "features.autopilot.support_text": ("changed", "none"),
        "features.autopilot.mode": ("changed", "live"),
        "features.sso.title": ("changed", "none"),
        "plans.team.versions.2026-12": ("added", "new_purchases"),
        "orders.stripe.price_api_boost_yearly": ("added", "new_purchases"),
    }
    assert told["features.autopilot.mode"].sentence == "The feature Autopilot goes from observe to enforce."
    assert told["plans.team.versions.2026-12"].sentence == (
        "New version 2026-12 of plan Team, sold from 2026-12-01T00:00:00Z. Compared with 2026-07: "
        "API calls: 150,000 API calls per month instead of 100,000 API calls per month; "
        "Data sources: 10 data sources instead of 5 data sources; Projects: 50 projects instead of 30 projects; "
        "adds Scheduled reports; adds Single sign-on (SAML). Who has an earlier version keeps it."
    )


@pytest.mark.parametrize(
    ("old", "new", "path", "effect", "sentence"),
    [
        (
            "title: Single sign-on",
            "title: SSO",
            "features.sso.title",
            "none",
            'The title of feature SSO changes from "Single sign-on" to "SSO".',
        ),
        (
            "regions: [eu]",
            "regions: [eu, no]",
            "features.europe.regions",
            "live",
            "The regions of feature europe change from eu to eu and no.",
        ),
        (
            ", regions: [eu]",
            "",
            "features.europe.regions",
            "live",
            "The regions of feature europe, eu, are removed.",
        ),
        (
            "when: 'context.region == \"eu\"', ",
            "",
            "features.europe.when",
            "live",
            "The feature europe is no longer bound to a condition.",
        ),
        (
            "sso: {type: switch",
            "sso: {type: switch, regions: [eu]",
            "features.sso.regions",
            "live",
            "The regions of feature Single sign-on (sso) are now eu.",
        ),
        ('minutes: "0.5"', 'minutes: "0.6"', "credits.coin.burns", "live", None),
        (
            "projects: 20",
            "projects: 25",
            "plans.team.versions.2026-01.includes.projects",
            "live",
            "team@2026-01: projects: 25 projects instead of 20 projects, for everybody who has it.",
        ),
        (
            "sso: true, editor",
            "editor",
            "plans.team.versions.2026-01.includes.sso",
            "live",
            "team@2026-01: without Single sign-on, for everybody who has it.",
        ),
        ("then: free", "then: free@2026-01", "plans.team.versions.2026-01.then", "none", None),
        ("maximum: 3", "maximum: 4", "addons.more.maximum", "live", None),
        (
            "p2: {addon: more}",
            "p2: {addon: extra}",
            "orders.shop.p2",
            "new_purchases",
            "Orders from shop for p2 mean the add-on extra instead of the add-on more.",
        ),
        (
            "    p3: {bundle: duo}\n",
            "",
            "orders.shop.p3",
            "new_purchases",
            "Orders from shop for p3 mean nothing from now on.",
        ),
        ("after: P30D", "after: P40D", "ladders.card", "live", "The ladder card changes."),
        (
            "orders:\n",
            "cohorts:\n  kept: {title: Key accounts, ladder: card}\norders:\n",
            "cohorts.kept",
            "none",
            "New cohort Key accounts (kept).",
        ),
        ("addons: [more]}", "}", "bundles.duo.addons", "new_purchases", None),
    ],
)
def test_each_change_says_whom_it_concerns(old: str, new: str, path: str, effect: str, sentence: str | None) -> None:
    """One edit is one change at its path, with whose rights move and a sentence that a person understands."""
    (change,) = changes(old, new)
    assert (change.path, change.effect) == (path, effect)
    assert sentence is None or change.sentence == sentence
    assert change.sentence.endswith(".")


def test_a_number_is_not_the_default() -> None:
    """``true`` and ``1`` are different includes although they are equal in Python."""
    (change,) = changes("projects: 20, sso: true, editor: true", "projects: 20, sso: true, editor: 1")
    assert (change.path, change.before, change.after) == (
        "plans.team.versions.2026-01.includes.editor",
        True,
        1,
    )
    assert "1 instead of 2" in change.sentence


NEXT = "      2026-06: {trial: P14D, then: free, includes: {projects: 30}}\n"
"""A new version of Team, whose trial falls into whatever Free is then."""


@pytest.mark.parametrize(
    ("until", "then", "warned"),
    [
        ("2026-05-01", "free", True),
        ("2026-07-01", "free", True),
        ("2026-05-01", "free@2026-01", False),
        (None, "free", False),
    ],
)
def test_a_trial_that_falls_into_what_is_withdrawn_is_warned_of(until: str | None, then: str, warned: bool) -> None:
    """A new version says that its ``then`` means a version that ends before it; what is pinned was meant."""
    free = "2026-01: {includes: {projects: 1, tier: true}}"
    assert free in SMALL
    ended = free if until is None else free.replace("{", f"{{sold_until: {until}T00:00:00Z, ", 1)
    old = SMALL.replace(free, ended)
    at = old.index("      2026-01:\n")
    new = old[:at] + NEXT.replace("then: free", f"then: {then}") + old[at:]
    (change,) = diff_catalogs(read_catalog(old), read_catalog(new))
    assert change.path == "plans.team.versions.2026-06"
    assert change.warning.startswith("The trial of team@2026-06 falls into free@2026-01") == warned
    assert (change.warning == "") == (not warned)
    team = diff_catalogs(None, read_catalog(new))
    assert sum(bool(one.warning) for one in team) == (until is not None)
