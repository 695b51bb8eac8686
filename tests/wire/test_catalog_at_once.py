"""Every mistake of a catalog is told at once: of shape, of meaning, and of what a release may not change."""

import pytest

from licet.core.catalog import Catalog
from licet.core.problem import Problem
from licet.wire.catalog_text import CatalogTextError, read_catalog

GOOD = """\
version: 1
products: {app: {name: My app}}
features:
  projects: {type: limit, title: Projects}
  sso: {type: switch, title: Single sign-on}
  tier: {type: configuration, title: Tier, values: [low, high]}
plans:
  free: {product: app, versions: {2026-01: {includes: {sso: true}}}}
  team:
    product: app
    versions:
      2026-01:
        trial: P14D
        then: free
        includes: {projects: 20, sso: true, tier: low}
"""


def problems(text: str, released: Catalog | None = None) -> dict[str, Problem]:
    """Return the problems of a catalog by their path."""
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(text, released=released)
    assert len({one.path for one in caught.value.problems}) == len(caught.value.problems)
    return {one.path: one for one in caught.value.problems}


def changed(*pairs: tuple[str, str]) -> str:
    """Return the good catalog with parts replaced."""
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_shape_and_meaning_are_told_together() -> None:
    """A wrong type, product, trial, follower, feature and value are all told, each where it stands, and no echo."""
    found = problems(
        changed(
            ("projects: {type: limit", "projects: {type: swich"),
            ("  team:\n    product: app", "  team:\n    product: ap"),
            ("trial: P14D", "trial: 14d"),
            ("then: free", "then: fre"),
            ("sso: true, tier: low", "ss0: true, tier: lo"),
        )
    )
    version = "plans.team.versions.2026-01"
    assert set(found) == {
        "features.projects.type",
        "plans.team.product",
        f"{version}.trial",
        f"{version}.then",
        f"{version}.includes.ss0",
        f"{version}.includes.tier",
    }
    assert found["features.projects.type"].suggestion == "switch"
    assert found[f"{version}.then"].suggestion == "free"
    assert all(one.line for one in found.values())


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("title: Projects}", "title: [1]}", "features.projects.title"),
        ("name: My app", "name: [My app]", "products.app.name"),
        ("projects: 20,", "projects: [20],", "plans.team.versions.2026-01.includes.projects"),
        ("values: [low, high]", "values: [low, 7]", "features.tier.values[1]"),
    ],
)
def test_what_is_left_out_has_no_echo(old: str, new: str, path: str) -> None:
    """What refers to a part whose shape is wrong is not told too; another mistake elsewhere still is."""
    found = problems(changed((old, new), ("then: free", "then: fre")))
    assert set(found) == {path, "plans.team.versions.2026-01.then"}


def test_rules_of_a_release_are_told_with_the_rest() -> None:
    """What a release may not change stands beside what is wrong anyway, with line and column."""
    released = read_catalog(GOOD)
    found = problems(changed(("  sso: {type: switch, title: Single sign-on}\n", "")), released)
    assert "cannot be removed" in found["features.sso"].message
    assert {path for path in found if path.endswith("includes.sso")}
    only = problems(changed(("trial: P14D", "trial: P30D")), released)
    assert list(only) == ["plans.team.versions.2026-01.trial"]
    assert only["plans.team.versions.2026-01.trial"].line == 13


def test_another_type_of_a_released_feature_is_the_reason() -> None:
    """Changing a type is told once, as what it is, not as amounts that do not fit the new type."""
    found = problems(changed(("projects: {type: limit", "projects: {type: switch")), read_catalog(GOOD))
    assert list(found) == ["features.projects.type"]
    assert "cannot change from limit to switch" in found["features.projects.type"].message
