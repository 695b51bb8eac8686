"""What a release may and may not change about a released catalog."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from licet.core.catalog import Catalog
from licet.core.catalog_check import check_catalog, check_release
from licet.core.catalog_diff import diff_catalogs
from licet.wire.catalog_text import read_catalog
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import sound_catalogs

EXAMPLE = Path(__file__).parents[2] / "examples" / "meridian"


RELEASED = SMALL.replace("ladders:\n", "ladders:\n  idle: [{after: P90D, do: warn}]\n") + (
    "cohorts:\n  kept: {title: Key accounts, ladder: card}\n  friends: {}\n"
)
"""With a ladder that no plan has, and two cohorts."""


def release(*edits: tuple[str, str]) -> list[str]:
    """Return what is told about releasing the small catalog with edits after the small catalog."""
    text = RELEASED
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return [str(problem) for problem in check_release(read_catalog(RELEASED), read_catalog(text))]


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ([("sso: {type: switch, title: Single sign-on}", "sso: {type: limit, default: 1}")], "features.sso.type"),
        ([("meter: calls", "meter: minutes")], "features.calls.meter"),
        ([("projects: {type: limit", "projects: {type: limit, merge: sum")], "features.projects.merge"),
        ([("projects: {type: limit", "projects: {type: limit, scale: 2")], "features.projects.scale"),
        ([("editor: {type: seats", "editor: {type: seats, kind: concurrent")], "features.editor.kind"),
        ([("event: api.call", "event: api.hit")], "meters.calls.event"),
        ([("aggregate: count", "aggregate: sum")], "meters.calls.aggregate"),
        ([("field: minutes", "field: seconds")], "meters.minutes.field"),
        ([("field: minutes, scale: 2", "field: minutes, scale: 3")], "meters.minutes.scale"),
        ([("coin: {scale: 2", "coin: {scale: 3")], "credits.coin.scale"),
        (
            [("{app: {name: App}}", "{app: {}, b: {}}"), ("  free:\n    product: app", "  free:\n    product: b")],
            "plans.free.product",
        ),
        ([("projects: 20", "projects: 21")], "plans.team.versions.2026-01.includes.projects"),
        ([("projects: 20, ", "")], "plans.team.versions.2026-01.includes.projects"),
        ([("projects: 20", "projects: {amount: 20, at_limit: warn}")], "plans.team.versions.2026-01.includes.projects"),
        ([("sso: true, editor", "sso: true, europe: true, editor")], "plans.team.versions.2026-01.includes.europe"),
        ([("editor: true", "editor: 3")], "plans.team.versions.2026-01.includes.editor"),
        ([("trial: P14D", "trial: P15D")], "plans.team.versions.2026-01.trial"),
        ([("        ladder: card\n", "")], "plans.team.versions.2026-01.ladder"),
        ([("then: free\n", "then:\n")], "plans.team.versions.2026-01.then"),
        ([("2026-07: {", "2026-07: {regions: [eu], ")], "plans.team.versions.2026-07.regions"),
        ([("2026-07: {", "2026-07: {available_from: 2026-08-01, ")], "plans.team.versions.2026-07.available_from"),
        ([("      2026-07: {", "      2026-08: {")], "plans.team.versions.2026-07"),
        ([("after: P30D", "after: P31D")], "ladders.card"),
        ([("idle: [{after: P90D", "idle: [{after: P91D")], "ladders.idle"),
        ([("  idle: [{after: P90D, do: warn}]\n", "")], "ladders.idle"),
        ([("accounts, ladder: card", "accounts, ladder: idle")], "cohorts.kept.ladder"),
        ([("accounts, ladder: card", "accounts")], "cohorts.kept.ladder"),
        ([("friends: {}", "friends: {ladder: card}")], "cohorts.friends.ladder"),
        ([("  friends: {}\n", "")], "cohorts.friends"),
        ([("includes: {projects: 50}", "includes: {projects: 51}")], "addons.more.versions.1.includes.projects"),
        ([("versions: {2026-02:", "versions: {2026-03:")], "addons.extra.versions.2026-02"),
        ([("  extra: {", "  other: {")], "addons.extra"),
        ([("  europe: {", "  asia: {")], "features.europe"),
        (
            [("unit: {one", "at_limit: warn, unit: {one")],
            "features.projects",
        ),
        ([("seats, default: 2", "seats, default: 3")], "features.editor"),
        ([("coins: {type: credits", "coins: {type: credits, per: week")], "features.coins"),
    ],
)
def test_what_customers_hold_never_moves(edits: list[tuple[str, str]], path: str) -> None:
    """Every change of what a released part is or gives is refused at its path, with advice."""
    told = release(*edits)
    assert told
    assert all(line.startswith(path + ": ") for line in told), told
    assert all("; " in line for line in told)


@pytest.mark.parametrize(
    "edits",
    [
        [("title: Single sign-on", "title: Sign on once")],
        [("{type: switch, title", "{type: switch, mode: observe, title")],
        [("regions: [eu]", "regions: [eu, us]")],
        [('minutes: "0.5"', 'minutes: "0.7"')],
        [("maximum: 3", "maximum: 4")],
        [("    p3: {bundle: duo}\n", ""), ("bundles:\n  duo: {plan: team, addons: [more]}\n", "")],
        [("      2026-07: {", "      2026-09: {includes: {editor: 99}}\n      2026-07: {")],
        [
            (
                "more: {requires: [team], maximum: 3, includes: {projects: 50}}",
                "more: {requires: [team], maximum: 3, "
                "versions: {1: {includes: {projects: 50}}, 2026-05: {includes: {projects: 60}}}}",
            )
        ],
        [("then: free", "then: free@2026-01")],
        [("editor: true", "editor: 2"), ("seats, default: 2", "seats, default: 9")],
        [("projects: 20", "projects: {amount: '20'}")],
        [("2026-07: {", "2026-07: {available_from: 2026-07-01, ")],
        [("features:\n", "features:\n  brand_new: {type: switch}\n")],
        [("warn_at: [80%, 95%]", "warn_at: [50%]")],
        [("title: Key accounts", "title: Our best")],
        [
            ("cohorts:\n", "cohorts:\n  new: {ladder: strict}\n"),
            ("ladders:\n", "ladders:\n  strict: [{after: P1D, do: end}]\n"),
        ],
    ],
)
def test_what_is_live_or_new_may_change(edits: list[tuple[str, str]]) -> None:
    """Texts, modes, conditions, rates, rules of sale, order mappings, new versions and other spellings are free."""
    assert release(*edits) == []


def test_a_backdated_version_may_not_change_what_follows_a_trial() -> None:
    """A free plan's new version that slips in before a released trial would change where that trial falls: refused."""
    first = "      2026-01: {includes: {projects: 1"
    assert release((first, "      2025-12-31: {includes: {}}\n" + first)) == []
    late = SMALL.replace("      2026-01: {includes: {projects: 1", "      2026-03: {includes: {projects: 1")
    early = late.replace("      2026-03: {", "      2025-12: {includes: {}}\n      2026-03: {")
    (told,) = check_release(read_catalog(late), read_catalog(early))
    assert told.path == "plans.team.versions.2026-01.then"
    assert "free@2026-03 after its trial, which cannot become free@2025-12" in told.message


def test_advice_names_a_renamed_feature() -> None:
    """A released feature that was renamed is missed under its old name, and the new one is suggested."""
    text = SMALL.replace("europe: {", "europa: {")
    (told,) = check_release(read_catalog(SMALL), read_catalog(text))
    assert (told.path, told.suggestion) == ("features.europe", "europa")


@settings(max_examples=dose(40, full=1600), deadline=None)
@given(sound_catalogs(), sound_catalogs())
def test_nothing_live_and_allowed_takes_a_version_away(one: Catalog, other: Catalog) -> None:
    """Releasing a catalog after itself is allowed; an allowed release never changes or removes a version's includes."""
    assert check_release(one, one) == []
    if check_catalog(other) == [] and check_release(one, other) == []:
        changes = [change for change in diff_catalogs(one, other) if change.kind != "added"]
        assert [change for change in changes if ".includes" in change.path] == []


def test_the_next_release_of_the_example_is_allowed() -> None:
    """The example's next release changes nothing that a customer holds."""
    old, new = (read_catalog((EXAMPLE / name).read_bytes()) for name in ("catalog.yaml", "catalog-next.yaml"))
    assert check_release(old, new) == []
